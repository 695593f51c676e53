"""What follows from a configuration."""

from __future__ import annotations

from configs.schema import RunConfig


def logprob_limit(config: RunConfig) -> float:
    """The effective `publish.max_logprob_difference`."""
    default = {"float32": 1e-4, "bfloat16": 0.2}[config.model.dtype]
    return config.publish.max_logprob_difference or default
