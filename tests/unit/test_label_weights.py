"""Label weights against the formulas worked out by hand, and what must hold of any of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from envs.types import Task
from rl.curriculum import Mixture
from rl.label_weights import LabelWeights, label_of, label_shares, pass_at_10_by_label
from tests.fakes import labelled_task

TINY = 1e-12  # a floor that no label lies at
EVEN = {"a": 10.0, "b": 10.0}


def weights(
    shares_of: Mapping[str, float], now: dict[str, float], **given: Any
) -> dict[str, float]:
    made = LabelWeights(shares_of, given.pop("reference", {}), **{"floor": TINY, **given})
    made.update(now)
    return made.weights


def test_a_label_is_scene_and_task_whatever_the_level() -> None:
    assert label_of({"scene": "banking", "task": "change", "level": "2"}) == "banking/change"
    assert label_of({"source": "tatqa", "task": "count", "level": "unrated"}) == "tatqa/count"
    assert label_of({}) == ""


def test_pass_at_10_of_a_label_is_the_mean_over_its_tasks() -> None:
    results = [
        ({"scene": "x", "level": "1"}, 10, 1),
        ({"scene": "x", "level": "2"}, 10, 0),
        ({"scene": "y", "level": "1"}, 20, 1),
        ({"scene": "z", "level": "1"}, 0, 0),  # faults left no answer
    ]
    assert pass_at_10_by_label(results) == pytest.approx({"x": 0.5, "y": 0.5})


def test_weights_follow_the_formula() -> None:
    """raw(a) = 1 (1 - 0.9) + 0.2 = 0.3, raw(b) = 1 (1 - 0.3) + 0.2 = 0.9; their mean is 0.6."""
    assert weights(EVEN, {"a": 0.9, "b": 0.3}) == pytest.approx({"a": 0.5, "b": 1.5})


def test_being_behind_a_reference_weighs_more_and_being_ahead_does_not() -> None:
    """raw(a) = 0.5 + 2 (0.8 - 0.5) = 1.1, raw(b) = 0.5: ahead of its reference."""
    now, reference = {"a": 0.5, "b": 0.5}, {"a": 0.8, "b": 0.1}
    found = weights(EVEN, now, reference=reference, beta=2.0, gamma=0.0)
    assert found == pytest.approx({"a": 2 * 1.1 / 1.6, "b": 2 * 0.5 / 1.6})


def test_the_mean_is_over_tasks_not_over_labels() -> None:
    found = weights({"a": 30, "b": 10}, {"a": 0.9, "b": 0.3})
    assert found == pytest.approx({"a": 0.3 / 0.45, "b": 0.9 / 0.45})


def test_updates_are_smoothed_and_the_first_one_counts_in_full() -> None:
    made = LabelWeights(EVEN, {}, gamma=0.0, smoothing=0.75, floor=TINY)
    made.update({"a": 0.5, "b": 0.5})
    made.update({"a": 0.1, "b": 0.5})  # a: 0.75 * 0.5 + 0.25 * 0.9 = 0.6
    assert made.weights == pytest.approx({"a": 2 * 0.6 / 1.1, "b": 2 * 0.5 / 1.1})


def test_the_floor_holds_after_normalising() -> None:
    """Raw 0.1 and 1.1 would be 1/6 and 11/6."""
    assert weights(EVEN, {"a": 1.0, "b": 0.0}, gamma=0.1, floor=0.25) == pytest.approx(
        {"a": 0.25, "b": 1.75}
    )


def test_what_was_not_measured_weighs_as_the_mean_and_strangers_are_ignored() -> None:
    found = weights({"a": 10, "b": 10, "c": 10}, {"a": 0.9, "b": 0.3, "nobody": 0.0})
    assert found == pytest.approx({"a": 0.5, "b": 1.5, "c": 1.0})
    assert weights(EVEN, {}) == {"a": 1.0, "b": 1.0}
    assert weights(EVEN, {"a": 1.0, "b": 1.0}, gamma=0.0) == {"a": 1.0, "b": 1.0}


def test_a_task_has_the_weight_of_its_label() -> None:
    made = LabelWeights({"banking/change": 1, "funds/ratio": 1}, {}, floor=TINY)
    assert made.of(labelled_task("t", scene="banking", task="change", level="3")) == 1.0
    made.update({"banking/change": 0.9, "funds/ratio": 0.3})
    assert made.of(labelled_task("t", scene="banking", task="change", level="3")) == 0.5
    assert made.of(labelled_task("t", scene="elsewhere", task="change")) == 1.0
    assert made.metrics() == pytest.approx({"label_weight/min": 0.5, "label_weight/max": 1.5})


class Labelled:
    """A set of tasks with one label each, all of level 1 or 2."""

    def __init__(self, *names: str) -> None:
        self.names, self.fingerprint = names, "labelled"

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Task:
        return labelled_task(str(index), scene=self.names[index], level=str(index % 2))


def test_shares_are_those_of_draws() -> None:
    """Set one has a quarter of the draws, all of x; half of the other set's tasks are x."""
    mixture = Mixture(
        {"one": Labelled("x", "x"), "two": Labelled("x", "y", "y", "x")}, {"one": 1.0, "two": 3.0}
    )
    assert label_shares(mixture) == pytest.approx({"x": 1 / 4 + 3 / 8, "y": 3 / 8})


