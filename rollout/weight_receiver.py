"""Weights over NCCL, with vLLM's own weight-transfer engine: learner rank 0 to every engine rank.

One NCCL group holds the sender (rank 0) and all engine ranks. Each publish is a round trip that the
sender drives: the engines are told to receive, the learner broadcasts, the engines finish.

Not yet run on a GPU: there is none where the tests run, so only the agreement of the two ends on
their ranks is tested. CPU runs publish through shared memory (`VllmEngine.load_weights`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from vllm.distributed.weight_transfer.base import ParamMeta, WeightSource
from vllm.distributed.weight_transfer.nccl_engine import (
    NCCLTrainerInitInfo,
    NCCLTrainerWeightTransferEngine,
)

Shapes = Mapping[str, tuple[int, ...]]
NamedTensors = Callable[[], Iterator[tuple[str, torch.Tensor]]]


class Receivers(Protocol):
    """Every engine at once, as the sender drives them; each call returns when all have answered."""

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None: ...

    def start_weight_update(self) -> None: ...

    def update_weights(self, update_info: dict[str, Any]) -> None: ...

    def finish_weight_update(self) -> None: ...


class _Source(WeightSource):  # type: ignore[misc]  # vLLM is not typed here
    """The learner's parameters; under ZeRO-3 iterating gathers, so every rank iterates."""

    def __init__(self, shapes: Shapes, dtype: str, gather: NamedTensors) -> None:
        self._shapes, self._dtype, self._gather = shapes, getattr(torch, dtype), gather

    def metadata(self) -> list[ParamMeta]:
        return [ParamMeta(name, self._dtype, shape) for name, shape in self._shapes.items()]

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        return self._gather()


class NcclSender:
    """The learner's end. Every rank makes one; only rank 0 opens a connection."""

    def __init__(
        self,
        rank: int,
        address: tuple[str, int],
        num_engine_ranks: int,
        receivers: Receivers,
        shapes: Shapes,
        dtype: str,
        gather: NamedTensors,
    ) -> None:
        info = NCCLTrainerInitInfo(
            master_address=address[0],
            master_port=address[1],
            world_size=1 + num_engine_ranks,
            rank=rank,
        )
        self._engine = NCCLTrainerWeightTransferEngine.trainer_init(
            info, client=receivers, source=_Source(shapes, dtype, gather)
        )

    def send(self) -> None:
        """One publish: returns when every engine holds the weights."""
        self._engine.send_weights()


def engine_init_info(init_info: dict[str, Any], engine: int, ranks_each: int) -> dict[str, Any]:
    """The sender's init info as engine number `engine` needs it: engine ranks follow rank 0."""
    return {**init_info, "rank_offset": init_info["rank_offset"] + engine * ranks_each}
