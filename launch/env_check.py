"""`assay env check`: whether an environment keeps what training relies on.

Episodes are played in a process that can be killed, as in a run, so that one that hangs or crashes
is a finding too.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
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
from configs.schema import DeadlinesConfig
from envs.cells import Cells
from envs.episodes import MAX_MESSAGE_BYTES, Deadlines, EnvFault, is_plain
from envs.tool_schema import make_tool
from envs.tools import gold_episode
from envs.types import CallRecord, Message, Step, Task, ToolCall
from launch.env_files import NOTES, Watch, left_behind, watch
from launch.env_results import cut_result, lost_answers
from launch.env_tasks import Sample, loader, other_hashes, same, sample, sample_afresh
from rewards.tool_use import ToolUseVerifier
from rl.evaluate import is_correct
from rollout.tool_format import read_calls, write_calls
from rollout.types import Score, StopReason, Trajectory, Turn

TOOL_S, TURN_S = DeadlinesConfig.tool_s, DeadlinesConfig.turn_s
"""A run's, unless it sets others."""
TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
SUSPECTS = "does it use hash() or the order of a set, or draw without a seed?"
EPISODES_AT_REST = 3
"""Played before what an environment keeps open is counted: a warm process is no leak."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise; `problem` "" means that it is kept. `doubt` is what may be meant so, or not."""

    promise: str
    problem: str = ""
    detail: str = ""
    doubt: str = ""


