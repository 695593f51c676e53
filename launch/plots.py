"""The curves of a run as PNG files. Nothing here computes a figure of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from launch.figures import Accuracy, Report
from rl.evaluate import SET_LABEL
from rl.tracking import START

Lines = Sequence[Mapping[str, Any]]

# Okabe and Ito's colours, told apart by people with any colour vision.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442"),
)
GREY = "#8A8A8A"
PHASES = {"generate": BLUE, "train": ORANGE, "publish": GREEN, "rest": GREY}
CAUSES = (RED, PURPLE, YELLOW, SKY, GREEN, ORANGE)
PARTS, MARKERS = (ORANGE, GREEN, PURPLE, RED, SKY, GREY), "s^Dv<>"


def draw_all(report: Report, steps: Lines, directory: Path) -> list[Path]:
    """Draws what the run has data for and returns the files, the most important first."""
    rl_steps = [step for step in steps if step["kind"] == "rl"]
    has_lengths = any("length/mean" in step for step in rl_steps)
    drawings: dict[str, tuple[bool, Callable[[], Figure]]] = {
        "accuracy": (any(_measured(report).values()), lambda: draw_accuracy(_measured(report))),
        "reward": (bool(rl_steps), lambda: draw_reward(rl_steps, _measured(report))),
        "length": (has_lengths, lambda: draw_length(rl_steps)),
        "dropped": (bool(rl_steps), lambda: draw_groups(rl_steps)),
        "time": (bool(steps), lambda: draw_time(steps)),
    }
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    with matplotlib.rc_context({"text.parse_math": False}):  # a name may hold a dollar sign
        for name, (drawable, draw) in drawings.items():
            if drawable:
                draw().savefig(directory / f"{name}.png", dpi=150)
                files.append(directory / f"{name}.png")
    return files


def draw_accuracy(stages: Mapping[str, Mapping[str, Accuracy]]) -> Figure:
    """Held-out pass@1 of each stage with its interval, over all tasks and by their parts."""
    figure, axes = new_figure("Held-out accuracy after each stage", "pass@1 with 95 % interval")
    parts = list(dict.fromkeys(part for by_part in stages.values() for part in by_part))
    styles = {"all": (BLUE, "o", "-", 2.0)}
    for number, part in enumerate(parts[1:]):
        styles[part] = (PARTS[number % len(PARTS)], MARKERS[number % len(MARKERS)], ":", 1.0)
    for number, (which, style) in enumerate(styles.items()):
        aside = 0.48 * (number / max(1, len(styles) - 1) - 0.5)
        by_place = {
            place + aside: by_part[which]
            for place, by_part in enumerate(stages.values())
            if which in by_part
        }
        _plot_intervals(axes, by_place, which.replace("_", "-"), *style)
        for place, accuracy in by_place.items() if which == "all" else ():
            axes.annotate(
                f"{accuracy.pass_at_1:.1%}",
                *((place, accuracy.ci_high), (0, 5)),
                textcoords="offset points",
                ha="center",
                color=style[0],
                weight="bold",
            )
    names = ["before training" if name == START else name for name in stages]
    axes.set_xticks(range(len(stages)), names)
    axes.set_xlim(-0.5, len(stages) - 0.5)
    axes.set_ylim(0.0, 1.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    add_legend(axes)
    return figure


def draw_reward(steps: Lines, stages: Mapping[str, Mapping[str, Accuracy]]) -> Figure:
    """Mean reward of each step's samples, and held-out pass@1 before and after each RL stage."""
    figure, axes = new_figure("Reward in training", "mean reward of a step's samples")
    rewards = _series(steps, "reward/mean")
    axes.plot(*_steps(rewards), color=BLUE, alpha=0.3, linewidth=1, label="each step")
    _plot_means(axes, steps, rewards, "moving mean", color=BLUE, linewidth=2)
    _mark_stages(axes, steps)
    if np.nanmin(rewards, initial=0.0) >= 0.0 and np.nanmax(rewards, initial=1.0) <= 1.0:
        axes.set_ylim(0.0, 1.0)
    held_out = _held_out_places(steps, stages)
    _plot_intervals(axes, held_out, "held-out pass@1, 95 % interval", ORANGE, "D", "", 2.0)
    add_legend(axes)
    return figure


