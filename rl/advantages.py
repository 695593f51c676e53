"""From the rewards of a group to one advantage per sample.

Rewards are those of one group's samples that have a verdict; samples without one are left out
before. A group whose rewards are all equal, or that has one sample, gets zeros: it says nothing
about which answer is better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from configs.registry import ADVANTAGES, resolve

Estimator = Callable[[list[float]], list[float]]

SMALLEST_STD = 1e-6
"""Rewards that spread less are equal: a judge's floats may differ in their last bits."""


def grpo(rewards: list[float]) -> list[float]:
    """(r - mean) / std (GRPO, arXiv 2402.03300, section 4.1.2).

    std is that of these rewards (the population formula), so that advantages have variance 1.
    Code that divides by the sample estimate gets values smaller by sqrt((n - 1) / n).
    """
    r = np.asarray(rewards, dtype=np.float64)
    std = r.std()
    if std < SMALLEST_STD:
        return [0.0] * len(r)
    advantages: list[float] = ((r - r.mean()) / std).tolist()
    return advantages


def dr_grpo(rewards: list[float]) -> list[float]:
    """r - mean: no division by std, which overweights questions that are nearly always or nearly
    never solved (Dr. GRPO, arXiv 2503.20783, section 3)."""
    r = np.asarray(rewards, dtype=np.float64)
    advantages: list[float] = (r - r.mean()).tolist()
    return advantages


def rloo(rewards: list[float]) -> list[float]:
    """r minus the mean of the *other* samples (RLOO, arXiv 2402.14740, section 3.2).

    Written as n / (n - 1) * (r - mean), which is the same number.
    """
    r = np.asarray(rewards, dtype=np.float64)
    advantages: list[float] = ((r - r.mean()) * len(r) / max(len(r) - 1, 1)).tolist()
    return advantages


def reinforce_pp(rewards: list[float]) -> list[float]:
    """r - mean of the group; the second half of the method, division by the standard deviation of
    the whole batch, is `normalize_batch` (REINFORCE++ with baseline, arXiv 2501.03262)."""
    return dr_grpo(rewards)


def normalize_batch(groups: Sequence[list[float]]) -> list[list[float]]:
    """(a - mean) / std over all samples of all groups of a step; each sample counts once, whatever
    its length."""
    flat = np.concatenate([np.zeros(0), *groups])
    std = flat.std() if len(flat) else 0.0
    if std < SMALLEST_STD:
        return [[0.0] * len(group) for group in groups]
    mean = flat.mean()
    return [((np.asarray(group) - mean) / std).tolist() for group in groups]


def batch_advantages(rewards: Sequence[list[float]], name: str) -> list[list[float]]:
    """Advantages of every sample of a step: `rewards[g][i]` is the reward of sample i of group g.

    `name` is a built-in or the import path of a function from one group's rewards to its
    advantages. Estimators look at one group at a time; reinforce_pp alone also needs the batch, so
    it is normalised here, over the groups that are trained. Raises ConfigError for an unknown name.
    """
    estimator: Estimator = resolve(name, ADVANTAGES, "algorithm.advantage")
    advantages = [estimator(group) for group in rewards]
    return normalize_batch(advantages) if estimator is reinforce_pp else advantages


def overlong_penalty(length: int, max_tokens: int, buffer: int) -> float:
    """What is added to the reward of an answer of `length` tokens (DAPO, arXiv 2503.14476, eq. 13).

    0 up to `max_tokens - buffer`, then falling linearly to -1 at `max_tokens`; always 0 with
    `buffer` 0.
    """
    if buffer == 0:
        return 0.0
    return min(0.0, max(-1.0, (max_tokens - buffer - length) / buffer))
