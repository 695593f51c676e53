"""Who has the least to do, at a cost that hardly grows with the number of workers."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class LeastBusy:
    """A heap of (requests under way, worker), most of whose entries may be out of date.

    `now(worker)` is how many requests a worker has at present, None if it takes no more.
    """

    now: Callable[[int], int | None]
    _heap: list[tuple[int, int]] = field(default_factory=list)
    _tidy_at: int = 64

    def add(self, outstanding: int, worker: int) -> None:
        """Note a worker that takes requests, whenever its count changes."""
        heapq.heappush(self._heap, (outstanding, worker))
        if len(self._heap) > self._tidy_at:
            self._tidy()

    def pick(self) -> int | None:
        """The worker with the fewest requests, the lowest number first; None: none takes any."""
        while self._heap:
            outstanding, worker = self._heap[0]
            if self.now(worker) == outstanding:
                return worker
            heapq.heappop(self._heap)
        return None

    def _tidy(self) -> None:
        workers = {worker for _, worker in self._heap}
        current = ((self.now(worker), worker) for worker in workers)
        self._heap = [(count, worker) for count, worker in current if count is not None]
        heapq.heapify(self._heap)
        self._tidy_at = 64 + 8 * len(self._heap)
