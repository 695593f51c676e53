"""Records between the controller and the learner: samples, packed micro-batches, losses."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from configs.schema import AlgorithmConfig, LearnerConfig
from rollout.types import FloatArray, IntArray

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sequence as the learner trains it: four aligned arrays of length T.

    Token t is predicted from the tokens before it, so position 0 is never trained. Where
    `loss_mask` is False the other two arrays are 0. For SFT `advantages` holds the sample's weight.

    Example (2 prompt tokens, 2 generated): token_ids [5, 9, 7, 2], loss_mask [F, F, T, T],
    rollout_logprobs [0, 0, -.1, -.7], advantages [0, 0, 1.2, 1.2].
    """

    token_ids: IntArray  # [T]
    loss_mask: BoolArray  # [T]
    rollout_logprobs: FloatArray  # [T]
    advantages: FloatArray  # [T]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """S samples packed in one row of T tokens, with N trained tokens.

    Samples with the same prompt share its tokens, so that a group's prompt is computed once:
    `places[cu_seqlens[i]:cu_seqlens[i + 1]]` is where in the row sample i stands, P places in all.
    `predictors[n]` is the place in the row whose output predicts trained token n, whose id is
    `targets[n]` and whose sample `sequence_index[n]`.

    Example: two samples [7, 8, 1] and [7, 8, 2, 3] with the prompt [7, 8] give token_ids
    [7, 8, 1, 2, 3], places [0, 1, 2, 0, 1, 3, 4], cu_seqlens [0, 3, 7], predictors [1, 1, 3].

    `weights[n]` is its share in the loss before the step-wide division (see `packing.py`).
    `sample_indices` gives the position of each packed sample in the step's list of samples.
    """

    token_ids: IntArray  # [T]
    position_ids: IntArray  # [T]
    places: IntArray  # [P]
    cu_seqlens: IntArray  # [S + 1]
    predictors: IntArray  # [N]
    targets: IntArray  # [N]
    sequence_index: IntArray  # [N]
    weights: FloatArray  # [N]
    advantages: FloatArray  # [N]
    rollout_logprobs: FloatArray  # [N]
    sample_indices: tuple[int, ...]  # [S]

    @property
    def num_sequences(self) -> int:
        return len(self.cu_seqlens) - 1


@dataclass(frozen=True, slots=True)
class LossInputs:
    """What a loss sees of one packed micro-batch: tensors over its N trained tokens.

    `logprobs` carries the gradient; `old_logprobs` are the learner's own under the weights at the
    start of the batch; `rollout_logprobs` are the engine's; `ref_logprobs` is None without KL.
    """

    logprobs: torch.Tensor  # [N]
    old_logprobs: torch.Tensor  # [N]
    rollout_logprobs: torch.Tensor  # [N]
    advantages: torch.Tensor  # [N]
    weights: torch.Tensor  # [N]
    sequence_index: torch.Tensor  # [N] int64
    num_sequences: int
    ref_logprobs: torch.Tensor | None = None  # [N]


@dataclass(frozen=True, slots=True)
class LossOutput:
    """`loss` is a weighted *sum* over tokens, never a mean; `metrics` are sums over tokens as well,
    which the learner divides by the number of trained tokens."""

    loss: torch.Tensor  # scalar
    metrics: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything the learner needs for one step. `algorithm` None means supervised fine-tuning.

    `temperature` is the one the tokens were drawn at, `max_tokens` the answer limit (only the
    `constant` reduction reads it).
    """

    samples: tuple[Sample, ...]
    learning_rate: float
    algorithm: AlgorithmConfig | None = None
    temperature: float = 1.0
    max_tokens: int = 1


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one training step did. `metrics` are means over the step's trained tokens.

    `skipped` optimizer steps were not taken, because their gradient was not finite.
    """

    loss: float
    grad_norm: float
    num_tokens: int
    num_micro_batches: int
    token_budget: int  # after halving, where memory ran out
    learning_rate: float
    metrics: dict[str, float]
    out_of_memory: int = 0  # how often the step had to start over
    skipped: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LearnerSettings:
    """What one rank needs to start. `model` is a directory in Hugging Face format."""

    model: str
    dtype: str
    config: LearnerConfig
    rank: int = 0
    world_size: int = 1
    master_address: str = "127.0.0.1"
    master_port: int = 29500
