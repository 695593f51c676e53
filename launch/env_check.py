"""`assay env check`: whether an environment keeps what training relies on.

Episodes are played in a process that can be killed, as in a run, so that one that hangs or crashes
is a finding too.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from configs.errors import AssayError
from configs.registry import ENVIRONMENTS, bind, resolve
from configs.schema import DeadlinesConfig
from envs.cells import Cells
from envs.episodes import MAX_MESSAGE_BYTES, Deadlines, EnvFault, is_plain
from envs.tool_schema import make_tool
from envs.tools import gold_episode
from envs.types import CallRecord, Message, Step, Task, TaskSet, ToolCall
from rewards.tool_use import ToolUseVerifier
from rl.evaluate import is_correct
from rollout.tool_format import read_calls, write_calls
from rollout.types import Score, StopReason, Trajectory, Turn

TOOL_S, TURN_S = DeadlinesConfig.tool_s, DeadlinesConfig.turn_s
"""A run's, unless it sets others."""
TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
EPISODES_AT_REST = 3
"""Played before what an environment keeps open is counted: a warm process is no leak."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise; `problem` "" means that it is kept."""

    promise: str
    problem: str = ""
    detail: str = ""


@dataclass(slots=True)
class Examination:
    """Plays tasks of an environment and notes what it finds."""

    load: Callable[[str], TaskSet]
    num_tasks: int
    cells: Cells
    folders: Sequence[Path]
    """Where files could be left behind."""
    findings: list[Finding] = field(default_factory=list)
    slowest_s: float = 0.0
    largest_bytes: int = 0
    _numbers: Any = field(default_factory=itertools.count)

    async def run(self) -> None:
        tasks = await self._part("tasks are the same for ever, and splits are apart", self._tasks)
        if not tasks:
            return
        verifier = ToolUseVerifier()
        for promise, check in (
            ("tools have names and schemas of the right form", self._schemas),
            ("the same calls bring the same replies", self._determinism),
            ("a perfect episode scores the maximum", self._gold),
            ("an empty answer scores less", self._empty),
            ("whatever is called is answered", self._hostile),
            ("nothing is left behind", self._leaks),
        ):
            await self._part(promise, lambda check=check: check(tasks, verifier))  # type: ignore[misc]
        limit = self.cells.deadlines.tool_s
        late = f"a call took {self.slowest_s:.1f} s, over {limit:g} s"
        detail = f"the slowest took {self.slowest_s:.2f} s"
        self._note("calls end in time", late if self.slowest_s > limit else "", detail)
        cut = self.largest_bytes >= MAX_MESSAGE_BYTES
        problem = f"one has over {MAX_MESSAGE_BYTES} bytes, and is cut there" if cut else ""
        self._note("results are short", problem, f"the largest has {self.largest_bytes} bytes")

    async def _part(self, promise: str, check: Callable[[], Awaitable[Any]]) -> Any:
        """Note what a check finds: the problem it raises, or the detail it returns."""
        try:
            found = await check()
        except (Broken, EnvFault, AssayError) as problem:
            self._note(promise, str(problem))
            return None
        self._note(promise, "", found if isinstance(found, str) else f"{len(found)} tasks")
        return found

    def _note(self, promise: str, problem: str, detail: str = "") -> None:
        self.findings.append(Finding(promise, problem, detail))

    async def _tasks(self) -> list[Task]:
        train, again, held_out = self.load("train"), self.load("train"), self.load("heldout")
        if train.fingerprint != again.fingerprint:
            raise Broken("two loads of the same tasks have different fingerprints")
        tasks = _spread(train, self.num_tasks)
        if tasks != _spread(again, self.num_tasks):
            raise Broken("the same index gives another task in another load")
        if not tasks:
            raise Broken("there are no tasks")
        if len({task.id for task in tasks}) < len(tasks):
            raise Broken("two tasks have the same id")
        for task in tasks:
            if is_plain(task):
                raise Broken(f"task {task.id}: its env {task.env!r} is no import path")
        trained = [_asked(task) for task in tasks]
        shared = [t.id for t in _spread(held_out, self.num_tasks) if _asked(t) in trained]
        if shared:
            raise Broken(f"held-out task {shared[0]} is asked in training, too")
        return tasks

    async def _schemas(self, tasks: Sequence[Task], verifier: ToolUseVerifier) -> str:
        names: set[str] = set()
        for task in tasks:
            async with self._episode(task) as (opening, _):
                if not opening.messages:
                    raise Broken(f"task {task.id} begins without a message")
                for tool in opening.tools:
                    if not TOOL_NAME.fullmatch(tool.name):
                        raise Broken(
                            f"tool {tool.name!r}: a name is letters, digits, '_', '-', '.'"
                        )
                    if not tool.description:
                        raise Broken(f"tool {tool.name} has no description")
                    if tool.parameters.get("type") != "object":
                        raise Broken(f"tool {tool.name}: its parameters must be an object's schema")
                    make_tool(tool, str)  # raises what is wrong with the schema
                    names.add(tool.name)
        return ", ".join(sorted(names)) or "there are no tools"

    async def _determinism(self, tasks: Sequence[Task], verifier: ToolUseVerifier) -> str:
        for task in tasks:
            first, second = [await self._play(task, gold_episode(task)) for _ in range(2)]
            for turn, (one, other) in enumerate(zip(first, second, strict=False)):
                if _timeless(one) != _timeless(other):
                    raise Broken(f"task {task.id}: the reply to turn {turn} differs between plays")
        return f"{len(tasks)} tasks played twice"

    async def _gold(self, tasks: Sequence[Task], verifier: ToolUseVerifier) -> str:
        with_gold = [task for task in tasks if "gold_calls" in task.metadata or task.answer]
        if not with_gold:
            raise Broken("no task says how it is solved: metadata gold_calls, or an answer")
        for task in with_gold:
            score = await self._score(task, gold_episode(task), verifier)
            conduct = [score.terms[name] for name in ("validity", "grounding")]
            if not is_correct(score.reward) or min(conduct) < 1:
                said = f"{score.reward} ({score.reason}; {dict(score.terms)})"
                raise Broken(f"task {task.id}: its own solution scores {said}")
        return f"{len(with_gold)} tasks"

    async def _empty(self, tasks: Sequence[Task], verifier: ToolUseVerifier) -> str:
        for task in tasks:
            score = await self._score(task, [Message("assistant", "")], verifier)
            if is_correct(score.reward):
                raise Broken(f"task {task.id}: an empty answer scores {score.reward}")
        return f"{len(tasks)} tasks"

    async def _hostile(self, tasks: Sequence[Task], verifier: ToolUseVerifier) -> str:
        async with self._episode(tasks[0]) as (opening, _):
            names = [tool.name for tool in opening.tools]
        attempts = list(_hostile_replies(names))
        for reply in attempts:
            replies = [reply, Message("assistant", "\\boxed{0}")]
            for step in await self._play(tasks[0], replies):
                unanswered = len(step.messages) == 0 and not step.done
                if unanswered:
                    raise Broken(f"no answer to {reply.content[:80]!r}")
        return f"{len(attempts)} calls that no tool expects"

    async def _leaks(self, tasks: Sequence[Task], verifier: ToolUseVerifier) -> str:
        rounds = itertools.cycle(tasks)
        before, files = None, _files(self.folders)
        for number in range(EPISODES_AT_REST + self.num_tasks):
            if number == EPISODES_AT_REST:
                before = self._held()
            await self._play(task := next(rounds), gold_episode(task))
        after, new = self._held(), sorted(_files(self.folders) - files)
        assert before is not None
        for what in before:
            if after[what] > before[what]:
                raise Broken(
                    f"{self.num_tasks} episodes left {after[what] - before[what]} {what} behind"
                )
        if new:
            raise Broken(f"{len(new)} files are left behind: {new[0]}")
        return f"{self.num_tasks} episodes"

    # Playing

    async def _play(self, task: Task, replies: Iterable[Message]) -> list[Step]:
        """The opening and the reply to each message, up to the one that ends the episode."""
        async with self._episode(task) as (opening, name):
            steps = [opening]
            for reply in replies:
                started = time.monotonic()
                step = await self.cells.step(name, reply)
                seconds = (time.monotonic() - started) / max(1, len(reply.tool_calls))
                self.slowest_s = max(self.slowest_s, seconds)
                sizes = (len(message.content.encode()) for message in step.messages)
                self.largest_bytes = max(self.largest_bytes, *sizes, 0)
                steps.append(step)
                if step.done:
                    break
            return steps

    async def _score(
        self, task: Task, replies: Sequence[Message], verifier: ToolUseVerifier
    ) -> Score:
        opening, *steps = await self._play(task, replies)
        return verifier(trajectory_of(task, opening, replies, steps))

    @asynccontextmanager
    async def _episode(self, task: Task) -> AsyncIterator[tuple[Step, str]]:
        name = f"check-{next(self._numbers)}"
        try:
            yield await self.cells.reset(name, task), name
        finally:
            await self.cells.close(name)

    def _held(self) -> dict[str, int]:
        """What the processes that play hold open."""
        cells = psutil.Process().children()
        return {
            "processes": sum(len(cell.children(recursive=True)) for cell in cells),
            "open files": sum(cell.num_fds() for cell in cells),
        }


