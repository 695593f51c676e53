"""Estimates that reports print, with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000


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
