"""`assay curriculum`: measure a stage's tasks before training, and look at what training found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from launch.cli_arguments import Overrides, Preset

app = typer.Typer(help="Measure tasks, and look at a run's curriculum.", no_args_is_help=True)


@app.command()
def profile(
    preset: Preset,
    overrides: Overrides = None,
    stage: Annotated[
        str, typer.Option(help="The rl stage whose tasks to sample; else the first.")
    ] = "",
    model: Annotated[
        str,
        typer.Option(help="Model, checkpoint or run; else what the stage starts from."),
    ] = "",
    samples: Annotated[int, typer.Option(min=1, help="Answers a task.")] = 10,
    tasks: Annotated[
        int, typer.Option(min=0, help="Tasks, spread evenly over the sets; 0: all of them.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Parquet file; else NAME-profile.parquet in this folder.")
    ] = None,
) -> None:
    """Sample every task of a stage with its starting model; interrupted, it goes on where it was.

    `stages.STAGE.curriculum.seed_from=FILE` then starts a run with what was found.
    """
    from configs.load import load

    config = load(preset, overrides or []).config
    from launch.profile import profile_stage

    file = out or Path(f"{config.name}-profile.parquet")
    profile_stage(config, stage, model, samples, tasks, file)


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)],
    png: Annotated[Path | None, typer.Option(help="Also draw it to this file.")] = None,
) -> None:
    """Print what a run's latest checkpoint knows of its tasks: pools, pass rates, moves."""
    from rich.console import Console

    from launch.curriculum import read_picture
    from launch.curriculum import show as print_picture

    picture = read_picture(run)
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, 110)  # the table is of use only if its lines are whole
    print_picture(picture, console)
    if png:
        from launch.curriculum_plots import draw_picture

        draw_picture(picture).savefig(png, dpi=150)
        typer.echo(f"wrote {png}")
