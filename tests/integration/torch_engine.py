"""An inference engine of a few lines, for tests of the whole system without vLLM.

It samples from the model in plain torch, so it holds real weights, and a publish that went wrong
would show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from configs.schema import RunConfig
from envs.types import Task
from launch.models import Models
from rl.model import load_policy
from rollout.engine import PromptTooLong
from rollout.types import Completion, FloatArray, IntArray, Sampling, Score, Trajectory


class TorchEngine:
    def __init__(self, model: Path, max_length: int, stop_token_ids: Sequence[int]) -> None:
        self.policy_version = 0
        self.max_length, self.stop_token_ids = max_length, stop_token_ids
        self._model: Any = load_policy(model, "float32", "sdpa").eval()

    async def generate(self, token_ids: IntArray, sampling: Sampling, seed: int) -> Completion:
        room = self.max_length - len(token_ids)
        if room < 1:
            raise PromptTooLong(f"prompt of {len(token_ids)} tokens")
        random = torch.Generator().manual_seed(seed)
        ids: list[int] = token_ids.tolist()
        logprobs: list[float] = []
        versions: list[tuple[int, int]] = []
        for _ in range(min(sampling.max_tokens, room)):
            await asyncio.sleep(0)  # others have their turn, a publish too
            logits = self._logits(ids)[-1]
            greedy = sampling.temperature == 0
            scores = torch.log_softmax(logits / (sampling.temperature or 1.0), -1)
            token = (
                scores.argmax() if greedy else torch.multinomial(scores.exp(), 1, generator=random)
            )
            if not versions or versions[-1][1] != self.policy_version:
                versions.append((len(logprobs), self.policy_version))
            ids.append(int(token))
            logprobs.append(float(scores[token]))
            if ids[-1] in self.stop_token_ids:
                break
        return Completion(
            token_ids=np.array(ids[len(token_ids) :], np.int32),
            logprobs=np.array(logprobs, np.float32),
            finish_reason="stop" if ids[-1] in self.stop_token_ids else "length",
            versions=tuple(versions),
        )

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        return [self._logprobs(ids) for ids in sequences]

    def _logprobs(self, token_ids: IntArray) -> FloatArray:
        scores = torch.log_softmax(self._logits(token_ids.tolist())[:-1], -1)
        chosen = torch.as_tensor(token_ids[1:]).long()[:, None]
        values: FloatArray = scores.gather(1, chosen)[:, 0].numpy()
        return values

    @torch.no_grad()
    def _logits(self, ids: list[int]) -> torch.Tensor:  # [T, V]
        logits: torch.Tensor = self._model(torch.tensor([ids])).logits[0]
        return logits

    async def load_weights(self, directory: Path, version: int) -> None:
        self._model.load_state_dict(load_file(directory / "model.safetensors"))
        self.policy_version = version

    def close(self) -> None:
        return None


async def start_torch_engine(config: RunConfig, models: Models) -> TorchEngine:
    return TorchEngine(models.engine, config.model.max_length, models.stop_token_ids)


class EvenSum:
    """A verifier that an untrained model satisfies half of the time: its token ids add up to an
    even number."""

    def __call__(self, trajectory: Trajectory) -> Score:
        return Score(float(trajectory.spans[1].token_ids.sum() % 2 == 0))

    def check_gold(self, task: Task) -> None:
        return None
