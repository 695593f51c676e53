"""Environment hosts: Ray actors on CPUs that play episodes for rollout workers.

A rollout worker calls the hosts directly, an episode staying on one host; which hosts there are, it
is told by the driver (`HostFleet`), who supervises them as it does all workers. A host that dies
costs the episodes on it a fault; one that had not opened its episode yet is simply replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from configs.errors import AssayError
from configs.faultpoints import point
from configs.schema import DeadlinesConfig, HostsConfig, RunConfig
from envs.cells import Cells
from envs.episodes import Deadlines, EnvFault
from envs.types import Message, Step, Task
from launch.actors import MAX_CONCURRENT_GROUPS, place
from launch.console import send_output_to
from launch.faults import RequestFailed, WorkerLost
from launch.pool import Pool
from launch.remote import Place, ask, end, first_line
from launch.states import Limits
from launch.workers import Member, Report, Role

PROBE_EVERY_S = 2.0
"""Requests to hosts do not pass through the driver, so it learns of a dead one by asking."""
START_S = 120.0
TELL_EVERY_S = 0.25
TELL_AGAIN_S = 5.0
"""A worker that could not reach a host leaves it out until it is told of it again."""
LEAVE_POLL_S = 0.1
PROBE = Task("probe", "envs.probe:Probe", (), "")

Create = Callable[[str, int], Any]

_log = logging.getLogger(__name__)


class HostLeaves(Exception):
    """This host takes no new episodes; ask another one."""


class EnvHost:
    """Many episodes, in processes of its own that it can kill."""

    def __init__(self, log_file: str) -> None:
        send_output_to(Path(log_file))
        self._leaves = False
        self._heard: dict[str, float] = {}  # when each open episode was last asked for something
        self._cells: Cells
        self._deadlines: DeadlinesConfig

    async def start(self, hosts: HostsConfig, deadlines: DeadlinesConfig) -> Place:
        point("envs.start")
        self._deadlines = deadlines
        limits = Deadlines(deadlines.tool_s, deadlines.turn_s)
        self._cells = Cells(hosts.cpus, limits, hosts.tool_limits)
        await self.probe()
        return place()

    async def reset(self, episode: str, task: Task) -> Step:
        if self._leaves:
            raise HostLeaves
        self._heard[episode] = time.monotonic()
        return await self._cells.reset(episode, task)

    async def step(self, episode: str, reply: Message) -> Step:
        point("envs.before_step")
        self._heard[episode] = time.monotonic()
        step = await self._cells.step(episode, reply)
        if step.done:
            await self.close(episode)  # at once: that saves asking
        return step

    async def close(self, episode: str) -> None:
        self._heard.pop(episode, None)
        await self._cells.close(episode)

    async def probe(self) -> None:
        """Open an episode and close it, which a host that only answers pings cannot do; and end
        those whose rollout worker must be gone."""
        await self._cells.reset("probe", PROBE)
        await self._cells.close("probe")
        for episode in self._idle_for(self._deadlines.rollout_s):
            with contextlib.suppress(EnvFault):  # nobody is left to be told, and the host is well
                await self.close(episode)

    async def stop(self) -> None:
        """Let the episodes that are under way come to their end."""
        self._leaves = True
        while len(self._idle_for(self._deadlines.turn_s)) < len(self._heard):
            await asyncio.sleep(LEAVE_POLL_S)
        await self._cells.end()

    def _idle_for(self, seconds: float) -> list[str]:
        now = time.monotonic()
        return [episode for episode, heard in self._heard.items() if now - heard > seconds]


EnvHostActor: Any = ray.remote(max_concurrency=MAX_CONCURRENT_GROUPS)(EnvHost)


@dataclass(frozen=True, slots=True)
class Host:
    """One life of a host, as rollout workers know it. Calls of `limited` tools may have to wait for
    each other there."""

    name: str
    life: int
    actor: Any = field(compare=False)
    limited: frozenset[str] = frozenset()


@dataclass(slots=True)
class RayEpisodes:
    """The `Episodes` of one rollout worker, on whichever hosts there are.

    `limit_s` bounds the wait for a host that may be used, and for what a host says, should it be
    stopped or cut off. Calls of limited tools queue there, for as long as their sample may take.
    """

    limit_s: float
    _hosts: tuple[Host, ...] = ()
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _where: dict[str, Host] = field(default_factory=dict)
    _load: Counter[Host] = field(default_factory=Counter)

    def use(self, hosts: tuple[Host, ...]) -> None:
        """These are the hosts from now on."""
        self._hosts = hosts
        self._load = Counter({host: self._load[host] for host in hosts})
        self._changed.set()
        self._changed = asyncio.Event()

    async def reset(self, episode: str, task: Task) -> Step:
        while True:
            host = self._where[episode] = await self._least_busy()
            self._load[host] += 1
            try:
                opening = host.actor.reset.remote(episode, task)
                step: Step = await self._ask(host, opening, self.limit_s)
                return step
            except _Gone:  # nothing was begun there
                del self._where[episode]
                self.use(tuple(other for other in self._hosts if other != host))

    async def step(self, episode: str, reply: Message) -> Step:
        host = self._where[episode]
        try:
            answer, queues = host.actor.step.remote(episode, reply), _queues(reply, host)
            step: Step = await self._ask(host, answer, math.inf if queues else self.limit_s)
        except _Gone as gone:
            raise EnvFault(f"its host {host.name} is gone: {gone}") from gone
        if step.done:  # the host has closed it
            del self._where[episode]
            self._load[host] -= 1
        return step

    async def close(self, episode: str) -> None:
        host = self._where.pop(episode, None)
        if host is None:
            return
        self._load[host] -= 1
        with contextlib.suppress(_Gone):
            await self._ask(host, host.actor.close.remote(episode), self.limit_s)

    async def _least_busy(self) -> Host:
        try:
            async with asyncio.timeout(self.limit_s):
                while not self._hosts:
                    await self._changed.wait()
        except TimeoutError:
            raise EnvFault(f"no environment host served within {self.limit_s:g} s") from None
        return min(self._hosts, key=lambda host: self._load[host])

    async def _ask(self, host: Host, reply: Any, seconds: float) -> Any:
        """Raises EnvFault: the environment's, or that the host is late. _Gone: the host is no
        more, or leaves."""
        try:
            async with asyncio.timeout(seconds):
                return await reply
        except RayTaskError as error:  # first: it may be an instance of its cause's type, too
            cause = error.cause
            if isinstance(cause, HostLeaves):
                raise _Gone("it leaves") from error
            raise EnvFault(str(cause)) from error
        except RayError as error:
            raise _Gone(first_line(error)) from error
        except TimeoutError:
            raise EnvFault(f"its host {host.name} did not answer in {seconds:g} s") from None


def _queues(reply: Message, host: Host) -> bool:
    return any(call.name in host.limited for call in reply.tool_calls)


class _Gone(Exception):
    """A host cannot be asked any more."""


def longest_wait_s(deadlines: DeadlinesConfig) -> float:
    """How long a rollout worker waits for a host, which keeps the deadlines itself, to answer."""
    return deadlines.turn_s + deadlines.tool_s


@dataclass(slots=True)
class HostFleet:
    """The hosts, and the loop that tells rollout workers of them: of new ones, of those that are
    gone, and a worker that was started anew of all."""

    pool: Pool
    rollouts: Pool
    count: int
    limited: frozenset[str]
    _told: dict[tuple[str, int], tuple[float, tuple[Host, ...]]] = field(default_factory=dict)
    _telling: asyncio.Task[None] | None = None

    @classmethod
    def of(
        cls, config: RunConfig, rollouts: Pool, report: Report, create: Create, limits: Limits
    ) -> HostFleet:
        """The hosts of a run, not yet started."""
        role = Role(
            name="envs",
            create=create,
            ask=ask,
            end=end,
            start_args=(config.hosts, config.deadlines),
            limits=replace(limits, probe_every_s=PROBE_EVERY_S),
            start_s=START_S,
            probe_s=config.deadlines.turn_s,
            wait_s=config.deadlines.step_s,
        )
        hosts = config.hosts
        return cls(Pool(role, report), rollouts, hosts.workers, frozenset(hosts.tool_limits))

    async def open(self) -> None:
        await self.pool.open(self.count)
        self._telling = asyncio.create_task(self._tell_for_ever())

    async def close(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        await self.pool.close()

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Those that take new episodes."""
        return tuple(
            Host(member.name, member.health.life, member.process.handle, self.limited)
            for member in self.pool.staying
            if member.health.serves and member.process is not None
        )

    async def _tell_for_ever(self) -> None:
        while True:
            hosts = self.hosts
            workers = [m for m in self.rollouts.alive if m.health.takes_weights]
            await asyncio.gather(*(self._tell(worker, hosts) for worker in workers))
            await asyncio.sleep(TELL_EVERY_S)

    async def _tell(self, worker: Member, hosts: tuple[Host, ...]) -> None:
        key, now = (worker.name, worker.health.life), time.monotonic()
        told_at, told = self._told.get(key, (0.0, ()))
        if told == hosts and now - told_at < TELL_AGAIN_S:
            return
        try:
            await self.rollouts.call(
                worker, "use_hosts", hosts, seconds=30.0, what="being told of the hosts"
            )
            self._told[key] = now, hosts
        except (WorkerLost, RequestFailed, AssayError) as failure:
            _log.warning("%s was not told of the hosts: %s", worker.name, failure)
