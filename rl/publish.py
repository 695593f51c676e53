"""Weights from the learner into every engine, verified: a version label proves nothing."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from configs.errors import FaultBudgetSpent
from configs.faultpoints import point
from rl.metrics import PublishReport
from rollout.types import FloatArray, IntArray


class ServingEngine(Protocol):
    """A rollout worker as the publisher sees it."""

    @property
    def name(self) -> str: ...

    async def load_weights(self, directory: Path, version: int) -> None: ...

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]: ...


class Engines(Protocol):
    """The rollout workers, of which some may come or go at any time."""

    def ready(self) -> Sequence[Any]:
        """The `ServingEngine`s that can take weights now."""
        ...

    def waits(self, engine: Any) -> bool:
        """Whether it has started and does not serve yet."""
        ...

    def synced(self, engine: Any, version: int) -> None:
        """It holds these weights, verified, and may serve."""
        ...

    def failed(self, engine: Any, error: Exception) -> None:
        """It must not serve: replace it, or raise the error where that cannot be done."""
        ...

    async def available(self) -> None:
        """Wait until one serves. Raises FaultBudgetSpent where none ever will."""
        ...


class WeightSource(Protocol):
    """The learner group as the publisher sees it."""

    async def write_weights(self, directory: Path) -> None: ...

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]: ...


class Transfer(Protocol):
    """Moves the learner's weights to engines."""

    async def offer(self, learner: WeightSource, version: int) -> None:
        """Take the learner's present weights, in place of those that were offered before."""
        ...

    async def deliver(self, engine: Any, version: int) -> bool:
        """Have an engine take what is offered. False: it cannot before the next publish."""
        ...


@dataclass(frozen=True, slots=True)
class SharedMemoryTransfer:
    """Through a folder in shared memory: the learner writes, every engine reads.

    One version stays there, for engines that start between two publishes.
    """

    folder: Path

    async def offer(self, learner: WeightSource, version: int) -> None:
        for earlier in self.folder.glob("v*"):
            shutil.rmtree(earlier)
        await learner.write_weights(self._directory(version))

    async def deliver(self, engine: ServingEngine, version: int) -> bool:
        await engine.load_weights(self._directory(version), version)
        return True

    def _directory(self, version: int) -> Path:
        return self.folder / f"v{version}"


class WrongWeights(FaultBudgetSpent):
    """An engine's log-probabilities are not those of the learner."""


@dataclass(slots=True)
class Served:
    """A published version, what the probes must score under it, and how far engines are off."""

    version: int
    expected: Sequence[FloatArray]
    differences: list[float] = field(default_factory=list)


@dataclass(slots=True)
class WeightPublisher:
    """Brings all engines to the learner's weights at once, and verifies each.

    An engine serves only after it has scored the probe sequences with the weights it now holds and
    differs from the learner by no more than `max_logprob_difference`. One that fails does not hold
    up the others. `learner` is asked for each time, as it may be replaced between stages.
    """

    engines: Engines
    learner: Callable[[], WeightSource]
    transfer: Transfer
    probes: Sequence[IntArray]
    max_logprob_difference: float
    _served: Served | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def publish(self, policy_version: int) -> PublishReport:
        """Returns when every engine that could take the weights serves them, and at least one does.

        Raises:
            FaultBudgetSpent: the learner's weights are not numbers any more, no engine holds what
                the learner does, or there are no engines left.
        """
        started = time.perf_counter()
        async with self._turn:
            learner = self.learner()
            expected = await learner.logprobs(self.probes)
            if not all(np.isfinite(values).all() for values in expected):
                raise FaultBudgetSpent(
                    f"the learner's weights give log-probabilities that are not finite: version "
                    f"{policy_version} was not published; a lower learning_rate may help"
                )
            point("publish.before_offer")
            await self.transfer.offer(learner, policy_version)
            self._served = served = Served(policy_version, expected)
            errors = await asyncio.gather(*(self._sync(e, served) for e in self.engines.ready()))
        wrong = [error for error in errors if isinstance(error, WrongWeights)]
        if wrong and not served.differences:
            raise wrong[0]  # what no engine agrees with is the learner's fault
        if not served.differences:
            await self.engines.available()  # all of them were lost: the next one will join
        return PublishReport(max(served.differences), time.perf_counter() - started)

    async def join(self, engine: ServingEngine) -> None:
        """Bring an engine that has just started to the weights that the others serve."""
        async with self._turn:
            if self._served is not None and self.engines.waits(engine):
                await self._sync(engine, self._served)

    async def _sync(self, engine: ServingEngine, served: Served) -> Exception | None:
        """Deliver to one engine and verify. What goes wrong is the engine's, unless the fleet
        knows otherwise; returned as well."""
        try:
            if not await self.transfer.deliver(engine, served.version):
                return None
            difference = largest_difference(served.expected, await engine.logprobs(self.probes))
            # Written so that a NaN, which compares false with everything, is refused too.
            if not difference <= self.max_logprob_difference:
                raise WrongWeights(
                    f"{engine.name} does not hold weights version {served.version}: its "
                    f"log-probabilities differ from the learner's by {difference:.2g} "
                    f"(publish.max_logprob_difference {self.max_logprob_difference:g}); "
                    "resume from the last checkpoint"
                )
        except Exception as error:
            self.engines.failed(engine, error)
            return error
        served.differences.append(difference)
        self.engines.synced(engine, served.version)
        return None


def largest_difference(a: Sequence[FloatArray], b: Sequence[FloatArray]) -> float:
    """Largest absolute difference between two lists of aligned arrays; NaN if any value is."""
    return float(np.max([np.max(np.abs(x - y)) for x, y in zip(a, b, strict=True)]))
