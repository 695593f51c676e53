"""A worker's states: each rule by name, and what holds after any order of events."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launch.states import LEAVE, TICK, Action, Event, Health, Kind, Limits, State, react

LIMITS = Limits(restarts=2, failed_requests=3, probe_every_s=10, backoff_s=1, stable_s=300)


class Watched:
    """A worker on a clock that is moved by hand; keeps all actions."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits, self.now = limits, 0.0
        self.health = Health(limits.restarts)
        self.actions: list[Action] = []

    def happens(self, kind: Kind, seconds: float = 0.0, **fields: int) -> Sequence[Action]:
        life = fields.pop("life", self.health.life)
        return self.sees(Event(kind, life, **fields), seconds)

    def sees(self, event: Event, seconds: float = 0.0) -> Sequence[Action]:
        self.now += seconds
        self.health, actions = react(self.health, event, self.now, self.limits)
        self.actions += actions
        return actions

    def comes_up(self, version: int = 1) -> None:
        assert self.happens(Kind.STARTED) == (Action.SYNC,)
        self.happens(Kind.SYNCED, version=version)
        assert self.state is State.HEALTHY

    @property
    def state(self) -> State:
        return self.health.state

    def is_in(self, state: State) -> bool:
        return self.health.state is state


@pytest.fixture
def worker() -> Watched:
    watched = Watched()
    watched.comes_up()
    return watched


def test_a_started_worker_is_stale_until_it_is_synced() -> None:
    worker = Watched()
    assert worker.happens(Kind.STARTED) == (Action.SYNC,)
    for kind in (Kind.PROBE_PASSED, Kind.SUCCEEDED, Kind.STARTED):
        worker.happens(kind)
        assert worker.state is State.STALE
        assert not worker.health.takes_requests
    worker.happens(Kind.SYNCED, version=7)
    assert (worker.state, worker.health.version) == (State.HEALTHY, 7)


def test_a_dead_worker_comes_back_after_a_pause_and_without_its_weights(worker: Watched) -> None:
    assert worker.happens(Kind.DIED) == (Action.END,)
    assert worker.state is State.DEAD
    assert worker.sees(TICK, 0.9) == ()
    assert worker.sees(TICK, 0.1) == (Action.START,)
    assert (worker.state, worker.health.life) == (State.RESTARTING, 1)
    assert worker.health.version is None


def test_pauses_grow_and_the_budget_ends_in_retirement() -> None:
    worker = Watched(Limits(restarts=4, backoff_s=1, backoff_cap_s=5))
    pauses = []
    while worker.state is not State.RETIRED:
        worker.happens(Kind.DIED)
        died = worker.now
        while worker.state is State.DEAD:
            worker.sees(TICK, 0.5)
        pauses.append(worker.now - died)
    assert pauses == [1.0, 2.0, 4.0, 5.0, 0.0]
    assert worker.actions.count(Action.START) == 4


def test_long_service_renews_the_budget(worker: Watched) -> None:
    worker.happens(Kind.DIED)
    worker.sees(TICK, 1)
    worker.comes_up()
    assert worker.health.restarts_left == 1
    worker.sees(TICK, 299)
    assert worker.health.restarts_left == 1
    worker.sees(TICK, 1)
    assert worker.health.restarts_left == 2


def test_different_failed_requests_condemn_though_probes_pass(worker: Watched) -> None:
    for request in (1, 2):
        worker.happens(Kind.FAILED, request=request)
        assert worker.is_in(State.SUSPECT)
        worker.happens(Kind.PROBE_PASSED)
        assert worker.is_in(State.SUSPECT), "a probe does not clear the streak"
    assert worker.happens(Kind.FAILED, request=3) == (Action.END,)
    assert worker.is_in(State.DEAD)


def test_one_request_that_fails_again_and_again_is_no_proof(worker: Watched) -> None:
    for _ in range(5):
        worker.happens(Kind.FAILED, request=1)
    assert worker.state is State.SUSPECT


def test_a_success_clears_the_streak(worker: Watched) -> None:
    worker.happens(Kind.FAILED, request=1)
    worker.happens(Kind.FAILED, request=2)
    worker.happens(Kind.SUCCEEDED)
    assert worker.is_in(State.HEALTHY)
    worker.happens(Kind.FAILED, request=3)
    assert worker.is_in(State.SUSPECT)


