"""What few samples say about how often a task is solved: pass rate, pass@10, and how sure we are.

The prior is Beta(1, 1): every pass rate is as likely as any other. It is the weakest prior under
which one group proves nothing (8 of 8 gives a mean of 0.9 and a lower bound of 0.72, 0 of 8 a mean
of 0.1 and an upper bound of 0.28), so that mastery and hopelessness take a second visit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rl.statistics import pass_at_k

K = 10  # of pass@10
TAIL = 0.05  # outside each bound: the interval from lower to upper holds 90%
BINS = 12  # of pass rates
_HALVINGS = 40  # of the unit interval: bounds are exact to 1e-12


@dataclass(frozen=True, slots=True)
class TaskEstimate:
    """What n samples with c passes say about one task. Bounds leave TAIL outside on their side."""

    pass_rate: float
    lower: float
    upper: float
    pass_at_10: float
    pass_at_10_lower: float
    pass_at_10_upper: float


def estimate_task(samples: int, correct: int) -> TaskEstimate:
    """Posterior mean and bounds of the pass rate, and pass@10 with the bounds that follow from it.

    Example: `estimate_task(8, 8).lower` is 0.717, the 5% quantile of Beta(9, 1).
    """
    lower = float(quantiles(samples, TAIL)[correct])
    upper = float(quantiles(samples, 1 - TAIL)[correct])
    return TaskEstimate(
        pass_rate=(1 + correct) / (2 + samples),
        lower=lower,
        upper=upper,
        pass_at_10=estimate_pass_at_10(samples, correct),
        pass_at_10_lower=1 - (1 - lower) ** K,
        pass_at_10_upper=1 - (1 - upper) ** K,
    )


def estimate_pass_at_10(samples: int, correct: int) -> float:
    """The unbiased estimate where there are ten samples, else the posterior's expectation.

    For Beta(a, b) the chance that ten further samples all fail is the product of
    (b + i) / (a + b + i) over i = 0 .. 9.
    """
    if samples >= K:
        return pass_at_k(samples, correct, K)
    a, b = 1 + correct, 1 + samples - correct
    return 1 - math.prod((b + i) / (a + b + i) for i in range(K))


def bin_of(samples: int, correct: int) -> int:
    """The bin, of BINS equal ones, that the posterior mean of the pass rate lies in."""
    return (1 + correct) * BINS // (2 + samples)


@cache
def quantiles(samples: int, q: float) -> NDArray[np.float64]:
    """The q quantile of the posterior Beta(1 + c, 1 + n - c) for every c from 0 to n: [n + 1].

    Found by halving: the chance that a Beta(1 + c, 1 + n - c) variable is at most x is the chance
    of more than c heads in n + 1 throws of a coin that shows heads with chance x.
    """
    throws = samples + 1
    heads = np.arange(throws + 1)
    logs = np.array([math.lgamma(i + 1) for i in range(throws + 1)])
    log_ways = logs[throws] - logs - logs[::-1]
    low, high = np.zeros(throws), np.ones(throws)
    rows = np.arange(throws)
    for _ in range(_HALVINGS):
        x = (low + high)[:, None] / 2
        chances = np.exp(log_ways + heads * np.log(x) + (throws - heads) * np.log1p(-x))
        at_most = 1 - np.cumsum(chances, axis=1)[rows, rows]
        under = at_most < q
        low, high = np.where(under, x[:, 0], low), np.where(under, high, x[:, 0])
    return (low + high) / 2
