"""The loop over fakes, on virtual time: order, staleness, drops, faults, stop and resume."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.virtual_time import simulate
from configs.errors import FaultBudgetSpent, Stopped
from configs.schema import StageConfig
from rl.controller import Controller, Progress, capacity
from rl.evaluate import GroupLost
from rl.pruning import ADVICE
from rl.tracking import StepRecord
from rollout.types import RolloutRequest
from tests.fakes import GOOD, Decide, Fate, Saves, World, heavy_tailed, make_controller


def rl_stage(**fields: Any) -> StageConfig:
    return StageConfig(**{"steps": 6, "batch_size": 4, "group_size": 4, **fields})


def play(stage: StageConfig, decide: Decide, **world: Any) -> tuple[World, Controller]:
    """A whole stage over fakes."""
    fakes = World(decide, **world)
    controller = make_controller(stage, fakes, Saves())
    simulate(controller.run())
    return fakes, controller


def dropped_in(record: StepRecord) -> float:
    return sum(n for name, n in record.metrics.items() if name.startswith("group/dropped/"))


@st.composite
def stages(draw: st.DrawFn) -> StageConfig:
    staleness, batch = draw(st.integers(0, 3)), draw(st.integers(1, 6))
    return rl_stage(
        steps=draw(st.integers(1, 8)),
        batch_size=batch,
        group_size=draw(st.integers(2, 4)),
        max_staleness=staleness,
        lookahead=draw(st.integers(1, batch * staleness + 1)),
        refill_budget=draw(st.sampled_from([0.0, 0.5, 2.0, 20.0])),
        max_empty_steps=100,
    )


@given(
    stage=stages(),
    seed=st.integers(0, 2**32),
    drop=st.sampled_from([0.0, 0.3, 0.8]),
    fault=st.sampled_from([0.0, 0.2]),
    late=st.sampled_from([0.0, 0.05, 0.3]),
    train_s=st.sampled_from([0.0, 1.0, 30.0]),
)
def test_what_holds_under_any_latency(
    stage: StageConfig, seed: int, drop: float, fault: float, late: float, train_s: float
) -> None:
    world, controller = play(stage, heavy_tailed(seed, drop, fault, late), train_s=train_s)

    # The ledger closes at every step, and at the end nobody owes anything.
    dispatched = ended = 0.0
    for record in world.records:
        metrics = record.metrics
        dispatched += metrics["group/dispatched"]
        ended += metrics["group/trained"] + dropped_in(record)
        assert dispatched == ended + metrics["group/owed"]
    assert [record.step for record in world.records] == list(range(1, stage.steps + 1))
    assert controller.ledger.num_owed == 0
    assert dispatched == len(world.requests)

    # Each group is trained at most once, in batches that are full while there is budget.
    trained = [group for step in world.trained for group in step]
    assert len(trained) == len(set(trained)) == world.total("group/trained")
    for record in world.records:
        full = record.metrics["group/trained"] == stage.batch_size
        assert full or dropped_in(record) > stage.refill_budget * stage.batch_size
    assert controller.policy_version == world.served == len(world.trained)

    # No token is too old, and none had to be dropped for it: capacity bounds the age.
    bound = (capacity(stage) + stage.lookahead - 2) // stage.batch_size
    assert bound == stage.max_staleness
    assert max(world.ages, default=0) <= stage.max_staleness
    assert "stale" not in controller.ledger.dropped

    # A group is overtaken by fewer than `lookahead` others.
    for place, group in enumerate(world.consumed):
        overtakers = [earlier for earlier in world.consumed[:place] if earlier > group]
        assert len(overtakers) < stage.lookahead
    assert sorted(world.consumed) == list(range(len(world.requests)))


def test_synchronous_steps_train_fresh_groups_in_order_of_admission() -> None:
    world, _ = play(rl_stage(max_staleness=0), heavy_tailed(1, late=0.2))
    assert set(world.ages) == {0}
    assert world.trained == [[4 * step + i for i in range(4)] for step in range(6)]


def test_the_next_groups_are_generated_while_the_learner_works() -> None:
    stage = rl_stage(steps=20, max_staleness=1)
    apart, _ = play(replace(stage, max_staleness=0), lambda _: Fate(seconds=10), train_s=10)
    async_world = World(lambda _: Fate(seconds=10), train_s=10)

    async def seconds(controller: Controller) -> float:
        await controller.run()
        return asyncio.get_running_loop().time()

    took = simulate(seconds(make_controller(stage, async_world, Saves())))
    assert took < 20 * 12, "each step would take 20 s one after another"
    assert max(async_world.ages) == 1
    assert set(apart.ages) == {0}


def test_a_straggler_delays_its_step_and_nothing_overtakes_it_too_often() -> None:
    def decide(request: RolloutRequest) -> Fate:
        return Fate((0.0, 1.0), 1000.0 if request.group_id == 5 else 1.0)

    stage = rl_stage(steps=8, max_staleness=2, lookahead=3)
    world, controller = play(stage, decide)
    before = world.consumed[: world.consumed.index(5)]
    assert [group for group in before if group > 5] == [6, 7]
    assert 5 in {group for step in world.trained for group in step}, "late is no reason to drop"
    assert controller.ledger.dropped == {}


def test_groups_without_a_gradient_are_replaced_and_counted_by_cause() -> None:
    bad: list[list[float | None]] = [[1, 1, 1], [0, 0, 0], [0.5, 0.5, 0.5], [None, None, 1]]
    good: list[list[float | None]] = [[0, 1, 0]] * 4
    fates = [Fate(rewards) for rewards in bad + good]
    world, controller = play(rl_stage(steps=3), lambda r: fates[r.group_id % 8])
    assert [len(groups) for groups in world.trained] == [4, 4, 4]
    dropped = controller.ledger.dropped
    assert set(dropped) == {"all_correct", "all_wrong", "constant", "error"}
    assert {f"group/dropped/{cause}": n for cause, n in dropped.items()} == {
        f"group/dropped/{cause}": world.total(f"group/dropped/{cause}") for cause in dropped
    }


def test_when_the_refill_budget_is_spent_the_step_trains_on_what_it_has_and_says_so() -> None:
    world, _ = play(
        rl_stage(steps=2, refill_budget=2.0),
        lambda r: Fate([0.0, 1.0] if r.group_id % 12 == 0 else [1.0, 1.0]),
    )
    assert world.trained == [[0], [12]]  # 4 slots and 8 refills a step
    said = {"stage": "stage", "groups": 1, "wanted": 4, "advice": ADVICE["all_correct"]}
    assert world.events == [
        ("short_batch", {**said, "step": 1, "dropped": "11 all_correct"}),
        ("short_batch", {**said, "step": 2, "dropped": "11 all_correct"}),
    ]


@pytest.mark.parametrize("staleness", [0, 2])
def test_steps_without_any_valid_group_end_the_run_with_the_cause(staleness: int) -> None:
    stage = rl_stage(steps=50, max_staleness=staleness, max_empty_steps=3, refill_budget=1.0)
    world = World(lambda _: Fate([1.0] * 4))
    with pytest.raises(FaultBudgetSpent, match=r"3 steps in a row .*all_correct.*mastered"):
        simulate(make_controller(stage, world, Saves()).run())
    assert world.trained == []
    assert world.served == 0, "nothing was learnt, so nothing is published"
    assert [record.metrics["group/trained"] for record in world.records] == [0.0, 0.0]


def test_a_valid_group_ends_a_row_of_empty_steps() -> None:
    stage = rl_stage(steps=8, batch_size=1, refill_budget=1.0, max_empty_steps=3)
    world, _ = play(stage, lambda r: Fate([0.0, 1.0] if r.group_id % 5 == 4 else [0.0, 0.0]))
    assert [r.metrics["group/trained"] for r in world.records] == [0, 0, 1, 0, 0, 1, 0, 0]


def test_samples_without_a_verdict_leave_before_the_variance_is_looked_at() -> None:
    world, controller = play(
        rl_stage(steps=1),
        lambda r: Fate([1.0, 1.0, None, 1.0] if r.group_id < 4 else [0.0, 1.0, None]),
    )
    assert controller.ledger.dropped == {"all_correct": 4}, "a fault is no wrong answer"
    assert len(world.batches[0].samples) == 4 * 2


def test_a_duplicate_is_dropped_and_counted_and_the_group_asked_for_again() -> None:
    def decide(request: RolloutRequest) -> Fate:
        doubled = request.group_id == 6 and request.attempt < 2
        return Fate((0.0, 1.0), answer_of=5 if doubled else None)

    world, controller = play(rl_stage(steps=3, max_staleness=1), decide)
    assert controller.ledger.duplicates == world.total("group/duplicates") == 2
    assert [group for step in world.trained for group in step] == list(range(12))
    again = [request for request in world.requests if request.group_id == 6]
    assert [request.attempt for request in again] == [0, 1, 2]
    assert len({request.seeds for request in again}) == 1


def test_a_lost_group_is_asked_for_again_and_trained_once_in_its_place() -> None:
    def decide(request: RolloutRequest) -> Fate:
        lost = request.group_id % 3 == 0 and request.attempt < 3
        return Fate((0.0, 1.0), error=GroupLost("worker died") if lost else None)

    world, controller = play(rl_stage(steps=3, max_staleness=1), decide)
    assert world.trained == [[4 * step + i for i in range(4)] for step in range(3)]
    assert controller.ledger.duplicates == 0
    attempts = [request.attempt for request in world.requests if request.group_id == 3]
    assert attempts == [0, 1, 2, 3]
    again = {request.seeds for request in world.requests if request.group_id == 3}
    assert len(again) == 1, "the same samples"


def test_only_duplicates_end_the_run() -> None:
    world = World(lambda request: Fate(answer_of=0))
    with pytest.raises(FaultBudgetSpent, match="group 1 was asked for 5 times"):
        simulate(make_controller(rl_stage(), world, Saves()).run())


@pytest.mark.parametrize("failing", [0, 7])
def test_a_failed_rollout_ends_the_run_at_once_wherever_it_stands(failing: int) -> None:
    """Group 7 would be consumed only after group 0, which takes an hour."""
    death = FaultBudgetSpent("rollout worker 1 died")
    death.__cause__ = ConnectionError("gone")

    def decide(request: RolloutRequest) -> Fate:
        slow = request.group_id == 0 and failing != 0
        return Fate((0.0, 1.0), 3600.0 if slow else 5.0, death if r_fails(request) else None)

    def r_fails(request: RolloutRequest) -> bool:
        return request.group_id == failing

    async def run() -> float:
        with pytest.raises(FaultBudgetSpent, match="worker 1 died") as raised:
            await make_controller(rl_stage(max_staleness=1), World(decide), Saves()).run()
        assert raised.value is death
        assert isinstance(death.__cause__, ConnectionError)
        return asyncio.get_running_loop().time()

    assert simulate(run()) == 5.0


def test_a_rollout_that_fails_while_the_learner_works_ends_the_run() -> None:
    def decide(request: RolloutRequest) -> Fate:
        error = RuntimeError("worker 0 died") if request.group_id == 4 else None
        return Fate((0.0, 1.0), 20.0 if error else 1.0, error)

    async def run() -> float:
        world = World(decide, train_s=500.0)
        with pytest.raises(RuntimeError, match="worker 0 died"):
            await make_controller(rl_stage(max_staleness=1), world, Saves()).run()
        assert world.trained == []
        return asyncio.get_running_loop().time()

    assert simulate(run()) == 20.0


@pytest.mark.parametrize("kl", [0.2, float("nan")])
def test_weights_that_disagree_with_the_engine_are_not_published(kl: float) -> None:
    world = World(mismatch_kl=kl)
    controller = make_controller(rl_stage(), world, Saves())
    controller.max_mismatch_kl = 0.1
    with pytest.raises(FaultBudgetSpent, match="step 1: engine and learner disagree"):
        simulate(controller.run())
    assert world.served == 0


def test_a_step_that_was_skipped_is_told_and_the_next_one_goes_on() -> None:
    world = World(skipped=frozenset({2, 4}))
    controller = make_controller(rl_stage(), world, Saves())
    simulate(controller.run())
    told = [fields["step"] for kind, fields in world.events if kind == "skipped_step"]
    assert told == [2, 4]
    skipped = [record.metrics for record in world.records if record.metrics["learner/skipped"]]
    assert len(skipped) == 2
    assert all(math.isfinite(value) for metrics in skipped for value in metrics.values())


def test_three_skipped_steps_in_a_row_end_the_run_unsaved() -> None:
    world, saves = World(skipped=frozenset({1, 3, 4, 5})), Saves()
    with pytest.raises(FaultBudgetSpent, match="gradients of steps 3 to 5 were not finite"):
        simulate(make_controller(rl_stage(steps=6), world, saves).run())
    assert max(saves.states) == 4


def test_a_request_to_stop_is_served_after_the_step_that_is_under_way() -> None:
    saves, world = Saves(), World()

    async def save(stage: Progress) -> None:
        controller.stop_requested = stage.step == 3
        await saves(stage)

    controller = make_controller(rl_stage(max_staleness=1), world, save)
    with pytest.raises(Stopped, match="after step 3 of stage stage"):
        simulate(controller.run())
    assert list(saves.states) == [1, 2, 3]
    assert saves.states[3]["ledger"]["owed"], "groups are in flight at any step but the last"


def identity(request: RolloutRequest) -> tuple[Any, ...]:
    return request.task.id, request.seeds, request.thinking


@settings(max_examples=40)
@given(stage=stages(), seed=st.integers(0, 2**32), cut=st.integers(1, 7))
def test_a_resumed_run_asks_for_what_the_uninterrupted_one_does(
    stage: StageConfig, seed: int, cut: int
) -> None:
    stage = replace(stage, lookahead=1, steps=8)
    decide = heavy_tailed(seed, drop=0.3, fault=0.1, late=0.1)
    through, first_half, saves = World(decide), World(decide), Saves()
    simulate(make_controller(stage, through, Saves()).run())
    simulate(make_controller(stage, first_half, saves).run())
    again = World(decide)
    resumed = make_controller(stage, again, saves, state=saves.states[cut])
    simulate(resumed.run())

    assert again.trained == through.trained[saves.states[cut]["policy_version"] :]
    expected = {request.group_id: identity(request) for request in through.requests}
    asked = {request.group_id: identity(request) for request in again.requests}
    assert asked == {group: expected[group] for group in asked}
    owed = [entry[0] for entry in saves.states[cut]["ledger"]["owed"]]
    assert list(asked)[: len(owed)] == owed, "what was in flight is issued again, first"
    assert max(expected, default=0) == max([*asked, *owed], default=max(expected))
    assert [r.metrics["group/trained"] for r in again.records] == [
        r.metrics["group/trained"] for r in through.records[cut:]
    ]
    assert saves.states[8]["ledger"] == resumed.ledger.state()


def test_more_slots_or_a_wider_window_would_break_the_bound() -> None:
    """`capacity` is the largest number of slots that keeps the age within the limit."""
    for staleness in range(4):
        for batch in range(1, 6):
            for lookahead in range(1, batch * staleness + 2):
                stage = rl_stage(batch_size=batch, max_staleness=staleness, lookahead=lookahead)
                slots = capacity(stage)
                assert slots >= batch
                assert (slots + lookahead - 2) // batch == staleness
                assert (slots + lookahead - 1) // batch == staleness + 1


def test_a_stage_ends_when_its_tokens_are_spent() -> None:
    stage = rl_stage(steps=100, max_generated_tokens=100)  # 4 groups of 2 samples of 3 tokens
    world, saves = World(lambda request: Fate((0.0, 1.0))), Saves()
    controller = make_controller(stage, world, saves)
    simulate(controller.run())
    assert controller.ledger.generated_tokens == world.total("tokens/generated") == 120
    assert controller.step == 5
    assert controller.finished

    resumed = make_controller(stage, World(lambda request: GOOD), Saves(), state=saves.states[3])
    simulate(resumed.run())
    assert (resumed.step, resumed.ledger.generated_tokens) == (5, 120)
    again = make_controller(stage, World(lambda request: GOOD), Saves(), state=saves.states[5])
    simulate(again.run())
    assert again.step == 5, "a finished stage has nothing left to do"
