"""Episodes in processes: many side by side, and what a hang, a crash or a daemon costs."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import psutil
import pytest

from envs.cells import Cells
from envs.episodes import Deadlines, EnvFault, ThreadEpisodes
from envs.types import Message, Step, Task, ToolCall

TASK = Task("t/1", "tests.integration.environments:Tools", (Message("user", "Go."),), "")


OTHERS: set[psutil.Process] = set()
"""What tests before have left running, such as multiprocessing's own processes."""


@pytest.fixture(autouse=True)
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    now = set(psutil.Process().children())
    monkeypatch.setattr(sys.modules[__name__], "OTHERS", now)


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child not in OTHERS]


def call(name: str, **arguments: Any) -> Message:
    return Message("assistant", "", (ToolCall(name, arguments),))


def said(step: Step) -> list[str]:
    return [message.content for message in step.messages]


def play(
    story: Callable[[Cells], Coroutine[Any, Any, None]],
    count: int = 1,
    tool_s: float = 0.5,
    turn_s: float = 5.0,
    **limits: int,
) -> None:
    async def main() -> None:
        cells = Cells(count, Deadlines(tool_s, turn_s), limits)
        try:
            await story(cells)
        finally:
            await cells.end()

    asyncio.run(main())
    assert children() == []


def test_episodes_side_by_side() -> None:
    async def story(cells: Cells) -> None:
        names = [f"e{i}" for i in range(50)]
        openings = await asyncio.gather(*(cells.reset(name, TASK) for name in names))
        assert openings[0].tools[0].name == "add"
        started = time.monotonic()
        steps = await asyncio.gather(*(cells.step(n, call("wait", seconds=0.2)) for n in names))
        assert time.monotonic() - started < 5, "they wait together"
        assert {text for step in steps for text in said(step)} == {"waited"}
        assert (await cells.step("e7", Message("assistant", "3"))).done
        await asyncio.gather(*(cells.close(name) for name in names))
        assert cells.num_episodes == 0
        assert len(children()) == 2

    play(story, count=2)


@pytest.mark.parametrize("tool", ["spin", "wait"])
def test_a_hang_costs_its_own_episode_and_its_process(tool: str) -> None:
    async def story(cells: Cells) -> None:
        await asyncio.gather(cells.reset("bad", TASK), cells.reset("good", TASK))
        [process] = children()
        arguments = {"seconds": 600} if tool == "wait" else {}
        with pytest.raises(EnvFault, match=r"step did not return within 0\.5 s"):
            await cells.step("bad", call(tool, **arguments))
        await cells.close("bad")
        assert said(await cells.step("good", call("add", a=1, b=2))) == ["3"], "its sibling goes on"
        await cells.reset("next", TASK)
        assert len(children()) == 2, "in a process of its own"
        await cells.close("good")
        await asyncio.to_thread(process.wait, 5)
        assert said(await cells.step("next", call("add", a=1, b=2))) == ["3"]

    play(story)


def test_one_that_holds_everything_up_is_ended_at_its_deadline() -> None:
    async def story(cells: Cells) -> None:
        await asyncio.gather(cells.reset("bad", TASK), cells.reset("good", TASK))
        with pytest.raises(EnvFault):
            await cells.step("bad", call("freeze", seconds=600))
        with pytest.raises(EnvFault):
            await cells.step("good", call("add", a=1, b=2))
        await asyncio.gather(cells.close("bad"), cells.close("good"))
        assert said(await cells.reset("next", TASK)) == ["Go."]

    play(story)


def test_a_siblings_process_is_ended_when_its_time_is_over() -> None:
    async def story(cells: Cells) -> None:
        await asyncio.gather(cells.reset("bad", TASK), cells.reset("idle", TASK))
        with pytest.raises(EnvFault):
            await cells.step("bad", call("spin"))
        await asyncio.sleep(1.5)
        with pytest.raises(EnvFault, match="an episode beside it hung"):
            await cells.step("idle", call("add", a=1, b=2))
        assert children() == []

    play(story, turn_s=1.0)


def test_a_hang_at_the_begin() -> None:
    async def story(cells: Cells) -> None:
        hangs = Task("t/2", "tests.integration.environments:HangsAtReset", (), "")
        with pytest.raises(EnvFault, match="reset did not return within 1 s"):
            await cells.reset("bad", hangs)
        await cells.close("bad")
        await cells.reset("next", TASK)

    play(story, turn_s=1.0)


def test_a_crash_costs_the_episodes_of_its_process() -> None:
    async def story(cells: Cells) -> None:
        await asyncio.gather(*(cells.reset(f"e{i}", TASK) for i in range(4)))
        with pytest.raises(EnvFault, match="its process ended with code -9"):
            await cells.step("e0", call("die"))
        outcomes = await asyncio.gather(
            *(cells.step(f"e{i}", call("add", a=1, b=2)) for i in range(1, 4)),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, EnvFault) for outcome in outcomes) == 1
        await cells.reset("next", TASK)
        assert said(await cells.step("next", call("add", a=2, b=2))) == ["4"]

    play(story, count=2)


