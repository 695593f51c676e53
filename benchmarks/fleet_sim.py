"""Busy share of 256 slots under heavy-tailed lengths, and what the controller itself costs."""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks import virtual_time
from benchmarks.figures import Bound, Figures, Target
from configs.schema import StageConfig
from envs.types import Message, Task
from launch.pool import Pool
from launch.workers import Role
from rl.controller import Controller, Parts
from rl.curriculum import Mixture, UniformCurriculum
from rl.metrics import PublishReport
from rl.types import Batch, StepResult
from rollout.types import Group, RolloutRequest, Score, Span, StopReason, Trajectory

TARGET: Target = {
    "busy_staleness_2": Bound(">=", 0.80),
    "oldest_over_limit": Bound("<=", 0),
    "groups_per_s_in_process": Bound(">=", 5_000),
    "groups_per_s_through_ray": Bound(">=", 500),
    "cost_1000_workers_over_10": Bound("<=", 1.5),
}

SLOTS = 256  # sequences that all engines together decode at once
GROUPS = 1024  # of `SAMPLES` sequences each
STEPS, WARM_UP = 40, 4
SIGMA = 1.0
SAMPLES, TOKENS = 8, 512
TRAIN_SHARE = 0.25
"""A learner step, in the time that the slots need for a batch when all of them are busy."""


@dataclass
class Engines:
    """`SLOTS` samples are generated at once, in the order in which they are asked for, so when each
    will begin and end is known as soon as it is asked for. With `together` a group takes one slot
    until the longest of its samples has ended."""

    rng: np.random.Generator
    samples: int = SAMPLES  # of a group
    together: bool = False
    version: int = 0
    free_at: list[float] = field(default_factory=lambda: [0.0] * SLOTS)  # a heap
    played: list[tuple[float, float]] = field(default_factory=list)
    published: list[float] = field(default_factory=list)

    async def run(self, request: RolloutRequest) -> Group:
        clock = asyncio.get_running_loop()
        spans = []
        lengths = self.rng.lognormal(0.0, SIGMA, self.samples)
        for seconds in [lengths.max()] if self.together else lengths:
            begin = max(clock.time(), self.free_at[0])
            spans.append((begin, begin + float(seconds)))
            heapq.heapreplace(self.free_at, begin + float(seconds))
        self.played += spans
        await asyncio.sleep(spans[0][0] - clock.time())
        version = self.version  # the oldest that wrote a token of this group
        await asyncio.sleep(max(end for _, end in spans) - clock.time())
        return make_group(request, version, samples=2, tokens=1)

    async def score(self, group: Group) -> Group:
        return group

    async def publish(self, policy_version: int) -> PublishReport:
        self.version = policy_version
        self.published.append(asyncio.get_running_loop().time())
        return PublishReport(0.0, 0.0)

    def busy(self) -> float:
        """The share of slot time in use, without the first and last steps, which fill and drain."""
        begin, end = self.published[WARM_UP], self.published[-WARM_UP - 1]
        used = sum(max(0.0, min(e, end) - max(b, begin)) for b, e in self.played)
        return used / (SLOTS * (end - begin))


TASK = Task("0", "sim", (Message("user", "?"),), "1")


@functools.cache
def answers(version: int, samples: int, tokens: int) -> tuple[Trajectory, ...]:
    """Scored samples that differ, so that they are trained."""
    generated = np.ones(tokens, np.int32), np.zeros(tokens, np.float32)
    spans = (Span(np.ones(2, np.int32)), Span(*generated, version))
    info = {"started": 0.0, "ended": 0.0}
    return tuple(
        Trajectory(TASK, index, spans, (), StopReason.STOP, info=info, score=Score(index % 2.0))
        for index in range(samples)
    )


def make_group(request: RolloutRequest, version: int, samples: int, tokens: int) -> Group:
    trajectories = answers(version, samples, tokens)
    return Group(request.group_id, request.task, trajectories, request.thinking, request.attempt)


@dataclass
class Learner:
    """Takes `seconds` for a step, and asserts the age of all that it trains."""

    engines: Any
    seconds: float
    limit: int

    async def step(self, batch: Batch) -> StepResult:
        await asyncio.sleep(self.seconds)
        return StepResult(
            loss=0.0, grad_norm=1.0, num_tokens=1, num_micro_batches=1, token_budget=1,
            learning_rate=0.0, metrics={"policy/mismatch_kl": 0.0},
        )  # fmt: skip


