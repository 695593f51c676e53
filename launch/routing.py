"""Which worker has the least to do, and which caller gets it, at a cost that hardly grows."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
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


@dataclass(slots=True)
class Line:
    """Callers who wait for a worker. One at a time is woken, in order, and only when `ready`."""

    ready: Callable[[], bool]
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    _woken: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def turn(self) -> None:
        """Wait for one's turn. Whoever has it takes a worker before anything else is awaited, and
        then calls `wake`."""
        if self.ready() and not self._waiting and self._woken is None:
            return
        join = self._waiting.append
        while True:
            mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            join(mine)
            self.wake()
            try:
                await mine
            except asyncio.CancelledError:
                self._leave(mine)
                raise
            self._woken = None
            if self.ready():
                return
            join = self._waiting.appendleft  # somebody was faster: still the first in line

    def wake(self) -> None:
        """Something has changed: let the first have its turn, if there is a worker."""
        if self._woken is None and self._waiting and self.ready():
            self._woken = self._waiting.popleft()
            self._woken.set_result(None)

    def _leave(self, mine: asyncio.Future[None]) -> None:
        if self._woken is mine:
            self._woken = None
        else:
            self._waiting.remove(mine)
        self.wake()
