"""Real actors over an engine that only pretends, and goes wrong in the ways it is told to.

Its answers depend on the sample's seed alone, so that a disturbed run must train exactly what an
undisturbed one does.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray

from envs.types import Message, Task, ToolCall, ToolSpec
from launch.actors import MAX_CONCURRENT_GROUPS, RolloutWorker
from rollout.engine import EngineDead, EngineSettings
from rollout.types import Completion, FloatArray, IntArray, Sampling, Score, Trajectory

TROUBLE = "trouble.json"
"""In the model's folder: what is wrong with which worker, such as {"rollout-0": {"slow": 10}}."""

TOKEN_S = 0.01
VOCABULARY = 100


def stub_logprobs(sequences: Sequence[IntArray], weights: float) -> list[FloatArray]:
    """What engine and learner agree on when they hold the same weights."""
    return [-(1 + weights) * np.arange(1, len(ids), dtype=np.float32) for ids in sequences]


class StubEngine:
    """`trouble` is what is wrong with it (see `generate` and `logprobs`)."""

    def __init__(self, trouble: dict[str, Any]) -> None:
        self.policy_version = 0
        self.weights = -1.0
        self.trouble = trouble
        self.generated = 0

    async def generate(self, token_ids: IntArray, sampling: Sampling, seed: int) -> Completion:
        is_probe = sampling.max_tokens == 1
        luck = np.random.default_rng(seed)
        length = 1 + min(sampling.max_tokens - 1, int(3 * luck.lognormal()))
        await asyncio.sleep(length * TOKEN_S * self.trouble.get("slow", 1))
        self.generated += not is_probe
        if self.trouble.get("fails_requests") and not is_probe:
            raise ValueError("no answer comes out")
        if self.trouble.get("engine_dies_after", 10**9) < self.generated:
            raise EngineDead("the stub's engine is gone")
        version = self.policy_version - self.trouble.get("versions_behind", 0)
        return Completion(
            token_ids=luck.integers(VOCABULARY, size=length).astype(np.int32),
            logprobs=np.full(length, -1.0, np.float32),
            finish_reason="stop",
            versions=((0, version),),
        )

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        return stub_logprobs(sequences, self.weights + self.trouble.get("weights_off", 0))

    async def load_weights(self, directory: Path, version: int) -> None:
        self.weights = float((directory / "weights").read_text())
        self.policy_version = version

    def close(self) -> None:
        return None


class StubRenderer:
    """Every message is the three tokens 1, 2, 3."""

    stop_token_ids = (0,)

    def render_prompt(
        self, messages: Sequence[Message], thinking: bool, tools: Sequence[ToolSpec] = ()
    ) -> IntArray:
        return np.array([1, 2, 3], np.int32)

    def parse(self, token_ids: IntArray, prompt_ids: IntArray | None = None) -> Message:
        """Every other message calls a tool: see `tests/integration/environments.py`."""
        calls = (ToolCall("add", {"a": 1, "b": 2}), ToolCall("wait", {"seconds": 0.05}))
        text = " ".join(map(str, token_ids))
        return Message("assistant", text, calls if token_ids[0] % 2 else ())

    def bridge(
        self, token_ids_so_far: IntArray, new_messages: Sequence[Message], thinking: bool
    ) -> IntArray:
        return np.array([4, 5], np.int32)

    def check_turns(
        self, messages: Sequence[Message], thinking: bool, tools: Sequence[ToolSpec] = ()
    ) -> None:
        return None


class StubRolloutWorker(RolloutWorker):
    def __init__(self, log_file: str) -> None:
        super().__init__(log_file)
        self.name = Path(log_file).stem

    async def make_engine(self, settings: EngineSettings) -> StubEngine:
        trouble = json.loads((Path(settings.model) / TROUBLE).read_text()).get(self.name, {})
        if trouble.get("dies_in_start"):
            os.kill(os.getpid(), signal.SIGKILL)
        return StubEngine(trouble)

    def make_renderer(self, tokenizer: str) -> Any:
        return StubRenderer()


StubRolloutActor: Any = ray.remote(max_concurrency=MAX_CONCURRENT_GROUPS)(StubRolloutWorker)


class Parity:
    """A verifier that half of the stub's answers satisfy."""

    def __call__(self, trajectory: Trajectory) -> Score:
        return Score(float(trajectory.spans[1].token_ids.sum() % 2))

    def check_gold(self, task: Task) -> None:
        return None


class AllRight(Parity):
    """A verifier that every answer satisfies."""

    def __call__(self, trajectory: Trajectory) -> Score:
        return Score(1.0)
