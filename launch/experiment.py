"""`assay experiment curriculum`: ways to choose tasks, compared at equal generated tokens.

All start from one model: what the stages before the RL stage of a preset make of it. Under each
seed one run follows whose stages are the arms; each starts anew from that model, is evaluated on
the way, and ends when it has generated its tokens.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.load import LoadedConfig, load
from configs.schema import RunConfig, StageConfig, StageKind
from configs.validate import enabled_stages
from launch.comparison import ArmFigures, Curve, Interval, compare, read_curves
from launch.curriculum_plots import draw_curves
from launch.models import weights_of
from launch.profile import profile_stage
from rl.checkpoint import CHECKPOINTS, has_checkpoint, latest_checkpoint
from rl.profile import read_profile

ARMS: Mapping[str, Mapping[str, Any]] = {
    "uniform": {"name": "uniform", "keep_zero_variance": True},
    "pruned": {"name": "uniform", "keep_zero_variance": False},
    "last_mean": {"name": "last_mean", "keep_zero_variance": False},
    "pass_rate": {"name": "pass_rate", "keep_zero_variance": False},
}
"""uniform is GRPO; pruned drops groups without a gradient and asks for others, which is DAPO."""

SFT_RUN, PROFILE, REPORT = "start", "profile.parquet", "report"

Train = Callable[[LoadedConfig, bool], None]
"""Trains, or with True continues, the run of a configuration, and raises where it does not end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to compare. `tokens` is how many an arm generates; `profile_tasks` of the stage's tasks
    are profiled beforehand for pass_rate, whose tokens they count among; `model` is where all
    start, empty: what the preset's stages before its RL stage make.

    `pruned_batch_size` is the batch_size of arms that prune (0: the stage's). Theirs holds groups
    with a gradient alone; uniform's holds all that were generated. With the same number for both,
    an arm that prunes makes fewer and larger updates of its tokens, and the comparison is one of
    batch sizes.
    """

    arms: Sequence[str]
    seeds: int
    tokens: int
    profile_tasks: int
    model: str
    out: Path
    pruned_batch_size: int = 0


def run_experiment(loaded: LoadedConfig, plan: Plan, train: Train) -> dict[str, ArmFigures]:
    """Train whatever is not trained yet, and write report.json, report.md and accuracy.png.

    Called again after an interruption it goes on where it was.

    Raises:
        ConfigError: the preset has no RL stage, or an arm is unknown.
        AssayError: a run ended before its last step; call again to go on.
    """
    name, stage = rl_stage(loaded.config)
    for arm in plan.arms:
        if arm not in ARMS:
            raise ConfigError(f"unknown arm '{arm}'; there are {', '.join(ARMS)}")
    plan.out.mkdir(parents=True, exist_ok=True)
    base = replace(loaded.config, output=str(plan.out))
    model = weights_of(plan.model) if plan.model else starting_model(base, name, train)
    base = replace(base, model=replace(base.model, path=str(model)))
    spent: dict[str, int] = {}
    if plan.profile_tasks and "pass_rate" in plan.arms:
        profile_stage(base, name, "", 10, plan.profile_tasks, plan.out / PROFILE)
        spent["pass_rate"] = sum(task.tokens for task in read_profile(plan.out / PROFILE)[0])
    curves: list[Curve] = []
    for seed in range(base.seed, base.seed + plan.seeds):
        stages = {arm: _arm(stage, arm, number, plan, spent, model)
                  for number, arm in enumerate(plan.arms)}  # fmt: skip
        config = replace(base, name=f"seed_{seed}", seed=seed, stages=stages)
        train_once(config, plan.out, train)
        curves += read_curves(plan.out / config.name, seed, plan.arms, spent)
    figures = compare(curves)
    _write(plan, curves, figures, spent)
    return figures


def rl_stage(config: RunConfig) -> tuple[str, StageConfig]:
    """The last stage and its name. Raises ConfigError where it is no rl stage."""
    name, stage = enabled_stages(config)[-1]
    if stage.kind is not StageKind.RL:
        raise ConfigError(f"the last stage of {config.name} is {name}, which is no rl stage")
    return name, stage


def starting_model(base: RunConfig, name: str, train: Train) -> Path:
    """The model that the stages before `name` end with."""
    stages = {n: stage for n, stage in enabled_stages(base) if n != name}
    if not stages:
        if not base.model.path:
            raise ConfigError(f"nothing comes before stage {name}: give --model, or model.path")
        return Path(base.model.path).absolute()
    out = Path(base.output)
    train_once(replace(base, name=SFT_RUN, stages=stages), out, train)
    checkpoint = latest_checkpoint(out / SFT_RUN / CHECKPOINTS)
    assert checkpoint is not None, "a run that is done has saved its last step"
    return checkpoint.model_dir.absolute()


def _arm(
    stage: StageConfig, arm: str, number: int, plan: Plan, spent: Mapping[str, int], model: Path
) -> StageConfig:
    choice = ARMS[arm]
    own = stage.curriculum.name == choice["name"]
    curriculum = replace(
        stage.curriculum,
        name=choice["name"],
        args=stage.curriculum.args if own else {},
        seed_from=str((plan.out / PROFILE).absolute()) if arm in spent else "",
    )
    prunes = not choice["keep_zero_variance"]
    return replace(
        stage,
        order=number,
        batch_size=(prunes and plan.pruned_batch_size) or stage.batch_size,
        start_from=str(model) if number else "",  # the first one begins there in any case
        keep_zero_variance=choice["keep_zero_variance"],
        max_generated_tokens=plan.tokens - spent.get(arm, 0),
        curriculum=curriculum,
    )


def train_once(config: RunConfig, out: Path, train: Train) -> None:
    """Begin the run, or go on with it; a finished one is left as it is. Raises as `keep_config`."""
    file = out / f"{config.name}.yaml"
    keep_config(config, file)
    train(load(str(file)), has_checkpoint(out / config.name / CHECKPOINTS))


def keep_config(config: RunConfig, file: Path) -> None:
    """Write down the configuration of a part of an experiment.

    Raises:
        ConfigError: the part was begun with another one, whose results would be mixed with these.
    """
    text = json.dumps(dataclasses.asdict(config), indent=1) + "\n"  # JSON is YAML
    if file.exists() and file.read_text() != text:
        raise ConfigError(
            f"{file} was begun with another configuration: give another --out, or go on with the "
            "same arguments"
        )
    file.write_text(text)


def _write(
    plan: Plan, curves: Sequence[Curve], figures: Mapping[str, ArmFigures], spent: Mapping[str, int]
) -> None:
    record = {
        "tokens": plan.tokens,
        "profile_tokens": dict(spent),
        "arms": {arm: dataclasses.asdict(figure) for arm, figure in figures.items()},
        "curves": [dataclasses.asdict(curve) for curve in curves],
    }
    (plan.out / f"{REPORT}.json").write_text(json.dumps(record, indent=2) + "\n")
    (plan.out / f"{REPORT}.md").write_text(render(plan, figures, spent))
    draw_curves(curves).savefig(plan.out / "accuracy.png", dpi=150)


def render(plan: Plan, figures: Mapping[str, ArmFigures], spent: Mapping[str, int]) -> str:
    """The comparison as Markdown."""
    first = next(iter(figures))
    lines = [
        "# Ways to choose tasks, at equal generated tokens",
        "",
        f"{plan.tokens:,} generated tokens an arm, {plan.seeds} seeds, mean and 95 % interval "
        "(Student's t over seeds).",
        "",
        "| Arm | Held-out pass@1 at the end | Tokens to there | Arrival | Tokens with a gradient | "
        "Steps |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {arm} | {_percent(f.final_accuracy)} | {_shares(f.token_share, f.token_shares)} | "
            f"{_shares(f.arrival, f.arrivals)} | {_percent(f.gradient_share)} | {f.steps[0]:.0f} |"
            for arm, f in figures.items()
        ),
        "",
        f"Tokens to there: those at which an arm has the accuracy that {first} ends with, as a "
        f"share of all that {first} generates; then each seed. Arrival, which does not flatter "
        f"where {first} has long stopped rising: tokens to within a point of it, as a share of "
        f"those that {first} itself needs to there. Curves are fitted to rise only.",
        "",
        *(f"{arm}: {tokens:,} of its tokens went to its profile." for arm, tokens in spent.items()),
        *([""] if spent else []),
        "![held-out accuracy against generated tokens](accuracy.png)",
    ]
    return "\n".join(lines) + "\n"


def _shares(mean: Interval | None, shares: Sequence[float | None]) -> str:
    each = ", ".join("never" if share is None else f"{share:.1%}" for share in shares)
    return f"{_percent(mean)}; {each}" if mean else each


def _percent(interval: Interval) -> str:
    mean, low, high = interval
    return f"{mean:.1%} ({low:.1%} to {high:.1%})"
