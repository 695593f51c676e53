"""Where episodes are played: by their id, so that they may live in this process or in another.

PlainEpisodes     plain questions, which need no environment
ThreadEpisodes    in threads of this process, where breakpoints work
Cells             in processes that can be killed (cells.py), which environment hosts run
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from configs.registry import resolve
from envs.tools import bounded_text
from envs.types import Env, Message, Step, Task

MAX_PROMPT_BYTES = 1_000_000
MAX_MESSAGE_BYTES = 16_384
MAX_MESSAGES = 64
MAX_THREADS = 256

MakeEnv = Callable[[Task], Env]


class EnvFault(Exception):
    """An environment raised, hung, died, or said what it may not; it ends one sample."""


class Episodes(Protocol):
    """Plays episodes. Every call may raise `EnvFault`; after one, only `close` is called."""

    async def reset(self, episode: str, task: Task) -> Step:
        """Open an episode."""
        ...

    async def step(self, episode: str, reply: Message) -> Step: ...

    async def close(self, episode: str) -> None:
        """End an episode, also one that was never opened."""
        ...


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds: of one tool call, and of all that an environment does in one turn."""

    tool_s: float = math.inf
    turn_s: float = math.inf

    def of_step(self, reply: Message) -> float:
        return min(self.turn_s, self.tool_s * max(1, len(reply.tool_calls)))


def is_plain(task: Task) -> bool:
    """Whether a task is a plain question: one prompt, one answer."""
    return ":" not in task.env


def make_env(task: Task) -> Env:
    """The environment that plays a task. Raises ConfigError where its name cannot be imported."""
    env: Env = resolve(task.env, {}, f"env of task {task.id}")()
    return env


def checked(step: object, roles: tuple[str, ...], max_bytes: int) -> Step:
    """A step with texts that are valid UTF-8 of bounded length.

    Raises:
        EnvFault: it is no step, speaks in a role that is not its own, or its reward is no number.
    """
    if not isinstance(step, Step):
        raise EnvFault(f"it returned {type(step).__name__}, not a Step")
    if len(step.messages) > MAX_MESSAGES:
        raise EnvFault(f"it said {len(step.messages)} messages at once, over {MAX_MESSAGES}")
    for message in step.messages:
        if message.role not in roles:
            raise EnvFault(f"it spoke as {message.role!r}, not as one of {', '.join(roles)}")
    if step.reward is not None and not math.isfinite(step.reward):
        raise EnvFault(f"its reward is {step.reward}")
    return replace(
        step,
        messages=tuple(
            replace(m, content=bounded_text(m.content, max_bytes)) for m in step.messages
        ),
        calls=tuple(replace(c, result=bounded_text(c.result, max_bytes)) for c in step.calls),
    )


def fault_of(error: BaseException) -> EnvFault:
    """An environment is a plug-in that may raise anything; all of it is `EnvFault`."""
    return error if isinstance(error, EnvFault) else EnvFault(f"{type(error).__name__}: {error}")


class PlainEpisodes:
    """Plain questions: what was asked is the task's prompt, and the answer ends the episode."""

    async def reset(self, episode: str, task: Task) -> Step:
        return Step(task.prompt, done=False)

    async def step(self, episode: str, reply: Message) -> Step:
        return Step(done=True)

    async def close(self, episode: str) -> None:
        return None


@dataclass(slots=True)
class _Seat:
    """One episode: `lock` is held while its environment works, so that closing it waits."""

    env: Env | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True)
class Hall:
    """The episodes of one process, each in whichever threads call. Raises what an environment does,
    and `EnvFault`."""

    make: MakeEnv = make_env
    _seats: dict[str, _Seat] = field(default_factory=dict)

    def reset(self, episode: str, task: Task) -> Step:
        seat = self._seats[episode] = _Seat()
        with seat.lock:
            seat.env = self.make(task)
            opening = seat.env.reset(task)
        return checked(opening, ("system", "user", "assistant", "tool"), MAX_PROMPT_BYTES)

    def step(self, episode: str, reply: Message) -> Step:
        seat = self._seats[episode]
        with seat.lock:
            assert seat.env is not None, "a step comes after a reset"
            step = checked(seat.env.step(reply), ("user", "tool"), MAX_MESSAGE_BYTES)
        if not step.done and not step.messages:
            raise EnvFault("it neither ended the episode nor said anything")
        return step

    def close(self, episode: str) -> None:
        if seat := self._seats.pop(episode, None):
            with seat.lock:
                if seat.env is not None:
                    seat.env.close()


@dataclass(slots=True)
class ThreadEpisodes:
    """Episodes in threads of this process. One that hangs cannot be ended, only left behind."""

    make: MakeEnv = make_env
    deadlines: Deadlines = Deadlines()
    _hall: Hall = field(init=False)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="env")
    )

    def __post_init__(self) -> None:
        self._hall = Hall(self.make)

    async def reset(self, episode: str, task: Task) -> Step:
        step: Step = await self._call(self.deadlines.turn_s, self._hall.reset, episode, task)
        return step

    async def step(self, episode: str, reply: Message) -> Step:
        seconds = self.deadlines.of_step(reply)
        step: Step = await self._call(seconds, self._hall.step, episode, reply)
        return step

    async def close(self, episode: str) -> None:
        await self._call(self.deadlines.turn_s, self._hall.close, episode)

    async def _call(self, seconds: float, call: Callable[..., Any], *args: Any) -> Any:
        running = asyncio.get_running_loop().run_in_executor(self._threads, call, *args)
        await asyncio.wait((running,), timeout=None if math.isinf(seconds) else seconds)
        if not running.done():
            raise EnvFault(f"it did not answer within {seconds:g} s")
        try:
            return running.result()
        # A plug-in may even call sys.exit, or feign that it was cancelled.
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            raise fault_of(error) from error
