"""The tasks of a set by label: how many there are of each, and in which order they are explored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError
from envs.draws import key_of, mix
from envs.types import TaskSet

MAX_LABELS = 1 << 16
MAX_TASKS = 1 << 28

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@runtime_checkable
class Cyclic(Protocol):
    """A task set that need not be read to be indexed: labels repeat in a cycle, task i having those
    at i modulo their number, and the id of a task is known without making it."""

    @property
    def label_cycle(self) -> Sequence[Mapping[str, str]]: ...

    def id_of(self, index: int) -> str: ...


def label_name(labels: Mapping[str, str]) -> str:
    """Example: {"scene": "banking", "task": "change", "level": "1"} is "banking/change/1"."""
    return "/".join(labels.values())


def hash_of(task_id: str) -> int:
    """64 bits that stand for a task's id in a saved state."""
    return int.from_bytes(blake2b(task_id.encode(), digest_size=8).digest(), "little")


class TaskIndex:
    """`labels[i]` is the number of task i's label, a position in `names`.

    `order` lists all tasks label after label, those of label l from `starts[l]` to `starts[l + 1]`,
    within a label in a random order that depends on `seed` alone. Six bytes a task.

    Raises ConfigError for a set that is empty or has too many labels.
    """

    def __init__(self, name: str, tasks: TaskSet, seed: int) -> None:
        if not 0 < len(tasks) <= MAX_TASKS:
            raise ConfigError(
                f"task set {name} has {len(tasks):,} tasks; there must be 1 to {MAX_TASKS:,}"
            )
        self.name, self._tasks, self._seed = name, tasks, seed
        self.label_sets: list[Mapping[str, str]] = []
        if isinstance(tasks, Cyclic):
            # Equal labels may occur more than once in a cycle.
            cycle = np.array([self._number(labels) for labels in tasks.label_cycle], np.uint16)
            self.labels = np.resize(cycle, len(tasks))
        else:
            numbers: dict[str, int] = {}
            found = np.empty(len(tasks), np.uint16)
            for index in range(len(tasks)):
                labels = tasks[index].labels
                key = label_name(labels)
                if key not in numbers:
                    numbers[key] = self._number(labels)
                found[index] = numbers[key]
            self.labels = found
        self.names = [label_name(labels) for labels in self.label_sets]
        self.sizes = np.bincount(self.labels, minlength=len(self.names))
        self.starts = np.concatenate(([0], np.cumsum(self.sizes)))
        self.order = self._shuffled()

    def _number(self, labels: Mapping[str, str]) -> int:
        if labels in self.label_sets:
            return self.label_sets.index(labels)
        if len(self.label_sets) == MAX_LABELS:
            raise ConfigError(f"task set {self.name} has more than {MAX_LABELS} labels")
        self.label_sets.append(labels)
        return len(self.label_sets) - 1

    def _shuffled(self) -> NDArray[np.uint32]:
        """Tasks by label, then by a random number of their own (36 bits), then by index."""
        order = np.argsort(self.labels, kind="stable").astype(np.uint32)
        key, low = np.uint64(key_of("explore", self._seed, self.name)), np.uint64(MAX_TASKS - 1)
        for start, end in zip(self.starts[:-1], self.starts[1:], strict=True):
            tasks = order[start:end].astype(np.uint64)
            words = mix(tasks * _GOLDEN + key) & ~low | tasks
            words.sort()  # words sort several times faster than indices do
            order[start:end] = words & low
        return order

    def id_hashes(self) -> NDArray[np.uint64]:
        """The hash of every task's id, in order of index: [N]. Reads the set once."""
        tasks = self._tasks
        if isinstance(tasks, Cyclic):
            ids = (tasks.id_of(index) for index in range(len(tasks)))
        else:
            ids = (tasks[index].id for index in range(len(tasks)))
        return np.fromiter((hash_of(i) for i in ids), np.uint64, len(tasks))

    def find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of the task with each hash, -1 where the set has none: [M]."""
        own = self.id_hashes()
        order = np.argsort(own)
        places = np.minimum(np.searchsorted(own, hashes, sorter=order), len(own) - 1)
        found: NDArray[np.int64] = order[places]
        return np.where(own[found] == hashes, found, -1)
