"""Numbers that go wrong, order that is lost, and a judge that is struck, over real actors.

As in test_fleet_faults.py, `play` checks after each trial what must hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs import faultpoints
from configs.errors import FaultBudgetSpent
from configs.schema import DeadlinesConfig, RewardConfig, RolloutConfig
from tests.faults.trials import Trial, answers, play
from tests.scripted_judge import judge_server

pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("ray_cluster")]

PARITY = "tests.faults.stubs:Parity"
JUDGE_POINTS = [point for point in faultpoints.POINTS if point.startswith("judge.")]


def test_f11_what_ends_first_is_not_trained_first(tmp_path: Path) -> None:
    three = {"rollout": RolloutConfig(workers=3, max_num_seqs=4)}

    async def disturb(trial: Trial) -> None:
        def overtaken() -> bool:
            ready, owed = trial.controller._finished, trial.controller.ledger.owed
            return bool(ready and owed) and min(ready) > owed[0].group_id

        await trial.until(overtaken, "a group that ended before an older one")

    mixed = play(tmp_path / "mixed", disturb, {"rollout-0": {"slow": 10}}, **three)
    assert answers(mixed) == answers(play(tmp_path / "even", **three))


def test_f14_a_gradient_that_is_not_finite(tmp_path: Path) -> None:
    async def disturb(trial: Trial) -> None:
        trial.learner.skips = frozenset({2})

    trial = play(tmp_path / "run", disturb)
    [skipped] = trial.events("skipped_step")
    assert (skipped["step"], skipped["grad_norm"]) == (3, "inf")
    assert trial.learner.weights == len(trial.steps()) - 1


def test_f14_gradients_that_are_never_finite_end_the_run(tmp_path: Path) -> None:
    async def disturb(trial: Trial) -> None:
        trial.learner.skips = frozenset(range(1, 100))

    with pytest.raises(FaultBudgetSpent, match="gradients of steps 2 to 4 were not finite"):
        play(tmp_path / "run", disturb)


def test_f15_weights_that_are_not_numbers_are_never_served(tmp_path: Path) -> None:
    seen: list[Trial] = []

    async def disturb(trial: Trial) -> None:
        seen.append(trial)
        await trial.until(lambda: trial.controller.step >= 2, "two steps")
        trial.learner.weights = math.nan

    with pytest.raises(FaultBudgetSpent, match=r"not finite: version (\d) was not published"):
        play(tmp_path / "run", disturb)
    [trial] = seen
    refused = trial.controller.policy_version
    assert {m.health.version for m in trial.pool.members.values()} == {refused - 1}


def test_f16_groups_without_a_signal_end_the_run_by_name(tmp_path: Path) -> None:
    with pytest.raises(FaultBudgetSpent, match=r"3 steps in a row .*all_correct"):
        play(
            tmp_path / "run", reward=RewardConfig(verifier="tests.faults.stubs:AllRight"),
            keep_zero_variance=False, max_empty_steps=3, refill_budget=0.0,
        )  # fmt: skip


@pytest.fixture(scope="module")
def judged() -> Iterator[RewardConfig]:
    with judge_server() as server:
        yield RewardConfig(
            verifier=PARITY,
            routes={"fake": {"mode": "both", "rules": PARITY, "rubric": "commentary"}},
            judge={"url": server.url(), "model": "m"},
        )


@pytest.fixture(scope="module")
def undisturbed(judged: RewardConfig, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    trial = play(tmp_path_factory.mktemp("undisturbed") / "run", reward=judged)
    assert trial.events("fault") == []
    assert any(step["reward/judge"] > 0 for step in trial.steps())
    return trial


@pytest.mark.parametrize("action", ["kill@2", "raise@2", "sleep:8@2"])
@pytest.mark.parametrize("point", JUDGE_POINTS)
def test_every_fault_point_of_a_judge(
    point: str,
    action: str,
    tmp_path: Path,
    judged: RewardConfig,
    undisturbed: Trial,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = f"{point}={action.replace('@2', '@1') if point.endswith('.start') else action}"
    monkeypatch.setenv(faultpoints.VARIABLE, spec)
    deadlines = DeadlinesConfig(0.5, 2.0, 3.0, 5.0, 60.0, 120.0)
    trial = play(tmp_path / "run", reward=judged, deadlines=deadlines)
    assert answers(trial) == answers(undisturbed)
    if "sleep" not in action:
        assert {fault["worker"] for fault in trial.events("fault")} == {"judge-0"}
