"""Waiting for Ray actors: every wait has a deadline, and what goes wrong is named and classed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil
import ray
from ray.exceptions import (
    ActorUnschedulableError,
    GetTimeoutError,
    NodeDiedError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RaySystemError,
    RayTaskError,
    RuntimeEnvSetupError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from configs.errors import AssayError, FaultBudgetSpent, LearnerLost
from launch.faults import FaultClass, ProcessDied, RequestFailed
from rollout.engine import EngineDead

T = TypeVar("T")

STOP_S = 60.0
GRACE_S = 10.0
"""Between Ray's request that a process ends and its kill."""

INFRASTRUCTURE = (
    ConnectionError,
    EngineDead,
    GetTimeoutError,
    MemoryError,
    NodeDiedError,
    ObjectLostError,
    ObjectStoreFullError,
    OSError,
    OutOfDiskError,
    OutOfMemoryError,
    RaySystemError,
    TimeoutError,
    RuntimeEnvSetupError,
    WorkerCrashedError,
)
"""What machines and processes do. Anything else that is raised counts as the data's fault."""

DEEPEST_CAUSE = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an actor runs; `node` is Ray's id of the machine."""

    node: str
    pid: int


def fault_class(error: BaseException) -> FaultClass:
    """Whose fault an exception is: its own type decides, or that of a cause it was raised from."""
    current: BaseException | None = error
    for _ in range(DEEPEST_CAUSE):
        if isinstance(current, INFRASTRUCTURE):
            return FaultClass.INFRASTRUCTURE
        if current is None:
            break
        current = current.__cause__
    return FaultClass.DATA


async def ask(actor: Any, method: str, args: tuple[Any, ...]) -> Any:
    """Call an actor's method, without a deadline.

    Raises:
        ProcessDied: the actor is gone, or says that its engine is.
        RequestFailed: the method raised.
        AssayError: it raised one of ours, which comes unchanged.
    """
    try:
        return await getattr(actor, method).remote(*args)
    except RayTaskError as error:  # first: it may be an instance of its cause's type, too
        cause = error.cause
        if isinstance(cause, AssayError):
            raise cause from error
        _log.error("%s failed\n%s", method, error)  # the actor's own traceback
        named = f"{type(cause).__name__}: {first_line(cause)}"
        if isinstance(cause, EngineDead):
            raise ProcessDied(named) from error
        raise RequestFailed(named, fault_class(cause)) from error
    except (RayActorError, ActorUnschedulableError) as error:
        raise ProcessDied(first_line(error)) from error
    except RayError as error:
        _log.error("%s failed\n%s", method, error)
        named = f"{type(error).__name__}: {first_line(error)}"
        if isinstance(error, RuntimeEnvSetupError):  # the node's traceback, whose end says it
            named += " " + str(error).strip().rpartition("\n")[2]
        raise RequestFailed(named, fault_class(error)) from error


async def end(actor: Any, place: Place | None, gently: bool) -> None:
    """See to it that an actor's process is gone; gently: after it has stopped its engine.

    Ray asks a process to end. One that is stopped (SIGSTOP), or hangs where it cannot be asked,
    keeps its memory and its GPU, so it is killed on its own machine.
    """
    if gently:
        try:
            async with asyncio.timeout(STOP_S):
                await actor.stop.remote()
        except (RayError, TimeoutError) as error:
            _log.warning("an actor did not stop by itself: %s", first_line(error))
    ray.kill(actor)
    if place is not None and not gently:
        here = NodeAffinitySchedulingStrategy(place.node, soft=False)
        try:
            async with asyncio.timeout(STOP_S):
                await _KillProcess.options(scheduling_strategy=here).remote(place.pid)
        except (RayError, TimeoutError) as error:  # its machine may be gone, and it with it
            _log.warning("process %d may be left on %s: %s", place.pid, place.node, error)


def _kill_process(pid: int) -> None:
    """Give an actor's process the time to end, then kill it."""
    try:
        process = psutil.Process(pid)
        if process.cmdline()[:1] != [] and not process.cmdline()[0].startswith("ray::"):
            return  # the number belongs to somebody else by now
        try:
            process.wait(GRACE_S)
        except psutil.TimeoutExpired:
            process.kill()
    except psutil.NoSuchProcess:
        return


_KillProcess: Any = ray.remote(num_cpus=0, max_retries=0)(_kill_process)


async def within(seconds: float, who: str, what: str, reply: Awaitable[T]) -> T:
    """Await a remote reply of a learner rank, which nothing can replace within an attempt.

    Raises:
        LearnerLost: it did not come in time, or the actor died; the message names it.
        FaultBudgetSpent: the method raised.
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
        raise LearnerLost(f"{who} died during {what}: {first_line(error)}") from error
    except TimeoutError:
        raise LearnerLost(f"{who} did not finish {what} within {seconds:g} s") from None


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
