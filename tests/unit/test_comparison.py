"""Arms at equal tokens: curves from logs, isotonic fits, and shares of tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.comparison import Curve, compare, isotonic, mean_curve, read_curves
from launch.curriculum_plots import draw_curves
from rl.statistics import mean_interval
from rl.tracking import START, EvaluationRecord, FileTracker, StepRecord, TaskResult


def curve(arm: str, *points: tuple[int, float], seed: int = 1) -> Curve:
    tokens, accuracy = zip(*points, strict=True)
    return Curve(arm, seed, tokens, accuracy, gradient_share=0.5, steps=len(points))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_isotonic_is_the_nearest_rising_sequence(values: list[float]) -> None:
    fitted = isotonic(values)
    assert np.all(np.diff(fitted) >= -1e-12)
    assert fitted.mean() == pytest.approx(np.mean(values))
    # Pooled adjacent violators by their closed form: min over ends of max over beginnings.
    n = len(values)
    expected = [
        min(max(float(np.mean(values[a : b + 1])) for a in range(i + 1)) for b in range(i, n))
        for i in range(n)
    ]
    assert fitted == pytest.approx(expected)


def test_a_lucky_evaluation_is_no_arrival() -> None:
    lucky = curve("a", (0, 0.1), (10, 0.6), (20, 0.2), (30, 0.3), (40, 0.6))
    assert lucky.reached(0.5) == pytest.approx(30 + 10 * (0.5 - 1.1 / 3) / (0.6 - 1.1 / 3))
    assert lucky.reached(0.7) is None
    assert lucky.reached(0.05) == 0


def test_each_seed_is_measured_by_its_own_first_arm() -> None:
    curves = [
        curve("uniform", (0, 0.0), (100, 0.4), seed=1),
        curve("uniform", (0, 0.0), (200, 0.2), seed=2),
        curve("better", (0, 0.0), (100, 0.8), seed=1),
        curve("better", (0, 0.0), (200, 0.8), seed=2),
        curve("worse", (0, 0.0), (100, 0.4), seed=1),
        curve("worse", (0, 0.0), (200, 0.1), seed=2),
    ]
    figures = compare(curves)
    assert list(figures) == ["uniform", "better", "worse"]
    assert figures["uniform"].token_shares == (1.0, 1.0)
    assert figures["better"].token_shares == (0.5, 0.25)
    assert figures["better"].token_share == pytest.approx(mean_interval([0.5, 0.25]))
    assert figures["uniform"].arrivals == (1.0, 1.0)
    assert figures["better"].arrivals == pytest.approx((0.39 / 0.8 / 0.975, 0.19 / 0.8 / 0.95))
    assert figures["better"].final_accuracy[0] == pytest.approx(0.8)
    assert figures["worse"].token_shares == (1.0, None)
    assert figures["worse"].token_share is None
    tokens, values = mean_curve([c for c in curves if c.arm == "better"])
    assert (tokens[0], tokens[-1]) == (0, 100)
    assert values[-1][0] == pytest.approx(0.6)
    assert draw_curves(curves).axes


def test_curves_come_from_the_logs(tmp_path: Path) -> None:
    tracker = FileTracker(tmp_path)

    def step(stage: str, number: int, generated: int) -> None:
        metrics = {
            "tokens/generated": float(generated),
            "tokens/trained": float(generated),
            "tokens/gradient": generated / 4,
            "time/step": 1.0,
        }
        tracker.log_step(StepRecord(stage, "rl", number, 9, number, metrics))

    def evaluation(stage: str, correct: int, after: int = 0) -> None:
        result = TaskResult("t/1", {}, True, 10, correct, False, 30, 1.0)
        tracker.log_evaluation(EvaluationRecord(stage, 0, 1.0, (result,), step=after))

    evaluation(START, 1)
    step("uniform", 1, 100)
    evaluation("uniform", 2, after=1)
    step("uniform", 2, 50)
    evaluation("uniform", 3)
    step("pass_rate", 1, 70)
    evaluation("pass_rate", 9)
    tracker.close()
    uniform, full = read_curves(tmp_path, 5, ["uniform", "pass_rate"], {"pass_rate": 40})
    assert (uniform.tokens, uniform.accuracy) == ((0, 100, 150), (0.1, 0.2, 0.3))
    assert (full.tokens, full.accuracy) == ((0, 110), (0.1, 0.9))
    assert (full.steps, full.gradient_share, full.seed) == (1, 0.25, 5)


def test_intervals_are_students() -> None:
    assert mean_interval([3.0]) == (3.0, 3.0, 3.0)
    mean, low, high = mean_interval([1.0, 2.0, 3.0])
    assert (mean, low, high) == pytest.approx((2.0, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))
    with pytest.raises(AssertionError):
        mean_interval([])
