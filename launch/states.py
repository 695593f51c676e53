"""What is known of one worker, and what to do next: a pure function of events and a clock.

    RESTARTING --started--> STALE --synced--> HEALTHY <--> SUSPECT
         ^                    |                  |            |
         +------ a pause ---- DEAD <-------------+------------+
                                 (its budget is spent, or it was told to leave: RETIRED)

A worker that comes back has the weights it was started with, so only a completed weight sync
takes it from STALE to HEALTHY: a probe never does. Liveness is progress: a real request that is
done, or a probe, which generates. Failed requests are a streak of their own, which only a request
that succeeds ends: an engine that answers probes and fails at all else is condemned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    HEALTHY = "healthy"  # serves
    SUSPECT = "suspect"  # serves one request at a time, as a trial
    DEAD = "dead"  # given up, its process is ended; comes back after a pause
    RESTARTING = "restarting"  # a process is starting
    STALE = "stale"  # started, without current weights
    RETIRED = "retired"  # for good


class Action(StrEnum):
    START = "start"  # start a process
    SYNC = "sync"  # give it the current weights, then tell `SYNCED`
    PROBE = "probe"  # have it generate, then tell `PROBE_PASSED` or `PROBE_FAILED`
    END = "end"  # make sure that its process is gone


class Kind(StrEnum):
    """What can happen to a worker."""

    STARTED = "started"
    SYNCED = "synced"
    SUCCEEDED = "succeeded"  # a real request
    FAILED = "failed"  # a real request; the process lives
    PROBE_PASSED = "probe passed"
    PROBE_FAILED = "probe failed"
    DIED = "died"  # or is not to be waited for any more: late, stopped, with wrong weights
    LEAVE = "leave"  # asked to go, when it has finished what it has
    EMPTIED = "emptied"  # has nothing under way
    TICK = "tick"


@dataclass(frozen=True, slots=True)
class Event:
    """`life` says which process of the worker it is about, None: the worker as such.

    `request` tells failed requests apart: the same one failing again is no new evidence.
    """

    kind: Kind
    life: int | None = None
    version: int = 0
    request: int = 0


TICK, LEAVE = Event(Kind.TICK), Event(Kind.LEAVE)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a worker is given up, and how often it is started again."""

    restarts: int = 5
    """Without `stable_s` of service in between; then the worker is retired."""
    failed_requests: int = 3
    failed_probes: int = 2
    probe_every_s: float = 10.0
    """Probe a worker of which nothing was heard for so long."""
    backoff_s: float = 1.0
    """Before the first restart; doubled each time."""
    backoff_cap_s: float = 30.0
    stable_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Health:
    """All that is known of a worker. `life` counts its processes from 0."""

    restarts_left: int
    state: State = State.RESTARTING
    life: int = 0
    version: int | None = None  # of the weights it was last seen to hold
    since: float = 0.0  # when it came into its state
    heard: float = 0.0  # when it last made progress
    restart_at: float = 0.0
    failed_requests: frozenset[int] = frozenset()
    failed_probes: int = 0
    probe_sent: float | None = None
    leaving: bool = False

    @property
    def serves(self) -> bool:
        return self.state in (State.HEALTHY, State.SUSPECT)

    @property
    def takes_requests(self) -> bool:
        return self.serves and not self.leaving

    @property
    def takes_weights(self) -> bool:
        return self.serves or self.state is State.STALE

    def is_quiet(self, now: float, limits: Limits) -> bool:
        """Whether a tick would change nothing: a shortcut for the many workers that are well."""
        recent = now - self.heard < limits.probe_every_s
        return self.state is State.HEALTHY and recent and self.restarts_left == limits.restarts


Reaction = tuple[Health, tuple[Action, ...]]


def react(health: Health, event: Event, now: float, limits: Limits) -> Reaction:
    """What is known after an event, and what is to be done. Events of an earlier life, and events
    that make no sense in the present state, change nothing."""
    if health.state is State.RETIRED or event.life not in (None, health.life):
        return health, ()
    match event.kind:
        case Kind.TICK:
            return _tick(health, now, limits)
        case Kind.LEAVE:
            if health.serves:
                return replace(health, leaving=True), ()
            return _to(health, State.RETIRED, now), (Action.END,)
        case Kind.EMPTIED if health.leaving:
            return _to(health, State.RETIRED, now), (Action.END,)
        case Kind.DIED if health.state is not State.DEAD:
            return _give_up(health, now, limits)
        case Kind.STARTED if health.state is State.RESTARTING:
            return replace(_to(health, State.STALE, now), heard=now), (Action.SYNC,)
        case Kind.SYNCED if health.takes_weights:
            current = replace(health, version=event.version, heard=now)
            return (current if health.serves else _to(current, State.HEALTHY, now)), ()
    if health.serves:
        return _judge(_evidence(health, event, now), now, limits)
    return health, ()


def _evidence(health: Health, event: Event, now: float) -> Health:
    match event.kind:
        case Kind.SUCCEEDED:
            return replace(health, heard=now, failed_requests=frozenset(), failed_probes=0)
        case Kind.FAILED:
            return replace(health, failed_requests=health.failed_requests | {event.request})
        case Kind.PROBE_PASSED:
            return replace(health, heard=now, probe_sent=None, failed_probes=0)
        case Kind.PROBE_FAILED if health.probe_sent is not None:
            # A probe waits behind real requests: those that were done meanwhile are progress too.
            failed = health.failed_probes + (health.heard <= health.probe_sent)
            return replace(health, probe_sent=None, failed_probes=failed)
    return health


def _judge(health: Health, now: float, limits: Limits) -> Reaction:
    """Healthy, suspect, or not to be waited for any more."""
    requests, probes = len(health.failed_requests), health.failed_probes
    if requests >= limits.failed_requests or probes >= limits.failed_probes:
        return _give_up(health, now, limits)
    state = State.SUSPECT if requests or probes else State.HEALTHY
    return (health if state is health.state else _to(health, state, now)), ()


def _give_up(health: Health, now: float, limits: Limits) -> Reaction:
    if health.leaving or health.restarts_left == 0:
        return _to(health, State.RETIRED, now), (Action.END,)
    dead = _to(health, State.DEAD, now)
    used = limits.restarts - health.restarts_left
    pause = min(limits.backoff_cap_s, limits.backoff_s * 2.0**used)
    return replace(dead, restart_at=now + pause), (Action.END,)


def _tick(health: Health, now: float, limits: Limits) -> Reaction:
    if health.state is State.DEAD:
        if now < health.restart_at:
            return health, ()
        reborn = Health(health.restarts_left - 1, life=health.life + 1, since=now, heard=now)
        return reborn, (Action.START,)
    if not health.serves:
        return health, ()
    if health.state is State.HEALTHY and now - health.since >= limits.stable_s:
        health = replace(health, restarts_left=limits.restarts)
    if health.probe_sent is None and now - health.heard >= limits.probe_every_s:
        return replace(health, probe_sent=now), (Action.PROBE,)
    return health, ()


def _to(health: Health, state: State, now: float) -> Health:
    return replace(health, state=state, since=now)
