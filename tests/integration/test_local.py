"""A whole training in one process: pipeline, controller, DeepSpeed learner, publish, checkpoints.

Only the engine is not the real one (tests/integration/torch_engine.py).
"""

from __future__ import annotations

import asyncio
import functools
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks import recompute_report
from configs.errors import ConfigError, FaultBudgetSpent, Stopped
from configs.load import load
from launch import calibrating
from launch.local import local_fleets
from launch.pipeline import Pipeline
from launch.report import write_report
from launch.train import prepare
from rl.checkpoint import CheckpointStore, latest_checkpoint, load_state
from rl.jsonl import read_log
from rl.tracking import FileTracker, StepRecord
from tests.integration.torch_engine import start_torch_engine
from tests.scripted_judge import judge_server
from tests.tiny_model import build_tiny

RULES = "tests.integration.torch_engine:EvenSum"
PRESET = """
name: local
model: {max_length: 128}
learner: {token_budget: 1024}
reward: {verifier: "tests.integration.torch_engine:EvenSum"}
stages:
  sft:
    kind: sft
    order: 1
    steps: 3
    batch_size: 4
    tasks: {finance: {source: finance}}
  reasoning:
    kind: rl
    order: 2
    steps: 4
    batch_size: 2
    group_size: 4
    max_tokens: 8
    learning_rate: 1.0e-3
    warmup_steps: 0
    tasks: {finance: {source: finance}}
evaluation:
  num_tasks: 3
  samples: 2
  max_tokens: 6
  tasks: {finance: {source: finance, split: heldout}}
checkpoint: {every: 1}
"""


class StoppingTracker(FileTracker):
    """Calls `stop`, or whatever is in its place, once `stop_after` steps are logged."""

    stop_after = -1
    stop: Callable[[], None]

    def log_step(self, record: StepRecord) -> None:
        super().log_step(record)
        self.stop_after -= 1
        if self.stop_after == 0:
            self.stop()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture
def train(model: Path, tmp_path: Path) -> Callable[..., Path]:
    preset = tmp_path / "local.yaml"
    preset.write_text(PRESET)

    async def go(pipeline: Pipeline) -> None:
        setup = pipeline.setup
        async with local_fleets(setup.config, setup.models, start_torch_engine) as fleets:
            await pipeline.run(fleets)

    def run(
        name: str,
        *changes: str,
        resume: bool = False,
        stop_after: int = -1,
        instead: Callable[[], None] | None = None,
    ) -> Path:
        run_dir = tmp_path / name
        loaded = load(str(preset), [f"name={name}", f"model.path={model}", *changes])
        checkpoint = latest_checkpoint(run_dir / "checkpoints") if resume else None
        setup = prepare(loaded, run_dir, checkpoint)
        tracker = StoppingTracker(run_dir, state=setup.state.tracker if setup.state else None)
        tracker.stop_after = stop_after
        (run_dir / "weights").mkdir(exist_ok=True)
        store = CheckpointStore(run_dir / "checkpoints", keep=2)
        pipeline = Pipeline(setup, store, tracker, run_dir / "weights")
        tracker.stop = instead or pipeline.request_stop
        try:
            asyncio.run(go(pipeline))
        finally:
            tracker.close()
        return run_dir

    return run


def weights_of(directory: Path) -> dict[str, Any]:
    weights: dict[str, Any] = load_file(directory / "model.safetensors")
    return weights


def final_weights(run_dir: Path) -> dict[str, Any]:
    checkpoint = latest_checkpoint(run_dir / "checkpoints")
    assert checkpoint is not None
    return weights_of(checkpoint.model_dir)


def steps(run_dir: Path) -> list[dict[str, Any]]:
    return list(read_log(run_dir / "metrics.jsonl"))


def test_all_stages_run_and_everything_adds_up(train: Callable[..., Path], model: Path) -> None:
    run_dir = train("whole")
    lines = steps(run_dir)
    assert [(line["stage"], line["step"]) for line in lines] == [
        *(("sft", step) for step in (1, 2, 3)),
        *(("reasoning", step) for step in (1, 2, 3, 4)),
    ]
    assert [line["policy_version"] for line in lines] == [0, 0, 0, 2, 3, 4, 5]
    report = write_report(run_dir)
    assert report.groups.add_up
    assert (report.groups.trained, report.groups.owed) == (8, 0)
    assert list(report.stages) == ["start", "sft", "reasoning"]
    assert all(stage.accuracy.tasks == 3 for stage in report.stages.values())
    assert report.max_logprob_difference is not None
    assert report.max_logprob_difference < 1e-4
    assert report.max_mismatch_kl is not None
    assert report.max_mismatch_kl < 1e-6
    start = weights_of(model)
    assert any(not np.array_equal(start[n], w) for n, w in final_weights(run_dir).items())
    left = [path.name for path in (run_dir / "weights").iterdir()]
    assert left == ["v5"], "only the weights that are served stay, for workers that join"


