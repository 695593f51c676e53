"""What types cannot say: ranges, relations between keys, names and paths.

Each problem is one line that names the key and where it was set. Nothing here imports a plug-in,
starts a process or touches the network.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from configs.errors import ConfigError, DataError
from configs.ranges import RANGES
from configs.registry import (
    ADVANTAGES,
    CURRICULA,
    ENVIRONMENTS,
    LOSSES,
    TASK_SOURCES,
    VERIFIERS,
    name_problem,
    nearest,
)
from configs.schema import (
    ImportanceMode,
    LabelWeightMode,
    ModelConfig,
    RunConfig,
    StageConfig,
    StageKind,
    TasksConfig,
)

HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""Attention head sizes that vLLM's CPU backend has kernels for."""

DTYPES = ("float32", "bfloat16")
SPLITS = ("train", "heldout")
KL_ESTIMATORS = ("k1", "k2", "k3")

ROLES = ("rollout", "learner", "reward", "envs", "judge")

Problem = tuple[str, str]
"""A key and what is wrong with it."""


def validate(config: RunConfig, sources: Mapping[str, str] | None = None) -> None:
    """Raise `ConfigError` for the first problem, `DataError` for a data file that is not there."""
    known = sources or {}
    checks = (
        _ranges,
        _names,
        _model,
        _machine,
        _fleet,
        _deadlines,
        _stages,
        _evaluation,
        _held_out,
    )
    for key, problem in (problem for check in checks for problem in check(config)):
        raise ConfigError(f"{_where(key, known)}: {problem}")
    for key, tasks in task_sets(config):
        if tasks.path and not Path(tasks.path).is_file():
            raise DataError(f"{_where(f'{key}.path', known)}: there is no file '{tasks.path}'")


def is_hub_id(path: str) -> bool:
    """Whether a model path is a hub id ("org/name") rather than a directory.

    "runs/tiny" beside an existing folder "runs" is a directory that is missing, not a hub id.
    """
    parts = path.split("/")
    return (
        len(parts) == 2
        and all(re.fullmatch(r"\w[\w.-]*", part) for part in parts)
        and not Path(parts[0]).exists()
    )


def enabled_stages(config: RunConfig) -> list[tuple[str, StageConfig]]:
    """The stages to run, by rising order."""
    stages = [(name, stage) for name, stage in config.stages.items() if stage.enabled]
    return sorted(stages, key=lambda item: item[1].order)


def task_sets(config: RunConfig) -> Iterator[tuple[str, TasksConfig]]:
    """Every task set that the run reads, with its key: of enabled stages and of evaluation."""
    for stage_name, stage in enabled_stages(config):
        for name, tasks in stage.tasks.items():
            yield f"stages.{stage_name}.tasks.{name}", tasks
    for name, tasks in config.evaluation.tasks.items():
        yield f"evaluation.tasks.{name}", tasks


def _where(key: str, sources: Mapping[str, str]) -> str:
    return f"{sources[key]}: {key}" if key in sources else key


def _ranges(config: RunConfig) -> Iterator[Problem]:
    for key, owner, name, value in _numbers(config):
        allowed = RANGES[f"{owner}.{name}"]
        if value not in allowed:
            yield key, f"must be {allowed}, is {value:g}"


