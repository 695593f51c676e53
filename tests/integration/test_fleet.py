"""Remote waits: whatever goes wrong in an actor is named, and never mistaken for something else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError, RuntimeEnvSetupError

from benchmarks.virtual_time import simulate
from configs.errors import DataError, FaultBudgetSpent, LearnerLost
from configs.schema import DeadlinesConfig
from launch.faults import FaultClass, ProcessDied, RequestFailed
from launch.fleet import RewardFleet, RolloutFleet
from launch.remote import ask, fault_class, within
from launch.states import Limits
from rl.evaluate import GroupLost
from rl.ledger import MAX_ATTEMPTS
from rollout.engine import EngineDead
from rollout.types import Group, RolloutRequest, Sampling, StopReason
from tests.fakes import numbered_task, scored_group
from tests.unit.test_pool import Machine, Process, make_pool


async def fail(error: Exception) -> None:
    raise error


def raised_in_an_actor(cause: Exception) -> Exception:
    """As Ray hands it to the caller: an instance of the cause's own type, too."""
    wrapped = RayTaskError("Actor.method", "traceback", cause).as_instanceof_cause()
    assert isinstance(wrapped, type(cause))
    return wrapped


def test_what_is_late_is_named_with_its_deadline() -> None:
    with pytest.raises(LearnerLost, match=r"worker 1 did not finish group 3 within 0\.01 s"):
        asyncio.run(within(0.01, "worker 1", "group 3", asyncio.Event().wait()))


def test_a_timeout_within_the_actor_is_not_our_deadline() -> None:
    error = raised_in_an_actor(TimeoutError("gloo gave up"))
    with pytest.raises(FaultBudgetSpent, match="rank 0 failed in a step: TimeoutError: gloo gave"):
        asyncio.run(within(60, "rank 0", "a step", fail(error)))


def test_our_own_errors_come_through_unchanged() -> None:
    error = raised_in_an_actor(DataError("row 7 is bad"))
    with pytest.raises(DataError, match="row 7 is bad"):
        asyncio.run(within(60, "worker 1", "scoring", fail(error)))


class NoEnvironment:
    """An actor whose environment Ray could not set up."""

    class start:
        @staticmethod
        async def remote() -> None:
            raise RuntimeEnvSetupError("Traceback (most recent call last):\nOSError: disk is full")


def test_the_cause_of_a_failed_environment_is_told() -> None:
    with pytest.raises(RequestFailed, match=r"set up runtime environment\. OSError: disk is full"):
        asyncio.run(ask(NoEnvironment, "start", ()))


def test_a_dead_actor_is_named() -> None:
    with pytest.raises(LearnerLost, match="worker 1 died during group 3"):
        asyncio.run(within(60, "worker 1", "group 3", fail(ActorDiedError())))


def test_whose_fault_an_error_is() -> None:
    infrastructure = FaultClass.INFRASTRUCTURE
    for error in (EngineDead("gone"), MemoryError(), OSError(28, "disk"), ConnectionResetError()):
        assert fault_class(error) is infrastructure
    wrapped = RuntimeError("generation failed")
    wrapped.__cause__ = ConnectionError("peer")
    assert fault_class(wrapped) is infrastructure, "what it was raised from decides"
    unrelated = KeyError("row")
    unrelated.__context__ = ConnectionError("handled before")
    assert fault_class(unrelated) is FaultClass.DATA
    assert fault_class(ValueError("unknown")) is FaultClass.DATA


REQUEST = RolloutRequest(7, numbered_task("task/7"), (1, 2, 3), True, Sampling())


def played(works: Callable[[Process, Any], Awaitable[Any]], attempt: int = 0) -> Group | str:
    """What becomes of a request on one worker that works so."""

    async def run() -> Group | str:
        pool = make_pool(Machine(works=works), Limits(restarts=10))
        await pool.open(1)
        fleet = RolloutFleet(pool, DeadlinesConfig(group_s=50), data_retries=2)
        for again in range(MAX_ATTEMPTS):
            try:
                return await fleet.run(replace(REQUEST, attempt=attempt + again))
            except GroupLost:
                continue
        return "asked for without end"

    return simulate(run())


def test_a_group_that_fails_everywhere_comes_back_without_answers() -> None:
    async def works(process: Process, request: RolloutRequest) -> Group:
        raise RequestFailed("KeyError: 'row'", FaultClass.DATA)

    group = played(works)
    assert isinstance(group, Group)
    assert (group.id, group.attempt) == (7, 2), "asked for again twice"
    assert [t.stop_reason for t in group.trajectories] == [StopReason.ERROR] * 3
    assert all(t.reward is None for t in group.trajectories)
    assert "KeyError: 'row'" in group.trajectories[0].info["error"]


def test_a_group_that_brings_down_every_worker_comes_back_without_answers() -> None:
    async def works(process: Process, request: RolloutRequest) -> Group:
        raise ProcessDied("killed")

    group = played(works)
    assert isinstance(group, Group)
    assert group.attempt == MAX_ATTEMPTS - 1
    assert group.scored == []


def test_what_cannot_be_scored_has_no_verdict() -> None:
    asked: list[str] = []

    async def ask(process: Process, method: str, args: tuple[Any, ...]) -> Any:
        if method == "score":
            asked.append(process.name)
            raise RequestFailed("TypeError: no", FaultClass.DATA)

    async def run() -> Group:
        pool = make_pool(machine := Machine())
        pool.role = replace(pool.role, ask=ask)
        await pool.open(2)
        fleet = RewardFleet(pool, DeadlinesConfig(), data_retries=2)
        scored = await fleet.score(scored_group([1.0, 0.0]))
        assert machine.faults()
        return scored

    group = simulate(run())
    assert [t.reward for t in group.trajectories] == [None, None], "never a number"
    assert len(asked) == 3
