"""Workers are killed, stopped, slowed and made to fail; nothing is lost, repeated, or learnt from.

Each test says what is done to which worker in which observed state. `play` checks after each that
every group was trained once, dropped with a reason, or is owed; that no process is left; that every
fault has its line (tests/faults/trials.py). Most compare what was trained with an undisturbed run.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from configs import faultpoints
from configs.errors import FaultBudgetSpent
from configs.schema import DeadlinesConfig, FleetConfig, RolloutConfig
from launch.states import State
from tests.faults.trials import Trial, answers, kill, pid, play

pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("ray_cluster")]

SLOW = {"slow": 10}
"""Answers take a second or two, so that a worker can be caught while it serves."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    trial = play(tmp_path_factory.mktemp("undisturbed") / "run")
    assert trial.events("fault") == []
    return trial


def assert_same_training(trial: Trial, undisturbed: Trial) -> None:
    assert answers(trial) == answers(undisturbed)


async def serving(trial: Trial, number: int = 0) -> None:
    member = trial.pool.members[number]
    await trial.until(lambda: member.outstanding > 0, f"{member.name} serving")


async def back(trial: Trial, number: int = 0) -> None:
    """Until a worker serves in its second life."""
    member = trial.pool.members[number]
    await trial.until(lambda: member.health.life > 0 and member.health.serves, "back in service")


@pytest.mark.brief
def test_f01_a_worker_that_is_killed_while_it_serves(tmp_path: Path, undisturbed: Trial) -> None:
    async def disturb(trial: Trial) -> None:
        await trial.until(lambda: trial.controller.step >= 1, "step 1")
        await serving(trial)
        kill(trial.pool.members[0])
        await back(trial)

    trial = play(tmp_path / "run", disturb, {"rollout-0": SLOW, "rollout-1": SLOW})
    assert_same_training(trial, undisturbed)
    [fault] = trial.events("fault")
    assert (fault["worker"], fault["fault_class"]) == ("rollout-0", "infrastructure")
    assert fault["budget_left"] == 5
    assert trial.events("worker")[-1]["state"] == "healthy"


def test_f02_a_worker_that_is_killed_while_idle(tmp_path: Path, undisturbed: Trial) -> None:
    async def disturb(trial: Trial) -> None:
        trial.learner.may_step.clear()  # synchronous: the engines wait for the learner
        await trial.until(lambda: trial.learner.waits, "a batch")
        assert all(member.outstanding == 0 for member in trial.pool.alive)
        kill(trial.pool.members[1])
        await trial.until(lambda: trial.events("fault"), "noticed, with no request to fail")
        await back(trial, 1)
        trial.learner.may_step.set()

    trial = play(tmp_path / "run", disturb, max_staleness=0)
    assert_same_training(trial, undisturbed)


def test_f03_a_worker_that_dies_while_it_loads_weights(
    tmp_path: Path, undisturbed: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(faultpoints.VARIABLE, "rollout.before_load=kill@3")

    async def disturb(trial: Trial) -> None:
        await back(trial)

    trial = play(tmp_path / "run", disturb, {f"rollout-{i}": {"slow": 10} for i in range(2)})
    assert_same_training(trial, undisturbed)
    faults = trial.events("fault")
    assert {fault["worker"] for fault in faults} == {"rollout-0", "rollout-1"}
    # Whether the load or a request in flight brings the news first is chance.
    assert all("died during" in fault["cause"] for fault in faults)


def test_f04_a_worker_that_never_starts(tmp_path: Path, undisturbed: Trial) -> None:
    trial = play(
        tmp_path / "run", trouble={"rollout-0": {"dies_in_start": True}},
        fleet=FleetConfig(restarts=2, probe_every_s=1.0),
    )  # fmt: skip
    assert_same_training(trial, undisturbed)
    assert [fault["budget_left"] for fault in trial.events("fault")] == [2, 1, 0]
    assert trial.pool.members[0].health.state is State.RETIRED


def test_f04_too_few_workers_end_the_run_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        FaultBudgetSpent, match=r"1 rollout workers are left, at least 2 .*its start"
    ):
        play(
            tmp_path / "run", trouble={"rollout-0": {"dies_in_start": True}},
            fleet=FleetConfig(min_rollout_workers=2, restarts=0),
        )  # fmt: skip