def draw_length(steps: Lines) -> Figure:
    """Generated tokens an answer, by mode of thinking, with the share cut by the limit."""
    figure, axes = new_figure("Length of answers", "generated tokens an answer")
    for name, colour in (("mean", BLUE), ("thinking", ORANGE), ("non_thinking", GREEN)):
        lengths = _series(steps, f"length/{name}")
        if np.isfinite(lengths).any():
            label = "all" if name == "mean" else name.replace("_", "-")
            axes.plot(*_steps(lengths), color=colour, alpha=0.2, linewidth=1)
            _plot_means(axes, steps, lengths, label, color=colour, linewidth=2)
    axes.set_ylim(bottom=0.0)
    _mark_stages(axes, steps)
    truncated = _series(steps, "length/truncated")
    if np.nanmax(truncated, initial=0.0) > 0:
        share = axes.twinx()
        _plot_means(share, steps, truncated, "", color=RED, linewidth=1.5, linestyle="--")
        share.set_ylabel("share cut by the limit (dashed)", color=RED)
        share.set_ylim(0.0, 1.0)
        share.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        share.spines[["top", "left"]].set_visible(False)
    add_legend(axes)
    return figure


def draw_groups(steps: Lines) -> Figure:
    """Groups of each step, trained or dropped by cause, stacked."""
    figure, axes = new_figure("Groups trained and dropped", "groups a step")
    prefix = "group/dropped/"
    reasons = sorted({name for step in steps for name in step if name.startswith(prefix)})
    heights = [np.nan_to_num(_series(steps, name)) for name in ("group/trained", *reasons)]
    colours = [BLUE, *(CAUSES[i % len(CAUSES)] for i in range(len(reasons)))]
    labels = ["trained", *(reason.removeprefix(prefix).replace("_", " ") for reason in reasons)]
    _stack(axes, heights, labels, colours)
    _mark_stages(axes, steps)
    add_legend(axes)
    return figure


def draw_time(steps: Lines) -> Figure:
    """Seconds of each step by phase, stacked, and each stage's total beside it."""
    figure = Figure(figsize=(10, 4), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    axes, totals = figure.subplots(1, 2, width_ratios=(3, 2))
    style_axes(axes, "Time of a step by phase", "seconds")
    style_axes(totals, "Time of a stage by phase", "seconds")
    phases = {name: np.nan_to_num(_series(steps, f"time/{name}")) for name in PHASES}
    known = phases["generate"] + phases["train"] + phases["publish"]
    phases["rest"] = np.maximum(0.0, np.nan_to_num(_series(steps, "time/step")) - known)
    _stack(axes, list(phases.values()), list(PHASES), list(PHASES.values()))
    _mark_stages(axes, steps)
    add_legend(axes)
    stages = list(dict.fromkeys(step["stage"] for step in steps))
    of_stage = [np.array([step["stage"] == stage for step in steps]) for stage in stages]
    bottom = np.zeros(len(stages))
    for name, seconds in phases.items():
        height = np.array([seconds[mask].sum() for mask in of_stage])
        totals.bar(stages, height, bottom=bottom, color=PHASES[name], width=0.5)
        bottom += height
    totals.set_xlim(-0.7, len(stages) - 0.3)
    return figure


def _measured(report: Report) -> dict[str, dict[str, Accuracy]]:
    """The stages that were evaluated: their accuracy over all tasks, and by set of tasks, or by
    mode of thinking where there is one set."""
    return {
        name: {"all": stage.accuracy, **(stage.by_label.get(SET_LABEL) or stage.by_mode)}
        for name, stage in report.stages.items()
        if stage.accuracy.tasks
    }


def _held_out_places(
    steps: Lines, stages: Mapping[str, Mapping[str, Accuracy]]
) -> dict[float, Accuracy]:
    """Held-out accuracy by its place on the step axis: at the begin and the end of each stage."""
    places: dict[float, Accuracy] = {}
    measured = list(stages)
    for stage in dict.fromkeys(step["stage"] for step in steps):
        if stage in measured:
            taken = [place for place, step in enumerate(steps, 1) if step["stage"] == stage]
            for before in measured[: measured.index(stage)][-1:]:
                places[taken[0] - 0.5] = stages[before]["all"]
            places[taken[-1] + 0.5] = stages[stage]["all"]
    return places


def _plot_intervals(
    axes: Axes,
    by_place: Mapping[float, Accuracy],
    label: str,
    colour: str,
    marker: str,
    line: str,
    width: float,
) -> None:
    """pass@1 with its interval at each place, if there is any."""
    if not by_place:
        return
    ends = [(a.ci_low, a.pass_at_1, a.ci_high) for a in by_place.values()]
    low, mean, high = np.array(ends, dtype=np.float64).T
    axes.errorbar(
        *(list(by_place), mean),
        yerr=np.maximum(0.0, [mean - low, high - mean]),
        color=colour,
        marker=marker,
        markersize=4 + 2 * width,
        linestyle=line,
        linewidth=width,
        capsize=4,
        clip_on=False,
        zorder=5,
        label=label,
    )


def new_figure(title: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 4), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    axes = figure.subplots()
    style_axes(axes, title, ylabel)
    return figure, axes


def style_axes(axes: Axes, title: str, ylabel: str) -> None:
    axes.set_title(title, loc="left", weight="bold")
    axes.set_ylabel(ylabel)
    axes.grid(axis="y", color="#E5E5E5")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def add_legend(axes: Axes) -> None:
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, -0.16), ncols=6)


