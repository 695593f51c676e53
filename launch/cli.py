"""The command line, `assay`. Commands import what they need when they run, so that help and
configuration errors take a fraction of a second and load neither torch nor ray nor vllm."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from configs.errors import AssayError, DataError, MissingCapability
from launch import (
    cli_curriculum,
    cli_env,
    cli_experiment,
    cli_jobs,
    cli_runs,
    cli_verify,
)
from launch.cli_arguments import Local, Overrides, Preset, Resume

app = typer.Typer(
    help="Reinforcement learning for finance LLMs on Ray, vLLM and DeepSpeed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Look at configurations.", no_args_is_help=True)
data_app = typer.Typer(help="Look at data files.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(data_app, name="data")
app.add_typer(cli_curriculum.app, name="curriculum")
app.add_typer(cli_env.app, name="env")
app.add_typer(cli_jobs.app, name="jobs")
app.command()(cli_jobs.submit)
app.command()(cli_verify.verify)
app.add_typer(cli_experiment.app, name="experiment")


@app.command()
def train(
    preset: Preset,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan, start nothing.")
    ] = False,
    resume: Resume = False,
    new: Annotated[
        bool, typer.Option("--new", help="Move an earlier run of that name aside.")
    ] = False,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Skip and count unusable data rows.")
    ] = False,
    local: Local = False,
) -> None:
    """Train a model: all stages of a preset, one after another."""
    from configs.load import load

    changes = [*(overrides or []), *(["skip_bad_rows=true"] if skip_bad_rows else [])]
    loaded = load(preset, changes)
    from launch.plan import make_plan, print_plan, require

    plan = make_plan(loaded)
    if dry_run:
        from launch.dry_run import print_placement

        print_plan(plan)
        print_placement(loaded.config, plan.machine)
        return
    require(plan)
    from launch.train import run

    raise typer.Exit(run(loaded, resume, new, local))


@config_app.command("show")
def config_show(preset: Preset, overrides: Overrides = None) -> None:
    """Print every key as a run would use it; `${...}` stays as it is written."""
    from configs.load import compose, to_yaml

    tree, _ = compose(preset, overrides or [])
    typer.echo(to_yaml(tree), nl=False)


@data_app.command("check")
def data_check(
    file: Annotated[str, typer.Argument(help="JSON, JSON Lines or Parquet.", show_default=False)],
    source: Annotated[
        str, typer.Option(help="tatqa, finqa, convfinqa, gsm8k or rows; else found by its columns.")
    ] = "",
) -> None:
    """Read a whole data file: what it holds, and every kind of bad row with its first place."""
    from configs.schema import RewardConfig
    from envs.check import check_file
    from launch.judging import load_rules

    report = check_file(file, source, load_rules(RewardConfig()).check_gold)
    for line in report.lines():
        typer.echo(line)
    if report.bad:
        raise typer.Exit(DataError.exit_code)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Directory or hub id.", show_default=False)],
    overrides: Overrides = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(help="SOURCE or SOURCE=FILE, repeatable; else the preset's held-out sets."),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Preset whose engine and evaluation settings are used.")
    ] = "quickstart",
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Also write the figures, and every task's counts, to a file."),
    ] = None,
) -> None:
    """Measure a model on held-out tasks: pass@1, pass@k, greedy accuracy, tokens and seconds."""
    from configs.load import load

    changes = [f"model.path={model}", *(overrides or [])]
    for task_set in tasks or []:
        source, _, path = task_set.partition("=")
        key = f"evaluation.tasks.{source}"
        changes += [f"{key}.source={source}", f"{key}.split=heldout", f"{key}.path={path}"]
    config = load(preset, changes).config
    if tasks:
        asked = {task_set.partition("=")[0] for task_set in tasks}
        sets = config.evaluation.tasks
        config.evaluation.tasks = {name: sets[name] for name in sets if name in asked}
    from launch.evaluate import evaluate_model

    evaluate_model(config, json_file)


@app.command()
def export(
    source: Annotated[
        Path,
        typer.Argument(
            help="A run, for its latest checkpoint, or a checkpoint.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Argument(help="New directory.", show_default=False)],
) -> None:
    """Write the model of a checkpoint in Hugging Face format, with a card of the run's figures."""
    from launch.export import export as write

    typer.echo(f"wrote {out} from {write(source, out)}")


@app.command()
def doctor() -> None:
    """Say what this machine has, what it is used for, and how to mend what is missing."""
    from rich.console import Console

    from launch.doctor import examine, report

    if not report(examine(), Console()):
        raise typer.Exit(MissingCapability.exit_code)


cli_runs.add_commands(app)


def main() -> None:
    """Entry point. What a user can mend is one line and an exit code; anything else is our bug
    and shows its traceback."""
    sys.path.append("")  # plug-ins may lie in the working directory, as with `python -m`
    try:
        app()
    except AssayError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
