"""The pass-rate curriculum under random orders of events, and against a slow reference."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import ConfigError
from rl.curriculum import Draw, Mixture
from rl.estimates import estimate_pass_at_10, estimate_task
from rl.pass_rate import Merged, PassRateCurriculum
from rl.pool_state import summarise
from rl.pools import LEARNING, MASTERED, POOLS, RESTING, UNREACHABLE, UNSEEN, TaskPools
from rollout.types import Group
from tests.fakes import numbered_task, scored_group, trajectory

BATCH = 4


class LabelledTasks:
    """Task i has label i modulo `labels`."""

    def __init__(self, size: int, labels: int = 2) -> None:
        self.size, self.labels = size, labels
        self.fingerprint = f"{size}/{labels}"

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        names = {"scene": "s", "task": "abcdefgh"[index % self.labels]}
        return replace(numbered_task(f"task/{index}"), labels=names)


def make(*sizes: int, labels: int = 2, seed: int = 5, **args: Any) -> PassRateCurriculum:
    sets = {f"set{n}": LabelledTasks(size, labels) for n, size in enumerate(sizes)}
    args = {"retest_after": 2, "reserve": 2, **args}
    weights = dict.fromkeys(sets, 1.0)
    return PassRateCurriculum(Mixture(sets, weights), seed, BATCH, **args)


def group(index: int, correct: int, samples: int = 8, version: int = 0, faults: int = 0) -> Group:
    rewards = [1.0] * correct + [0.0] * (samples - correct) + [None] * faults
    trajectories = tuple(trajectory(i, reward, version) for i, reward in enumerate(rewards))
    return Group(0, numbered_task(f"task/{index}"), trajectories)


def see(curriculum: PassRateCurriculum, correct: int, version: int = 0) -> Draw:
    draw = curriculum.next()
    curriculum.observe(draw, group(draw.index, correct, version=version))
    return draw


def check_partition(pools: TaskPools) -> None:
    """Every task is unexplored, under way or in the one queue that its pool calls for."""
    rows, index = pools.rows, pools.index
    at = [rows.in_queue(queue) for queue in range(len(rows.sizes))]
    resting = [row for queue in at for row in queue]
    assert sorted([*resting, *pools.under_way.values()]) == list(range(rows.count))
    visited = [int(rows.d[8 * row + 4]) for row in range(rows.count)]
    unexplored = [
        int(task)
        for place, end in zip(pools.places, index.starts[1:], strict=True)
        for task in index.order[place:end]
    ]
    assert sorted([*visited, *unexplored]) == list(range(len(index.labels)))
    mastered, unreachable, _ = RESTING
    assert all(rows.pools[row] == MASTERED for row in at[mastered])
    assert all(rows.pools[row] == UNREACHABLE for row in at[unreachable])
    assert all(rows.pools[row] == LEARNING for queue in at[:mastered] for row in queue)
    counted = Counter(rows.pools[row] for row in range(rows.count))
    counted[UNSEEN] += len(unexplored)
    assert pools.counts == [counted[pool] for pool in range(len(POOLS))]


class Play:
    """Random events: draws, and observations of what is under way in any order."""

    def __init__(self, curriculum: PassRateCurriculum, seed: int) -> None:
        self.curriculum, self.luck = curriculum, random.Random(seed)
        self.owed: list[Draw] = []
        self.version = 0

    def step(self) -> tuple[Draw, int, int, int] | None:
        """Draw, or observe (draw, samples, correct, version); few samples are a fault."""
        if not self.owed or (len(self.owed) < 3 * BATCH and self.luck.random() < 0.5):
            self.owed.append(self.curriculum.next())
            return None
        self.version += self.luck.random() < 0.2
        draw = self.owed.pop(self.luck.randrange(len(self.owed)))
        skill = (draw.index * 7 % 11) / 10
        samples = self.luck.choice([8, 8, 8, 5, 1, 0])
        correct = sum(self.luck.random() < skill for _ in range(samples))
        version = max(0, self.version - self.luck.randrange(3))
        self.curriculum.observe(
            draw, group(draw.index, correct, samples, version, faults=8 - samples)
        )
        return draw, samples, correct, version


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    seed=st.integers(0, 10**6),
    steps=st.integers(0, 400),
)
@settings(max_examples=40)
def test_pools_partition_the_tasks_and_none_is_lost(
    sizes: list[int], seed: int, steps: int
) -> None:
    curriculum = make(*sizes, seed=seed)
    play = Play(curriculum, seed)
    for _ in range(steps):
        play.step()
    for pools in curriculum.pools:
        check_partition(pools)


@given(
    size=st.integers(1, 60),
    seed=st.integers(0, 10**6),
    before=st.integers(0, 300),
    weights=st.booleans(),
)
@settings(max_examples=40)
def test_a_state_of_any_moment_goes_on_bit_for_bit(
    size: int, seed: int, before: int, weights: bool
) -> None:
    through = make(size, 7, seed=seed)
    if weights:
        through.set_label_weights({"s/a": 3.0})
    play = Play(through, seed)
    for _ in range(before):
        play.step()
    again = make(size, 7, seed=seed)
    again.restore(through.state())
    copy = Play(again, 0)
    copy.owed, copy.version = list(play.owed), play.version
    copy.luck.setstate(play.luck.getstate())
    for _ in range(200):
        assert copy.step() == play.step()
        assert copy.owed == play.owed
    assert_equal(again.state(), through.state())


def assert_equal(one: Any, other: Any) -> None:
    """Trees of dicts and lists with equal leaves, to the last bit."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list):
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


