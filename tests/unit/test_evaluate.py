"""Held-out evaluation: which tasks, which seeds, and what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from benchmarks.virtual_time import simulate
from configs.schema import EvaluationConfig
from envs.finance import FinanceTasks
from envs.types import TaskSet
from rl.evaluate import Evaluator, held_out, is_correct
from rl.tracking import EvaluationRecord
from rollout.types import PROMPT_TOO_LONG, Group, RolloutRequest, StopReason
from tests.fakes import Decide, FakeRollouts, FakeScorer, Fate, NumberedTasks, World


def named(sets: Sequence[TaskSet]) -> dict[str, TaskSet]:
    return {f"set_{number}": tasks for number, tasks in enumerate(sets)}


def evaluate(
    decide: Decide, sets: Sequence[TaskSet] = (NumberedTasks(8),), **config: float
) -> tuple[EvaluationRecord, World]:
    world = World(decide)
    settings = EvaluationConfig(num_tasks=4, samples=3, **config)  # type: ignore[arg-type]
    tasks = held_out(named(sets), settings.num_tasks)
    evaluator = Evaluator(tasks, settings, FakeRollouts(world), FakeScorer(), seed=17)
    return simulate(evaluator.run("reasoning", 6)), world


def right_in(count: int) -> Decide:
    """`count` of the sampled answers are right; greedy answers are wrong."""
    return lambda request: Fate([float(i < count) for i in range(len(request.seeds))])


@pytest.mark.parametrize(
    ("sizes", "asked", "expected"),
    [([100], 10, [10]), ([50, 50, 50], 8, [3, 3, 2]), ([5, 100], 20, [5, 10]), ([1], 1, [1])],
)
def test_tasks_are_different_and_evenly_over_the_sets(
    sizes: list[int], asked: int, expected: list[int]
) -> None:
    sets = [NumberedTasks(size, str(number)) for number, size in enumerate(sizes)]
    chosen = [task.id for task in held_out(named(sets), asked)]
    assert len(set(chosen)) == len(chosen)
    counts = Counter(task_id.partition("/")[0] for task_id in chosen)
    assert [counts[str(number)] for number in range(len(sizes))] == expected
    assert chosen == [task.id for task in held_out(named(sets), asked)]


def test_tasks_say_which_of_several_sets_they_are_of() -> None:
    sets = [NumberedTasks(9, "0"), NumberedTasks(9, "1")]
    assert [task.labels["set"] for task in held_out(named(sets), 3)] == ["set_0", "set_0", "set_1"]
    assert all("set" not in task.labels for task in held_out(named(sets[:1]), 3))


@pytest.mark.parametrize("levels", [(1,), (1, 2, 3)])
def test_held_out_finance_tasks_have_mixed_labels(levels: tuple[int, ...]) -> None:
    tasks = FinanceTasks(split="heldout", levels=levels)
    chosen = held_out({"finance": tasks}, 200)
    assert len({task.id for task in chosen}) == 200
    for label in ("scene", "task", "level"):
        everywhere = {tasks[index].labels[label] for index in range(500)}
        counts = Counter(task.labels[label] for task in chosen)
        assert len(counts) >= 0.9 * len(everywhere), label
        assert max(counts.values()) <= 3 * 200 / len(everywhere), label


def test_a_task_is_answered_several_times_and_once_greedily() -> None:
    record, world = evaluate(right_in(2), max_tokens=33)
    assert (record.stage, record.policy_version, len(record.results)) == ("reasoning", 6, 4)
    for result in record.results:
        assert (result.num_samples, result.num_correct, result.greedy_correct) == (3, 2, True)
        assert result.tokens == 3 * 3, "the greedy answer's tokens are not counted"
    by_temperature = Counter(r.sampling.temperature for r in world.requests)
    assert by_temperature == {1.0: 4, 0.0: 4}
    assert {r.sampling.max_tokens for r in world.requests} == {33}
    assert len({r.group_id for r in world.requests}) == 8


def test_tasks_seeds_and_modes_are_the_same_at_every_evaluation() -> None:
    def asked(world: World) -> set[tuple[str, tuple[int, ...], bool]]:
        return {(r.task.id, r.seeds, r.thinking) for r in world.requests}

    (_, first), (_, second) = evaluate(right_in(0)), evaluate(right_in(3))
    assert asked(first) == asked(second)
    modes = {r.task.id: r.thinking for r in first.requests}
    assert set(modes.values()) == {True, False}
    assert all(modes[r.task.id] == r.thinking for r in first.requests), "greedy in the same mode"
    for share, modes_seen in ((0.0, {False}), (1.0, {True})):
        _, world = evaluate(right_in(0), thinking_share=share)
        assert {r.thinking for r in world.requests} == modes_seen


def test_faults_are_left_out_and_are_no_wrong_answers() -> None:
    def decide(request: RolloutRequest) -> Fate:
        greedy = request.sampling.temperature == 0
        rewards: dict[str, list[float | None]] = {
            "all samples": [1.0] if greedy else [None, None, None],
            "the greedy one": [None] if greedy else [1.0, 1.0, 1.0],
            "one sample": [1.0] if greedy else [1.0, None, 0.0],
        }
        return Fate(rewards.get(faulty[request.task.id], [1.0]))

    tasks = held_out(named([NumberedTasks(8)]), 4)
    names = ["all samples", "the greedy one", "one sample", "none"]
    faulty = {task.id: name for task, name in zip(tasks, names, strict=True)}
    record, _ = evaluate(decide)
    results = {faulty[result.task_id]: result for result in record.results}
    assert set(results) == {"one sample", "none"}
    assert (results["one sample"].num_samples, results["one sample"].num_correct) == (2, 1)


def test_prompts_that_are_too_long_are_counted() -> None:
    @dataclass
    class Short(FakeRollouts):
        async def run(self, request: RolloutRequest) -> Group:
            group = await FakeRollouts.run(self, request)
            if request.task.id not in long:
                return group
            info = {"started": 0.0, "ended": 0.0, "reward": None, "fault": PROMPT_TOO_LONG}
            failed = [
                replace(t, info=info, stop_reason=StopReason.ERROR) for t in group.trajectories
            ]
            return replace(group, trajectories=tuple(failed))

    tasks = held_out(named([NumberedTasks(8)]), 5)
    long = {tasks[1].id, tasks[3].id}
    rollouts = Short(World(right_in(1)))
    record = simulate(Evaluator(tasks, EvaluationConfig(), rollouts, FakeScorer(), 17).run("x", 0))
    assert (len(record.results), record.prompts_too_long) == (3, 2)


def test_the_engines_are_kept_busy_and_not_flooded() -> None:
    @dataclass
    class Counting(FakeRollouts):
        now: int = 0
        peak: int = 0

        async def run(self, request: RolloutRequest) -> Group:
            self.now += len(request.seeds)
            self.peak = max(self.peak, self.now)
            group = await FakeRollouts.run(self, request)
            self.now -= len(request.seeds)
            return group

    tasks = held_out(named([NumberedTasks(500)]), 200)
    rollouts = Counting(World(right_in(1)))
    config = EvaluationConfig(samples=3)
    record = simulate(Evaluator(tasks, config, rollouts, FakeScorer(), 17, slots=40).run("x", 0))
    assert len(record.results) == 200
    assert 40 <= rollouts.peak <= 2 * 40 + 4


def test_only_a_full_score_is_a_right_answer() -> None:
    assert [is_correct(r) for r in (1.0, 1.5, 0.99, 0.0, None)] == [True, True, False, False, False]
