"""How a policy writes tool calls: the form of Hermes, which Qwen's chat templates use too.

    <tool_call>
    {"name": "calculate", "arguments": {"expression": "384 / 12"}}
    </tool_call>

One block a call, any number in a turn. Reading is strict, because a form that is half accepted is
what a policy comes to rely on; what was wrong with a block is said in `ToolCall.error`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from envs.types import Message, ToolCall

OPEN, CLOSE = "<tool_call>", "</tool_call>"
MAX_CHARS = 65_536
"""Of one block; what is longer is not read."""
MAX_DEPTH = 32
"""Of a call: what is nested deeper could be read here, but not sent to another process."""
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"

_TAG = re.compile(f"{OPEN}|{CLOSE}")
_BLOCK = re.compile(f"{OPEN}(.*?){CLOSE}", re.DOTALL)


def write_calls(calls: Iterable[ToolCall]) -> str:
    """The blocks of `calls`, one after another, as chat templates write them."""
    return "\n".join(f"{OPEN}\n{_as_json(call)}\n{CLOSE}" for call in calls)


def written(message: Message) -> str:
    """All that an assistant's message says, its calls included where `content` holds none."""
    if not message.tool_calls or OPEN in message.content:
        return message.content
    separator = "\n" if message.content else ""
    return f"{message.content}{separator}{write_calls(message.tool_calls)}"


def read_calls(text: str) -> tuple[ToolCall, ...]:
    """The calls in what a policy wrote, in order. Reasoning is left out: it calls nothing."""
    visible = text.rpartition("</think>")[2].partition("<think>")[0]
    return tuple(_calls(visible))


def split_blocks(text: str) -> list[str]:
    """`text` cut at its whole blocks: text, body, text, body, ..., text."""
    return _BLOCK.split(text)


def _calls(text: str) -> Iterator[ToolCall]:
    opened: int | None = None
    for tag in _TAG.finditer(text):
        if tag.group() == OPEN:
            if opened is not None:
                yield _wrong(f"a call must be closed by {CLOSE} before the next one begins")
            opened = tag.end()
        elif opened is None:
            yield _wrong(f"{CLOSE} closes no call")
        else:
            yield read_call(text[opened : tag.start()])
            opened = None
    if opened is not None:
        yield _wrong(f"the call is not closed by {CLOSE}")


def read_call(body: str) -> ToolCall:
    """The call in a block's body; its `error` says what is wrong with it."""
    if len(body) > MAX_CHARS:
        return _wrong(f"the call is longer than {MAX_CHARS} characters")
    try:
        call = json.loads(body, object_pairs_hook=_without_duplicates, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        return _wrong(f"not JSON: {error.msg} at character {error.pos}")
    except ValueError as error:
        return _wrong(f"not JSON: {error}")
    except RecursionError:
        return _wrong(TOO_DEEP)
    if _is_deeper(call, MAX_DEPTH):
        return _wrong(TOO_DEEP)
    if not isinstance(call, dict):
        return _wrong('must be an object, {"name": ..., "arguments": {...}}')
    name, arguments = call.get("name"), call.get("arguments")
    known = ToolCall(
        name if isinstance(name, str) else "", arguments if isinstance(arguments, dict) else {}
    )
    if not known.name:
        return _wrong('"name" must be the name of a tool', known)
    if not isinstance(arguments, dict):
        return _wrong('"arguments" must be an object', known)
    if surplus := sorted(call.keys() - {"name", "arguments"}):
        return _wrong(f'only "name" and "arguments" belong here, not {surplus[0]!r:.60}', known)
    return known


def _wrong(error: str, known: ToolCall | None = None) -> ToolCall:
    return ToolCall(known.name if known else "", known.arguments if known else {}, error)


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether objects and lists are nested deeper; without recursion, since they may be by far."""
    inside = [value]
    for _ in range(levels):
        inside = [item for part in inside for item in _items(part)]
    return any(isinstance(part, dict | list) for part in inside)


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _as_json(call: ToolCall) -> str:
    content = {"name": call.name, "arguments": dict(call.arguments)}
    return json.dumps(content, ensure_ascii=False)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return values


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")
