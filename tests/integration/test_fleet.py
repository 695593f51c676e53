"""Remote waits: whatever goes wrong in an actor is named, and never mistaken for something else."""

from __future__ import annotations

import asyncio

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from configs.errors import DataError, FaultBudgetSpent
from launch.remote import within


async def fail(error: Exception) -> None:
    raise error


def raised_in_an_actor(cause: Exception) -> Exception:
    """As Ray hands it to the caller: an instance of the cause's own type, too."""
    wrapped = RayTaskError("Actor.method", "traceback", cause).as_instanceof_cause()
    assert isinstance(wrapped, type(cause))
    return wrapped


def test_what_is_late_is_named_with_its_deadline() -> None:
    with pytest.raises(FaultBudgetSpent, match=r"worker 1 did not finish group 3 within 0\.01 s"):
        asyncio.run(within(0.01, "worker 1", "group 3", asyncio.Event().wait()))


def test_a_timeout_within_the_actor_is_not_our_deadline() -> None:
    error = raised_in_an_actor(TimeoutError("gloo gave up"))
    with pytest.raises(FaultBudgetSpent, match="rank 0 failed in a step: TimeoutError: gloo gave"):
        asyncio.run(within(60, "rank 0", "a step", fail(error)))


def test_our_own_errors_come_through_unchanged() -> None:
    error = raised_in_an_actor(DataError("row 7 is bad"))
    with pytest.raises(DataError, match="row 7 is bad"):
        asyncio.run(within(60, "worker 1", "scoring", fail(error)))


def test_a_dead_actor_is_named() -> None:
    with pytest.raises(FaultBudgetSpent, match="worker 1 died during group 3"):
        asyncio.run(within(60, "worker 1", "group 3", fail(ActorDiedError())))
