"""The curriculum by estimated pass rates: pools with hysteresis, a band of difficulty, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envs.types import Task
from rl.curriculum import CurriculumState, Draw, Mixture
from rollout.types import Group


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """What is known of the tasks of one label. `histogram[b]` counts the tasks with an estimated
    pass rate in [b / 12, (b + 1) / 12)."""

    name: str  # the values of the labels, such as "banking/change/1"
    labels: Mapping[str, str]
    tasks: int
    pools: Mapping[str, int]  # unseen, learning, mastered, unreachable
    histogram: tuple[int, ...]
    pass_rate: float | None  # mean over the visited tasks, None where none was visited
    pass_at_10: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The picture of one task set. `moves` counts all changes of pool since the stage began."""

    name: str
    tasks: int
    pools: Mapping[str, int]
    labels: tuple[LabelSummary, ...]
    moves: Mapping[str, int]  # promoted, demoted, given_up, returned
    target: float  # the pass rate that the band is around
    draws: int
    explored: int  # draws of tasks that had not been visited


@dataclass(frozen=True, slots=True)
class Merged:
    """How the tasks of a set compare with those that a saved state or a profile knows."""

    known: int
    added: int
    gone: int


class PassRateCurriculum:
    """Draws tasks where they teach; see the module."""

    def __init__(
        self,
        tasks: Mixture[Task],
        seed: int,
        batch_size: int,
        *,
        promote: float = 0.8,
        demote: float = 0.6,
        give_up: float = 0.2,
        retest_share: float = 0.03,
        retest_after: int = 10,
        explore_share: float = 0.05,
        reserve: int = 16,
        horizon: int = 50,
        pass_score: float = 1.0,
    ) -> None:
        raise NotImplementedError

    def next(self) -> Draw:
        raise NotImplementedError

    def observe(self, draw: Draw, group: Group) -> None:
        raise NotImplementedError

    def metrics(self) -> dict[str, float]:
        """Pools, moves, target and explored share, named curriculum/<what>; summed over sets."""
        raise NotImplementedError

    def state(self) -> CurriculumState:
        raise NotImplementedError

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue a state of the very same task sets, bit for bit."""
        raise NotImplementedError

    def merge(self, state: Mapping[str, Any]) -> dict[str, Merged]:
        """Take over, by id, what a state of other task sets knows; nothing is under way then."""
        raise NotImplementedError

    def seed(
        self, ids: Sequence[str], samples: Sequence[int], correct: Sequence[int]
    ) -> dict[str, Merged]:
        """Count the rows of a profile as one visit each, of policy version 0."""
        raise NotImplementedError

    def set_label_weights(self, weights: Mapping[str, float]) -> None:
        """Draw tasks of a label in proportion to its weight (1 where it has none), on top of what
        they teach. A key is a label's name or its beginning up to a "/": "banking/change" stands
        for all levels of it."""
        raise NotImplementedError

    def label_pass_at_10(self) -> dict[str, float]:
        """Mean estimated pass@10 of the visited tasks, by label name, where there are any. Cheap:
        it is kept up with every visit."""
        raise NotImplementedError

    def summary(self) -> list[Summary]:
        """The picture of each task set; takes time in proportion to the tasks visited."""
        raise NotImplementedError
