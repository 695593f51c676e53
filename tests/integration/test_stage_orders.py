"""`assay experiment stages` over real training: one SFT model, then RL stages in several orders.

Only the engine is not the real one (tests/integration/torch_engine.py).
"""

from __future__ import annotations

import json
from pathlib import Path

from configs.load import load
from launch.arms import run_arms
from launch.stage_orders import compare_stages
from rl.jsonl import read_log
from tests.integration.torch_trainer import TorchTrainer
from tests.tiny_model import build_tiny

PRESET = """
name: orders
model: {max_length: 512}
learner: {token_budget: 1024}
reward: {verifier: "tests.integration.torch_engine:EvenSum"}
stages:
  sft:
    kind: sft
    order: 1
    steps: 2
    batch_size: 4
    tasks: {finance: {source: finance, args: {levels: [1]}}}
  reasoning:
    order: 2
    steps: 2
    batch_size: 1
    group_size: 4
    max_tokens: 6
    warmup_steps: 0
    tasks: {finance: {source: finance, args: {levels: [1]}}}
  agentic:
    order: 3
    steps: 1
    batch_size: 2
    group_size: 4
    max_tokens: 6
    max_turns: 2
    warmup_steps: 0
    tasks: {division: {source: calculator, args: {levels: [1]}}}
evaluation:
  num_tasks: 4
  samples: 2
  max_tokens: 6
  max_turns: 2
  tasks:
    finance: {source: finance, split: heldout, args: {levels: [1]}}
    division: {source: calculator, split: heldout, args: {levels: [1]}}
"""
STAGES = {
    "full": ["reasoning", "reasoning", "agentic"],
    "without_reasoning": ["agentic", "agentic"],
    "agentic_first": ["agentic", "reasoning", "reasoning"],
}


def test_arms_share_their_sft_and_differ_in_order(tmp_path: Path) -> None:
    model = build_tiny(tmp_path / "model")
    (tmp_path / "orders.yaml").write_text(PRESET)
    loaded = load(str(tmp_path / "orders.yaml"), [f"model.path={model}"])
    experiment = compare_stages(loaded, "reasoning", "agentic", [3], tmp_path / "out")
    train = TorchTrainer()
    run_arms(experiment, train)
    names = ["seed_3_start", *(f"seed_3_{arm}" for arm in STAGES)]
    assert train.trained == names
    run_arms(experiment, train)
    assert train.trained == names, "what was finished was trained again"

    steps = {arm: read_log(experiment.out / f"seed_3_{arm}" / "metrics.jsonl") for arm in STAGES}
    assert {arm: [line["stage"] for line in lines] for arm, lines in steps.items()} == STAGES
    first = {arm: lines[0]["reward/mean"] for arm, lines in steps.items()}
    assert first["without_reasoning"] == first["agentic_first"]  # same model, tasks and seeds
    record = json.loads((experiment.out / "report.json").read_text())
    assert list(record["arms"]["full"]["accuracy"]) == ["reasoning", "tools", "mixed"]
    begun = [course["standings"][0]["accuracy"] for course in record["courses"][1:]]
    assert begun == [record["courses"][0]["standings"][-1]["accuracy"]] * 3
    assert (experiment.out / "report.md").read_text().startswith("# Reasoning RL and Agentic RL")
