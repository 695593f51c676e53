"""A clock that jumps: hours of waiting cost nothing, and only work takes time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(AssertionError):
    """Nothing can ever happen again: on a real clock the program would hang."""


class JumpingLoop(asyncio.SelectorEventLoop):
    """When nothing is ready, the time is that of the next timer; without one it is a deadlock."""

    _now = 0.0
    _ready: Any
    _scheduled: Any  # a heap; the cancelled ones leave it late

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready:
            timers = self._scheduled
            if timers and timers[0].cancelled():
                timers = sorted(timer for timer in timers if not timer.cancelled())
            if not timers:
                raise Deadlock
            self._now = max(self._now, timers[0].when())
        super()._run_once()  # type: ignore[misc]


def simulate(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on virtual time. Raises Deadlock where it would wait for ever."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)