class Broken(Exception):
    """A promise that is not kept."""


def examine(name: str, args: dict[str, Any], num_tasks: int) -> list[Finding]:
    """Play `num_tasks` tasks of an environment in every way that matters.

    Raises ConfigError where there is none of that name, or its arguments are wrong.
    """
    load = loader(name, args)

    async def main(folders: Sequence[Path]) -> list[Finding]:
        cells = Cells(1, Deadlines(TOOL_S, TURN_S))
        examination = Examination(load, num_tasks, cells, folders)
        try:
            await examination.run()
        finally:
            await cells.end()
        return examination.findings

    with tempfile.TemporaryDirectory(prefix="assay-check-") as temporary:
        os.environ["TMPDIR"] = temporary  # of the processes that play
        return asyncio.run(main((Path(temporary), Path())))


def loader(name: str, args: dict[str, Any]) -> Callable[[str], TaskSet]:
    """What loads a split of an environment's tasks. Raises ConfigError."""
    target = bind(resolve(name, ENVIRONMENTS, "environment"), args, name, given=("split",))

    def load(split: str) -> TaskSet:
        tasks: TaskSet = target(split=split)
        return tasks

    return load


def trajectory_of(
    task: Task, opening: Step, replies: Sequence[Message], steps: Sequence[Step]
) -> Trajectory:
    """An episode as training would see it, without tokens."""
    messages = list(opening.messages)
    for reply, step in zip(replies, steps, strict=False):
        messages += [reply, *step.messages]
    rewards = [step.reward for step in (opening, *steps) if step.reward is not None]
    return Trajectory(
        task=task,
        index=0,
        spans=(),
        messages=tuple(messages),
        stop_reason=StopReason.STOP,
        num_turns=len(steps),
        turns=tuple(Turn(0.0, 0.0, step.calls) for step in steps),
        env_reward=rewards[-1] if rewards else None,
    )


