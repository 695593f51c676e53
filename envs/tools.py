"""Environments whose tools are typed Python functions.

A tool author writes functions (or methods of a world) with type hints and a docstring; `ToolEnv`
tells the policy of them, checks every call against their schema and answers it. Whatever the policy
writes gets an answer: what is wrong with a call is told to it, and recorded, by its `CallError`.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import math
import re
import time
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from envs.tool_schema import Tool, tool_of
from envs.types import CallRecord, Env, Message, Step, Task, ToolCall

T = TypeVar("T")


class CallError(StrEnum):
    """What became of a call that was not answered with the tool's result."""

    INVALID_JSON = "invalid_json"  # the text of the call could not be read
    UNKNOWN_TOOL = "unknown_tool"
    INVENTED_ARGUMENT = "invented_argument"  # a parameter that the tool does not have
    INVALID_ARGUMENTS = "invalid_arguments"  # missing, of the wrong type, or not allowed
    TOO_LARGE = "too_large"  # arguments too long, too deep, or a number out of range
    TOO_MANY_CALLS = "too_many_calls"
    REFUSED = "refused"  # well-formed, but the tool says no: it raised ValueError and the like
    DEADLINE = "deadline"  # the work was ended at its deadline, or no time was left to begin it
    FAILED = "failed"  # the tool was unavailable, through no fault of the policy


REFUSALS = (ValueError, ArithmeticError, LookupError)
"""What a tool raises when it will not do what was asked; the message goes to the policy."""

ERROR_CHARS = 300  # of a message to the policy
CUT = re.compile(r"\n\[cut: (\d+) bytes in all\]\Z")

limited: set[str] = set()
"""Tools that this process calls one at a time in a turn; its host counts how many turns use one."""


class ToolUnavailable(Exception):
    """Raised by a tool that cannot answer now, whatever it is asked: the policy may try again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one episode may ask for. `result_bytes` is of one result, in UTF-8.

    No tool is begun once those before it have taken `turn_s` seconds in this turn, or `episode_s`
    in all. With one call more these stay within a run's deadlines, so that a policy which calls
    what is slow is told of it, and does not end its own sample without a verdict.
    """

    calls_per_turn: int = 8
    calls_per_episode: int = 32
    turn_s: float = 45.0
    episode_s: float = 180.0
    result_bytes: int = 4096
    argument_chars: int = 8192
    argument_depth: int = 8


class EpisodeLoop:
    """The event loop of an episode's coroutines, made when it is first needed. Where nobody closes
    it, it ends with whoever holds it."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._is_new = True

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine, in whichever thread calls."""
        if self._is_new:
            weakref.finalize(self, self._runner.get_loop().close)
            self._is_new = False
        return self._runner.run(coroutine)

    def close(self) -> None:
        """Cancel what is still under way."""
        self._runner.close()


