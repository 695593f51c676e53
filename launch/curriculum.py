"""`assay curriculum show`: what a run's curriculum knows of its tasks, and what moved lately."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rich.console import Console, Group
from rich.table import Column, Table

from configs.errors import ConfigError
from configs.load import load
from launch.console import printable
from launch.guidance import curriculum_of, load_guidance
from launch.tasks import load_stages
from launch.train import CONFIG
from rl.checkpoint import CHECKPOINTS, latest_checkpoint, load_state
from rl.jsonl import read_log
from rl.pool_state import Summary
from rl.pools import MOVES, POOLS
from rl.tracking import METRICS

LATELY = 20
"""Steps over which moves are counted as recent."""

_HEIGHTS = " ▁▂▃▄▅▆▇█"


@runtime_checkable
class Summarised(Protocol):
    """A curriculum that has a picture of its tasks."""

    def summary(self) -> list[Summary]: ...


@dataclass(frozen=True, slots=True)
class Slice:
    """Tasks that share a label's value. `pass_rate` and `pass_at_10` are means over the visited
    ones, None where none was; `histogram` counts those by estimated pass rate, in even bins."""

    name: str
    tasks: int
    pools: Mapping[str, int]
    histogram: tuple[int, ...]
    pass_rate: float | None
    pass_at_10: float | None


@dataclass(frozen=True, slots=True)
class Picture:
    """The curriculum of a run at its latest checkpoint, and the steps of that stage up to it."""

    run: str
    stage: str
    step: int
    summaries: Sequence[Summary]
    steps: Sequence[Mapping[str, Any]]


def read_picture(run_dir: Path) -> Picture:
    """What the latest checkpoint of a run knows.

    Raises:
        ConfigError: there is no checkpoint, or its stage has no such curriculum.
        DataError: a data file of the run is gone.
    """
    checkpoint = latest_checkpoint(run_dir / CHECKPOINTS)
    if checkpoint is None:
        raise ConfigError(f"{run_dir} is no run with a checkpoint: name a folder such as runs/NAME")
    state = load_state(checkpoint)
    config = load(str(run_dir / CONFIG)).config
    stage = config.stages[state.stage]
    stage.curriculum.seed_from = ""  # what it told is in the state
    for name in config.stages:
        config.stages[name].enabled = name == state.stage
    curriculum = load_guidance(config, state.stage, load_stages(config)[state.stage]).curriculum
    if not isinstance(curriculum, Summarised):
        raise ConfigError(
            f"{run_dir} is in stage {state.stage} at step {state.step}, whose curriculum is "
            f"{curriculum_of(state)}, which knows nothing of its tasks; pass_rate does"
        )
    curriculum.restore(state.curriculum)
    steps = [
        line
        for line in read_log(run_dir / METRICS)
        if line["stage"] == state.stage and line["step"] <= state.step
    ]
    return Picture(run_dir.name, state.stage, state.step, curriculum.summary(), steps)


def show(picture: Picture, console: Console) -> None:
    """Print the picture: pools, histogram of pass rates by label, moves, what is drawn."""
    console.print(
        f"{printable(picture.run)}, stage {printable(picture.stage)}, step {picture.step:,}",
        style="bold",
    )
    for summary in picture.summaries:
        console.print(Group("", *_of_set(summary)))
    console.print(Group("", _moves(picture)))


def _of_set(summary: Summary) -> Iterable[str | Table]:
    seen = summary.tasks - summary.pools.get("unseen", 0)
    explored = summary.explored / max(1, summary.draws)
    yield (
        f"set {printable(summary.name)}: {seen:,} of {summary.tasks:,} tasks visited in "
        f"{summary.draws:,} draws, {explored:.0%} of them first visits; "
        f"drawn around a pass rate of {summary.target:.2f}"
    )
    columns = ("tasks", *POOLS, "pass@1", "pass@10")
    last = Column("pass rates", no_wrap=True)
    table = Table(Column("", no_wrap=True), *columns, last, box=None)
    for part in slices(summary):
        table.add_row(
            printable(part.name),
            f"{part.tasks:,}",
            *(f"{part.pools.get(pool, 0):,}" for pool in POOLS),
            _percent(part.pass_rate),
            _percent(part.pass_at_10),
            f"|{bars(part.histogram)}|",
        )
    yield table


def slices(summary: Summary) -> list[Slice]:
    """All tasks, then those of each value of each label, the level first."""
    parts = {"all": list(summary.labels)}
    names = sorted({name for label in summary.labels for name in label.labels})
    for name in sorted(names, key=lambda name: name != "level"):
        values = sorted({label.labels[name] for label in summary.labels if name in label.labels})
        for value in values:
            parts[f"{name} {value}"] = [
                label for label in summary.labels if label.labels.get(name) == value
            ]
    found = []
    for name, labels in parts.items():
        visited = [label.tasks - label.pools.get("unseen", 0) for label in labels]
        found.append(
            Slice(
                name=name,
                tasks=sum(label.tasks for label in labels),
                pools={p: sum(label.pools.get(p, 0) for label in labels) for p in POOLS},
                histogram=tuple(map(sum, zip(*(label.histogram for label in labels), strict=True))),
                pass_rate=_mean([label.pass_rate for label in labels], visited),
                pass_at_10=_mean([label.pass_at_10 for label in labels], visited),
            )
        )
    return found


def bars(histogram: Sequence[int]) -> str:
    """A histogram as one character a bin; any count but 0 is seen."""
    tallest = max(histogram, default=0)
    return "".join(
        _HEIGHTS[-(-count * (len(_HEIGHTS) - 1) // tallest)] if tallest else " "
        for count in histogram
    )


def _moves(picture: Picture) -> Table:
    """How often tasks changed pools: of late, and since the stage began."""
    total = {move: sum(s.moves.get(move, 0) for s in picture.summaries) for move in MOVES}
    before = picture.steps[-1 - LATELY] if len(picture.steps) > LATELY else {}
    names = (move.replace("_", " ") for move in MOVES)
    table = Table(Column("moves", no_wrap=True), *names, box=None)
    lately = (total[move] - int(before.get(f"curriculum/{move}", 0)) for move in MOVES)
    table.add_row(
        f"in the last {min(LATELY, len(picture.steps))} steps", *map("{:,}".format, lately)
    )
    table.add_row("since the stage began", *(f"{total[move]:,}" for move in MOVES))
    return table


def _mean(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    pairs = [(v, w) for v, w in zip(values, weights, strict=True) if v is not None]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