def test_a_state_is_a_copy() -> None:
    curriculum = make(20)
    for _ in range(10):
        see(curriculum, 3)
    state, same = curriculum.state(), make(20)
    same.restore(state)
    for _ in range(50):
        see(curriculum, 8)
    again = make(20)
    again.restore(state)
    assert_equal(again.state(), same.state())


class Reference:
    """The rules of one task, written to be read."""

    def __init__(self, horizon: int) -> None:
        self.horizon, self.pool = horizon, "unseen"
        self.recent: list[tuple[int, int]] = []
        self.newest = 0

    def visit(self, samples: int, correct: int, version: int) -> None:
        if self.recent and version - self.newest > self.horizon:
            self.recent = []
        self.newest = max(self.newest, version) if self.recent else version
        self.recent = [*self.recent, (samples, correct)][-4:]
        if self.pool == "unseen":
            self.pool = "learning"
        elif (self.pool == "mastered" and (1 + correct) / (2 + samples) < 0.6) or (
            self.pool == "unreachable" and correct
        ):
            self.pool, self.recent = "learning", self.recent[-1:]
        estimate = estimate_task(*self.totals)
        if self.pool == "learning" and len(self.recent) >= 2:
            if estimate.lower >= 0.8:
                self.pool = "mastered"
            elif estimate.upper <= 0.2:
                self.pool = "unreachable"

    @property
    def totals(self) -> tuple[int, int]:
        return sum(n for n, _ in self.recent), sum(c for _, c in self.recent)


@given(seed=st.integers(0, 10**6), horizon=st.integers(1, 30))
@settings(max_examples=40)
def test_estimates_and_pools_match_a_slow_reference(seed: int, horizon: int) -> None:
    curriculum = make(15, seed=seed, horizon=horizon)
    play, tasks = Play(curriculum, seed), [Reference(horizon) for _ in range(15)]
    for _ in range(500):
        event = play.step()
        if event and event[1] >= 4:
            draw, samples, correct, version = event
            tasks[draw.index].visit(samples, correct, version)
    [pools] = curriculum.pools
    seen = [task for task in tasks if task.recent]
    rates = [(1 + c) / (2 + n) for n, c in (task.totals for task in seen)]
    assert pools.ability == pytest.approx(np.mean(rates))
    samples, correct = pools.rows.counts()
    for row in range(pools.rows.count):
        task = tasks[int(pools.rows.column("indices")[row])]
        assert (samples[row], correct[row]) == task.totals
        assert POOLS[pools.rows.pools[row]] == task.pool
    [summary] = curriculum.summary()
    for number, label in enumerate(summary.labels):
        of_label = [t for i, t in enumerate(tasks) if i % 2 == number and t.recent]
        if of_label:
            expected = np.mean([estimate_pass_at_10(*task.totals) for task in of_label])
            assert label.pass_at_10 == pytest.approx(expected)
            assert curriculum.label_pass_at_10()[label.name] == pytest.approx(expected)
            assert sum(label.histogram) == len(of_label)
        assert sum(label.pools.values()) == label.tasks


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10)
def test_quotas_hold(seed: int) -> None:
    """In every 33 draws one tests a mastered task and one an unreachable one, if one has rested
    when they begin; and never more than one while there are tasks to learn from."""
    curriculum, luck, due = make(60, seed=seed, retest_share=0.03), random.Random(seed), 0
    [pools] = curriculum.pools
    for _ in range(25):
        queues = {MASTERED: RESTING[0], UNREACHABLE: RESTING[1]}
        rested = [
            pool
            for pool, queue in queues.items()
            if pools.rows.sizes[queue] and pools.rows.waited(queue) >= 2 * BATCH
        ]
        tested = Counter[int]()
        for _ in range(33):
            draw = curriculum.next()
            tested[pools.rows.pools[pools.under_way[draw.index]]] += 1
            correct = 8 if draw.index < 20 else 0 if draw.index < 40 else luck.randrange(1, 8)
            curriculum.observe(draw, group(draw.index, correct))
        assert all(tested[pool] >= 1 for pool in rested)
        assert all(tested[pool] <= 1 for pool in queues) or max(pools.alarms) > 0.2
        due += len(rested)
    assert due > 20


