"""What the arms of an experiment come to: held-out pass@1 by groups of task sets, tokens and time,
as means over seeds with their intervals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from launch.comparison import Interval, known_mean
from launch.console import clock
from launch.figures import read_evaluations
from rl.jsonl import read_log
from rl.statistics import mean_interval
from rl.tracking import METRICS, TaskResult

MIXED = "mixed"
"""The column of all held-out tasks together."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stood after a stage, START for before the first: tokens generated and seconds of
    training until then, and held-out pass@1 by column, None where no task has a verdict."""

    stage: str
    tokens: int
    seconds: float
    accuracy: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Course:
    """One arm under one seed, from START through all of its stages."""

    arm: str
    seed: int
    standings: tuple[Standing, ...]

    @property
    def end(self) -> Standing:
        return self.standings[-1]


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """An arm over all seeds, at its end. `gain` is its pass@1 less that of the first arm, each seed
    against the same seed; None where a seed has no verdict."""

    stages: tuple[str, ...]
    accuracy: Mapping[str, Interval | None]
    gain: Mapping[str, Interval | None]
    tokens: Interval
    seconds: Interval


def read_course(
    run_dir: Path, arm: str, seed: int, columns: Mapping[str, Collection[str]]
) -> Course:
    """The course of a run from its logs; `columns` are ids of held-out tasks by column. Seconds are
    those of training steps, without evaluation."""
    steps = read_log(run_dir / METRICS)
    standings: list[Standing] = []
    tokens, seconds = 0, 0.0
    for evaluation in (e for e in read_evaluations(run_dir) if not e.step):
        own = [step for step in steps if step["stage"] == evaluation.stage]
        tokens += sum(round(step.get("tokens/generated") or 0) for step in own)
        seconds += sum(step.get("time/step") or 0.0 for step in own)
        results = evaluation.results
        accuracy = {
            column: _pass_at_1([result for result in results if result.task_id in ids])
            for column, ids in columns.items()
        }
        accuracy[MIXED] = _pass_at_1(results)
        standings.append(Standing(evaluation.stage, tokens, seconds, accuracy))
    return Course(arm, seed, tuple(standings))


def _pass_at_1(results: Sequence[TaskResult]) -> float | None:
    shares = [result.num_correct / result.num_samples for result in results]
    return float(np.mean(shares)) if shares else None


def compare_arms(courses: Sequence[Course], first: str) -> dict[str, ArmFigures]:
    """The figures of each arm; `first` is the arm that the others are measured by."""
    base = {course.seed: course.end for course in courses if course.arm == first}
    arms = dict.fromkeys(course.arm for course in courses)
    return {arm: _figures([c for c in courses if c.arm == arm], base) for arm in arms}


def _figures(courses: Sequence[Course], base: Mapping[int, Standing]) -> ArmFigures:
    def gain(course: Course, column: str) -> float | None:
        own, other = course.end.accuracy[column], base[course.seed].accuracy[column]
        return None if own is None or other is None else own - other

    columns = courses[0].end.accuracy
    return ArmFigures(
        stages=tuple(standing.stage for standing in courses[0].standings[1:]),
        accuracy={name: known_mean([c.end.accuracy[name] for c in courses]) for name in columns},
        gain={name: known_mean([gain(c, name) for c in courses]) for name in columns},
        tokens=mean_interval([float(c.end.tokens) for c in courses]),
        seconds=mean_interval([c.end.seconds for c in courses]),
    )


def render_arms(
    title: str,
    seeds: Sequence[int],
    figures: Mapping[str, ArmFigures],
    first: str,
    notes: Sequence[str] = (),
) -> str:
    """The comparison as Markdown."""
    columns = list(figures[first].accuracy)
    number = "seeds" if len(seeds) > 1 else "seed"
    spread = ", mean and 95 % interval (Student's t over seeds)" if len(seeds) > 1 else ""
    header = ["Arm", "Stages", *columns, f"{MIXED}, points against {first}", "Generated tokens"]
    lines = [
        f"# {title}",
        "",
        f"Held-out pass@1; {number} {', '.join(map(str, seeds))}{spread}.",
        "",
        _row([*header, "Training time"]),
        _row(["---"] * (len(header) + 1)),
        *(
            _row(
                [
                    arm,
                    ", ".join(arm_figures.stages),
                    *(_accuracy(arm_figures.accuracy[name]) for name in columns),
                    "" if arm == first else _points(arm_figures.gain[MIXED]),
                    f"{arm_figures.tokens[0]:,.0f}",
                    clock(arm_figures.seconds[0]),
                ]
            )
            for arm, arm_figures in figures.items()
        ),
        "",
        *(line for note in notes for line in (note, "")),
        "![held-out accuracy after each stage](accuracy.png)",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _accuracy(interval: Interval | None) -> str:
    """An interval of two seeds would reach beyond what an accuracy can be."""
    bounded = interval and (interval[0], max(0.0, interval[1]), min(1.0, interval[2]))
    return _interval(bounded, "{:.1%}")


def _points(interval: Interval | None) -> str:
    """Example: "-10.5 (-20.0 to -1.0)", of shares times 100."""
    points = interval and (100 * interval[0], 100 * interval[1], 100 * interval[2])
    return _interval(points, "{:+.1f}")


def _interval(interval: Interval | None, form: str) -> str:
    """Example: "61.0% (58.2% to 63.8%)"; of one seed, which has no interval, the value alone."""
    if interval is None:
        return "no verdict"
    mean, low, high = (form.format(value) for value in interval)
    return mean if interval[1] == interval[2] else f"{mean} ({low} to {high})"
