"""Figures of the curriculum: the picture of one run, and arms compared. They compute nothing."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from launch.arm_figures import Course
from launch.comparison import Curve, isotonic, known_mean, mean_curve
from launch.curriculum import Picture, slices
from launch.plots import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    add_legend,
    new_figure,
    style_axes,
)
from rl.pool_state import Summary
from rl.pools import MOVES, POOLS
from rl.tracking import START

POOL_COLOURS = dict(zip(POOLS, (GREY, ORANGE, GREEN, RED), strict=True))
MOVE_COLOURS = dict(zip(MOVES, (GREEN, RED, PURPLE, SKY), strict=True))
MOST_LABELS = 40
"""Rows of the picture of pass rates; where there are more labels it has those of each value."""

ARM_COLOURS = (GREY, ORANGE, SKY, BLUE, GREEN, PURPLE, RED)
COURSE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)


def draw_curves(curves: Sequence[Curve]) -> Figure:
    """Held-out accuracy against generated tokens: each arm's mean over seeds with its interval and,
    thin, each seed; dashed, what the first arm comes to."""
    figure, axes = new_figure("Held-out accuracy against generated tokens", "held-out pass@1")
    by_arm: dict[str, list[Curve]] = {}
    for curve in curves:
        by_arm.setdefault(curve.arm, []).append(curve)
    for (arm, of_arm), colour in zip(by_arm.items(), ARM_COLOURS, strict=False):
        for curve in of_arm:
            axes.plot(curve.tokens, curve.accuracy, color=colour, linewidth=0.7, alpha=0.5)
        tokens, values = mean_curve(of_arm)
        axes.plot(tokens, values[:, 0], color=colour, linewidth=2.2, label=_arm_name(arm), zorder=4)
        if len(of_arm) > 1:
            axes.fill_between(tokens, values[:, 1], values[:, 2], color=colour, alpha=0.12, lw=0)
    first = next(iter(by_arm.values()))
    final = sum(float(isotonic(curve.accuracy)[-1]) for curve in first) / len(first)
    axes.axhline(final, color=GREY, linewidth=1, linestyle="--")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _token_axis(axes)
    axes.set_xlim(left=0)
    add_legend(axes)
    return figure


def draw_courses(courses: Sequence[Course]) -> Figure:
    """Held-out accuracy after each stage of each arm against the tokens generated until then, means
    over seeds beside each seed; a panel for each column."""
    columns = list(courses[0].end.accuracy)
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = Figure(figsize=(1 + 4 * len(columns), 4.5), layout=layout)
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    by_arm: dict[str, list[Course]] = {}
    for course in courses:
        by_arm.setdefault(course.arm, []).append(course)
    colours = dict(zip(by_arm, itertools.cycle(COURSE_COLOURS)))
    stages = dict.fromkeys(point.stage for course in courses for point in course.standings)
    markers = dict(zip(stages, itertools.cycle("osD^vP*X")))
    for axes, column in zip(panels, columns, strict=True):
        style_axes(axes, column, "")
        for arm, of_arm in by_arm.items():
            _draw_course(axes, of_arm, column, colours[arm], markers)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        _token_axis(axes)
    panels[0].set_ylabel("held-out pass@1")
    lines = [Line2D([], [], color=c, lw=2, label=_arm_name(arm)) for arm, c in colours.items()]
    points = [
        Line2D([], [], color=GREY, marker=marker, ls="", label=_stage_label(stage))
        for stage, marker in markers.items()
    ]
    figure.legend(handles=[*lines, *points], loc="outside lower left", frameon=False, ncols=8)
    return figure


def _draw_course(
    axes: Axes, courses: Sequence[Course], column: str, colour: str, markers: Mapping[str, str]
) -> None:
    """One arm: a line through its stages with their markers, means over seeds, and a thin one for
    each seed. A stage after which a seed has no verdict is left out."""
    known = []
    for points in zip(*(course.standings for course in courses), strict=True):
        interval = known_mean([point.accuracy[column] for point in points])
        if interval is not None:
            tokens = float(np.mean([point.tokens for point in points]))
            known.append((points[0].stage, tokens, interval[0]))
    axes.plot([k[1] for k in known], [k[2] for k in known], color=colour, linewidth=2)
    for stage, tokens, mean in known:
        axes.plot(tokens, mean, color=colour, marker=markers[stage], zorder=5)
    for course in courses if len(courses) > 1 else ():
        seed = [(p.tokens, p.accuracy[column]) for p in course.standings]
        seed = [(tokens, accuracy) for tokens, accuracy in seed if accuracy is not None]
        axes.plot(*zip(*seed, strict=True), color=colour, linewidth=1, alpha=0.35)


def _stage_label(stage: str) -> str:
    return "before" if stage == START else f"after {_arm_name(stage)}"


def _arm_name(arm: str) -> str:
    return arm.replace("_", " ")


def _token_axis(axes: Axes) -> None:
    axes.set_xlabel("generated tokens", loc="right")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _short(value: float) -> str:
    """Example: 250,000 -> "250k", 1,200,000 -> "1.2M"."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def draw_picture(picture: Picture) -> Figure:
    """The curriculum of a run: pass rates by label, with the pools beside them, for each task set;
    below, how pools, moves and the band went over the steps."""
    sets = [(summary, _rows(summary)) for summary in picture.summaries]
    heights = [max(1.6, 0.4 + 0.2 * len(rows)) for _, rows in sets] + [2.6]
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    figure = Figure(figsize=(11, 0.8 + sum(heights)), layout=layout)
    figure.suptitle(
        f"{picture.run}, stage {picture.stage}, step {picture.step:,}", x=0.01, ha="left"
    )
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (summary, rows) in zip(parts[:-1], sets, strict=True):
        _draw_set(part, summary, rows)
    pools, moves, band = parts[-1].subplots(1, 3)
    _draw_pools(pools, picture.steps)
    _draw_moves(moves, picture.steps)
    _draw_band(band, picture.steps)
    return figure


