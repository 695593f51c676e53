"""Arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Preset = Annotated[str, typer.Argument(help="A preset's name, or a YAML file.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Keys to change, such as learner.ranks=2.", metavar="KEY=VALUE"),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the run from its last checkpoint.")
]
Local = Annotated[bool, typer.Option("--local", help="In one process, without Ray: for debugging.")]
