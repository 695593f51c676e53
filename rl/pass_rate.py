"""The curriculum by estimated pass rates: the built-in "pass_rate".

Each task set of a stage has pools of its own (`rl/pools.py`); sets are drawn in proportion to their
weights. What a task is worth is read off a few recent groups (`rl/estimates.py`), what a label or a
difficulty is worth off the groups drawn from it (`rl/signals.py`).
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from envs.types import Task
from rl.curriculum import CurriculumState, Draw, Mixture, Shares
from rl.pool_state import Summary, merge, restore, save, seed, summarise
from rl.pools import MOVES, POOLS, PoolSettings, TaskPools
from rl.task_index import TaskIndex, hash_of
from rollout.types import Group, Trajectory


@dataclass(frozen=True, slots=True)
class Merged:
    """How the tasks of the stage compare with those that a saved state or a profile knows."""

    known: int  # of both
    added: int  # of the stage alone
    gone: int  # no longer in the stage


class PassRateCurriculum:
    """Draws tasks where they teach, tests again what was mastered or given up, loses none.

    Args:
        tasks: the task sets of the stage; one pass over those that do not know their labels.
        seed: of the order in which tasks are explored and of all chance.
        batch_size: groups a step, the unit of `retest_after` and `reserve`.
        promote: pass rate over which the lower bound of a mastered task's lies.
        demote: pass rate under which the mean of one visit brings a mastered task back.
        give_up: pass rate under which the upper bound of an unreachable task's lies.
        retest_share: share of draws for tests of mastered tasks, and as much again for tests of
            unreachable ones.
        retest_after: batches for which a task rests between tests.
        explore_share: smallest share of draws for tasks that were never seen.
        reserve: batches of good learning tasks under which more are explored.
        horizon: policy versions between two visits of a task after which the earlier is forgotten.
        pass_score: reward from which a sample counts as correct. 1 is a full score; take less for
            the scores of a judge.

    Raises ValueError for a value out of range, ConfigError for an empty task set.
    """

    def __init__(
        self,
        tasks: Mixture[Task],
        seed: int,
        batch_size: int,
        *,
        promote: float = 0.8,
        demote: float = 0.6,
        give_up: float = 0.2,
        retest_share: float = 0.025,
        retest_after: int = 10,
        explore_share: float = 0.05,
        reserve: int = 16,
        horizon: int = 50,
        pass_score: float = 1.0,
    ) -> None:
        if not 0 < give_up < demote < promote < 1:
            raise ValueError(
                f"0 < give_up < demote < promote < 1 does not hold for {give_up}, {demote}, "
                f"{promote}"
            )
        if not (0 < retest_share <= 0.2 and 0 < explore_share <= 0.2):
            raise ValueError(
                f"retest_share and explore_share lie over 0 and up to 0.2, not {retest_share} and "
                f"{explore_share}"
            )
        if min(retest_after, reserve, horizon) < 1 or horizon >= 1 << 15:
            raise ValueError(
                f"retest_after, reserve and horizon are 1 or more, not {retest_after}, {reserve}, "
                f"{horizon}"
            )
        settings = PoolSettings(
            promote=promote,
            demote=demote,
            give_up=give_up,
            retest_share=retest_share,
            explore_share=explore_share,
            rest=retest_after * batch_size,
            reserve=reserve * batch_size,
            horizon=horizon,
        )
        self.pools = [
            TaskPools(TaskIndex(name, items, seed), settings, seed)
            for name, items in tasks.sets.items()
        ]
        self.pass_score = pass_score
        self._shares = Shares(tasks.weights)
        self._starts = [0, *accumulate(tasks.sizes)][:-1]
        self._version = 0  # the newest that wrote a sample
        self._as_of_now = False

    def next(self) -> Draw:
        number = self._shares.next() if len(self.pools) > 1 else 0
        index, visit = self.pools[number].draw()
        return Draw(self._starts[number] + index, visit)

    def observe(self, draw: Draw, group: Group) -> None:
        """Count the samples that have a verdict, if they are enough for a group to be judged by:
        two, and half of all."""
        samples = correct = 0
        version = None
        for trajectory in group.trajectories:
            score = trajectory.score
            if score is not None and score.reward is not None:
                samples += 1
                correct += score.reward >= self.pass_score
                if version is None:
                    version = _version(trajectory)
        number = bisect(self._starts, draw.index) - 1 if len(self.pools) > 1 else 0
        pools, index = self.pools[number], draw.index - self._starts[number]
        if samples < 2 or 2 * samples < len(group.trajectories):
            pools.faulted(index, group.task.id)
            return
        if version is None:
            version = self._version
        elif version > self._version:
            self._version = version
        if self._as_of_now:
            self._date(version)
        pools.visited(index, samples, correct, version, group.task.id)

    def _date(self, version: int) -> None:
        """What was known before the first draw is of the weights that the stage began with."""
        for pools in self.pools:
            pools.rows.column("versions")[:] = version & 0xFFFF
        self._as_of_now = False

    def metrics(self) -> dict[str, float]:
        """Tasks of each pool, moves so far, mean pass rate of the tasks seen, the band's target and
        the share of draws that explored, over all sets; named curriculum/<what>."""
        drawn = sum(pools.drawn for pools in self.pools)
        seen = [sum(pools.seen) for pools in self.pools]
        return {
            **{
                f"curriculum/{name}": float(sum(pools.counts[number] for pools in self.pools))
                for number, name in enumerate(POOLS)
            },
            **{
                f"curriculum/{name}": float(sum(pools.moves[number] for pools in self.pools))
                for number, name in enumerate(MOVES)
            },
            "curriculum/pass_rate": sum(p.mean_sum for p in self.pools) / max(1, sum(seen)),
            "curriculum/target": sum(p.signals.target for p in self.pools) / len(self.pools),
            "curriculum/explored": sum(p.explored for p in self.pools) / max(1, drawn),
        }

    def label_pass_at_10(self) -> dict[str, float]:
        """Mean estimated pass@10 of the tasks seen, by label name, where there are any. Cheap: it
        is kept up with every visit."""
        sums: dict[str, tuple[float, int]] = {}
        for pools in self.pools:
            for name, total, seen in zip(
                pools.index.names, pools.pass_sums, pools.seen, strict=True
            ):
                if seen:
                    before = sums.get(name, (0.0, 0))
                    sums[name] = (before[0] + total, before[1] + seen)
        return {name: total / seen for name, (total, seen) in sums.items()}

    def set_label_weights(self, weights: Mapping[str, float]) -> None:
        """Draw tasks of a label in proportion to its weight (1 where it has none), on top of what
        they teach. A key is a label's name or its beginning up to a "/": "banking/change" stands
        for all levels of it. Raises ValueError for a weight of 0 or less."""
        if weights and min(weights.values()) <= 0:
            raise ValueError(f"label weights must be over 0: {dict(weights)}")
        for pools in self.pools:
            pools.set_label_weights(np.array([_weight(weights, n) for n in pools.index.names]))

    def summary(self) -> list[Summary]:
        """The picture of each task set; takes time in proportion to the tasks visited."""
        return [summarise(pools) for pools in self.pools]

    # State

    def state(self) -> CurriculumState:
        return {
            "shares": list(self._shares.counts),
            "version": self._version,
            "as_of_now": self._as_of_now,
            "sets": {pools.index.name: save(pools) for pools in self.pools},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue a state of the very same task sets, bit for bit, before the first draw."""
        assert list(state["sets"]) == [p.index.name for p in self.pools], "other task sets"
        self._shares.counts = list(state["shares"])
        self._version, self._as_of_now = state["version"], state["as_of_now"]
        for pools in self.pools:
            restore(pools, state["sets"][pools.index.name])

    def merge(self, state: Mapping[str, Any]) -> dict[str, Merged]:
        """Take over, by id, what a state of other task sets of the same names knows, before the
        first draw. Nothing is under way then, and estimates count as of the weights that the stage
        begins with. Reads the ids of all tasks of the stage once."""
        saved: Mapping[str, Any] = state["sets"]
        merged = {name: Merged(0, 0, len(other["rows"]["ids"])) for name, other in saved.items()}
        for pools in self.pools:
            name, size = pools.index.name, len(pools.index.labels)
            if name in saved:
                merge(pools, saved[name], pools.index.find(saved[name]["rows"]["ids"]))
            known = pools.rows.count
            rows = len(saved[name]["rows"]["ids"]) if name in saved else 0
            merged[name] = Merged(known, size - known, rows - known)
        self._as_of_now = True
        return merged

    def seed(
        self, ids: Sequence[str], samples: Sequence[int], correct: Sequence[int]
    ) -> dict[str, Merged]:
        """Count the rows of a profile as one visit each, by the weights that the stage begins with,
        before the first draw. Rows of the same task are added up; `gone` are those of no set.
        Reads the ids of all tasks of the stage once. Raises ValueError for impossible counts."""
        hashes, places = np.unique(
            np.array([hash_of(i) for i in ids], np.uint64), return_inverse=True
        )
        given = np.array([samples, correct], np.int64).reshape(2, -1)
        if (given < 0).any() or (given[1] > given[0]).any():
            raise ValueError("a profile has a row without 0 <= correct <= samples")
        num, passed = (
            np.bincount(places, column, minlength=len(hashes)).astype(np.int64) for column in given
        )
        found = {pools.index.name: pools.index.find(hashes) for pools in self.pools}
        gone = int(np.all([indices < 0 for indices in found.values()], axis=0).sum())
        merged = {}
        for pools in self.pools:
            indices = found[pools.index.name]
            own = indices >= 0
            seed(pools, indices[own], hashes[own], num[own], passed[own])
            known = int(own.sum())
            merged[pools.index.name] = Merged(known, len(pools.index.labels) - known, gone)
        self._as_of_now = True
        return merged


def _version(trajectory: Trajectory) -> int | None:
    """The policy version that wrote the first tokens of a sample."""
    for span in trajectory.spans:
        if span.policy_version is not None:
            return span.policy_version
    return None


def _weight(weights: Mapping[str, float], name: str) -> float:
    """The weight of the longest beginning of a label's name that has one."""
    while name:
        if name in weights:
            return weights[name]
        name = name.rpartition("/")[0]
    return 1.0
