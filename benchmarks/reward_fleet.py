"""Groups of 8 scored by rule a second through Ray, and while one check hangs."""

from __future__ import annotations

import asyncio
import functools
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.figures import Bound, Figures, Target
from benchmarks.fleet_sim import small_cluster
from configs.schema import DeadlinesConfig, RewardConfig
from envs.finance import FinanceTasks
from envs.types import Message, Task
from rewards.numeric import NumericVerifier
from rollout.types import Group, Score, Span, StopReason, Trajectory

TARGET: Target = {
    "groups_per_s": Bound(">=", 500),
    "groups_per_s_while_one_hangs": Bound(">=", 500),
    "hung_without_verdict": Bound(">=", 1),
}

SAMPLES = 8
TOKENS = 48
UNDER_WAY = 96
CHECK_S = 1.0
HANG = "hang"


class SometimesHanging:
    """The numeric verifier, but for one reply, on which it never returns."""

    def __init__(self) -> None:
        self._numeric = NumericVerifier()

    def __call__(self, trajectory: Trajectory) -> Score:
        while trajectory.reply == HANG:
            pass
        return self._numeric(trajectory)

    def check_gold(self, task: Task) -> None:
        self._numeric.check_gold(task)


def groups_of(count: int) -> list[Group]:
    """Groups as rollout workers send them, half of the answers right."""
    tasks = FinanceTasks()
    return [
        Group(n, tasks[n], tuple(_sample(tasks[n], i) for i in range(SAMPLES)))
        for n in range(count)
    ]


def _sample(task: Task, index: int) -> Trajectory:
    ids = np.arange(TOKENS, dtype=np.int32)
    spans = (Span(ids), Span(ids, np.zeros(TOKENS, np.float32), 3))
    reply = f"\\boxed{{{task.answer}}}" if index % 2 else f"\\boxed{{{task.answer}7}}"
    messages = (*task.prompt, Message("assistant", reply))
    return Trajectory(task, index, spans, messages, StopReason.STOP)


def hanging(group: Group) -> Group:
    first, *rest = group.trajectories
    reply = Message("assistant", HANG)
    stuck = Trajectory(first.task, 0, first.spans, (*first.messages[:-1], reply), first.stop_reason)
    return Group(group.id, group.task, (stuck, *rest))


async def rate(fleet: Any, groups: Sequence[Group]) -> float:
    """Groups a second, with UNDER_WAY of them at a time."""
    turn = asyncio.Semaphore(UNDER_WAY)

    async def score(group: Group) -> None:
        async with turn:
            scored = await fleet.score(group)
        assert [t.reward for t in scored.trajectories] == [0.0, 1.0] * (SAMPLES // 2)

    began = time.perf_counter()
    await asyncio.gather(*map(score, groups))
    return len(groups) / (time.perf_counter() - began)


async def measure(rounds: int, groups: Sequence[Group]) -> Figures:
    from launch.actors import RewardActor
    from launch.fleet import RewardFleet
    from launch.pool import Pool
    from launch.remote import ask, end
    from launch.workers import Role

    config = RewardConfig(verifier="benchmarks.reward_fleet:SometimesHanging", check_s=CHECK_S)
    create = functools.partial(_create, RewardActor)
    role = Role("reward", create, ask, end, start_args=(config,), capacity=64)
    pool = Pool(role, lambda kind, **fields: None)
    await pool.open(1)
    fleet = RewardFleet(pool, DeadlinesConfig(), 2)
    try:
        await rate(fleet, groups[:200])  # first calls are slow
        quiet, busy, unscored = [], [], 0
        for _ in range(rounds):
            quiet.append(await rate(fleet, groups))
            stuck = asyncio.create_task(fleet.score(hanging(groups[0])))
            await asyncio.sleep(0.05)
            busy.append(await rate(fleet, groups))
            unscored += sum(t.reward is None for t in (await stuck).trajectories)
        return {
            "groups_per_s": statistics.median(quiet),
            "groups_per_s_while_one_hangs": statistics.median(busy),
            "hung_without_verdict": unscored / rounds,
        }
    finally:
        await pool.close()


def _create(actor: Any, name: str, life: int) -> Any:
    return actor.options(num_cpus=0).remote("/dev/null")


def run(rounds: int = 3, groups: int = 1_500) -> Figures:
    """Medians over rounds; the driver, the reward worker and its checks share the machine."""
    with small_cluster():
        return asyncio.run(measure(rounds, groups_of(groups)))
