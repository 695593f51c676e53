"""The loop: admit, roll out, score, prune, train, publish. It moves records and holds no model.

Synchronous training is this loop with `max_staleness` 0. Capacity bounds staleness: with P groups a
step, B slots and a look-ahead window of W groups, no trained group is older than
(B + W - 2) // P versions, because at most B - 1 groups are ahead of it when it is admitted and at
most W - 1 overtake it. `capacity` picks the largest B that keeps this within the limit.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from configs.errors import FaultBudgetSpent, Stopped
from configs.schema import LabelWeightMode, StageConfig
from envs.types import Task
from rl.batching import rl_batch
from rl.curriculum import Curriculum, Mixture
from rl.evaluate import GroupLost, Rollouts, Scorer
from rl.label_weights import LabelAware, LabelWeights
from rl.ledger import Entry, Ledger
from rl.metrics import PublishReport, StepTimes, rl_metrics
from rl.pruning import ADVICE, Judged, judge_group
from rl.seeds import is_thinking, sample_seeds
from rl.skips import SkippedSteps
from rl.tracking import StepRecord, Tracker
from rl.types import Batch, StepResult
from rl.verdicts import ALARMS, VerdictWatch
from rollout.types import Group, RolloutRequest, Sampling


class LearnerGroup(Protocol):
    """All learner ranks as one."""

    async def step(self, batch: Batch) -> StepResult: ...


class Publisher(Protocol):
    """Puts the learner's weights into every engine and verifies that they arrived."""

    async def publish(self, policy_version: int) -> PublishReport: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The collaborators of the loop: Ray-backed, in-process or fake."""

    rollouts: Rollouts
    scorer: Scorer
    learner: LearnerGroup
    publisher: Publisher
    tracker: Tracker


class Progress(Protocol):
    """What a stage hands to be saved: enough to continue exactly after its last finished step."""

    @property
    def name(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def policy_version(self) -> int: ...
    @property
    def finished(self) -> bool: ...
    def curriculum_state(self) -> dict[str, Any]: ...
    def label_state(self) -> dict[str, Any]: ...
    def ledger_state(self) -> dict[str, Any]: ...


Save = Callable[["Progress"], Awaitable[None]]
"""Saves where a stage is if a checkpoint is due or the stage was asked to stop."""


def capacity(stage: StageConfig) -> int:
    """Slots: the most groups that may be under way or trained but not yet served."""
    slots = (stage.max_staleness + 1) * stage.batch_size - stage.lookahead + 1
    assert slots >= stage.batch_size, "the configuration keeps lookahead small enough"
    return slots


def is_finished(stage: StageConfig, step: int, generated_tokens: int) -> bool:
    """Whether a stage has made its steps, or spent the tokens it may generate."""
    limit = stage.max_generated_tokens
    return step >= stage.steps or bool(limit and generated_tokens >= limit)


@dataclass(slots=True)
class Controller:
    """One RL stage. `step`, `policy_version`, `ledger`, `curriculum` and `label_weights` are what
    resume restores.

    `save` is called after every step and decides whether a checkpoint is due; `stop_requested` is
    looked at between steps. A controller runs once.
    """

    name: str
    stage: StageConfig
    seed: int
    tasks: Mixture[Task]
    curriculum: Curriculum
    parts: Parts
    save: Save
    label_weights: LabelWeights | None = None
    ledger: Ledger = field(default_factory=Ledger)
    step: int = 0
    policy_version: int = 0
    stop_requested: bool = False
    max_mismatch_kl: float = float("inf")
    max_no_verdict: float = 1.0
    verdicts: VerdictWatch = field(init=False)
    calibration: dict[str, float] = field(default_factory=dict)
    """What is known of the judge, for the metrics of each step."""
    _rollouts: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)
    _finished: dict[int, Group] = field(default_factory=dict)
    _arrival: asyncio.Event = field(default_factory=asyncio.Event)
    _empty_steps: int = 0
    _skipped: SkippedSteps = field(init=False)

    def __post_init__(self) -> None:
        self._skipped = SkippedSteps(self.name)
        self.verdicts = VerdictWatch(self.max_no_verdict, self.stage.max_empty_steps)

    async def run(self) -> None:
        """Train until the stage's last step. A rollout that fails ends the stage at once.

        Raises:
            FaultBudgetSpent: too many steps in a row found no valid group, too many samples have no
                verdict, or engine and learner disagree; the message names the cause.
            Stopped: a stop was requested and the state is saved.
        """
        try:
            async with self._rollouts:
                for entry in self.ledger.owed:  # what a resumed run still owes
                    self._dispatch(entry)
                while not self.finished:
                    await self._one_step()
                    if self.stop_requested:
                        where = f"step {self.step} of stage {self.name}"
                        raise Stopped(f"stopped after {where}; continue with --resume")
        except BaseExceptionGroup as errors:
            first = errors.exceptions[0]
            raise first from first.__cause__

    @property
    def finished(self) -> bool:
        return is_finished(self.stage, self.step, self.ledger.generated_tokens)

    def curriculum_state(self) -> dict[str, Any]:
        return self.curriculum.state()

    def label_state(self) -> dict[str, Any]:
        return self.label_weights.state() if self.label_weights else {}

    def ledger_state(self) -> dict[str, Any]:
        return self.ledger.state()

    async def _one_step(self) -> None:
        times, version = StepTimes.begin(), self.policy_version
        dispatched, duplicates = self.ledger.dispatched, self.ledger.duplicates
        judged = await self._collect()
        times.collected()
        self.verdicts.check([item.group for item in judged])
        self._measure_labels()
        groups = [item.group for item in judged if not item.reason]
        self._check_size(len(groups), Counter(item.reason for item in judged if item.reason))
        batch, result, published, skipped = None, None, None, False
        if groups:
            batch = rl_batch(groups, self.stage, self.step, self._weigh)
            result = await self.parts.learner.step(batch)
            times.trained()
            skipped = self._skipped.observe(self.step + 1, result, self.parts.tracker)
            self._check_mismatch(result)
            self.policy_version += 1
            published = await self.parts.publisher.publish(self.policy_version)
            self.ledger.release()
        self.ledger.check_balance()
        self.step += 1
        metrics = rl_metrics(self.stage, judged, batch, result, published, times, version)
        metrics |= self.curriculum.metrics() | self._label_metrics() | self.calibration
        metrics["group/dispatched"] = float(self.ledger.dispatched - dispatched)
        metrics["group/owed"] = float(self.ledger.num_owed)
        metrics["group/duplicates"] = float(self.ledger.duplicates - duplicates)
        record = StepRecord(
            self.name, "rl", self.step, self.stage.steps, self.policy_version, metrics
        )
        self.parts.tracker.log_step(record)
        for alarm in self.verdicts.alarms(metrics):
            self.parts.tracker.log_event(
                "alarm", stage=self.name, step=self.step, metric=alarm.metric, value=alarm.value,
                baseline=alarm.baseline, advice=ALARMS[alarm.metric],
            )  # fmt: skip
        shown = [item.group for item in judged]
        self.parts.tracker.log_trajectories(self.name, self.step, shown, whole=skipped)
        await self.save(self)

    async def _collect(self) -> list[Judged]:
        """Judged groups in order of admission until a batch is full, or the refill budget is spent
        and nothing is under way."""
        judged: list[Judged] = []
        kept, budget = 0, self.stage.refill_budget * self.stage.batch_size
        self._favour_labels()
        self._admit()
        while kept < self.stage.batch_size and self.ledger.num_owed:
            entry, group = await self._next_group()
            self.curriculum.observe(entry.draw, group)
            judged.append(judge_group(group, self.policy_version, self.stage))
            self.ledger.generated_tokens += group.num_generated
            if not judged[-1].reason:
                self.ledger.train(group.id)
                kept += 1
                continue
            self.ledger.drop(group.id, judged[-1].reason)
            if len(judged) - kept <= budget:
                self._admit()
        return judged

    # Labels

    def _favour_labels(self) -> None:
        """Draw by the present weights; the first time at the begin of a stage or of its resume."""
        if self.label_weights and self.stage.label_weights.mode is LabelWeightMode.SAMPLING:
            assert isinstance(self.curriculum, LabelAware), "checked when the curriculum was made"
            self.curriculum.set_label_weights(self.label_weights.weights)

    def _measure_labels(self) -> None:
        if self.label_weights and isinstance(self.curriculum, LabelAware):
            self.label_weights.update(self.curriculum.label_pass_at_10())

    def _weigh(self, task: Task) -> float:
        """What a task's advantages are multiplied by."""
        if self.label_weights and self.stage.label_weights.mode is LabelWeightMode.ADVANTAGE:
            return self.label_weights.of(task)
        return 1.0

    def _label_metrics(self) -> dict[str, float]:
        return self.label_weights.metrics() if self.label_weights else {}

    # Groups

    def _admit(self) -> None:
        """Fill the free slots with new tasks, but with no more than the stage can still train."""
        to_train = (self.stage.steps - self.step) * self.stage.batch_size
        while self.ledger.slots_taken < min(capacity(self.stage), to_train):
            self._dispatch(self.ledger.open(self.curriculum.next(), self.policy_version))

    def _dispatch(self, entry: Entry) -> None:
        self._rollouts.create_task(self._produce(entry))

    async def _produce(self, entry: Entry) -> None:
        """Have a group played and scored. Where it is lost, or another comes in its place, it is
        asked for again, and what comes late is counted, not trained."""
        while (group := await self._played(entry)) is None:
            entry = self.ledger.reissue(entry)
        self._finished[entry.group_id] = await self.parts.scorer.score(group)
        self._arrival.set()

    async def _played(self, entry: Entry) -> Group | None:
        try:
            group = await self.parts.rollouts.run(self._request(entry))
        except GroupLost:
            return None
        return group if self.ledger.accepts(entry, group) else None

    def _request(self, entry: Entry) -> RolloutRequest:
        task, visit = self.tasks[entry.draw.index], entry.draw.visit
        return RolloutRequest(
            group_id=entry.group_id,
            task=task,
            seeds=sample_seeds(self.seed, task.id, visit, self.stage.group_size),
            thinking=is_thinking(self.seed, task.id, visit, self.stage.thinking_share),
            sampling=Sampling(self.stage.temperature, self.stage.max_tokens),
            max_turns=self.stage.max_turns,
            attempt=entry.attempt,
        )

    async def _next_group(self) -> tuple[Entry, Group]:
        """The oldest finished group of the window, waiting for one if need be."""
        while True:
            for entry in self.ledger.window(self.stage.lookahead):
                if entry.group_id in self._finished:
                    return entry, self._finished.pop(entry.group_id)
            self._arrival.clear()
            await self._arrival.wait()

    def _check_size(self, num_groups: int, dropped: Counter[str]) -> None:
        """Say when the batch is short, and stop when there was none for too long."""
        self._empty_steps = 0 if num_groups else self._empty_steps + 1
        causes = ", ".join(f"{n} {reason}" for reason, n in dropped.most_common())
        advice = ADVICE[dropped.most_common(1)[0][0]] if dropped else ""
        if self._empty_steps >= self.stage.max_empty_steps:
            raise FaultBudgetSpent(
                f"stage {self.name}: {self._empty_steps} steps in a row had no group to learn from "
                f"(last one: {causes or 'no group at all'}); {advice}"
            )
        if num_groups < self.stage.batch_size:
            self.parts.tracker.log_event(
                "short_batch",
                stage=self.name,
                step=self.step + 1,
                groups=num_groups,
                wanted=self.stage.batch_size,
                dropped=causes,
                advice=advice,
            )

    def _check_mismatch(self, result: StepResult) -> None:
        mismatch = result.metrics["policy/mismatch_kl"]
        if not mismatch <= self.max_mismatch_kl:  # so written that a NaN is refused too
            raise FaultBudgetSpent(
                f"stage {self.name}, step {self.step + 1}: engine and learner disagree, mean KL "
                f"{mismatch:.2g} over publish.max_mismatch_kl {self.max_mismatch_kl:g}; "
                "the weights were not published"
            )