def test_a_promoted_task_needs_two_visits_and_so_does_one_given_up() -> None:
    for correct, pool in ((8, "mastered"), (0, "unreachable")):
        curriculum = make(1)
        see(curriculum, correct)
        assert curriculum.summary()[0].pools["learning"] == 1
        see(curriculum, correct)
        assert curriculum.summary()[0].pools[pool] == 1


def test_pools_do_not_flap() -> None:
    """A task between the thresholds stays where it is, whichever side it came from; and one that
    comes back needs two visits to leave again."""
    curriculum = make(1)
    [pools] = curriculum.pools
    for correct in (8, 8, 5, 6, 5, 7):
        see(curriculum, correct)
        assert pools.moves == [0 if correct == 8 and not pools.moves[0] else 1, 0, 0, 0]
    see(curriculum, 3)
    assert pools.counts == [0, 1, 0, 0]
    see(curriculum, 8)
    see(curriculum, 8)
    see(curriculum, 8)
    assert pools.counts == [0, 1, 0, 0], "3 + 8 + 8 + 8 of 32 is not over 0.8 for sure"
    see(curriculum, 8)
    assert pools.counts == [0, 0, 1, 0]
    assert pools.moves == [2, 0, 1, 0]


def test_an_unreachable_task_returns_at_one_success() -> None:
    curriculum = make(1)
    for correct in (0, 0, 0, 1):
        see(curriculum, correct)
    assert curriculum.summary()[0].moves == {
        "promoted": 0,
        "given_up": 1,
        "demoted": 0,
        "returned": 1,
    }
    see(curriculum, 0)
    assert curriculum.summary()[0].pools["learning"] == 1


@given(seed=st.integers(0, 10**6), verdicts=st.integers(0, 3))
@settings(max_examples=20)
def test_faults_never_move_a_tasks_difficulty(seed: int, verdicts: int) -> None:
    curriculum = make(20, seed=seed)
    play = Play(curriculum, seed)
    for _ in range(150):
        play.step()
    [pools] = curriculum.pools
    for draw in play.owed:
        curriculum.observe(draw, group(draw.index, draw.index % 9, version=play.version))
    fields = ("visits", "versions", "pools", "ids")

    def knowledge() -> Any:
        signals = {k: v for k, v in pools.signals.state().items() if "signals" in k}
        rows = [pools.rows.column(f)[:before].tolist() for f in fields]
        return [rows, pools.ability, signals, list(pools.moves)]

    before = pools.rows.count
    known = knowledge()
    for _ in range(100):
        draw = curriculum.next()
        curriculum.observe(draw, group(draw.index, verdicts, verdicts, faults=8 - verdicts))
    check_partition(pools)
    assert_equal(knowledge(), known)


def test_a_faulty_task_rests_before_it_comes_again() -> None:
    curriculum = make(100, retest_after=5)
    first = curriculum.next()
    curriculum.observe(first, group(first.index, 0, 0, faults=8))
    later = [see(curriculum, 4).index for _ in range(200)]
    assert first.index not in later[: 5 * BATCH - 1]
    assert first.index in later


@pytest.mark.parametrize("correct", [0, 8])
def test_all_mastered_or_all_hopeless_still_draws_every_task_in_turn(correct: int) -> None:
    curriculum = make(10)
    for _ in range(100):
        see(curriculum, correct)
    assert max(curriculum.pools[0].counts[2:]) == 10
    later = Counter(see(curriculum, correct).index for _ in range(100))
    assert set(later) == set(range(10))
    assert max(later.values()) <= 11


def test_all_faulty_still_draws_every_task() -> None:
    curriculum = make(6)
    later = Counter[int]()
    for _ in range(60):
        draw = curriculum.next()
        curriculum.observe(draw, group(draw.index, 0, 0, faults=4))
        later[draw.index] += 1
    assert set(later.values()) == {10}