class Records:
    """A tracker that keeps the oldest age of each step."""

    def __init__(self) -> None:
        self.ages: list[float] = []

    def log_step(self, record: Any) -> None:
        self.ages.append(record.metrics["staleness/max"])

    def log_trajectories(self, *_: Any, whole: bool = False) -> None: ...
    def log_evaluation(self, record: Any) -> None: ...
    def log_event(self, kind: str, **fields: Any) -> None: ...

    def state(self) -> dict[str, int]:
        return {}


class Numbers:
    """Tasks without content."""

    fingerprint = ""

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> Task:
        return Task(str(index), "sim", (Message("user", "?"),), "1")


async def _never_due(stage: Any) -> None: ...


def make_controller(stage: StageConfig, rollouts: Any, scorer: Any, learner: Any) -> Controller:
    tasks = Mixture({"sim": Numbers()}, {"sim": 1.0})
    curriculum = UniformCurriculum(tasks.sizes, tasks.weights, 0)
    parts = Parts(rollouts, scorer, learner, learner.engines, Records())
    return Controller("sim", stage, 0, tasks, curriculum, parts, _never_due)


def simulate(
    staleness: int,
    groups: int = GROUPS,
    lookahead: int = 1,
    samples: int = SAMPLES,
    together: bool = False,
) -> tuple[float, float]:
    """The share of slot time in use, and by how much the oldest trained token is over the limit."""
    stage = StageConfig(
        steps=STEPS, batch_size=groups, group_size=2, max_staleness=staleness, lookahead=lookahead
    )

    async def play() -> tuple[float, float]:
        engines = Engines(np.random.default_rng(17), samples, together)
        train_s = TRAIN_SHARE * groups * samples * float(np.exp(SIGMA**2 / 2)) / SLOTS
        controller = make_controller(stage, engines, engines, Learner(engines, train_s, staleness))
        await controller.run()
        ages = controller.parts.tracker.ages  # type: ignore[attr-defined]
        assert max(ages) <= staleness, f"a token of age {max(ages)} was trained at {staleness}"
        return engines.busy(), max(ages) - staleness

    return virtual_time.simulate(play())


class Ready:
    """Rollouts, scorer and publisher that answer at once, with whole groups."""

    def __init__(self) -> None:
        self.version = 0

    async def run(self, request: RolloutRequest) -> Group:
        return make_group(request, self.version, SAMPLES, TOKENS)

    async def score(self, group: Group) -> Group:
        return group

    async def publish(self, policy_version: int) -> PublishReport:
        self.version = policy_version
        return PublishReport(0.0, 0.0)


def in_process(groups: int = 256, steps: int = 40) -> float:
    """Groups a second of processor time of the loop alone: draw, admit, judge, advantages,
    samples, ledger."""
    ready = Ready()
    stage = StageConfig(steps=steps, batch_size=groups, group_size=SAMPLES, max_staleness=1)
    controller = make_controller(stage, ready, ready, Learner(ready, 0.0, 1))
    began = time.process_time()
    asyncio.run(controller.run())
    return groups * steps / (time.process_time() - began)


def routed(workers: int, groups: int = 20_000) -> float:
    """Processor time of one group in a pool of so many workers that only sleep, in seconds."""

    async def ask(process: Any, method: str, args: tuple[Any, ...]) -> None:
        if method == "run":
            await asyncio.sleep(args[0])

    async def end(process: Any, place: Any, gently: bool) -> None: ...

    async def play() -> float:
        role = Role("sim", create=lambda name, life: name, ask=ask, end=end)
        pool = Pool(role, lambda kind, **fields: None)
        await pool.open(workers)
        rng = np.random.default_rng(17)
        window = asyncio.Semaphore(2048)

        async def one(number: int, seconds: float) -> None:
            async with window:
                member = await pool.acquire()
                await pool.request(
                    member, "run", seconds, number=number, seconds=1e6, what="a group"
                )

        lengths = rng.lognormal(0.0, SIGMA, groups)
        began = time.process_time()
        await asyncio.gather(*(one(i, float(s)) for i, s in enumerate(lengths)))
        return (time.process_time() - began) / groups

    return virtual_time.simulate(play())