def test_a_measure_by_level_counts_for_the_label() -> None:
    """raw(a) = 1 - (0.8 + 0.4) / 2 = 0.4, raw(b/c) = 0.6."""
    made = LabelWeights({"a": 1.0, "b/c": 1.0}, {}, gamma=0.0, floor=TINY)
    made.update({"a/1": 0.8, "a/2": 0.4, "b/c/1": 0.4, "d/1": 0.0, "b": 0.0})
    assert made.weights == pytest.approx({"a": 0.8, "b/c": 1.2})


shares = st.floats(0, 1)


@given(
    shares_of=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 1000), min_size=1),
    rounds=st.lists(st.dictionaries(st.sampled_from("abcdefg"), shares), max_size=4),
    reference=st.dictionaries(st.sampled_from("abcdef"), shares),
    floor=st.floats(0.001, 0.95),
    gamma=st.floats(0, 1),
)
def test_the_mean_is_1_the_floor_holds_and_worse_labels_never_weigh_less(
    shares_of: dict[str, float],
    rounds: list[dict[str, float]],
    reference: dict[str, float],
    floor: float,
    gamma: float,
) -> None:
    made = LabelWeights(shares_of, reference, floor=floor, gamma=gamma, smoothing=0.0)
    again = LabelWeights(shares_of, reference, floor=floor, gamma=gamma, smoothing=0.0)
    for now in rounds:
        made.update(now)
        again.restore(json.loads(json.dumps(made.state())))
        assert again.weights == made.weights, "a resumed run goes on with the very same weights"
        mean = sum(n * made.weights[label] for label, n in shares_of.items())
        assert mean == pytest.approx(sum(shares_of.values()))
        assert min(made.weights.values()) >= floor
        assume(gamma > 0.01)
        known = [label for label in now if label in shares_of]
        for worse in known:
            for better in known:
                behind = reference.get(worse, 0.0) >= reference.get(better, 0.0)
                if now[worse] <= now[better] and behind:
                    assert made.weights[worse] >= made.weights[better] - 1e-12


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"alpha": -1.0}, "alpha must be at least 0, is -1"),
        ({"gamma": float("nan")}, "gamma must be at least 0"),
        ({"smoothing": 1.0}, "smoothing must be at least 0 and under 1"),
        ({"floor": 1.5}, "floor must be over 0 and under 1, is 1.5"),
        ({"floor": 0.0}, "floor must be over 0"),
    ],
)
def test_constants_that_give_no_weights_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LabelWeights(EVEN, {}, **wrong)