@dataclass(slots=True)
class Examination:
    """Plays tasks of an environment and notes what it finds."""

    load: Callable[[], Sample]
    load_afresh: Callable[[], Sample]
    cells: Cells
    watch: Callable[[Sequence[Task]], Watch]
    findings: list[Finding] = field(default_factory=list)
    slowest_s: float = 0.0
    largest_bytes: int = 0
    cut: str = ""
    """Which result of a perfect episode the policy does not see in full."""
    told: dict[str, list[str]] = field(default_factory=dict)
    """Results of a perfect episode, by the id of its task."""
    others: list[Task] = field(default_factory=list)
    """Tasks that are played only where it matters that they were not before."""
    _numbers: Any = field(default_factory=itertools.count)

    async def run(self) -> None:
        promise = "tasks are the same for ever, and splits are apart"
        tasks: list[Task] | None = await self._part(promise, self._tasks)
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
        over = self.largest_bytes >= MAX_MESSAGE_BYTES
        problem = f"one has over {MAX_MESSAGE_BYTES} bytes, and is cut there" if over else ""
        detail = f"the largest has {self.largest_bytes} bytes"
        self._note("results are short", self.cut or problem, detail)
        golds = [(task.answer, self.told[task.id]) for task in tasks if self.told.get(task.id)]
        doubt, detail = lost_answers(golds)
        self.findings.append(Finding("answers follow from results", "", detail, doubt))

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
        given, again, afresh = self.load(), self.load(), self.load_afresh()
        tasks = given.tasks
        for other, where in ((again, "another load"), (afresh, f"a fresh process; {SUSPECTS}")):
            if given.fingerprints != other.fingerprints:
                raise Broken(f"the fingerprint is another in {where}")
            if not same(given, other):
                raise Broken(f"the same index gives another task in {where}")
        if not tasks:
            raise Broken("there are no tasks")
        if len({task.id for task in tasks}) < len(tasks):
            raise Broken("two tasks have the same id")
        for task in tasks:
            if is_plain(task):
                raise Broken(f"task {task.id}: its env {task.env!r} is no import path")
        trained = [_asked(task) for task in tasks]
        shared = [task.id for task in given.held_out if _asked(task) in trained]
        if shared:
            raise Broken(f"held-out task {shared[0]} is asked in training, too")
        self.others = given.others
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
        plays: dict[str, list[Step]] = {}
        for task in tasks:
            plays[task.id], again = [await self._play(task, gold_episode(task)) for _ in range(2)]
            _compare(task, plays[task.id], again, "a second play")
        variables = {**self.cells.variables, **other_hashes()}
        fresh = Cells(1, self.cells.deadlines, module=self.cells.module, variables=variables)
        try:
            # Backwards, so that what an episode leaves in its process for the next one shows, too.
            for task in reversed(tasks):
                other = await self._play(task, gold_episode(task), fresh)
                _compare(task, plays[task.id], other, f"a fresh process; {SUSPECTS}")
        finally:
            await fresh.end()
        return f"{len(tasks)} tasks played twice, and once more in a fresh process"

    async def _gold(self, tasks: Sequence[Task], verifier: ToolUseVerifier) -> str:
        with_gold = [task for task in tasks if "gold_calls" in task.metadata or task.answer]
        if not with_gold:
            raise Broken("no task says how it is solved: metadata gold_calls, or an answer")
        for task in with_gold:
            opening, *steps = await self._play(task, replies := gold_episode(task))
            self.told[task.id] = [record.result for step in steps for record in step.calls]
            self.cut = self.cut or cut_result(steps)
            score = verifier(trajectory_of(task, opening, replies, steps))
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
        async def play(tasks: Sequence[Task]) -> None:
            for task in tasks:
                await self._play(task, gold_episode(task))

        watch = self.watch(tasks)
        await play([tasks[number % len(tasks)] for number in range(EPISODES_AT_REST)])
        before, files = self._held(), watch.files()
        await play(tasks)
        after, more = self._held(), watch.files()
        for what in before:
            if after[what] > before[what]:
                raise Broken(
                    f"{len(tasks)} episodes left {after[what] - before[what]} {what} behind"
                )
        # Tasks that were not played before, for files that each task makes once.
        await play(self.others)
        if new := left_behind(files, more, watch.files()):
            raise Broken(f"{len(new)} files are left behind: {new[0]}")
        return f"{len(tasks) + len(self.others)} episodes"

    # Playing

    async def _play(
        self, task: Task, replies: Iterable[Message], cells: Cells | None = None
    ) -> list[Step]:
        """The opening and the reply to each message, up to the one that ends the episode."""
        cells = cells or self.cells
        async with self._episode(task, cells) as (opening, name):
            steps = [opening]
            for reply in replies:
                started = time.monotonic()
                step = await cells.step(name, reply)
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
    async def _episode(
        self, task: Task, cells: Cells | None = None
    ) -> AsyncIterator[tuple[Step, str]]:
        cells, name = cells or self.cells, f"check-{next(self._numbers)}"
        try:
            yield await cells.reset(name, task), name
        finally:
            await cells.close(name)

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

    async def main(folder: Path) -> list[Finding]:
        notes, temporary = folder / "notes", folder / "tmp"
        temporary.mkdir()
        variables = {"TMPDIR": str(temporary), NOTES: str(notes)}
        cells = Cells(1, Deadlines(TOOL_S, TURN_S), module="launch.env_files", variables=variables)
        examination = Examination(
            lambda: sample(load, num_tasks),
            lambda: sample_afresh(name, args, num_tasks),
            cells,
            lambda tasks: watch(temporary, (Path(), *_packages(tasks)), notes),
        )
        try:
            await examination.run()
        finally:
            await cells.end()
        return examination.findings

    with tempfile.TemporaryDirectory(prefix="assay-check-") as folder:
        return asyncio.run(main(Path(folder)))


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


def _packages(tasks: Iterable[Task]) -> list[Path]:
    """Folders of the modules that play tasks; those are importable, since they were played."""
    modules = {task.env.partition(":")[0] for task in tasks}
    origins = [spec.origin for name in modules if (spec := importlib.util.find_spec(name))]
    return [Path(origin).parent for origin in origins if origin]


def _compare(task: Task, steps: Sequence[Step], others: Sequence[Step], where: str) -> None:
    """Raise Broken where two plays of the same calls differ in more than time."""
    for turn, (one, other) in enumerate(zip(steps, others, strict=False)):
        if not same(_timeless(one), _timeless(other)):
            raise Broken(f"task {task.id}: the reply to turn {turn} differs in {where}")
