"""Weights from the learner into every engine, verified: a version label proves nothing."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from configs.errors import FaultBudgetSpent
from rl.metrics import PublishReport
from rollout.types import FloatArray, IntArray


class ServingEngine(Protocol):
    """A rollout worker as the publisher sees it."""

    @property
    def name(self) -> str: ...

    async def load_weights(self, directory: Path, version: int) -> None: ...

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]: ...


class WeightSource(Protocol):
    """The learner group as the publisher sees it."""

    async def write_weights(self, directory: Path) -> None: ...

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]: ...


class Transfer(Protocol):
    """Moves the learner's weights into all engines at once and stamps their version."""

    async def send(self, policy_version: int) -> None: ...


@dataclass(frozen=True, slots=True)
class SharedMemoryTransfer:
    """Through a folder in shared memory: the learner writes, every engine reads."""

    engines: Sequence[ServingEngine]
    learner: WeightSource
    folder: Path

    async def send(self, policy_version: int) -> None:
        directory = self.folder / f"v{policy_version}"
        await self.learner.write_weights(directory)
        await asyncio.gather(*(e.load_weights(directory, policy_version) for e in self.engines))
        shutil.rmtree(directory)


@dataclass(frozen=True, slots=True)
class WeightPublisher:
    """Sends the weights, then verifies them.

    After each publish every engine scores the probe sequences with the weights it now holds. One
    that differs from the learner by more than `max_logprob_difference` must not serve.
    """

    engines: Sequence[ServingEngine]
    learner: WeightSource
    transfer: Transfer
    probes: Sequence[IntArray]
    max_logprob_difference: float

    async def publish(self, policy_version: int) -> PublishReport:
        """Raises FaultBudgetSpent, naming the worker, when an engine disagrees with the learner."""
        started = time.perf_counter()
        await self.transfer.send(policy_version)
        expected, *measured = await asyncio.gather(
            self.learner.logprobs(self.probes), *(e.logprobs(self.probes) for e in self.engines)
        )
        worst = 0.0
        for engine, values in zip(self.engines, measured, strict=True):
            difference = largest_difference(expected, values)
            # Written so that a NaN, which compares false with everything, is refused too.
            if not difference <= self.max_logprob_difference:
                raise FaultBudgetSpent(
                    f"{engine.name} does not hold weights version {policy_version}: its "
                    f"log-probabilities differ from the learner's by {difference:.2g} "
                    f"(publish.max_logprob_difference {self.max_logprob_difference:g}); "
                    "resume from the last checkpoint"
                )
            worst = max(worst, difference)
        return PublishReport(worst, time.perf_counter() - started)


def largest_difference(a: Sequence[FloatArray], b: Sequence[FloatArray]) -> float:
    """Largest absolute difference between two lists of aligned arrays; NaN if any value is."""
    return float(np.max([np.max(np.abs(x - y)) for x, y in zip(a, b, strict=True)]))
