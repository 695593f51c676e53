"""Stand-ins for the collaborators of the loop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from configs.schema import StageConfig
from envs.types import Message, Task
from rl.controller import Controller, Parts, Progress
from rl.curriculum import Mixture, UniformCurriculum
from rl.ledger import Ledger
from rl.metrics import PublishReport
from rl.tracking import EvaluationRecord, StepRecord
from rl.types import Batch, StepResult
from rollout.types import Group, RolloutRequest, Score, Span, StopReason, Trajectory


class NumberedTasks:
    """A set of `size` tasks, "NAME/0", "NAME/1" and so on."""

    def __init__(self, size: int, name: str = "task", env: str = "fake") -> None:
        self.size, self.name, self.env = size, name, env
        self.fingerprint = f"{name}-{size}"

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Task:
        return replace(numbered_task(f"{self.name}/{index}"), env=self.env)


def numbered_task(task_id: str) -> Task:
    return Task(task_id, "fake", (Message("user", f"What is {task_id}?"),), "7")


def labelled_task(task_id: str, **labels: str) -> Task:
    return replace(numbered_task(task_id), labels=labels)


def trajectory(
    index: int = 0,
    reward: float | None = 0.0,
    version: int | None = 0,
    prompt: Sequence[int] = (1, 2),
    generated: Sequence[int] = (3, 4, 5),
    task: Task | None = None,
    **fields: Any,
) -> Trajectory:
    """A scored one-turn sample; `reward` None means that it has no verdict."""
    logprobs = -0.1 * np.arange(1, len(generated) + 1, dtype=np.float32)
    spans = (
        Span(np.array(prompt, np.int32)),
        Span(np.array(generated, np.int32), logprobs, version),
    )
    given = {"info": {"started": 0.0, "ended": 0.0}, "score": Score(reward), **fields}
    task = task or numbered_task("task/0")
    return Trajectory(task, index, spans, (), given.pop("stop_reason", StopReason.STOP), **given)


def scored_group(rewards: Sequence[float | None], version: int = 0, group_id: int = 0) -> Group:
    trajectories = [trajectory(i, reward, version) for i, reward in enumerate(rewards)]
    return Group(group_id, numbered_task("task/0"), tuple(trajectories))


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a request: when it is delivered, and with which rewards, or how it fails."""

    rewards: Sequence[float | None] = (0.0, 1.0)
    seconds: float = 1.0
    error: Exception | None = None
    answer_of: int | None = None  # delivers this group's id instead of the one asked for


GOOD = Fate((0.0, 1.0))
Decide = Callable[[RolloutRequest], Fate]


@dataclass(slots=True)
class World:
    """What the fakes share: the weights that are served, and everything that happened."""

    decide: Decide = lambda request: GOOD
    served: int = 0
    train_s: float = 1.0
    publish_s: float = 0.5
    requests: list[RolloutRequest] = field(default_factory=list)
    version_of: dict[int, int] = field(default_factory=dict)  # at the start of its generation
    trained: list[list[int]] = field(default_factory=list)  # group ids by step
    batches: list[Batch] = field(default_factory=list)
    ages: list[int] = field(default_factory=list)
    mismatch_kl: float = 0.0
    skipped: frozenset[int] = frozenset()  # steps whose gradient is not finite
    records: list[StepRecord] = field(default_factory=list)
    consumed: list[int] = field(default_factory=list)  # group ids, in the order they were judged
    evaluations: list[EvaluationRecord] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def parts(self) -> Parts:
        return Parts(
            rollouts=FakeRollouts(self),
            scorer=FakeScorer(),
            learner=FakeLearner(self),
            publisher=FakePublisher(self),
            tracker=FakeTracker(self),
        )

    def total(self, metric: str) -> float:
        return sum(record.metrics.get(metric, 0.0) for record in self.records)


@dataclass(slots=True)
class FakeRollouts:
    world: World

    async def run(self, request: RolloutRequest) -> Group:
        fate, version = self.world.decide(request), self.world.served
        self.world.requests.append(request)
        self.world.version_of[request.group_id] = version
        await asyncio.sleep(fate.seconds)
        if fate.error:
            raise fate.error
        group_id = request.group_id if fate.answer_of is None else fate.answer_of
        samples = [
            trajectory(i, None, version, (group_id,), task=request.task, info=sample_info(reward))
            for i, reward in enumerate(fate.rewards)
        ]
        return Group(group_id, request.task, tuple(samples), request.thinking, request.attempt)


def sample_info(reward: float | None) -> dict[str, Any]:
    return {"started": 0.0, "ended": 0.0, "reward": reward}