class ToolEnv:
    """One episode of a policy that may call tools (an `Env`).

    `reset` tells the policy of the tools; a reply with calls is answered in their order, one
    message for each; a reply without any ends the episode, and `score`, the world's verdict on its
    own state, is asked for then. `close` gives back what the world holds.

    Functions are called one after another. Coroutine functions (`async def`) that follow each other
    in a turn are waited for together: one may begin before another has ended. All of an episode's
    run in one event `loop`, so that what they keep open stays theirs.

    A tool's ValueError, ArithmeticError, LookupError, TimeoutError and `ToolUnavailable` become
    answers. Any other exception is a fault of the tool and is raised: no verdict may rest on it.

    Example: `ToolEnv([calculate])`, or `ToolEnv([world.balance, world.pay], score=world.score)`.
    """

    def __init__(
        self,
        tools: Iterable[Tool | Callable[..., Any]],
        limits: Limits | None = None,
        score: Callable[[], float] | None = None,
        close: Callable[[], None] | None = None,
        loop: EpisodeLoop | None = None,
    ) -> None:
        made = [tool if isinstance(tool, Tool) else tool_of(tool) for tool in tools]
        self._tools = {tool.spec.name: tool for tool in made}
        if len(self._tools) != len(made):
            names = sorted(tool.spec.name for tool in made)
            raise ValueError(f"two tools share a name: {', '.join(names)}; rename one of them")
        self._limits = limits or Limits()
        self._score, self._close = score, close
        self._loop = loop or EpisodeLoop()
        self._num_calls = 0
        self._turn_s = self._episode_s = 0.0  # that tools have taken

    def reset(self, task: Task) -> Step:
        self._num_calls = 0
        self._turn_s = self._episode_s = 0.0
        specs = tuple(tool.spec for tool in self._tools.values())
        return Step(task.prompt, done=False, tools=specs)

    def step(self, reply: Message) -> Step:
        calls = reply.tool_calls
        self._turn_s = 0.0
        answered = calls[: self._limits.calls_per_turn]
        records = self._answers(answered)
        messages = [Message("tool", record.result) for record in records]
        if surplus := calls[len(answered) :]:
            # One answer to all of them: the policy must not be able to order a flood of messages.
            text = f"only the first {len(answered)} calls of a turn are answered"
            refusal = _problem(CallError.TOO_MANY_CALLS, text)
            messages.append(Message("tool", refusal))
            error = str(CallError.TOO_MANY_CALLS)
            records += [CallRecord(call, refusal, error) for call in surplus]
        return Step(
            messages=tuple(messages),
            done=not calls,
            reward=self._score() if self._score and not calls else None,
            calls=tuple(records),
        )

    def close(self) -> None:
        try:
            if self._close:
                self._close()
        finally:
            self._loop.close()

    def _answers(self, calls: Sequence[ToolCall]) -> list[CallRecord]:
        records: list[CallRecord] = []
        for batch in self._batches(calls):
            started = time.perf_counter()
            if len(batch) == 1:
                records.append(self._answer(batch[0]))
            else:
                records += self._loop.run(self._answer_together(batch))
            seconds = time.perf_counter() - started
            self._turn_s += seconds
            self._episode_s += seconds
        return records

    def _batches(self, calls: Sequence[ToolCall]) -> Iterator[list[ToolCall]]:
        """The calls in their order; those that may be waited for together in one list."""
        for waits, some in itertools.groupby(calls, self._waits):
            if waits:
                yield list(some)
            else:
                yield from ([call] for call in some)

    def _waits(self, call: ToolCall) -> bool:
        tool = self._tools.get(call.name)
        if tool is None or call.name in limited:
            return False
        return inspect.iscoroutinefunction(tool.function)

    def _answer(self, call: ToolCall) -> CallRecord:
        started = time.perf_counter()
        if problem := self._problem(call):
            return self._record(call, *problem, started)
        try:
            result = self._tools[call.name].function(**call.arguments)
            # Episodes are played in threads, so a tool may be a coroutine function, too.
            text = as_text(self._loop.run(result) if inspect.iscoroutine(result) else result)
        except Exception as error:
            return self._record(call, *_answer_to(error), started)
        return self._record(call, None, text, started)

    async def _answer_together(self, calls: Sequence[ToolCall]) -> list[CallRecord]:
        return await asyncio.gather(*map(self._answer_waiting, calls))

    async def _answer_waiting(self, call: ToolCall) -> CallRecord:
        started = time.perf_counter()
        if problem := self._problem(call):
            return self._record(call, *problem, started)
        try:
            text = as_text(await self._tools[call.name].function(**call.arguments))
        except Exception as error:
            return self._record(call, *_answer_to(error), started)
        return self._record(call, None, text, started)

    def _problem(self, call: ToolCall) -> tuple[CallError, str] | None:
        """Count the call; what is wrong with it, so that no tool is to be asked."""
        self._num_calls += 1
        if self._num_calls > self._limits.calls_per_episode:
            most = self._limits.calls_per_episode
            return CallError.TOO_MANY_CALLS, f"no more than {most} calls; answer now"
        if call.error:
            return CallError.INVALID_JSON, call.error
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools)
            return CallError.UNKNOWN_TOOL, f"no tool {call.name[:60]!r}; there are {known}"
        if problem := too_large(call.arguments, self._limits):
            return CallError.TOO_LARGE, problem
        if problem := tool.problem(call.arguments):
            invented = tool.invented(call.arguments)
            kind = CallError.INVENTED_ARGUMENT if invented else CallError.INVALID_ARGUMENTS
            return kind, problem
        if self._turn_s >= self._limits.turn_s:
            return CallError.DEADLINE, "the calls of this turn have taken too long; call fewer"
        if self._episode_s >= self._limits.episode_s:
            return CallError.DEADLINE, "the calls so far have taken too long; answer now"
        return None

    def _record(
        self, call: ToolCall, error: CallError | None, text: str, started: float
    ) -> CallRecord:
        text = bounded_text(_problem(error, text) if error else text, self._limits.result_bytes)
        return CallRecord(call, text, str(error or ""), time.perf_counter() - started)


