"""A loss that fails where a test wants it to."""

from __future__ import annotations

import torch

from configs.schema import AlgorithmConfig
from rl.losses import ppo_clip
from rl.types import LossInputs, LossOutput

CALLS = 4
_calls = 0


def raises_on_rank_1_at_its_fifth_call(inputs: LossInputs, settings: AlgorithmConfig) -> LossOutput:
    """PPO's loss, until the second rank raises, and the first waits for it in an exchange."""
    global _calls
    _calls += 1
    if _calls > CALLS and torch.distributed.get_rank() == 1:
        raise RuntimeError("on this rank")
    return ppo_clip(inputs, settings)
