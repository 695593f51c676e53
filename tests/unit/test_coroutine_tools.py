"""Tools that are coroutine functions: which are waited for together, and in which event loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from envs.tools import Limits, ToolEnv
from envs.types import Message, ToolCall
from tests.unit.test_tools import TASK, answer


class Broken(Exception):
    """What is no answer of a tool's."""


class Journal:
    """Tools that write down when they begin and end."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def wait(self, name: str, seconds: float = 0.01) -> str:
        """Wait a little."""
        self.seen.append(f"+{name}")
        await asyncio.sleep(seconds)
        self.seen.append(f"-{name}")
        return name

    async def fail(self, how: str) -> str:
        """Fail after a while."""
        await asyncio.sleep(0.01)
        raise {"refused": ValueError, "late": TimeoutError, "broken": Broken}[how](how)

    def do(self, name: str) -> str:
        """Do something at once."""
        self.seen.append(name)
        return name

    @property
    def tools(self) -> list[Callable[..., Any]]:
        return [self.wait, self.fail, self.do]


def wait(name: str, **arguments: Any) -> ToolCall:
    return ToolCall("wait", {"name": name, **arguments})


def test_coroutines_that_follow_each_other_are_waited_for_together() -> None:
    journal = Journal()
    calls = (wait("slow", seconds=0.05), wait("fast"), ToolCall("do", {"name": "x"}), wait("last"))
    records = answer(journal.tools, *calls)
    assert [record.call for record in records] == [*calls]
    assert [record.result for record in records] == ["slow", "fast", "x", "last"]
    assert journal.seen == ["+slow", "+fast", "-fast", "-slow", "x", "+last", "-last"]
    assert records[0].seconds > records[1].seconds > 0


def test_each_of_several_is_answered_for_itself() -> None:
    calls = (
        ToolCall("fail", {"how": "refused"}),
        wait("a"),
        ToolCall("fail", {"how": "late"}),
        ToolCall("wait", {"what": "b"}),
        wait("c"),
        wait("d"),
    )
    records = answer(Journal().tools, *calls, calls_per_episode=5)
    errors = ["refused", "", "deadline", "invented_argument", "", "too_many_calls"]
    assert [record.error for record in records] == errors


def test_a_fault_of_one_is_a_fault_of_the_turn() -> None:
    journal = Journal()
    with pytest.raises(Broken):
        answer(journal.tools, wait("a", seconds=9), ToolCall("fail", {"how": "broken"}))
    assert journal.seen == ["+a"], "and nobody waits for the others"


def test_limited_tools_are_called_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.tools.limited", {"wait"})
    journal = Journal()
    answer(journal.tools, wait("a"), wait("b"))
    assert journal.seen == ["+a", "-a", "+b", "-b"]


def test_time_is_counted_once_for_all_that_are_waited_for() -> None:
    env = ToolEnv(Journal().tools, Limits(turn_s=0.1))
    env.reset(TASK)
    two = (wait("a", seconds=0.06), wait("b", seconds=0.06))
    step = env.step(Message("assistant", "", (*two, ToolCall("do", {"name": "x"}))))
    assert [call.error for call in step.calls] == ["", "", ""]
    step = env.step(Message("assistant", "", (wait("a", seconds=0.11), *two)[::-1]))
    assert [call.error for call in step.calls] == ["", "", ""], "all begin before time is up"
    slow = (ToolCall("do", {"name": "x"}), wait("a", seconds=0.11), ToolCall("do", {"name": "y"}))
    step = env.step(Message("assistant", "", slow))
    assert [call.error for call in step.calls] == ["", "", "deadline"]
    env.close()


def test_an_episode_has_one_event_loop() -> None:
    class Service:
        def __init__(self) -> None:
            self.line = asyncio.Lock()

        async def ask(self) -> str:
            """Ask a service that answers one at a time."""
            async with self.line:
                await asyncio.sleep(0.001)
            return "answered"

    env = ToolEnv([Service().ask])
    env.reset(TASK)
    for _ in range(3):
        step = env.step(Message("assistant", "", (ToolCall("ask", {}),) * 3))
        assert [record.result for record in step.calls] == ["answered"] * 3
    # That it was never closed is a warning of Python's, and an error here, if it is left open.
    del env
    gc.collect()
