"""Read rows of any JSON, JSON Lines or Parquet file, and turn the common row shapes into tasks.

What is wrong with a row is a `RowError`: the column and a reason without row-specific text, so that
equal mistakes count as one. Who reads the file decides whether that stops the run.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet

from configs.errors import DataError
from envs.types import Message, Task

ROLES = ("system", "user", "assistant", "tool")
ANSWER_COLUMNS = ("answer", "solution", "ground_truth")

_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")
_THINK = re.compile(r"\s*<think>(.*?)</think>(.*)", re.DOTALL)
_BOXED = re.compile(r".*\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}", re.DOTALL)
_HASHES = re.compile(r".*####\s*(\S[^\n]*)", re.DOTALL)


class RowError(Exception):
    """A row cannot be used; `column` "" means the row as a whole.

    `reason` is the same for every row with this mistake, `detail` belongs to the one row.
    """

    def __init__(self, column: str, reason: str, detail: str = "") -> None:
        where = f", column '{column}': " if column else ": "
        super().__init__(f"{where}{reason}{detail and ': '}{detail}")
        self.column, self.reason = column, reason


class Draft(NamedTuple):
    """A task as one row gives it, with its document, and a worked answer where there is one.

    Rows of one document always fall into the same split. `reply` "" means no worked answer.
    """

    task: Task
    document: str
    reasoning: str = ""
    reply: str = ""


class Row(NamedTuple):
    """`number` counts from 1: the line of a JSON Lines file, else the place in list or table."""

    number: int
    content: Any


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file: Parquet by its suffix, a JSON list by its first character, else lines.

    A line that is not JSON yields a RowError as its content. Raises DataError when the file as a
    whole cannot be read.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; correct the path of the task set")
    try:
        if path.suffix == ".parquet":
            yield from _parquet_rows(path)
            return
        with path.open(encoding="utf-8-sig") as file:
            start = file.read(4096).lstrip()[:1]
            file.seek(0)
            yield from _list_rows(file.read()) if start == "[" else _line_rows(file)
    except (pyarrow.ArrowInvalid, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read as {path.suffix[1:] or 'JSON'}: {error}; "
            "is it complete, and in UTF-8?"
        ) from error


def _parquet_rows(path: Path) -> Iterator[Row]:
    number = 0
    for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
        for content in batch.to_pylist():
            number += 1
            yield Row(number, content)


def _list_rows(text: str) -> Iterator[Row]:
    for number, content in enumerate(json.loads(text), start=1):
        yield Row(number, content)


def _line_rows(lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield Row(number, json.loads(line))
            except json.JSONDecodeError as error:
                yield Row(number, RowError("", "is not valid JSON", error.msg))


def clean_text(text: str) -> str:
    """Without NUL; lone surrogates become U+FFFD, so that every text can be encoded."""
    if not _UNPRINTABLE.search(text):
        return text
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def fields_of(content: Any) -> Mapping[str, Any]:
    """The columns of a row. Raises RowError when the row is no object or could not be parsed."""
    if isinstance(content, RowError):
        raise content
    if not isinstance(content, dict):
        raise RowError("", f"is {kind_of(content)}, expected an object")
    return content


def text_of(fields: Mapping[str, Any], column: str) -> str:
    """A column that must hold text with something in it."""
    value = value_of(fields, column)
    if not isinstance(value, str):
        raise RowError(column, f"is {kind_of(value)}, expected text")
    if not (text := clean_text(value).strip()):
        raise RowError(column, "is empty")
    return text


def value_of(fields: Mapping[str, Any], column: str) -> Any:
    if fields.get(column) is None:
        raise RowError(column, "is missing")
    return fields[column]


def list_of(fields: Mapping[str, Any], column: str) -> list[Any]:
    value = value_of(fields, column)
    if not isinstance(value, list):
        raise RowError(column, f"is {kind_of(value)}, expected a list")
    return value


def gold_text(value: Any, column: str) -> str:
    """A gold answer as text: numbers in plain form, booleans as yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RowError(column, "is not a finite number")
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return text_of({column: value}, column)


