"""Arms of an experiment: trainings of one preset that differ in named lists of overrides.

Under each seed a run `seed_N_start` trains the stages that all arms share, once; every arm is a run
of its own, `seed_N_ARM`, that starts from the model of that one, and asks the same judge. A
finished run is not trained again, so an experiment that was interrupted goes on, and more seeds add
to those that are there.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from configs.errors import ConfigError
from configs.load import LoadedConfig, changed_keys, compose, load, to_yaml
from configs.schema import RunConfig
from configs.validate import enabled_stages
from launch.arm_figures import Course, compare_arms, read_course, render_arms
from launch.curriculum_plots import draw_courses
from launch.experiment import Train
from launch.figures import last_status
from launch.tasks import held_out_ids
from launch.tiny_judge import LIMITS, with_judge
from rl.checkpoint import CHECKPOINTS, has_checkpoint, latest_checkpoint

START_RUN, REPORT, CONFIG = "start", "report", "config.yaml"

SETTINGS = ("seed", "model.", "stages.", "envs.", "reward.", "evaluation.")
"""What arms that are compared must have in common; machines and fleets may change on the way."""
MADE_BY_START = (
    "model.path",
    "model.revision",
    *(f"reward.judge.{key}" for key in ("model", *LIMITS)),
)


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is compared. `arms` are overrides by name, the first arm is what others are measured by;
    `shared` the stages that the arms of a seed have in common. `columns` are the held-out task sets
    that make up each column of the table, `notes` what the page says below it.

    Example of an arm: `{"without_reasoning": ["stages.reasoning.enabled=false"]}`.
    """

    title: str
    loaded: LoadedConfig
    shared: Sequence[str]
    arms: Mapping[str, Sequence[str]]
    columns: Mapping[str, Collection[str]]
    seeds: Sequence[int]
    out: Path
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One training of an experiment: the preset with these overrides."""

    arm: str
    seed: int
    loaded: LoadedConfig

    @property
    def directory(self) -> Path:
        return _directory(self.loaded.config)


def _directory(config: RunConfig) -> Path:
    return Path(config.output) / config.name


def _without(stages: Collection[str]) -> list[str]:
    return [f"stages.{name}.enabled=false" for name in stages]


def plan_runs(experiment: Experiment) -> list[Run]:
    """Every training in order, loaded and checked; an arm's model is not known before its start is
    trained.

    Raises:
        ConfigError: an arm is not a valid configuration, or a run that is there already was trained
            with other settings.
    """
    runs = [run for seed in experiment.seeds for run in _runs_of(experiment, seed)]
    for run in runs:
        if changes := _changes(run):
            raise ConfigError(
                f"{run.directory} was trained with other settings ({changes[0]}): "
                "give them again, or name another folder with --out"
            )
    return runs


def _runs_of(experiment: Experiment, seed: int) -> Iterator[Run]:
    preset = experiment.loaded

    def make(arm: str, changes: Sequence[str]) -> Run:
        named = [f"output={experiment.out}", f"name=seed_{seed}_{arm}", f"seed={seed}"]
        return Run(arm, seed, load(preset.preset, [*preset.overrides, *named, *changes]))

    own = [name for name, _ in enabled_stages(preset.config)]
    own = [name for name in own if name not in experiment.shared]
    if experiment.shared:
        yield make(START_RUN, _without(own))
    for arm, changes in experiment.arms.items():
        yield make(arm, [*_without(experiment.shared), *changes])


def _changes(run: Run) -> list[str]:
    """The settings in which a run that is there differs from the one that is asked for."""
    saved = run.directory / CONFIG
    if not saved.exists():
        return []
    tree, _ = compose(str(saved))  # keys that are new since then have their defaults
    changes = changed_keys(to_yaml(tree), to_yaml(run.loaded.tree))
    made_here = () if run.arm == START_RUN else MADE_BY_START
    return [c for c in changes if c.startswith(SETTINGS) and not c.startswith(made_here)]


def describe(runs: Sequence[Run]) -> list[str]:
    """A line for each run: its name, what is left of it, and its stages with their steps.

    Example: "seed_1_full               to train     reasoning (120 steps), agentic (40 steps)".
    """
    width = max(len(run.loaded.config.name) for run in runs)
    return [
        f"{run.loaded.config.name:<{width}}  {state_of(run.directory):<11}  "
        + ", ".join(f"{n} ({s.steps:,} steps)" for n, s in enabled_stages(run.loaded.config))
        for run in runs
    ]


def state_of(directory: Path) -> str:
    """What is left of a run."""
    if last_status(directory) == "done":
        return "finished"
    return "to continue" if has_checkpoint(directory / CHECKPOINTS) else "to train"


def _go_on(loaded: LoadedConfig, train: Train) -> None:
    """Begin a run, or go on with it; a finished one is left as it is."""
    directory = _directory(loaded.config)
    if last_status(directory) != "done":
        train(loaded, has_checkpoint(directory / CHECKPOINTS))


def _starting_from(loaded: LoadedConfig, start: Path) -> LoadedConfig:
    """With the model that a finished run ended with, and the judge that it had made."""
    checkpoint = latest_checkpoint(start / CHECKPOINTS)
    assert checkpoint is not None, "a run that is done has saved its last step"
    model = str(checkpoint.model_dir.absolute())
    config = replace(loaded.config, model=replace(loaded.config.model, path=model, revision=""))
    config, _ = with_judge(config, start / "judge")
    tree = copy.deepcopy(loaded.tree)
    tree.model.path, tree.model.revision = model, ""
    tree.reward.judge = config.reward.judge
    return replace(loaded, config=config, tree=tree)


def run_arms(experiment: Experiment, train: Train) -> None:
    """Train whatever is not trained yet; write report.json, report.md and accuracy.png into the
    folder of the experiment, anew each time that a seed is complete.

    Raises:
        ConfigError: as `plan_runs` does.
        AssayError: a run ended before its last step; call again to go on.
    """
    runs = plan_runs(experiment)  # all read now: a preset may be edited while runs go on
    experiment.out.mkdir(parents=True, exist_ok=True)
    ids = held_out_ids(experiment.loaded.config)
    columns = {
        column: frozenset[str]().union(*(ids[name] for name in names))
        for column, names in experiment.columns.items()
    }
    courses: list[Course] = []
    for seed in experiment.seeds:
        start: Path | None = None
        for run in (run for run in runs if run.seed == seed):
            _go_on(run.loaded if start is None else _starting_from(run.loaded, start), train)
            courses.append(read_course(run.directory, run.arm, seed, columns))
            if run.arm == START_RUN:
                start = run.directory
        _write(experiment, courses)


def _write(experiment: Experiment, courses: Sequence[Course]) -> None:
    first = next(iter(experiment.arms))
    figures = compare_arms(courses, first)
    seeds = list(dict.fromkeys(course.seed for course in courses))
    record = {
        "seeds": seeds,
        "columns": {name: sorted(sets) for name, sets in experiment.columns.items()},
        "arms": {arm: dataclasses.asdict(figure) for arm, figure in figures.items()},
        "courses": [dataclasses.asdict(course) for course in courses],
    }
    page = render_arms(experiment.title, seeds, figures, first, experiment.notes)
    (experiment.out / f"{REPORT}.json").write_text(json.dumps(record, indent=2) + "\n")
    (experiment.out / f"{REPORT}.md").write_text(page)
    arms = [course for course in courses if course.arm != START_RUN]
    draw_courses(arms).savefig(experiment.out / "accuracy.png", dpi=150)
