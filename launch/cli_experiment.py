"""`assay experiment`: comparisons of ways to train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.cli_arguments import Local, Overrides, Preset

if TYPE_CHECKING:
    from configs.load import LoadedConfig
    from launch.experiment import Train
    from launch.plan import Plan

app = typer.Typer(help="Compare ways to train.", no_args_is_help=True)

ARMS = "uniform,pruned,last_mean,pass_rate"
SCORERS = "rule,judge,both"

Seeds = Annotated[int, typer.Option(min=1, max=10, help="Runs an arm, from `seed` on.")]
Model = Annotated[
    str, typer.Option(help="Model or checkpoint to start from; else the preset's SFT is run.")
]
Out = Annotated[Path, typer.Option(help="Folder of the runs and the report.")]


DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would run.")]


@app.callback()
def experiment() -> None:
    """Compare ways to train."""


@app.command()
def curriculum(
    preset: Preset = "curriculum_mix",
    overrides: Overrides = None,
    arms: Annotated[str, typer.Option(help="What to compare; the first is the measure.")] = ARMS,
    seeds: Seeds = 3,
    tokens: Annotated[int, typer.Option(min=1, help="Generated tokens of each run.")] = 400_000,
    profile_tasks: Annotated[
        int, typer.Option(min=0, help="Tasks to profile for pass_rate, counted in its tokens.")
    ] = 0,
    pruned_batch_size: Annotated[
        int, typer.Option(min=0, help="Groups a step of arms that prune; 0: the preset's.")
    ] = 0,
    model: Model = "",
    out: Out = Path("runs/curriculum_experiment"),
    local: Local = False,
) -> None:
    """Compare ways to choose tasks at equal generated tokens; interrupted, it goes on.

    uniform is GRPO; pruned drops groups without a gradient (DAPO); last_mean has pools by the last
    group's mean; pass_rate is the full curriculum.
    """
    from configs.load import load
    from launch.experiment import Plan, run_experiment

    plan = Plan(arms.split(","), seeds, tokens, profile_tasks, model, out, pruned_batch_size)
    run_experiment(load(preset, overrides or []), plan, _train(local))
    typer.echo((out / "report.md").read_text())


@app.command()
def stages(
    preset: Preset = "quickstart",
    overrides: Overrides = None,
    seeds: Annotated[str, typer.Option(help="Seeds, each with every arm.")] = "1,2,3",
    reasoning: Annotated[str, typer.Option(help="The stage that is Reasoning RL.")] = "reasoning",
    agentic: Annotated[str, typer.Option(help="The stage that is Agentic RL.")] = "agentic",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the runs and the report.  [default: runs/PRESET_stages]"),
    ] = None,
    dry_run: DryRun = False,
    local: Local = False,
) -> None:
    """Compare RL stages: all, without Reasoning RL, Agentic RL before it; interrupted, it goes on.

    The arms of a seed share the model that the stages before RL make.
    """
    from configs.load import load
    from launch.arms import describe, plan_runs, run_arms
    from launch.plan import make_plan, require
    from launch.stage_orders import compare_stages, read_seeds

    loaded = load(preset, overrides or [])
    folder = out or Path(loaded.config.output) / f"{loaded.config.name}_stages"
    experiment = compare_stages(loaded, reasoning, agentic, read_seeds(seeds), folder)
    plan = make_plan(loaded)
    if dry_run:
        _echo(describe(plan_runs(experiment)), plan)
        return
    require(plan)
    run_arms(experiment, _train(local))
    typer.echo((folder / "report.md").read_text())


@app.command()
def verifiers(
    preset: Preset = "general",
    overrides: Overrides = None,
    arms: Annotated[str, typer.Option(help="Who scores what a judge may score.")] = SCORERS,
    seeds: Seeds = 1,
    model: Model = "",
    out: Out = Path("runs/verifier_experiment"),
    dry_run: DryRun = False,
    local: Local = False,
) -> None:
    """Compare rules only, judge only, and both, all measured by both; interrupted, it goes on."""
    from configs.load import load
    from launch.plan import make_plan, require
    from launch.verifier_experiment import Plan, describe, run_experiment

    loaded, experiment = load(preset, overrides or []), Plan(arms.split(","), seeds, model, out)
    plan = make_plan(loaded)
    if dry_run:
        _echo(describe(loaded, experiment), plan)
        return
    require(plan)
    run_experiment(loaded, experiment, _train(local))
    typer.echo((out / "report.md").read_text())


def _echo(lines: Sequence[str], plan: Plan) -> None:
    for line in (*lines, *(f"missing: {lack}" for lack in plan.missing)):
        typer.echo(line)


def _train(local: bool) -> Train:
    from launch.train import run

    def train(loaded: LoadedConfig, resume: bool) -> None:
        if code := run(loaded, resume=resume, local=local):
            raise typer.Exit(code)

    return train
