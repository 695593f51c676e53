"""`assay experiment curriculum` over real training: SFT, then arms that all begin with its model.

Only the engine is not the real one (tests/integration/torch_engine.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from configs.load import LoadedConfig, load
from launch.curriculum import read_picture, show
from launch.experiment import ARMS, Plan, run_experiment
from launch.report import write_report
from rl.jsonl import read_log
from tests.integration.torch_trainer import TorchTrainer
from tests.tiny_model import build_tiny

PRESET = """
name: small
model: {max_length: 128}
learner: {token_budget: 1024}
reward: {verifier: "tests.integration.torch_engine:EvenSum"}
stages:
  sft:
    kind: sft
    order: 1
    steps: 2
    batch_size: 4
    tasks: {finance: {source: finance}}
  reasoning:
    kind: rl
    order: 2
    steps: 50
    batch_size: 2
    group_size: 4
    max_tokens: 6
    warmup_steps: 0
    evaluate_every: 1
    tasks: {finance: {source: finance, args: {size: 40}}}
evaluation:
  num_tasks: 3
  samples: 2
  max_tokens: 6
  tasks: {finance: {source: finance, split: heldout}}
"""
TOKENS = 150


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedConfig:
    model = build_tiny(tmp_path / "model")
    (tmp_path / "small.yaml").write_text(PRESET)
    return load(str(tmp_path / "small.yaml"), [f"model.path={model}", "seed=3"])


def test_all_arms_begin_alike_and_end_at_their_tokens(loaded: LoadedConfig, tmp_path: Path) -> None:
    train = TorchTrainer()
    plan = Plan(tuple(ARMS), 1, TOKENS, profile_tasks=0, model="", out=tmp_path / "out")
    run_experiment(loaded, plan, train)
    assert train.trained == ["start", "seed_3"]
    run_dir = plan.out / "seed_3"
    lines = read_log(run_dir / "metrics.jsonl")
    for arm in ARMS:
        tokens = [line["tokens/generated"] for line in lines if line["stage"] == arm]
        assert sum(tokens[:-1]) < TOKENS <= sum(tokens), arm
    first = {line["stage"]: line for line in reversed(lines)}
    same = [first[arm]["reward/mean"] for arm in ("uniform", "pruned")]
    assert np.isfinite(same).all()
    report = write_report(run_dir)
    assert list(report.stages) == ["start", *ARMS]
    assert report.groups.add_up
    record = json.loads((plan.out / "report.json").read_text())
    assert [curve["arm"] for curve in record["curves"]] == list(ARMS)
    assert len({curve["accuracy"][0] for curve in record["curves"]}) == 1
    assert all(curve["tokens"][-1] >= TOKENS for curve in record["curves"])

    picture = read_picture(run_dir)  # pass_rate is the last arm
    assert picture.stage == "pass_rate"
    [summary] = picture.summaries
    assert summary.tasks == 40
    assert summary.pools["unseen"] < 40
    show(picture, Console())
