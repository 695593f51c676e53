"""A supervised pool of workers that do the same: routed to, probed, given up, started again.

What a worker's state is, and what follows from an event, is decided in states.py; here it is done.
Nothing here knows Ray: a `Role` says how a process is created, asked and ended.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from configs.errors import AssayError, FaultBudgetSpent
from launch.faults import FaultClass, ProcessDied, RequestFailed, WorkerLost
from launch.routing import LeastBusy, Line
from launch.states import LEAVE, TICK, Action, Event, Health, Kind, State, react
from launch.workers import Member, Process, Report, Role, may_take

TICK_S = 0.25

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Pool:
    """The workers of one role. `minimum` of them must be left, else every caller is told.

    `join` brings a started worker to the current weights and calls `synced`; without it a worker
    serves as it was started. `late` gets answers of workers that were given up.
    """

    role: Role
    report: Report
    minimum: int = 1
    join: Callable[[Member], Awaitable[None]] | None = None
    late: Callable[[Any], None] = lambda answer: None
    members: dict[int, Member] = field(default_factory=dict)
    deadlines_hit: int = 0
    _idle: LeastBusy = field(init=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _line: Line = field(init=False)
    _watching: list[asyncio.Future[None]] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _endings: set[asyncio.Task[None]] = field(default_factory=set)
    _failure: AssayError | None = None
    _served_at: float = 0.0
    _opened: bool = False
    _closing: bool = False

    def __post_init__(self) -> None:
        self._idle = LeastBusy(self._free_at)
        self._line = Line(self._ready)

    async def open(self, count: int) -> None:
        """Start `count` workers and the supervision; returns when each is up or retired.

        Raises:
            AssayError: what a worker said about the configuration or the machine, or
                FaultBudgetSpent when fewer than the minimum came up.
        """
        self.resize(count)
        self._spawn(self._tick())
        try:
            while any(m.health.state in (State.RESTARTING, State.DEAD) for m in self.alive):
                self.check()
                await self._change()
            self.check()
            self._opened = True
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End every worker; one that is still starting has nothing to stop."""
        self._closing = True
        for task in self._tasks - self._endings:
            task.cancel()
        started = [(m.process, m.health.takes_weights) for m in self.alive if m.process is not None]
        await asyncio.gather(
            *(
                self.role.end(process.handle, process.place, gently)
                for process, gently in started
                if not process.given_up.done()
            ),
            *self._endings,
        )

    @property
    def alive(self) -> list[Member]:
        return [m for m in self.members.values() if m.health.state is not State.RETIRED]

    @property
    def staying(self) -> list[Member]:
        return [m for m in self.alive if not m.health.leaving]

    def check(self) -> None:
        """Raise what ended the pool, if anything did."""
        if self._failure is not None:
            raise self._failure

    # Requests

    async def acquire(self) -> Member:
        """The serving worker with the least to do; who waits for one is served in order.

        Raises:
            FaultBudgetSpent: too few workers are left, or none served for too long.
        """
        await self._line.turn()
        if self._failure is not None:
            self._line.wake()  # the next one is to be told as well
            raise self._failure
        number = self._idle.pick()
        assert number is not None, "its turn comes only when one is free"
        return self.members[number]

    async def serving(self) -> None:
        """Wait until any worker serves, whatever it has to do. Raises as `acquire` does."""
        while not any(member.health.serves for member in self.alive):
            self.check()
            await self._change()

    async def _change(self) -> None:
        self._watching.append(change := asyncio.get_running_loop().create_future())
        await change

    async def request(
        self,
        member: Member,
        method: str,
        argument: Any,
        *,
        number: int,
        seconds: float,
        what: str,
        weight: int = 1,
    ) -> Any:
        """`call` for the work that the pool is for: it counts as progress, or as a failure of
        request `number`, and as `weight` of what a worker may have.

        Raises:
            WorkerLost, RequestFailed, AssayError: see `call`.
        """
        member.outstanding += 1
        member.load += weight
        self._offer(member)
        life = member.health.life
        try:
            answer = await self.call(member, method, argument, seconds=seconds, what=what)
            member.served += 1
            self._tell(member, Event(Kind.SUCCEEDED, life))
            return answer
        except RequestFailed as failure:
            event = Event(Kind.FAILED, life, request=number)
            self._tell(member, event, str(failure), failure.fault_class)
            raise
        finally:
            member.outstanding -= 1
            member.load -= weight
            self._offer(member)
            if member.health.leaving and member.outstanding == 0:
                self._tell(member, Event(Kind.EMPTIED))

    async def call(self, member: Member, method: str, *args: Any, seconds: float, what: str) -> Any:
        """Ask a worker and wait for the answer, but not for longer than it is trusted.

        Raises:
            WorkerLost: it died, was given up meanwhile, or did not answer within `seconds`.
            RequestFailed: it answered with an error.
            AssayError: it answered with one of ours.
        """
        process = member.process
        if process is None or process.given_up.done():
            raise WorkerLost(f"{member.name} is gone")
        reply = asyncio.ensure_future(self.role.ask(process.handle, method, args))
        try:
            await asyncio.wait(
                (reply, process.given_up),
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        except asyncio.CancelledError:
            reply.cancel()
            raise
        if reply.done():
            try:
                return reply.result()
            except ProcessDied as death:
                cause = f"{member.name} died during {what}: {death}"
        else:
            reply.add_done_callback(self._came_late)
            if process.given_up.done():
                raise WorkerLost(process.given_up.result())
            self.deadlines_hit += 1
            cause = f"{member.name} did not finish {what} within {seconds:g} s"
        self._tell(member, Event(Kind.DIED, process.number), cause)
        raise WorkerLost(cause)

    def synced(self, member: Member, life: int, version: int) -> None:
        """The worker holds these weights, verified."""
        self._tell(member, Event(Kind.SYNCED, life, version=version))

    def condemn(self, member: Member, life: int, cause: str) -> None:
        """Do not wait for this process any more, and do not use it."""
        self._tell(member, Event(Kind.DIED, life), cause)

    # Size

    def resize(self, count: int) -> None:
        """Add workers, or let those with the least to do leave, until `count` stay."""
        staying = self.staying
        for _ in range(count - len(staying)):
            member = Member(
                f"{self.role.name}-{(number := next(self._numbers))}", number, Health(0)
            )
            member.health = Health(self.role.limits.restarts, since=_now(), heard=_now())
            self.members[number] = member
            self._spawn(self._start(member))
        by_use = sorted(staying, key=lambda m: (m.health.serves, m.outstanding, -m.number))
        for member in by_use[: max(0, len(staying) - count)]:
            self.drain(member)

    def drain(self, member: Member, now: bool = False) -> None:
        """Let a worker finish what it has and leave; `now`: hand back what it has."""
        self._tell(member, LEAVE)
        if now:
            self._tell(member, Event(Kind.DIED))
        elif member.outstanding == 0:
            self._tell(member, Event(Kind.EMPTIED))

    def summary(self) -> str:
        """Example: "rollout-0 healthy, rollout-1 restarting"."""
        return ", ".join(f"{m.name} {m.health.state}" for m in self.members.values())

    # Supervision

    async def _tick(self) -> None:
        limits = self.role.limits
        while True:
            await asyncio.sleep(TICK_S)
            now, anyone = _now(), False
            for member in self.members.values():
                if not member.health.is_quiet(now, limits):
                    self._tell(member, TICK)
                anyone = anyone or member.health.serves
            if anyone or not self._opened or not (self._line or self._watching):
                self._served_at = now
            elif now - self._served_at > self.role.wait_s:
                waited = f"no {self.role.name} worker served for {self.role.wait_s:g} s"
                self._fail(FaultBudgetSpent(f"{waited}: {self.summary()}"))

    def _tell(
        self,
        member: Member,
        event: Event,
        cause: str = "",
        fault_class: FaultClass = FaultClass.INFRASTRUCTURE,
    ) -> None:
        """Let an event change a worker's state, do what follows, and report it."""
        if self._closing:
            return
        before = member.health
        member.health, actions = react(before, event, _now(), self.role.limits)
        after = member.health
        current = event.life in (None, before.life)
        if cause and (after != before or (event.kind is Kind.FAILED and before.serves and current)):
            self.report(
                "fault", worker=member.name, fault_class=str(fault_class), cause=cause,
                state=str(after.state), budget_left=after.restarts_left,
            )  # fmt: skip
        if after.state is not before.state:
            if after.state is State.RETIRED or (before.state is State.STALE and after.life):
                self.report("worker", worker=member.name, state=str(after.state))
            self._require_minimum(cause)
        for action in actions:
            self._do(member, action, cause)
        if after is not before:
            self._offer(member)

    def _do(self, member: Member, action: Action, cause: str) -> None:
        if action is Action.START:
            self._spawn(self._start(member))
        elif action is Action.SYNC:
            if self.join is None:
                self.synced(member, member.health.life, 0)
            else:
                self._spawn(self.join(member))
        elif action is Action.PROBE:
            self._spawn(self._probe(member))
        elif member.process is not None:
            process, gently = member.process, not cause  # without one it leaves as it was told
            if not process.given_up.done():
                process.given_up.set_result(cause or f"{member.name} has left")
            ending = self._spawn(self.role.end(process.handle, process.place, gently))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _start(self, member: Member) -> None:
        life = member.health.life
        handle = self.role.create(member.name, life)
        given_up = asyncio.get_running_loop().create_future()
        member.process = process = Process(life, handle, given_up)
        args, seconds = self.role.start_args, self.role.start_s
        try:
            process.place = await self.call(
                member, "start", *args, seconds=seconds, what="its start"
            )
        except WorkerLost:
            return
        except RequestFailed as failure:
            self.condemn(member, life, f"{member.name} failed in its start: {failure}")
        except AssayError as error:  # the user's to mend: no restart would help
            self._fail(error)
        else:
            self._tell(member, Event(Kind.STARTED, life))

    async def _probe(self, member: Member) -> None:
        """Have a worker generate. Unlike with `call`, no answer is a suspicion, not yet the end."""
        life, process, seconds = member.health.life, member.process, self.role.probe_s
        assert process is not None
        reply = asyncio.ensure_future(self.role.ask(process.handle, "probe", ()))
        either = (reply, process.given_up)
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        kind, cause = Kind.PROBE_FAILED, f"{member.name} answered no probe within {seconds:g} s"
        if reply.done():
            try:
                reply.result()
                kind, cause = Kind.PROBE_PASSED, ""
            except ProcessDied as death:
                kind, cause = Kind.DIED, f"{member.name} died: {death}"
            except (RequestFailed, AssayError) as failure:
                cause = f"{member.name} failed a probe: {failure}"
        else:
            reply.add_done_callback(_forget)
        self._tell(member, Event(kind, life), cause)

    def _require_minimum(self, cause: str) -> None:
        left = len(self.staying)
        if left < self.minimum:
            too_few = f"{left} {self.role.name} workers are left, at least {self.minimum} are asked"
            self._fail(FaultBudgetSpent(f"{too_few} for; the last one: {cause or 'it left'}"))

    def _fail(self, error: AssayError) -> None:
        self._failure = self._failure or error
        self._announce()

    def _came_late(self, reply: asyncio.Future[Any]) -> None:
        if not reply.cancelled() and reply.exception() is None:
            self.late(reply.result())

    def _offer(self, member: Member) -> None:
        """A worker may be free, or not any more."""
        if self._free_at(member.number) is not None:
            self._idle.add(member.load, member.number)
        self._announce()

    def _free_at(self, number: int) -> int | None:
        member = self.members[number]
        return member.load if may_take(member, self.role.capacity) else None

    def _announce(self) -> None:
        """Wake the first in line if it is its turn, and whoever watches the states."""
        watching, self._watching = self._watching, []
        for change in watching:
            if not change.done():
                change.set_result(None)
        self._line.wake()

    def _ready(self) -> bool:
        return self._failure is not None or self._idle.pick() is not None

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            failure = error if isinstance(error, AssayError) else None
            _log.error("supervision of %s", self.role.name, exc_info=error)
            self._fail(failure or FaultBudgetSpent(f"supervision failed: {error!r}"))


def _forget(reply: asyncio.Future[Any]) -> None:
    """Look at a late probe's outcome, so that nobody complains that it was not."""
    if not reply.cancelled():
        reply.exception()


def _now() -> float:
    return asyncio.get_running_loop().time()
