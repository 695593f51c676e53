"""What goes to TensorBoard, and what a missing package says."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import MissingCapability
from configs.schema import TrackingConfig, WandbMode
from rl.sinks import outside_sinks
from rl.tracking import EvaluationRecord, FileTracker, StepRecord, TaskResult


def test_no_outside_sink_by_default_and_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outside_sinks(TrackingConfig(), tmp_path, "run") == {}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingCapability, match="pip install wandb"):
        outside_sinks(TrackingConfig(wandb=WandbMode.OFFLINE), tmp_path, "run")


def test_tensorboard_files_hold_the_metrics(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    sinks = outside_sinks(TrackingConfig(tensorboard=True), tmp_path, "run")
    tracker = FileTracker(tmp_path, sinks)
    tracker.log_step(StepRecord("reasoning", "rl", 1, 10, 1, {"reward/mean": 0.25}))
    result = TaskResult("t", {}, True, 10, 4, True, 300, 2.0)
    tracker.log_evaluation(EvaluationRecord("reasoning", 1, 3.0, (result,)))
    tracker.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert events.Scalars("reasoning/reward/mean")[0].value == pytest.approx(0.25)
    assert events.Scalars("heldout/pass_at_1")[0].value == pytest.approx(0.4)
