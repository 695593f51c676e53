"""Estimates of pass rates against brute force."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.estimates import BINS, TAIL, bin_of, estimate_pass_at_10, estimate_task, quantiles
from rl.statistics import pass_at_k

GRID = np.linspace(0, 1, 200_001)


def posterior(samples: int, correct: int) -> tuple[np.ndarray, np.ndarray]:
    """The density of Beta(1 + c, 1 + n - c) on a grid, and its integral, by the trapezoid rule."""
    density = GRID**correct * (1 - GRID) ** (samples - correct)
    steps = (density[1:] + density[:-1]) / 2
    mass = np.concatenate(([0.0], np.cumsum(steps)))
    return density / steps.sum(), mass / mass[-1]


COUNTS = st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(COUNTS)
def test_bounds_leave_their_tail_outside(counts: tuple[int, int]) -> None:
    estimate = estimate_task(*counts)
    _, mass = posterior(*counts)
    assert np.interp(estimate.lower, GRID, mass) == pytest.approx(TAIL, abs=1e-4)
    assert np.interp(estimate.upper, GRID, mass) == pytest.approx(1 - TAIL, abs=1e-4)
    assert estimate.lower < estimate.pass_rate < estimate.upper
    assert estimate.pass_at_10_lower == pytest.approx(1 - (1 - estimate.lower) ** 10)
    assert estimate.pass_at_10_upper == pytest.approx(1 - (1 - estimate.upper) ** 10)


@given(COUNTS)
def test_pass_at_10_is_unbiased_from_ten_samples_and_the_posteriors_mean_below(
    counts: tuple[int, int],
) -> None:
    samples, correct = counts
    if samples >= 10:
        assert estimate_pass_at_10(samples, correct) == pass_at_k(samples, correct, 10)
        return
    density, _ = posterior(samples, correct)
    expected = (density * (1 - (1 - GRID) ** 10)).sum()
    assert estimate_pass_at_10(samples, correct) == pytest.approx(expected, abs=1e-4)


def test_one_group_of_eight_proves_nothing_and_two_do() -> None:
    assert estimate_task(8, 8).lower == pytest.approx(0.05 ** (1 / 9))
    assert estimate_task(8, 8).lower < 0.8 < estimate_task(16, 16).lower
    assert estimate_task(16, 0).upper < 0.2 < estimate_task(8, 0).upper


def test_bounds_of_the_largest_counts_are_exact() -> None:
    bounds = quantiles(1020, TAIL)
    assert np.all(np.diff(bounds) > 0)
    assert bounds[1020] == pytest.approx(0.05 ** (1 / 1021))
    assert bounds[0] == pytest.approx(1 - 0.95 ** (1 / 1021))


@given(COUNTS)
def test_a_bin_holds_the_posterior_mean(counts: tuple[int, int]) -> None:
    samples, correct = counts
    assert bin_of(samples, correct) == math.floor(Fraction(1 + correct, 2 + samples) * BINS)