def _answer_to(error: Exception) -> tuple[CallError, str]:
    """How a tool's exception is told to the policy. Raises those that are faults of the tool."""
    if isinstance(error, REFUSALS):
        return CallError.REFUSED, str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        return CallError.DEADLINE, str(error) or "not finished in time"
    if isinstance(error, ToolUnavailable):
        return CallError.FAILED, str(error) or "the tool is unavailable; try again"
    raise error


class TaskEnv:
    """An `Env` whose tools depend on the task: `open_episode` makes what each episode is played in.

    Example: `TaskEnv(lambda task: ToolEnv([World(task).balance]))`.
    """

    def __init__(self, open_episode: Callable[[Task], Env]) -> None:
        self._open_episode = open_episode
        self._episode: Env | None = None

    def reset(self, task: Task) -> Step:
        self.close()
        self._episode = self._open_episode(task)
        return self._episode.reset(task)

    def step(self, reply: Message) -> Step:
        assert self._episode, "reset comes first"
        return self._episode.step(reply)

    def close(self) -> None:
        if self._episode:
            self._episode.close()
            self._episode = None


def _problem(error: CallError, text: str) -> str:
    """The answer to a call that went wrong: {"error": "unknown_tool", "message": "..."}."""
    short = text if len(text) <= ERROR_CHARS else f"{text[:ERROR_CHARS]}..."
    return json.dumps({"error": str(error), "message": short}, ensure_ascii=False)


def as_text(result: object) -> str:
    """A tool's result as the policy reads it: text as it is, anything else as JSON."""
    if isinstance(result, str):
        return result
    if isinstance(result, bytes):
        return result.decode("utf-8", "replace")
    return json.dumps(result, ensure_ascii=False)


def bounded_text(text: str, max_bytes: int) -> str:
    """`text` as valid UTF-8 without NUL, cut to `max_bytes` with a note of how much there was.

    Lone surrogates and NUL become U+FFFD. The note comes on top of `max_bytes`.
    """
    clean = text.replace("\x00", "\ufffd")
    try:
        data = clean.encode()
    except UnicodeEncodeError:
        data = clean.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    if len(data) <= max_bytes:
        return data.decode()
    kept = data[:max_bytes].decode("utf-8", "ignore")
    return f"{kept}\n[cut: {len(data)} bytes in all]"  # as CUT finds it


def bytes_before_cut(text: str) -> int:
    """How long a text was that `bounded_text` has cut; 0 for one that is whole."""
    found = CUT.search(text)
    return int(found[1]) if found else 0


def too_large(arguments: Mapping[str, Any], limits: Limits) -> str:
    """What is out of bounds in a call's arguments, or "". Values are those that JSON can hold.

    Checked before any schema: characters and depth in all, numbers finite and within 64 bits, text
    that can be encoded.
    """
    chars = 0
    pending: list[tuple[Any, int]] = [(arguments, 1)]
    while pending:
        value, depth = pending.pop()
        if depth > limits.argument_depth:
            return f"arguments nested deeper than {limits.argument_depth}"
        chars += 1
        if isinstance(value, str):
            chars += len(value)
            if any("\ud800" <= char <= "\udfff" for char in value):
                return "text with a lone surrogate"
        elif isinstance(value, Mapping):
            pending.extend((part, depth + 1) for item in value.items() for part in item)
        elif isinstance(value, list):
            pending.extend((part, depth + 1) for part in value)
        elif isinstance(value, int) and abs(value) >= 1 << 63:
            return "a whole number of more than 64 bits"
        elif isinstance(value, float) and not math.isfinite(value):
            return "a number that is not finite"
        if chars > limits.argument_chars:
            return f"arguments longer than {limits.argument_chars} characters"
    return ""


def gold_episode(task: Task) -> tuple[Message, ...]:
    """What a perfect policy writes: one message for each turn of calls, then the answer in a box.

    From `task.metadata["gold_calls"]`, a list of turns, each a list of {"name", "arguments"}.
    """
    turns: Sequence[Sequence[Mapping[str, Any]]] = task.metadata.get("gold_calls", ())
    calls = (tuple(ToolCall(c["name"], c["arguments"]) for c in turn) for turn in turns)
    asked = tuple(Message("assistant", "", turn) for turn in calls)
    return (*asked, Message("assistant", f"\\boxed{{{task.answer}}}"))