def _rows(summary: Summary) -> list[tuple[str, Mapping[str, int], tuple[int, ...]]]:
    """Name, pools and histogram of each label, or of each value of a label where they are many."""
    if len(summary.labels) > MOST_LABELS:
        return [(part.name, part.pools, part.histogram) for part in slices(summary)]
    return [(label.name, label.pools, label.histogram) for label in summary.labels]


def _draw_set(
    part: Any, summary: Summary, rows: Sequence[tuple[str, Mapping[str, int], tuple[int, ...]]]
) -> None:
    rates, pools = part.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    style_axes(rates, f"Pass rates of visited tasks, set {summary.name}", "")
    counts = np.array([histogram for _, _, histogram in rows], dtype=np.float64)  # [labels, bins]
    shares = counts / np.maximum(1.0, counts.sum(axis=1, keepdims=True))
    rates.pcolormesh(
        np.linspace(0, 1, counts.shape[1] + 1),
        np.arange(len(rows) + 1) - 0.5,
        shares,
        cmap="Blues",
        vmin=0.0,
    )
    rates.axvline(summary.target, color=ORANGE, linewidth=1.5, label="centre of the band")
    rates.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    rates.set_ylim(len(rows) - 0.5, -0.5)
    rates.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    rates.grid(visible=False)
    add_legend(rates)
    style_axes(pools, "Tasks by pool", "")
    total = np.array([max(1, sum(counts.values())) for _, counts, _ in rows])
    left = np.zeros(len(rows))
    for pool, colour in POOL_COLOURS.items():
        width = np.array([counts.get(pool, 0) for _, counts, _ in rows]) / total
        pools.barh(range(len(rows)), width, left=left, color=colour, height=0.8, label=pool)
        left += width
    pools.set_xlim(0, 1)
    pools.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    pools.tick_params(axis="y", labelleft=False)
    pools.grid(visible=False)
    pools.legend(
        frameon=False,
        fontsize="small",
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.1),
        ncols=len(POOLS),
        handlelength=1.0,
        columnspacing=1.0,
    )


def _draw_pools(axes: Axes, steps: Sequence[Mapping[str, Any]]) -> None:
    style_axes(axes, "Visited tasks", "")
    seen = [pool for pool in POOLS if pool != "unseen"]
    heights = [_series(steps, pool) for pool in seen]
    if steps:
        colours = [POOL_COLOURS[pool] for pool in seen]
        axes.stackplot(range(1, len(steps) + 1), heights, labels=seen, colors=colours)
    _step_axis(axes, steps)


def _draw_moves(axes: Axes, steps: Sequence[Mapping[str, Any]]) -> None:
    style_axes(axes, "Moves so far", "")
    for move, colour in MOVE_COLOURS.items():
        values = _series(steps, move)
        axes.plot(range(1, len(steps) + 1), values, color=colour, label=move.replace("_", " "))
    _step_axis(axes, steps)


def _draw_band(axes: Axes, steps: Sequence[Mapping[str, Any]]) -> None:
    style_axes(axes, "What is drawn", "")
    names = {"target": "centre of the band", "pass_rate": "mean pass rate", "explored": "explored"}
    for (name, label), colour in zip(names.items(), (ORANGE, BLUE, GREY), strict=True):
        axes.plot(range(1, len(steps) + 1), _series(steps, name), color=colour, label=label)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _step_axis(axes, steps)


def _series(steps: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [float(step.get(f"curriculum/{name}", np.nan)) for step in steps]


def _step_axis(axes: Axes, steps: Sequence[Mapping[str, Any]]) -> None:
    axes.set_xlim(1, max(2, len(steps)))
    axes.set_xlabel("step", loc="right")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize="small", loc="best")
