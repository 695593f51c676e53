"""A judge: asked within limits, waited for within a deadline, and never guessed for.

Whatever goes wrong is a `JudgeError`, which has no number in it: the sample then has no verdict.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import diskcache
import tenacity
from aiolimiter import AsyncLimiter

from configs.errors import ConfigError
from envs.types import Message
from rewards.breaker import Breaker, JudgeDown
from rewards.logs import loggable
from rewards.rubric import BadVerdict, Rubric

LONGEST_BACKOFF_S = 20.0
CACHE_BYTES = 256 * 1024**2

_BACKOFF = tenacity.wait_exponential_jitter(multiplier=0.5, max=LONGEST_BACKOFF_S, jitter=1.0)

_NO_CACHE = (sqlite3.Error, OSError, ValueError, diskcache.Timeout)

_log = logging.getLogger(__name__)


class JudgeError(Exception):
    """No verdict, and why, in a word: timeout, down, refused, unreadable, limited, unreachable."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class JudgeFault(Exception):
    """A backend could not answer this time. `again`: it may be asked again, and if `retry_after_s`
    is over 0, not before."""

    def __init__(
        self, kind: str, detail: str, again: bool = False, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(detail)
        self.kind, self.again, self.retry_after_s = kind, again, retry_after_s


@dataclass(frozen=True, slots=True)
class Reply:
    """What a judge wrote: only one that ended by itself ("stop") is read."""

    text: str
    finish_reason: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Backend(Protocol):
    """Something that answers a prompt greedily, without tools."""

    @property
    def identity(self) -> str:
        """The model and whatever else its verdicts depend on: part of the cache's key."""
        ...

    async def complete(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply:
        """Answer with JSON of the schema. Raises JudgeFault."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one judge process. A fleet has one, so they are the fleet's; where there are more, each
    gets its share.

    `deadline_s` is for one verdict with all its attempts; waiting for a free place comes before it.
    """

    max_in_flight: int = 32
    per_minute: float = 0.0
    deadline_s: float = 60.0
    attempts: int = 4

    def __post_init__(self) -> None:
        if self.max_in_flight < 1 or self.attempts < 1:
            raise ConfigError("reward.judge: max_in_flight and attempts must be at least 1")
        if self.deadline_s <= 0 or self.per_minute < 0:
            raise ConfigError("reward.judge: deadline_s must be over 0 and per_minute not under it")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The value of each criterion, from 0 to 1, and what it took."""

    terms: Mapping[str, float]
    costs: Mapping[str, float]


@dataclass(slots=True)
class Judge:
    """Asks a backend for verdicts by rubric. One instance belongs to one event loop.

    Equal texts under the same rubric and model are judged once, and again after a restart only
    where `cache` is None: so a repeated sample scores the same. `prices` are per million tokens of
    prompt and reply.
    """

    backend: Backend
    limits: Limits = Limits()
    cache: diskcache.Cache | None = None
    prices: tuple[float, float] = (0.0, 0.0)
    clock: Callable[[], float] = time.monotonic
    breaker: Breaker = field(init=False)
    _places: asyncio.Semaphore = field(init=False)
    _rate: AsyncLimiter | None = field(init=False)
    _under_way: dict[str, asyncio.Task[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.breaker = Breaker(patience_s=self.limits.deadline_s)
        self._places = asyncio.Semaphore(self.limits.max_in_flight)
        rate = self.limits.per_minute
        # One at a time at an even pace: a burst of a minute's worth is what servers refuse.
        self._rate = AsyncLimiter(1, 60.0 / rate) if rate else None

    async def verdict(
        self, rubric: Rubric, texts: Mapping[str, str], fresh: bool = False
    ) -> Verdict:
        """Judge one candidate. `fresh` asks again whatever the cache holds, and leaves it alone.

        Raises:
            JudgeError: there is no verdict.
        """
        key = self.key(rubric, texts)
        if not fresh and (known := self._recall(key)) is not None:
            return Verdict(known["terms"], {"judge/cached": 1.0})
        task = None if fresh else self._under_way.get(key)
        if task is not None:
            entry = await asyncio.shield(task)
            return Verdict(entry["terms"], {"judge/cached": 1.0})
        task = asyncio.create_task(self._ask(rubric, texts))
        if not fresh:
            self._under_way[key] = task
        try:
            entry = await asyncio.shield(task)
        finally:
            if not fresh:
                del self._under_way[key]
        if not fresh:
            self._keep(key, {"terms": entry["terms"]})
        return Verdict(entry["terms"], entry["costs"])

    def key(self, rubric: Rubric, texts: Mapping[str, str]) -> str:
        """A hash of all that a verdict depends on; the nonce of a call is not among it."""
        about = [self.backend.identity, rubric.digest, sorted(texts.items())]
        return sha256(json.dumps(about).encode()).hexdigest()

    async def close(self) -> None:
        for task in self._under_way.values():
            task.cancel()
        await self.backend.close()
        if self.cache is not None:
            self.cache.close()

    def _recall(self, key: str) -> Any:
        if self.cache is None:
            return None
        try:
            return self.cache.get(key)
        except _NO_CACHE as error:
            self._lose_cache(error)
            return None

    def _keep(self, key: str, entry: Mapping[str, Any]) -> None:
        if self.cache is None:
            return
        try:
            self.cache.set(key, entry)
        except diskcache.Timeout:  # another worker is writing: this verdict is then asked for again
            pass
        except _NO_CACHE as error:
            self._lose_cache(error)

    def _lose_cache(self, error: Exception) -> None:
        """A disk that fails costs verdicts that are asked for twice, not the run."""
        _log.warning("judge: verdicts are no longer kept: %s", loggable(str(error)))
        self.cache = None

    async def _ask(self, rubric: Rubric, texts: Mapping[str, str]) -> dict[str, Any]:
        """Ask until there is a readable answer, the attempts are spent, or time is up."""
        async with self._places:
            await self._pace()
            began, last = self.clock(), ""
            try:
                async with asyncio.timeout(self.limits.deadline_s):
                    async for attempt in self._attempts():
                        with attempt:
                            try:
                                reply = await self._once(rubric, texts)
                            except JudgeFault as fault:
                                last = f"; the last attempt: {fault.kind}, {fault}"
                                raise
            except TimeoutError:
                detail = f"no verdict in {self.limits.deadline_s:g} s{last}"
                raise self._error("timeout", detail) from None
            except JudgeDown as down:
                raise JudgeError("down", str(down)) from None  # each fault that led here was told
            except JudgeFault as fault:
                raise self._error(fault.kind, str(fault)) from None
            if reply.finish_reason != "stop":
                raise self._error("unreadable", f"finish reason {reply.finish_reason}")
            try:
                terms = rubric.read(reply.text)
            except BadVerdict as error:
                raise self._error("unreadable", str(error)) from None
            price = self.prices[0] * reply.prompt_tokens + self.prices[1] * reply.completion_tokens
            costs = {
                "judge/calls": 1.0,
                "judge/retries": attempt.retry_state.attempt_number - 1.0,
                "judge/prompt_tokens": float(reply.prompt_tokens),
                "judge/reply_tokens": float(reply.completion_tokens),
                "judge/seconds": self.clock() - began,
                "judge/cost": price / 1e6,
            }
            return {"terms": terms, "costs": costs}

    async def _attempts(self) -> AsyncIterator[tenacity.AttemptManager]:
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, JudgeFault) and e.again),
            stop=tenacity.stop_after_attempt(self.limits.attempts),
            wait=_pause,
            reraise=True,
        ):
            if attempt.retry_state.attempt_number > 1:
                await self._pace()
            yield attempt

    async def _pace(self) -> None:
        if self._rate is not None:
            await self._rate.acquire()

    async def _once(self, rubric: Rubric, texts: Mapping[str, str]) -> Reply:
        while wait := self.breaker.wait_s(self.clock()):
            await asyncio.sleep(wait)
        try:
            reply = await self.backend.complete(rubric.prompt(texts), rubric.schema)
        except JudgeFault as fault:
            if fault.retry_after_s:
                self.breaker.pause(self.clock(), fault.retry_after_s)
            if fault.again and fault.kind != "limited":
                self.breaker.failed(self.clock(), f"{fault.kind}, {fault}")
            else:  # it did answer
                self.breaker.succeeded()
            raise
        except asyncio.CancelledError:  # the deadline: an answer that does not come is a fault
            self.breaker.failed(self.clock(), "timeout, no answer by the deadline")
            raise
        except (ValueError, ArithmeticError, RecursionError) as error:  # what reading may raise
            self.breaker.failed(self.clock(), f"unreadable, {type(error).__name__}")
            raise JudgeFault("unreadable", f"{type(error).__name__}: {error}", True) from error
        except BaseException as error:  # not the judge's fault, but a probe must not stay out
            self.breaker.failed(self.clock(), type(error).__name__)
            raise
        self.breaker.succeeded()
        return reply

    def _error(self, kind: str, detail: str) -> JudgeError:
        _log.warning("judge: %s: %s", kind, loggable(detail))
        return JudgeError(kind, loggable(detail))


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds before the next attempt: backed off with jitter, or what the server asked for, which
    the breaker sees to."""
    fault = state.outcome.exception() if state.outcome else None
    asked = isinstance(fault, JudgeFault) and fault.retry_after_s > 0
    return 0.0 if asked else _BACKOFF(state)


def open_cache(folder: str) -> diskcache.Cache | None:
    """The verdicts kept on disk, the least used forgotten first; None for no folder. JSON, since
    the library's own format would run code that somebody left there.

    Raises:
        ConfigError: the folder cannot be one, or holds what is no cache.
    """
    if not folder:
        return None
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return diskcache.Cache(
            str(path),
            timeout=1.0,  # seconds; all verdicts wait while it is locked
            disk=diskcache.JSONDisk,
            size_limit=CACHE_BYTES,
            eviction_policy="least-recently-used",
        )
    except _NO_CACHE as error:
        raise ConfigError(
            f"reward.judge.cache: no verdicts can be kept in {path} ({type(error).__name__}: "
            f'{error}); name a folder on a local disk, or "" to keep none'
        ) from None
