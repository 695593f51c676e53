"""The Ray faces of rollout worker, reward worker and learner rank.

An actor's constructor does nothing but redirect its output; heavy libraries load in `start`, in the
process that uses them. Exceptions are converted to ones that survive the way back: Ray cannot
carry a type that the caller lacks, or one that holds an unpicklable object.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray

from configs import faultpoints
from configs.faultpoints import point
from configs.schema import DeadlinesConfig, RewardConfig
from launch.console import send_output_to
from launch.machine import deepspeed_accelerator, free_port
from launch.memory import private_folder
from launch.remote import Place
from launch.shipping import ByteArray, pack, unpack
from rollout.engine import EngineDead
from rollout.types import FloatArray, Group, IntArray, RolloutRequest, Sampling, Score

if TYPE_CHECKING:
    from launch.env_hosts import Host
    from rewards.calibration import Calibration
    from rl.types import Batch, LearnerSettings, StepResult
    from rollout.engine import Engine, EngineSettings, VllmEngine
    from rollout.renderer import Renderer

MAX_CONCURRENT_GROUPS = 10_000

LAST_WORDS_S = 1.0
"""Between the answer that an engine is dead and the end of its process."""


class RolloutWorker:
    """One engine and the runner on top of it.

    A worker whose engine died tells its caller and then leaves by itself: a process that cannot
    serve must not be mistaken for one that does.
    """

    def __init__(self, log_file: str) -> None:
        send_output_to(Path(log_file))

    async def start(
        self, settings: EngineSettings, tokenizer: str, deadlines: DeadlinesConfig
    ) -> Place:
        """Start and warm up the engine, which holds the weights of `settings.model`."""
        from launch.env_hosts import RayEpisodes, longest_wait_s
        from rollout.runner import Runner

        point("rollout.start")
        self._engine = await self.make_engine(settings)
        self._episodes = RayEpisodes(longest_wait_s(deadlines))
        renderer = self.make_renderer(tokenizer)
        self._runner = Runner(self._engine, renderer, self._episodes, deadlines.rollout_s)
        return place()

    async def use_hosts(self, hosts: tuple[Host, ...]) -> None:
        """Play episodes on these from now on."""
        self._episodes.use(hosts)

    async def make_engine(self, settings: EngineSettings) -> Engine:
        from rollout.engine import VllmEngine

        engine = VllmEngine(settings)
        await engine.warm_up()
        return engine

    def make_renderer(self, tokenizer: str) -> Renderer:
        from rollout.renderer import Renderer

        return Renderer(tokenizer)

    async def run(self, request: RolloutRequest) -> Group:
        point("rollout.before_run")
        with _leaving_if_dead():
            group = await self._runner.run(request)
        point("rollout.after_run")
        return group

    async def probe(self) -> None:
        """Generate a token: what a worker that only answers pings cannot do."""
        point("rollout.probe")
        with _leaving_if_dead():
            await self._engine.generate(np.zeros(1, np.int32), Sampling(0.0, max_tokens=1), seed=0)

    async def load_weights(self, directory: str, version: int) -> None:
        point("rollout.before_load")
        with _leaving_if_dead():
            await self._engine.load_weights(Path(directory), version)
        point("rollout.after_load")

    async def load_shipped(self, files: Mapping[str, ByteArray], version: int) -> None:
        """The same, for weights that came through the object store from another machine."""
        with private_folder() as directory:
            unpack(files, directory)
            await self.load_weights(str(directory), version)

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        with _leaving_if_dead():
            return await self._engine.logprobs(sequences)

    async def join_transfer(self, init_info: dict[str, Any]) -> None:
        await self._vllm.join_transfer(init_info)

    async def start_update(self) -> None:
        await self._vllm.start_update()

    async def receive_update(self, update_info: dict[str, Any]) -> None:
        await self._vllm.receive_update(update_info)

    async def finish_update(self, version: int) -> None:
        await self._vllm.finish_update(version)

    @property
    def _vllm(self) -> VllmEngine:
        """The engine, for what only vLLM can do (NCCL)."""
        from rollout.engine import VllmEngine

        assert isinstance(self._engine, VllmEngine)
        return self._engine

    async def stop(self) -> None:
        self._engine.close()


@contextlib.contextmanager
def _leaving_if_dead() -> Iterator[None]:
    try:
        yield
    except EngineDead:
        asyncio.get_running_loop().call_later(LAST_WORDS_S, os._exit, 1)
        raise


class RewardWorker:
    """Rule checks, apart from the engines, in processes of their own that can be killed."""

    def __init__(self, log_file: str) -> None:
        send_output_to(Path(log_file))

    async def start(self, config: RewardConfig) -> Place:
        from launch.judging import load_rules
        from rewards.processes import Checkers

        point("reward.start")
        # New processes import the main module of their parent, here all of Ray, if it has a file.
        vars(sys.modules["__main__"]).pop("__file__", None)
        self._checkers = Checkers(load_rules, config)
        await self._checkers.start()
        return place()

    async def score(self, group: Group) -> list[Score]:
        """One score for each trajectory of a group, which comes without its tokens."""
        point("reward.before_score")
        scores = await self._checkers.scores(group.trajectories)
        point("reward.after_score")
        return scores

    async def probe(self) -> None:
        """Have nothing scored: what a worker whose processes are gone cannot do."""
        await self._checkers.scores([])

    async def stop(self) -> None:
        await self._checkers.close()


class JudgeWorker:
    """The judge with its cache and limits; one worker serves a whole fleet's requests at once."""

    def __init__(self, log_file: str) -> None:
        send_output_to(Path(log_file))

    async def start(self, config: RewardConfig) -> Place:
        from launch.judging import open_panel

        point("judge.start")
        self._panel = await open_panel(config)
        return place()

    async def score(self, group: Group) -> list[Score]:
        """The final scores of a group that has the rules'."""
        point("judge.before_score")
        scored = await self._panel.score(group)
        return [t.score for t in scored.trajectories if t.score is not None]

    async def calibrate(self) -> dict[str, Calibration]:
        """The judge on its gold sets."""
        return await self._panel.calibrate()

    async def probe(self) -> None:
        """That the process answers: a server's outage is not the worker's, and is waited out."""

    async def stop(self) -> None:
        await self._panel.judge.close()


