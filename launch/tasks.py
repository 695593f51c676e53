"""From the task sets of a configuration to objects: tasks, demonstrations, and their verifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from configs.errors import ConfigError
from configs.registry import (
    DEMONSTRATION_SOURCES,
    ENVIRONMENTS,
    TASK_SOURCES,
    bind,
    resolve,
)
from configs.schema import RunConfig, StageConfig, StageKind, TasksConfig
from configs.validate import enabled_stages
from envs.episodes import is_plain
from envs.types import DemonstrationSet, Task, TaskSet
from launch.judging import load_rules
from rl.curriculum import Mixture
from rl.evaluate import held_out

GoldCheck = Callable[[Task], None]


def load_stages(config: RunConfig) -> dict[str, Mixture[Any]]:
    """The tasks, or for SFT the demonstrations, of every enabled stage in order.

    Raises as `load_tasks` does.
    """
    check_gold = load_rules(config.reward).check_gold

    def load(stage: StageConfig, key: str, tasks: TasksConfig) -> TaskSet | DemonstrationSet:
        if stage.kind is StageKind.SFT:
            share, skip = stage.thinking_share, config.skip_bad_rows
            return load_demonstrations(key, tasks, share, skip, check_gold)
        return load_tasks(key, tasks, config.skip_bad_rows, check_gold, stage.max_turns)

    return {
        name: Mixture(
            {n: load(stage, f"stages.{name}.tasks.{n}", t) for n, t in stage.tasks.items()},
            {n: t.weight for n, t in stage.tasks.items()},
        )
        for name, stage in enabled_stages(config)
    }


def load_held_out(config: RunConfig) -> list[Task]:
    """The tasks that evaluations are made on, always the same. Raises as `load_tasks` does."""
    return held_out(_held_out_sets(config), config.evaluation.num_tasks)


def held_out_ids(config: RunConfig) -> dict[str, frozenset[str]]:
    """Ids by held-out set, of every task of it that may be evaluated. Raises as `load_tasks`."""
    num_tasks = config.evaluation.num_tasks
    return {
        name: frozenset(task.id for task in held_out({name: tasks}, num_tasks))
        for name, tasks in _held_out_sets(config).items()
    }


def _held_out_sets(config: RunConfig) -> dict[str, TaskSet]:
    check_gold = load_rules(config.reward).check_gold
    skip, turns = config.skip_bad_rows, config.evaluation.max_turns
    return {
        name: load_tasks(f"evaluation.tasks.{name}", tasks, skip, check_gold, turns)
        for name, tasks in config.evaluation.tasks.items()
    }


def load_tasks(
    key: str,
    config: TasksConfig,
    skip_bad_rows: bool,
    check_gold: GoldCheck,
    max_turns: int = 1,
) -> TaskSet:
    """The tasks of the set that `key` ("stages.rl.tasks.finqa") names.

    A source of one's own is called with `split`, with `path` where it is set, and with `args`.
    Raises `ConfigError` for a wrong name or keyword, and for tasks that are played with tools where
    `max_turns` leaves no turn for them; `DataError` for an unusable file or row.
    """
    target = resolve(config.source, TASK_SOURCES, f"{key}.source")
    given: dict[str, Any] = {"split": config.split}
    if config.path:
        given["path"] = config.path
    if _reads_file(config.source):
        given |= _file_arguments(config, skip_bad_rows, check_gold)
    tasks: TaskSet = _make(target, config.args, given, key)
    _check_played(key, tasks, max_turns)
    return tasks


def _check_played(key: str, tasks: TaskSet, max_turns: int) -> None:
    if not len(tasks) or is_plain(first := tasks[0]):
        return
    resolve(first.env, {}, f"{key}: env of task {first.id}")
    if max_turns < 2:
        stage = key.partition(".tasks.")[0]
        raise ConfigError(f"{key} is played with tools: set {stage}.max_turns over 1")


def load_demonstrations(
    key: str,
    config: TasksConfig,
    thinking_share: float,
    skip_bad_rows: bool,
    check_gold: GoldCheck,
) -> DemonstrationSet:
    """Worked answers for SFT from the same sources. Raises as `load_tasks` does.

    A source of one's own is called with `split`, `thinking_share`, `path` where set, and `args`.
    """
    target = resolve(config.source, DEMONSTRATION_SOURCES, f"{key}.source")
    args = dict(config.args)
    given: dict[str, Any] = {"thinking_share": thinking_share}
    if config.source == "finance" or config.source in ENVIRONMENTS:
        own = ("tool_share",) if config.source in ENVIRONMENTS else ("step_share",)
        shares = {name: args.pop(name) for name in own if name in args}
        tasks = resolve(config.source, TASK_SOURCES, f"{key}.source")
        given["tasks"] = _make(tasks, args, {"split": config.split}, key)
        args = shares
    else:
        given["split"] = config.split
        if config.path:
            given["path"] = config.path
    if _reads_file(config.source):
        given |= {"source": config.source}
        given |= _file_arguments(config, skip_bad_rows, check_gold)
    demonstrations: DemonstrationSet = _make(target, args, given, key)
    return demonstrations


def _reads_file(source: str) -> bool:
    return TASK_SOURCES.get(source, "").startswith("envs.datasets:")


def _file_arguments(
    config: TasksConfig, skip_bad_rows: bool, check_gold: GoldCheck
) -> dict[str, Any]:
    return {
        "held_out_share": config.held_out_share,
        "skip_bad_rows": skip_bad_rows,
        "check_gold": check_gold,
    }


def _make(target: Any, args: Mapping[str, Any], given: Mapping[str, Any], key: str) -> Any:
    """Call a source with the user's `args` and what is `given` by keys of their own."""
    where = f"{key}.args"
    for name in args:
        if name in given:
            raise ConfigError(f"{where}.{name}: '{name}' has a key of its own; set it there")
    call = bind(target, args, where)
    try:
        return call(**given)
    except TypeError as error:  # a value of the wrong type, or a missing argument
        raise ConfigError(f"{where}: {error}; correct {key}.args") from error