GUIDED = (
    "stages.sft.label_weights.mode=loss",
    "stages.reasoning.curriculum.name=pass_rate",
    "stages.reasoning.label_weights.mode=sampling",
    "stages.reasoning.tasks.finance.args={size: 12}",  # so few that tasks come again
    "stages.reasoning.evaluate_every=3",
    "evaluation.num_tasks=8",  # some are answered right, some not
)
WEIGHED = (
    "stages.reasoning.curriculum.name=last_mean",
    "stages.reasoning.label_weights.mode=advantage",
)


@pytest.mark.parametrize("changes", [(), GUIDED, WEIGHED], ids=["plain", "guided", "weighed"])
@pytest.mark.parametrize("stop_after", [2, 3, 5, 7], ids=["sft", "sft's end", "rl", "rl's end"])
def test_a_stopped_run_resumes_exactly(
    train: Callable[..., Path], stop_after: int, changes: Sequence[str]
) -> None:
    through = train("through", *changes)
    with pytest.raises(Stopped):
        train("stopped", *changes, stop_after=stop_after)
    assert len(steps(train("stopped", *changes, resume=True))) == 7
    again = through.with_name("stopped")
    assert_same_state(through, again)
    for one, other in zip(steps(through), steps(again), strict=True):
        timings = ("time", "elapsed_s")
        for name in one.keys() - {n for n in one if n.startswith("time/") or n in timings}:
            assert one[name] == pytest.approx(other[name], abs=1e-6), name
    said = [
        [(t["task_id"], t["messages"], t["reward"]) for t in read_log(run / "trajectories.jsonl")]
        for run in (through, again)
    ]
    assert said[0] == said[1]
    answers = [
        [[(r["task_id"], r["num_correct"]) for r in evaluation["results"]] for evaluation in log]
        for log in (read_log(run / "evaluations.jsonl") for run in (through, again))
    ]
    assert answers[0] == answers[1]
    assert len(answers[0]) == 3 + ("stages.reasoning.evaluate_every=3" in changes)
    weights = final_weights(again)
    for name, value in final_weights(through).items():
        np.testing.assert_allclose(value, weights[name], atol=1e-6, err_msg=name)


def assert_same_state(one: Path, other: Path) -> None:
    """What was learnt of tasks and labels is the same to the last bit, arrays too."""
    states = []
    for run_dir in (one, other):
        checkpoint = latest_checkpoint(run_dir / "checkpoints")
        assert checkpoint is not None
        states.append(load_state(checkpoint))
    for part in ("curriculum", "label_weights", "ledger"):
        np.testing.assert_equal(getattr(states[0], part), getattr(states[1], part), part)


def test_weights_of_labels_follow_what_is_measured(train: Callable[..., Path]) -> None:
    run_dir = train("guided", *GUIDED)
    sft, rl = steps(run_dir)[:3], steps(run_dir)[3:]
    assert len({line["label_weight/max"] for line in sft}) == 1, "no evaluation between them"
    assert sft[0]["label_weight/max"] > 1, "the first evaluation came before"
    assert len({line["label_weight/max"] for line in rl}) > 1
    assert sum(line["curriculum/unseen"] < 12 for line in rl) == len(rl)
    report = write_report(run_dir)
    assert report.generation
    assert report.generation.add_up
    assert recompute_report.main([str(run_dir)]) == 0


def test_another_curriculum_does_not_continue(train: Callable[..., Path]) -> None:
    with pytest.raises(Stopped):
        train("run", stop_after=5)
    with pytest.raises(ConfigError, match="drew its tasks by the curriculum 'uniform'"):
        train("run", "stages.reasoning.curriculum.name=pass_rate", resume=True)


def test_a_run_seeds_the_curriculum_of_another(train: Callable[..., Path]) -> None:
    first = train("first", *GUIDED)
    train("second", *GUIDED, f"stages.reasoning.curriculum.seed_from={first}")
    notices = read_log(first.with_name("second") / "events.jsonl")
    [said] = [event["message"] for event in notices if event.get("source") == "curriculum"]
    assert f"stage reasoning seeded from {first}; finance:" in said
    before = steps(first)[-1]["curriculum/unseen"]
    assert steps(first.with_name("second"))[3]["curriculum/unseen"] <= before
    seeded = (*GUIDED, f"stages.reasoning.curriculum.seed_from={first}")
    with pytest.raises(Stopped):
        train("stopped", *seeded, stop_after=5)
    assert_same_state(train("stopped", *seeded, resume=True), first.with_name("second"))
    plain = train("plain", "stages.reasoning.enabled=false")
    with pytest.raises(ConfigError, match="whose curriculum is uniform: only pass_rate"):
        train("third", *GUIDED, f"stages.reasoning.curriculum.seed_from={plain}")


