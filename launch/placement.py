"""Who goes where: what each actor reserves, and whether there is room for all of them.

Ray places actors one by one, as here: each goes whole onto one machine, so that an engine's GPUs
are next to each other. Learner ranks are packed onto as few machines as hold them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from configs.environments import needs_hosts
from configs.schema import RunConfig
from launch.judging import asks_anyone, judge_settings

SHARED_GPU = 0.5
"""What engine and learner rank each reserve of a GPU they share."""

Resources = Mapping[str, float]
"""Amounts by Ray's names: CPU, GPU, and the custom ones of `fleet.resources`."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster and what of it is free."""

    name: str
    free: Resources


@dataclass(frozen=True, slots=True)
class Placement:
    """`where[role]` counts a role's actors by machine; `missing` has a line for each role that
    does not fit."""

    where: Mapping[str, Counter[str]]
    missing: tuple[str, ...]


def reserved(config: RunConfig, role: str) -> dict[str, float]:
    """What one actor of a role reserves on a cluster."""
    shared = config.learner.colocate
    by_role: dict[str, dict[str, float]] = {
        "rollout": {
            "CPU": config.rollout.cpus,
            "GPU": SHARED_GPU if shared else config.rollout.gpus,
        },
        "learner": {
            "CPU": config.learner.cpus,
            "GPU": SHARED_GPU if shared else config.learner.gpus,
        },
        # Light, and needed by all: where a machine was lost, they must find room on what is left.
        "reward": {},
        "envs": {"CPU": config.hosts.cpus},
        "judge": _judge(config),
    }
    amounts = by_role[role]
    custom = {name: float(n) for name, n in config.fleet.resources.get(role, {}).items()}
    return {name: n for name, n in {**amounts, **custom}.items() if n}


def actor_options(needs: Resources) -> dict[str, object]:
    """The same as Ray's options of an actor."""
    custom = {name: n for name, n in needs.items() if name not in ("CPU", "GPU")}
    return {
        "num_cpus": needs.get("CPU", 0),
        "num_gpus": needs.get("GPU", 0),
        "resources": custom,
    }


def place(wanted: Iterable[tuple[str, int, Resources]], nodes: Iterable[Node]) -> Placement:
    """Put (role, actors, needs of each) onto machines, the first that fits; largest needs first."""
    free = {node.name: dict(node.free) for node in nodes}
    where: dict[str, Counter[str]] = {}
    missing = []
    for role, count, needs in sorted(wanted, key=lambda one: _size(one[2]), reverse=True):
        where[role] = Counter()
        for _ in range(count):
            fitting = next((n for n, has in free.items() if _fits(needs, has)), None)
            if fitting is None:
                break
            where[role][fitting] += 1
            for name, amount in needs.items():
                free[fitting][name] -= amount
        if (lacking := count - where[role].total()) > 0:
            each = ", ".join(f"{amount:g} {name}" for name, amount in needs.items())
            missing.append(f"{role}: no room for {lacking} of {count} actors of {each} each")
    return Placement(where, tuple(missing))


def place_run(config: RunConfig, nodes: Iterable[Node]) -> Placement:
    """Where the actors of a run would go."""
    counts = {
        "learner": config.learner.ranks,
        "rollout": config.rollout.workers,
        "reward": config.reward.workers,
        "envs": config.hosts.workers if needs_hosts(config) else 0,
    }
    if asks_anyone(config.reward):
        counts["judge"] = judge_settings(config.reward).workers
    wanted = [(role, count, reserved(config, role)) for role, count in counts.items()]
    return place(wanted, nodes)


def describe(placement: Placement) -> list[str]:
    """Example: "rollout: 2 on gpu-a, 1 on gpu-b"."""
    return [
        f"{role}: {', '.join(f'{count} on {node}' for node, count in nodes.items()) or 'nowhere'}"
        for role, nodes in placement.where.items()
    ]


def _judge(config: RunConfig) -> dict[str, float]:
    """What an engine of its own needs; one that asks a server is as light as a reward worker."""
    settings = judge_settings(config.reward)
    return {} if settings.url else {"CPU": settings.cpus, "GPU": settings.gpus}


def _fits(needs: Resources, has: Resources) -> bool:
    return all(has.get(name, 0.0) >= amount - 1e-9 for name, amount in needs.items())


def _size(needs: Resources) -> tuple[float, float]:
    return needs.get("GPU", 0.0), needs.get("CPU", 0.0)
