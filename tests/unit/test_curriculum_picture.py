"""`assay curriculum show`: slices, bars, moves, and the figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from configs.errors import ConfigError
from launch.curriculum import Picture, bars, read_picture, show, slices
from launch.curriculum_plots import MOST_LABELS, draw_picture
from rl.pool_state import LabelSummary, Summary


def label(scene: str, level: str, learning: int, mastered: int, rate: float | None) -> LabelSummary:
    histogram = [0] * 12
    histogram[3], histogram[11] = learning, mastered
    pools = {"unseen": 5, "learning": learning, "mastered": mastered, "unreachable": 0}
    return LabelSummary(
        name=f"{scene}/{level}",
        labels={"scene": scene, "level": level},
        tasks=5 + learning + mastered,
        pools=pools,
        histogram=tuple(histogram),
        pass_rate=rate,
        pass_at_10=rate,
    )


def summary(labels: tuple[LabelSummary, ...]) -> Summary:
    names = ("unseen", "learning", "mastered", "unreachable")
    return Summary(
        name="mix",
        tasks=sum(item.tasks for item in labels),
        pools={pool: sum(item.pools[pool] for item in labels) for pool in names},
        labels=labels,
        moves={"promoted": 9, "demoted": 2, "given_up": 1, "returned": 0},
        target=0.6,
        draws=40,
        explored=10,
    )


LABELS = (
    label("funds", "1", 10, 30, 0.8),
    label("funds", "2", 10, 0, 0.2),
    label("trusts", "1", 0, 0, None),
)


def steps(count: int) -> list[dict[str, Any]]:
    return [
        {"step": n, "curriculum/promoted": n / 4, "curriculum/learning": 2.0 * n, "stage": "rl"}
        for n in range(1, count + 1)
    ]


def test_slices_add_up_and_average_over_visited_tasks() -> None:
    parts = {part.name: part for part in slices(summary(LABELS))}
    assert list(parts) == ["all", "level 1", "level 2", "scene funds", "scene trusts"]
    assert parts["all"].tasks == 65
    assert parts["all"].pass_rate == pytest.approx((40 * 0.8 + 10 * 0.2) / 50)
    assert parts["all"].histogram[3] == 20
    assert parts["level 1"].pools == {
        "unseen": 10, "learning": 10, "mastered": 30, "unreachable": 0
    }  # fmt: skip
    assert parts["scene trusts"].pass_rate is None


def test_bars_show_whatever_is_there() -> None:
    assert bars([0, 1, 500, 1000]) == " ▁▄█"
    assert bars([0, 0]) == "  "
    assert bars([]) == ""


def test_the_picture_says_what_moved_lately() -> None:
    picture = Picture("q", "rl", 28, [summary(LABELS)], steps(28))
    console = Console(width=140)
    with console.capture() as capture:
        show(picture, console)
    text = capture.get()
    assert "q, stage rl, step 28" in text
    assert "50 of 65 tasks visited in 40 draws, 25% of them first visits" in text
    rows = {line.split("  ")[0].strip(): line.split() for line in text.splitlines() if line}
    assert rows["level 1"][2:9] == ["50", "10", "10", "30", "0", "80.0%", "80.0%"]
    moves = text.split("moves")[1].splitlines()
    assert [line.split()[-4:] for line in moves[1:3]] == [
        ["7", "1", "2", "0"], ["9", "1", "2", "0"]
    ]  # fmt: skip


@pytest.mark.parametrize(("num_labels", "count"), [(1, 0), (1, 1), (1, 30), (MOST_LABELS + 1, 30)])
def test_it_is_drawn_for_few_labels_and_many(num_labels: int, count: int) -> None:
    labels = tuple(label(f"scene{n}", str(n % 3), n, 2 * n, 0.5) for n in range(num_labels))
    picture = Picture("q", "rl", count, [summary(labels), summary(labels[:1])], steps(count))
    draw_picture(picture).draw_without_rendering()


def test_a_folder_without_a_checkpoint_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no run with a checkpoint: name a folder"):
        read_picture(tmp_path)