def test_a_stage_is_evaluated_on_the_way(train: Callable[..., Path]) -> None:
    short = ("stages.sft.enabled=false", "stages.reasoning.evaluate_every=1")
    whole = train("whole", *short, "stages.reasoning.max_generated_tokens=100")
    lines = steps(whole)
    tokens = [line["tokens/generated"] for line in lines]
    assert sum(tokens[:-1]) < 100 <= sum(tokens)
    with pytest.raises(Stopped):
        train("half", *short, "stages.reasoning.max_generated_tokens=100", stop_after=1)
    again = train("half", *short, "stages.reasoning.max_generated_tokens=100", resume=True)
    assert [line["tokens/generated"] for line in steps(again)] == tokens
    for run_dir in (whole, again):
        log = read_log(run_dir / "evaluations.jsonl")
        ends = [0, *range(1, len(lines)), 0]
        assert [line["step"] for line in log] == ends
        assert [line["stage"] for line in log] == ["start", *["reasoning"] * len(lines)]


def test_generation_goes_on_while_the_learner_works(train: Callable[..., Path]) -> None:
    run_dir = train(
        "ahead", "rollout.workers=2", "stages.sft.enabled=false", "stages.reasoning.max_staleness=1"
    )  # fmt: skip
    lines = steps(run_dir)
    assert max(line["staleness/max"] for line in lines) == 1
    assert sum(line["group/trained"] for line in lines) == 8


def test_a_stage_starts_from_a_checkpoint_with_its_own_reference(
    train: Callable[..., Path], model: Path
) -> None:
    short = (
        "stages.sft.enabled=false",
        "stages.reasoning.steps=2",
        "stages.reasoning.batch_size=1",
    )
    first = train("first", *short)
    checkpoint = latest_checkpoint(first / "checkpoints")
    assert checkpoint is not None
    kl = "stages.reasoning.algorithm.kl_coef=0.1"
    second = train("second", *short, kl, f"stages.reasoning.start_from={checkpoint.path}")
    reference = weights_of(second / "references" / "reasoning")
    for name, value in final_weights(first).items():
        np.testing.assert_array_equal(value, reference[name], err_msg=name)
    assert steps(second)[0]["policy/kl_ref"] == pytest.approx(0.0, abs=1e-6)

    stopped = ("third", *short, kl)
    with pytest.raises(Stopped):
        train(*stopped, stop_after=1)
    (second.with_name("third") / "references" / "reasoning" / "config.json").unlink()
    with pytest.raises(ConfigError, match="references/reasoning is gone"):
        train(*stopped, resume=True)


def test_ray_is_not_even_imported() -> None:
    program = "import sys, launch.local, launch.train; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_several_learner_ranks_are_refused(train: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"learner.ranks is 2, but --local"):
        train("ranks", "learner.ranks=2")


def test_no_stage_begins_on_a_judge_whose_agreement_is_unknown(
    train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one that has begun take an outage for a figure."""
    monkeypatch.setattr(calibrating, "PAUSE_S", 0.1)
    gold = tmp_path / "gold.jsonl"
    for logic in ("sound", "contradicts"):
        levels = {"logic": logic, "depth": "some"}
        with gold.open("a") as file:
            file.write(json.dumps({"texts": {"candidate": logic}, "levels": levels}) + "\n")
    route = f"{{mode: both, rubric: commentary, rules: {RULES}, gold: {gold}}}"
    with judge_server() as server:
        judge = "deadline_s: 3, attempts: 1, calibrate_every: 1, min_kappa: -1"
        changes = (
            f"reward.routes={{finance: {route}}}",
            f"reward.judge={{url: {server.url()}, model: m, {judge}}}",
            "reward.max_no_verdict=1.0",
        )
        server.script = ["down"]
        with pytest.raises(FaultBudgetSpent, match=r"reasoning does not begin: .*0 of 2 "):
            train("judged", *changes)
        assert {line["stage"] for line in steps(tmp_path / "judged")} == {"sft"}

        server.script = ["good"]
        strike = functools.partial(setattr, server, "script", ["down"])
        run_dir = train("judged", *changes, resume=True, stop_after=2, instead=strike)
    known = [step.get("judge/finance/kappa") for step in steps(run_dir)[3:]]
    assert known == [0.0, 0.0, None, None]  # of the calibration before each step
    told = [e for e in read_log(run_dir / "events.jsonl") if e["kind"] == "uncalibrated"]
    assert [e["step"] for e in told] == [0] * calibrating.ATTEMPTS + [2, 3]
    assert all(event["cause"] for event in told)
    figures = [e for e in read_log(run_dir / "events.jsonl") if e["kind"] == "calibration"]
    assert [e["step"] for e in figures] == [0, 1]
    assert all(event["judged"] == 2 for event in figures)
