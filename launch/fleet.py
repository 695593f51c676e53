"""The fleets as the controller and the publisher see them: supervised pools of Ray actors."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray

from configs.errors import AssayError, FaultBudgetSpent, LearnerLost
from configs.schema import DeadlinesConfig
from launch.env_hosts import HostFleet
from launch.faults import FaultClass, RequestFailed, WorkerLost
from launch.pool import Pool
from launch.remote import within
from launch.states import State
from launch.workers import Member
from rewards.calibration import NOT_ASKED, Calibration
from rewards.processes import light
from rewards.routing import Route
from rewards.scoring import asks_judge, with_scores
from rl.evaluate import GroupLost
from rl.ledger import MAX_ATTEMPTS
from rl.publish import WrongWeights
from rl.types import Batch, StepResult
from rollout.runner import failed_sample
from rollout.types import FloatArray, Group, IntArray, RolloutRequest, Score

COLLATERAL_S = 5.0
"""From a rank's complaint about an exchange that broke to the news that another rank died."""


@dataclass(frozen=True, slots=True)
class RolloutWorker:
    """One life of a rollout worker, as the publisher sees it."""

    pool: Pool
    member: Member
    life: int
    seconds: float

    @property
    def name(self) -> str:
        return self.member.name

    async def load_weights(self, directory: Path, version: int) -> None:
        what = f"loading weights version {version}"
        await self._call("load_weights", str(directory), version, what=what)

    async def load_shipped(self, files: Any, version: int) -> None:
        """`files` is Ray's reference to what `RayLearnerGroup.export` left in the object store."""
        what = f"loading weights version {version}"
        await self._call("load_shipped", files, version, what=what)

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        values: list[FloatArray] = await self._call(
            "logprobs", sequences, what="scoring the probe set"
        )
        return values

    async def _call(self, method: str, *args: Any, what: str) -> Any:
        if self.member.health.life != self.life:
            raise WorkerLost(f"{self.name} was given up")
        return await self.pool.call(self.member, method, *args, seconds=self.seconds, what=what)


@dataclass(slots=True)
class RolloutFleet:
    """Plays groups on whichever workers serve, and is what weights are published to. `hosts` play
    the episodes of its tasks, where there are tools."""

    pool: Pool
    deadlines: DeadlinesConfig
    data_retries: int
    hosts: HostFleet | None = None
    _data_faults: Counter[int] = field(default_factory=Counter)

    async def run(self, request: RolloutRequest) -> Group:
        """Have one worker play the group, all of it.

        A group that brought down every worker it was given to, or in which data faults recur, comes
        back with its samples failed: it will be dropped and counted.

        Raises:
            GroupLost: the worker is gone, or failed; ask for the group again.
            FaultBudgetSpent: there are no workers left.
        """
        member = await self.pool.acquire()
        try:
            group: Group = await self.pool.request(
                member, "run", request, number=request.group_id, weight=len(request.seeds),
                seconds=self.deadlines.group_s, what=f"group {request.group_id}",
            )  # fmt: skip
        except WorkerLost as lost:
            return self._again_or_failed(request, str(lost), spent=False)
        except RequestFailed as failure:
            in_data = failure.fault_class is FaultClass.DATA
            self._data_faults[request.group_id] += in_data
            spent = self._data_faults[request.group_id] > self.data_retries
            return self._again_or_failed(request, f"{member.name}: {failure}", spent)
        self._data_faults.pop(request.group_id, None)
        return group

    def _again_or_failed(self, request: RolloutRequest, cause: str, spent: bool) -> Group:
        if not spent and request.attempt + 1 < MAX_ATTEMPTS:
            raise GroupLost(cause)
        self._data_faults.pop(request.group_id, None)
        now = time.time()
        timing = {"started": now, "ended": now}
        samples = (failed_sample(request, index, cause) for index in range(len(request.seeds)))
        return Group(
            id=request.group_id,
            task=request.task,
            trajectories=tuple(replace(s, info={**s.info, **timing}) for s in samples),
            thinking=request.thinking,
            attempt=request.attempt,
        )

    def engine(self, member: Member) -> RolloutWorker:
        """A worker in its present life, as the publisher sees it."""
        return RolloutWorker(self.pool, member, member.health.life, self.deadlines.step_s)

    # What the publisher asks

    def ready(self) -> list[RolloutWorker]:
        return [self.engine(member) for member in self.pool.alive if member.health.takes_weights]

    def waits(self, engine: RolloutWorker) -> bool:
        health = engine.member.health
        return health.life == engine.life and health.state is State.STALE

    def synced(self, engine: RolloutWorker, version: int) -> None:
        self.pool.synced(engine.member, engine.life, version)

    def failed(self, engine: RolloutWorker, error: Exception) -> None:
        """Give the worker up; it will be started again."""
        if not isinstance(error, WorkerLost | RequestFailed | WrongWeights):
            raise error
        self.pool.condemn(engine.member, engine.life, str(error))

    async def available(self) -> None:
        await self.pool.serving()


