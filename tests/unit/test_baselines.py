"""Last-mean pools."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import ConfigError
from rl.baselines import LastMeanCurriculum, LastMeanPools
from rl.curriculum import Mixture, make_curriculum
from rl.pass_rate import PassRateCurriculum
from tests.fakes import NumberedTasks, scored_group


def make(*sizes: int) -> LastMeanCurriculum:
    sets = {f"set{n}": NumberedTasks(size, f"set{n}") for n, size in enumerate(sizes)}
    return LastMeanCurriculum(Mixture(sets, dict.fromkeys(sets, 1.0)), 3, 4)


@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3), seed=st.integers(0, 1000))
@settings(max_examples=30)
def test_pools_partition_the_tasks_and_a_state_goes_on(sizes: list[int], seed: int) -> None:
    luck, through, again = random.Random(seed), make(*sizes), make(*sizes)
    owed = []
    for number in range(150):
        if not owed or luck.random() < 0.5:
            owed.append(through.next())
        else:
            rewards = [luck.choice([0.0, 1.0, None]) for _ in range(4)]
            draw = owed.pop(luck.randrange(len(owed)))
            through.observe(draw, scored_group(rewards))
        if number == 75:
            again.restore(through.state())
            copies = list(owed)
    for pools, size in zip(through._sets, sizes, strict=True):
        assert sum(pools.sizes) + len(pools.under_way) == size
    fresh = make(*sizes)
    fresh.restore(through.state())
    assert [fresh.next() for _ in range(40)] == [through.next() for _ in range(40)]
    for draw in copies:
        again.observe(draw, scored_group([0.0, 1.0]))


def test_the_last_groups_mean_decides_and_a_fault_does_not() -> None:
    pools = LastMeanPools(3, 0, 0)
    drawn = [pools.draw().index for _ in range(3)]
    for index, mean in zip(drawn, (0.25, 0.75, 0.76), strict=True):
        pools.observe(index, [mean])
    assert pools.sizes == [1, 1, 1, 0]
    index = pools.draw().index
    source = pools.under_way[index][0]
    pools.observe(index, [])
    assert index in pools.pools[source]


def test_normal_tasks_come_five_times_as_often_as_easy_ones() -> None:
    curriculum = make(100)
    drawn = Counter[bool]()
    for number in range(2000):
        draw = curriculum.next()
        drawn[draw.index < 50] += number >= 500
        curriculum.observe(draw, scored_group([1.0, 1.0 if draw.index < 50 else 0.0]))
    assert 4 < drawn[False] / drawn[True] < 6


def test_an_empty_set_has_a_message() -> None:
    with pytest.raises(ConfigError, match="a task set is empty"):
        make(3, 0)


def test_curricula_are_made_by_name() -> None:
    tasks = Mixture({"main": NumberedTasks(5)}, {"main": 1.0})
    made = make_curriculum("pass_rate", {"promote": 0.9}, tasks, 3, 4, "stages.rl.curriculum")
    assert isinstance(made, PassRateCurriculum)
    for name in ("uniform", "last_mean"):
        assert make_curriculum(name, {}, tasks, 3, 4, "x").next().visit == 0
    for name, args, message in (
        ("pass_rat", {}, r"x\.name: 'pass_rat' .*did you mean 'pass_rate'"),
        ("pass_rate", {"promot": 1}, r"x\.args: unknown keyword 'promot'; did you mean 'promote'"),
        ("pass_rate", {"promote": 0.1}, r"x\.args: .*give_up < demote < promote"),
        ("pass_rate", {"promote": "high"}, r"x\.args: .*correct x\.args"),
        ("pass_rate", {"seed": 3}, r"x\.args"),
    ):
        with pytest.raises(ConfigError, match=message):
            make_curriculum(name, args, tasks, 3, 4, "x")