class Player:
    """A rollout worker that has its answers ready; an actor."""

    def start(self) -> None: ...
    def probe(self) -> None: ...
    def stop(self) -> None: ...

    def run(self, request: RolloutRequest) -> Group:
        return make_group(request, 0, SAMPLES, TOKENS)


class Scorer:
    """A reward worker with nothing to look up; an actor."""

    def start(self) -> None: ...
    def probe(self) -> None: ...
    def stop(self) -> None: ...

    def score(self, group: Group) -> list[Score]:
        return [Score(float(t.index % 2)) for t in group.trajectories]


@contextmanager
def small_cluster() -> Iterator[Any]:
    import ray

    import launch  # noqa: F401  sets what Ray reads when it is imported

    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", num_cpus=2)
    try:
        yield ray
    finally:
        ray.shutdown()


def _create(actor: Any, name: str, life: int) -> Any:
    return actor.remote()


def through_ray(groups: int = 64, steps: int = 40) -> float:
    """Groups a second through the real fleets: one rollout and one reward actor."""
    from configs.schema import DeadlinesConfig
    from launch.fleet import RewardFleet, RolloutFleet
    from launch.remote import ask, end

    async def play(ray: Any) -> float:
        pools = []
        for cls in (Player, Scorer):
            actor = ray.remote(num_cpus=0)(cls)
            create = functools.partial(_create, actor)
            role = Role(cls.__name__, create=create, ask=ask, end=end)
            pools.append(Pool(role, lambda kind, **fields: None))
        await asyncio.gather(*(pool.open(1) for pool in pools))
        deadlines = DeadlinesConfig()
        fleets = RolloutFleet(pools[0], deadlines, 2), RewardFleet(pools[1], deadlines, 2)
        stage = StageConfig(steps=steps, batch_size=groups, group_size=SAMPLES, max_staleness=10**6)
        learner = Learner(Ready(), 0.0, 10**6)
        stage = replace(stage, max_staleness=steps)
        controller = make_controller(stage, *fleets, learner)
        began = time.perf_counter()
        await controller.run()
        rate = groups * steps / (time.perf_counter() - began)
        await asyncio.gather(*(pool.close() for pool in pools))
        return rate

    with small_cluster() as ray:
        return asyncio.run(play(ray))


def run(rounds: int = 3) -> Figures:
    """The best of `rounds` for times; simulated shares are the same always."""
    figures: Figures = {}
    oldest = []
    for staleness in range(5):
        busy, over = simulate(staleness)
        figures["busy_synchronous" if staleness == 0 else f"busy_staleness_{staleness}"] = busy
        oldest.append(over)
    for staleness, groups in itertools.product((0, 1, 2), (64, 256)):
        busy, over = simulate(staleness, groups)
        figures[f"busy_staleness_{staleness}_groups_{groups}"] = busy
        oldest.append(over)
    for share in (8, 4, 2):
        lookahead = GROUPS // share
        busy, over = simulate(2, lookahead=lookahead)
        figures[f"busy_staleness_2_window_{lookahead}"] = busy
        oldest.append(over)
    for staleness in (1, 2):
        busy, over = simulate(staleness, together=True)
        figures[f"busy_staleness_{staleness}_group_a_slot"] = busy
        oldest.append(over)
        busy, over = simulate(staleness, samples=1)
        figures[f"busy_staleness_{staleness}_groups_of_one"] = busy
        oldest.append(over)
    figures["oldest_over_limit"] = max(oldest)
    figures["groups_per_s_in_process"] = max(in_process() for _ in range(rounds))
    for workers in (10, 100, 1000):
        cost = min(routed(workers) for _ in range(rounds))
        figures[f"microseconds_a_group_{workers}_workers"] = 1e6 * cost
    small = figures["microseconds_a_group_10_workers"]
    large = figures["microseconds_a_group_1000_workers"]
    assert isinstance(small, float)
    assert isinstance(large, float)
    figures["cost_1000_workers_over_10"] = large / small
    figures["groups_per_s_through_ray"] = max(through_ray() for _ in range(rounds))
    return figures
