"""Rules, judge and both compared: what differs between the arms, and what is told of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.load import load
from launch.report_judge import OpenScore, judge_section, open_scores
from launch.verifier_experiment import Outcome, Plan, arm_config, render, run_experiment
from rl.tracking import EvaluationRecord, TaskResult


def result(kind: str, reward: float, **terms: float) -> TaskResult:
    return TaskResult(f"{kind}/1", {"task": kind}, True, 10, 4, True, 90, 1.0, reward, terms)


RESULTS = (
    result("commentary", 0.75, facts=1.0, rule=1.0, judge=0.5),
    result("commentary", 0.25, facts=0.0, rule=0.5, judge=0.0),
    result("refusal", 1.0, refusal=1.0, rule=1.0),
    result("change", 0.4, answer=0.4),
)


def test_scores_by_kind_leave_plain_answers_out() -> None:
    assert open_scores(RESULTS) == {
        "all": OpenScore(3, pytest.approx(2 / 3), pytest.approx(2.5 / 3), 0.25),
        "commentary": OpenScore(2, 0.5, 0.75, 0.25),
        "refusal": OpenScore(1, 1.0, 1.0, None),
    }
    assert open_scores(RESULTS[-1:]) == {}


def test_the_report_shows_both_and_what_the_judge_is_worth() -> None:
    events = [
        {
            "kind": "calibration", "stage": "general", "step": 0, "task": "commentary",
            "cases": 200, "judged": 199, "kappa": 0.91, "agreement": 0.97,
            "false_accept": 0.01, "drift": 0.0,
        },
        {"kind": "judge_trained", "seconds": 81.0},
    ]  # fmt: skip
    page = judge_section([EvaluationRecord("general", 3, 1.0, RESULTS)], events)
    assert "| general | commentary | 2 | 0.500 | 0.750 | 0.250 |" in page
    assert "| general, step 0 | commentary | 199 of 200 | 0.910 |" in page
    assert "trained for this run, in 81 s" in page
    assert judge_section([EvaluationRecord("sft", 3, 1.0, RESULTS[-1:])], events) == ""


def test_arms_differ_in_who_scores_what_a_judge_may_score() -> None:
    base = load("general").config
    stage = base.stages["general"]
    configs = {arm: arm_config(base, arm, 5, "general", stage) for arm in ("rule", "judge", "both")}
    modes = {
        arm: {kind: route["mode"] for kind, route in config.reward.routes.items()}
        for arm, config in configs.items()
    }
    assert modes["judge"] == {"commentary": "judge", "instruction": "rule", "refusal": "rule"}
    assert [modes[arm]["commentary"] for arm in modes] == ["rule", "judge", "both"]
    same = {
        json.dumps(dataclasses.asdict(dataclasses.replace(c, name="", reward=base.reward)))
        for c in configs.values()
    }
    assert len(same) == 1
    assert configs["rule"].name == "rule_5"


def test_the_table() -> None:
    scores = open_scores(RESULTS)
    outcomes = [Outcome("start", 1, 0.2, scores), Outcome("both", 1, 0.6, scores)]
    page = render(Plan(["both"], 1, "", Path()), outcomes, {"both": 1234.0})
    assert "| both | all | 0.600 | 0.667 | 0.833 | 0.250 | 1,234 |" in page
    assert "| start | refusal |  | 1.000 | 1.000 | - |  |" in page


@pytest.mark.parametrize(
    ("preset", "arms", "problem"),
    [("curriculum_mix", ["rule"], "asks a judge"), ("general", ["rules"], "unknown arm 'rules'")],
)
def test_what_cannot_be_compared(
    preset: str, arms: list[str], problem: str, tmp_path: Path
) -> None:
    def train(loaded: object, resume: bool) -> None:
        raise AssertionError

    with pytest.raises(ConfigError, match=problem):
        run_experiment(load(preset), Plan(arms, 1, "", tmp_path), train)
