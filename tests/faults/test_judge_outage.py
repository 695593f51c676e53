"""A judge that is down for a while, or for good, or misbehaves, in a run of real actors.

Of two task sets the rules score one, the judge behind an HTTP server the other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.errors import FaultBudgetSpent
from configs.schema import RewardConfig
from envs.types import Task
from rewards.calibration import Calibration
from rl.checkpoint import CheckpointStore, RunState, latest_checkpoint, load_state
from rl.controller import Progress
from rl.curriculum import Mixture
from rl.jsonl import read_log
from rl.provenance import Fingerprints
from tests.fakes import NumberedTasks
from tests.faults.trials import Attempt, Trial, kill, mixed, play
from tests.scripted_judge import ScriptedJudge, judge_server

pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("ray_cluster")]

RULED, JUDGED = "ruled", "judged"
STEPS = 12
IN_STEP = {"max_staleness": 0, "refill_budget": 0.0}
"""Every step draws the same tasks, whatever becomes of them."""


@pytest.fixture
def server() -> Iterator[ScriptedJudge]:
    with judge_server() as server:
        yield server


class Kind(NumberedTasks):
    """Tasks of one kind, which their label names."""

    def __getitem__(self, index: int) -> Task:
        return replace(super().__getitem__(index), labels={"task": self.name})


def two_kinds() -> Mixture[Task]:
    return mixed(Kind(100, RULED), Kind(100, JUDGED))


def rewards_by(server: ScriptedJudge, limit: float) -> RewardConfig:
    return RewardConfig(
        verifier="tests.faults.stubs:Parity",
        routes={JUDGED: {"mode": "judge", "rubric": "commentary"}},
        judge={"url": server.url(), "model": "m", "deadline_s": 2.0, "attempts": 2},
        max_no_verdict=limit,
    )


def samples(trial: Trial, kind: str) -> list[dict[str, Any]]:
    found = [s for s in read_log(trial.folder / "trajectories.jsonl") if kind in s["task_id"]]
    return sorted(found, key=lambda sample: (sample["group"], sample["index"]))


def trained(trial: Trial, kind: str) -> list[tuple[Any, ...]]:
    """What the learner got of a kind of task, in its order, and in which step where a step's tasks
    are always the same."""
    groups = {group for group, _, _ in trial.trained}
    by_step = trial.config.stages["stage"].refill_budget == 0.0
    return [
        (s["step"] * by_step, s["task_id"], s["index"], s["reward"], s["token_ids"])
        for s in samples(trial, kind)
        if s["group"] in groups
    ]


@pytest.mark.parametrize(
    "stage", [pytest.param(IN_STEP, marks=pytest.mark.brief), {"max_staleness": 1}]
)
def test_f20_a_judge_that_is_down_for_a_while(
    stage: dict[str, Any], tmp_path: Path, server: ScriptedJudge
) -> None:
    config = {"reward": rewards_by(server, limit=1.0), "steps": STEPS, **stage}
    calm = play(tmp_path / "calm", attempt=Attempt(two_kinds()), **config)
    assert all(sample["reward"] is not None for sample in samples(calm, JUDGED))

    async def outage(trial: Trial) -> None:
        await trial.until(lambda: trial.controller.step >= 3, "three steps")
        server.script = ["down"]
        await trial.until(lambda: trial.controller.step >= 6, "training beside the outage")
        server.script = ["good"]
        trial.learner.step_s = 1.0  # the circuit has some seconds to close in

    struck = play(tmp_path / "struck", outage, attempt=Attempt(two_kinds()), **config)
    masked = [s for s in samples(struck, JUDGED) if s["reward"] is None]
    assert masked
    assert all(s["reason"].startswith("judge: ") for s in masked)
    steps = struck.steps()
    assert sum(step.get("judge/no_verdict", 0) for step in steps) == len(masked)
    assert sum(step.get("group/dropped/error", 0) for step in steps) > 0
    assert all(step["group/trained"] >= 1 for step in steps)
    assert steps[-1]["reward/no_verdict"] == 0, "it is asked again"
    assert struck.events("fault") == [], "no worker is at fault"

    calm_rules, struck_rules = trained(calm, RULED), trained(struck, RULED)
    shared = min(len(calm_rules), len(struck_rules))
    assert calm_rules[:shared] == struck_rules[:shared]
    assert shared >= STEPS * 4 * 3
    if stage is IN_STEP:
        assert len(calm_rules) == len(struck_rules)
    answered = {(s["task_id"], s["index"]): s["reward"] for s in samples(calm, JUDGED)}
    for s in samples(struck, JUDGED):
        assert s["reward"] in (None, answered.get((s["task_id"], s["index"]), s["reward"]))


class Checkpoints:
    """The `save` of a trial: real checkpoints, of a learner that is a number."""

    def __init__(self, folder: Path) -> None:
        self.store = CheckpointStore(folder, keep=2)

    async def __call__(self, stage: Progress) -> None:
        self.store.save(
            lambda folder: (folder / "model.txt").write_text(str(stage.policy_version)),
            RunState(
                stage=stage.name, step=stage.step, policy_version=stage.policy_version,
                curriculum=stage.curriculum_state(), ledger=stage.ledger_state(), rng={},
                tracker={}, fingerprints=Fingerprints({}, "", "", 1), config="", code_version="",
                packages={},
            ),
        )  # fmt: skip


def test_f20_a_judge_that_stays_down(tmp_path: Path, server: ScriptedJudge) -> None:
    save, seen = Checkpoints(tmp_path / "checkpoints"), []
    config = {
        "reward": rewards_by(server, limit=0.5), "steps": STEPS, "max_empty_steps": 4, **IN_STEP
    }  # fmt: skip

    async def outage(trial: Trial) -> None:
        seen.append(trial)
        await trial.until(lambda: trial.controller.step >= 3, "three steps")
        server.script = ["down"]

    what = "the judged samples of the last 4 steps have no verdict, .*most often: judge: "
    why = "down: for .*unreachable, status 503; mend that and continue with --resume"
    with pytest.raises(FaultBudgetSpent, match=what + why):
        play(tmp_path / "run", outage, attempt=Attempt(two_kinds(), save), **config)
    checkpoint = latest_checkpoint(save.store.directory)
    assert checkpoint is not None
    state = load_state(checkpoint)
    assert state.step == seen[0].controller.step <= 3 + 4
    assert (checkpoint.path / "model.txt").read_text() == str(state.policy_version)

    server.script = ["good"]
    again = {
        "step": state.step, "policy_version": state.policy_version,
        "curriculum": state.curriculum, "ledger": state.ledger, "label_weights": {},
    }  # fmt: skip
    resumed = play(tmp_path / "resumed", attempt=Attempt(two_kinds(), save, again), **config)
    assert [step["reward/no_verdict"] for step in resumed.steps()] == [0.0] * (STEPS - state.step)
    calm = play(tmp_path / "calm", attempt=Attempt(two_kinds()), **config)
    for kind in (RULED, JUDGED):
        assert trained(resumed, kind) == [s for s in trained(calm, kind) if s[0] > state.step]


MISBEHAVIOUR = (
    "good", "limited", "broken", "hang", "drip", "cut", "cut_verdict", "nan", "huge_number",
    "prose", "redirect", "huge_body",
)  # fmt: skip


def test_f17_to_f21_a_server_that_misbehaves_in_every_way(
    tmp_path: Path, server: ScriptedJudge
) -> None:
    server.script = MISBEHAVIOUR
    config = {"reward": rewards_by(server, limit=1.0), "steps": STEPS, **IN_STEP}
    struck = play(tmp_path / "struck", attempt=Attempt(two_kinds()), **config)
    assert all(server.hits[mode] for mode in MISBEHAVIOUR), "each had its turn"
    judged = samples(struck, JUDGED)
    assert {s["reward"] for s in judged if not s["reason"].startswith("too_short")} == {None, 0.75}
    assert all(step["group/trained"] >= 1 for step in struck.steps())
    assert struck.events("fault") == []
    server.script = ["good"]
    calm = play(tmp_path / "calm", attempt=Attempt(two_kinds()), **config)
    assert trained(struck, RULED) == trained(calm, RULED)


def test_a_calibration_outlives_its_worker_and_never_guesses(
    tmp_path: Path, server: ScriptedJudge
) -> None:
    gold = tmp_path / "gold.jsonl"
    levels = {"logic": "sound", "depth": "some"}
    rows = [{"texts": {"candidate": f"Fees rose by {n}."}, "levels": levels} for n in range(8)]
    gold.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found: list[Calibration] = []

    async def disturb(trial: Trial) -> None:
        rewards = trial.fleets.rewards
        assert rewards.judges is not None
        asked = asyncio.create_task(rewards.calibrate())
        await asyncio.sleep(0.0)
        kill(next(iter(rewards.judges.members.values())))
        found.append((await asked)[JUDGED])
        server.script = ["down"]
        found.append((await rewards.calibrate())[JUDGED])
        server.script = ["good"]
        await asyncio.sleep(4.0)  # until the circuit lets a probe through
        found.append((await rewards.calibrate())[JUDGED])

    reward = rewards_by(server, limit=1.0)
    reward.routes[JUDGED]["gold"] = str(gold)
    trial = play(tmp_path / "run", disturb, attempt=Attempt(two_kinds()), reward=reward)
    killed, down, back = found
    assert (killed.judged, killed.agreement) == (back.judged, back.agreement) == (8, 1.0)
    assert (down.judged, down.agreement, down.is_known) == (0, None, False)
    assert "503" in down.cause
    assert [fault["worker"] for fault in trial.events("fault")] == ["judge-0"]
