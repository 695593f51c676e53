"""`assay env`: list, make, check and play environments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Environments with tools.", no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(
        help='A name of `assay env list`, or "package.module:attribute".', show_default=False
    ),
]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(help="Arguments of the environment, such as levels=[2].", metavar="NAME=VALUE"),
]


@app.command("list")
def list_all() -> None:
    """Environments that are built in or installed."""
    from configs.registry import ENVIRONMENTS, INSTALLED

    width = max(map(len, ENVIRONMENTS))
    for name, path in sorted(ENVIRONMENTS.items()):
        origin = "installed" if INSTALLED.get(name) == path else "built in"
        typer.echo(f"{name:<{width}}  {origin:<9}  {path}")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the package.", show_default=False)],
    folder: Annotated[Path, typer.Option(help="Where to make it.")] = Path(),
) -> None:
    """Write a small package with an environment that works, and tests of it."""
    from launch.env_new import write_package

    package = write_package(name, folder)
    typer.echo(f"wrote {package}; install it with `pip install -e {package}`, and then")
    typer.echo(f"  assay env check {name}")
    typer.echo(f"  assay env play {name}")


@app.command()
def check(
    name: Name,
    arguments: Arguments = None,
    tasks: Annotated[int, typer.Option(min=1, help="Tasks to play.")] = 20,
) -> None:
    """Check what training relies on: schemas, determinism, golds, deadlines, sizes, leaks."""
    from configs.errors import ConfigError
    from launch.env_check import examine
    from launch.env_play import read_arguments

    findings = examine(name, read_arguments(arguments or []), tasks)
    for finding in findings:
        state = "no " if finding.problem else "ask" if finding.doubt else "yes"
        detail = finding.problem or finding.doubt or finding.detail
        typer.echo(f"{state} {finding.promise}{': ' if detail else ''}{detail}")
    if any(finding.problem for finding in findings):
        raise typer.Exit(ConfigError.exit_code)


@app.command()
def play(
    name: Name,
    arguments: Arguments = None,
    index: Annotated[int, typer.Option(min=0, help="Which task.")] = 0,
    split: Annotated[str, typer.Option(help="train or heldout.")] = "train",
) -> None:
    """Be the policy: read the task, call tools, answer, and see the reward."""
    from configs.errors import ConfigError
    from launch.env_play import play, read_arguments
    from launch.env_tasks import loader

    tasks = loader(name, read_arguments(arguments or []))(split)
    if index >= len(tasks):
        raise ConfigError(f"{name} has {len(tasks)} tasks: --index is at most {len(tasks) - 1}")
    try:
        play(tasks[index], typer.echo, input)
    except EOFError:
        typer.echo("")
