from itertools import combinations

import numpy as np
import pytest

from rl.statistics import bootstrap_interval, estimate, pass_at_k


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_against_every_draw(n: int) -> None:
    for c in range(n + 1):
        samples = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            draws = [any(draw) for draw in combinations(samples, k)]
            assert pass_at_k(n, c, k) == pytest.approx(np.mean(draws), rel=1e-12)


def test_pass_at_one_is_the_accuracy() -> None:
    assert pass_at_k(10, 3, 1) == 0.3


def test_pass_at_k_is_exact_for_large_counts() -> None:
    assert pass_at_k(100_000, 1, 1) == 1e-5
    assert pass_at_k(100_000, 1, 50_000) == 0.5
    assert pass_at_k(100_000, 60_000, 50_000) == 1.0


@pytest.mark.parametrize(("n", "c", "k"), [(4, 1, 5), (4, 5, 1), (4, -1, 1), (4, 1, 0), (0, 0, 1)])
def test_pass_at_k_refuses_impossible_counts(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="draw at least k samples"):
        pass_at_k(n, c, k)


def test_bootstrap_is_deterministic_in_the_seed() -> None:
    values = np.random.default_rng(0).random(50)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_bootstrap_agrees_with_the_normal_interval_of_many_tasks() -> None:
    values = np.random.default_rng(1).binomial(10, 0.3, size=400) / 10
    low, high = bootstrap_interval(values, seed=0)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_samples_of_one_task_do_not_narrow_the_interval() -> None:
    # 40 tasks, all of whose samples agree: the interval is that of 40 values, however many samples.
    values = [1.0] * 20 + [0.0] * 20
    low, high = bootstrap_interval(values, seed=0)
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(40), rel=0.15)


def test_a_higher_level_is_wider() -> None:
    values = np.random.default_rng(2).random(60)
    narrow, wide = bootstrap_interval(values, 0, level=0.5), bootstrap_interval(values, 0, 0.99)
    assert wide[0] < narrow[0] < np.mean(values) < narrow[1] < wide[1]


def test_estimate_carries_mean_interval_and_count() -> None:
    result = estimate([0.0, 1.0, 1.0, 0.5], seed=7)
    assert (result.mean, result.num_tasks) == (0.625, 4)
    assert (result.ci_low, result.ci_high) == bootstrap_interval([0.0, 1.0, 1.0, 0.5], seed=7)
    assert estimate([0.25] * 5, seed=0).ci_low == 0.25


@pytest.mark.parametrize(("values", "level"), [([], 0.95), ([1.0], 0.0), ([1.0], 1.0)])
def test_bootstrap_refuses_nonsense(values: list[float], level: float) -> None:
    with pytest.raises(ValueError, match=r"no task|between 0 and 1"):
        bootstrap_interval(values, seed=0, level=level)
