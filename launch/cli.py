"""The command line, `assay`. Commands import what they need when they run, so that help and
configuration errors take a fraction of a second and load neither torch nor ray nor vllm."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from configs.errors import AssayError

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

Preset = Annotated[str, typer.Argument(help="A preset's name, or a YAML file.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Keys to change, such as learner.ranks=2.", metavar="KEY=VALUE"),
]


@app.command()
def train(
    preset: Preset,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan, start nothing.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run from its last checkpoint.")
    ] = False,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Skip and count unusable data rows.")
    ] = False,
) -> None:
    """Train a model: all stages of a preset, one after another."""
    from configs.load import load

    changes = [*(overrides or []), *(["skip_bad_rows=true"] if skip_bad_rows else [])]
    loaded = load(preset, changes)
    from launch.plan import make_plan, print_plan

    plan = make_plan(loaded)
    if dry_run:
        print_plan(plan)
        return
    from launch.train import run

    raise typer.Exit(run(loaded, resume))


@config_app.command("show")
def config_show(preset: Preset, overrides: Overrides = None) -> None:
    """Print every key as a run would use it; `${...}` stays as it is written."""
    from configs.load import compose, to_yaml

    tree, _ = compose(preset, overrides or [])
    typer.echo(to_yaml(tree), nl=False)


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
