"""`assay experiment curriculum` over a training that only writes logs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.load import LoadedConfig, load
from configs.schema import RunConfig
from launch.experiment import Plan, run_experiment
from rl.tracking import START, EvaluationRecord, FileTracker, StepRecord, TaskResult

GAIN = {"uniform": 1, "pruned": 2, "pass_rate": 4}  # right answers of 40 that a step adds


class Trainer:
    """Writes the logs of a run in which every arm learns at its own pace."""

    def __init__(self) -> None:
        self.runs: list[tuple[RunConfig, bool]] = []

    def __call__(self, loaded: LoadedConfig, resume: bool) -> None:
        config = loaded.config
        self.runs.append((config, resume))
        tracker = FileTracker(Path(config.output) / config.name)
        evaluate(tracker, START, 4, 0)
        for name, stage in config.stages.items():
            for step in range(1, 6):
                tokens = {"tokens/generated": 100.0, "tokens/gradient": 20.0 * GAIN[name]}
                metrics = {**tokens, "tokens/trained": 100.0, "time/step": 1.0}
                tracker.log_step(StepRecord(name, stage.kind, step, 5, step, metrics))
                evaluate(tracker, name, 4 + GAIN[name] * step, step % 5)
        tracker.close()


def evaluate(tracker: FileTracker, stage: str, correct: int, step: int) -> None:
    results = tuple(
        TaskResult(f"t/{i}", {}, True, 10, max(0, min(10, correct - 10 * i)), False, 30, 1.0)
        for i in range(4)
    )
    tracker.log_evaluation(EvaluationRecord(stage, step, 1.0, results, step=step))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"")
    arms = ("uniform", "pruned", "pass_rate")
    return Plan(arms, 2, 500, profile_tasks=0, model=str(model), out=tmp_path / "out")


def test_arms_differ_in_nothing_but_how_tasks_are_chosen(plan: Plan) -> None:
    train = Trainer()
    given = "stages.reasoning.curriculum.args={horizon: 9}"
    run_experiment(load("curriculum_mix", ["seed=5", given]), plan, train)
    assert [(config.name, config.seed) for config, _ in train.runs] == [
        ("seed_5", 5),
        ("seed_6", 6),
    ]
    config, _ = train.runs[0]
    assert config.model.path == plan.model
    stages = config.stages
    assert list(stages) == list(plan.arms)
    assert [stage.order for stage in stages.values()] == [0, 1, 2]
    assert [stage.start_from for stage in stages.values()] == ["", plan.model, plan.model]
    assert [stage.keep_zero_variance for stage in stages.values()] == [True, False, False]
    assert {stage.max_generated_tokens for stage in stages.values()} == {500}
    assert [stage.curriculum.name for stage in stages.values()] == [
        *("uniform", "uniform", "pass_rate"),
    ]
    assert [stage.curriculum.args for stage in stages.values()] == [{}, {}, {"horizon": 9}]
    assert {stage.batch_size for stage in stages.values()} == {16}
    for stage in stages.values():
        stage.order, stage.start_from, stage.keep_zero_variance = 0, "", False
        stage.curriculum = stages["uniform"].curriculum
        assert stage == stages["uniform"]


def test_arms_that_prune_may_have_a_batch_size_of_their_own(plan: Plan) -> None:
    train = Trainer()
    run_experiment(load("curriculum_mix"), replace(plan, seeds=1, pruned_batch_size=6), train)
    [(config, _)] = train.runs
    assert [stage.batch_size for stage in config.stages.values()] == [16, 6, 6]


def test_the_report_measures_by_the_first_arm(plan: Plan) -> None:
    figures = run_experiment(load("curriculum_mix"), plan, Trainer())
    assert figures["uniform"].final_accuracy == pytest.approx((9 / 40,) * 3)
    assert figures["pruned"].token_shares == pytest.approx((0.5, 0.5))
    assert figures["pass_rate"].token_share == pytest.approx((0.25,) * 3)
    assert figures["pass_rate"].gradient_share == pytest.approx((0.8,) * 3)
    page = (plan.out / "report.md").read_text()
    assert "| pass_rate | 60.0% (60.0% to 60.0%) | 25.0% (25.0% to 25.0%); 25.0%, 25.0% |" in page
    assert figures["uniform"].arrival == pytest.approx((1.0, 1.0, 1.0))
    record = json.loads((plan.out / "report.json").read_text())
    assert record["arms"]["pruned"]["token_shares"] == pytest.approx([0.5, 0.5])
    assert len(record["curves"]) == 6
    assert (plan.out / "accuracy.png").stat().st_size > 10_000


def test_mistakes_are_found_before_anything_is_trained(plan: Plan) -> None:
    train = Trainer()
    for changes, arms, message in (
        (["stages.reasoning.enabled=false"], plan.arms, "last stage of curriculum_mix is sft"),
        ([], ("uniform", "best"), "unknown arm 'best'; there are uniform, pruned"),
    ):
        other = Plan(arms, 1, 500, 0, plan.model, plan.out)
        with pytest.raises(ConfigError, match=message):
            run_experiment(load("curriculum_mix", changes), other, train)
    assert not train.runs
