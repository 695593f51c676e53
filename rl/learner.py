"""One learner rank: DeepSpeed around the policy, one call a training step.

SFT and RL are the same learner with another loss and another producer of batches. Every rank gets
the whole batch, packs it the same way and takes its own share, so packing needs no exchange.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import deepspeed
import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file

from configs.errors import MissingCapability
from configs.faultpoints import point
from configs.schema import Reduction
from rl.deepspeed_config import clips_itself, deepspeed_config
from rl.linear import use_onednn
from rl.losses import cross_entropy, policy_loss
from rl.model import load_policy
from rl.network import PolicyNetwork
from rl.packing import denominator, pack, split_minibatches
from rl.types import Batch, LearnerSettings, LossInputs, MicroBatch, Sample, StepResult
from rollout.types import FloatArray, IntArray

T = TypeVar("T")
Work = Callable[[Batch, Sequence[Sample]], T]
LogprobsOfSample = dict[int, torch.Tensor]


class Learner:
    """One data-parallel rank. Every rank calls the same methods with equal arguments."""

    def __init__(self, settings: LearnerSettings) -> None:
        self.settings = settings
        self.token_budget = settings.config.token_budget
        self._start_distributed()
        self._network = self._load_network(settings.model)
        self._reference: PolicyNetwork | None = None
        self._grad_norm = 0.0
        self._out_of_memory = 0
        self._engine = self._start_engine(self._network)

    def _start_distributed(self) -> None:
        s = self.settings
        on_gpu = s.config.gpus > 0
        if on_gpu and not torch.cuda.is_available():
            raise MissingCapability("learner.gpus is set but this process sees no CUDA device")
        os.environ.update(
            RANK=str(s.rank), WORLD_SIZE=str(s.world_size), LOCAL_RANK="0",
            MASTER_ADDR=s.master_address, MASTER_PORT=str(s.master_port),
        )  # fmt: skip
        if not on_gpu:
            torch.set_num_threads(s.config.cpus)
            # Its shared-memory collectives would be compiled now, which needs a C++ compiler.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed("nccl" if on_gpu else "gloo", verbose=False)

    def _load_network(self, path: str) -> PolicyNetwork:
        attention = "packed_varlen" if self.settings.config.flash_attention else "packed"
        model: Any = load_policy(path, self.settings.dtype, attention)
        if self.settings.config.activation_checkpointing:
            model.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        if self.settings.config.gpus == 0 and self.settings.dtype == "float32":
            use_onednn(model)
        if self.settings.config.compile:
            model.compile(dynamic=True)
        model.train()
        return PolicyNetwork(model)

    def _start_engine(self, network: PolicyNetwork) -> Any:
        config = self.settings.config
        optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=0.0,
            betas=(0.9, 0.95),
            weight_decay=config.weight_decay,
        )
        if clips_itself(self.settings):
            optimizer.register_step_pre_hook(self._clip)
        engine, *_ = deepspeed.initialize(
            model=network, optimizer=optimizer, config=deepspeed_config(self.settings)
        )
        return engine

    def _clip(self, *_: Any) -> None:
        """Clip the gradients that all ranks have agreed on, just before AdamW uses them. Where they
        are not finite they are taken away, and AdamW does nothing: so DeepSpeed does elsewhere."""
        norm = torch.nn.utils.clip_grad_norm_(
            self._network.parameters(), self.settings.config.grad_clip
        )
        self._grad_norm = float(norm)
        if not np.isfinite(self._grad_norm):
            self._network.zero_grad()

    def _last_grad_norm(self) -> float:
        if not clips_itself(self.settings):
            self._grad_norm = float(self._engine.get_global_grad_norm())
        return self._grad_norm

    def begin_stage(self) -> None:
        """Forget the optimizer's moments: a new stage has another loss."""
        optimizer = self._engine.optimizer
        while not isinstance(optimizer, torch.optim.AdamW):  # DeepSpeed wraps it once per feature
            optimizer = optimizer.optimizer
        optimizer.state.clear()

    def load_reference(self, directory: Path | None) -> None:
        """Load a frozen model for the KL term, or forget it (None). Every rank holds it whole."""
        self._reference = None
        if directory is not None:
            network = self._load_network(str(directory))
            self._reference = network.requires_grad_(False).eval().to(self._engine.device)

    def step(self, batch: Batch) -> StepResult:
        """Train on a batch: `num_minibatches` optimizer steps over any number of micro-batches.

        An optimizer step that runs out of memory is begun again with half the token budget, down to
        its longest sample. With several ranks an overrun in the backward pass cannot be recovered,
        since the other ranks already wait in its collective; the step's deadline ends it.

        Raises:
            MissingCapability: one sample alone does not fit in memory.
        """
        started = time.perf_counter()
        count = batch.algorithm.num_minibatches if batch.algorithm else 1
        minibatches = split_minibatches(batch.samples, count)
        for group in self._engine.optimizer.param_groups:
            group["lr"] = batch.learning_rate
        retries_before = self._out_of_memory
        # All before the first optimizer step: they belong to the weights the batch began with.
        old = [self._retried(batch, m, self._old_logprobs) for m in minibatches]
        sums: dict[str, float] = {"tokens": 0.0, "loss": 0.0, "micro_batches": 0.0}
        norms: list[float] = []
        for minibatch, old_logprobs in zip(minibatches, old, strict=True):
            parts = self._retried(
                batch, minibatch, functools.partial(self._gradients, old=old_logprobs)
            )
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value
            self._engine.step()
            norms.append(self._last_grad_norm())
        sums = self._sum_over_ranks(sums)
        loss, tokens = sums.pop("loss") / len(minibatches), sums.pop("tokens")
        micro_batches = sums.pop("micro_batches") / self.settings.world_size
        return StepResult(
            loss=loss,
            grad_norm=float(np.max(norms)),
            num_tokens=int(tokens),
            num_micro_batches=round(micro_batches),
            token_budget=self.token_budget,
            learning_rate=batch.learning_rate,
            metrics={name: value / max(1.0, tokens) for name, value in sums.items()},
            out_of_memory=self._out_of_memory - retries_before,
            skipped=int(np.count_nonzero(~np.isfinite(norms))),
            seconds=time.perf_counter() - started,
        )

    def _retried(self, batch: Batch, samples: Sequence[Sample], work: Work[T]) -> T:
        """Pack the samples and work on them, with a smaller budget as long as memory runs out."""
        while True:
            try:
                return work(batch, samples)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                self._halve_budget(samples)

    def _halve_budget(self, samples: Sequence[Sample]) -> None:
        self._discard_gradients()
        self._out_of_memory += 1
        longest = max(len(sample.token_ids) for sample in samples)
        if self.token_budget <= longest:
            raise MissingCapability(
                f"a sample of {longest} tokens does not fit in memory: lower model.max_length, set "
                "learner.activation_checkpointing=true, or add learner.ranks with zero_stage=3"
            ) from None
        self.token_budget = max(longest, self.token_budget // 2)

    def _discard_gradients(self) -> None:
        optimizer = self._engine.optimizer
        optimizer.zero_grad()
        if self.settings.config.zero_stage in (1, 2):
            # These stages hold what earlier micro-batches gave until the next step uses it.
            for group in optimizer.all_grad_tensors:
                optimizer.all_grad_tensors[group] = None

    def _gradients(
        self, batch: Batch, samples: Sequence[Sample], old: LogprobsOfSample
    ) -> dict[str, float]:
        """Accumulate the gradients of one optimizer step; returns sums over this rank's tokens."""
        micros, divisor = self._plan(batch, samples)
        sums = {"micro_batches": float(len(micros))}
        for micro in micros:
            for name, value in self._accumulate(batch, micro, old, divisor).items():
                sums[name] = sums.get(name, 0.0) + value
        return sums

    def _plan(self, batch: Batch, samples: Sequence[Sample]) -> tuple[list[MicroBatch], float]:
        """This rank's micro-batches, and the step-wide denominator of the loss."""
        reduction = batch.algorithm.reduction if batch.algorithm else Reduction.TOKEN
        packed = pack(samples, self.token_budget, self.settings.world_size, reduction)
        divisor = denominator(samples, reduction, batch.max_tokens)
        return packed[self.settings.rank], divisor

    def _old_logprobs(self, batch: Batch, samples: Sequence[Sample]) -> LogprobsOfSample:
        """Log-probabilities under the batch's first weights, by the sample's place in `samples`.

        With a single optimizer step the current ones are exactly those: empty saves the pass.
        """
        if batch.algorithm is None or batch.algorithm.num_minibatches == 1:
            return {}
        result: LogprobsOfSample = {}
        for micro in self._plan(batch, samples)[0]:
            with torch.no_grad():
                values = self._forward(micro, batch.temperature)[0]
            counts = np.bincount(micro.sequence_index, minlength=len(micro.sample_indices)).tolist()
            if micro.sample_indices:
                pieces = torch.split(values, counts)
                result |= dict(zip(micro.sample_indices, pieces, strict=True))
        return result

    def _forward(self, micro: MicroBatch, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
        """One forward pass in which all ranks agree on whether memory sufficed."""
        result: tuple[torch.Tensor, torch.Tensor] | None = None
        failed = torch.zeros(1, device=self._engine.device)
        try:
            point("learner.forward")
            result = self._engine(micro, temperature)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            failed += 1
        if self.settings.world_size > 1:
            dist.all_reduce(failed)
        if result is None or failed:
            raise torch.OutOfMemoryError("out of memory in the forward pass of some rank")
        return result

    def _accumulate(
        self, batch: Batch, micro: MicroBatch, old: LogprobsOfSample, divisor: float
    ) -> dict[str, float]:
        """Forward and backward of one micro-batch; returns sums over its tokens."""
        device = self._engine.device
        reference = None
        if batch.algorithm is not None and batch.algorithm.kl_coef:
            assert self._reference is not None, "load_reference() comes before a KL term"
            with torch.no_grad():
                reference = self._reference(micro, batch.temperature)[0]
        logprobs, entropy = self._forward(micro, batch.temperature)
        inputs = LossInputs(
            logprobs=logprobs,
            old_logprobs=_in_order(old, micro) if old else logprobs.detach(),
            rollout_logprobs=torch.as_tensor(micro.rollout_logprobs, device=device),
            advantages=torch.as_tensor(micro.advantages, device=device),
            weights=torch.as_tensor(micro.weights, device=device),
            sequence_index=torch.as_tensor(micro.sequence_index, device=device).long(),
            num_sequences=micro.num_sequences,
            ref_logprobs=reference,
        )
        if batch.algorithm is None:
            output = cross_entropy(inputs)
        else:
            output = policy_loss(inputs, batch.algorithm)
        # The loss is a sum over this micro-batch. Divided by the step-wide count, the sum over
        # micro-batches and ranks is the mean. DeepSpeed then averages gradients over ranks, which
        # the factor undoes; it does not divide by the number of micro-batches, because accumulation
        # is ours (managed_gradient_accumulation is off).
        scaled = output.loss * (self.settings.world_size / divisor)
        self._engine.backward(scaled, scale_wrt_gas=False)
        metrics = {name: float(value) for name, value in output.metrics.items()}
        metrics["loss"] = float(output.loss.detach()) / divisor
        metrics["policy/entropy"] = float(entropy.sum())
        metrics["tokens"] = float(len(micro.targets))
        return metrics

    def _sum_over_ranks(self, sums: dict[str, float]) -> dict[str, float]:
        if self.settings.world_size == 1:
            return sums
        names = sorted(sums)
        values = torch.tensor([sums[n] for n in names], dtype=torch.float64).to(self._engine.device)
        dist.all_reduce(values)
        return dict(zip(names, values.tolist(), strict=True))

    def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        """Log-probability of each token given those before it, [T - 1] per sequence; for probes."""
        samples = [_scored_sample(ids) for ids in sequences]
        result: list[FloatArray] = [np.empty(0, np.float32)] * len(samples)
        # One rank's packing on every rank: all of them compute all sequences, so that the ZeRO-3
        # gathers in the forward pass match and any rank can answer.
        [micros] = pack(samples, self.token_budget, 1, Reduction.TOKEN)
        self._engine.eval()
        for micro in micros:
            with torch.no_grad():
                values = self._engine(micro, 1.0)[0].cpu().numpy()
            lengths = [len(samples[i].token_ids) - 1 for i in micro.sample_indices]
            pieces = np.split(values, np.cumsum(lengths)[:-1])
            for index, piece in zip(micro.sample_indices, pieces, strict=True):
                result[index] = piece
        self._engine.train()
        return result

    def write_weights(self, directory: Path) -> None:
        """Write all weights as `model.safetensors` under their Hugging Face names (rank 0 writes).

        The output head is always written, also where it is tied to the embedding: vLLM's in-place
        reload on a CPU leaves a tied head stale, so engines run an untied copy.
        """
        tensors: dict[str, torch.Tensor] = {}
        for name, tensor in self.named_weights():
            if self.settings.rank == 0:
                tensors[name] = tensor.to("cpu", copy=True).contiguous()
        if self.settings.rank == 0:
            directory.mkdir(parents=True, exist_ok=True)
            save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})

    def named_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Whole parameters in the model's type, on their device, an untied output head last.

        Every rank must iterate to the end: ZeRO-3 gathers one parameter at a time.
        """
        dtype = getattr(torch, self.settings.dtype)
        embedding, head = None, False
        for name, parameter in self._network.model.named_parameters():
            with deepspeed.zero.GatheredParameters(
                [parameter], enabled=self.settings.config.zero_stage == 3
            ):
                tensor = parameter.detach().to(dtype)
                if name == EMBEDDING:
                    embedding = tensor.clone()
                head = head or name == HEAD
                yield name, tensor
        if not head:
            assert embedding is not None, f"a model without {HEAD} has {EMBEDDING}"
            yield HEAD, embedding

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and whole shape of what `named_weights` yields, in its order; gathers nothing."""
        zero_3 = self.settings.config.zero_stage == 3
        parameters: Iterator[tuple[str, Any]] = self._network.model.named_parameters()
        shapes = {name: tuple(p.ds_shape if zero_3 else p.shape) for name, p in parameters}
        return {**shapes, HEAD: shapes.get(HEAD, shapes.get(EMBEDDING, ()))}

    def save(self, directory: Path) -> None:
        """Write model, optimizer and random state of every rank, in DeepSpeed's sharded format."""
        state = {"torch_rng": torch.get_rng_state(), "token_budget": self.token_budget}
        self._engine.save_checkpoint(str(directory), tag=DEEPSPEED_TAG, client_state=state)
        point("ckpt.after_tensors")

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote.

        DeepSpeed unpickles these files, so the caller must have verified the checkpoint's manifest.

        Raises:
            FileNotFoundError: nothing was found; DeepSpeed itself would only warn.
        """
        path, state = self._engine.load_checkpoint(str(directory), tag=DEEPSPEED_TAG)
        if path is None:
            raise FileNotFoundError(
                f"no learner state for rank {self.settings.rank} in {directory}"
            )
        torch.set_rng_state(state["torch_rng"])
        self.token_budget = state["token_budget"]

    def close(self) -> None:
        dist.destroy_process_group()


DEEPSPEED_TAG = "learner"
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def _scored_sample(token_ids: IntArray) -> Sample:
    """A sample whose every token but the first is asked for."""
    zeros = np.zeros(len(token_ids), dtype=np.float32)
    return Sample(token_ids, np.arange(len(token_ids)) > 0, zeros, zeros)


def _in_order(old: LogprobsOfSample, micro: MicroBatch) -> torch.Tensor:
    """The old log-probabilities [N] of a micro-batch's trained tokens."""
    if not micro.sample_indices:
        return torch.zeros(0)
    return torch.cat([old[index] for index in micro.sample_indices])


def _is_out_of_memory(error: Exception) -> bool:
    """CPU allocations fail with a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
