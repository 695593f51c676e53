"""Environments named in a configuration become task sets of whatever is played with tools."""

from __future__ import annotations

from collections.abc import Iterator

from configs.schema import RunConfig, StageKind, TasksConfig


def add_environments(config: RunConfig) -> None:
    """Add each of `envs` to the rl stages, and to the evaluation, with more than one turn. A task
    set of that name that is already there stays as it is."""
    for name, args in config.envs.items():
        for tasks, split in _played(config):
            tasks.setdefault(name, TasksConfig(source=name, split=split, args=dict(args)))


def needs_hosts(config: RunConfig) -> bool:
    """Whether anything may be played with tools."""
    stages = [stage for stage in config.stages.values() if stage.enabled]
    return max([config.evaluation.max_turns, *(stage.max_turns for stage in stages)]) > 1


def _played(config: RunConfig) -> Iterator[tuple[dict[str, TasksConfig], str]]:
    for stage in config.stages.values():
        if stage.kind is StageKind.RL and stage.max_turns > 1:
            yield stage.tasks, "train"
    if config.evaluation.max_turns > 1:
        yield config.evaluation.tasks, "heldout"
