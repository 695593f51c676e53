"""Training runs compared at equal generated tokens: curves of held-out accuracy, and what it takes
to get as far as the first of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from launch.figures import accuracy_of, read_evaluations, stage_figures
from rl.jsonl import read_log
from rl.statistics import mean_interval
from rl.tracking import METRICS, START

NEAR = 0.01
"""Of an accuracy: as good as there."""

Interval = tuple[float, float, float]
"""Mean over seeds, and its 95 % interval."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One arm under one seed. `accuracy[i]` is held-out pass@1 after `tokens[i]` generated tokens,
    those of a profile included; `gradient_share` the share of tokens whose advantage was not 0."""

    arm: str
    seed: int
    tokens: tuple[int, ...]
    accuracy: tuple[float, ...]
    gradient_share: float
    steps: int

    def reached(self, accuracy: float) -> float | None:
        """Tokens after which the curve, fitted to rise only, has this accuracy; None: never.

        The fit takes out the noise of single evaluations: a lucky one would otherwise count as
        having arrived.
        """
        fitted = isotonic(self.accuracy)
        if fitted[-1] < accuracy:
            return None
        after = int(np.argmax(fitted >= accuracy))
        if after == 0:
            return float(self.tokens[0])
        ends = [after - 1, after]
        return float(np.interp(accuracy, fitted[ends], np.array(self.tokens)[ends]))


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """An arm over all seeds. `token_shares` has, of each seed in order, the tokens that it took to
    the first arm's final accuracy as a share of all tokens of the first arm, None where it never
    came there; `token_share` is their mean, None where one is missing.

    `arrivals` are the stricter measure: the tokens to NEAR of that accuracy by those that the first
    arm itself took to there. A first arm that has long stopped rising flatters `token_shares` only.
    """

    final_accuracy: Interval
    token_share: Interval | None
    token_shares: tuple[float | None, ...]
    arrival: Interval | None
    arrivals: tuple[float | None, ...]
    gradient_share: Interval
    steps: Interval


def read_curves(
    run_dir: Path, seed: int, arms: Sequence[str], spent: Mapping[str, int]
) -> list[Curve]:
    """The curves of a run whose stages are the arms. `spent` are tokens that went to an arm before
    it began; its curve begins with the run's start at 0 tokens all the same."""
    steps, evaluations = read_log(run_dir / METRICS), read_evaluations(run_dir)
    [start] = [accuracy_of(e.results, seed).pass_at_1 for e in evaluations if e.stage == START]
    curves = []
    for arm in arms:
        lines = [line for line in steps if line["stage"] == arm]
        total = list(itertools.accumulate(int(line["tokens/generated"]) for line in lines))
        points = [(0, start or 0.0)]
        for evaluation in (e for e in evaluations if e.stage == arm):
            after = evaluation.step or len(total)
            accuracy = accuracy_of(evaluation.results, seed).pass_at_1
            points.append((spent.get(arm, 0) + total[after - 1], accuracy or 0.0))
        generation = stage_figures(lines, (), seed).generation
        assert generation is not None, f"stage {arm} of {run_dir} generated nothing"
        tokens, accuracies = zip(*points, strict=True)
        curves.append(Curve(arm, seed, tokens, accuracies, generation.gradient_share, len(lines)))
    return curves


def compare(curves: Sequence[Curve]) -> dict[str, ArmFigures]:
    """The figures of each arm; the first curve's arm is what the others are measured by.

    An arm's final accuracy and the accuracy to be reached are the last ones of the curves fitted to
    rise only; each seed is compared with the same seed of the first arm.
    """
    arms = list(dict.fromkeys(curve.arm for curve in curves))
    base = {curve.seed: curve for curve in curves if curve.arm == arms[0]}
    return {arm: _figures([c for c in curves if c.arm == arm], base) for arm in arms}


def _figures(curves: Sequence[Curve], base: Mapping[int, Curve]) -> ArmFigures:
    shares: list[float | None] = []
    arrivals: list[float | None] = []
    for curve in curves:
        reference = base[curve.seed]
        goal = float(isotonic(reference.accuracy)[-1])
        reached, arrived = curve.reached(goal), curve.reached(goal - NEAR)
        shares.append(None if reached is None else reached / reference.tokens[-1])
        own = reference.reached(goal - NEAR)
        arrivals.append(None if arrived is None or not own else arrived / own)
    return ArmFigures(
        final_accuracy=mean_interval([float(isotonic(c.accuracy)[-1]) for c in curves]),
        token_share=known_mean(shares),
        token_shares=tuple(shares),
        arrival=known_mean(arrivals),
        arrivals=tuple(arrivals),
        gradient_share=mean_interval([c.gradient_share for c in curves]),
        steps=mean_interval([float(c.steps) for c in curves]),
    )


def known_mean(values: Sequence[float | None]) -> Interval | None:
    """The mean and its interval, None where a value is missing."""
    known = [value for value in values if value is not None]
    return mean_interval(known) if len(known) == len(values) else None


def isotonic(values: Sequence[float]) -> NDArray[np.float64]:
    """The rising sequence nearest to `values` by least squares (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []  # (sum, count)
    for value in values:
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            (last, m), (previous, n) = blocks.pop(), blocks.pop()
            blocks.append((previous + last, n + m))
    return np.concatenate([np.full(count, total / count) for total, count in blocks])


def mean_curve(
    curves: Sequence[Curve], num_points: int = 60
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tokens [P] and mean accuracy with its interval [P, 3], as far as all the curves go."""
    tokens = np.linspace(0.0, min(curve.tokens[-1] for curve in curves), num_points)
    values = np.array([np.interp(tokens, c.tokens, c.accuracy) for c in curves])
    return tokens, np.array([mean_interval(column.tolist()) for column in values.T])
