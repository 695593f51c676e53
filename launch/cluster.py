"""Connect to Ray, and start the fleets that a configuration asks for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from configs.schema import RunConfig
from launch.actors import LearnerActor, RewardActor, RolloutActor, actor_environment
from launch.fleet import NcclTransfer, RayLearnerGroup, RewardFleet, RolloutFleet, Worker, within
from launch.models import Models, engine_settings
from rl.publish import SharedMemoryTransfer, Transfer
from rl.types import LearnerSettings

OBJECT_STORE_BYTES = 512 * 1024**2
START_S = 600.0
STOP_S = 60.0
SHARED_GPU = 0.5  # what engine and learner rank each reserve of a GPU they share


@dataclass(slots=True)
class RayFleets:
    """Everything remote that a run uses: the `Fleets` of launch/pipeline.py as Ray actors."""

    config: RunConfig
    rollouts: RolloutFleet
    rewards: RewardFleet
    learner: RayLearnerGroup
    logs: Path
    run_id: str
    over_nccl: bool

    @property
    def engines(self) -> Sequence[Worker]:
        return self.rollouts.workers

    def transfer(self, folder: Path) -> Transfer:
        if self.over_nccl:
            return NcclTransfer(self.learner)
        return SharedMemoryTransfer(self.engines, self.learner, folder)

    async def replace_learner(self, model: Path) -> None:
        for rank in self.learner.ranks:
            ray.kill(rank)
        self.learner = await start_learner(self.config, model, self.logs, self.run_id)
        if self.over_nccl:
            await _connect_engines(self.config, self.rollouts, self.learner)


@contextlib.asynccontextmanager
async def ray_fleets(
    config: RunConfig, models: Models, logs: Path, run_id: str
) -> AsyncIterator[RayFleets]:
    """Connect, start all fleets, and leave the cluster again when the block ends."""
    with connected(config):
        fleets = await start_fleets(config, models, logs, run_id)
        yield fleets
        await stop_engines(fleets.rollouts)


@contextlib.contextmanager
def connected(config: RunConfig) -> Iterator[None]:
    """Join the cluster that RAY_ADDRESS names (a submitted job has it set), or start a local one.

    A local cluster declares as many CPUs as the run reserves: on a laptop the roles take turns on
    the same cores. Its ports ask for Ray's token. It ends with the block, with all its
    processes, or when this process dies.
    """
    on_sigterm = signal.getsignal(signal.SIGTERM)
    private = Path(tempfile.mkdtemp(prefix="assay-ray-"))  # 0700; Ray opens its own to everybody
    if os.environ.get("RAY_ADDRESS"):
        ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
    else:
        _start_local_cluster(config, private / "ray")
    signal.signal(signal.SIGTERM, on_sigterm)  # Ray has put its own in place, which exits at once
    try:
        yield
    finally:
        ray.shutdown()
    shutil.rmtree(private, ignore_errors=True)  # Ray's own logs, which stay after a failure


def _start_local_cluster(config: RunConfig, folder: Path) -> None:
    needed = (
        config.rollout.workers * config.rollout.cpus
        + config.learner.ranks * config.learner.cpus
        + config.reward.workers
    )
    ray.init(
        num_cpus=max(needed, os.cpu_count() or 1),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(folder),
    )


async def start_fleets(config: RunConfig, models: Models, logs: Path, run_id: str) -> RayFleets:
    """Start all actors at once; engines and ranks load while each other's do."""
    rollouts, learner, rewards = await asyncio.gather(
        start_rollouts(config, models, logs, run_id),
        start_learner(config, models.source, logs, run_id),
        start_rewards(config, logs, run_id),
    )
    # NCCL refuses two ranks on one GPU, so a shared one takes its weights through shared memory.
    on_gpus = config.rollout.gpus > 0 and config.learner.gpus > 0
    over_nccl = on_gpus and not config.learner.colocate
    if over_nccl:
        await _connect_engines(config, rollouts, learner)
    return RayFleets(config, rollouts, rewards, learner, logs, run_id, over_nccl)


async def _connect_engines(
    config: RunConfig, rollouts: RolloutFleet, learner: RayLearnerGroup
) -> None:
    """Open the NCCL group from learner rank 0 to every engine rank."""
    address = await within(
        START_S, "learner rank 0", "answering", learner.ranks[0].address.remote()
    )
    actors = [worker.actor for worker in rollouts.workers]
    await learner.call(
        "connect_engines", "connecting to the engines",
        actors, address, config.rollout.gpus, config.deadlines.step_s,
    )  # fmt: skip


async def start_rollouts(
    config: RunConfig, models: Models, logs: Path, run_id: str
) -> RolloutFleet:
    """Start the engines; they hold the weights of `models.engine`."""
    settings = engine_settings(config, models)
    gpus = SHARED_GPU if config.learner.colocate else config.rollout.gpus
    options = _options(config.rollout.cpus, gpus, run_id)
    workers = []
    for number in range(config.rollout.workers):
        name = f"rollout worker {number}"
        actor = RolloutActor.options(**options).remote(str(logs / f"rollout_{number}.log"))
        workers.append(Worker(name, actor, config.deadlines))
    await asyncio.gather(
        *(
            within(
                START_S, w.name, "starting its engine",
                w.actor.start.remote(settings, str(models.engine), config.deadlines.rollout_s),
            )
            for w in workers
        )
    )  # fmt: skip
    return RolloutFleet(workers, config.deadlines)


async def start_learner(config: RunConfig, model: Path, logs: Path, run_id: str) -> RayLearnerGroup:
    """Start the learner ranks on the weights of `model`."""
    gpus = SHARED_GPU if config.learner.colocate else config.learner.gpus
    options = _options(config.learner.cpus, gpus, run_id)
    ranks: list[Any] = [
        LearnerActor.options(**options).remote(str(logs / f"learner_{rank}.log"))
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
    return RayLearnerGroup(ranks, config.deadlines)


async def start_rewards(config: RunConfig, logs: Path, run_id: str) -> RewardFleet:
    """Start the reward workers."""
    options = _options(1, 0, run_id)
    workers = [
        Worker(
            f"reward worker {number}",
            RewardActor.options(**options).remote(
                str(logs / f"reward_{number}.log"), config.reward
            ),
            config.deadlines,
        )
        for number in range(config.reward.workers)
    ]
    return RewardFleet(workers, config.deadlines)


def _options(cpus: int, gpus: float, run_id: str) -> dict[str, Any]:
    return {
        "num_cpus": cpus,
        "num_gpus": gpus,
        "runtime_env": actor_environment(cpus, run_id),
        "max_restarts": 0,
    }


async def stop_engines(rollouts: RolloutFleet) -> None:
    """Let every engine end by itself: one that is killed leaves its shared memory behind."""
    replies = [within(STOP_S, w.name, "stopping", w.actor.stop.remote()) for w in rollouts.workers]
    await asyncio.gather(*replies)
