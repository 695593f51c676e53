"""Tool calls as text: what is read back, and what is said of what cannot be read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.types import Message, ToolCall
from rollout.tool_format import MAX_CHARS, read_calls, write_calls, written

GOOD = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
CALL = ToolCall("add", {"a": 1})


def test_calls_are_written_as_chat_templates_write_them() -> None:
    assert write_calls([CALL]) == GOOD
    assert write_calls([CALL, ToolCall("净值", {})]).endswith(
        '</tool_call>\n<tool_call>\n{"name": "净值", "arguments": {}}\n</tool_call>'
    )


def test_calls_are_read_in_order_wherever_they_stand() -> None:
    other = GOOD.replace("add", "divide")
    assert read_calls(GOOD) == (CALL,)
    assert read_calls(f"First I add.\n{GOOD}\n{other}") == (CALL, ToolCall("divide", {"a": 1}))
    assert read_calls("No call, \\boxed{3}.") == ()


def test_what_is_only_thought_of_is_not_called() -> None:
    assert read_calls(f"<think>\n{GOOD}\n</think>\n\n\\boxed{{1}}") == ()
    assert read_calls(f"<think>\n{GOOD}") == ()
    assert read_calls(f"<think>\nso\n</think>\n\n{GOOD}") == (CALL,)
    assert read_calls(f"{GOOD}<think>\n{GOOD}") == (CALL,)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("<tool_call>\n{}", "the call is not closed by </tool_call>"),
        ("</tool_call>", "</tool_call> closes no call"),
        ("<tool_call></tool_call>", "not JSON: Expecting value at character 0"),
        ("<tool_call>add(1)</tool_call>", "not JSON: Expecting value at character 0"),
        ("<tool_call>[1]</tool_call>", 'must be an object, {"name": ..., "arguments": {...}}'),
        ("<tool_call>{}</tool_call>", '"name" must be the name of a tool'),
        ('<tool_call>{"name": 3, "arguments": {}}</tool_call>', '"name" must be the name'),
        ('<tool_call>{"name": "add"}</tool_call>', '"arguments" must be an object'),
        (
            '<tool_call>{"name": "add", "arguments": "{}"}</tool_call>',
            '"arguments" must be an object',
        ),
        (
            '<tool_call>{"name": "add", "arguments": {}, "id": 1}</tool_call>',
            'only "name" and "arguments" belong here, not \'id\'',
        ),
        (
            '<tool_call>{"name": "a", "name": "b", "arguments": {}}</tool_call>',
            "not JSON: a key stands twice in one object",
        ),
        (
            '<tool_call>{"name": "a", "arguments": {"x": NaN}}</tool_call>',
            "not JSON: NaN is no JSON number",
        ),
        (f"<tool_call>{'[' * 60_000}</tool_call>", "not JSON: "),
        (f"<tool_call>{'9' * 5000}</tool_call>", "not JSON: "),
        (f"<tool_call>{' ' * MAX_CHARS} </tool_call>", "the call is longer than"),
    ],
)
def test_what_is_wrong_with_a_call_is_said(text: str, error: str) -> None:
    [call] = read_calls(text)
    assert call.error.startswith(error)


def test_a_call_that_was_left_open_does_not_swallow_the_next() -> None:
    first, second = read_calls(f"<tool_call>{{}} {GOOD}")
    assert (first.error != "", second) == (True, CALL)


def test_what_was_understood_of_a_wrong_call_is_kept() -> None:
    [call] = read_calls('<tool_call>{"name": "add", "arguments": {"a": 1}, "x": 0}</tool_call>')
    assert (call.name, call.arguments) == ("add", {"a": 1})


def test_a_message_says_its_calls_once() -> None:
    assert written(Message("assistant", "", (CALL,))) == GOOD
    assert written(Message("assistant", "So:", (CALL,))) == f"So:\n{GOOD}"
    assert written(Message("assistant", GOOD, (CALL,))) == GOOD
    assert written(Message("assistant", "So.")) == "So."


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(st.text(min_size=1), st.dictionaries(st.text(), json_values, max_size=3))
def test_any_call_is_read_back(name: str, arguments: dict[str, object]) -> None:
    call = ToolCall(name, arguments)
    said = write_calls([call])
    if "tool_call>" in json.dumps([name, arguments]) or "think>" in said:
        return
    assert read_calls(said) == (call,)