@pytest.mark.brief
def test_f05_a_stopped_worker(tmp_path: Path, undisturbed: Trial) -> None:
    """Ray never notices; a probe does. Its process is killed, though it cannot be asked to end."""

    async def disturb(trial: Trial) -> None:
        await trial.until(lambda: trial.controller.step >= 1, "step 1")
        await serving(trial)
        stopped = psutil.Process(pid(trial.pool.members[0]))
        kill(trial.pool.members[0], signal.SIGSTOP)
        await back(trial)
        await trial.until(lambda: not stopped.is_running(), "the stopped process gone", 30)

    trial = play(tmp_path / "run", disturb, {"rollout-0": SLOW, "rollout-1": SLOW})
    assert_same_training(trial, undisturbed)
    assert "probe" in trial.events("fault")[0]["cause"]


@pytest.mark.brief
def test_f06_a_worker_that_fails_everything_but_probes(tmp_path: Path, undisturbed: Trial) -> None:
    trial = play(
        tmp_path / "run", trouble={"rollout-0": {"fails_requests": True}},
        fleet=FleetConfig(restarts=1, probe_every_s=1.0, data_retries=4),
    )  # fmt: skip
    assert_same_training(trial, undisturbed)
    assert trial.pool.members[0].health.state in (State.RETIRED, State.DEAD, State.RESTARTING)
    assert {fault["worker"] for fault in trial.events("fault")} == {"rollout-0"}
    assert trial.events("fault")[0]["fault_class"] == "data"


def test_f07_a_slow_worker_gets_less(tmp_path: Path, undisturbed: Trial) -> None:
    trial = play(
        tmp_path / "run", trouble={"rollout-0": {"slow": 10}},
        rollout=RolloutConfig(workers=3, max_num_seqs=4),  # one group and a bit
    )  # fmt: skip
    assert_same_training(trial, undisturbed)
    served = {member.name: member.served for member in trial.pool.members.values()}
    assert served["rollout-0"] < min(served["rollout-1"], served["rollout-2"])


@pytest.mark.brief
def test_f08_all_workers_at_once(tmp_path: Path, undisturbed: Trial) -> None:
    async def disturb(trial: Trial) -> None:
        await trial.until(lambda: trial.controller.step >= 1, "step 1")
        await serving(trial)
        for member in trial.pool.alive:
            kill(member)
        await back(trial, 0)

    trial = play(tmp_path / "run", disturb, {f"rollout-{i}": SLOW for i in range(2)})
    assert_same_training(trial, undisturbed)


def test_f09_a_worker_whose_engine_died_leaves_on_purpose(
    tmp_path: Path, undisturbed: Trial
) -> None:
    trial = play(tmp_path / "run", trouble={"rollout-0": {"engine_dies_after": 20}})
    assert_same_training(trial, undisturbed)
    causes = [fault["cause"] for fault in trial.events("fault")]
    assert causes
    assert all("EngineDead: the stub's engine is gone" in cause for cause in causes)


@pytest.mark.brief
def test_f10_a_late_duplicate_is_counted_and_dropped(tmp_path: Path, undisturbed: Trial) -> None:
    """A worker that is late but answers after all, while another one has its group."""

    async def disturb(trial: Trial) -> None:
        await trial.until(lambda: trial.controller.step >= 1, "step 1")
        await serving(trial)
        member, role = trial.pool.members[0], trial.pool.role
        spared: list[tuple[Any, Any]] = []

        async def spare(handle: Any, place: Any, gently: bool) -> None:
            spared.append((handle, place))

        trial.pool.role = replace(role, end=spare)
        trial.pool.condemn(member, member.health.life, "rollout-0 is late, says the test")
        await trial.until(lambda: trial.controller.ledger.duplicates > 0, "a late answer")
        trial.pool.role = role
        for handle, place in spared:
            await role.end(handle, place, False)

    trial = play(tmp_path / "run", disturb, {f"rollout-{i}": SLOW for i in range(2)})
    assert_same_training(trial, undisturbed)


def test_f37_samples_of_old_weights_are_not_trained(tmp_path: Path) -> None:
    trial = play(
        tmp_path / "run", trouble={"rollout-0": {"versions_behind": 3}}, refill_budget=20.0
    )
    assert trial.controller.ledger.dropped["stale"] > 0


