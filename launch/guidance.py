"""What a stage draws its tasks by and weighs them with, made and checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from configs.errors import ConfigError
from configs.load import written
from configs.registry import bind
from configs.schema import LabelWeightMode, LabelWeightsConfig, RunConfig, StageKind
from envs.draws import key_of
from rl.checkpoint import CHECKPOINTS, RunState, latest_checkpoint, load_state
from rl.curriculum import Curriculum, Mixture, UniformCurriculum, make_curriculum
from rl.label_weights import (
    LabelAware,
    LabelWeights,
    label_shares,
    pass_at_10_by_label,
)
from rl.pass_rate import Merged
from rl.profile import read_profile


@dataclass(frozen=True, slots=True)
class Guidance:
    """The curriculum of a stage and the weights of its labels, if any.

    `seeded` says what the curriculum was told of its tasks beforehand, "" where that is nothing.
    """

    curriculum: Curriculum
    label_weights: LabelWeights | None = None
    seeded: str = ""


@runtime_checkable
class Seedable(Protocol):
    """A curriculum that can be told what is known of tasks; see `PassRateCurriculum`."""

    def merge(self, state: Mapping[str, Any]) -> dict[str, Merged]: ...

    def seed(
        self, ids: Sequence[str], samples: Sequence[int], correct: Sequence[int]
    ) -> dict[str, Merged]: ...


def load_guidance(
    config: RunConfig, name: str, mixture: Mixture[Any], resumed: bool = False
) -> Guidance:
    """What guides stage `name` over its tasks. One that is `resumed` is not seeded: all that it was
    told is in the state that it is to be restored from.

    Raises:
        ConfigError: a name, keyword or value is wrong, or the curriculum cannot do what is asked.
        DataError: a profile or checkpoint cannot be read.
    """
    stage, where = config.stages[name], f"stages.{name}"
    # By stage: RL over the tasks that SFT has shown would begin with what it has seen.
    order = key_of(config.seed, name)
    weights = _label_weights(stage.label_weights, f"{where}.label_weights", mixture)
    if stage.kind is StageKind.SFT:
        return Guidance(UniformCurriculum(mixture.sizes, mixture.weights, order), weights)
    wanted = stage.curriculum
    curriculum = make_curriculum(
        wanted.name, wanted.args, mixture, order, stage.batch_size, f"{where}.curriculum"
    )
    sampling = stage.label_weights.mode is LabelWeightMode.SAMPLING
    if sampling and not isinstance(curriculum, LabelAware):
        raise ConfigError(
            f"{where}.label_weights.mode: the curriculum '{wanted.name}' draws by no weights; "
            f"set {where}.curriculum.name=pass_rate, or the mode to advantage"
        )
    if resumed or not wanted.seed_from:
        return Guidance(curriculum, weights)
    return Guidance(curriculum, weights, _seed(curriculum, wanted.seed_from, f"{where}.curriculum"))


def curriculum_of(state: RunState) -> str:
    """The name of the curriculum whose state a checkpoint holds."""
    stages = written(state.config).get("stages") or {}
    stage = stages.get(state.stage) or {}
    return str((stage.get("curriculum") or {}).get("name", "uniform"))


def check_curriculum(config: RunConfig, state: RunState) -> None:
    """Raises ConfigError where a checkpoint holds the state of another curriculum."""
    before, now = curriculum_of(state), config.stages[state.stage].curriculum.name
    if before != now:
        raise ConfigError(
            f"cannot resume: stage {state.stage} drew its tasks by the curriculum '{before}', now "
            f"'{now}', which cannot go on from its state; set it back "
            f"(stages.{state.stage}.curriculum.name={before}), or start a new run"
        )


def _label_weights(
    config: LabelWeightsConfig, where: str, mixture: Mixture[Any]
) -> LabelWeights | None:
    if config.mode is LabelWeightMode.OFF:
        return None
    args = dict(config.args)
    reference = _reference(args.pop("reference", ""), f"{where}.args.reference")
    make = bind(LabelWeights, args, f"{where}.args", given=("shares",))
    try:
        weights: LabelWeights = make(label_shares(mixture), reference)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}.args: {error}; correct {where}.args") from error
    return weights


def _reference(profile: object, where: str) -> dict[str, float]:
    """pass@10 by label of the model that a profile was made with."""
    if profile == "":
        return {}
    if not isinstance(profile, str):
        raise ConfigError(f"{where}: must be the path of a profile, is {profile!r}")
    if not Path(profile).is_file():
        raise ConfigError(f"{where}: there is no profile '{profile}'")
    tasks, _ = read_profile(Path(profile))
    return pass_at_10_by_label((task.labels, task.samples, task.correct) for task in tasks)


def _seed(curriculum: Curriculum, source: str, where: str) -> str:
    """Tell the curriculum what a profile or the last checkpoint of a run knows of its tasks."""
    if not isinstance(curriculum, Seedable):
        raise ConfigError(f"{where}.seed_from: only the curriculum pass_rate learns from {source}")
    if Path(source).is_dir():
        checkpoint = latest_checkpoint(Path(source) / CHECKPOINTS)
        if checkpoint is None:
            raise ConfigError(f"{where}.seed_from: the run '{source}' has no checkpoint")
        state = load_state(checkpoint)
        if curriculum_of(state) != "pass_rate":
            raise ConfigError(
                f"{where}.seed_from: the last checkpoint of '{source}' is of stage {state.stage}, "
                f"whose curriculum is {curriculum_of(state)}: only pass_rate knows tasks"
            )
        merged = curriculum.merge(state.curriculum)
    else:
        tasks, _ = read_profile(Path(source))
        merged = curriculum.seed(
            [task.task_id for task in tasks],
            [task.samples for task in tasks],
            [task.correct for task in tasks],
        )
    known = (
        f"{name}: {count.known:,} tasks known, {count.added:,} new, {count.gone:,} gone"
        for name, count in merged.items()
    )
    return f"seeded from {source}; {'; '.join(known)}"
