"""Rule checks in processes that can be killed: one that hangs stops nobody else.

A check is code that reads what a policy wrote, some of it a plug-in's: it may loop, leak or crash.
Then its process ends and the sample has no verdict.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as PoolTimeout
from dataclasses import dataclass, field

from pebble import ProcessExpired, ProcessPool

from configs.schema import RewardConfig
from rewards.scoring import Verifier, score_one
from rollout.types import Group, Score, Trajectory

PROCESSES = 2
"""Of a reward worker: while one hangs, the other goes on."""
MAX_MEMORY_BYTES = 4 * 1024**3
"""Address space of a check's process; over it the check fails and the process goes on."""

Load = Callable[[RewardConfig], Verifier]
"""Makes the verifier, in the process that uses it: a function of some module."""

YIELD_AFTER_S = 0.1
"""After so much processor time a check runs only when nobody else wants to: it is likely to hang,
and would take a core away from the others until its deadline."""

_here: list[tuple[Verifier, float]] = []  # of a check's process: its verifier and deadline


class _Lost(Exception):
    """A check's process is gone, and why."""


@dataclass(slots=True)
class Checkers:
    """Scores by rule, at most `config.check_s` a sample. Used from one event loop."""

    load: Load
    config: RewardConfig
    _free: asyncio.Queue[ProcessPool] = field(default_factory=asyncio.Queue)

    async def start(self) -> None:
        """Returns when the checks can be made; their own faults are told here, not later."""
        self.load(self.config)
        for _ in range(PROCESSES):
            self._free.put_nowait(self._pool())
        await asyncio.gather(*(self._run([]) for _ in range(PROCESSES)))

    async def scores(self, trajectories: Sequence[Trajectory]) -> list[Score]:
        """One score each. All together at first, which is fastest; where that fails, one by one, so
        that what is wrong with one sample costs no other."""
        try:
            return await self._run(trajectories)
        except _Lost:
            return list(await asyncio.gather(*map(self._alone, trajectories)))

    async def close(self) -> None:
        for _ in range(PROCESSES):
            pool = await self._free.get()
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()

    async def _alone(self, trajectory: Trajectory) -> Score:
        try:
            [score] = await self._run([trajectory])
            return score
        except _Lost as lost:
            return Score(None, reason=f"the check {lost}")

    async def _run(self, trajectories: Sequence[Trajectory]) -> list[Score]:
        pool = await self._free.get()
        try:
            future = pool.schedule(_scores, [list(trajectories)], timeout=self.config.check_s)
            scores: list[Score] = await asyncio.wrap_future(future)
            return scores
        except PoolTimeout:
            raise _Lost(f"did not finish within {self.config.check_s:g} s") from None
        except ProcessExpired as death:
            raise _Lost(f"ended its process with code {death.exitcode}") from None
        except RuntimeError:  # its process died while it had nothing to do
            pool = self._pool()
            raise _Lost("had no process") from None
        finally:
            self._free.put_nowait(pool)

    def _pool(self) -> ProcessPool:
        """A pool of one process: those of a common pool share its pipe and the locks of that."""
        # Not a fork of this process: its threads' locks would come along.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, self.load.__module__])
        given = (self.load, self.config)
        return ProcessPool(1, initializer=_begin, initargs=given, context=context)


def light(group: Group) -> Group:
    """The group without its tokens: what scoring needs of it, and what travels fast."""
    trajectories = tuple(
        Trajectory(
            t.task, t.index, (), t.messages, t.stop_reason, t.num_turns, score=t.score, info=t.info
        )
        for t in group.trajectories
    )
    return Group(group.id, group.task, trajectories, group.thinking, group.attempt)


def _begin(load: Load, config: RewardConfig) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # at once, in whatever it hangs
    signal.signal(signal.SIGVTALRM, lambda number, frame: _schedule(os.SCHED_IDLE))
    _here.append((load(config), config.check_s))


def _scores(trajectories: list[Trajectory]) -> list[Score]:
    verifier, seconds = _here[0]
    # Whoever would kill this process may be killed first: then it ends by itself.
    signal.setitimer(signal.ITIMER_REAL, 3 * seconds + 1)
    signal.setitimer(signal.ITIMER_VIRTUAL, YIELD_AFTER_S)
    try:
        return [score_one(trajectory, verifier) for trajectory in trajectories]
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if os.sched_getscheduler(0) == os.SCHED_IDLE:
            with contextlib.suppress(PermissionError):  # only root may take it back
                _schedule(os.SCHED_OTHER)


def _schedule(policy: int) -> None:
    os.sched_setscheduler(0, policy, os.sched_param(0))
