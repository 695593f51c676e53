"""The last of the deadlines: a run in which nothing happens any more ends, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from configs.errors import FaultBudgetSpent

T = TypeVar("T")


async def watched(work: Coroutine[Any, Any, T], idle_s: Callable[[], float], limit_s: float) -> T:
    """Run the whole training; raises FaultBudgetSpent when nothing was logged for `limit_s`."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=min(10.0, limit_s / 4))
            if not task.done() and idle_s() > limit_s:
                raise FaultBudgetSpent(
                    f"no step, evaluation or event for {limit_s:g} s (deadlines.watchdog_s); the "
                    "run's logs say what each process did last"
                )
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
