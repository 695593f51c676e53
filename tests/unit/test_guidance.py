"""What guides a stage: made from the configuration, followed by the loop, restored on resume."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.virtual_time import simulate
from configs.errors import ConfigError, DataError, FaultBudgetSpent
from configs.load import load
from configs.registry import CURRICULA
from configs.schema import LabelWeightMode, LabelWeightsConfig, RunConfig, StageConfig
from envs.types import Task
from launch.guidance import check_curriculum, load_guidance
from rl.checkpoint import RunState
from rl.controller import Controller
from rl.curriculum import Draw, Mixture, UniformCurriculum, make_curriculum
from rl.label_weights import LabelWeights
from rl.ledger import Ledger
from rl.pass_rate import Merged
from rl.profile import TaskProfile, write_profile
from rl.provenance import Fingerprints
from rollout.types import Group, RolloutRequest
from tests.fakes import Fate, Saves, World, labelled_task, make_controller

SCENES = ("banking", "funds")


class Tasks:
    """Tasks of two scenes in turn, of one kind."""

    fingerprint = "tasks"

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Task:
        return labelled_task(str(index), scene=SCENES[index % 2], task="change", level="1")


MIXTURE = Mixture({"main": Tasks()}, {"main": 1.0})


class Plain(UniformCurriculum):
    """A curriculum of one's own that knows nothing of labels or profiles."""

    def __init__(self, tasks: Mixture[Task], seed: int, batch_size: int, twist: int = 0) -> None:
        if twist > 3:
            raise ValueError(f"twist must be at most 3, is {twist}")
        super().__init__(tasks.sizes, tasks.weights, seed)


class Knowing(Plain):
    """One that counts what it is told: it measures labels by the share of observed groups."""

    def __init__(self, tasks: Mixture[Task], seed: int, batch_size: int) -> None:
        super().__init__(tasks, seed, batch_size)
        self.observed = [0, 0]
        self.weights: list[dict[str, float]] = []
        self.told: Any = None

    def observe(self, draw: Draw, group: Group) -> None:
        self.observed[draw.index % 2] += 1

    def label_pass_at_10(self) -> dict[str, float]:
        """The more it is seen, the better it is."""
        return {
            f"{scene}/change/1": n / (n + 1) for scene, n in zip(SCENES, self.observed, strict=True)
        }

    def set_label_weights(self, weights: Mapping[str, float]) -> None:
        self.weights.append(dict(weights))

    def state(self) -> dict[str, Any]:
        return {**super().state(), "observed": list(self.observed)}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.observed = list(state["observed"])

    def merge(self, state: Mapping[str, Any]) -> dict[str, Merged]:
        self.told = state
        return {"main": Merged(20, 0, 1)}

    def seed(
        self, ids: Sequence[str], samples: Sequence[int], correct: Sequence[int]
    ) -> dict[str, Merged]:
        self.told = list(zip(ids, samples, correct, strict=True))
        return {"main": Merged(len(ids), 20 - len(ids), 0)}


HERE = "tests.unit.test_guidance"


def config(*overrides: str) -> RunConfig:
    """The quickstart, with the schema's default for its curriculum unless `overrides` name one."""
    return load("quickstart", [f"{CURRICULUM}.name=uniform", *overrides]).config


def profile(path: Path) -> Path:
    rows = [TaskProfile(str(i), "main", Tasks()[i].labels, 10, i, 0, 30, 1.0) for i in range(2)]
    write_profile(path, rows, {"model": "strong"})
    return path


def refused(*overrides: str) -> str:
    with pytest.raises(ConfigError) as raised:
        load_guidance(config(*overrides), "reasoning", MIXTURE)
    message = str(raised.value)
    assert "\n" not in message
    return message


CURRICULUM = "stages.reasoning.curriculum"
LABELS = "stages.reasoning.label_weights"


