"""What missing verdicts cost, and when a judge is said to be played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchmarks.virtual_time import simulate
from configs.errors import FaultBudgetSpent
from configs.schema import StageConfig
from envs.types import Message
from rl.verdicts import GAP_RISE, WINDOW, VerdictWatch, verdict_metrics
from rollout.types import Group, Score, StopReason, Trajectory
from tests.fakes import Fate, Saves, World, labelled_task, make_controller, trajectory


def group_of(scores: Sequence[Score], kind: str = "commentary", **fields: object) -> Group:
    task = labelled_task("t/1", task=kind)
    samples = [replace(trajectory(i, task=task), score=s) for i, s in enumerate(scores)]
    return Group(1, task, tuple(replace(t, **fields) for t in samples))  # type: ignore[arg-type]


NONE = Score(None, reason="judge: down: down for 75 s", costs={"judge/no_verdict": 1.0})


def said(text: str, judge: float, rule: float) -> Trajectory:
    made = replace(trajectory(0), messages=(Message("assistant", text),))
    return replace(
        made, score=Score(judge, {"judge": judge, "rule": rule}, costs={"judge/calls": 1.0})
    )


def test_costs_add_up_and_faults_are_no_missing_verdicts() -> None:
    scored = group_of([NONE, Score(1.0, {"judge": 1.0}, costs={"judge/calls": 2.0}), Score(0.0)])
    failed = group_of([Score(None)], stop_reason=StopReason.ERROR)
    metrics = verdict_metrics([scored, failed])
    assert metrics["reward/no_verdict"] == pytest.approx(1 / 3)
    assert metrics["judge/calls"] == 2.0
    assert metrics["judge/no_verdict"] == 1.0
    assert verdict_metrics([failed]) == {}


def test_gap_and_style() -> None:
    texts = [said("Fees rose" + "!" * n, judge=n / 10, rule=0.2) for n in range(10)]
    metrics = verdict_metrics([Group(1, texts[0].task, tuple(texts))])
    assert metrics["judge/gap"] == pytest.approx(0.25)
    assert metrics["judge/style_correlation"] > 0.9
    assert metrics["judge/distinct"] == 1.0
    assert "judge/length_correlation" not in metrics  # all of one length
    canary = replace(trajectory(0), score=Score(1.0, {"judge": 1.0, "canary": 0.0}))
    metrics = verdict_metrics([Group(1, canary.task, (canary,))])
    assert metrics["judge/canary_agreement"] == 0.0
    assert metrics["judge/gap"] == 1.0


def test_a_kind_of_task_without_verdicts_ends_the_run() -> None:
    watch = VerdictWatch(limit=0.5, steps=4)
    fine = group_of([Score(1.0)] * 9, kind="change")
    for _ in range(3):
        watch.check([fine, group_of([NONE, NONE, Score(1.0)])])
    with pytest.raises(FaultBudgetSpent, match=r"67% of the commentary .*judge: down: down for 75"):
        watch.check([fine, group_of([NONE, NONE, Score(1.0)])])


def test_an_outage_that_passes_does_not() -> None:
    watch = VerdictWatch(limit=0.5, steps=4)
    for step in range(40):
        down = step % 10 in (0, 1)
        watch.check([group_of([NONE] * 4 if down else [Score(1.0)] * 4)])


def test_alarms_ring_once_until_it_is_quiet() -> None:
    watch = VerdictWatch(1.0, 10)
    rising = [0.0] * WINDOW + [2 * GAP_RISE] * 2 * WINDOW + [0.0] * WINDOW + [1.0] * WINDOW
    rung = [i for i, gap in enumerate(rising) if watch.alarms({"judge/gap": gap})]
    assert len(rung) == 2
    assert WINDOW < rung[0] < 3 * WINDOW
    [alarm] = [
        a for _ in range(2 * WINDOW) for a in watch.alarms({"judge/length_correlation": 0.9})
    ]
    assert alarm.value == pytest.approx(0.9)


def test_training_goes_on_while_some_tasks_have_no_verdict_and_stops_when_it_lasts() -> None:
    stage = StageConfig(steps=12, batch_size=2, group_size=4, max_empty_steps=5)
    world = World(lambda request: Fate((None, 0.0, 1.0, 0.0)))
    controller = make_controller(stage, world, Saves())
    controller.max_no_verdict = 0.5
    controller.verdicts = VerdictWatch(0.5, 5)
    simulate(controller.run())
    assert controller.step == 12
    assert world.total("tokens/no_verdict") > 0
    lasting = World(lambda request: Fate((None, None, 0.0, 1.0)))
    controller = make_controller(stage, lasting, Saves())
    controller.verdicts = VerdictWatch(0.4, 5)
    with pytest.raises(FaultBudgetSpent, match="50% of the fake samples"):
        simulate(controller.run())
    assert controller.step == 4  # the steps before are made and saved
