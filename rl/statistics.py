"""Estimates that reports print, with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000

STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t with 1, 2, ... degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over tasks with its interval. Example: `Estimate(0.42, 0.36, 0.48, 200)`."""

    mean: float
    ci_low: float
    ci_high: float
    num_tasks: int


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that k of n samples, drawn without replacement, hold one of the c correct ones.

    1 - C(n - c, k) / C(n, k), the unbiased estimate of pass@k (arXiv 2107.03374, eq. 1), in exact
    integers and one division. Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(
            f"pass_at_k needs 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}; "
            "draw at least k samples a task"
        )
    total = math.comb(n, k)
    return (total - math.comb(n - c, k)) / total


def bootstrap_interval(
    values_per_task: Sequence[float], seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of the mean over tasks.

    Each value belongs to one task (its accuracy over samples, its pass@k, or a difference between
    two models). Whole tasks are drawn with replacement: samples of one task are alike, and
    resampling them one by one would give intervals that are too narrow. The same seed gives the
    same interval. Raises ValueError for no values or a level outside (0, 1).
    """
    if len(values_per_task) == 0:
        raise ValueError("no task to estimate from: the task set is empty or every task failed")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    values = np.asarray(values_per_task, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def estimate(values_per_task: Sequence[float], seed: int, level: float = 0.95) -> Estimate:
    """The mean over tasks with its bootstrap interval; errors as in `bootstrap_interval`."""
    low, high = bootstrap_interval(values_per_task, seed, level)
    return Estimate(float(np.mean(values_per_task)), low, high, len(values_per_task))


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of 1 to 10 independent values, such as one a seed, and its 95 % interval by
    Student's t, which assumes that they are about normal. One value has no interval but itself."""
    assert 1 <= len(values) <= 1 + len(STUDENT_T), f"{len(values)} values"
    mean = float(np.mean(values))
    if len(values) == 1:
        return mean, mean, mean
    margin = STUDENT_T[len(values) - 2] * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - margin, mean + margin
