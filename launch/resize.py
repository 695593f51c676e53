"""What a running run can be asked to change, and how that is checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configs.errors import ConfigError
from configs.estimate import engine_memory, model_shape
from configs.schema import RunConfig
from launch.pool import Pool
from launch.workers import Member

MOST_WORKERS = 4096

FIXED = {
    "learner": "the learner group keeps its size within a run: begin a new one with learner.ranks",
    "envs": "this run has no environment hosts",
}


def parse_sizes(words: list[str]) -> dict[str, int]:
    """Example: ["rollout=4", "reward=2"] -> {"rollout": 4, "reward": 2}.

    Raises:
        ConfigError: a word is not ROLE=COUNT.
    """
    sizes: dict[str, int] = {}
    for word in words:
        role, _, count = word.partition("=")
        if not role or not count.isascii() or not count.isdigit():
            raise ConfigError(f"{word!r} is not ROLE=COUNT, such as rollout=4")
        sizes[role] = int(count)
    return sizes


def resize(pools: Mapping[str, Pool], sizes: Mapping[str, int]) -> str:
    """Resize several pools, or none if one size cannot be had; says what will be.

    Raises:
        ConfigError: a role cannot be resized, or not to that.
    """
    for role, count in sizes.items():
        if role in FIXED and role not in pools:
            raise ConfigError(FIXED[role])
        if role not in pools:
            raise ConfigError(f"no role {role!r}: there are {', '.join(pools)}")
        fewest = max(1, pools[role].minimum)
        if not isinstance(count, int) or not fewest <= count <= MOST_WORKERS:
            raise ConfigError(f"{role}={count}: must be from {fewest} to {MOST_WORKERS}")
    said = []
    for role, count in sizes.items():
        before = len(pools[role].staying)
        pools[role].resize(count)
        what = "starting" if count > before else "leaving"
        change = f", {abs(count - before)} {what}" if count != before else ", as it is"
        said.append(f"{role} {before} -> {count}{change}")
    return "; ".join(said)


def check_room(config: RunConfig, adding: int, free_gpus: float, free_gib: float) -> None:
    """Whether a machine of its own has room for more rollout workers.

    Raises:
        ConfigError: it has not; an engine that does not fit would take the others down with it.
    """
    if adding <= 0:
        return
    if config.rollout.gpus:
        if (needed := adding * config.rollout.gpus) > free_gpus:
            raise ConfigError(f"{adding} more engines need {needed} GPUs, {free_gpus:g} are free")
        return
    shape = model_shape(config.model)
    each = sum(engine_memory(shape, config.model.dtype, config.rollout, 0).values()) if shape else 0
    if adding * each > free_gib:
        raise ConfigError(
            f"{adding} more engines take about {adding * each:.1f} GiB, {free_gib:.1f} are free"
        )


def drain(pools: Mapping[str, Pool], name: str, now: bool) -> str:
    """Let one worker go; the others take over what it would have got.

    Raises:
        ConfigError: there is no such worker, or too few would be left.
    """
    members = {member.name: (pool, member) for pool in pools.values() for member in pool.alive}
    if name not in members:
        raise ConfigError(f"no worker {name!r}: there are {', '.join(members)}")
    pool, member = members[name]
    if not member.health.leaving and len(pool.staying) <= max(1, pool.minimum):
        raise ConfigError(f"{name} is needed: at least {max(1, pool.minimum)} must stay")
    under_way = member.outstanding
    pool.drain(member, now)
    if now or not under_way:
        return f"{name} is gone; groups handed back: {under_way}"
    return f"{name} leaves when the groups it has are finished: {under_way}"


def describe(pool: Pool, policy_version: int | None = None) -> list[dict[str, Any]]:
    """Every worker of a pool that is not retired, as plain values."""
    return [_describe(member, policy_version) for member in pool.alive]


def _describe(member: Member, policy_version: int | None) -> dict[str, Any]:
    health, place = member.health, member.place
    known = policy_version is not None and health.version is not None
    return {
        "name": member.name,
        "state": str(health.state) + (", leaving" if health.leaving else ""),
        "version": health.version,
        "behind": policy_version - health.version if known else None,  # type: ignore[operator]
        "under_way": member.outstanding,
        "done": member.served,
        "restarts": health.life,
        "restarts_left": health.restarts_left,
        "node": place.node if place else "",
        "pid": place.pid if place else None,
    }
