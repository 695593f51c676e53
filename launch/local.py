"""The whole system in one process, without Ray: `assay train PRESET --local`.

For debugging, where breakpoints in the runner, the environments, the verifier and the learner work,
and for fast tests. One learner rank, and no deadlines: one may stay at a breakpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import ConfigError
from configs.schema import RunConfig
from envs.episodes import ThreadEpisodes
from launch.judging import asks_anyone, load_rules, open_panel
from launch.machine import deepspeed_accelerator, free_port
from launch.models import Models, engine_settings
from rewards.calibration import Calibration
from rewards.panel import Panel
from rewards.scoring import Rules, asks_judge, score_group
from rl.publish import SharedMemoryTransfer, Transfer
from rl.tracking import StepRecord
from rl.types import Batch, LearnerSettings, StepResult
from rollout.engine import Engine, VllmEngine
from rollout.runner import Runner
from rollout.types import FloatArray, Group, IntArray, RolloutRequest

if TYPE_CHECKING:
    from rl.learner import Learner

LOOPBACK = "127.0.0.1"

StartEngine = Callable[[RunConfig, Models], Awaitable[Engine]]


@dataclass(frozen=True, slots=True)
class LocalWorker:
    """A rollout worker: an engine and the runner on top of it."""

    name: str
    engine: Engine
    runner: Runner

    async def load_weights(self, directory: Path, version: int) -> None:
        await self.engine.load_weights(directory, version)

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        return await self.engine.logprobs(sequences)


@dataclass(frozen=True, slots=True)
class LocalRollouts:
    """Groups go round the workers."""

    workers: Sequence[LocalWorker]

    async def run(self, request: RolloutRequest) -> Group:
        return await self.workers[request.group_id % len(self.workers)].runner.run(request)


@dataclass(frozen=True, slots=True)
class LocalEngines:
    """As the publisher sees the workers: always the same ones, and none can be replaced."""

    workers: Sequence[LocalWorker]

    def ready(self) -> Sequence[LocalWorker]:
        return self.workers

    def waits(self, engine: LocalWorker) -> bool:
        return False

    def synced(self, engine: LocalWorker, version: int) -> None:
        return None

    def failed(self, engine: LocalWorker, error: Exception) -> None:
        raise error

    async def available(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class LocalScorer:
    """Rules, then the judge where one is asked, in this very process."""

    rules: Rules
    panel: Panel | None = None

    async def score(self, group: Group) -> Group:
        scored = score_group(group, self.rules)
        if self.panel is None or not asks_judge(group.task, self.panel.routes):
            return scored
        return await self.panel.score(scored)

    async def calibrate(self) -> dict[str, Calibration]:
        return {} if self.panel is None else await self.panel.calibrate()


class LocalLearner:
    """One learner rank in a thread of its own, so that engines go on while it trains."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="learner")
        self._learner: Learner

    async def start(self, model: Path) -> None:
        os.environ["DS_ACCELERATOR"] = deepspeed_accelerator()
        settings = LearnerSettings(
            model=str(model),
            dtype=self._config.model.dtype,
            config=self._config.learner,
            master_address=LOOPBACK,
            master_port=free_port(LOOPBACK),
        )

        def load() -> Learner:
            from rl.learner import Learner

            return Learner(settings)

        self._learner = await self._call(load)

    async def step(self, batch: Batch) -> StepResult:
        result: StepResult = await self._call(self._learner.step, batch)
        return result

    async def write_weights(self, directory: Path) -> None:
        await self._call(self._learner.write_weights, directory)

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        values: list[FloatArray] = await self._call(self._learner.logprobs, sequences)
        return values

    async def begin_stage(self, reference: Path | None) -> None:
        await self._call(self._learner.begin_stage)
        await self.load_reference(reference)

    async def load_reference(self, reference: Path | None) -> None:
        await self._call(self._learner.load_reference, reference)

    async def save(self, directory: Path) -> None:
        await self._call(self._learner.save, directory)

    async def load(self, directory: Path) -> None:
        await self._call(self._learner.load, directory)

    def close(self) -> None:
        """End the thread. The process group stays open: DeepSpeed would not find its groups again
        when another learner of this process follows."""
        self._thread.shutdown()

    async def _call(self, method: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, method, *args)


@dataclass(slots=True)
class LocalFleets:
    """The `Fleets` of launch/pipeline.py as plain objects."""

    config: RunConfig
    rollouts: LocalRollouts
    rewards: LocalScorer
    learner: LocalLearner

    @property
    def engines(self) -> LocalEngines:
        return LocalEngines(self.rollouts.workers)

    def transfer(self, folder: Path) -> Transfer:
        return SharedMemoryTransfer(folder)

    def attach(self, join: Callable[[Any], Awaitable[None]], late: Callable[[Any], None]) -> None:
        """Nobody joins, and nothing is late."""

    def status(self, policy_version: int) -> dict[str, Any]:
        return {"fleets": {}}

    def observe(self, status: Mapping[str, Any], step: StepRecord | None) -> None:
        """There are no metrics to scrape, and nothing to resize."""

    def scale(self, sizes: Mapping[str, int]) -> str:
        raise ConfigError("a run with --local keeps its size: everything is in one process")

    def drain(self, worker: str, now: bool) -> str:
        raise ConfigError("a run with --local keeps its workers: everything is in one process")

    async def replace_learner(self, model: Path) -> None:
        self.learner.close()
        self.learner = LocalLearner(self.config)
        await self.learner.start(model)


async def start_vllm(config: RunConfig, models: Models) -> VllmEngine:
    # Threads are running here already, and a fork would copy their locks.
    os.environ["VLLM_WORKER_MULTIPROCESSING_METHOD"] = "spawn"
    engine = VllmEngine(engine_settings(config, models))
    await engine.warm_up()
    return engine


@contextlib.asynccontextmanager
async def local_fleets(
    config: RunConfig, models: Models, start_engine: StartEngine = start_vllm
) -> AsyncIterator[LocalFleets]:
    """Start engines and learner in this process, and close them when the block ends.

    Raises:
        ConfigError: more than one learner rank is asked for.
    """
    if config.learner.ranks > 1:
        raise ConfigError(
            f"learner.ranks is {config.learner.ranks}, but --local trains with one rank: "
            "add learner.ranks=1, or leave --local out"
        )
    async with contextlib.AsyncExitStack() as closing:
        workers = []
        for number in range(config.rollout.workers):
            engine = await start_engine(config, models)
            closing.callback(engine.close)
            runner = Runner(engine, models.renderer, ThreadEpisodes(), rollout_s=math.inf)
            workers.append(LocalWorker(f"rollout-{number}", engine, runner))
        panel = None
        if asks_anyone(config.reward):
            panel = await open_panel(config.reward)
            closing.push_async_callback(panel.judge.close)
        fleets = LocalFleets(
            config,
            LocalRollouts(workers),
            LocalScorer(load_rules(config.reward), panel),
            LocalLearner(config),
        )
        closing.callback(lambda: fleets.learner.close())
        await fleets.learner.start(models.source)
        yield fleets
