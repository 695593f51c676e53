"""vLLM behind three calls: generate, score given tokens, replace the weights.

Everything about vLLM that moves between releases is in this file and `weight_receiver.py`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rollout.types import Completion, FloatArray, IntArray, Sampling


class EngineDead(RuntimeError):
    """The engine cannot serve any more: its process is gone or its weights are in doubt."""


class PromptTooLong(ValueError):
    """The prompt leaves no room for an answer within the model's length."""


class GenerationFailed(RuntimeError):
    """The engine ended one request before its answer was whole; it goes on serving others."""


class Engine(Protocol):
    """What a rollout needs of an inference engine."""

    policy_version: int

    async def generate(self, token_ids: IntArray, sampling: Sampling, seed: int) -> Completion:
        """Continue `token_ids`. Raises `EngineDead`, `PromptTooLong` or `GenerationFailed`."""
        ...

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        """Log-probability of each token given those before it, [T - 1] per sequence of T tokens."""
        ...

    async def load_weights(self, directory: Path, version: int) -> None:
        """Replace the weights in place; requests in flight go on under the new ones."""
        ...

    def close(self) -> None:
        """Stop for good."""
        ...


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How to start one engine. `threads` counts only on a CPU. `tokenizer` is a directory, for an
    engine that is to write JSON by schema; others work on token ids alone."""

    model: str
    dtype: str
    max_length: int
    stop_token_ids: tuple[int, ...]
    max_num_seqs: int = 256
    threads: int = 1
    kv_cache_gib: float = 1.0
    compile: bool = False
    gpus: int = 0
    gpu_memory_utilization: float = 0.85
    tokenizer: str = ""


def checked_finish(reason: str | None) -> str:
    """The finish reason of a whole answer, "stop" or "length".

    Raises:
        GenerationFailed: any other one ("abort", "error", ...): what there is must not be scored.
    """
    if reason not in ("stop", "length"):
        raise GenerationFailed(f"the engine ended the request with '{reason}'")
    return reason


def prepare_process(settings: EngineSettings) -> None:
    """Set the environment that vLLM reads when it is first imported; call before importing it."""
    os.environ["VLLM_LOGGING_LEVEL"] = "WARNING"
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ["VLLM_HOST_IP"] = "127.0.0.1"  # an engine's own processes are on one machine
    if settings.gpus == 0:
        os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(max(1, round(settings.kv_cache_gib)))
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        # The model runs in the engine core itself: one process fewer, and none that spins for a
        # second after each generation on the cores that the learner then needs.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ["OMP_NUM_THREADS"] = str(settings.threads)


class VllmEngine:
    """vLLM's AsyncLLM, warmed up before its constructor's caller is told that it serves.

    Seeded sampling needs chunked prefill off on a CPU: with it on, a per-request seed kills the
    engine ("CPU Generator does not use offset"). Log-probabilities are those of the distribution
    that was sampled from, so temperature is in them.
    """

    def __init__(self, settings: EngineSettings) -> None:
        prepare_process(settings)
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        self.settings = settings
        self.policy_version = 0
        self._ids = itertools.count()
        on_gpu = settings.gpus > 0
        extra: dict[str, Any] = {}
        if on_gpu:
            extra = {
                "tensor_parallel_size": settings.gpus,
                "gpu_memory_utilization": settings.gpu_memory_utilization,
                "weight_transfer_config": {"backend": "nccl"},
            }
        self._llm = AsyncLLM.from_engine_args(
            AsyncEngineArgs(
                model=settings.model,
                skip_tokenizer_init=not settings.tokenizer,
                tokenizer=settings.tokenizer or None,
                dtype=settings.dtype,
                max_model_len=settings.max_length,
                max_num_seqs=settings.max_num_seqs,
                max_num_batched_tokens=max(8192, settings.max_length),
                enable_chunked_prefill=on_gpu,
                enable_prefix_caching=True,  # a pause for new weights clears it: `clear_cache`
                enforce_eager=not settings.compile,
                logprobs_mode="processed_logprobs",
                disable_log_stats=True,
                trust_remote_code=False,
                seed=0,
                **extra,
            )
        )

    async def warm_up(self) -> None:
        """Generate at several batch sizes: the first generation after a start is slow."""
        import asyncio

        await self._llm.update_weight_version("0")
        prompt = np.zeros(8, dtype=np.int32)  # any token that every vocabulary has
        for count in (1, min(64, self.settings.max_num_seqs)):
            await asyncio.gather(
                *(self.generate(prompt, Sampling(1.0, max_tokens=4), i) for i in range(count))
            )

    async def generate(self, token_ids: IntArray, sampling: Sampling, seed: int) -> Completion:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        schema = sampling.json_schema
        room = self.settings.max_length - len(token_ids)
        if room < 1:
            raise PromptTooLong(
                f"prompt of {len(token_ids)} tokens, model.max_length {self.settings.max_length}"
            )
        params = SamplingParams(
            temperature=sampling.temperature,
            max_tokens=min(sampling.max_tokens, room),
            seed=seed if sampling.temperature > 0 else None,
            stop_token_ids=list(self.settings.stop_token_ids),
            logprobs=0,
            detokenize=False,
            flat_logprobs=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
            structured_outputs=StructuredOutputsParams(json=schema) if schema else None,
        )
        output = (await self._final_output(token_ids, params)).outputs[0]
        finish_reason = checked_finish(output.finish_reason)
        versions = output.weight_versions or []
        return Completion(
            token_ids=np.asarray(output.token_ids, dtype=np.int32),
            logprobs=np.asarray(output.logprobs.logprobs, dtype=np.float32),
            finish_reason=finish_reason,
            versions=tuple((span.start, int(span.version)) for span in versions),
        )

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        import asyncio

        return list(await asyncio.gather(*(self._sequence_logprobs(ids) for ids in sequences)))

    async def _sequence_logprobs(self, token_ids: IntArray) -> FloatArray:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=1.0,
            max_tokens=1,
            prompt_logprobs=0,
            detokenize=False,
            flat_logprobs=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        output = await self._final_output(token_ids, params)
        flat = output.prompt_logprobs
        # Position 0 has no predecessor; at the others the first entry is the prompt token itself.
        starts = flat.start_indices[1:]
        values = np.asarray([flat.logprobs[start] for start in starts], dtype=np.float32)
        assert len(values) == len(token_ids) - 1, (len(values), len(token_ids))
        return values

    async def _final_output(self, token_ids: IntArray, params: Any) -> Any:
        from vllm.v1.engine.exceptions import EngineDeadError

        final = None
        prompt = {"prompt_token_ids": token_ids.tolist()}
        try:
            async for output in self._llm.generate(prompt, params, str(next(self._ids))):
                final = output
        except EngineDeadError as error:
            raise EngineDead("the vLLM engine process died") from error
        assert final is not None, "vLLM ended a request without an output"
        return final

    async def load_weights(self, directory: Path, version: int) -> None:
        """Pause, reload from a directory of safetensors, stamp the version, resume.

        Raises:
            EngineDead: the reload failed, so nobody knows which weights it holds.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            await self._llm.pause_generation(mode="keep", clear_cache=True)
            await self._llm.collective_rpc(
                "reload_weights", kwargs={"weights_path": str(directory)}
            )
            await self._llm.update_weight_version(str(version))
            self.policy_version = version
            await self._llm.resume_generation()
        except (EngineDeadError, RuntimeError, OSError, ValueError, KeyError) as error:
            raise EngineDead(f"weights version {version} could not be loaded: {error}") from error

    async def join_transfer(self, init_info: dict[str, Any]) -> None:
        """Join the NCCL group over which weights will come (GPU; see `weight_receiver.py`)."""
        from vllm.distributed.weight_transfer.base import WeightTransferInitRequest

        await self._llm.init_weight_transfer_engine(WeightTransferInitRequest(init_info))

    async def start_update(self) -> None:
        await self._llm.pause_generation(mode="keep", clear_cache=True)
        await self._llm.start_weight_update()

    async def receive_update(self, update_info: dict[str, Any]) -> None:
        from vllm.distributed.weight_transfer.base import WeightTransferUpdateRequest

        await self._llm.update_weights(WeightTransferUpdateRequest(update_info))

    async def finish_update(self, version: int) -> None:
        await self._llm.finish_weight_update(str(version))
        self.policy_version = version
        await self._llm.resume_generation()

    def close(self) -> None:
        self._llm.shutdown()
        del self._llm  # its own end, left to the interpreter's, fails