def test_what_an_environment_raises_is_told() -> None:
    async def story(cells: Cells) -> None:
        await cells.reset("e", TASK)
        with pytest.raises(EnvFault, match="SystemExit: 3"):
            await cells.step("e", call("leave"))
        missing = Task("t/3", "tests.integration.environments:Nothing", (), "")
        with pytest.raises(EnvFault, match="has no 'Nothing'"):
            await cells.reset("f", missing)
        with pytest.raises(EnvFault, match="the episode is over"):
            await cells.step("g", call("add", a=1, b=2))
        [text] = said(await cells.step("e", call("shout")))
        assert text.endswith("bytes in all]")

    play(story)


def marked(marker: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if marker in str(p.info["cmdline"])]


def test_a_subprocess_of_a_tool_that_kills_its_parent() -> None:
    marker = f"assay-test-{time.time_ns()}"

    async def story(cells: Cells) -> None:
        await asyncio.gather(cells.reset("bad", TASK), cells.reset("good", TASK))
        with pytest.raises(EnvFault, match="its process ended with code -9"):
            await cells.step("bad", call("mutiny", marker=marker))
        assert said(await cells.step("good", call("add", a=1, b=2))) == ["3"], "its sibling goes on"
        await cells.close("bad")
        await cells.reset("next", TASK)
        assert said(await cells.step("next", call("add", a=2, b=2))) == ["4"]
        assert marked(marker) == []

    play(story, count=2, tool_s=10.0, turn_s=10.0)


def test_a_fork_that_kills_its_parent_and_holds_its_socket() -> None:
    async def story(cells: Cells) -> None:
        await asyncio.gather(cells.reset("bad", TASK), cells.reset("good", TASK))
        with pytest.raises(EnvFault, match="its process ended with code -9"):
            async with asyncio.timeout(4):
                await cells.step("bad", call("desertion", seconds=8))
        assert said(await cells.step("good", call("add", a=1, b=2))) == ["3"], "its sibling goes on"
        async with asyncio.timeout(1):
            await cells.end()

    play(story, count=2, tool_s=10.0, turn_s=10.0)


def test_a_daemon_dies_with_its_process() -> None:
    marker = f"assay-test-{time.time_ns()}"

    async def story(cells: Cells) -> None:
        await cells.reset("e", TASK)
        assert said(await cells.step("e", call("daemon", marker=marker))) == ["started"]
        assert len(marked(marker)) == 1

    play(story)
    assert marked(marker) == []


def test_processes_end_with_whoever_started_them() -> None:
    async def story(cells: Cells) -> None:
        await cells.reset("e", TASK)
        [process] = children()
        cells._cells[0]._writer.close()  # what happens when a host is killed
        await asyncio.to_thread(process.wait, 5)

    play(story)


def test_a_tool_that_is_taken_is_waited_for() -> None:
    async def story(cells: Cells) -> None:
        names = [f"e{i}" for i in range(4)]
        await asyncio.gather(*(cells.reset(name, TASK) for name in names))
        started = time.monotonic()
        await asyncio.gather(*(cells.step(n, call("wait", seconds=1.0)) for n in names))
        assert 2.0 <= time.monotonic() - started < 3.8, "two at a time, and waiting is no hanging"

    play(story, tool_s=1.5, wait=2)


@pytest.mark.parametrize(("limits", "answer"), [({}, "met"), ({"meet": 1}, "alone")])
def test_two_calls_of_a_turn_are_one_at_a_limited_tool(limits: dict[str, int], answer: str) -> None:
    async def story(cells: Cells) -> None:
        await cells.reset("e", TASK)
        step = await cells.step("e", Message("assistant", "", (ToolCall("meet", {}),) * 2))
        assert said(step) == [answer] * 2

    play(story, **limits)


def test_a_call_that_is_never_made_takes_nobodys_place() -> None:
    async def story(cells: Cells) -> None:
        await cells.reset("slow", TASK)
        await cells.reset("quick", TASK)
        broken = ToolCall("meet", {}, error="no JSON")
        slow = (ToolCall("wait", {"seconds": 0.4}), broken)
        waiting = asyncio.create_task(cells.step("slow", Message("assistant", "", slow)))
        await asyncio.sleep(0.05)
        assert said(await cells.step("quick", call("meet"))) == ["alone"]
        assert not waiting.done()
        await waiting

    play(story, meet=1)


@pytest.mark.parametrize(("tool", "error"), [("leave", "SystemExit"), ("feign", "Cancelled")])
def test_in_threads_a_tool_that_would_end_its_caller_is_a_fault(tool: str, error: str) -> None:
    async def main() -> None:
        episodes = ThreadEpisodes()
        await episodes.reset("e", TASK)
        with pytest.raises(EnvFault, match=error):
            await episodes.step("e", call(tool))
        await episodes.close("e")

    asyncio.run(main())


def test_a_process_that_cannot_start_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(cells: Cells) -> None:
        monkeypatch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(EnvFault, match="does not start"):
            await cells.reset("e", TASK)

    play(story)
