"""Supervised fine-tuning over fakes: batches, prefetch, stop and resume."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from configs.errors import DataError, Stopped
from configs.schema import StageConfig, StageKind
from envs.types import Demonstration
from rl.controller import Progress
from rl.curriculum import Mixture, UniformCurriculum
from rl.label_weights import LabelWeights
from rl.sft import SupervisedStage
from rollout.types import IntArray
from tests.fakes import FakeLearner, FakeTracker, Saves, World, numbered_task

CONFIG = StageConfig(kind=StageKind.SFT, steps=5, batch_size=3, warmup_steps=2, learning_rate=0.1)


class Demonstrations:
    """Demonstration i renders to the prompt [i] and i % 4 + 1 tokens to learn."""

    fingerprint = "demonstrations"

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Demonstration:
        weight = 0.5 if index % 2 else 1.0
        return Demonstration(numbered_task(str(index)), False, "", "reply", "straight", weight)


class Renderer:
    def render_demonstration(self, demo: Demonstration) -> list[IntArray]:
        index = int(demo.task.id)
        return [np.array([index], np.int32), np.arange(index % 4 + 1, dtype=np.int32)]


def make_stage(
    world: World, save: Any, max_length: int = 10, state: dict[str, Any] | None = None
) -> SupervisedStage:
    mixture = Mixture({"main": Demonstrations()}, {"main": 1.0})
    curriculum = UniformCurriculum(mixture.sizes, mixture.weights, seed=1)
    world.train_s = 0.02  # of real time: the next batch is drawn meanwhile
    stage = SupervisedStage(
        name="sft",
        stage=CONFIG,
        demonstrations=mixture,
        curriculum=curriculum,
        renderer=Renderer(),  # type: ignore[arg-type]
        learner=FakeLearner(world),
        tracker=FakeTracker(world),
        save=save,
        max_length=max_length,
    )
    if state:
        stage.step = state["step"]
        curriculum.restore(state["curriculum"])
    return stage


def shown(world: World) -> list[list[int]]:
    """Demonstrations by step."""
    return [[int(sample.token_ids[0]) for sample in batch.samples] for batch in world.batches]


def test_every_demonstration_comes_once_a_round_with_its_weight_and_rate() -> None:
    world = World()
    asyncio.run(make_stage(world, Saves()).run())
    assert [len(step) for step in shown(world)] == [3] * 5
    flat = [index for step in shown(world) for index in step]
    assert len(set(flat)) == 15
    for batch in world.batches:
        assert batch.algorithm is None
        for sample in batch.samples:
            weight = 0.5 if sample.token_ids[0] % 2 else 1.0
            assert set(sample.advantages[1:].tolist()) == {weight}
    assert [batch.learning_rate for batch in world.batches] == pytest.approx([0.05] + [0.1] * 4)
    assert [record.step for record in world.records] == [1, 2, 3, 4, 5]
    assert {record.kind for record in world.records} == {"sft"}
    assert world.total("tokens/trained") == sum(index % 4 + 1 for index in flat)


def test_the_weight_of_a_label_multiplies_that_of_a_demonstration() -> None:
    world, saves = World(), Saves()
    stage = make_stage(world, saves)
    stage.label_weights = LabelWeights({"": 1.0}, {})
    stage.label_weights.weights = {"": 3.0}  # the label of a task without labels
    asyncio.run(stage.run())
    for batch in world.batches:
        for sample in batch.samples:
            assert sample.advantages[-1] == (1.5 if sample.token_ids[0] % 2 else 3.0)
    assert world.records[0].metrics["label_weight/max"] == 3.0
    assert saves.states[1]["label_weights"] == stage.label_weights.state()


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_a_resumed_stage_sees_the_same_batches(cut: int) -> None:
    through, again, saves = World(), World(), Saves()
    asyncio.run(make_stage(through, saves).run())
    assert saves.states[cut]["curriculum"] == {"counts": [3 * cut]}, "the prefetched batch leaks"
    asyncio.run(make_stage(again, Saves(), state=saves.states[cut]).run())
    assert shown(again) == shown(through)[cut:]


def test_a_request_to_stop_is_served_with_everything_saved() -> None:
    world, saves = World(), Saves()

    async def save(progress: Progress) -> None:
        await saves(progress)
        stage.stop_requested = progress.step == 2

    stage = make_stage(world, save)
    with pytest.raises(Stopped, match="after step 2 of stage sft"):
        asyncio.run(stage.run())
    assert list(saves.states) == [1, 2]
    assert len(world.batches) == 2


def test_demonstrations_that_are_too_long_are_left_out_and_counted() -> None:
    world = World()
    asyncio.run(make_stage(world, Saves(), max_length=3).run())  # 1 + 3 and 1 + 4 do not fit
    assert all(index % 4 < 2 for step in shown(world) for index in step)
    assert world.records[-1].metrics["data/too_long"] > 0


def test_when_none_fits_the_run_ends_with_the_key_to_change() -> None:
    with pytest.raises(DataError, match=r"longer than model.max_length 1 tokens; raise it"):
        asyncio.run(make_stage(World(), Saves(), max_length=1).run())


def test_a_learner_that_fails_ends_the_stage() -> None:
    class Broken:
        async def step(self, batch: Any) -> Any:
            raise FloatingPointError("loss nan")

    stage = make_stage(World(), Saves())
    stage.learner = Broken()
    with pytest.raises(FloatingPointError, match="nan"):
        asyncio.run(stage.run())
