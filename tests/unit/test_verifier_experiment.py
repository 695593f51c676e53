"""Rules, judge and both compared: what differs between the arms, and what is told of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from configs.errors import ConfigError
from configs.load import LoadedConfig, load
from configs.schema import RunConfig
from launch import verifier_experiment
from launch.cli import app
from launch.report_judge import OpenScore, judge_section, open_scores
from launch.verifier_experiment import (
    Outcome,
    Plan,
    arm_config,
    describe,
    render,
    run_experiment,
)
from rl.checkpoint import CHECKPOINTS, CheckpointStore, RunState
from rl.jsonl import encode_line
from rl.provenance import Fingerprints
from rl.tracking import EVENTS, METRICS, EvaluationRecord, TaskResult


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
    plan = Plan(["both"], 1, "", Path())
    page = render(plan, outcomes, {"both": 1234.0}, {"commentary": 0.91})
    assert "One seed an arm" in page
    assert "| both | all | 3 | 0.600 | 0.667 | 0.833 | 0.250 | 1,234 |" in page
    assert "| start | refusal | 1 |  | 1.000 | 1.000 | - |  |" in page
    assert "kappa of 0.91 on commentary" in page
    silent = Outcome("start", 1, 0.0, {})  # no task got a verdict
    page = render(plan, [silent, outcomes[1]], {}, {})
    assert "| start | all | 0 | 0.000 | - | - | - | 0 |" in page
    assert "was not measured" in page


class Made:
    """Runs and evaluations that are made up, in the form that real ones leave."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.evaluated: list[str] = []

    def train(self, loaded: LoadedConfig, resume: bool) -> None:
        config = loaded.config
        folder = Path(config.output) / config.name
        self.trained.append(config.name)
        if resume:
            return
        model = folder / CHECKPOINTS
        state = RunState("s", 1, 1, {}, {}, {}, {}, Fingerprints({}, "", "", 1), "", "", {})

        def write(directory: Path) -> None:
            (directory / "model").mkdir()
            (directory / "model" / "weights").write_text(config.name)
            (directory / "model" / "config.json").write_text("{}")

        CheckpointStore(model, keep=2).save(write, state)
        calls = {"judge/calls": 7.0, "step": 1} if not config.name.startswith("rule") else {}
        (folder / METRICS).write_bytes(encode_line(calls) * 3)
        told = {"kind": "calibration", "task": "commentary", "step": 0, "kappa": 0.8}
        (folder / EVENTS).write_bytes(encode_line(told) if calls else b"")

    def evaluate(self, config: RunConfig) -> EvaluationRecord:
        arm = Path(config.model.path, "weights").read_text()
        self.evaluated.append(arm)
        judge = {"rule": 0.25, "judge": 1.0, "both": 0.75}.get(arm.split("_")[0], 0.0)
        seed = int(arm[-1]) / 100 if arm[-1].isdigit() else 0.0
        results = (result("commentary", judge + seed, facts=0.5, rule=0.5, judge=judge),)
        return EvaluationRecord("evaluation", 0, 1.0, results)


def test_the_whole_experiment_over_made_up_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, out = Made(), tmp_path / "out"
    dry = ["experiment", "verifiers", "general", f"--out={out}", "--dry-run", "seed=1"]
    said = CliRunner().invoke(app, dry, catch_exceptions=False).output.splitlines()
    assert said[:6] == [
        "judge         to train",
        "start         to train     sft",
        "rule_1        to train     general (80 steps)",
        "judge_1       to train     general (80 steps)",
        "both_1        to train     general (80 steps)",
        "evaluation    to do        start_1, rule_1, judge_1, both_1",
    ]
    assert not out.exists()
    monkeypatch.setattr(verifier_experiment, "evaluate_directory", made.evaluate)
    loaded = load("general", ["reward.judge={url: 'http://h/v1', model: m}", "seed=1"])
    plan = Plan(["rule", "judge", "both"], 2, "", out)
    run_experiment(loaded, plan, made.train)
    assert made.trained == ["start", "rule_1", "judge_1", "both_1", "rule_2", "judge_2", "both_2"]
    assert made.evaluated == made.trained
    assert describe(loaded, plan)[-1] == "evaluation    finished"
    assert describe(loaded, plan)[0].split() == [
        "start",
        "to",
        "continue",
        "sft",
    ]  # made up: no end
    page = (out / "report.md").read_text()
    assert "| start | commentary | 1 |  | 0.000 | 0.500 | 0.000 |  |" in page
    assert "| judge | all | 1 |" in page
    assert "| 1.015 (0.951 to 1.079) | 0.500 (0.500 to 0.500) | 1.000" in page
    assert [line.split("|")[-2] for line in page.splitlines() if "| all |" in line] == [
        " 0 ", " 0 ", " 42 ", " 42 "
    ]  # fmt: skip
    assert "kappa of 0.80 on commentary" in page

    run_experiment(loaded, Plan(["rule"], 1, "", out), made.train)  # nothing is evaluated twice
    assert len(made.evaluated) == 7
    other = load("general", ["reward.judge={url: 'http://h/v1', model: better}", "seed=1"])
    with pytest.raises(ConfigError, match="begun with another configuration: give another --out"):
        run_experiment(other, plan, made.train)


def test_a_model_that_is_not_there_costs_no_training_of_a_judge(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="/nowhere: neither a checkpoint"):
        run_experiment(load("general"), Plan(["rule"], 1, "/nowhere", tmp_path), Made().train)
    assert list(tmp_path.iterdir()) == []


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