def kind_of(value: Any) -> str:
    """What a JSON value is, in a word with its article."""
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def generic_draft(row: Row, stem: str) -> Draft:
    """The task of a row with `prompt` or `messages`, and an answer.

    `prompt` is text or a list of chat messages (TRL); without it the prompt is `messages` up to the
    last one, which is the assistant's. The gold is `answer`, `solution` or `ground_truth`, else
    `reward_model.ground_truth` (verl), else what the assistant's last message states. A list of
    texts is a gold whose items count in any order. `id` and `document` name the row and what must
    not be torn apart by the split; by default a row's number and its prompt.
    """
    fields = fields_of(row.content)
    prompt, reply = _prompt_and_reply(fields)
    reasoning, visible = split_thinking(reply)
    answers = _answers(fields, visible)
    metadata = {**fields["metadata"]} if isinstance(fields.get("metadata"), dict) else {}
    if len(answers) > 1:
        metadata["answers"] = answers
    name = gold_text(fields["id"], "id") if fields.get("id") is not None else f"{stem}/{row.number}"
    labels = {
        "source": _label(fields, "data_source", stem),
        "task": _label(fields, "ability", "rows"),
        "level": _label(fields, "level", "unrated"),
    }
    document = _label(fields, "document", "\n".join(m.content for m in prompt))
    task = Task(f"rows/{name}", "rows", prompt, "; ".join(answers), labels, metadata)
    return Draft(task, document, reasoning, visible)


def split_thinking(text: str) -> tuple[str, str]:
    """The reasoning inside `<think>` at the start of a reply, and the rest."""
    match = _THINK.fullmatch(text)
    return (match[1].strip(), match[2].strip()) if match else ("", text.strip())


def _prompt_and_reply(fields: Mapping[str, Any]) -> tuple[tuple[Message, ...], str]:
    """The messages of the prompt, and the assistant's reply to it, "" when the row has none."""
    if fields.get("prompt") is None:
        if fields.get("messages") is None:
            raise RowError("prompt", "is missing, and so is 'messages'")
        *prompt, last = _messages(fields, "messages")
        if last.role != "assistant" or not prompt:
            raise RowError("messages", "must be a prompt and then the assistant's answer")
        return tuple(prompt), last.content
    if isinstance(fields["prompt"], str):
        prompt = [Message("user", text_of(fields, "prompt"))]
    else:
        prompt = _messages(fields, "prompt")
        if prompt[-1].role == "assistant":
            raise RowError("prompt", "ends with the assistant's turn")
    completion = fields.get("completion")
    if isinstance(completion, list):
        return tuple(prompt), _messages(fields, "completion")[-1].content
    return tuple(prompt), clean_text(completion) if isinstance(completion, str) else ""


def _messages(fields: Mapping[str, Any], column: str) -> list[Message]:
    messages = list_of(fields, column)
    if not messages:
        raise RowError(column, "is empty")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise RowError(column, f"holds a message without a role of {', '.join(ROLES)}")
        if not isinstance(message.get("content"), str):
            raise RowError(column, "holds a message whose content is not text")
    return [Message(m["role"], clean_text(m["content"])) for m in messages]


def _answers(fields: Mapping[str, Any], reply: str) -> list[str]:
    for column in ANSWER_COLUMNS:
        if fields.get(column) is not None:
            return _golds(fields[column], column)
    reward_model = fields.get("reward_model")
    if isinstance(reward_model, dict) and reward_model.get("ground_truth") is not None:
        return _golds(reward_model["ground_truth"], "reward_model.ground_truth")
    if not reply:
        others = "solution, ground_truth, reward_model.ground_truth and an assistant message"
        raise RowError("answer", f"is missing, and so are {others}")
    return [_stated(reply)]


def _golds(value: Any, column: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise RowError(column, "is empty")
    return [_stated(gold_text(item, column)) for item in values]


def _stated(text: str) -> str:
    """The final answer that a worked solution states: its last box, else what follows "####"."""
    match = _BOXED.match(text) or _HASHES.match(text)
    return match[1].strip() if match else text.strip()


def _label(fields: Mapping[str, Any], column: str, default: str) -> str:
    value: str | Sequence[Any] | Any = fields.get(column)
    return default if value is None else gold_text(value, column)
