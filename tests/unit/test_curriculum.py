"""Which task comes next."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.curriculum import Mixture, UniformCurriculum
from tests.fakes import NumberedTasks


def draws(curriculum: UniformCurriculum, count: int) -> list[tuple[int, int]]:
    return [(d.index, d.visit) for d in (curriculum.next() for _ in range(count))]


@given(size=st.integers(1, 40), seed=st.integers(0, 1000), rounds=st.integers(1, 4))
def test_every_task_comes_once_before_any_comes_again(size: int, seed: int, rounds: int) -> None:
    drawn = draws(UniformCurriculum([size], [1.0], seed), size * rounds)
    for number in range(rounds):
        visit = drawn[number * size : (number + 1) * size]
        assert sorted(visit) == [(index, number) for index in range(size)]


def test_each_round_and_each_seed_has_an_order_of_its_own() -> None:
    drawn = draws(UniformCurriculum([100], [1.0], 17), 200)
    other = draws(UniformCurriculum([100], [1.0], 18), 100)
    orders = [[index for index, _ in part] for part in (drawn[:100], drawn[100:], other)]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != sorted(orders[0])


@given(
    weights=st.lists(st.floats(0.05, 10), min_size=1, max_size=4),
    sizes=st.lists(st.integers(1, 30), min_size=4, max_size=4),
    count=st.integers(1, 150),
)
def test_sets_are_drawn_in_proportion_to_their_weights(
    weights: list[float], sizes: list[int], count: int
) -> None:
    sizes = sizes[: len(weights)]
    drawn = draws(UniformCurriculum(sizes, weights, 1), count)
    ends = np.cumsum(sizes)
    sets = np.searchsorted(ends, [index for index, _ in drawn], side="right")
    shares = np.array(weights) / sum(weights)
    counts = np.bincount(sets, minlength=len(sizes))
    assert np.all(np.abs(counts - shares * count) < len(weights))


@given(before=st.integers(0, 80), after=st.integers(1, 80))
def test_a_restored_curriculum_goes_on_as_the_first_would(before: int, after: int) -> None:
    sizes, weights = [7, 20], [1.0, 3.0]
    through = UniformCurriculum(sizes, weights, 5)
    draws(through, before)
    again = UniformCurriculum(sizes, weights, 5)
    again.restore(through.state())
    assert draws(again, after) == draws(through, after)


def test_a_state_is_a_copy() -> None:
    curriculum = UniformCurriculum([5], [1.0], 0)
    state = curriculum.state()
    curriculum.next()
    assert state == {"counts": [0]}


def test_a_mixture_runs_through_its_sets() -> None:
    mixture = Mixture(
        {"a": NumberedTasks(2, "a"), "b": NumberedTasks(3, "b")}, {"b": 2.0, "a": 1.0}
    )
    assert [mixture[i].id for i in range(len(mixture))] == ["a/0", "a/1", "b/0", "b/1", "b/2"]
    assert mixture.weights == [1.0, 2.0]
    assert mixture.fingerprints == {"a": "a-2", "b": "b-3"}
    for index in (-1, 5):
        with pytest.raises(IndexError):
            mixture[index]