def test_only_silence_is_probed_and_two_failed_probes_condemn(worker: Watched) -> None:
    worker.happens(Kind.SUCCEEDED, 9)
    assert worker.sees(TICK, 9) == ()
    assert worker.sees(TICK, 1) == (Action.PROBE,)
    assert worker.sees(TICK, 60) == (), "one probe at a time"
    worker.happens(Kind.PROBE_FAILED)
    assert worker.state is State.SUSPECT
    assert worker.sees(TICK) == (Action.PROBE,)
    assert worker.happens(Kind.PROBE_FAILED, 60) == (Action.END,)


def test_a_probe_that_waits_behind_requests_which_are_done_did_not_fail(worker: Watched) -> None:
    assert worker.sees(TICK, 10) == (Action.PROBE,)
    worker.happens(Kind.SUCCEEDED, 30)
    worker.happens(Kind.PROBE_FAILED, 30)
    assert worker.state is State.HEALTHY


def test_a_leaver_gets_nothing_new_finishes_and_retires(worker: Watched) -> None:
    worker.sees(LEAVE)
    assert not worker.health.takes_requests
    assert worker.health.takes_weights, "what it has under way goes on under the new weights"
    worker.happens(Kind.SUCCEEDED)
    assert worker.sees(Event(Kind.EMPTIED)) == (Action.END,)
    assert worker.state is State.RETIRED


def test_a_leaver_that_dies_is_not_started_again(worker: Watched) -> None:
    worker.sees(LEAVE)
    worker.happens(Kind.DIED)
    assert worker.state is State.RETIRED


@pytest.mark.parametrize("state", [State.RESTARTING, State.STALE, State.DEAD])
def test_who_does_not_serve_leaves_at_once(state: State) -> None:
    worker = Watched()
    if state is State.STALE:
        worker.happens(Kind.STARTED)
    elif state is State.DEAD:
        worker.happens(Kind.DIED)
    assert worker.state is state
    assert worker.sees(LEAVE) == (Action.END,)
    assert worker.state is State.RETIRED


EVENTS = st.tuples(
    st.sampled_from(list(Kind)),
    st.sampled_from([0, -1]),  # about this life, or the one before
    st.integers(0, 3),
    st.sampled_from([0.0, 0.3, 1.0, 5.0, 31.0, 400.0]),
)


@settings(max_examples=300)
@given(events=st.lists(EVENTS, max_size=60))
def test_what_holds_after_any_order_of_events(
    events: list[tuple[Kind, int, int, float]],
) -> None:
    worker = Watched()
    synced_life, ended_life = -1, -1
    for kind, earlier, number, seconds in events:
        before = worker.health
        of_worker = kind in (Kind.TICK, Kind.LEAVE, Kind.EMPTIED)
        life = None if of_worker else before.life + earlier
        actions = worker.sees(Event(kind, life, version=number, request=number), seconds)
        after = worker.health

        if before.state is State.RETIRED or life not in (None, before.life):
            assert (after, actions) == (before, ()), "a late event changes nothing"
        if kind is Kind.SYNCED and life == before.life and before.takes_weights:
            synced_life = after.life
        if after.serves:
            assert synced_life == after.life, "only a sync of this life lets it serve"
            assert after.version is not None
        if after.state is State.HEALTHY:
            assert not after.failed_requests
            assert not after.failed_probes
        if Action.END in actions:
            ended_life = after.life
        if Action.START in actions:
            assert ended_life == before.life, "the old process is ended before a new one starts"
            assert after.life == before.life + 1
            assert worker.now >= before.restart_at
        if after.state in (State.DEAD, State.RETIRED):
            assert ended_life == after.life
        if after.is_quiet(worker.now, LIMITS):
            assert react(after, TICK, worker.now, LIMITS) == (after, ())
        assert 0 <= after.restarts_left <= LIMITS.restarts
        assert after.takes_requests <= after.serves <= after.takes_weights


@given(seconds=st.lists(st.floats(0, 100), max_size=50))
def test_a_silent_worker_is_noticed(seconds: list[float]) -> None:
    """Whatever the ticks, no worker serves after two probes that were not answered."""
    worker = Watched()
    worker.comes_up()
    unanswered = 0
    for pause in seconds:
        if Action.PROBE in worker.sees(TICK, pause):
            worker.happens(Kind.PROBE_FAILED, 5)
            unanswered += 1
        assert worker.health.serves == (unanswered < 2)
        if unanswered == 2:
            return
