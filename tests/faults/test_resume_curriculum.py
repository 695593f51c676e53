"""A run whose draws and losses depend on what it learnt goes on exactly after a kill."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl.durable import read_json
from tests.integration.runs import Run, assert_same_steps, comparable, train

pytestmark = pytest.mark.timeout(1800)

TASKS = "{levels: [1], size: 12}"  # so few that tasks come again and move between pools
CHANGES = (
    "stages.reasoning.curriculum.name=pass_rate",
    "stages.reasoning.curriculum.args={pass_score: 0.05}",
    "stages.reasoning.label_weights.mode=sampling",
    "stages.sft.label_weights.mode=loss",
    f"stages.reasoning.tasks.finance.args={TASKS}",
    "stages.reasoning.keep_zero_variance=false",
    "stages.reasoning.max_empty_steps=100",
    "stages.reasoning.evaluate_every=3",
)


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit, arrays too."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and one == other


def test_a_curriculum_by_pass_rates_is_resumed_exactly(tmp_path: Path) -> None:
    whole, killed = Run(tmp_path / "whole" / "tiny"), Run(tmp_path / "killed" / "tiny")
    finished = train(whole.directory, *CHANGES)
    assert finished.code == 0, f"{finished}\n{whole.process_logs()}"
    at_the_sixth_step = "ckpt.before_latest=kill@6"  # the third of SFT's three comes first
    first = train(killed.directory, *CHANGES, fault=at_the_sixth_step)
    assert first.code == -signal.SIGKILL, f"{first}\n{killed.process_logs()}"
    assert killed.state().stage == "reasoning"
    resumed = train(killed.directory, *CHANGES, "--resume")
    assert resumed.code == 0, f"{resumed}\n{killed.process_logs()}"

    assert_same_steps(whole.log("metrics"), killed.log("metrics"))
    assert comparable(whole.log("trajectories")) == comparable(killed.log("trajectories"))
    one, other = whole.state(), killed.state()
    assert same(one.curriculum, other.curriculum)
    assert same(one.label_weights, other.label_weights)
    assert one.label_weights["smoothed"], "labels were measured"
    assert one.ledger == other.ledger
    drawn = {line["task_id"] for line in whole.log("trajectories") if line["stage"] == "reasoning"}
    assert len(drawn) <= 12
    assert any(name.startswith("curriculum/") for name in whole.steps("reasoning")[-1])
    generation = read_json(killed.directory / "report.json")["generation"]
    assert generation["tokens"] == sum(
        [generation["trained"]["tokens"], generation["no_verdict_tokens"]]
        + [cost["tokens"] for cost in generation["dropped"].values()]
    )
