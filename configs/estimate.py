"""How much memory a run will take, from the configuration and the shape of the model alone.

The learner's activations were counted on Qwen3-shaped models: the formula below is within 5 % in
float32 and 12 % in bfloat16 (with recomputation a third too high at most). Engines and processes
are rounded up from what was seen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from configs.schema import LearnerConfig, ModelConfig, RolloutConfig

GIB = 2**30
BYTES = {"float32": 4, "bfloat16": 2}
CPU_ENGINE_GIB = 3.0
"""A CPU engine's three processes, without weights and key-value cache."""
LEARNER_PROCESS_GIB = 0.8
LOGIT_BYTES = 16
"""Per logit at the peak: as computed, in float32, exponentiated, and its gradient."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of a decoder-only model with gated feed-forward layers."""

    num_layers: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    vocab_size: int
    tied: bool = False

    @property
    def num_parameters(self) -> int:
        """Exact for Qwen3 but for the norms of heads, a few thousand."""
        attention = 2 * (self.num_heads + self.num_kv_heads) * self.head_size
        layer = self.hidden_size * (attention + 3 * self.intermediate_size + 2)
        embeddings = self.vocab_size * self.hidden_size * (1 if self.tied else 2)
        return embeddings + self.num_layers * layer + self.hidden_size


KNOWN_SHAPES = {
    "Qwen/Qwen2.5-1.5B-Instruct": ModelShape(28, 1536, 8960, 12, 2, 128, 151936, tied=True),
    "Qwen/Qwen3-8B": ModelShape(36, 4096, 12288, 32, 8, 128, 151936),
}
"""Hub models of the presets, so that a plan needs no download."""


def model_shape(model: ModelConfig) -> ModelShape | None:
    """The shape of the run's model; None for a hub model that has not been fetched."""
    if not model.path:
        b = model.build
        head_size = b.hidden_size // b.num_heads
        return ModelShape(
            b.num_layers, b.hidden_size, b.intermediate_size,
            b.num_heads, b.num_kv_heads, head_size, b.vocab_size,
        )  # fmt: skip
    file = Path(model.path) / "config.json"
    if not file.is_file():
        return KNOWN_SHAPES.get(model.path)
    c = json.loads(file.read_text(encoding="utf-8"))
    heads = c["num_attention_heads"]
    return ModelShape(
        num_layers=c["num_hidden_layers"],
        hidden_size=c["hidden_size"],
        intermediate_size=c["intermediate_size"],
        num_heads=heads,
        num_kv_heads=c.get("num_key_value_heads", heads),
        head_size=c.get("head_dim") or c["hidden_size"] // heads,
        vocab_size=c["vocab_size"],
        tied=c.get("tie_word_embeddings", False),
    )


def learner_memory(
    shape: ModelShape, dtype: str, config: LearnerConfig, reference: bool
) -> dict[str, float]:
    """GiB of one learner rank, by what takes it; `reference` adds the frozen copy of a KL term."""
    size, p = BYTES[dtype], shape.num_parameters
    shards = {stage: config.ranks if config.zero_stage >= stage else 1 for stage in (1, 2, 3)}
    moments = 8 if dtype == "float32" else 12  # in bfloat16 with a float32 copy of the weights
    per_layer = size * (
        8 * shape.hidden_size
        + 4 * shape.num_heads * shape.head_size
        + 6 * shape.num_kv_heads * shape.head_size
        + 4 * shape.intermediate_size
    )
    activations = shape.num_layers * per_layer
    if config.activation_checkpointing:
        activations = shape.num_layers * size * 2 * shape.hidden_size + per_layer
    parts = {
        "weights": p * size / shards[3],
        "gradients": p * (size if config.zero_stage >= 2 else 4) / shards[2],
        "optimizer": p * moments / shards[1],
        "activations": config.token_budget * activations,
        "logits": config.token_budget * shape.vocab_size * LOGIT_BYTES,
        "process": LEARNER_PROCESS_GIB * GIB,
    }
    if reference:
        parts["reference"] = p * size
    return {name: value / GIB for name, value in parts.items()}


def engine_memory(
    shape: ModelShape, dtype: str, config: RolloutConfig, gpu_gib: float
) -> dict[str, float]:
    """GiB of one engine, by what takes it: on each of its GPUs, or in memory without GPUs."""
    weights = shape.num_parameters * BYTES[dtype] / GIB
    if not config.gpus:
        return {"weights": weights, "cache": config.kv_cache_gib, "process": CPU_ENGINE_GIB}
    share = config.gpu_memory_utilization * gpu_gib
    weights /= config.gpus
    return {"weights": weights, "cache and buffers": share - weights}


def cache_bytes_per_token(shape: ModelShape, dtype: str) -> int:
    """Key-value cache of one token."""
    return 2 * shape.num_layers * shape.num_kv_heads * shape.head_size * BYTES[dtype]
