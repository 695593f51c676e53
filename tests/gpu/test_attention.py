"""What only a GPU can show: attention there against the CPU, and flash-attn against ours."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.schema import BuildConfig, Reduction
from rl.model import build_model, load_policy
from rl.network import PolicyNetwork
from rl.packing import pack
from rl.types import MicroBatch, Sample

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

BUILD = BuildConfig(num_layers=2, hidden_size=128, num_heads=2, num_kv_heads=1, vocab_size=300)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    build_model(BUILD, 3, directory, ["Fees were 384 in 2021 and 512 in 2022."])
    return directory


def packed_row() -> MicroBatch:
    rng = np.random.default_rng(0)
    samples = []
    for length in (9, 30, 17):
        zeros = np.zeros(length, np.float32)
        ids = rng.integers(3, 300, size=length).astype(np.int32)
        samples.append(Sample(ids, np.arange(length) > 0, zeros, zeros))
    [[row]] = pack(samples, 4096, 1, Reduction.TOKEN)
    return row


def logprobs(model: Path, dtype: str, attention: str, device: str) -> torch.Tensor:
    network = PolicyNetwork(load_policy(model, dtype, attention)).to(device)
    with torch.no_grad():
        return network(packed_row(), 1.0)[0].cpu()


def test_the_gpu_agrees_with_the_cpu(model: Path) -> None:
    on_cpu = logprobs(model, "float32", "packed", "cpu")
    on_gpu = logprobs(model, "float32", "packed", "cuda")
    torch.testing.assert_close(on_gpu, on_cpu, atol=1e-3, rtol=0)


@pytest.mark.skipif(importlib.util.find_spec("flash_attn") is None, reason="no flash-attn")
def test_flash_attention_agrees_with_ours(model: Path) -> None:
    ours = logprobs(model, "bfloat16", "packed", "cuda")
    flash = logprobs(model, "bfloat16", "packed_varlen", "cuda")
    torch.testing.assert_close(flash, ours, atol=5e-2, rtol=0)
