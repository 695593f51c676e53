"""A whole RL stage with real Ray actors over stub engines, disturbed, and what must hold after it.

The driver's side is the product's own: pools, fleets, controller, ledger, publisher, tracker. The
learner is a number.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray

from configs.schema import (
    DeadlinesConfig,
    FleetConfig,
    HostsConfig,
    RewardConfig,
    RolloutConfig,
    RunConfig,
    StageConfig,
)
from envs.types import Task
from launch import cluster
from launch.cluster import RayFleets, start_rewards, start_rollouts, stop_engines
from launch.gauges import RayGauges
from launch.memory import RUN_ID_VARIABLE
from launch.models import Models
from launch.pool import Pool
from launch.workers import Member
from rl.controller import Controller, Parts, Progress
from rl.curriculum import Mixture
from rl.jsonl import read_log
from rl.ledger import Ledger
from rl.publish import SharedMemoryTransfer, WeightPublisher
from rl.tracking import FileTracker
from rl.types import Batch, StepResult
from rl.verdicts import VerdictWatch
from rollout.types import FloatArray, IntArray
from tests.fakes import NumberedTasks, Saves, make_controller
from tests.faults.stubs import TROUBLE, StubRenderer, StubRolloutActor, stub_logprobs

LIMIT_S = 300.0
"""Longest time of a trial: every wait in it is bounded."""

GONE_S = 180.0

PROBES = [np.arange(n, dtype=np.int32) for n in (4, 7)]

BEGINNING: dict[str, Any] = {"step": 0, "policy_version": 0, "ledger": Ledger().state()}
"""The state of a stage that has made no step."""

Disturb = Callable[["Trial"], Awaitable[None]]


@dataclass
class Learner:
    """Its weights are the number of steps it has made. A test may hold it before a step."""

    weights: float = 0.0
    step_s: float = 0.05
    batches: list[list[list[int]]] = field(default_factory=list)
    may_step: asyncio.Event = field(default_factory=asyncio.Event)
    waits: bool = False
    skips: frozenset[int] = frozenset()
    """Calls in which the gradient is not finite: the weights stay as they are."""

    async def step(self, batch: Batch) -> StepResult:
        self.waits = True
        await self.may_step.wait()
        self.waits = False
        await asyncio.sleep(self.step_s)
        skipped = len(self.batches) in self.skips
        self.weights += not skipped
        self.batches.append([sample.token_ids.tolist() for sample in batch.samples])
        return StepResult(
            loss=0.0, grad_norm=float("inf") if skipped else 1.0, num_tokens=1,
            num_micro_batches=1, token_budget=1, learning_rate=batch.learning_rate,
            metrics={"policy/mismatch_kl": 0.0}, skipped=int(skipped),
        )  # fmt: skip

    async def write_weights(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        (directory / "weights").write_text(str(self.weights))

    async def logprobs(self, sequences: Any) -> list[FloatArray]:
        values: list[IntArray] = list(sequences)
        return stub_logprobs(values, self.weights)


def mixed(*sets: NumberedTasks) -> Mixture[Task]:
    """Sets of tasks in equal shares."""
    return Mixture({tasks.name: tasks for tasks in sets}, {tasks.name: 1.0 for tasks in sets})


@dataclass(frozen=True)
class Attempt:
    """What a stage is played on: its tasks, who saves it, and the state that it resumes from."""

    tasks: Mixture[Task] = field(default_factory=lambda: mixed(NumberedTasks(50)))
    save: Callable[[Progress], Coroutine[Any, Any, None]] = field(default_factory=Saves)
    state: dict[str, Any] | None = None


@dataclass
class Trial:
    """One stage under way, or done."""

    folder: Path
    config: RunConfig
    controller: Controller
    fleets: RayFleets
    learner: Learner
    publisher: WeightPublisher
    attempt: Attempt
    seconds: float = 0.0
    trained: list[tuple[int, str, int]] = field(default_factory=list)

    @property
    def pool(self) -> Pool:
        return self.fleets.rollouts.pool

    @property
    def rewards(self) -> Pool:
        return self.fleets.rewards.pool

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [e for e in read_log(self.folder / "events.jsonl") if e["kind"] == kind]

    def steps(self) -> list[dict[str, Any]]:
        return read_log(self.folder / "metrics.jsonl")

    async def until(self, reached: Callable[[], Any], what: str, seconds: float = 200) -> None:
        """Wait for an observed state."""
        deadline = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < deadline, f"never {what}: {self.pool.summary()}"
            await asyncio.sleep(0.005)


def pid(member: Member) -> int:
    return int(member.place.pid)


def kill(member: Member, number: int = signal.SIGKILL) -> None:
    os.kill(pid(member), number)


def trial_config(**fields: Any) -> RunConfig:
    """Quick deadlines; `fields` are those of the stage, or whole sections."""
    sections: dict[str, Any] = {
        "rollout": RolloutConfig(workers=fields.pop("workers", 2)),
        "reward": RewardConfig(workers=1, verifier="tests.faults.stubs:Parity"),
        "fleet": FleetConfig(probe_every_s=1.0),
        "hosts": HostsConfig(),
        "deadlines": DeadlinesConfig(0.5, 2.0, 20.0, 30.0, 60.0, 120.0),
    }
    sections |= {name: fields.pop(name) for name in list(fields) if name in sections}
    stage = StageConfig(
        **{"steps": 5, "batch_size": 8, "group_size": 4, "max_tokens": 24, "max_staleness": 1,
           "keep_zero_variance": True, **fields}
    )  # fmt: skip
    return RunConfig(name="trial", stages={"stage": stage}, **sections)


def play(
    folder: Path,
    disturb: Disturb | None = None,
    trouble: dict[str, dict[str, Any]] | None = None,
    limit_s: float = LIMIT_S,
    attempt: Attempt | None = None,
    **config: Any,
) -> Trial:
    """Play a stage, with `disturb` beside it, and check the invariants; what it raises comes."""
    attempt, made = attempt or Attempt(), trial_config(**config)
    return asyncio.run(_play(folder, disturb, trouble or {}, limit_s, made, attempt))


async def _play(
    folder: Path,
    disturb: Disturb | None,
    trouble: dict[str, Any],
    limit_s: float,
    config: RunConfig,
    attempt: Attempt,
) -> Trial:
    model, weights = folder / "model", folder / "weights"
    weights.mkdir(parents=True)
    model.mkdir()
    (model / TROUBLE).write_text(json.dumps(trouble))
    models = Models(model, model, StubRenderer(), "stub")  # type: ignore[arg-type]
    run_id = f"trial-{time.time_ns():x}"
    before = ray.available_resources()
    tracker = FileTracker(folder, trajectories_per_step=1000)
    try:
        async with asyncio.timeout(limit_s):
            trial = await _run(
                folder, weights, disturb, config, models, run_id, tracker, time.monotonic(), attempt
            )
    finally:
        tracker.close()
        await _nothing_is_left(run_id, before)
    check_invariants(trial)
    assert trial.seconds < limit_s, "I7: every wait was bounded"
    return trial


async def _run(
    folder: Path,
    weights: Path,
    disturb: Disturb | None,
    config: RunConfig,
    models: Models,
    run_id: str,
    tracker: FileTracker,
    started: float,
    attempt: Attempt,
) -> Trial:
    version = (attempt.state or BEGINNING)["policy_version"]
    logs, learner = folder / "logs", Learner(weights=version)
    learner.may_step.set()
    report = tracker.log_event
    rollouts = await start_rollouts(config, models, logs, run_id, report, serving=False)
    rewards = await start_rewards(config, logs, run_id, report)
    gauges = RayGauges(config.name)
    fleets = RayFleets(config, rollouts, rewards, learner, logs, run_id, report, gauges, None)  # type: ignore[arg-type]
    transfer = SharedMemoryTransfer(weights)
    publisher = WeightPublisher(fleets.engines, lambda: learner, transfer, PROBES, 1e-4)
    stage, world = config.stages["stage"], _NoWorld()
    controller = make_controller(
        stage, world, attempt.save, state=attempt.state, tasks=attempt.tasks  # type: ignore[arg-type]
    )  # fmt: skip
    controller.verdicts = VerdictWatch(config.reward.max_no_verdict, stage.max_empty_steps)
    controller.parts = Parts(rollouts, rewards, learner, publisher, tracker)
    fleets.attach(publisher.join, lambda answer: controller.ledger.late())
    trial = Trial(folder, config, controller, fleets, learner, publisher, attempt)
    try:
        with _training_watched(trial):
            await publisher.publish(version)
            async with asyncio.TaskGroup() as both:  # what fails first ends the other, too
                both.create_task(controller.run())
                if disturb is not None:
                    both.create_task(_done(disturb(trial)))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        trial.seconds = time.monotonic() - started
        await asyncio.gather(stop_engines(rollouts), rewards.close())
    return trial


async def _done(work: Awaitable[None]) -> None:
    await work


class _NoWorld:
    """`make_controller` wants collaborators at once; they are replaced before it runs."""

    def parts(self) -> None:
        return None


@contextmanager
def _training_watched(trial: Trial) -> Iterator[None]:
    """Note what enters a batch, beside the ledger: (group, task, visit)."""
    train = Ledger.train

    def watched(ledger: Ledger, group_id: int) -> None:
        draw = next(entry.draw for entry in ledger.owed if entry.group_id == group_id)
        trial.trained.append((group_id, str(draw.index), draw.visit))
        train(ledger, group_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "train", watched)
        yield


async def _nothing_is_left(run_id: str, before: dict[str, float]) -> None:
    """I5: all resources are free again, and no process of the run is left."""
    deadline = time.monotonic() + GONE_S
    while True:
        left = [p for p in psutil.process_iter() if _belongs(p, run_id)]
        now = ray.available_resources()
        shared = ("object_store_memory", "memory")
        taken = {n: v for n, v in before.items() if n not in shared and now.get(n, 0) < v}
        if not left and not taken:
            return
        assert time.monotonic() < deadline, f"left behind: {left}, taken: {taken}"
        await asyncio.sleep(0.1)


def _belongs(process: psutil.Process, run_id: str) -> bool:
    try:
        return bool(process.environ().get(RUN_ID_VARIABLE) == run_id)
    except psutil.Error:
        return False


def check_invariants(trial: Trial) -> None:
    """I1 to I4 and I6; I5 is checked when the actors are gone."""
    ledger, steps = trial.controller.ledger, trial.steps()
    ledger.check_balance()
    assert ledger.num_owed == 0, "I1: nobody owes anything at the end"
    begun = trial.attempt.state or BEGINNING
    trained = ledger.trained - begun["ledger"]["trained"]
    asked = range(begun["step"] + 1, trial.config.stages["stage"].steps + 1)
    assert [step["step"] for step in steps] == list(asked)
    groups = [group for group, _, _ in trial.trained]
    visits = [(task, visit) for _, task, visit in trial.trained]
    assert len(set(groups)) == len(groups) == trained, "I2: no group is trained twice"
    assert len(set(visits)) == len(visits), "I2: no task is trained twice in one visit"
    limit = trial.config.stages["stage"].max_staleness
    assert max(s.get("staleness/max", 0) for s in steps) <= limit, "I3"
    for fault in trial.events("fault"):
        for name in ("worker", "fault_class", "cause", "state", "budget_left"):
            assert name in fault, f"I6: a fault's line must have {name}: {fault}"


@contextmanager
def small_cluster() -> Iterator[None]:
    """A Ray of its own for a file of tests, with stub engines in place of vLLM. Its logs stay
    after a failure."""
    folder = Path(tempfile.mkdtemp(prefix="assay-ray-"))  # a short path: sockets lie in it
    root = str(Path(__file__).resolve().parents[2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", root)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setattr(cluster, "RolloutActor", StubRolloutActor)
        ray.init(
            num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
            object_store_memory=100 * 1024**2, _temp_dir=str(folder / "ray"),
        )  # fmt: skip
        try:
            yield
        finally:
            ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def answers(trial: Trial) -> list[list[list[int]]]:
    """The token ids of every trained sample, by step."""
    return trial.learner.batches
