"""Start the fleets that a configuration asks for as Ray actors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    remove_placement_group,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from configs.environments import needs_hosts
from configs.errors import ConfigError
from configs.schema import RunConfig
from launch.actors import JudgeActor, LearnerActor, RewardActor, RolloutActor, actor_environment
from launch.connection import connected, on_cluster
from launch.env_hosts import EnvHostActor, HostFleet
from launch.fleet import RayLearnerGroup, RewardFleet, RolloutFleet
from launch.gauges import RayGauges, values
from launch.judging import asks_anyone, judge_settings, load_routes
from launch.machine import GIB
from launch.models import Models, engine_settings
from launch.placement import actor_options, reserved
from launch.pool import Pool
from launch.remote import ask, end, within
from launch.resize import check_room, describe, drain, resize
from launch.scaling import Scaler
from launch.states import Limits
from launch.transfers import NcclTransfer, ObjectStoreTransfer
from launch.workers import Member, Report, Role
from rl.publish import SharedMemoryTransfer, Transfer
from rl.tracking import StepRecord
from rl.types import LearnerSettings

_log = logging.getLogger(__name__)

START_S = 600.0
QUEUED = 1.25
"""Samples that an engine is given, for each that it decodes at once: it always has a next one, and
the rest can go to whoever is free first, one that joins among them."""
MOST_SCORED = 64
"""Groups that a reward worker is given at a time."""


@dataclass(slots=True)
class RayFleets:
    """Everything remote that a run uses: the `Fleets` of launch/pipeline.py as Ray actors."""

    config: RunConfig
    rollouts: RolloutFleet
    rewards: RewardFleet
    learner: RayLearnerGroup
    logs: Path
    run_id: str
    report: Report
    gauges: RayGauges
    scaler: Scaler | None
    _seen: StepRecord | None = None

    @property
    def engines(self) -> RolloutFleet:
        return self.rollouts

    def transfer(self, folder: Path) -> Transfer:
        # NCCL refuses two ranks on one GPU, so a shared one takes its weights by shared memory.
        on_gpus = self.config.rollout.gpus > 0 and self.config.learner.gpus > 0
        if on_gpus and not self.config.learner.colocate:
            return NcclTransfer(self.rollouts, self.config.rollout.gpus)
        return ObjectStoreTransfer() if on_cluster() else SharedMemoryTransfer(folder)

    def attach(self, join: Callable[[Any], Awaitable[None]], late: Callable[[Any], None]) -> None:
        rollouts = self.rollouts
        rollouts.pool.join = lambda member: join(rollouts.engine(member))
        rollouts.pool.late = late

    @property
    def pools(self) -> dict[str, Pool]:
        pools = {"rollout": self.rollouts.pool, "reward": self.rewards.pool}
        hosts, judges = self.rollouts.hosts, self.rewards.judges
        pools |= {"envs": hosts.pool} if hosts else {}
        return pools | ({"judge": judges} if judges is not None else {})

    def status(self, policy_version: int) -> dict[str, Any]:
        versions = {"rollout": policy_version}
        pools = self.pools.items()
        return {
            "fleets": {role: describe(pool, versions.get(role)) for role, pool in pools},
            "deadlines_hit": {role: pool.deadlines_hit for role, pool in pools},
        }

    def observe(self, status: Mapping[str, Any], step: StepRecord | None) -> None:
        self.gauges.set(values(status, step.metrics if step else {}))
        if self.scaler is None:
            return
        pool = self.rollouts.pool
        serving = [member for member in pool.staying if member.health.serves]
        self.scaler.sample(sum(member.outstanding == 0 for member in serving), len(serving))
        if step is not None and step is not self._seen and step.kind == "rl":
            self._seen, workers = step, len(pool.staying)
            wanted = self.scaler.step_done(step.metrics, workers)
            if wanted != workers:
                pool.resize(wanted)
                self.report("scale", role="rollout", workers=wanted, before=workers)

    def scale(self, sizes: Mapping[str, int]) -> str:
        if "rollout" in sizes and self.config.learner.colocate:
            raise ConfigError("rollout workers that share the learner's GPUs keep their number")
        if not on_cluster():  # there, one without room waits for a machine to be added
            adding = sizes.get("rollout", 0) - len(self.rollouts.pool.staying)
            free_gpus = ray.available_resources().get("GPU", 0.0)
            free_gib = psutil.virtual_memory().available / GIB
            check_room(self.config, adding, free_gpus, free_gib)
        return resize(self.pools, sizes)

    def drain(self, worker: str, now: bool) -> str:
        return drain(self.pools, worker, now)

    async def replace_learner(self, model: Path) -> None:
        for rank in self.learner.ranks:
            ray.kill(rank)
        if self.learner.placement is not None:
            remove_placement_group(self.learner.placement)
        self.learner = await start_learner(self.config, model, self.logs, self.run_id)


@contextlib.asynccontextmanager
async def ray_fleets(
    config: RunConfig, models: Models, logs: Path, run_id: str, report: Report
) -> AsyncIterator[RayFleets]:
    """Connect, start all fleets, and leave the cluster again when the block ends."""
    with connected(config):
        rollouts, learner, rewards = await asyncio.gather(
            start_rollouts(config, models, logs, run_id, report, serving=False),
            start_learner(config, models.source, logs, run_id),
            start_rewards(config, logs, run_id, report),
        )  # all at once: engines and ranks load while each other's do
        gauges, scaler = RayGauges(config.name), make_scaler(config)
        yield RayFleets(config, rollouts, rewards, learner, logs, run_id, report, gauges, scaler)
        await rewards.close()
        await stop_engines(rollouts)


def make_scaler(config: RunConfig) -> Scaler | None:
    """The scaling policy that a configuration asks for, if any."""
    fleet = config.fleet
    if not fleet.max_rollout_workers:
        return None
    return Scaler(fleet.min_rollout_workers, fleet.max_rollout_workers)


def no_report(kind: str, **fields: Any) -> None:
    """Where there is no run whose events would be kept."""
    _log.warning("%s: %s", kind, fields)


async def start_rollouts(
    config: RunConfig,
    models: Models,
    logs: Path,
    run_id: str,
    report: Report = no_report,
    serving: bool = True,
) -> RolloutFleet:
    """Start the engines; they hold the weights of `models.engine`. `serving` False: they wait for
    others, which have to be published to them."""
    settings = engine_settings(config, models)
    role = Role(
        name="rollout",
        create=_creator(RolloutActor, config, "rollout", logs, run_id),
        ask=ask,
        end=end,
        start_args=(settings, str(models.engine), config.deadlines),
        capacity=round(QUEUED * config.rollout.max_num_seqs),
        limits=_limits(config),
        start_s=START_S,
        probe_s=config.deadlines.turn_s,
        wait_s=config.deadlines.step_s,
    )
    pool = Pool(role, report, config.fleet.min_rollout_workers)
    if not serving:
        pool.join = _wait_for_publish
    hosts, opening = None, [pool.open(config.rollout.workers)]
    if needs_hosts(config):
        create = _creator(EnvHostActor, config, "envs", logs, run_id)
        hosts = HostFleet.of(config, pool, report, create, _limits(config))
        opening.append(hosts.open())
    await asyncio.gather(*opening)
    return RolloutFleet(pool, config.deadlines, config.fleet.data_retries, hosts)


async def _wait_for_publish(member: Member) -> None:
    """The first publish finds it."""


async def start_rewards(
    config: RunConfig, logs: Path, run_id: str, report: Report = no_report
) -> RewardFleet:
    """Start the reward workers and, where a route asks one, the judge."""
    role = Role(
        name="reward",
        create=_creator(RewardActor, config, "reward", logs, run_id),
        ask=ask,
        end=end,
        start_args=(config.reward,),
        capacity=MOST_SCORED,
        limits=_limits(config),
        start_s=START_S,
        probe_s=config.deadlines.turn_s,
        wait_s=config.deadlines.step_s,
    )
    pool, judges = Pool(role, report), None
    opening = [pool.open(config.reward.workers)]
    if asks_anyone(config.reward):
        judges = Pool(_judge_role(config, logs, run_id), report)
        opening.append(judges.open(judge_settings(config.reward).workers))
    await asyncio.gather(*opening)
    routes = load_routes(config.reward)
    return RewardFleet(pool, config.deadlines, config.fleet.data_retries, judges, routes)


def _judge_role(config: RunConfig, logs: Path, run_id: str) -> Role:
    return Role(
        name="judge",
        create=_creator(JudgeActor, config, "judge", logs, run_id),
        ask=ask,
        end=end,
        start_args=(config.reward,),
        limits=_limits(config),
        start_s=START_S,
        probe_s=config.deadlines.turn_s,
        wait_s=config.deadlines.step_s,
    )


def _creator(
    actor: Any, config: RunConfig, role: str, logs: Path, run_id: str
) -> Callable[[str, int], Any]:
    def create(name: str, life: int) -> Any:
        options = _options(config, role, run_id, life)
        return actor.options(**options).remote(str(logs / f"{name}.log"))

    return create


def _limits(config: RunConfig) -> Limits:
    return Limits(restarts=config.fleet.restarts, probe_every_s=config.fleet.probe_every_s)


async def start_learner(config: RunConfig, model: Path, logs: Path, run_id: str) -> RayLearnerGroup:
    """Start the learner ranks on the weights of `model`."""
    options = _options(config, "learner", run_id)
    group = await _reserve_together(config) if on_cluster() and config.learner.ranks > 1 else None
    ranks: list[Any] = [
        LearnerActor.options(**options, **_bundle(group, rank)).remote(
            str(logs / f"learner_{rank}.log")
        )
        for rank in range(config.learner.ranks)
    ]
    host, port = await within(START_S, "learner rank 0", "starting", ranks[0].address.remote())
    starts = []
    for rank, actor in enumerate(ranks):
        settings = LearnerSettings(
            model=str(model),
            dtype=config.model.dtype,
            config=config.learner,
            rank=rank,
            world_size=len(ranks),
            master_address=host,
            master_port=port,
        )
        reply = actor.start.remote(settings)
        starts.append(within(START_S, f"learner rank {rank}", "loading the model", reply))
    await asyncio.gather(*starts)
    return RayLearnerGroup(ranks, config.deadlines, group)


async def _reserve_together(config: RunConfig) -> PlacementGroup:
    """Room for all ranks, on as few machines as have it: they exchange gradients at every step."""
    bundles = [reserved(config, "learner")] * config.learner.ranks
    group = placement_group(bundles, strategy="PACK")
    await within(START_S, "the cluster", "reserving room for the learner", group.ready())
    return group


def _bundle(group: PlacementGroup | None, rank: int) -> dict[str, Any]:
    if group is None:
        return {}
    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, rank)}


def _options(config: RunConfig, role: str, run_id: str, life: int = 0) -> dict[str, Any]:
    needs = reserved(config, role)
    threads = round(needs.get("CPU", 1))
    if not on_cluster():
        # On a machine of its own a run's roles take turns on the same cores, however many join.
        needs = {"GPU": needs.get("GPU", 0.0)}
    return {
        **actor_options(needs),
        "runtime_env": actor_environment(threads, run_id, life),
        "max_restarts": 0,  # the pool starts a new one, when it is time to
    }


async def stop_engines(rollouts: RolloutFleet) -> None:
    """Let every engine end by itself: one that is killed leaves its shared memory behind."""
    await rollouts.pool.close()
    if rollouts.hosts is not None:
        await rollouts.hosts.close()
