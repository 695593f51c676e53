"""Which task comes next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from configs.errors import ConfigError
from configs.registry import CURRICULA, bind, resolve
from envs.draws import key_of, permute
from envs.types import Task
from rollout.types import Group

T = TypeVar("T", covariant=True)

CurriculumState = dict[str, Any]
"""What a checkpoint holds of a curriculum: dicts with string keys, lists, plain numbers and text,
and numpy arrays, which `rl/checkpoint.py` saves and reads back equal to the last bit."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Task `index` of the stage's tasks, for the `visit`-th time."""

    index: int
    visit: int


class Curriculum(Protocol):
    """Chooses tasks and learns from every scored group, pruned ones too.

    `next` never waits and never fails: there is always a task, if need be one that is under way.
    Every draw is observed once. A state is a copy; restored into a curriculum made with the same
    arguments it continues exactly. `metrics` are named curriculum/<what>.
    """

    def next(self) -> Draw: ...

    def observe(self, draw: Draw, group: Group) -> None: ...

    def metrics(self) -> dict[str, float]: ...

    def state(self) -> CurriculumState: ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


Make = Callable[..., Curriculum]
"""A plug-in: called with a `Mixture` of tasks, a seed, the groups of a batch, and keywords."""


def make_curriculum(
    name: str, args: Mapping[str, Any], tasks: Mixture[Task], seed: int, batch_size: int, where: str
) -> Curriculum:
    """The curriculum that a stage names: a built-in, or "package.module:attribute".

    Raises `ConfigError` naming `where` (such as "stages.rl.curriculum") for an unknown name or
    keyword, or a value that the curriculum rejects.
    """
    target: Make = resolve(name, CURRICULA, f"{where}.name")
    make = bind(target, args, f"{where}.args", given=("tasks", "seed", "batch_size"))
    try:
        made: Curriculum = make(tasks=tasks, seed=seed, batch_size=batch_size)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}.args: {error}; correct {where}.args") from error
    return made


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


class Shares:
    """Draws numbers in proportion to their weights, without chance: the one that lags most is next.

    No count is ever more than one draw per number away from its share.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self._shares = [weight / sum(weights) for weight in weights]
        self.counts = [0] * len(weights)

    def next(self) -> int:
        drawn = sum(self.counts) + 1
        lag = [share * drawn - n for share, n in zip(self._shares, self.counts, strict=True)]
        number = lag.index(max(lag))
        self.counts[number] += 1
        return number


class UniformCurriculum:
    """Every task of a set once before any comes again, in an order of its own each time round.

    The state is one counter a set.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], seed: int) -> None:
        if not all(sizes):
            raise ConfigError(f"a task set is empty: the sets have {', '.join(map(str, sizes))}")
        self._sizes, self._seed = list(sizes), seed
        self._shares = Shares(weights)

    def next(self) -> Draw:
        number = self._shares.next()
        visit, place = divmod(self._shares.counts[number] - 1, self._sizes[number])
        key = key_of("curriculum", self._seed, number, visit)
        within = permute(place, self._sizes[number], key)
        return Draw(sum(self._sizes[:number]) + within, visit)

    def observe(self, draw: Draw, group: Group) -> None:
        """Uniform: what was learnt changes nothing."""

    def metrics(self) -> dict[str, float]:
        return {}

    def state(self) -> CurriculumState:
        return {"counts": list(self._shares.counts)}

    def restore(self, state: Mapping[str, Any]) -> None:
        assert len(state["counts"]) == len(self._sizes), "the stage has other task sets"
        self._shares.counts = list(state["counts"])


def uniform(tasks: Mixture[Task], seed: int, batch_size: int) -> UniformCurriculum:
    """The built-in curriculum "uniform"; the size of a batch changes nothing."""
    return UniformCurriculum(tasks.sizes, tasks.weights, seed)
