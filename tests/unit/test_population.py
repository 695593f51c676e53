"""The pass-rate curriculum on simulated populations whose true pass rates are known and drift."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from envs.types import Task
from rl.baselines import LastMeanCurriculum
from rl.curriculum import Curriculum, Mixture, UniformCurriculum
from rl.pass_rate import PassRateCurriculum
from rl.pools import MASTERED, POOLS
from rollout.types import Group
from tests.fakes import numbered_task, trajectory

BATCH, GROUP_SIZE = 16, 8
LEARNT = 0.95  # a task this likely to be solved ought to be mastered; see `margin` for precision
KINDS = ("easy", "learnable", "hopeless")


class ThreeKinds:
    """Task i is of kind i modulo 3, in one of five scenes; only the second label tells the kind."""

    def __init__(self, size: int, labelled: bool) -> None:
        self.size, self.labelled = size, labelled
        self.fingerprint = f"{size}/{labelled}"

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Task:
        task = KINDS[index % 3] if self.labelled else "any"
        labels = {"scene": f"s{index // 3 % 5}", "task": task}
        return replace(numbered_task(f"task/{index}"), labels=labels)


Rate = Callable[[int, int], float]
"""The true pass rate of a task at a policy version."""


@dataclass
class World:
    """Plays groups of tasks whose pass rates are known; a version lasts for three batches."""

    curriculum: Curriculum
    rate: Rate
    seed: int = 0
    drawn: Counter[int] = field(default_factory=Counter)
    groups: int = 0
    with_gradient: int = 0
    under_way: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.luck = random.Random(self.seed)

    @property
    def version(self) -> int:
        return self.groups // (3 * BATCH)

    def play(self, groups: int) -> None:
        for _ in range(groups):
            while len(self.under_way) < BATCH:
                self.under_way.append(self.curriculum.next())
            draw = self.under_way.pop(0)
            rate = self.rate(draw.index, self.version)
            rewards = [float(self.luck.random() < rate) for _ in range(GROUP_SIZE)]
            samples = tuple(trajectory(i, r, self.version) for i, r in enumerate(rewards))
            self.curriculum.observe(draw, Group(0, numbered_task(f"task/{draw.index}"), samples))
            self.drawn[draw.index] += 1
            self.groups += 1
            self.with_gradient += 0 < sum(rewards) < GROUP_SIZE


def mixture(size: int, labelled: bool = True) -> Mixture[Task]:
    return Mixture({"main": ThreeKinds(size, labelled)}, {"main": 1.0})


def pass_rate(size: int, labelled: bool = True, **args: Any) -> PassRateCurriculum:
    return PassRateCurriculum(mixture(size, labelled), 1, BATCH, **args)


def pool_of(curriculum: PassRateCurriculum) -> dict[int, str]:
    """Pool of each visited task by index."""
    rows = curriculum.pools[0].rows
    pools = rows.column("pools").tolist()
    return {
        index: POOLS[pool]
        for index, pool in zip(rows.column("indices").tolist(), pools, strict=True)
    }


def skills(index: int, version: int) -> float:
    """A third is easy, a third is learnt one after the other, a third stays hopeless."""
    if index % 3 == 0:
        return 0.98
    if index % 3 == 2:
        return 0.0
    learnt_at = 10 + index % 40
    return 0.98 / (1 + math.exp(-(version - learnt_at) / 3))


def test_mastered_and_unreachable_are_told_with_precision_and_recall() -> None:
    curriculum = pass_rate(300)
    world = World(curriculum, skills)
    world.play(9000)
    pools = pool_of(curriculum)
    assert len(pools) == 300
    mastered = {index for index, pool in pools.items() if pool == "mastered"}
    given_up = {index for index, pool in pools.items() if pool == "unreachable"}
    able = {index for index in range(300) if skills(index, world.version) > 0.9}
    hopeless = {index for index in range(300) if skills(index, world.version) == 0}
    assert len(mastered & able) >= 0.98 * len(mastered), "precision"
    assert len(mastered & able) >= 0.9 * len(able), "recall"
    assert len(given_up & hopeless) >= 0.98 * len(given_up), "precision"
    assert len(given_up & hopeless) >= 0.95 * len(hopeless), "recall"


def test_forgetting_is_noticed_soon() -> None:
    """All 100 easy tasks are forgotten at once. One draw in 40 tests a mastered task, so that a
    round would take 4,000 draws; but tests that fail call for more, up to one draw in four."""
    forgotten_at = 10**9

    def rate(index: int, version: int) -> float:
        if index % 3 == 0:
            return 0.3 if version >= forgotten_at else 0.995
        return (0.0, 0.5)[index % 30 == 1]

    curriculum = pass_rate(300)
    world = World(curriculum, rate, seed=3)
    world.play(6000)
    known = curriculum.pools[0].counts[MASTERED]
    assert known >= 95
    forgotten_at = world.version
    world.play(500)
    assert curriculum.pools[0].counts[MASTERED] <= known / 2
    world.play(500)
    assert curriculum.pools[0].counts[MASTERED] <= known / 10


def test_nothing_drains_one_way() -> None:
    """Tasks come within reach long after they were given up, and are found and learnt."""

    def rate(index: int, version: int) -> float:
        return 0.5 if index % 3 < 2 or version >= 60 else 0.0

    curriculum = pass_rate(90)
    world = World(curriculum, rate)
    world.play(60 * 3 * BATCH - 1)
    before = Counter(pool_of(curriculum).values())
    assert before["unreachable"] >= 27
    world.play(2500)
    after = Counter(pool_of(curriculum).values())
    assert after["unreachable"] <= 3
    assert curriculum.metrics()["curriculum/returned"] >= 25


def test_mastered_tasks_are_not_resampled_without_end() -> None:
    """While there is something to learn, mastered and unreachable tasks get their quotas only, and
    each of them rests between tests; yet each is tested."""

    def rate(index: int, version: int) -> float:
        return (0.99, 0.5, 0.0)[index % 3]

    curriculum = pass_rate(90)
    world = World(curriculum, rate)
    world.play(3000)
    world.drawn.clear()
    world.play(4000)
    drawn = Counter[int]()
    for index, times in world.drawn.items():
        drawn[index % 3] += times
        if index % 3 != 1:
            assert times <= 4000 / (10 * BATCH)
    assert drawn[0] <= 0.06 * 4000
    assert drawn[2] <= 0.04 * 4000
    assert all(world.drawn[index] for index in range(90))


def test_generation_goes_where_it_teaches() -> None:
    """Share of groups with a gradient over the first 2,000 groups of a mix in thirds, in which a
    third of the tasks is worth drawing: with labels that tell the kinds and without."""

    def rate(index: int, version: int) -> float:
        luck = random.Random(index)
        return (0.98, luck.uniform(0.1, 0.9), 0.003)[index % 3]

    def share(curriculum: Curriculum) -> float:
        world = World(curriculum, rate)
        world.play(2000)
        return world.with_gradient / world.groups

    for labelled, least in ((True, 0.8), (False, 0.6)):
        tasks = mixture(3000, labelled)
        uniform = share(UniformCurriculum(tasks.sizes, tasks.weights, 1))
        last_mean = share(LastMeanCurriculum(tasks, 1, BATCH))
        ours = share(PassRateCurriculum(tasks, 1, BATCH))
        assert ours > least
        assert ours > 1.3 * max(uniform, last_mean)
