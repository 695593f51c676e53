"""The learner with real DeepSpeed: one step is one step, however it is split or sharded."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from configs.schema import BuildConfig
from rl.model import build_model

VOCAB = 300
BUILD = BuildConfig(
    num_layers=2,
    hidden_size=64,
    intermediate_size=96,
    num_heads=2,
    num_kv_heads=1,
    vocab_size=VOCAB,
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Outcome:
    record: dict[str, Any]
    weights: dict[str, Any]
    folder: Path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    build_model(BUILD, 3, directory, ["Fees were 384 in 2021 and 512 in 2022."])
    return directory


@pytest.fixture
def train(model: Path, tmp_path: Path) -> Callable[..., Outcome]:
    def run(name: str, fault: str = "", **spec: Any) -> Outcome:
        folder = tmp_path / name
        folder.mkdir()
        spec = {"ranks": 1, "zero_stage": 0, **spec}
        spec |= {"model": str(model), "out": str(folder), "vocab": VOCAB, "port": free_port()}
        (folder / "spec.json").write_text(json.dumps(spec))
        command = [
            sys.executable,
            "-m",
            "tests.integration.learner_ranks",
            str(folder / "spec.json"),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "ASSAY_FAULT": fault}
        ranks = [
            subprocess.Popen(
                [*command, str(rank)], env=environment, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True,
            )
            for rank in range(spec["ranks"])
        ]  # fmt: skip
        for rank in ranks:
            output, _ = rank.communicate(timeout=240)
            assert rank.returncode == 0, output[-3000:]
        record = json.loads((folder / "result.json").read_text())
        return Outcome(record, load_file(folder / "weights" / "model.safetensors"), folder)

    return run


def assert_same(a: Outcome, b: Outcome, tolerance: float = 2e-5) -> None:
    """Loss, gradient norm and weights, up to rounding.

    Adam divides a gradient by its own size, so where one is nearly 0 its rounding shows in the
    weight, by at most the learning rate (1e-3): single weights are held to a tenth of that, and
    their mean difference to a ten-thousandth. A missing or doubled term moves nearly all of them.
    """
    assert len(a.record["steps"]) == len(b.record["steps"])
    for one, other in zip(a.record["steps"], b.record["steps"], strict=True):
        assert one["tokens"] == other["tokens"]
        assert one["loss"] == pytest.approx(other["loss"], abs=tolerance)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-4)
    assert a.weights.keys() == b.weights.keys()
    for name, value in a.weights.items():
        difference = np.abs(np.asarray(value) - np.asarray(b.weights[name]))
        assert difference.max() < 1e-4, name
        assert difference.mean() < 1e-7, name
    for one, other in zip(a.record["probes"], b.record["probes"], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("reduction", ["token", "sequence", "constant"])
def test_micro_batches_and_order_do_not_change_a_step(
    train: Callable[..., Outcome], reduction: str
) -> None:
    whole = train("whole", reduction=reduction)
    split = train("split", reduction=reduction, token_budget=64, shuffle=True)
    assert whole.record["steps"][0]["micro_batches"] < split.record["steps"][0]["micro_batches"]
    assert_same(whole, split)


@pytest.mark.parametrize(("ranks", "zero_stage"), [(2, 0), (1, 2), (2, 2), (1, 3), (2, 3)])
def test_ranks_and_sharding_do_not_change_a_step(
    train: Callable[..., Outcome], ranks: int, zero_stage: int
) -> None:
    alone = train("alone", num_minibatches=2, kl_coef=0.1)
    sharded = train(
        "sharded", num_minibatches=2, kl_coef=0.1, ranks=ranks, zero_stage=zero_stage,
        token_budget=96,
    )  # fmt: skip
    assert_same(alone, sharded)


@pytest.mark.parametrize(("ranks", "zero_stage"), [(1, 0), (2, 2), (2, 3)])
def test_saving_and_loading_continues_exactly(
    train: Callable[..., Outcome], ranks: int, zero_stage: int
) -> None:
    through = train("through", ranks=ranks, zero_stage=zero_stage, steps=3, save_after=1)
    saved = str(through.folder / "saved")
    again = train("again", ranks=ranks, zero_stage=zero_stage, steps=3, load=saved, skip=1)
    assert through.record["steps"][1:] == again.record["steps"]
    for name, value in through.weights.items():
        np.testing.assert_array_equal(value, again.weights[name], err_msg=name)


@pytest.mark.parametrize("zero_stage", [0, 2, 3])
def test_a_step_that_runs_out_of_memory_is_taken_once_with_a_smaller_budget(
    train: Callable[..., Outcome], zero_stage: int
) -> None:
    undisturbed = train("undisturbed", zero_stage=zero_stage, token_budget=128)
    tight = train("tight", fault="learner.forward=oom@2", zero_stage=zero_stage, token_budget=128)
    assert tight.record["steps"][0]["out_of_memory"] == 1
    assert_same(undisturbed, tight)


@pytest.mark.parametrize("where", ["old log-probabilities", "last micro-batch"])
def test_running_out_of_memory_repeats_no_optimizer_step(
    train: Callable[..., Outcome], where: str
) -> None:
    """The last micro-batch is trained after the first half of the batch has moved the weights."""
    spec = {"num_minibatches": 2, "token_budget": 64, "steps": 1}
    undisturbed = train("undisturbed", **spec)
    micro_batches = undisturbed.record["steps"][0]["micro_batches"]
    assert micro_batches >= 4
    hit = 1 if where == "old log-probabilities" else 2 * micro_batches
    tight = train("tight", fault=f"learner.forward=oom@{hit}", **spec)
    assert tight.record["steps"][0]["out_of_memory"] == 1
    assert_same(undisturbed, tight)


@pytest.mark.parametrize(
    ("dtype", "zero_stage", "ranks"),
    [
        ("float32", 0, 1),
        ("float32", 2, 2),
        ("float32", 3, 1),
        ("bfloat16", 0, 1),
        ("bfloat16", 2, 1),
    ],
)
def test_a_gradient_that_is_not_finite_is_not_applied(
    train: Callable[..., Outcome], dtype: str, zero_stage: int, ranks: int
) -> None:
    """The step before is the last that moved a weight; the one after trains again."""
    spec = {"dtype": dtype, "zero_stage": zero_stage, "ranks": ranks}
    before, struck, after = (
        train(str(steps), steps=steps, poisoned=1, **spec) for steps in (1, 2, 3)
    )
    assert [step["skipped"] for step in after.record["steps"]] == [0, 1, 0]
    for name, value in before.weights.items():
        np.testing.assert_array_equal(value.float(), struck.weights[name].float(), err_msg=name)
    assert any(not value.equal(after.weights[name]) for name, value in before.weights.items())


def test_activation_checkpointing_changes_nothing(train: Callable[..., Outcome]) -> None:
    assert_same(train("plain"), train("checkpointed", activation_checkpointing=True))


def test_bfloat16_trains(train: Callable[..., Outcome]) -> None:
    outcome = train("bf16", dtype="bfloat16", zero_stage=2)
    assert all(np.isfinite(step["loss"]) for step in outcome.record["steps"])
    assert {str(w.dtype) for w in outcome.weights.values()} == {"torch.bfloat16"}