def test_a_set_smaller_than_a_batch_is_drawn_again_with_the_next_visit() -> None:
    curriculum = make(3)
    draws = [curriculum.next() for _ in range(12)]
    assert Counter(draws) == Counter(Draw(i, v) for i in range(3) for v in range(4))
    for draw in draws:
        curriculum.observe(draw, group(draw.index, 4))
    check_partition(curriculum.pools[0])


def test_an_empty_set_has_a_message() -> None:
    with pytest.raises(ConfigError, match="task set set1 has 0 tasks"):
        make(4, 0)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"promote": 0.5}, "give_up < demote < promote"),
        ({"retest_share": 0.0}, "retest_share"),
        ({"explore_share": 0.5}, "explore_share"),
        ({"horizon": 0}, "horizon"),
        ({"retest_after": 0}, "retest_after"),
    ],
)
def test_values_out_of_range_have_a_message(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(4, **args)


def test_partial_credit_counts_from_the_pass_score_on() -> None:
    for score, learns in ((1.0, 0.0), (0.7, 2 / 4)):
        curriculum = make(1, pass_score=score)
        draw = curriculum.next()
        curriculum.observe(draw, scored_group([0.9, 0.7, 0.69, 0.0]))
        [pools] = curriculum.pools
        assert pools.ability == (1 + 4 * learns) / (2 + 4)


def test_sets_are_drawn_in_proportion_to_their_weights() -> None:
    sets = {"a": LabelledTasks(30), "b": LabelledTasks(30)}
    curriculum = PassRateCurriculum(Mixture(sets, {"a": 3.0, "b": 1.0}), 0, BATCH)
    drawn = Counter(see(curriculum, 4).index >= 30 for _ in range(100))
    assert drawn == {False: 75, True: 25}


def test_a_hopeless_label_is_hardly_explored_and_never_quite_forgotten() -> None:
    """Labels: always solved, solved half of the time, half of the tasks always and half never."""
    curriculum = make(60_000, labels=3, reserve=1000)
    luck, explored = random.Random(0), Counter[int]()
    for number in range(3000):
        draw = curriculum.next()
        label = draw.index % 3
        explored[label] += draw.visit == 0 and number > 300
        correct = (8, sum(luck.random() < 0.5 for _ in range(8)), 8 * (draw.index % 2))[label]
        curriculum.observe(draw, group(draw.index, correct))
    assert explored[1] > 0.75 * explored.total()
    assert min(explored.values()) > 0.01 * explored.total()


def test_the_band_moves_from_easy_to_hard_and_touches_no_task() -> None:
    curriculum = make(200)
    for number in range(300):
        see(curriculum, 1 if number < 100 else 7, version=number)
        if number == 99:
            easy = curriculum.metrics()["curriculum/target"]
    assert easy > 0.6 > 0.5 > curriculum.metrics()["curriculum/target"]


@pytest.mark.parametrize("size", [40, 20_000])
def test_labels_are_drawn_by_their_weights_on_top(size: int) -> None:
    """Where all tasks are known, and where most draws explore."""

    def share(weights: dict[str, float]) -> float:
        curriculum = make(size, reserve=200)
        curriculum.set_label_weights(weights)
        drawn = Counter(see(curriculum, 4).index % 2 for _ in range(2000))
        return drawn[0] / drawn.total()

    assert 0.45 < share({}) < 0.55
    assert 0.7 < share({"s/a": 3.0}) < 0.8
    assert share({"s": 2.0}) == share({})


def test_label_weights_are_over_zero() -> None:
    with pytest.raises(ValueError, match="over 0"):
        make(4).set_label_weights({"s/a": 0.0})


def test_a_profile_counts_as_a_first_visit() -> None:
    curriculum = make(30, horizon=5)
    ids = [f"task/{i}" for i in range(20)] + ["task/100"]
    merged = curriculum.seed(ids, [10] * 21, [10] * 10 + [0] * 11)
    assert merged == {"set0": Merged(known=20, added=10, gone=1)}
    [summary] = curriculum.summary()
    assert summary.pools == {"unseen": 10, "learning": 20, "mastered": 0, "unreachable": 0}
    check_partition(curriculum.pools[0])
    for _ in range(200):  # the stage begins with version 40: the profile is not older than that
        draw = curriculum.next()
        correct = 8 * (draw.index < 10)
        curriculum.observe(draw, group(draw.index, correct, version=40))
        visits = curriculum.pools[0].rows
    assert summary.explored == 0
    assert visits.count == 30
    assert curriculum.summary()[0].pools["mastered"] == 10
    with pytest.raises(ValueError, match="correct <= samples"):
        make(4).seed(["task/1"], [3], [4])


def test_rows_of_the_same_task_are_added_up_and_one_sample_is_none() -> None:
    curriculum = make(4)
    assert curriculum.seed(["task/1", "task/1", "task/2"], [5, 5, 1], [5, 5, 1]) == {
        "set0": Merged(2, 2, 0)
    }
    assert curriculum.summary()[0].pools["learning"] == 1
    assert curriculum.pools[0].ability == 11 / 12


def test_a_seeded_curriculum_is_saved_exactly() -> None:
    def seeded() -> PassRateCurriculum:
        curriculum = make(30)
        curriculum.seed([f"task/{i}" for i in range(5, 25)], [10] * 20, [5] * 20)
        return curriculum

    through, again = seeded(), make(30)
    again.restore(through.state())
    drawn = [see(curriculum, 4) for curriculum in (through, again) for _ in range(60)]
    assert drawn[:60] == drawn[60:]


def test_a_changed_task_set_merges_by_id() -> None:
    """Tasks 3 to 39 instead of 0 to 29, so every index stands for another task."""
    old = make(30)
    for _ in range(100):
        draw = old.next()
        old.observe(draw, group(draw.index, 8 * (draw.index % 3 == 0), version=7))
    [seen] = old.summary()
    for _ in range(2):
        old.next()  # under way when the state is taken

    class Later(LabelledTasks):
        def __getitem__(self, index: int) -> Any:
            return super().__getitem__(index + 3)

    new = PassRateCurriculum(Mixture({"set0": Later(37)}, {"set0": 1.0}), 5, BATCH)
    merged = new.merge(old.state())["set0"]
    visited = 30 - seen.pools["unseen"]
    assert merged.known + merged.added == 37
    assert merged.known + merged.gone >= visited
    assert merged.known >= visited - 3
    check_partition(new.pools[0])
    [before], [after] = old.pools, new.pools
    known = {
        int(task): (int(visits), int(pool))
        for task, visits, pool in zip(
            *(before.rows.column(name) for name in ("ids", "visits", "pools")), strict=True
        )
    }
    for row in range(after.rows.count):
        task = int(after.rows.column("ids")[row])
        assert known[task] == (after.rows.column("visits")[row], after.rows.column("pools")[row])
    assert after.ability > 0
    for _ in range(200):
        see(new, 4)
    check_partition(after)


def test_metrics_and_summary_agree() -> None:
    curriculum = make(40, 20)
    for number in range(200):
        see(curriculum, (0, 4, 8)[number % 3])
    metrics, summaries = curriculum.metrics(), curriculum.summary()
    for name in POOLS:
        assert metrics[f"curriculum/{name}"] == sum(s.pools[name] for s in summaries)
        for summary in summaries:
            assert summary.pools[name] == sum(label.pools[name] for label in summary.labels)
    for name in ("promoted", "given_up", "demoted", "returned"):
        assert metrics[f"curriculum/{name}"] == sum(s.moves[name] for s in summaries)
    assert [summarise(p).name for p in curriculum.pools] == ["set0", "set1"]
    assert 0 < metrics["curriculum/explored"] <= 1
    assert 0 < metrics["curriculum/pass_rate"] < 1


def leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        assert all(type(key) is str for key in tree)
        return [leaf for item in tree.values() for leaf in leaves(item)]
    if type(tree) is list:
        return [leaf for item in tree for leaf in leaves(item)]
    return [tree]


@pytest.mark.parametrize("seeded", [False, True])
def test_a_state_holds_what_checkpoints_save_exactly(seeded: bool) -> None:
    curriculum = make(40, 9)
    if seeded:
        curriculum.seed([f"task/{i}" for i in range(9)], [10] * 9, list(range(9)))
    curriculum.set_label_weights({"s/a": 2.0})
    play = Play(curriculum, 3)
    for _ in range(300):
        play.step()
    merged = make(50)
    merged.merge(curriculum.state())
    for state in (curriculum.state(), merged.state()):
        assert {type(leaf) for leaf in leaves(state)} <= {str, int, float, bool, np.ndarray}


def test_a_saved_row_takes_29_bytes() -> None:
    curriculum = make(4000)
    for _ in range(2000):
        see(curriculum, 4)
    rows = curriculum.state()["sets"]["set0"]["rows"]
    assert sum(column.itemsize for column in rows.values()) == 29
    assert {len(column) for column in rows.values()} == {curriculum.pools[0].rows.count}


def test_a_profile_that_hits_two_sets_is_counted_in_both() -> None:
    merged = make(10, 4).seed([f"task/{i}" for i in range(12)], [10] * 12, [5] * 12)
    assert merged == {"set0": Merged(10, 0, 2), "set1": Merged(4, 0, 2)}
