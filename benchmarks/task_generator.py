"""Finance tasks computed from their index, per second of one core."""

from __future__ import annotations

import statistics
import time

from benchmarks.figures import Bound, Figures, Target
from envs.finance import FinanceTasks

TARGET: Target = {
    "level_1_per_s": Bound(">=", 20_000),
    "full_statements_per_s": Bound(">=", 2_000),
}

ROUNDS = 5
FULL_STATEMENTS = 5  # the level


def run() -> Figures:
    """Median of rounds over tasks spread over all ten million, none of them twice."""
    return {
        "level_1_per_s": tasks_per_second(level=1, count=20_000),
        "full_statements_per_s": tasks_per_second(level=FULL_STATEMENTS, count=2_000),
    }


def tasks_per_second(level: int, count: int) -> float:
    """Tasks per second of processor time."""
    tasks = FinanceTasks(levels=(level,))
    stride = len(tasks) // (count * ROUNDS)
    rates = []
    for number in range(ROUNDS):
        first = number * count
        began = time.process_time()
        for index in range(first, first + count):
            tasks[index * stride]
        rates.append(count / (time.process_time() - began))
    return statistics.median(rates)