def test_the_default_is_uniform_without_weights() -> None:
    guidance = load_guidance(config(), "reasoning", MIXTURE)
    assert isinstance(guidance.curriculum, UniformCurriculum)
    assert (guidance.label_weights, guidance.seeded) == (None, "")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([f"{CURRICULUM}.name=unifrom"], "did you mean 'uniform'?"),
        ([f"{CURRICULUM}.args={{promote: 0.9}}"], "unknown keyword 'promote'; valid are none"),
        (
            [f"{CURRICULUM}.name=pass_rate", f"{CURRICULUM}.args={{promte: 0.9}}"],
            "did you mean 'promote'?",
        ),
        ([f"{CURRICULUM}.name={HERE}:Plain", f"{CURRICULUM}.args={{twist: 4}}"], "at most 3, is 4"),
        ([f"{CURRICULUM}.seed_from=nowhere.parquet"], "only the curriculum pass_rate"),
        (
            [f"{CURRICULUM}.name=pass_rate", f"{CURRICULUM}.seed_from=nowhere.parquet"],
            "no profile or run 'nowhere.parquet'",
        ),
        ([f"{CURRICULUM}.name={HERE}:Plain", f"{CURRICULUM}.seed_from=."], "only the curriculum"),
        ([f"{CURRICULUM}.name={HERE}:Knowing", f"{CURRICULUM}.seed_from=tests"], "no checkpoint"),
        ([f"{LABELS}.mode=sampling"], "draws by no weights; set stages.reasoning.curriculum.name="),
        ([f"{LABELS}.mode=loss"], "is one of off, advantage, sampling in rl stages"),
        (["stages.sft.label_weights.mode=sampling"], "is one of off, loss in sft stages"),
        (["stages.sft.curriculum.name=pass_rate"], "an sft stage draws uniformly"),
        ([f"{LABELS}.mode=advantage", f"{LABELS}.args={{alfa: 1}}"], "did you mean 'alpha'?"),
        ([f"{LABELS}.mode=advantage", f"{LABELS}.args={{floor: 2}}"], "under 1, is 2"),
        ([f"{LABELS}.mode=advantage", f"{LABELS}.args={{reference: 0.9}}"], "path of a profile"),
        ([f"{LABELS}.mode=advantage", f"{LABELS}.args={{reference: no}}"], "no profile 'no'"),
        ([f"{LABELS}.mode=advantage", f"{LABELS}.args={{alpha: much}}"], "'much'"),
        (["stages.reasoning.constant_tolerance=-1"], "constant_tolerance: must be at least 0"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(overrides: list[str], said: str) -> None:
    assert said in refused(*overrides)


def test_a_profile_seeds_a_curriculum_and_is_a_reference(tmp_path: Path) -> None:
    file = profile(tmp_path / "profile.parquet")
    known = config(
        f"{CURRICULUM}.name={HERE}:Knowing",
        f"{CURRICULUM}.seed_from={file}",
        f"{LABELS}.mode=advantage",
        f"{LABELS}.args={{reference: {file}, alpha: 0, gamma: 1, floor: 0.1}}",
    )
    guidance = load_guidance(known, "reasoning", MIXTURE)
    assert isinstance(guidance.curriculum, Knowing)
    assert guidance.curriculum.told == [("0", 10, 0), ("1", 10, 1)]
    assert guidance.seeded == f"seeded from {file}; main: 2 tasks known, 18 new, 0 gone"
    assert guidance.label_weights
    guidance.label_weights.update({"banking/change": 0.5, "funds/change": 0.5})
    # Behind the reference by 0.5 in funds: pass@10 with one right answer of ten is 1.
    assert guidance.label_weights.weights == pytest.approx(
        {"banking/change": 1 / 1.25, "funds/change": 1.5 / 1.25}
    )


def test_what_is_no_profile_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_text("nothing")
    wrong = config(
        f"{CURRICULUM}.name={HERE}:Knowing", f"{CURRICULUM}.seed_from={tmp_path / 'p.parquet'}"
    )
    with pytest.raises(DataError, match=r"p\.parquet"):
        load_guidance(wrong, "reasoning", MIXTURE)


def test_the_state_of_another_curriculum_is_not_continued() -> None:
    prints = Fingerprints({}, "", "", 1, 0, "float32")
    text = "stages: {reasoning: {curriculum: {name: pass_rate}}}\n"
    state = RunState("reasoning", 3, 3, {}, {}, {}, {}, prints, text, "", {})
    check_curriculum(config(f"{CURRICULUM}.name=pass_rate"), state)
    with pytest.raises(ConfigError, match="drew its tasks by the curriculum 'pass_rate'"):
        check_curriculum(config(), state)
    check_curriculum(config(), replace(state, config="stages: {reasoning: {steps: 3}}\n"))


# The loop


def guided(
    mode: LabelWeightMode, world: World, saves: Saves, state: dict[str, Any] | None = None
) -> Controller:
    """Six steps over two scenes, by a curriculum that measures and favours labels."""
    stage = StageConfig(
        steps=6, batch_size=4, group_size=2, label_weights=LabelWeightsConfig(mode=mode)
    )
    controller = make_controller(stage, world, saves)
    controller.tasks, controller.curriculum = MIXTURE, Knowing(MIXTURE, 3, 4)
    controller.label_weights = LabelWeights({"banking/change": 0.5, "funds/change": 0.5}, {})
    controller.label_weights.update({"banking/change": 0.9, "funds/change": 0.1})
    if state:
        controller.step, controller.policy_version = state["step"], state["policy_version"]
        controller.curriculum.restore(state["curriculum"])
        controller.label_weights.restore(state["label_weights"])
        world.served = controller.policy_version
    return controller


def scales(world: World) -> list[list[float]]:
    """The largest advantage of each group, by step."""
    return [
        [float(np.abs(batch.samples[i].advantages).max()) for i in range(0, len(batch.samples), 2)]
        for batch in world.batches
    ]


def test_advantages_are_multiplied_by_the_weight_of_their_label() -> None:
    plain, weighed = World(), World()
    simulate(guided(LabelWeightMode.OFF, plain, Saves()).run())
    controller = guided(LabelWeightMode.ADVANTAGE, weighed, saves := Saves())
    simulate(controller.run())
    assert {value for step in scales(plain) for value in step} == {1.0}
    order = [request.task.labels["scene"] for request in weighed.requests]
    weights = LabelWeights({"banking/change": 0.5, "funds/change": 0.5}, {})
    for step, values in enumerate(scales(weighed)):
        weights.restore(saves.states[step + 1]["label_weights"])
        expected = [weights.weights[f"{scene}/change"] for scene in order[4 * step : 4 * step + 4]]
        assert values == pytest.approx(expected)
    assert isinstance(controller.curriculum, Knowing)
    assert not controller.curriculum.weights, "draws are not weighted too"
    assert weighed.records[0].metrics["label_weight/max"] > 1


def test_draws_are_weighted_from_the_first_one_on_and_follow_what_is_measured() -> None:
    world = World()
    controller = guided(LabelWeightMode.SAMPLING, world, Saves())
    assert controller.label_weights
    at_first = dict(controller.label_weights.weights)
    simulate(controller.run())
    assert isinstance(controller.curriculum, Knowing)
    given = controller.curriculum.weights
    assert len(given) == 6
    assert given[0] == at_first
    assert given[1] != at_first
    assert {value for step in scales(world) for value in step} == {1.0}


@pytest.mark.parametrize("mode", [LabelWeightMode.ADVANTAGE, LabelWeightMode.SAMPLING])
def test_a_resumed_stage_goes_on_with_the_same_weights(mode: LabelWeightMode) -> None:
    through, again, saves, later = World(), World(), Saves(), Saves()
    first = guided(mode, through, saves)
    simulate(first.run())
    resumed = guided(mode, again, later, saves.states[3])
    simulate(resumed.run())
    assert scales(again) == scales(through)[3:]
    for step in (4, 5, 6):
        for part in ("label_weights", "curriculum"):
            assert later.states[step][part] == saves.states[step][part]
    assert isinstance(first.curriculum, Knowing)
    assert isinstance(resumed.curriculum, Knowing)
    assert resumed.curriculum.weights == first.curriculum.weights[3:]


# Every built-in curriculum in the loop


def curriculum_run(
    name: str, stage: StageConfig, world: World, saves: Saves, state: dict[str, Any] | None = None
) -> Controller:
    """A controller whose tasks are drawn by a built-in curriculum; with `state` it resumes."""
    controller = make_controller(stage, world, saves, num_tasks=NUM_TASKS)
    batch = stage.batch_size
    controller.curriculum = make_curriculum(name, {}, controller.tasks, 5, batch, "curriculum")
    if state:
        controller.step, controller.policy_version = state["step"], state["policy_version"]
        controller.curriculum.restore(state["curriculum"])
        controller.ledger = Ledger.restore(state["ledger"])
        world.served = controller.policy_version
    return controller


NUM_TASKS = 12


def fate(request: RolloutRequest) -> Fate:
    """A third of the tasks is easy, a third hopeless, and the rest may go either way."""
    number = int(request.task.id.rpartition("/")[2])
    chance = (1.0, 0.0, 0.5)[number % 3]
    return Fate([float(random.Random(seed).random() < chance) for seed in request.seeds])


@pytest.mark.parametrize("name", CURRICULA)
@pytest.mark.parametrize("cut", [1, 4, 7])
@pytest.mark.parametrize("staleness", [0, 1])
def test_a_resumed_stage_draws_the_same_tasks(name: str, cut: int, staleness: int) -> None:
    stage = StageConfig(
        steps=10, batch_size=4, group_size=4, max_staleness=staleness, max_empty_steps=100
    )
    through, again, saves, later = World(fate), World(fate), Saves(), Saves()
    simulate(curriculum_run(name, stage, through, saves).run())
    simulate(curriculum_run(name, stage, again, later, saves.states[cut]).run())
    expected = {r.group_id: (r.task.id, r.seeds) for r in through.requests}
    asked = {r.group_id: (r.task.id, r.seeds) for r in again.requests}
    assert asked == {group: expected[group] for group in asked}
    assert again.trained == through.trained[saves.states[cut]["policy_version"] :]
    if staleness == 0:  # what was in flight is generated again, by newer weights
        for step in range(cut + 1, 11):
            np.testing.assert_equal(later.states[step], saves.states[step])


@pytest.mark.parametrize("name", CURRICULA)
@pytest.mark.parametrize(("reward", "advice"), [(1.0, "mastered"), (0.0, "out of reach")])
def test_tasks_that_teach_nothing_end_the_run_with_the_cause(
    name: str, reward: float, advice: str
) -> None:
    stage = StageConfig(steps=50, batch_size=16, group_size=4, max_empty_steps=5)
    world = World(lambda request: Fate([reward] * 4))
    with pytest.raises(FaultBudgetSpent, match=rf"5 steps in a row had no group .*{advice}"):
        simulate(curriculum_run(name, stage, world, Saves()).run())
    assert len({request.task.id for request in world.requests}) == NUM_TASKS


@pytest.mark.parametrize("name", CURRICULA)
def test_a_set_smaller_than_a_batch_fills_it_with_different_samples(name: str) -> None:
    stage = StageConfig(steps=3, batch_size=2 * NUM_TASKS, group_size=4)
    world = World()
    simulate(curriculum_run(name, stage, world, Saves()).run())
    assert [len(groups) for groups in world.trained] == [2 * NUM_TASKS] * 3
    asked = [(request.task.id, request.seeds) for request in world.requests]
    assert len(set(asked)) == len(asked) == 3 * 2 * NUM_TASKS


@pytest.mark.parametrize("name", CURRICULA)
def test_every_curriculum_reports_under_its_own_area(name: str) -> None:
    world = World(fate)
    stage = StageConfig(steps=2, batch_size=4, group_size=4)
    controller = curriculum_run(name, stage, world, Saves())
    simulate(controller.run())
    named = controller.curriculum.metrics()
    assert all(metric.startswith("curriculum/") for metric in named)
    assert named.keys() <= world.records[-1].metrics.keys()
