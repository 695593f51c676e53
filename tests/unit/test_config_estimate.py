"""Memory estimates, against models that exist."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from configs.estimate import (
    GIB,
    KNOWN_SHAPES,
    ModelShape,
    cache_bytes_per_token,
    engine_memory,
    learner_memory,
    model_shape,
)
from configs.schema import LearnerConfig, ModelConfig, RolloutConfig
from rl.model import DTYPES
from rl.network import PolicyNetwork
from rl.types import MicroBatch

TINY = ModelShape(3, 128, 384, 4, 2, 32, 1024)


def qwen3_config(shape: ModelShape) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_kv_heads,
        head_dim=shape.head_size,
        tie_word_embeddings=shape.tied,
    )


def count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_parameters_of_qwen3_and_qwen2() -> None:
    with torch.device("meta"):
        eight = Qwen3ForCausalLM(qwen3_config(KNOWN_SHAPES["Qwen/Qwen3-8B"]))
        small = KNOWN_SHAPES["Qwen/Qwen2.5-1.5B-Instruct"]
        assert small.tied
        one_and_a_half = Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=small.vocab_size,
                hidden_size=small.hidden_size,
                intermediate_size=small.intermediate_size,
                num_hidden_layers=small.num_layers,
                num_attention_heads=small.num_heads,
                num_key_value_heads=small.num_kv_heads,
                tie_word_embeddings=True,
            )
        )
    assert count(eight) == pytest.approx(8.19e9, rel=1e-3)
    assert KNOWN_SHAPES["Qwen/Qwen3-8B"].num_parameters == pytest.approx(count(eight), rel=1e-4)
    assert small.num_parameters == pytest.approx(count(one_and_a_half), rel=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_those_that_are_kept(dtype: str, checkpointing: bool) -> None:
    """The tensors that autograd keeps for the backward pass, counted by storage."""
    num_tokens, num_sequences = 1024, 8
    model = Qwen3ForCausalLM._from_config(qwen3_config(TINY), attn_implementation="packed")
    model = model.to(DTYPES[dtype])
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    kept: dict[int, torch.UntypedStorage] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    micro = rows_of(num_tokens, num_sequences)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        PolicyNetwork(model.train())(micro, 1.0)
    logits = len(micro.targets) * TINY.vocab_size * 4
    seen = sum(storage.nbytes() for storage in kept.values()) - logits
    config = LearnerConfig(token_budget=num_tokens, activation_checkpointing=checkpointing)
    expected = learner_memory(TINY, dtype, config, reference=False)["activations"] * GIB
    if checkpointing:  # one layer's are there only during its own backward pass
        whole = learner_memory(TINY, dtype, LearnerConfig(token_budget=num_tokens), False)
        expected -= whole["activations"] * GIB / TINY.num_layers
        assert 0.65 * expected < seen < 1.15 * expected
    else:
        assert seen == pytest.approx(expected, rel=0.15)


def rows_of(num_tokens: int, num_sequences: int) -> MicroBatch:
    """Equal sequences in one row, the second half of each trained."""
    length = num_tokens // num_sequences
    starts = np.arange(num_sequences) * length
    predictors = (starts[:, None] + np.arange(length // 2, length - 1)).ravel().astype(np.int32)
    token_ids = (np.arange(num_tokens) % TINY.vocab_size).astype(np.int32)
    nothing = np.zeros(len(predictors), np.float32)
    return MicroBatch(
        token_ids=token_ids,
        position_ids=np.tile(np.arange(length), num_sequences).astype(np.int32),
        places=np.arange(num_tokens, dtype=np.int32),
        cu_seqlens=np.arange(0, num_tokens + 1, length).astype(np.int32),
        predictors=predictors,
        targets=token_ids[predictors + 1],
        sequence_index=(predictors // length).astype(np.int32),
        weights=nothing,
        advantages=nothing,
        rollout_logprobs=nothing,
        sample_indices=tuple(range(num_sequences)),
    )


def test_sharding_divides_what_each_stage_shards() -> None:
    def parts(stage: int, ranks: int = 4) -> dict[str, float]:
        config = LearnerConfig(ranks=ranks, zero_stage=stage)
        return learner_memory(TINY, "bfloat16", config, reference=False)

    whole, p = parts(0, ranks=1), TINY.num_parameters / GIB
    assert whole["weights"] == pytest.approx(2 * p)
    assert whole["gradients"] == pytest.approx(4 * p)
    assert whole["optimizer"] == pytest.approx(12 * p)
    assert parts(1)["optimizer"] == pytest.approx(3 * p)
    assert parts(1)["gradients"] == pytest.approx(4 * p)
    assert parts(2)["gradients"] == pytest.approx(2 * p / 4)
    assert parts(2)["weights"] == pytest.approx(2 * p)
    assert parts(3)["weights"] == pytest.approx(2 * p / 4)


def test_a_kl_term_adds_a_frozen_copy() -> None:
    with_copy = learner_memory(TINY, "float32", LearnerConfig(), reference=True)
    assert with_copy["reference"] == with_copy["weights"]


def test_engines_on_gpus_take_their_share() -> None:
    config = RolloutConfig(gpus=2, gpu_memory_utilization=0.5)
    parts = engine_memory(KNOWN_SHAPES["Qwen/Qwen3-8B"], "bfloat16", config, gpu_gib=80)
    assert sum(parts.values()) == pytest.approx(40)
    assert parts["weights"] == pytest.approx(8.19e9 / GIB, rel=0.01)
    assert cache_bytes_per_token(KNOWN_SHAPES["Qwen/Qwen3-8B"], "bfloat16") == 2 * 36 * 8 * 128 * 2


def test_engines_on_a_cpu_take_the_cache_that_is_set() -> None:
    parts = engine_memory(TINY, "float32", RolloutConfig(kv_cache_gib=3.0), gpu_gib=0)
    assert parts["cache"] == 3.0


def test_the_shape_of_a_model_on_disk(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(qwen3_config(TINY).to_dict()))
    assert model_shape(ModelConfig(path=str(tmp_path))) == TINY
    assert model_shape(ModelConfig()) == TINY  # the default to build
    assert model_shape(ModelConfig(path="org/unknown")) is None
