"""Questions that take a short program: schedules, counts of years, statistics of long lists."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from statistics import median, stdev
from threading import BoundedSemaphore

from envs.draws import Draws, split_of
from envs.simulated.sandbox import SandboxLimits, check_isolation, run_code
from envs.simulated.tasks import Cell, Draft, SimulatedTasks, call, open_tools
from envs.tools import TaskEnv, ToolUnavailable
from envs.types import Env

WAIT_S = 3.0  # for a free place, so that a busy machine is not taken for a slow program


@cache
def places() -> BoundedSemaphore:
    """As many programs at once as there are cores: each keeps one busy."""
    return BoundedSemaphore(os.cpu_count() or 1)


def run_python(code: str) -> str:
    """Run a Python program and read what it prints."""
    if not places().acquire(timeout=WAIT_S):
        raise ToolUnavailable("too many programs are running; try again")
    try:
        return run_code(code, SandboxLimits()) or "no output; print the result"
    finally:
        places().release()


def environment() -> Env:
    """The environment that plays these tasks. Raises MissingCapability without a sandbox."""
    check_isolation()
    return TaskEnv(lambda task: open_tools(task, [run_python]))


class PythonTasks(SimulatedTasks):
    """Questions for a few lines of Python (a `TaskSet`).

    Level 1: savings with monthly payments. Level 2: statistics of a list of 30. Level 3: how long
    until a debt is repaid. Level 4: a loan whose every instalment is rounded to cents. The figures
    alone decide the split.
    """

    NAME = "python"
    CELLS = (
        Cell(1, "savings"),
        Cell(2, "median"),
        Cell(2, "deviation"),
        Cell(3, "payoff"),
        Cell(4, "schedule"),
    )

    def draft(self, cell: Cell, draws: Draws) -> Draft:
        while True:
            made = FAMILIES[cell.family](draws)
            if made is not None and split_of(made[0]) == self.split:
                break
        _, prompt, answer, code = made
        return Draft(prompt, answer, [[call("run_python", code=code)]])


Made = tuple[tuple[float, ...], str, str, str]
"""The figures, the prompt, the answer, and the program that prints it."""


def _savings(draws: Draws) -> Made:
    start, paid = 10 * draws.between(10, 999), 5 * draws.between(2, 99)
    rate, months = draws.between(5, 95), draws.between(13, 120)
    prompt = (
        f"{start} are saved at 0.{rate:02} % a month, and {paid} more are paid in at the end of "
        f"each month. How much is there after {months} months?"
    )
    balance = float(start)
    for _ in range(months):
        balance = balance * (1 + rate / 10_000) + paid
    code = (
        f"balance = {start}\nfor month in range({months}):\n"
        f"    balance = balance * (1 + {rate} / 10000) + {paid}\nprint(round(balance, 2))"
    )
    return (start, paid, rate, months), prompt, f"{round(balance, 2)}", code


def _values(draws: Draws) -> tuple[int, ...]:
    return tuple(draws.between(-500, 999) for _ in range(30))


def _median(draws: Draws) -> Made:
    values = _values(draws)
    prompt = f"What is the median of these daily results: {', '.join(map(str, values))}?"
    code = f"import statistics\nprint(statistics.median({list(values)}))"
    return values, prompt, f"{median(values)}", code


def _deviation(draws: Draws) -> Made:
    values = _values(draws)
    prompt = (
        "What is the sample standard deviation of these daily results: "
        f"{', '.join(map(str, values))}?"
    )
    code = f"import statistics\nprint(round(statistics.stdev({list(values)}), 4))"
    return values, prompt, f"{round(stdev(values), 4)}", code


def _payoff(draws: Draws) -> Made | None:
    debt, rate = 100 * draws.between(20, 999), draws.between(1, 12)
    paid = debt * draws.between(5, 25) // 100
    left, years = float(debt), 0
    while left > 0:
        left, years = left * (1 + rate / 100) - paid, years + 1
        if years > 60:
            return None  # the interest eats the payments up
    prompt = (
        f"A debt of {debt} grows by {rate} % a year, and {paid} are repaid at the end of each year "
        "(less in the last one). How many years does it take to repay it?"
    )
    code = (
        f"debt, years = {debt}, 0\nwhile debt > 0:\n"
        f"    debt = debt * (1 + {rate} / 100) - {paid}\n    years += 1\nprint(years)"
    )
    return (debt, rate, paid), prompt, str(years), code


def _schedule(draws: Draws) -> Made:
    loan, months = 1000 * draws.between(2, 90), draws.between(10, 60)
    basis_points = draws.between(20, 90)
    part = 100 * loan // months  # in cents; the last instalment repays the rest
    left, interest = 100 * loan, 0
    for month in range(months):
        interest += (left * basis_points + 5000) // 10_000
        left -= part if month < months - 1 else left
    prompt = (
        f"A loan of {loan} is repaid in {months} equal monthly instalments of principal, each "
        "rounded down to cents, the last of which repays the rest. At the end of each month, "
        f"before the instalment, 0.{basis_points:02} % interest on what is owed is paid, rounded "
        "half up to cents. How much interest is paid in all?"
    )
    code = (
        f"left, interest, months = {100 * loan}, 0, {months}\npart = left // months\n"
        "for month in range(months):\n"
        f"    interest += (left * {basis_points} + 5000) // 10000\n"
        "    left -= part\nprint(interest / 100)"
    )
    return (loan, months, basis_points), prompt, f"{interest / 100}", code


FAMILIES: Mapping[str, Callable[[Draws], Made | None]] = {
    "savings": _savings,
    "median": _median,
    "deviation": _deviation,
    "payoff": _payoff,
    "schedule": _schedule,
}
