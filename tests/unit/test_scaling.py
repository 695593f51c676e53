"""The scaling policy: who waits for whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.scaling import STEPS, Measure, Scaler, decide

SLOW_ROLLOUTS = Measure(learner_waits=0.8, workers_idle=0.05)
SLOW_LEARNER = Measure(learner_waits=0.0, workers_idle=0.7)
BALANCED = Measure(learner_waits=0.3, workers_idle=0.3)


@pytest.mark.parametrize(
    ("measures", "wanted"),
    [
        ([SLOW_ROLLOUTS] * STEPS, 4),
        ([SLOW_LEARNER] * STEPS, 2),
        ([BALANCED] * STEPS, 3),
        ([SLOW_ROLLOUTS] * (STEPS - 1), 3),
        ([SLOW_ROLLOUTS, SLOW_LEARNER, SLOW_ROLLOUTS], 3),
        ([Measure(0.9, 0.6)] * STEPS, 2),  # both wait, for a straggler: more workers do not help
        ([SLOW_LEARNER] * 9 + [SLOW_ROLLOUTS] * STEPS, 4),
    ],
)
def test_several_steps_must_agree(measures: list[Measure], wanted: int) -> None:
    assert decide(measures, workers=3, fewest=1, most=8) == wanted


@given(
    measures=st.lists(st.builds(Measure, st.floats(0, 1), st.floats(0, 1)), max_size=9),
    fewest=st.integers(1, 4),
    workers=st.integers(1, 8),
    most=st.integers(4, 8),
)
def test_one_at_a_time_and_within_the_bounds(
    measures: list[Measure], fewest: int, workers: int, most: int
) -> None:
    workers = min(max(workers, fewest), most)
    wanted = decide(measures, workers, fewest, most)
    assert abs(wanted - workers) <= 1
    assert fewest <= wanted <= most


def test_after_a_change_it_measures_anew() -> None:
    scaler, workers, sizes = Scaler(1, 8), 1, []
    for _ in range(7):
        for _ in range(5):
            scaler.sample(idle=0, serving=workers)
        workers = scaler.step_done({"time/step": 10.0, "time/train": 1.0}, workers)
        sizes.append(workers)
    assert sizes == [1, 1, 2, 2, 2, 3, 3]


def test_a_step_without_a_sample_says_nothing() -> None:
    scaler = Scaler(1, 8)
    scaler.sample(idle=0, serving=0)
    for _ in range(2 * STEPS):
        assert scaler.step_done({"time/step": 10.0}, 2) == 2
