"""Which task comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from envs.draws import key_of, permute
from rollout.types import Group

T = TypeVar("T", covariant=True)


@dataclass(frozen=True, slots=True)
class Draw:
    """Task `index` of the stage's tasks, for the `visit`-th time."""

    index: int
    visit: int


class Curriculum(Protocol):
    """Chooses tasks and learns from every scored group, pruned ones too."""

    def next(self) -> Draw: ...

    def observe(self, draw: Draw, group: Group) -> None: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


class Indexed(Protocol[T]):
    """A task set or a demonstration set."""

    @property
    def fingerprint(self) -> str: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> T: ...


class Mixture(Generic[T]):
    """Several sets as one: indices run through the first, then the second, and so on."""

    def __init__(self, sets: Mapping[str, Indexed[T]], weights: Mapping[str, float]) -> None:
        self.sets = dict(sets)
        self.weights = [weights[name] for name in self.sets]
        self.sizes = [len(s) for s in self.sets.values()]
        self._ends = np.cumsum(self.sizes)

    @property
    def fingerprints(self) -> dict[str, str]:
        return {name: items.fingerprint for name, items in self.sets.items()}

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> T:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} of {len(self)}")
        number = int(np.searchsorted(self._ends, index, side="right"))
        start = int(self._ends[number]) - self.sizes[number]
        return list(self.sets.values())[number][index - start]


class UniformCurriculum:
    """Every task of a set once before any comes again, in an order of its own each time round.

    Sets are drawn in proportion to their weights, without randomness: the set that lags most
    behind its share is next. The state is one counter a set.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], seed: int) -> None:
        self._sizes, self._seed = list(sizes), seed
        self._shares = [weight / sum(weights) for weight in weights]
        self._counts = [0] * len(sizes)

    def next(self) -> Draw:
        drawn = sum(self._counts) + 1
        lag = [share * drawn - n for share, n in zip(self._shares, self._counts, strict=True)]
        number = lag.index(max(lag))
        visit, place = divmod(self._counts[number], self._sizes[number])
        self._counts[number] += 1
        key = key_of("curriculum", self._seed, number, visit)
        within = permute(place, self._sizes[number], key)
        return Draw(sum(self._sizes[:number]) + within, visit)

    def observe(self, draw: Draw, group: Group) -> None:
        """Uniform: what was learnt changes nothing."""

    def state(self) -> dict[str, Any]:
        return {"counts": list(self._counts)}

    def restore(self, state: Mapping[str, Any]) -> None:
        assert len(state["counts"]) == len(self._counts), "the stage has other task sets"
        self._counts = list(state["counts"])
