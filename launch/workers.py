"""What the workers of a pool have in common, and what is kept of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from launch.states import Health, Limits, State


class Report(Protocol):
    """Where faults and changes of state go: one event each."""

    def __call__(self, kind: str, **fields: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Role:
    """What the workers of a pool have in common. `create(name, life)` makes a process and returns
    at once; `ask(process, method, args)` has it do something and raises ProcessDied, RequestFailed
    or an AssayError; `end(process, place, gently)` sees to it that it is gone."""

    name: str
    create: Callable[[str, int], Any]
    ask: Callable[[Any, str, tuple[Any, ...]], Awaitable[Any]]
    end: Callable[[Any, Any, bool], Awaitable[None]]
    start_args: tuple[Any, ...] = ()
    limits: Limits = field(default_factory=Limits)
    start_s: float = 600.0
    probe_s: float = 60.0
    wait_s: float = 1800.0
    """Longest wait of any caller while no worker serves."""
    capacity: int = 10**9
    """Load from which on a worker gets nothing new: what waits can go to whoever is free first."""


@dataclass(slots=True)
class Process:
    """One life of a worker."""

    number: int
    handle: Any
    given_up: asyncio.Future[str]
    """Resolved with the cause when nobody is to wait for it any more."""
    place: Any = None
    """What `start` returned: where the process runs."""


@dataclass(slots=True)
class Member:
    """A worker: its health, and the process it has in this life."""

    name: str
    number: int
    health: Health
    process: Process | None = None
    outstanding: int = 0  # requests under way
    load: int = 0  # the sum of their weights
    served: int = 0

    @property
    def place(self) -> Any:
        return self.process.place if self.process else None


def may_take(member: Member, capacity: int) -> bool:
    """Whether a worker takes a request now; one that is suspect takes one at a time."""
    health = member.health
    limit = 1 if health.state is State.SUSPECT else capacity
    return health.takes_requests and member.load < limit
