"""The fleets as the controller sees them: groups of Ray actors behind its Protocols.

Every remote wait has a deadline; what is late is named.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError, RayTaskError

from configs.errors import AssayError, FaultBudgetSpent
from configs.schema import DeadlinesConfig
from rl.types import Batch, StepResult
from rollout.types import FloatArray, Group, IntArray, RolloutRequest

T = TypeVar("T")

_log = logging.getLogger(__name__)


async def within(seconds: float, who: str, what: str, reply: Awaitable[T]) -> T:
    """Await a remote reply.

    Raises:
        FaultBudgetSpent: it did not come in time, or the actor died; the message names it.
        AssayError: what the actor itself raised of ours, unchanged.
    """
    try:
        async with asyncio.timeout(seconds):
            return await reply
    except RayTaskError as error:  # first: one that carries a TimeoutError is a TimeoutError too
        cause = error.cause
        _log.error("%s failed in %s\n%s", who, what, error)  # the actor's own traceback
        if isinstance(cause, AssayError):
            raise cause from error
        raise FaultBudgetSpent(
            f"{who} failed in {what}: {type(cause).__name__}: {cause}"
        ) from error
    except RayActorError as error:
        raise FaultBudgetSpent(f"{who} died during {what}: {first_line(error)}") from error
    except TimeoutError:
        raise FaultBudgetSpent(f"{who} did not finish {what} within {seconds:g} s") from None


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Worker:
    """A named actor; `load_weights` and `logprobs` are what the publisher asks of it."""

    name: str
    actor: Any
    deadlines: DeadlinesConfig

    async def load_weights(self, directory: Path, version: int) -> None:
        reply = self.actor.load_weights.remote(str(directory), version)
        await within(self.deadlines.step_s, self.name, f"loading weights version {version}", reply)

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        reply = self.actor.logprobs.remote(sequences)
        return await within(self.deadlines.step_s, self.name, "scoring the probe set", reply)


@dataclass(slots=True)
class RolloutFleet:
    """Sends each request to the worker with the fewest groups under way."""

    workers: Sequence[Worker]
    deadlines: DeadlinesConfig
    _outstanding: Counter[str] = field(default_factory=Counter)

    async def run(self, request: RolloutRequest) -> Group:
        worker = min(self.workers, key=lambda w: self._outstanding[w.name])
        self._outstanding[worker.name] += 1
        try:
            reply = worker.actor.run.remote(request)
            return await within(
                self.deadlines.group_s, worker.name, f"group {request.group_id}", reply
            )
        finally:
            self._outstanding[worker.name] -= 1


@dataclass(slots=True)
class RewardFleet:
    """Rule checks, round robin."""

    workers: Sequence[Worker]
    deadlines: DeadlinesConfig
    _next: int = 0

    async def score(self, group: Group) -> Group:
        worker = self.workers[self._next % len(self.workers)]
        self._next += 1
        reply = worker.actor.score.remote(group)
        return await within(self.deadlines.group_s, worker.name, f"scoring {group.id}", reply)


@dataclass(frozen=True, slots=True)
class RayLearnerGroup:
    """All ranks as one: each call goes to every rank and returns what rank 0 said."""

    ranks: Sequence[Any]
    deadlines: DeadlinesConfig

    async def step(self, batch: Batch) -> StepResult:
        shared = ray.put(batch)  # one copy in the object store, whatever the number of ranks
        result: StepResult = await self.call("step", "a training step", shared)
        return result

    async def write_weights(self, directory: Path) -> None:
        await self.call("write_weights", "writing weights", str(directory))

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        values: list[FloatArray] = await self.call(
            "logprobs", "scoring the probe set", list(sequences)
        )
        return values

    async def begin_stage(self, reference: Path | None) -> None:
        await self.call("begin_stage", "beginning a stage", _text(reference))

    async def load_reference(self, reference: Path | None) -> None:
        await self.call("load_reference", "loading the reference", _text(reference))

    async def save(self, directory: Path) -> None:
        await self.call("save", "saving a checkpoint", str(directory))

    async def load(self, directory: Path) -> None:
        await self.call("load", "loading a checkpoint", str(directory))

    async def call(self, method: str, what: str, *args: Any) -> Any:
        """Call `method` on every rank; `what` tells what it does, should it fail."""
        replies = [
            within(
                self.deadlines.step_s, f"learner rank {number}", what,
                getattr(rank, method).remote(*args),
            )
            for number, rank in enumerate(self.ranks)
        ]  # fmt: skip
        return (await asyncio.gather(*replies))[0]


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


@dataclass(frozen=True, slots=True)
class NcclTransfer:
    """Weights over NCCL; the sending rank drives the engines (launch/nccl.py)."""

    learner: RayLearnerGroup

    async def send(self, policy_version: int) -> None:
        await self.learner.call("send_weights", "sending weights over NCCL", policy_version)
