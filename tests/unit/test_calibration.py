"""How far a judge can be trusted: its figures on answers with known grades, what they decide."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError, DataError, FaultBudgetSpent
from configs.schema import RewardConfig, RunConfig
from envs.finance.general import GradedComments
from envs.types import Message
from launch import calibrating
from launch.calibrating import Calibrator
from launch.gold import gold_set
from launch.tiny_judge import Lessons
from rewards.calibration import (
    NOT_ASKED,
    Calibration,
    GoldCase,
    calibrate,
    cohens_kappa,
    read_gold,
)
from rewards.judge import Judge, JudgeFault, Reply
from rewards.rubric import load_rubric
from rl.tracking import Tracker
from tests.fakes import FakeTracker, World

RUBRIC = load_rubric("commentary_tiny")


def test_kappa() -> None:
    # Cohen 1960 in its usual example: 20 + 15 agree of 50, kappa 0.4.
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohens_kappa(pairs) == pytest.approx(0.4)
    assert cohens_kappa([("a", "a"), ("b", "b")]) == 1.0
    assert cohens_kappa([("a", "b"), ("b", "a")]) == -1.0
    assert cohens_kappa([("a", "a")]) is None
    assert cohens_kappa([]) is None


class Says:
    """Judges each candidate as the mapping says; one that is missing is a fault."""

    identity = "says"

    def __init__(self, verdicts: Mapping[str, tuple[str, str]]) -> None:
        self.verdicts = verdicts

    async def complete(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply:
        candidate = messages[-1].content.splitlines()[1]
        if candidate not in self.verdicts:
            raise JudgeFault("refused", "no")
        logic, depth = self.verdicts[candidate]
        return Reply(json.dumps({"reason": "", "logic": logic, "depth": depth}), "stop")

    async def close(self) -> None:
        return None


def calibrated(verdicts: Mapping[str, tuple[str, str]]) -> Calibration:
    cases = [
        GoldCase({"candidate": name}, {"logic": logic, "depth": depth})
        for name, (logic, depth) in GOLD.items()
    ]
    return asyncio.run(calibrate(Judge(Says(verdicts)), RUBRIC, cases))


GOLD = {
    "a": ("right", "some"),
    "b": ("right", "none"),
    "c": ("wrong", "some"),
    "d": ("wrong", "none"),
}


def test_a_perfect_a_lenient_and_a_silent_judge() -> None:
    assert calibrated(GOLD) == Calibration(4, 4, 1.0, 1.0, 0.0, 0.5)
    lenient = calibrated(dict.fromkeys(GOLD, ("right", "some")))
    assert (lenient.agreement, lenient.kappa, lenient.false_accept) == (0.5, 0.0, 1.0)
    silent = calibrated({})
    assert silent == Calibration(4, 0, None, None, None, None, "refused: no")
    assert not silent.is_known
    some = calibrated({name: GOLD[name] for name in "ab"})
    assert (some.judged, some.agreement, some.is_known) == (2, 1.0, True)
    assert not calibrated({"a": GOLD["a"]}).is_known


def calibrator(**judge: Any) -> tuple[Calibrator, World]:
    world = World()
    tracker: Tracker = FakeTracker(world)
    return Calibrator(RunConfig(reward=RewardConfig(judge=judge)), tracker), world


def begin(watch: Calibrator, *found: Calibration) -> dict[str, float]:
    """Begin a stage with a judge that is found to be so at each attempt."""
    answers = iter(found)

    async def ask() -> dict[str, Calibration]:
        return {"commentary": next(answers)}

    return asyncio.run(watch.begin("general", ask))


GOOD = Calibration(50, 50, 0.95, 0.9, 0.02, 0.5)
SILENT = Calibration(50, 0, None, None, None, None, "unreachable: status 503")


def test_a_stage_does_not_begin_with_a_judge_that_knows_too_little() -> None:
    watch, world = calibrator()
    assert begin(watch, GOOD)["judge/commentary/kappa"] == 0.9
    assert world.events[0][0] == "calibration"
    poor = Calibration(50, 50, 0.7, 0.41, 0.3, 0.5)
    with pytest.raises(ConfigError, match=r"general does not begin.*0\.41.*min_kappa 0\.6"):
        begin(watch, poor)
    with pytest.raises(ConfigError, match="no kappa at all"):
        begin(watch, Calibration(9, 9, 1.0, None, None, 1.0))
    assert begin(calibrator(min_kappa=0.4)[0], poor)


def test_a_judge_whose_agreement_nobody_can_know_is_told_of() -> None:
    world = World()
    routes = {
        "essay": {"mode": "judge", "rubric": "commentary"},
        "commentary": {"mode": "both", "rubric": "commentary", "gold": "graded"},
        "sum": {"mode": "rule"},
    }
    watch = Calibrator(RunConfig(reward=RewardConfig(routes=routes)), FakeTracker(world))
    begin(watch, GOOD)
    notices = [fields["source"] for kind, fields in world.events if kind == "notice"]
    assert notices == ["reward.routes.essay"]


def test_a_stage_waits_for_a_judge_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrating, "PAUSE_S", 0.0)
    watch, world = calibrator()
    few = Calibration(50, 24, 1.0, 1.0, 0.0, 0.5, "down: for 70 s; at last: unreachable")
    assert begin(watch, SILENT, few, GOOD)["judge/commentary/kappa"] == 0.9
    assert [kind for kind, _ in world.events] == ["uncalibrated", "uncalibrated", "calibration"]
    assert world.events[0][1]["cause"] == SILENT.cause
    with pytest.raises(FaultBudgetSpent, match=r"is unknown, 24 of 50 .*\(down: for 70 s"):
        begin(watch, SILENT, SILENT, SILENT, few, GOOD)
    with pytest.raises(FaultBudgetSpent, match=r"0 of 0 .*the worker is gone"):
        begin(watch, *[replace(NOT_ASKED, cause="the worker is gone")] * 4)


def test_a_judge_that_changes_is_told_of() -> None:
    watch, world = calibrator()
    begin(watch, GOOD)
    same = watch.log("general", 20, {"commentary": GOOD})
    assert same["judge/commentary/drift"] == 0.0
    assert [kind for kind, _ in world.events] == ["calibration"] * 2
    watch.log("general", 40, {"commentary": Calibration(50, 50, 0.8, 0.6, 0.4, 0.7)})
    alarms = [fields["metric"] for kind, fields in world.events if kind == "alarm"]
    assert alarms == ["judge/commentary/kappa", "judge/commentary/false_accept"]
    del world.events[:]
    assert watch.log("general", 60, {"commentary": SILENT}) == {}  # an outage is no drift
    [(kind, fields)] = world.events
    assert (kind, fields["step"], fields["judged"]) == ("uncalibrated", 60, 0)
    assert watch.log("general", 80, {"commentary": GOOD})["judge/commentary/drift"] == 0.0


def test_gold_files(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    row = {"texts": {"candidate": "Fees rose."}, "levels": {"logic": "right", "depth": "none"}}
    path.write_text(json.dumps(row) + "\n")
    assert read_gold(path, RUBRIC) == [GoldCase(row["texts"], row["levels"])]
    for bad in (
        "{",
        json.dumps({**row, "levels": {"logic": "right"}}),
        json.dumps({**row, "levels": {"logic": "right", "depth": "deep"}}),
        json.dumps({"texts": {}}),
    ):
        path.write_text(json.dumps(row) + "\n" + bad + "\n")
        with pytest.raises(DataError, match=r"gold\.jsonl:2"):
            read_gold(path, RUBRIC)
    path.write_text("")
    with pytest.raises(DataError, match="empty"):
        read_gold(path, RUBRIC)


def test_lessons_are_answered_by_verdicts_of_the_rubric() -> None:
    lessons = Lessons(GradedComments(), RUBRIC)
    for index in range(40):
        lesson = lessons[index]
        levels = lessons.comments.graded(index)[2]
        values = {name: RUBRIC.criteria[name][level] for name, level in levels.items()}
        assert RUBRIC.read(lesson.reply) == values
        assert len(lesson.task.prompt) == 1


def test_the_tiny_judges_gold_is_held_out() -> None:
    cases = gold_set(RUBRIC)
    seen = {lesson.task.prompt[0].content.splitlines()[1] for lesson in taught(1000)}
    assert not seen & {case.texts["candidate"] for case in cases}
    grades = {tuple(case.levels.values()) for case in cases}
    assert grades == set(GOLD.values())


def taught(count: int) -> list[Any]:
    lessons = Lessons(GradedComments(), RUBRIC)
    return [lessons[index] for index in range(count)]