def place() -> Place:
    return Place(ray.get_runtime_context().get_node_id(), os.getpid())


class LearnerRank:
    """One DeepSpeed rank."""

    def __init__(self, log_file: str) -> None:
        send_output_to(Path(log_file))

    def address(self) -> tuple[str, int]:
        """Where rank 0 will listen for the others."""
        host = ray.util.get_node_ip_address()
        return host, free_port(host)

    def start(self, settings: LearnerSettings) -> None:
        from rl.learner import Learner

        self._learner = Learner(settings)

    def step(self, batch: Batch) -> StepResult:
        point("learner.before_step")
        return self._learner.step(batch)

    def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        return self._learner.logprobs(sequences)

    def begin_stage(self, reference: str | None) -> None:
        """Fresh optimizer moments; `reference` is the model of the KL term, if there is one."""
        self._learner.begin_stage()
        self.load_reference(reference)

    def load_reference(self, reference: str | None) -> None:
        self._learner.load_reference(Path(reference) if reference else None)

    def write_weights(self, directory: str) -> None:
        self._learner.write_weights(Path(directory))

    def export_weights(self) -> tuple[bool, dict[str, ByteArray]]:
        """The weights as files in the object store, from where every machine can have them. Two
        results: so a caller can wait for the first without fetching the second."""
        with private_folder() as directory:
            self.write_weights(str(directory / "weights"))
            written = directory / "weights"
            return True, pack(written) if written.is_dir() else {}

    def connect_engines(
        self, workers: list[Any], address: tuple[str, int], ranks_each: int, timeout_s: float
    ) -> None:
        """Open the NCCL group to all engines (GPU)."""
        from launch.nccl import RayReceivers
        from rollout.weight_receiver import NcclSender

        settings = self._learner.settings
        self._receivers = RayReceivers(workers, ranks_each, timeout_s)
        self._sender = NcclSender(
            rank=settings.rank,
            address=address,
            num_engine_ranks=ranks_each * len(workers),
            receivers=self._receivers,
            shapes=self._learner.weight_shapes(),
            dtype=settings.dtype,
            gather=self._learner.named_weights,
        )

    def send_weights(self, version: int) -> None:
        """Broadcast the weights to all engines over NCCL (GPU)."""
        self._receivers.version = version
        self._sender.send()

    def save(self, directory: str) -> None:
        self._learner.save(Path(directory))

    def load(self, directory: str) -> None:
        self._learner.load(Path(directory))


# What Ray makes of the classes is not typed, hence Any.
RolloutActor: Any = ray.remote(max_concurrency=MAX_CONCURRENT_GROUPS)(RolloutWorker)
RewardActor: Any = ray.remote(max_concurrency=MAX_CONCURRENT_GROUPS)(RewardWorker)
JudgeActor: Any = ray.remote(max_concurrency=MAX_CONCURRENT_GROUPS)(JudgeWorker)
LearnerActor: Any = ray.remote(LearnerRank)


def actor_environment(threads: int, run_id: str, life: int = 0) -> dict[str, Any]:
    """Ray's runtime environment of an actor: what must be set before its libraries load.

    A fault that a test asked for at one hit strikes a worker's first life only.

    Ray's APIs show these values to anyone who can reach them: no secret belongs here.
    """
    return {
        "env_vars": {
            "OMP_NUM_THREADS": str(threads),
            # Threads that wait for each other sleep instead of spinning. Roles take turns on the
            # same cores: on a busy machine spinning made a training step nine times slower.
            "OMP_WAIT_POLICY": "PASSIVE",
            "DS_ACCELERATOR": deepspeed_accelerator(),
            "ASSAY_RUN_ID": run_id,
            "TOKENIZERS_PARALLELISM": "false",
            faultpoints.VARIABLE: faultpoints.in_life(life),
        }
    }
