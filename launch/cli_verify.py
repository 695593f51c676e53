"""`assay verify`: score a file of answer cases, golds and replies with the verdicts expected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rewards.cases import Tally, Verdict


def verify(
    cases: Annotated[
        Path, typer.Option(help="JSON Lines: gold, prediction, expected.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Score answer cases: accuracy, false accepts and false rejects by tier and category.

    Ends with 0 when all cases were scored, whatever the verdicts; with 3 for a malformed file.
    """
    from rewards.cases import OFFICIAL, has_scorer, read_cases, score_cases, tally
    from rewards.numeric import NumericVerifier

    verifier = NumericVerifier()
    try:
        verdicts = score_cases(read_cases(cases), verifier)
    finally:
        verifier.latex.close()
    tiers = tally(verdicts, lambda case: case.tier)
    for tier in tiers:
        if tier.startswith(OFFICIAL) and not has_scorer(tier):
            typer.echo(f"no scorer for {tier}: scored by the default policy", err=True)
    if as_json:
        failed = [verdict.case.id for verdict in verdicts if not verdict.is_right]
        typer.echo(
            json.dumps({"tiers": {n: _figures(t) for n, t in tiers.items()}, "failed": failed})
        )
        return
    _print(tiers, tally(verdicts, lambda case: f"{case.tier} / {case.category}"), verdicts)


def _figures(tally: Tally) -> dict[str, float]:
    return {
        "n": tally.n,
        "accuracy": tally.accuracy,
        "false_accepts": tally.false_accepts,
        "false_rejects": tally.false_rejects,
    }


def _print(tiers: dict[str, Tally], categories: dict[str, Tally], verdicts: list[Verdict]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    console.width = max(console.width, 110)  # the names of categories stay whole
    for title, tallies in (("tier", tiers), ("tier / category", categories)):
        table = Table(title, "cases", "accuracy", "false accepts", "false rejects", box=box.SIMPLE)
        for column in table.columns[1:]:
            column.justify = "right"
        for name, t in tallies.items():
            figures = (f"{t.accuracy:.2%}", str(t.false_accepts), str(t.false_rejects))
            table.add_row(Text(name), f"{t.n:,}", *figures)
        console.print(table)
    for verdict in verdicts:
        if not verdict.is_right:
            case = verdict.case
            kind = "false accept" if verdict.accepted else "false reject"
            told = f"{kind} {case.id}: gold {case.task.answer[:60]!r}, reply {case.reply[:80]!r}"
            console.print(told, soft_wrap=True)
