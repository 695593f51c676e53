"""Plug-ins: the name of a built-in, or "package.module:attribute", and keyword arguments.

This is the only place that imports what a configuration names. Tables are plain dictionaries from
name to import path, so a process that does not use a part never imports it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from rapidfuzz import fuzz, process

from configs.errors import ConfigError

VERIFIERS = {
    "numeric": "rewards.numeric:NumericVerifier",
    "tool_use": "rewards.tool_use:ToolUseVerifier",
    "official_finqa": "rewards.officials:official_finqa",
    "official_tatqa": "rewards.officials:official_tatqa",
    "official_gsm8k": "rewards.officials:official_gsm8k",
    "official_choice": "rewards.officials:official_choice",
    "open": "rewards.open_answers:OpenVerifier",
}

ADVANTAGES = {name: f"rl.advantages:{name}" for name in ("grpo", "dr_grpo", "rloo", "reinforce_pp")}

LOSSES = {name: f"rl.losses:{name}" for name in ("ppo_clip", "gspo", "cispo", "reinforce")}

CURRICULA = {
    "uniform": "rl.curriculum:uniform",
    "pass_rate": "rl.pass_rate:PassRateCurriculum",
    "last_mean": "rl.baselines:LastMeanCurriculum",
}

INSTALLED = {
    point.name: point.value for point in importlib.metadata.entry_points(group="assay.envs")
}
"""Environments of installed packages, by the names they gave them."""

OTHERS = {
    "mcp": "envs.mcp_server:load_mcp",
    "openenv": "envs.openenv_server:load_openenv",
    "object": "envs.objects:load_object",
}
"""Whatever a server or an object of somebody else's offers."""

SIMULATED = {
    name: f"envs.simulated.{module}"
    for name, module in {
        "accounts": "accounts:AccountTasks",
        "calculator": "calculator:CalculatorTasks",
        "sql": "sql:SqlTasks",
        "documents": "documents:DocumentTasks",
        "market": "market:MarketTasks",
        "python": "python:PythonTasks",
    }.items()
}

ENVIRONMENTS = {**INSTALLED, **OTHERS, **SIMULATED}
"""Task sources whose tasks are played with tools."""

TASK_SOURCES = {
    "finance": "envs.finance:FinanceTasks",
    "general": "envs.finance.general:GeneralTasks",
    "tatqa": "envs.datasets:load_tatqa",
    "finqa": "envs.datasets:load_finqa",
    "convfinqa": "envs.datasets:load_convfinqa",
    "gsm8k": "envs.datasets:load_gsm8k",
    "rows": "envs.datasets:load_rows",
    "bfcl": "envs.bfcl:BfclTasks",
    **ENVIRONMENTS,
}

DEMONSTRATION_SOURCES = {
    **dict.fromkeys(
        (name for name, path in TASK_SOURCES.items() if path.startswith("envs.datasets:")),
        "envs.datasets:load_demonstrations",
    ),
    "finance": "envs.finance:FinanceDemonstrations",
    **dict.fromkeys(ENVIRONMENTS, "envs.tool_demonstrations:ToolDemonstrations"),
    "general": "envs.finance.general:GeneralDemonstrations",
}


def nearest(name: str, valid: Iterable[str]) -> str:
    """The tail of a message, "; did you mean 'x'?", for the most similar valid name, or ""."""
    found = process.extractOne(name, list(valid), scorer=fuzz.ratio, score_cutoff=60)
    return f"; did you mean '{found[0]}'?" if found else ""


def name_problem(name: str, builtins: Iterable[str]) -> str:
    """What is wrong with the form of a plug-in's name, or ""; imports nothing."""
    module, colon, attribute = name.partition(":")
    if name in builtins or (colon and module and attribute):
        return ""
    return (
        f"'{name}' is neither one of {', '.join(builtins)} nor \"package.module:attribute\""
        f"{nearest(name, builtins)}"
    )


def resolve(name: str, builtins: Mapping[str, str], where: str) -> Any:
    """Import the object that a built-in's or plug-in's name stands for.

    Example: `resolve("gspo", LOSSES, "stages.rl.algorithm.loss")` is the function `rl.losses.gspo`.
    Raises `ConfigError` naming `where`, and the nearest valid name or why the import failed.
    """
    if problem := name_problem(name, builtins):
        raise ConfigError(f"{where}: {problem}")
    path, _, attribute = builtins.get(name, name).partition(":")
    try:
        module = importlib.import_module(path)
    except (ImportError, SyntaxError) as error:
        raise ConfigError(
            f"{where}: cannot import '{path}': {error}; is its package installed?"
        ) from error
    names = vars(module)
    if attribute not in names:
        hint = nearest(attribute, [n for n in names if not n.startswith("_")])
        raise ConfigError(f"{where}: module '{path}' has no '{attribute}'{hint}")
    return names[attribute]


def bind(
    target: Callable[..., Any],
    kwargs: Mapping[str, Any],
    where: str,
    given: Collection[str] = (),
) -> Callable[..., Any]:
    """`target` with keyword arguments from the configuration, checked against its signature; what
    is `given` by the caller is not the user's to set."""
    parameters = inspect.signature(target).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        valid = [name for name in named if name not in given]
        for name in kwargs:
            if name not in valid:
                raise ConfigError(
                    f"{where}: unknown keyword '{name}'{nearest(name, valid)}; "
                    f"valid are {', '.join(valid) or 'none'}"
                )
    return functools.partial(target, **kwargs)