@dataclass(frozen=True, slots=True)
class FakeScorer:
    """Gives the reward that the fate of the request laid down."""

    async def score(self, group: Group) -> Group:
        await asyncio.sleep(0.1)
        scored = [replace(t, score=Score(t.info["reward"])) for t in group.trajectories]
        return replace(group, trajectories=tuple(scored))


@dataclass(slots=True)
class FakeLearner:
    world: World

    async def step(self, batch: Batch) -> StepResult:
        await asyncio.sleep(self.world.train_s)
        groups = list(dict.fromkeys(int(sample.token_ids[0]) for sample in batch.samples))
        self.world.trained.append(groups)
        self.world.batches.append(batch)
        skipped = len(self.world.trained) in self.world.skipped
        self.world.ages += [self.world.served - self.world.version_of.get(g, 0) for g in groups]
        return StepResult(
            loss=float("nan") if skipped else 0.0,
            grad_norm=float("inf") if skipped else 1.0,
            num_tokens=sum(int(sample.loss_mask.sum()) for sample in batch.samples),
            num_micro_batches=1,
            token_budget=1024,
            learning_rate=batch.learning_rate,
            metrics={"policy/mismatch_kl": self.world.mismatch_kl},
            seconds=self.world.train_s,
            skipped=int(skipped),
        )


@dataclass(slots=True)
class FakePublisher:
    world: World

    async def publish(self, policy_version: int) -> PublishReport:
        await asyncio.sleep(self.world.publish_s)
        self.world.served = policy_version
        return PublishReport(0.0, self.world.publish_s)


@dataclass(slots=True)
class FakeTracker:
    world: World

    def log_step(self, record: StepRecord) -> None:
        self.world.records.append(record)

    def log_trajectories(
        self, stage: str, step: int, groups: Iterable[Group], whole: bool = False
    ) -> None:
        self.world.consumed += [group.id for group in groups]

    def log_evaluation(self, record: EvaluationRecord) -> None:
        self.world.evaluations.append(record)

    def log_event(self, kind: str, **fields: Any) -> None:
        self.world.events.append((kind, fields))

    def state(self) -> dict[str, int]:
        return {}


@dataclass(slots=True)
class Saves:
    """The `save` of a stage: keeps every state, and asks the stage to stop after `stop_after`."""

    stop_after: int | None = None
    states: dict[int, dict[str, Any]] = field(default_factory=dict)

    async def __call__(self, stage: Progress) -> None:
        self.states[stage.step] = {
            "step": stage.step,
            "policy_version": stage.policy_version,
            "curriculum": stage.curriculum_state(),
            "label_weights": stage.label_state(),
            "ledger": stage.ledger_state(),
        }


def make_controller(
    stage: StageConfig,
    world: World,
    save: Callable[[Progress], Coroutine[Any, Any, None]],
    num_tasks: int = 50,
    state: dict[str, Any] | None = None,
    seed: int = 17,
    tasks: Mixture[Task] | None = None,
) -> Controller:
    """A controller over fakes; with `state` it resumes from there."""
    tasks = tasks or Mixture({"main": NumberedTasks(num_tasks)}, {"main": 1.0})
    curriculum = UniformCurriculum(tasks.sizes, tasks.weights, seed)
    controller = Controller("stage", stage, seed, tasks, curriculum, world.parts(), save)
    if state:
        controller.step, controller.policy_version = state["step"], state["policy_version"]
        curriculum.restore(state["curriculum"])
        controller.ledger = Ledger.restore(state["ledger"])
        world.served = controller.policy_version
    return controller


def heavy_tailed(seed: int, drop: float = 0.0, fault: float = 0.0, late: float = 0.0) -> Decide:
    """Random latencies with stragglers; some groups without a gradient, some with faults.

    The rewards depend on the samples' seeds only, so that a repeated request fares the same; the
    latency depends on the group too.
    """

    def decide(request: RolloutRequest) -> Fate:
        luck = random.Random(f"{seed}/{request.seeds[0]}")
        rewards: list[float | None] = [float(i % 2) for i in range(len(request.seeds))]
        if luck.random() < drop:
            rewards = [luck.choice([0.0, 0.5, 1.0])] * len(rewards)
        if luck.random() < fault:
            rewards = [None if luck.random() < 0.7 else reward for reward in rewards]
        clock = random.Random(f"{seed}/{request.group_id}/{request.attempt}")
        straggler = clock.random() < late
        return Fate(rewards, clock.lognormvariate(0, 1) * (100 if straggler else 1))

    return decide