@dataclass(slots=True)
class RewardFleet:
    """Scores groups: by rule on the workers of `pool`, and then, where its route says so, by the
    judge on those of `judges`. A worker that fails is replaced by the next one."""

    pool: Pool
    deadlines: DeadlinesConfig
    data_retries: int
    judges: Pool | None = None
    routes: Mapping[str, Route] = field(default_factory=dict)

    async def score(self, group: Group) -> Group:
        """The group with its scores: without verdicts where no worker could give any."""
        scored = with_scores(group, await self._scores(self.pool, light(group)))
        if self.judges is None or not asks_judge(group.task, self.routes):
            return scored
        return with_scores(scored, await self._scores(self.judges, light(scored)))

    async def calibrate(self) -> dict[str, Calibration]:
        """The judge on its gold sets; where no worker could ask it, `cause` says why."""
        if self.judges is None:
            return {}
        for _ in range(MAX_ATTEMPTS):
            member = await self.judges.acquire()
            seconds, what = self.deadlines.step_s, "scoring the gold set"
            try:
                found: dict[str, Calibration]
                found = await self.judges.call(member, "calibrate", seconds=seconds, what=what)
                return found
            except (WorkerLost, RequestFailed) as failure:
                unknown = replace(NOT_ASKED, cause=str(failure))
        return {kind: unknown for kind, route in self.routes.items() if route.gold}

    async def close(self) -> None:
        pools = [self.pool] if self.judges is None else [self.pool, self.judges]
        await asyncio.gather(*(pool.close() for pool in pools))

    async def _scores(self, pool: Pool, group: Group) -> list[Score]:
        failures, data_failures = 0, 0
        while True:
            member = await pool.acquire()
            try:
                scores: list[Score] = await pool.request(
                    member, "score", group, number=group.id,
                    seconds=self.deadlines.group_s, what=f"scoring group {group.id}",
                )  # fmt: skip
                return scores
            except (WorkerLost, RequestFailed) as failure:
                cause = str(failure)
                failures += 1
                if isinstance(failure, RequestFailed):
                    data_failures += failure.fault_class is FaultClass.DATA
            if failures >= MAX_ATTEMPTS or data_failures > self.data_retries:
                return [Score(None, reason=f"could not be scored: {cause}")] * len(
                    group.trajectories
                )


@dataclass(frozen=True, slots=True)
class RayLearnerGroup:
    """All ranks as one: each call goes to every rank and returns what rank 0 said."""

    ranks: Sequence[Any]
    deadlines: DeadlinesConfig
    placement: Any = None
    """Ray's placement group, where the ranks have one."""

    async def step(self, batch: Batch) -> StepResult:
        shared = ray.put(batch)  # one copy in the object store, whatever the number of ranks
        result: StepResult = await self.call("step", "a training step", shared)
        return result

    async def write_weights(self, directory: Path) -> None:
        await self.call("write_weights", "writing weights", str(directory))

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        values: list[FloatArray] = await self.call(
            "logprobs", "scoring the probe set", list(sequences)
        )
        return values

    async def begin_stage(self, reference: Path | None) -> None:
        await self.call("begin_stage", "beginning a stage", _text(reference))

    async def load_reference(self, reference: Path | None) -> None:
        await self.call("load_reference", "loading the reference", _text(reference))

    async def save(self, directory: Path) -> None:
        await self.call("save", "saving a checkpoint", str(directory))

    async def load(self, directory: Path) -> None:
        await self.call("load", "loading a checkpoint", str(directory))

    async def export(self) -> Any:
        """Leave the weights in the object store and return Ray's reference to them."""
        replies = [rank.export_weights.options(num_returns=2).remote() for rank in self.ranks]
        await asyncio.gather(
            *(
                within(self.deadlines.step_s, f"learner rank {number}", "exporting weights", done)
                for number, (done, _) in enumerate(replies)
            )
        )
        return replies[0][1]

    async def call(self, method: str, what: str, *args: Any) -> Any:
        """Call `method` on every rank; `what` tells what it does, should it fail."""
        replies = [
            asyncio.ensure_future(
                within(
                    self.deadlines.step_s, f"learner rank {number}", what,
                    getattr(rank, method).remote(*args),
                )
            )
            for number, rank in enumerate(self.ranks)
        ]  # fmt: skip
        try:
            return (await asyncio.gather(*replies))[0]
        except FaultBudgetSpent as failure:
            raise await _cause(replies, failure) from failure


async def _cause(replies: Sequence[asyncio.Future[Any]], failure: AssayError) -> AssayError:
    """Why a call to all ranks failed. When one dies, the others fail in the exchange with it, and
    may say so before its death is known: the death is what counts, since a new group can go on."""
    await asyncio.wait(replies, timeout=COLLATERAL_S)
    errors = [reply.exception() for reply in replies if reply.done()]
    for reply in replies:
        reply.cancel()
    return next((error for error in errors if isinstance(error, LearnerLost)), failure)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
