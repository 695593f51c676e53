"""The judge's limits, retries, cache and circuit breaker, on a clock of their own."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.virtual_time import simulate
from configs.errors import ConfigError
from envs.types import Message
from rewards.breaker import Breaker, JudgeDown
from rewards.judge import Judge, JudgeError, JudgeFault, Limits, Reply, open_cache
from rewards.judge_server import ServerBackend, read_key
from rewards.rubric import load_rubric

RUBRIC = load_rubric("commentary")
GOOD = '{"reason": "", "logic": "sound", "depth": "some"}'
DOWN = JudgeFault("unreachable", "status 500", again=True)


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Fake:
    """Answers request number n at time t as `decide(n, t)` says, after `seconds`."""

    decide: Callable[[int, float], str | Exception] = lambda n, t: GOOD
    seconds: float = 1.0
    identity: str = "fake-1"
    times: list[float] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def complete(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply:
        number, begun = len(self.times), now()
        self.times.append(begun)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.in_flight -= 1
        said = self.decide(number, begun)
        if isinstance(said, Exception):
            raise said
        return Reply(said, "stop", 100, 10)

    async def close(self) -> None:
        return None


def judge_of(backend: Fake, cache: Any = None, **limits: Any) -> Judge:
    return Judge(backend, Limits(**limits), cache, prices=(2.0, 10.0), clock=now)


async def ask(judge: Judge, number: int = 0, fresh: bool = False) -> str:
    """ "ok", "cached", or what went wrong."""
    try:
        verdict = await judge.verdict(RUBRIC, {"candidate": f"Fees rose {number}"}, fresh)
    except JudgeError as error:
        return error.kind
    return "cached" if verdict.costs.get("judge/cached") else "ok"


def test_a_verdict_and_what_it_took() -> None:
    async def run() -> None:
        verdict = await judge_of(Fake()).verdict(RUBRIC, {"candidate": "Fees rose"})
        assert verdict.terms == {"logic": 1.0, "depth": 0.5}
        assert verdict.costs == {
            "judge/calls": 1.0,
            "judge/retries": 0.0,
            "judge/prompt_tokens": 100.0,
            "judge/reply_tokens": 10.0,
            "judge/seconds": 1.0,
            "judge/cost": pytest.approx(300e-6),
        }

    simulate(run())


def test_the_same_texts_are_judged_once(tmp_path: Path) -> None:
    verdicts = iter([GOOD, GOOD.replace("sound", "gaps")] * 9)
    backend = Fake(lambda n, t: next(verdicts))

    async def run() -> None:
        judge = judge_of(backend, open_cache(str(tmp_path)))
        together = await asyncio.gather(*(ask(judge) for _ in range(5)))
        assert sorted(together) == ["cached"] * 4 + ["ok"]
        assert await ask(judge) == "cached"
        first = await judge.verdict(RUBRIC, {"candidate": "Fees rose 0"})
        assert first.terms["logic"] == 1.0  # although it would now say something else
        assert await ask(judge, 1) == "ok"
        assert await ask(judge, fresh=True) == "ok"
        await judge.close()
        again = judge_of(backend, open_cache(str(tmp_path)))
        assert await ask(again) == "cached"
        backend.identity = "fake-2"
        assert await ask(again) == "ok"  # another model
        await again.close()

    simulate(run())
    assert len(backend.times) == 4


@pytest.mark.parametrize("fails", ["get", "set"])
def test_a_cache_that_fails_costs_no_verdict(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = open_cache(str(tmp_path))

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(cache, fails, full)

    async def run() -> None:
        judge = judge_of(Fake(), cache)
        assert [await ask(judge, n) for n in range(3)] == ["ok"] * 3
        await judge.close()

    with caplog.at_level(logging.WARNING):
        simulate(run())
    assert len(caplog.records) == 1


def test_a_folder_that_cannot_hold_verdicts_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "cache.db").write_text("no database" * 100)
    for name in ("file", "cache"):
        with pytest.raises(ConfigError, match=rf"reward\.judge\.cache: .*{name}"):
            open_cache(str(tmp_path / name))


def test_a_fault_is_not_cached_and_ends_all_who_wait_for_it() -> None:
    backend = Fake(lambda n, t: "prose" if n == 0 else GOOD)

    async def run() -> None:
        judge = judge_of(backend)
        together = await asyncio.gather(*(ask(judge) for _ in range(3)))
        assert together == ["unreadable"] * 3
        assert await ask(judge) == "ok"

    simulate(run())


def test_no_more_are_in_flight_than_allowed() -> None:
    backend = Fake()

    async def run() -> None:
        judge = judge_of(backend, max_in_flight=3, deadline_s=5.0)
        assert await asyncio.gather(*(ask(judge, n) for n in range(30))) == ["ok"] * 30
        assert now() == pytest.approx(10.0)  # waiting for a place is not counted as time

    simulate(run())
    assert backend.most_in_flight == 3


def test_requests_keep_to_the_rate() -> None:
    backend = Fake(seconds=0.0)

    async def run() -> None:
        judge = judge_of(backend, per_minute=60.0, deadline_s=5.0)
        assert await asyncio.gather(*(ask(judge, n) for n in range(10))) == ["ok"] * 10

    simulate(run())
    assert all(b - a > 0.99 for a, b in zip(backend.times, backend.times[1:], strict=False))


def test_what_may_pass_is_tried_again_and_nothing_else() -> None:
    passing, wrong = Fake(lambda n, t: DOWN if n < 2 else GOOD), Fake(lambda n, t: "prose")
    refused = Fake(lambda n, t: JudgeFault("refused", "status 401"))

    async def run() -> None:
        assert await ask(judge_of(passing, attempts=3)) == "ok"
        assert await ask(judge_of(wrong)) == "unreadable"
        assert await ask(judge_of(refused)) == "refused"

    simulate(run())
    assert [len(backend.times) for backend in (passing, wrong, refused)] == [3, 1, 1]


def test_a_judge_that_hangs_costs_its_deadline_and_no_more() -> None:
    async def run() -> None:
        judge = judge_of(Fake(seconds=1e6), deadline_s=30.0)
        assert await ask(judge) == "timeout"
        assert now() == pytest.approx(30.0)

    simulate(run())


def test_retry_after_is_honoured_by_all() -> None:
    limited = JudgeFault("limited", "status 429", again=True, retry_after_s=30.0)
    backend = Fake(lambda n, t: limited if t < 20 else GOOD, seconds=0.1)

    async def run() -> None:
        judge = judge_of(backend, max_in_flight=4, deadline_s=120.0)
        assert await asyncio.gather(*(ask(judge, n) for n in range(12))) == ["ok"] * 12

    simulate(run())
    assert backend.most_in_flight == 4
    assert not [t for t in backend.times if 0.2 < t < 30]


def test_an_outage_opens_the_circuit_and_a_probe_closes_it() -> None:
    backend = Fake(lambda n, t: DOWN if t < 120 else GOOD, seconds=0.1)

    async def run() -> list[str]:
        judge = judge_of(backend, max_in_flight=8, deadline_s=20.0)
        fates = []
        for step in range(200):  # a sample each second, for a while
            fates.append(await asyncio.gather(ask(judge, 2 * step), ask(judge, 2 * step + 1)))
            await asyncio.sleep(1)
        assert not judge.breaker.is_open
        return [fate for pair in fates for fate in pair]

    fates = simulate(run())
    assert set(fates) == {"unreachable", "timeout", "down", "ok"}
    assert fates[-100:] == ["ok"] * 100
    during = [t for t in backend.times if t < 120]
    assert len(during) < 30  # probes, not a herd
    gaps = [b - a for a, b in zip(during[-3:], during[-2:], strict=False)]
    assert max(gaps) <= 32  # the pause, and until the next sample


def test_a_judge_down_for_good_is_told_at_once_after_one_deadline() -> None:
    async def run() -> None:
        judge = judge_of(Fake(lambda n, t: DOWN, seconds=0.1), deadline_s=20.0)
        await asyncio.gather(*(ask(judge, n) for n in range(10)))
        await asyncio.sleep(60)
        began = now()
        fates = await asyncio.gather(*(ask(judge, n) for n in range(10, 110)))
        assert now() - began < 5
        assert fates.count("down") >= 95

    simulate(run())


@pytest.mark.parametrize("error", [UnicodeDecodeError("utf-8", b"", 0, 1, "x"), OverflowError()])
def test_whatever_a_reply_does_to_its_reader_is_a_fault_of_the_judge(error: Exception) -> None:
    backend = Fake(lambda n, t: error)

    async def run() -> None:
        assert await ask(judge_of(backend, attempts=2)) == "unreadable"

    simulate(run())
    assert len(backend.times) == 2


@pytest.mark.parametrize(
    ("ends", "fate"),
    [
        (UnicodeDecodeError("utf-8", b"", 0, 1, "x"), "unreadable"),
        (KeyError("a mistake of ours"), KeyError),
        ("hangs", "timeout"),
        ("cancelled", asyncio.CancelledError),
    ],
)
def test_a_probe_that_ends_badly_is_not_the_last(ends: str | Exception, fate: Any) -> None:
    backend = Fake(lambda n, t: DOWN, seconds=0.1)

    async def run() -> None:
        judge = judge_of(backend, attempts=1, deadline_s=20.0)
        await asyncio.gather(*(ask(judge, n) for n in range(5)))
        assert judge.breaker.is_open
        await asyncio.sleep(2.0)
        backend.decide, backend.seconds = (lambda n, t: ends), 1.0
        if isinstance(ends, str):
            backend.seconds = 1e6
        probe = asyncio.create_task(ask(judge, 100))
        await asyncio.sleep(0.5)
        if ends == "cancelled":
            [asking] = judge._under_way.values()
            asking.cancel()
        [ended] = await asyncio.gather(probe, return_exceptions=True)
        assert fate in (ended, type(ended))
        backend.decide, backend.seconds = (lambda n, t: GOOD), 0.1
        await asyncio.sleep(35.0)
        assert await ask(judge, 101) == "ok"

    simulate(run())


def test_one_log_line_for_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    ugly = JudgeFault("refused", "a\nb\x1b[2J")

    async def run() -> None:
        assert await ask(judge_of(Fake(lambda n, t: ugly))) == "refused"

    with caplog.at_level(logging.WARNING):
        simulate(run())
    [record] = caplog.records
    assert record.getMessage() == "judge: refused: a\\nb\\x1b[2J"


def test_breaker() -> None:
    breaker = Breaker(patience_s=10.0, threshold=2)
    assert breaker.wait_s(0.0) == 0.0
    breaker.failed(0.0, "timeout")
    assert not breaker.is_open
    breaker.failed(0.0, "timeout")
    assert breaker.is_open
    breaker.failed(0.0, "timeout")  # of the same herd: it does not make the wait longer
    assert breaker.wait_s(0.5) == 0.5
    assert breaker.wait_s(1.0) == 0.0  # the probe
    assert breaker.wait_s(1.0) > 0.0  # one is enough
    breaker.failed(2.0, "timeout")
    assert breaker.wait_s(2.0) == 2.0  # twice as long
    assert breaker.wait_s(4.5) == 0.0
    breaker.failed(5.0, "timeout")
    assert breaker.wait_s(6.0) == 3.0
    assert breaker.wait_s(9.0) == 0.0
    with pytest.raises(JudgeDown, match="for 11 s; at last: timeout"):
        breaker.wait_s(11.0)  # the probe is still out, and patience over
    breaker.succeeded()
    assert breaker.wait_s(12.0) == 0.0


def test_keys_come_from_where_the_configuration_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", " secret\n")
    monkeypatch.delenv("NO_KEY", raising=False)
    (tmp_path / "key").write_text("secret\n")
    assert read_key("JUDGE_KEY", "") == read_key("", str(tmp_path / "key")) == "secret"
    assert read_key("", "") == ""
    with pytest.raises(ConfigError, match="NO_KEY is not set"):
        read_key("NO_KEY", "")
    with pytest.raises(ConfigError, match="cannot read"):
        read_key("", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="needs url"):
        ServerBackend("localhost:8000", "m")


@pytest.mark.parametrize("limits", [{"max_in_flight": 0}, {"attempts": 0}, {"deadline_s": 0.0}])
def test_limits_that_let_nothing_through_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Limits(**limits)
