"""Commands that send runs to a cluster: submit, and jobs list, logs and stop."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from launch.cli_arguments import Overrides, Preset, Resume

app = typer.Typer(help="Jobs on a cluster.", no_args_is_help=True)

Address = Annotated[
    str,
    typer.Option(envvar="RAY_ADDRESS", help="URL of the dashboard, such as http://127.0.0.1:8265."),
]
Job = Annotated[str, typer.Argument(help="As `assay jobs list` names it.", show_default=False)]


def submit(
    preset: Preset,
    overrides: Overrides = None,
    address: Address = "",
    working_dir: Annotated[
        Path, typer.Option(help="Folder that travels along: code, presets, small data.")
    ] = Path(),
    package: Annotated[
        list[Path] | None,
        typer.Option(
            help="A wheel, or a project's folder, of pure Python that travels along, without"
            " what it depends on; repeatable."
        ),
    ] = None,
    resume: Resume = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow the log, and exit as the run does.")
    ] = True,
) -> None:
    """Train on a cluster. The configuration is checked here first; data files are checked there."""
    from configs.errors import DataError
    from configs.load import load
    from launch import jobs

    changes = overrides or []
    try:
        config = load(preset, changes).config
    except DataError as error:  # they may be where the cluster is
        typer.echo(f"not checked here: {error}", err=True)
        config = None
    if config is not None:
        jobs.check_paths(preset, config.output, working_dir)
    client = jobs.connect(address)
    command = jobs.command("train", preset, *changes, *(["--resume"] if resume else []))
    name = config.name if config else preset
    with tempfile.TemporaryDirectory() as folder:
        modules = [part for path in package or [] for part in jobs.unpacked(path, Path(folder))]
        job = jobs.submit(client, command, working_dir.resolve(), name, modules)
    typer.echo(f"{job}: {command}", err=True)
    if wait:
        try:
            raise typer.Exit(jobs.follow(client, job))
        except KeyboardInterrupt:
            typer.echo(f"\nit goes on: assay jobs logs {job} --follow", err=True)


@app.command("list")
def list_jobs(address: Address = "") -> None:
    """All jobs of a cluster, the newest first."""
    from launch import jobs

    for row in jobs.jobs_table(jobs.connect(address)):
        typer.echo("  ".join(row))


@app.command()
def logs(
    job: Job,
    address: Address = "",
    follow: Annotated[
        bool, typer.Option("--follow", help="Until it ends, and exit as the run does.")
    ] = False,
) -> None:
    """What a job has printed."""
    from launch import jobs

    client = jobs.connect(address)
    if follow:
        raise typer.Exit(jobs.follow(client, job))
    typer.echo(client.get_job_logs(job), nl=False)


@app.command()
def stop(job: Job, address: Address = "") -> None:
    """Have a job stop after the step under way, saved, to be resumed."""
    from launch import jobs

    typer.echo(jobs.stop(jobs.connect(address), job))