def _spread(tasks: TaskSet, count: int) -> list[Task]:
    """`count` tasks evenly over a set; all of a smaller one."""
    count = min(count, len(tasks))
    return [tasks[i * len(tasks) // count] for i in range(count)]


def _asked(task: Task) -> tuple[object, ...]:
    """What makes a task: metadata, too, since one prompt may be asked of many worlds."""
    return task.prompt, task.answer, task.metadata


def _timeless(step: Step) -> Step:
    calls: Iterable[CallRecord] = (replace(call, seconds=0.0) for call in step.calls)
    return replace(step, calls=tuple(calls))


def _hostile_replies(tools: Sequence[str]) -> Iterator[Message]:
    """What a policy may write: calls of tools that do not exist, or not so."""
    deep: Any = {}
    for _ in range(50):
        deep = {"a": deep}
    arguments: list[Any] = [
        {},
        {"no_such_parameter": 1},
        deep,
        {"a": "\ud800"},
        {"a": "x" * 60_000},
    ]
    calls = [ToolCall(name, given) for name in (*tools, "no_such_tool") for given in arguments]
    texts = [write_calls([call]) for call in calls]
    texts += [
        write_calls([ToolCall("no_such_tool", {})] * 100),
        "<tool_call>",
        "<tool_call>not json</tool_call>",
        '<tool_call>{"name": "x", "arguments": "{}"}</tool_call>',
        '<tool_call>{"name": ["x"], "arguments": {}}</tool_call>',
    ]
    for text in texts:
        yield Message("assistant", text, read_calls(text))


def _files(folders: Iterable[Path]) -> set[str]:
    return {str(path) for folder in folders for path in folder.iterdir()}
