"""Compare LaTeX expressions by math-verify, in a process of their own that is killed at a deadline.

A computer algebra system has no bound on time or memory for what a policy may write, so it never
runs in the reward worker: the helper's memory is limited, and a comparison that is not done by the
deadline ends with the helper, which is then started anew. No such end is a verdict.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import re
import resource
import signal
from concurrent.futures import TimeoutError
from concurrent.futures.process import BrokenProcessPool

from pebble import ProcessExpired, ProcessPool

MAX_CHARS = 1_000
"""A longer answer is refused unread."""
MEMORY_BYTES = 3 << 30
_NAME = re.compile(r"\\?[A-Za-z]+(?:_\{?\w{1,8}\}?)?(?:\([A-Za-z, ]{1,8}\))?'?")
START_S = 60.0
"""Longest wait for the helper's start, which imports sympy: seconds on a busy machine."""

TIMEOUT, FAILED = "latex_timeout", "latex_failed"
NO_VERDICT = frozenset((TIMEOUT, FAILED))


class LatexChecker:
    """Call it with a gold and an answer in LaTeX: "equal", "different", or a word in `NO_VERDICT`.

    The helper starts with the first call. Safe to use from several threads, which then take turns.
    """

    def __init__(self, deadline_s: float = 2.0) -> None:
        if not deadline_s > 0:
            raise ValueError(f"latex_deadline_s must be over 0, not {deadline_s}")
        self.deadline_s = deadline_s
        self._pool: ProcessPool | None = None

    def __call__(self, gold: str, answer: str) -> str:
        if len(answer) > MAX_CHARS:
            return "unparseable"
        try:
            task = (gold, answer, math.ceil(self.deadline_s) + 1)
            future = self._running_pool().schedule(_equal, task, timeout=self.deadline_s)
            return "equal" if future.result(self.deadline_s + START_S) else "different"
        except TimeoutError:
            return TIMEOUT
        except (ProcessExpired, BrokenProcessPool, MemoryError, RecursionError, ValueError):
            return FAILED

    def close(self) -> None:
        """End the helper. A later call starts another one."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    def _running_pool(self) -> ProcessPool:
        if self._pool is None or not self._pool.active:
            self.close()
            spawn = multiprocessing.get_context("spawn")  # the caller has threads: no fork
            self._pool = ProcessPool(1, initializer=_start, context=spawn)
        return self._pool


def _start() -> None:
    """In the helper: math-verify logs whole answers, and warns that its own deadline is off."""
    import math_verify  # noqa: F401  here: sympy stays out of the reward worker

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    logging.getLogger("latex2sympy2_extended").setLevel(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _sides(gold: str, answer: str) -> list[str]:
    """The sides of an equation that must all be the gold, "x" before them being a name. A gold that
    is an equation itself is compared as a whole."""
    sides = answer.split("=")
    if "=" in gold or len(sides) == 1:
        return [answer]
    is_name = _NAME.fullmatch(sides[0].strip().strip("$"))
    return sides[1:] if is_name else sides


def _equal(gold: str, answer: str, seconds: int) -> bool:
    """In the helper: whether two expressions are mathematically the same.

    The alarm ends it after so many seconds should nobody be left to do so.
    """
    from math_verify import parse, verify

    signal.alarm(seconds)
    try:
        wanted, *stated = (
            parse(f"${text.strip().strip('$')}$", fallback_mode="no_fallback", parsing_timeout=None)
            for text in (gold, *_sides(gold, answer))
        )
        if not wanted:
            raise ValueError(f"the gold {gold!r} cannot be read as LaTeX")
        return all(side and verify(wanted, side, timeout_seconds=None) for side in stated)
    finally:
        signal.alarm(0)