def _mark_stages(axes: Axes, steps: Lines) -> None:
    """Step numbers below, and where there is more than one stage its name at its begin."""
    axes.set_xlim(0.5, len(steps) + 0.5)
    axes.set_xlabel("step", loc="right")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    begins = {step["stage"]: i for i, step in reversed(list(enumerate(steps, start=1)))}
    if len(begins) > 1:
        for stage, begin in begins.items():
            axes.axvline(begin - 0.5, color=GREY, linewidth=0.8, linestyle=":")
            axes.annotate(
                f" {stage}",
                *((begin - 0.5, 1.0),),
                xycoords=("data", "axes fraction"),
                va="top",
                color=GREY,
            )


def _stack(
    axes: Axes, heights: list[NDArray[np.float64]], labels: list[str], colours: list[str]
) -> None:
    """Stacked columns, one a step, as filled outlines: quick for any number of steps."""
    edges = np.arange(0.5, len(heights[0]) + 1)
    floor = np.zeros(len(heights[0]))
    for height, label, colour in zip(heights, labels, colours, strict=True):
        top = floor + height
        axes.stairs(top, edges, baseline=floor, fill=True, color=colour, label=label)
        floor = top
    axes.set_ylim(bottom=0.0)


def _series(steps: Lines, name: str) -> NDArray[np.float64]:
    """A metric over the steps, not a number where a step lacks it."""
    return np.array([step.get(name) for step in steps], dtype=np.float64)


def _steps(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return np.arange(1, len(values) + 1), values


def _plot_means(
    axes: Axes, steps: Lines, values: NDArray[np.float64], label: str, **style: Any
) -> None:
    """The moving mean of a metric, stage by stage."""
    stages = np.array([step["stage"] for step in steps])
    places = np.arange(1, len(steps) + 1)
    for stage in dict.fromkeys(stages):
        of_stage = stages == stage
        axes.plot(places[of_stage], _smooth(values[of_stage]), label=label, **style)
        label = ""


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred moving mean over a tenth of the steps, of what is there to average."""
    window = np.ones(2 * (len(values) // 20) + 1)
    known = np.isfinite(values)
    count = np.convolve(known, window, mode="same")
    total = np.convolve(np.where(known, values, 0.0), window, mode="same")
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
