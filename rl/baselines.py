"""The curriculum "last_mean": pools by the mean reward of a task's last group, to compare with.

The rule of the difficulty pools of PRIME-RL (orchestrator/curriculum, defaults of 2026): a task is
hard up to a mean of 0.25, normal up to 0.75, else easy; hard and easy ones weigh 0.2, normal and
unseen ones 1. One group decides, there is no interval, no test on a schedule and no label.
"""

from __future__ import annotations

from bisect import bisect, bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np

from configs.errors import ConfigError
from envs.draws import Draws, key_of, permute
from envs.types import Task
from rl.curriculum import CurriculumState, Draw, Mixture, Shares
from rollout.types import Group

BOUNDS = (0.25, 0.75)  # the largest means of hard and of normal tasks
WEIGHTS = (0.2, 1.0, 0.2, 1.0)  # hard, normal, easy, unseen
NAMES = ("hard", "normal", "easy", "unseen")
_UNSEEN = 3


class LastMeanPools:
    """One task set. A drawn task is under way, in no pool, until it was observed."""

    def __init__(self, size: int, seed: int, number: int) -> None:
        self._size, self._key = size, key_of("last mean", seed, number)
        self._order = key_of("last mean order", seed, number)
        self.drawn = 0
        self.explored = 0
        self.pools: list[list[int]] = [[], [], []]
        self.visits: dict[int, int] = {}
        self.under_way: dict[int, tuple[int, int]] = {}  # index -> pool it came from, draws

    @property
    def sizes(self) -> list[int]:
        """Tasks that rest in each pool, in the order of NAMES."""
        return [*map(len, self.pools), self._size - self.explored]

    def draw(self) -> Draw:
        self.drawn += 1
        chance = Draws(self._key, self.drawn)
        cumulative = list(accumulate(map(mul, WEIGHTS, self.sizes)))
        if not cumulative[-1]:  # all are under way: the one drawn least often again
            index = min(self.under_way, key=lambda i: self.under_way[i][1])
            source, copies = self.under_way[index]
            self.under_way[index] = (source, copies + 1)
        else:
            source = bisect(cumulative, chance.below(1 << 53) * 2.0**-53 * cumulative[-1], 0, 3)
            while not self.sizes[source]:  # rounding led past the last one that has tasks
                source -= 1
            if source == _UNSEEN:
                index = permute(self.explored, self._size, self._order)
                self.explored += 1
            else:
                pool = self.pools[source]
                place = chance.below(len(pool))
                pool[place], pool[-1] = pool[-1], pool[place]
                index = pool.pop()
            self.under_way[index] = (source, 1)
        self.visits[index] = self.visits.get(index, -1) + 1
        return Draw(index, self.visits[index])

    def observe(self, index: int, rewards: Sequence[float]) -> None:
        """Put the task where the mean puts it, or back where it was if there are no rewards."""
        source, copies = self.under_way.pop(index)
        if rewards:
            source = bisect_left(BOUNDS, sum(rewards) / len(rewards))
        if copies > 1:
            self.under_way[index] = (source, copies - 1)
        else:  # a faulty group of an unseen task: its turn has passed, so it counts as normal
            self.pools[source if source != _UNSEEN else 1].append(index)

    def state(self) -> dict[str, Any]:
        return {
            "drawn": self.drawn,
            "explored": self.explored,
            "pools": [np.array(pool, np.int64) for pool in self.pools],
            "visits": np.array(list(self.visits.items()), np.int64).reshape(-1, 2),
            "under_way": [[index, *rest] for index, rest in self.under_way.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.drawn, self.explored = state["drawn"], state["explored"]
        self.pools = [pool.tolist() for pool in state["pools"]]
        self.visits = dict(state["visits"].tolist())
        self.under_way = {index: (source, copies) for index, source, copies in state["under_way"]}


class LastMeanCurriculum:
    """See the module. Sets are drawn in proportion to their weights. Rewards lie from 0 to 1."""

    def __init__(self, tasks: Mixture[Task], seed: int, batch_size: int) -> None:
        if not all(tasks.sizes):
            raise ConfigError(f"a task set is empty: the sets have {tasks.sizes} tasks")
        self._sets = [LastMeanPools(size, seed, n) for n, size in enumerate(tasks.sizes)]
        self._starts = [0, *accumulate(tasks.sizes)][:-1]
        self._shares = Shares(tasks.weights)

    def next(self) -> Draw:
        number = self._shares.next()
        draw = self._sets[number].draw()
        return Draw(self._starts[number] + draw.index, draw.visit)

    def observe(self, draw: Draw, group: Group) -> None:
        number = bisect(self._starts, draw.index) - 1
        rewards = [t.reward for t in group.scored if t.reward is not None]
        self._sets[number].observe(draw.index - self._starts[number], rewards)

    def metrics(self) -> dict[str, float]:
        return {
            f"curriculum/{name}": float(sum(pools.sizes[number] for pools in self._sets))
            for number, name in enumerate(NAMES)
        }

    def state(self) -> CurriculumState:
        sets = [pools.state() for pools in self._sets]
        return {"shares": list(self._shares.counts), "sets": sets}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._shares.counts = list(state["shares"])
        for pools, saved in zip(self._sets, state["sets"], strict=True):
            pools.restore(saved)
