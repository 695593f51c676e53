"""All rollout workers as the learner's NCCL sender drives them: one Ray call each, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from rollout.weight_receiver import engine_init_info


@dataclass(slots=True)
class RayReceivers:
    """Lives in the learner rank that sends; `version` is that of the publish under way."""

    workers: Sequence[Any]
    ranks_each: int
    timeout_s: float
    version: int = 0

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        self._all(
            worker.join_transfer.remote(engine_init_info(init_info, number, self.ranks_each))
            for number, worker in enumerate(self.workers)
        )

    def start_weight_update(self) -> None:
        self._all(worker.start_update.remote() for worker in self.workers)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        self._all(worker.receive_update.remote(update_info) for worker in self.workers)

    def finish_weight_update(self) -> None:
        self._all(worker.finish_update.remote(self.version) for worker in self.workers)

    def _all(self, replies: Any) -> None:
        ray.get(list(replies), timeout=self.timeout_s)
