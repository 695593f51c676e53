"""Rule checks in processes that can be killed: one that hangs stops nobody else.

A check is code that reads what a policy wrote, some of it a plug-in's: it may loop, leak or crash.
Then its process ends and the sample has no verdict.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as PoolTimeout
from dataclasses import dataclass, field, replace

import numpy as np
from pebble import ProcessExpired, ProcessPool

from configs.registry import VERIFIERS
from configs.schema import RewardConfig
from rewards.latex import START_S
from rewards.scoring import Verifier, score_one
from rollout.types import Group, Score, Span, Trajectory

PROCESSES = 3
"""Of a reward worker. Two keep it busy, one checking while the other's scores travel; so one may
hang and cost the others nothing."""
MAX_MEMORY_BYTES = 4 * 1024**3
"""Address space of a check's process; over it the check fails and the process goes on."""

Load = Callable[[RewardConfig], Verifier]
"""Makes the verifier, in the process that uses it: a function of some module."""

GRACE_S = 1.0
"""Beyond its own deadlines, after which a process is killed from outside."""

YIELD_AFTER_S = 0.1
"""After so much processor time a check runs only when nobody else wants to: it is likely to hang,
and would take a core away from the others until its deadline."""

_NONE = np.empty(0, np.float32)
_here: list[tuple[Verifier, ctypes.c_int]] = []  # of a check's process, which has one


class _Lost(Exception):
    """A check's process is gone, and why. `at` is the place of the sample that it was checking,
    negative if none."""

    def __init__(self, cause: str, at: int) -> None:
        super().__init__(cause)
        self.at = at


@dataclass(slots=True)
class _Process:
    """One process, in a pool of its own: those of a common pool share its pipe and its locks."""

    load: Load
    config: RewardConfig
    _at: ctypes.c_int = field(init=False)  # shared with the process
    _pool: ProcessPool = field(init=False)

    def __post_init__(self) -> None:
        self._at = multiprocessing.get_context("forkserver").RawValue("i")
        self._pool = self._start()

    async def scores(self, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Raises _Lost, and starts another process, where this one does not come to an end."""
        self._at.value = -1
        late = f"did not finish within {self.config.check_s:g} s"
        try:
            seconds = self._seconds(trajectories)
            # It ends itself in time (see _scores), unless a check keeps it from that.
            limit = seconds * max(1, len(trajectories)) + GRACE_S
            future = self._pool.schedule(_scores, [list(trajectories), seconds], timeout=limit)
            scores: list[Score] = await asyncio.wrap_future(future)
            return scores
        except PoolTimeout:
            raise _Lost(late, self._at.value) from None
        except ProcessExpired as death:
            ended = f"ended its process with code {death.exitcode}"
            cause = late if death.exitcode == -signal.SIGALRM else ended
            raise _Lost(cause, self._at.value) from None
        except RuntimeError:  # it died while it had nothing to do
            self._pool = self._start()
            raise _Lost("had no process", -1) from None

    def _seconds(self, trajectories: Sequence[Trajectory]) -> float:
        """A gold in LaTeX may start a helper, which keeps its own deadlines."""
        helper_s = START_S if any("\\" in t.task.answer for t in trajectories) else 0.0
        return self.config.check_s + helper_s

    def close(self) -> None:
        self._pool.stop()
        self._pool.join()

    def _start(self) -> ProcessPool:
        # Not a fork of this process: its threads' locks would come along.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, self.load.__module__, *_plugins(self.config)])
        given = (self.load, self.config, self._at)
        return ProcessPool(1, initializer=_begin, initargs=given, context=context)


@dataclass(slots=True)
class Checkers:
    """Scores by rule, at most `config.check_s` a sample. Used from one event loop."""

    load: Load
    config: RewardConfig
    _free: asyncio.Queue[_Process] = field(default_factory=asyncio.Queue)

    async def start(self) -> None:
        """Returns when the checks can be made; their own faults are told here, not later."""
        self.load(self.config)
        processes = [_Process(self.load, self.config) for _ in range(PROCESSES)]
        for process in processes:
            self._free.put_nowait(process)
        await asyncio.gather(*(process.scores([]) for process in processes))

    async def scores(self, trajectories: Sequence[Trajectory]) -> list[Score]:
        """One score each, all together, which is fastest. Where a sample ends its process the rest
        is scored again without it, so that it costs no other; on the same process, since the
        others are there for everybody else."""
        lost: dict[int, Score] = {}
        idle_deaths = 0
        process = await self._free.get()
        try:
            while True:
                left = [i for i in range(len(trajectories)) if i not in lost]
                try:
                    found = await process.scores([trajectories[i] for i in left])
                    scores = lost | dict(zip(left, found, strict=True))
                    return [scores[i] for i in range(len(trajectories))]
                except _Lost as loss:
                    if loss.at < 0 and idle_deaths == 0:
                        idle_deaths += 1  # no sample's fault
                    elif not left:
                        return [lost[i] for i in range(len(trajectories))]
                    else:
                        lost[left[max(loss.at, 0)]] = Score(None, reason=f"the check {loss}")
        finally:
            self._free.put_nowait(process)

    async def close(self) -> None:
        for _ in range(PROCESSES):
            (await self._free.get()).close()


def _plugins(config: RewardConfig) -> list[str]:
    """Modules of the verifiers: imported once, not by each process that is started."""
    rules = [route.get("rules", "") for route in config.routes.values()]
    names = (VERIFIERS.get(name, name) for name in (config.verifier, *rules))
    return [module for name in names if (module := name.partition(":")[0]) != name]


def light(group: Group) -> Group:
    """The group without log-probabilities: scoring has no use for them, and they weigh most."""
    trajectories = tuple(replace(t, spans=tuple(map(_light, t.spans))) for t in group.trajectories)
    return replace(group, trajectories=trajectories)


def _light(span: Span) -> Span:
    return span if span.logprobs is None else replace(span, logprobs=_NONE)


def _begin(load: Load, config: RewardConfig, at: ctypes.c_int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the end, wherever it hangs
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # at once, in whatever it hangs
    signal.signal(signal.SIGVTALRM, lambda number, frame: _schedule(os.SCHED_IDLE))
    _here.append((load(config), at))


def _scores(trajectories: list[Trajectory], seconds: float) -> list[Score]:
    """The process ends itself when one of them takes longer than `seconds`: also if whoever would
    kill it has been killed first."""
    [(verifier, at)] = _here
    scores = []
    signal.setitimer(signal.ITIMER_VIRTUAL, YIELD_AFTER_S)
    try:
        for at.value, trajectory in enumerate(trajectories):
            signal.setitimer(signal.ITIMER_REAL, seconds)
            scores.append(score_one(trajectory, verifier))
        return scores
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if os.sched_getscheduler(0) == os.SCHED_IDLE:
            with contextlib.suppress(PermissionError):  # only root may take it back
                _schedule(os.SCHED_OTHER)


def _schedule(policy: int) -> None:
    os.sched_setscheduler(0, policy, os.sched_param(0))
