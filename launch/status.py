"""`assay status` for a person."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from launch.console import printable
from rl.jsonl import read_log
from rl.tracking import EVENTS


def print_status(run_dir: Path, status: Mapping[str, Any] | None, console: Console) -> None:
    """Stage, groups and workers of a run; how it ended where it is not under way."""
    if status is None:
        console.print(f"{run_dir} is not under way: {how_it_ended(run_dir)}", markup=False)
        return
    stage, groups = status.get("stage"), status.get("groups")
    if stage:
        where = f"step {status['step']}/{status['num_steps']} of stage {printable(stage)}"
    else:
        where = "between stages"
    stopping = ", stopping" if status.get("stopping") else ""
    console.print(f"run        {where}, weights version {status['policy_version']}{stopping}")
    if groups:
        counts = ", ".join(f"{count} {what}" for what, count in groups.items())
        console.print(f"groups     {counts}")
    for role, workers in status.get("fleets", {}).items():
        if workers:
            console.print(_table(role, workers))


def _table(role: str, workers: list[Mapping[str, Any]]) -> Table:
    columns = ("state", "version", "under way", "done", "restarts", "left", "node", "pid")
    table = Table(*(Column(name, no_wrap=True) for name in (role, *columns)), box=None)
    for worker in workers:
        version = "-" if worker["version"] is None else str(worker["version"])
        behind = f" ({worker['behind']} behind)" if worker["behind"] else ""
        cells = (worker["under_way"], worker["done"], worker["restarts"], worker["restarts_left"])
        pid = "" if worker["pid"] is None else str(worker["pid"])
        table.add_row(
            worker["name"], worker["state"], version + behind, *map(str, cells),
            worker["node"][:8], pid,
        )  # fmt: skip
    return table


def how_it_ended(run_dir: Path) -> str:
    """Example: "ended as stopped"."""
    ends = [event for event in read_log(run_dir / EVENTS) if event["kind"] == "run_end"]
    return f"ended as {ends[-1]['status']}" if ends else "it never came to an end"