def _numbers(node: object, prefix: str = "") -> Iterator[tuple[str, str, str, float]]:
    """Key, class, field and value of every number under `node`."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _numbers(value, f"{prefix}{name}.")
    elif dataclasses.is_dataclass(node):
        for field in dataclasses.fields(node):
            value = vars(node)[field.name]
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield prefix + field.name, type(node).__name__, field.name, value
            elif field.name != "args":  # arguments of plug-ins are theirs to check
                yield from _numbers(value, f"{prefix}{field.name}.")


def _names(config: RunConfig) -> Iterator[Problem]:
    if not re.fullmatch(r"[\w.-]+", config.name) or config.name in (".", ".."):
        yield "name", f"must be letters, digits, '.', '_' and '-', is '{config.name}'"
    yield from _one_of("model.dtype", config.model.dtype, DTYPES)
    yield from _plugin("reward.verifier", config.reward.verifier, VERIFIERS)
    yield from _environments(config)
    for key, tasks in task_sets(config):
        yield from _plugin(f"{key}.source", tasks.source, TASK_SOURCES)
        yield from _one_of(f"{key}.split", tasks.split, SPLITS)
        reads_file = TASK_SOURCES.get(tasks.source, "").startswith("envs.datasets:")
        if reads_file and not tasks.path:
            yield f"{key}.path", f"the source '{tasks.source}' reads a file: set this to its path"
        if tasks.source in ("finance", "general") and tasks.path:
            yield f"{key}.path", f"the source '{tasks.source}' generates tasks and reads no file"
    for name, stage in config.stages.items():
        key = f"stages.{name}.algorithm"
        yield from _plugin(f"{key}.advantage", stage.algorithm.advantage, ADVANTAGES)
        yield from _plugin(f"{key}.loss", stage.algorithm.loss, LOSSES)
        yield from _one_of(f"{key}.kl_estimator", stage.algorithm.kl_estimator, KL_ESTIMATORS)
        yield from _plugin(f"stages.{name}.curriculum.name", stage.curriculum.name, CURRICULA)


def _environments(config: RunConfig) -> Iterator[Problem]:
    played = {name for _, stage in enabled_stages(config) for name in stage.tasks}
    played |= set(config.evaluation.tasks)
    for name in config.envs:
        if name not in ENVIRONMENTS:
            known = ", ".join(ENVIRONMENTS)
            yield f"envs.{name}", f"there are {known}{nearest(name, ENVIRONMENTS)}"
        elif name not in played:
            yield (
                f"envs.{name}",
                "neither an rl stage nor the evaluation has max_turns over 1: none would play it",
            )
    for tool, limit in config.hosts.tool_limits.items():
        if not _is_amount(limit) or limit != int(limit):
            yield f"hosts.tool_limits.{tool}", f"must be a whole number over 0, is {limit!r}"


def _one_of(key: str, value: str, valid: tuple[str, ...]) -> Iterator[Problem]:
    if value not in valid:
        yield key, f"must be one of {', '.join(valid)}, is '{value}'{nearest(value, valid)}"


def _plugin(key: str, name: str, builtins: Mapping[str, str]) -> Iterator[Problem]:
    if problem := name_problem(name, builtins):
        yield key, problem


def _model(config: RunConfig) -> Iterator[Problem]:
    model = config.model
    if not model.path:
        yield from _build(model)
    elif Path(model.path).is_dir():
        if not (Path(model.path) / "config.json").is_file():
            yield "model.path", f"'{model.path}' holds no config.json, so it is not a model"
        if model.revision:
            yield "model.revision", f"'{model.path}' is a directory; only a hub model has revisions"
    elif not is_hub_id(model.path):
        yield "model.path", f"there is no directory '{model.path}'; a hub id has the form org/name"
    elif not re.fullmatch("(?:[0-9a-f]{40})?", model.revision):
        yield (
            "model.revision",
            f"must be a whole commit, 40 hexadecimal digits, or empty, is '{model.revision}': "
            "branches and tags move",
        )


def _build(model: ModelConfig) -> Iterator[Problem]:
    build = model.build
    if build.hidden_size % build.num_heads:
        yield "model.build.num_heads", f"must divide hidden_size, {build.hidden_size}"
    elif (size := build.hidden_size // build.num_heads) not in HEAD_SIZES:
        yield (
            "model.build.num_heads",
            f"gives heads of size {size}; vLLM has {', '.join(map(str, HEAD_SIZES))}",
        )
    if build.num_heads % build.num_kv_heads:
        yield "model.build.num_kv_heads", f"must divide num_heads, {build.num_heads}"


def _machine(config: RunConfig) -> Iterator[Problem]:
    learner, rollout = config.learner, config.rollout
    if learner.token_budget < config.model.max_length:
        length = config.model.max_length
        yield "learner.token_budget", f"must hold one sequence of model.max_length, {length}"
    if (learner.gpus > 0) != (rollout.gpus > 0):
        yield "learner.gpus", "engines and learner ranks run on the same kind of device"
    if learner.flash_attention and not learner.gpus:
        yield "learner.flash_attention", "needs a GPU: set learner.gpus=1 or leave it off"
    if learner.flash_attention and config.model.dtype == "float32":
        yield "learner.flash_attention", "has no float32 kernels: set model.dtype=bfloat16"
    if learner.colocate and not (learner.gpus == rollout.gpus == 1):
        yield "learner.colocate", "shares GPUs one to one: needs learner.gpus=1 and rollout.gpus=1"
    if learner.colocate and learner.ranks != rollout.workers:
        yield (
            "learner.colocate",
            f"shares GPUs one to one: learner.ranks, {learner.ranks}, must equal "
            f"rollout.workers, {rollout.workers}",
        )


def _fleet(config: RunConfig) -> Iterator[Problem]:
    fleet, workers = config.fleet, config.rollout.workers
    if fleet.min_rollout_workers > workers:
        yield (
            "fleet.min_rollout_workers",
            f"{fleet.min_rollout_workers} is more than rollout.workers, {workers}",
        )
    if 0 < fleet.max_rollout_workers < workers:
        yield (
            "fleet.max_rollout_workers",
            f"{fleet.max_rollout_workers} is less than rollout.workers, {workers}",
        )
    for role, amounts in fleet.resources.items():
        if role not in ROLES:
            yield f"fleet.resources.{role}", f"no such role: there are {', '.join(ROLES)}"
        elif not isinstance(amounts, dict) or not all(_is_amount(n) for n in amounts.values()):
            yield f"fleet.resources.{role}", "must map names of resources to amounts over 0"


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _deadlines(config: RunConfig) -> Iterator[Problem]:
    fields = dataclasses.fields(config.deadlines)
    values = vars(config.deadlines)
    for inner, outer in itertools.pairwise(fields):
        if values[inner.name] >= values[outer.name]:
            yield (
                f"deadlines.{inner.name}",
                f"{values[inner.name]:g} s must be under deadlines.{outer.name}, "
                f"{values[outer.name]:g} s",
            )


def _stages(config: RunConfig) -> Iterator[Problem]:
    stages = enabled_stages(config)
    if not stages:
        yield "stages", "there is no enabled stage"
    for (earlier, first), (later, second) in itertools.pairwise(stages):
        if first.order == second.order:
            yield f"stages.{later}.order", f"is {second.order}, as that of stage '{earlier}'"
    for name, stage in stages:
        key = f"stages.{name}"
        if not re.fullmatch(r"[\w-]+", name) or name == "start":
            yield key, "a stage's name is letters, digits, '_' and '-', and not 'start'"
        if not stage.tasks:
            yield f"{key}.tasks", f"the stage has no tasks: add {key}.tasks.NAME.source=finance"
        for task_set, tasks in stage.tasks.items():
            if tasks.split == "heldout":
                yield f"{key}.tasks.{task_set}.split", "must be train: held-out tasks only evaluate"
        if stage.start_from and not Path(stage.start_from).is_dir():
            yield f"{key}.start_from", f"there is no checkpoint '{stage.start_from}'"
        yield from _guidance(key, stage)
        if stage.kind is StageKind.RL:
            yield from _rl_stage(config, key, stage)


def _guidance(key: str, stage: StageConfig) -> Iterator[Problem]:
    curriculum, mode = stage.curriculum, stage.label_weights.mode
    modes = {
        StageKind.SFT: (LabelWeightMode.OFF, LabelWeightMode.LOSS),
        StageKind.RL: (LabelWeightMode.OFF, LabelWeightMode.ADVANTAGE, LabelWeightMode.SAMPLING),
    }[stage.kind]
    if mode not in modes:
        yield f"{key}.label_weights.mode", f"is one of {', '.join(modes)} in {stage.kind} stages"
    if stage.kind is StageKind.SFT and curriculum.name != "uniform":
        yield f"{key}.curriculum.name", "an sft stage draws uniformly: leave it at uniform"
    if curriculum.seed_from and curriculum.name in ("uniform", "last_mean"):
        yield f"{key}.curriculum.seed_from", "only the curriculum pass_rate can be seeded"
    elif curriculum.seed_from and not Path(curriculum.seed_from).exists():
        yield f"{key}.curriculum.seed_from", f"no profile or run '{curriculum.seed_from}'"


def _rl_stage(config: RunConfig, key: str, stage: StageConfig) -> Iterator[Problem]:
    algorithm = stage.algorithm
    yield from _fits(f"{key}.max_tokens", stage.max_tokens, config)
    if stage.lookahead > stage.batch_size * stage.max_staleness + 1:
        yield (
            f"{key}.lookahead",
            "must be at most batch_size * max_staleness + 1, or ages pass the bound",
        )
    if algorithm.num_minibatches > stage.batch_size:
        yield f"{key}.algorithm.num_minibatches", f"is over batch_size, {stage.batch_size} groups"
    if 0 < algorithm.dual_clip <= 1:
        yield (
            f"{key}.algorithm.dual_clip",
            f"must be over 1, or 0 for off, is {algorithm.dual_clip:g}",
        )
    if algorithm.importance is not ImportanceMode.OFF and algorithm.importance_cap < 1:
        yield f"{key}.algorithm.importance_cap", "must be at least 1"


def _evaluation(config: RunConfig) -> Iterator[Problem]:
    yield from _fits("evaluation.max_tokens", config.evaluation.max_tokens, config)
    if not config.evaluation.tasks:
        yield (
            "evaluation.tasks",
            "there are none: add evaluation.tasks.NAME.source and .split=heldout",
        )
    for name, tasks in config.evaluation.tasks.items():
        if tasks.split == "train":
            yield f"evaluation.tasks.{name}.split", "must be heldout: evaluation is on unseen tasks"


def _held_out(config: RunConfig) -> Iterator[Problem]:
    """With two shares for one file a document could be held out here and trained on there."""
    first: dict[Path, tuple[str, float]] = {}
    for key, tasks in task_sets(config):
        if not tasks.path:
            continue
        other, share = first.setdefault(Path(tasks.path).resolve(), (key, tasks.held_out_share))
        if share != tasks.held_out_share:
            yield (
                f"{key}.held_out_share",
                f"is {tasks.held_out_share:g}, but {other} has {share:g} for the same file",
            )


def _fits(key: str, max_tokens: int, config: RunConfig) -> Iterator[Problem]:
    if max_tokens >= config.model.max_length:
        yield (
            key,
            f"{max_tokens} leaves no room for a prompt within model.max_length, "
            f"{config.model.max_length}",
        )
