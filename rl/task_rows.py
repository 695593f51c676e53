"""What is kept of the visited tasks of a set: 32 bytes each and a byte for the pool.

Rows lie in order of first visit, so memory grows with what was visited and a saved state is a copy
of what is there. A row lies in at most one of several first-in first-out queues, which are linked
through the rows themselves. Python reads and writes rows through memoryviews, several times
faster than elements of numpy arrays; whole columns are numpy's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

LANE = 16  # bits of one visit: samples and how many of them passed, 8 bits each
RECENT = 4  # visits that are remembered
RING = (1 << LANE * RECENT) - 1
MOST_SAMPLES = 255  # of one visit
MOST_TOTAL = RECENT * MOST_SAMPLES
NO_QUEUE = 15
PART = 1 << 18  # rows
ROW_BITS = 28  # a row's number, so that it fits into a word beside a stamp and a queue

# Where a row's fields lie, counted in fields of the same width: 4 of 64 bits, 8 of 32, 16 of 16.
RECENT_VISITS, ID = 0, 1
INDEX, NEXT, STAMP = 4, 5, 6
DRAWS, VERSION = 14, 15

_SAVED = {
    "visits": (np.uint64, RECENT_VISITS),
    "ids": (np.uint64, ID),
    "indices": (np.uint32, INDEX),
    "stamps": (np.uint32, STAMP),
    "draws": (np.uint16, DRAWS),
    "versions": (np.uint16, VERSION),
}
_ALL = slice(None)
_LOW_BYTES = 0x00FF00FF00FF00FF
_SUM_OF_LANES = 0x0001000100010001


@overload
def totals(visits: int) -> tuple[int, int]: ...
@overload
def totals(visits: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]: ...
def totals(visits: Any) -> Any:
    """Samples and passes of the remembered visits, the four of them added up within one word."""
    return (
        ((visits >> 8 & _LOW_BYTES) * _SUM_OF_LANES >> 48) & 0xFFFF,
        ((visits & _LOW_BYTES) * _SUM_OF_LANES >> 48) & 0xFFFF,
    )


class TaskRows:
    """Rows for up to `capacity` tasks in `num_queues` queues. A queue's `heads[q]` and `tails[q]`
    mean nothing while its `sizes[q]` is 0. `clock` counts what was ever put in a queue; a row's
    stamp is what the clock showed then."""

    def __init__(self, capacity: int, num_queues: int) -> None:
        assert capacity <= 1 << ROW_BITS, "task sets are limited to what rows can number"
        assert num_queues <= NO_QUEUE
        self._words = np.zeros(4 * capacity, np.uint64)  # untouched pages take no memory
        self._pools = np.zeros(capacity, np.uint8)
        self.q = self._words.data
        self.d = self._words.view(np.uint32).data
        self.h = self._words.view(np.uint16).data
        self.pools = self._pools.data
        self.count = 0
        self.clock = 0
        self.heads = [0] * num_queues
        self.tails = [0] * num_queues
        self.sizes = [0] * num_queues

    def add(self, index: int) -> int:
        """The new row of task `index`."""
        row = self.count
        self.count = row + 1
        self.d[8 * row + INDEX] = index
        return row

    def set_id(self, row: int, task: int) -> None:
        """Note the hash of the id of the row's task."""
        self.q[4 * row + ID] = task

    def push(self, queue: int, row: int) -> None:
        d, sizes = self.d, self.sizes
        d[8 * row + STAMP] = self.clock & 0xFFFFFFFF
        self.clock += 1
        if sizes[queue]:
            d[8 * self.tails[queue] + NEXT] = row
        else:
            self.heads[queue] = row
        self.tails[queue] = row
        sizes[queue] += 1

    def pop(self, queue: int) -> int:
        row = self.heads[queue]
        self.heads[queue] = self.d[8 * row + NEXT]
        self.sizes[queue] -= 1
        return row

    def waited(self, queue: int) -> int:
        """How many rows were queued since the first one of this queue was."""
        return self.clock - self.d[8 * self.heads[queue] + STAMP] & 0xFFFFFFFF

    def in_queue(self, queue: int) -> list[int]:
        """The rows of a queue, the first one first."""
        found, row = [], self.heads[queue]
        for _ in range(self.sizes[queue]):
            found.append(row)
            row = self.d[8 * row + NEXT]
        return found

    def column(self, name: str) -> NDArray[Any]:
        """A view of one saved field of every row, by its name in the saved state: [count]."""
        if name == "pools":
            return self._pools[: self.count]
        dtype, place = _SAVED[name]
        field: NDArray[Any] = self._words.view(dtype)
        stride = 32 // np.dtype(dtype).itemsize
        return field[place::stride][: self.count]

    def parts(self) -> Iterator[slice]:
        """All rows, some at a time: work in pieces that stay in the cache needs no large arrays."""
        for start in range(0, self.count, PART):
            yield slice(start, min(start + PART, self.count))

    def counts(self, part: slice = _ALL) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`totals` of every row, or of some: [count] and [count]."""
        samples, correct = totals(self.column("visits")[part])
        return samples.astype(np.int64), correct.astype(np.int64)

    def state(self) -> dict[str, NDArray[Any]]:
        """29 bytes a row. Queues are rebuilt from the stamps."""
        return {name: self.column(name).copy() for name in (*_SAVED, "pools")}

    def fill(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Take over the rows of a state; they are in no queue yet."""
        self.count = len(saved["ids"])
        for name in (*_SAVED, "pools"):
            self.column(name)[:] = saved[name]

    def link(self, queue_of: NDArray[np.uint8]) -> None:
        """Put each row into the queue of this number, or NO_QUEUE, in order of stamps: [count].

        A stamp that is greater than the clock is older than the clock's last turn of 32 bits.
        """
        # Queue, stamp and row in one word, which sorts several times faster than indices do.
        words = np.empty(self.count, np.uint64)
        now, stamps = np.uint32(self.clock & 0xFFFFFFFF), self.column("stamps")
        for part in self.parts():
            age = now - stamps[part]  # 1 is the youngest
            word = queue_of[part].astype(np.uint64) << np.uint64(32) | (~age).astype(np.uint64)
            rows = np.arange(part.start, part.stop, dtype=np.uint64)
            words[part] = word << np.uint64(ROW_BITS) | rows
        words.sort()
        following = self._words.view(np.uint32)[NEXT::8]
        for part in self.parts():
            rows = words[part.start : part.stop + 1] & np.uint64((1 << ROW_BITS) - 1)
            following[rows[:-1]] = rows[1:]
        sizes = np.bincount(queue_of, minlength=NO_QUEUE + 1)[:NO_QUEUE]
        self.sizes = sizes[: len(self.sizes)].tolist()
        for queue, end in enumerate(np.cumsum(self.sizes).tolist()):
            if self.sizes[queue]:
                mask = (1 << ROW_BITS) - 1
                self.heads[queue] = int(words[end - self.sizes[queue]]) & mask
                self.tails[queue] = int(words[end - 1]) & mask
