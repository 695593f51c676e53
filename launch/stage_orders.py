"""`assay experiment stages`: is Reasoning RL needed before Agentic RL, and does their order matter?

Arms differ in which RL stages follow the same SFT model, and in what order:

    full                Reasoning RL, Agentic RL
    without_reasoning   Agentic RL, with the answers that Reasoning RL would have had
    agentic_first       Agentic RL, Reasoning RL

Whatever else the preset has keeps its place: what comes before both is trained once a seed and
shared, what comes after them, such as a general stage, follows in every arm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from configs.errors import ConfigError
from configs.load import COMMAND_LINE, LoadedConfig
from configs.registry import nearest
from configs.schema import RunConfig, StageConfig, StageKind
from configs.validate import enabled_stages
from launch.arms import Experiment
from rl.statistics import STUDENT_T

MAX_SEEDS = len(STUDENT_T) + 1

REASONING, TOOLS = "reasoning", "tools"


def read_seeds(text: str) -> list[int]:
    """Example: "1,2,3" -> [1, 2, 3]. Raises ConfigError for anything but different seeds."""
    seeds = [int(seed) for seed in text.split(",") if re.fullmatch(r"[0-9]+", seed)]
    if len(set(seeds)) != text.count(",") + 1 or len(seeds) > MAX_SEEDS:
        raise ConfigError(f"--seeds={text}: give 1 to {MAX_SEEDS} different numbers, as 1,2,3")
    return seeds


def compare_stages(
    loaded: LoadedConfig, reasoning: str, agentic: str, seeds: Sequence[int], out: Path
) -> Experiment:
    """The experiment on a preset whose stages of these names play the two roles.

    Raises:
        ConfigError: a seed is given as a key, a role's stage is not there or is no RL stage, a
            stage that an arm trains names where it starts from, nothing comes before the roles, or
            the evaluation plays no tools.
    """
    config = loaded.config
    if loaded.sources.get("seed") == COMMAND_LINE:
        raise ConfigError("every arm is trained under each of --seeds: give that in place of seed=")
    if reasoning == agentic:
        raise ConfigError(f"--reasoning and --agentic both name the stage {agentic}: give two")
    roles = _role(config, "reasoning", reasoning), _role(config, "agentic", agentic)
    first = min(stage.order for stage in roles)
    shared = [name for name, stage in enabled_stages(config) if stage.order < first]
    if not shared and not config.model.path:
        raise ConfigError(
            f"nothing comes before the stages {reasoning} and {agentic} of {config.name}: "
            "add an sft stage, or set model.path to a model that is trained already"
        )
    if config.evaluation.max_turns == 1 < roles[1].max_turns:
        raise ConfigError(
            "evaluation.max_turns is 1, so held-out tasks would be answered without tools: set it "
            f"to that of stage {agentic}, {roles[1].max_turns}"
        )
    for name, stage in enabled_stages(config):
        if stage.start_from and name not in shared:
            raise ConfigError(
                f"stages.{name}.start_from is set, so what comes before {name} would make no "
                "difference: leave it out"
            )
    return Experiment(
        title="Reasoning RL and Agentic RL: with, without, and in which order",
        loaded=loaded,
        shared=shared,
        arms=_arms(config, reasoning, agentic),
        columns=_columns(config, reasoning, agentic),
        seeds=seeds,
        out=out,
        notes=_notes(reasoning, agentic),
    )


def _role(config: RunConfig, role: str, name: str) -> StageConfig:
    enabled = dict(enabled_stages(config))
    if name not in enabled:
        raise ConfigError(
            f"{config.name} has no enabled stage '{name}' for {role.capitalize()} RL: there are "
            f"{', '.join(enabled)}; give it a stage, or name another by --{role}"
            f"{nearest(name, enabled)}"
        )
    if enabled[name].kind is not StageKind.RL:
        raise ConfigError(f"stage {name} of {config.name} is no rl stage: name another by --{role}")
    return enabled[name]


def _arms(config: RunConfig, reasoning: str, agentic: str) -> dict[str, Sequence[str]]:
    stages = config.stages[reasoning], config.stages[agentic]
    first, second = sorted(stage.order for stage in stages)

    def in_order(earlier: str, later: str) -> list[str]:
        return [f"stages.{earlier}.order={first}", f"stages.{later}.order={second}"]

    budget = _both_budgets(*stages)
    return {
        "full": in_order(reasoning, agentic),
        "without_reasoning": [
            f"stages.{reasoning}.enabled=false",
            *(f"stages.{agentic}.{key}={value}" for key, value in budget.items()),
        ],
        "agentic_first": in_order(agentic, reasoning),
    }


def _both_budgets(reasoning: StageConfig, agentic: StageConfig) -> Mapping[str, int]:
    """What lets the Agentic stage train as many answers as both stages do."""
    answers = reasoning.steps * reasoning.batch_size * reasoning.group_size
    a_step = agentic.batch_size * agentic.group_size
    limits = reasoning.max_generated_tokens, agentic.max_generated_tokens
    return {
        "steps": agentic.steps + math.ceil(answers / a_step),
        "max_generated_tokens": sum(limits) if all(limits) else 0,
    }


def _columns(config: RunConfig, reasoning: str, agentic: str) -> dict[str, list[str]]:
    """Held-out sets by what teaches them: those with the tasks of the Reasoning stage, those with
    others of the Agentic stage, and under its own name each set that neither trains."""

    def sources(stage: str) -> set[tuple[str, str]]:
        return {(tasks.source, tasks.path) for tasks in config.stages[stage].tasks.values()}

    columns: dict[str, list[str]] = {REASONING: [], TOOLS: []}
    for name, tasks in config.evaluation.tasks.items():
        source = tasks.source, tasks.path
        if source in sources(reasoning):
            columns[REASONING].append(name)
        elif source in sources(agentic):
            columns[TOOLS].append(name)
        else:
            columns.setdefault(name, []).append(name)
    return {column: names for column, names in columns.items() if names}


def _notes(reasoning: str, agentic: str) -> list[str]:
    return [
        "start is the model that the arms of a seed share, with its own training. Tokens and time "
        "of an arm are those of its RL stages, without evaluation.",
        "All arms train on the same number of answers: full and agentic_first have the same "
        f"stages, and without_reasoning gives the answers of {reasoning} to {agentic}, in steps of "
        "its size. Tokens and time are not made equal.",
    ]
