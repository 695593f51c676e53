"""Commands about a run: scale, drain, status and stop one that is under way, trace any."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[
    str, typer.Argument(help="A run's folder, or its name within runs/.", show_default=False)
]
Address = Annotated[
    str,
    typer.Option(help="URL of a cluster's dashboard: the command runs there, in a job."),
]


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands to the command line."""
    for command in (scale, drain, status, stop, trace):
        app.command()(command)


def scale(
    run: Run,
    sizes: Annotated[
        list[str], typer.Argument(metavar="ROLE=COUNT", help="Such as rollout=4 reward=2.")
    ],
    address: Address = "",
) -> None:
    """Change how many workers a running run has. The learner group keeps its size."""
    from launch.control import Running
    from launch.resize import parse_sizes

    parsed = parse_sizes(sizes)
    _there(address, "scale", run, *sizes)
    typer.echo(Running(find_run(run)).ask("scale", sizes=parsed))


def drain(
    run: Run,
    worker: Annotated[str, typer.Argument(help="As `assay status` names it.", show_default=False)],
    now: Annotated[
        bool, typer.Option("--now", help="Hand back what it has instead of finishing it.")
    ] = False,
    address: Address = "",
) -> None:
    """Have one worker of a running run leave, without a replacement."""
    from launch.control import Running

    _there(address, "drain", run, worker, *(["--now"] if now else []))
    typer.echo(Running(find_run(run)).ask("drain", worker=worker, now=now))


def status(
    run: Run,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds.")] = False,
    address: Address = "",
) -> None:
    """Who does what in a run that is under way, or how it ended."""
    from rich.console import Console

    from launch.control import Running
    from launch.status import print_status

    _there(address, "status", run, *(["--json"] if as_json else []))
    running, console = Running(find_run(run)), Console(highlight=False)
    while True:
        said = running.status()
        if watch and not as_json:
            console.clear()
        if as_json:
            typer.echo(json.dumps(said or {"under_way": False}))
        else:
            print_status(running.run_dir, said, console)
        if not watch or said is None:
            return
        time.sleep(2)


def stop(run: Run, address: Address = "") -> None:
    """Stop a run after the step under way, saved, to be resumed; a second time: at once."""
    from launch.control import Running

    _there(address, "stop", run)
    typer.echo(Running(find_run(run)).ask("stop"))


def trace(
    run: Run,
    stage: Annotated[str, typer.Option(help="Of this stage.")] = "",
    step: Annotated[int | None, typer.Option(help="Of this step.")] = None,
    task: Annotated[str, typer.Option(help="Part of a task's id.")] = "",
    tool: Annotated[str, typer.Option(help="In which this tool was called.")] = "",
    error: Annotated[str, typer.Option(help="With such an error, such as unknown_tool.")] = "",
    stop_reason: Annotated[str, typer.Option(help="stop, length, turns or error.")] = "",
    min_reward: Annotated[float | None, typer.Option(help="Reward at least this.")] = None,
    max_reward: Annotated[float | None, typer.Option(help="Reward at most this.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The last so many.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON lines, for programs.")] = False,
) -> None:
    """Show samples of a run: every turn, call, result, error, duration and reward term."""
    from launch.trace import Filters, lines_of, matching

    filters = Filters(stage, step, task, tool, error, stop_reason, min_reward, max_reward)
    samples = matching(find_run(run), filters, limit)
    for sample in samples:
        typer.echo(json.dumps(sample) if as_json else "\n".join(lines_of(sample)) + "\n")
    if not samples and not as_json:
        typer.echo("no sample matches")


def find_run(run: str) -> Path:
    """The folder of a run. Raises ConfigError where there is none."""
    from configs.errors import ConfigError

    for folder in (Path(run), Path("runs") / run):
        if (folder / "config.yaml").is_file():
            return folder
    raise ConfigError(f"no run {run!r}: neither a run's folder nor a name in runs/")


def _there(address: str, *arguments: str) -> None:
    """Where an address is given, run the command on that cluster, whose machines share the run's
    folder, print what it says, and exit as it does."""
    if not address:
        return
    from launch import jobs

    client = jobs.connect(address)
    job = jobs.submit(client, jobs.command(*arguments), Path().resolve(), arguments[0])
    raise typer.Exit(jobs.follow(client, job))
