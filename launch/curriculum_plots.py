"""Figures of the curriculum: the picture of one run, and arms compared. They compute nothing."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from launch.comparison import Curve, isotonic, mean_curve
from launch.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, add_legend, new_figure

ARM_COLOURS = (GREY, ORANGE, SKY, BLUE, GREEN, PURPLE, RED)


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
