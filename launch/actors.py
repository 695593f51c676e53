"""The Ray faces of rollout worker, reward worker and learner rank.

An actor's constructor does nothing but redirect its output; heavy libraries load in `start`, in the
process that uses them. Exceptions are converted to ones that survive the way back: Ray cannot
carry a type that the caller lacks, or one that holds an unpicklable object.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from configs.schema import RewardConfig
from launch.console import send_output_to
from launch.machine import deepspeed_accelerator, free_port
from rollout.types import FloatArray, Group, IntArray, RolloutRequest

if TYPE_CHECKING:
    from rl.types import Batch, LearnerSettings, StepResult
    from rollout.engine import EngineSettings

MAX_CONCURRENT_GROUPS = 10_000


class RolloutWorker:
    """One vLLM engine and the runner on top of it."""

    def __init__(self, log_file: str) -> None:
        send_output_to(Path(log_file))

    async def start(self, settings: EngineSettings, tokenizer: str, rollout_s: float) -> None:
        """Start and warm up the engine; it serves only after its first `load_weights`."""
        from launch.environments import make_env
        from rollout.engine import VllmEngine
        from rollout.renderer import Renderer
        from rollout.runner import Runner

        self._engine = VllmEngine(settings)
        await self._engine.warm_up()
        self._runner = Runner(self._engine, Renderer(tokenizer), make_env, rollout_s)

    async def run(self, request: RolloutRequest) -> Group:
        return await self._runner.run(request)

    async def load_weights(self, directory: str, version: int) -> None:
        await self._engine.load_weights(Path(directory), version)

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        return await self._engine.logprobs(sequences)

    async def join_transfer(self, init_info: dict[str, Any]) -> None:
        await self._engine.join_transfer(init_info)

    async def start_update(self) -> None:
        await self._engine.start_update()

    async def receive_update(self, update_info: dict[str, Any]) -> None:
        await self._engine.receive_update(update_info)

    async def finish_update(self, version: int) -> None:
        await self._engine.finish_update(version)

    async def stop(self) -> None:
        self._engine.close()


class RewardWorker:
    """Rule checks, apart from the engines."""

    def __init__(self, log_file: str, config: RewardConfig) -> None:
        send_output_to(Path(log_file))
        from launch.tasks import load_verifier

        self._verifier = load_verifier(config)

    def score(self, group: Group) -> Group:
        from rewards.scoring import score_group

        return score_group(group, self._verifier)


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
RewardActor: Any = ray.remote(RewardWorker)
LearnerActor: Any = ray.remote(LearnerRank)


def actor_environment(threads: int, run_id: str) -> dict[str, Any]:
    """Ray's runtime environment of an actor: what must be set before its libraries load.

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
        }
    }