@pytest.mark.brief
def test_f39_a_worker_with_other_weights_never_serves(tmp_path: Path, undisturbed: Trial) -> None:
    trial = play(
        tmp_path / "run", trouble={"rollout-0": {"weights_off": 0.5}},
        fleet=FleetConfig(restarts=1, probe_every_s=1.0),
    )  # fmt: skip
    assert_same_training(trial, undisturbed)
    assert trial.pool.members[0].served == 0
    assert "does not hold weights version" in trial.events("fault")[0]["cause"]


@pytest.mark.brief
def test_a_reward_worker_that_is_killed(tmp_path: Path, undisturbed: Trial) -> None:
    async def disturb(trial: Trial) -> None:
        scorer = trial.rewards.members[0]
        for life in (0, 1):
            await trial.until(lambda: scorer.served > 0 and scorer.health.serves, "scoring")
            kill(scorer)
            await trial.until(lambda life=life: scorer.health.life > life, "a new one")  # type: ignore[misc]

    trial = play(tmp_path / "run", disturb, {f"rollout-{i}": SLOW for i in range(2)})
    assert_same_training(trial, undisturbed)
    assert {fault["worker"] for fault in trial.events("fault")} == {"reward-0"}


@pytest.mark.brief
def test_up_and_down_while_it_runs(tmp_path: Path, undisturbed: Trial) -> None:
    """1 -> 3 -> 1 workers: joiners serve with current weights, leavers finish."""

    async def disturb(trial: Trial) -> None:
        trial.learner.may_step.clear()
        await serving(trial)
        assert trial.fleets.scale({"rollout": 3}) == "rollout 1 -> 3, 2 starting"
        await trial.until(lambda: sum(m.health.serves for m in trial.pool.alive) == 3, "three")
        trial.learner.may_step.set()
        await trial.until(lambda: all(m.served for m in trial.pool.alive), "all three at work")
        trial.fleets.scale({"rollout": 1})
        await trial.until(lambda: len(trial.pool.alive) == 1, "two have left")

    trial = play(tmp_path / "run", disturb, {f"rollout-{i}": SLOW for i in range(3)}, workers=1)
    assert_same_training(trial, undisturbed)
    assert trial.events("fault") == []


POINTS = [p for p in faultpoints.POINTS if p.startswith(("rollout.", "reward."))]


@pytest.mark.parametrize("action", ["kill@2", "raise@2", "sleep:8@2"])
@pytest.mark.parametrize("point", POINTS)
def test_every_fault_point_of_a_worker(
    point: str, action: str, tmp_path: Path, undisturbed: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worker is struck once, at its second pass (its first, in its start)."""
    spec = f"{point}={action.replace('@2', '@1') if point.endswith('.start') else action}"
    monkeypatch.setenv(faultpoints.VARIABLE, spec)
    struck = {"rollout": [0, 1], "reward": [0]}[point.partition(".")[0]]

    async def disturb(trial: Trial) -> None:
        if point == "rollout.probe":  # silence, so that there are probes
            trial.learner.may_step.clear()
            await trial.until(lambda: len({f["worker"] for f in trial.events("fault")}) == 2, "two")
            trial.learner.may_step.set()

    trial = play(
        tmp_path / "run", disturb, max_staleness=0,
        deadlines=DeadlinesConfig(0.5, 2.0, 3.0, 5.0, 60.0, 120.0),
    )  # fmt: skip
    assert_same_training(trial, undisturbed)
    if "sleep" not in action:
        assert len({fault["worker"] for fault in trial.events("fault")}) == len(struck)


def test_a_poisoned_group_is_dropped_and_the_run_goes_on(tmp_path: Path) -> None:
    """Every worker fails the group, each in its own way; it ends as a drop with a reason."""
    everywhere = {f"rollout-{i}": {"engine_dies_after": 30} for i in range(2)}
    trial = play(tmp_path / "run", trouble=everywhere, fleet=FleetConfig(restarts=50))
    ledger = trial.controller.ledger
    assert ledger.trained + sum(ledger.dropped.values()) == ledger.dispatched


def test_it_ends_by_itself_when_nothing_can_serve(tmp_path: Path) -> None:
    started = asyncio.new_event_loop().time()
    with pytest.raises(FaultBudgetSpent, match="rollout workers are left"):
        play(
            tmp_path / "run",
            trouble={f"rollout-{i}": {"engine_dies_after": 2} for i in range(2)},
            fleet=FleetConfig(restarts=1),
        )
    assert asyncio.new_event_loop().time() - started < 100
