"""Typed functions as tools: schemas, checks, limits, and an answer to whatever is called."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import ConfigError
from envs.draws import SPLITS
from envs.tool_demonstrations import play
from envs.tool_schema import make_tool, tool_of
from envs.tools import CallError, Limits, ToolEnv, ToolUnavailable, bounded_text, gold_episode
from envs.types import CallRecord, Message, Task, ToolCall, ToolSpec

TASK = Task("t/0", "t", (Message("user", "What is 6 / 2?"),), "3")


def divide(
    a: float,
    b: Annotated[float, "what is divided by"],
    places: int = 2,
    mode: Literal["round", "cut"] = "round",
    notes: list[str] | None = None,
) -> str:
    """Divide one number
    by another.

    Args:
        a: what is divided,
            any number
    """
    return str(round(a / b, places))


def answer(tools: list[Callable[..., Any]], *calls: ToolCall, **limits: int) -> list[CallRecord]:
    env = ToolEnv(tools, Limits(**limits))
    env.reset(TASK)
    try:
        return list(env.step(Message("assistant", "", calls)).calls)
    finally:
        env.close()


def error_of(tool: Callable[..., Any], **arguments: Any) -> str:
    [record] = answer([tool], ToolCall(tool.__name__, arguments))
    if record.error:
        assert json.loads(record.result)["error"] == record.error
    return record.error


def test_the_schema_follows_hints_and_docstring() -> None:
    function = tool_of(divide).spec.as_dict()["function"]
    assert function["name"] == "divide"
    assert function["description"] == "Divide one number by another."
    assert function["parameters"] == {
        "type": "object",
        "properties": {
            "a": {"type": "number", "description": "what is divided, any number"},
            "b": {"type": "number", "description": "what is divided by"},
            "places": {"type": "integer", "default": 2},
            "mode": {"type": "string", "enum": ["round", "cut"], "default": "round"},
            "notes": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        },
        "required": ["a", "b"],
        "additionalProperties": False,
    }


def test_methods_are_tools_without_self() -> None:
    class World:
        def __init__(self, balance: int) -> None:
            self.balance = balance

        def spend(self, amount: int) -> dict[str, int]:
            """Spend an amount."""
            self.balance -= amount
            return {"balance": self.balance}

    one, other = World(10), World(100)
    assert "self" not in tool_of(one.spend).parameters
    assert answer([one.spend], ToolCall("spend", {"amount": 3}))[0].result == '{"balance": 7}'
    assert answer([other.spend], ToolCall("spend", {"amount": 3}))[0].result == '{"balance": 97}'


def _no_hint(a) -> str:  # type: ignore[no-untyped-def]
    """A tool."""
    return str(a)


def _no_docstring(a: int) -> str:
    return str(a)


def _any_number(*a: int) -> str:
    """A tool."""
    return str(a)


def _of_a_set(a: set[int]) -> str:
    """A tool."""
    return str(a)


def _describes_another(a: int) -> str:
    """A tool.

    Args:
        b: it is not there
    """
    return str(a)


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (_no_hint, "no type hint"),
        (_no_docstring, "no docstring"),
        (_any_number, "must be a named one"),
        (_of_a_set, "has no schema"),
        (_describes_another, "describes 'b'"),
        (len, "functions or methods"),
    ],
)
def test_what_cannot_be_a_tool_says_why(function: Callable[..., Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        tool_of(function)


def test_a_tool_may_be_a_coroutine_function() -> None:
    async def wait(seconds: float) -> str:
        """Wait a little."""
        await asyncio.sleep(seconds)
        return "waited"

    assert answer([wait], ToolCall("wait", {"seconds": 0.001}))[0].result == "waited"


def test_no_expression_of_a_foreign_schema_is_searched_for() -> None:
    slow = {"type": "string", "pattern": "^([a-z0-9]+)*@x$", "maxLength": 60}
    schema = {
        "properties": {"a": slow, "pattern": {"type": "integer"}},
        "additionalProperties": False,
    }
    tool = make_tool(ToolSpec("find", "Find.", schema), lambda **_: "found")
    assert tool.problem({"a": "a" * 50 + "!"}) == ""
    assert "too long" in tool.problem({"a": "a" * 61})
    assert "not of type" in tool.problem({"pattern": "x"}), "a parameter may be called pattern"
    open_ended = make_tool(ToolSpec("f", "F.", {"patternProperties": {"^(x+)*$": slow}}), len)
    assert open_ended.problem({"x" * 50 + "!": 1}) == ""


def test_multiples_are_those_of_decimals() -> None:
    price = {"properties": {"price": {"type": "number", "multipleOf": 0.01}}}
    tool = make_tool(ToolSpec("bid", "Bid.", price), lambda **_: "done")
    assert tool.problem({"price": 0.07}) == ""
    assert "multiple of 0.01" in tool.problem({"price": 0.075})


def test_a_schema_without_end_is_no_fault() -> None:
    tool = make_tool(ToolSpec("f", "F.", {"$ref": "#"}), lambda **_: "done")
    assert "without end" in tool.problem({})


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="share a name"):
        ToolEnv([divide, divide])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"a": 6, "b": 2}, ""),
        ({"a": 6, "b": 2.5, "places": 1, "mode": "cut", "notes": ["x"]}, ""),
        ({"a": 6, "b": 0}, CallError.REFUSED),
        ({"a": 6}, CallError.INVALID_ARGUMENTS),
        ({"a": 6, "b": 2, "c": 1}, CallError.INVENTED_ARGUMENT),
        ({"a": "6", "b": 2}, CallError.INVALID_ARGUMENTS),
        ({"a": True, "b": 2}, CallError.INVALID_ARGUMENTS),
        ({"a": 6, "b": 2, "places": 1.0}, CallError.INVALID_ARGUMENTS),
        ({"a": 6, "b": 2, "mode": "up"}, CallError.INVALID_ARGUMENTS),
        ({"a": 6, "b": 2, "notes": [1]}, CallError.INVALID_ARGUMENTS),
        ({"a": 10**30, "b": 2}, CallError.TOO_LARGE),
        ({"a": float("nan"), "b": 2}, CallError.TOO_LARGE),
        ({"a": "\ud800", "b": 2}, CallError.TOO_LARGE),
        ({"a": "x" * 10_000, "b": 2}, CallError.TOO_LARGE),
        ({"x" * 10_000: 1}, CallError.TOO_LARGE),
        ({"a": [[[[[[[[[1]]]]]]]]], "b": 2}, CallError.TOO_LARGE),
        ({"a": [0] * 10_000, "b": 2}, CallError.TOO_LARGE),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], error: str) -> None:
    assert error_of(divide, **arguments) == error


def test_an_unknown_tool_and_unreadable_text_are_answered() -> None:
    unknown, unreadable = answer([divide], ToolCall("multiply", {}), ToolCall("", {}, "no brace"))
    assert unknown.error == CallError.UNKNOWN_TOOL
    assert "divide" in unknown.result
    assert unreadable.error == CallError.INVALID_JSON
    assert "no brace" in unreadable.result


def test_parallel_calls_are_answered_in_order() -> None:
    env = ToolEnv([divide])
    calls = tuple(ToolCall("divide", {"a": a, "b": 2}) for a in (2, 8, 4))
    step = env.step(Message("assistant", "", calls))
    assert [message.content for message in step.messages] == ["1.0", "4.0", "2.0"]
    assert {message.role for message in step.messages} == {"tool"}
    assert not step.done
    assert env.step(Message("assistant", "done")).done


def test_too_many_calls_are_counted_and_answered_once() -> None:
    call = ToolCall("divide", {"a": 6, "b": 2})
    env = ToolEnv([divide], Limits(calls_per_turn=2, calls_per_episode=3))
    first = env.step(Message("assistant", "", (call,) * 50))
    assert [record.error for record in first.calls] == ["", "", *["too_many_calls"] * 48]
    assert len(first.messages) == 3
    second = env.step(Message("assistant", "", (call, call)))
    assert [record.error for record in second.calls] == ["", "too_many_calls"]
    env.reset(TASK)
    assert env.step(Message("assistant", "", (call,))).calls[0].error == ""


def test_tools_that_take_long_are_no_way_past_the_deadlines() -> None:
    def wait() -> str:
        """Take a while."""
        time.sleep(0.01)
        return "done"

    def errors(**limits: float) -> list[list[str]]:
        env = ToolEnv([wait], Limits(**limits))  # type: ignore[arg-type]
        env.reset(TASK)
        calls = Message("assistant", "", (ToolCall("wait", {}),) * 2)
        return [[record.error for record in env.step(calls).calls] for _ in range(2)]

    late = CallError.DEADLINE
    assert errors() == [["", ""], ["", ""]]
    assert errors(turn_s=0.01) == [["", late], ["", late]]
    assert errors(episode_s=0.01) == [["", late], [late, late]]


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (KeyError("k"), CallError.REFUSED),
        (TimeoutError("3 s"), CallError.DEADLINE),
        (ToolUnavailable(), CallError.FAILED),
    ],
)
def test_what_a_tool_may_raise(raised: Exception, error: str) -> None:
    def fail() -> str:
        """Always fail."""
        raise raised

    assert error_of(fail) == error


def test_a_fault_of_the_tool_is_raised() -> None:
    def fail() -> str:
        """Always fail."""
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        answer([fail], ToolCall("fail", {}))


def test_the_world_scores_its_state_once_at_the_end_and_is_closed() -> None:
    state: list[str] = []

    def note(text: str) -> str:
        """Write a note."""
        state.append(text)
        return "written"

    def score() -> float:
        state.append("asked")
        return float(state == ["a", "asked"])

    env = ToolEnv([note], score=score, close=state.clear)
    call = ToolCall("note", {"text": "a"})
    assert env.reset(Task("t", "e", (), "")).reward is None
    assert env.step(Message("assistant", "", (call,))).reward is None
    assert env.step(Message("assistant", "done")).reward == 1.0
    env.close()
    assert state == []


def test_results_are_bounded_and_valid_text() -> None:
    results = {
        "plain": "x" * 10**7,
        "binary": bytes(range(256)),
        "surrogate": "a\ud800b\U0001f600",
        "nested": {"a": [1, None]},
    }

    def fetch(name: str) -> Any:
        """Fetch something."""
        return results[name]

    records = {
        name: answer([fetch], ToolCall("fetch", {"name": name}), result_bytes=100)[0].result
        for name in results
    }
    assert records["plain"].startswith("x" * 100)
    assert records["plain"].endswith("[cut: 10000000 bytes in all]")
    assert "\x00" not in records["binary"]
    assert records["surrogate"] == "a\ufffdb\U0001f600"
    assert records["nested"] == '{"a": [1, null]}'


@settings(max_examples=50)
@given(st.text(st.characters(codec=None)), st.integers(1, 40))
def test_bounded_text_never_fails(text: str, most: int) -> None:
    data = bounded_text(text, most).encode()
    assert len(data) <= most + 40
    assert b"\x00" not in data


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=15)
@given(st.sampled_from(["divide", "other"]), st.dictionaries(st.text() | st.just("a"), VALUES))
def test_whatever_is_called_is_answered(name: str, arguments: dict[str, Any]) -> None:
    [record] = answer([divide], ToolCall(name, arguments))
    assert record.error in {*CallError}
    record.result.encode()


def test_a_foreign_schema_is_checked_and_fetches_nothing() -> None:
    def echo(**arguments: Any) -> Any:
        return arguments

    remote = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}}
    with pytest.raises(ConfigError, match="not a JSON schema"):
        make_tool(ToolSpec("echo", "Echo.", {"type": "nonsense"}), echo)
    with pytest.raises(ConfigError, match="elsewhere"):
        make_tool(ToolSpec("echo", "Echo.", remote), echo)


A = {"properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("schema", "arguments", "error"),
    [
        (A, {"a": 1}, ""),
        (A, {"a": 1, "b": 2}, CallError.INVENTED_ARGUMENT),
        (A, {"a": "1"}, CallError.INVALID_ARGUMENTS),
        (A | {"additionalProperties": False}, {"b": 2}, CallError.INVENTED_ARGUMENT),
        (A | {"additionalProperties": True}, {"b": 2}, ""),
        (A | {"additionalProperties": True}, {"a": "1", "b": 2}, CallError.INVALID_ARGUMENTS),
        (A | {"additionalProperties": {"type": "integer"}}, {"b": 2}, ""),
        (
            A | {"additionalProperties": {"type": "integer"}},
            {"b": "2"},
            CallError.INVALID_ARGUMENTS,
        ),
        (A | {"patternProperties": {"^x_": {"type": "integer"}}}, {"x_1": 1}, ""),
        (A | {"patternProperties": {"^x_": {}}}, {"b": 1}, ""),
        ({}, {"b": 1}, CallError.INVENTED_ARGUMENT),
        ({"$ref": "#/$defs/A", "$defs": {"A": A}}, {"a": 1}, ""),
        ({"$ref": "#/$defs/A", "$defs": {"A": A}}, {"b": 1}, CallError.INVENTED_ARGUMENT),
        ({"anyOf": [A, {"properties": {"b": {"type": "null"}}}]}, {"a": "1", "b": None}, ""),
        ({"allOf": [A, True, {"$ref": "#"}]}, {"c": 1}, CallError.INVENTED_ARGUMENT),
        ({"if": A, "then": {"properties": {"c": {}}}, "else": False}, {"c": 1}, ""),
    ],
)
def test_what_a_foreign_schema_does_not_tell_of_is_invented(
    schema: dict[str, Any], arguments: dict[str, Any], error: str
) -> None:
    calls: list[dict[str, Any]] = []

    def note(**arguments: Any) -> str:
        calls.append(arguments)
        return "noted"

    tool = make_tool(ToolSpec("note", "Note.", {"type": "object", **schema}), note)
    [record] = ToolEnv([tool]).step(Message("assistant", "", (ToolCall("note", arguments),))).calls
    assert record.error == error
    assert calls == ([] if error else [arguments])


def test_the_example_of_the_docs_works(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[2] / "docs" / "tools.md"
    [block] = re.findall(r"```python\n(.+?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    package = ModuleType("my_package")
    monkeypatch.setitem(sys.modules, "my_package", package)
    exec(block, vars(package))
    task = package.DeskTasks()[3]
    steps = play(task, gold_episode(task))
    assert [record.error for step in steps for record in step.calls] == ["", ""]
    assert steps[-1].done
    assert steps[-1].reward == 1.0
    assert play(task, [Message("assistant", "")])[-1].reward == 0.0
    asked = [{tasks[i].prompt for i in range(50)} for tasks in map(package.DeskTasks, SPLITS)]
    assert not set.intersection(*asked)


def test_the_gold_episode_is_what_metadata_says() -> None:
    turns = [[{"name": "divide", "arguments": {"a": 6, "b": 2}}]]
    task = Task("t/0", "t", TASK.prompt, "3", metadata={"gold_calls": turns})
    asked, told = gold_episode(task)
    assert asked.tool_calls == (ToolCall("divide", {"a": 6, "b": 2}),)
    assert told.content == "\\boxed{3}"
