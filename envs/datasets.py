"""Task sets and demonstrations from files: TAT-QA, FinQA, ConvFinQA, GSM8K, and rows of any kind.

A file is read once, row by row, so that a bad row can be named; what the rows hold is then kept as
an Arrow table (`datasets.Dataset`), which costs little memory and crosses processes cheaply.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset

from configs.errors import ConfigError, DataError
from envs.benchmarks import (
    TATQA_ANSWER_TYPES,
    convfinqa_draft,
    finqa_draft,
    gsm8k_draft,
    tatqa_draft,
    tatqa_rows,
)
from envs.rows import Draft, Row, RowError, generic_draft, read_rows
from envs.types import Demonstration, Message, Task

SPLITS = ("train", "heldout")
SOURCES = ("tatqa", "finqa", "convfinqa", "gsm8k", "rows")
HELD_OUT_SHARE = 0.1

GoldCheck = Callable[[Task], None]
"""Raises DataError when a task's gold cannot be scored; a verifier's `check_gold`."""


@dataclass(frozen=True, slots=True)
class LoadedTasks:
    """The tasks of one split of a file (a `TaskSet`).

    `fingerprint` is a hash of the tasks themselves, wherever the file lies. `skipped` counts the
    rows left out, by reason: bad ones, where that was asked for, and prompts that were too long.
    """

    data: Dataset
    fingerprint: str
    skipped: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Task:
        if not 0 <= index < len(self.data):
            raise IndexError(f"task {index} of {len(self.data)}")
        return _unpack(self.data[index])


@dataclass(frozen=True, slots=True)
class LoadedDemonstrations:
    """The worked answers of one split of a file (a `DemonstrationSet`).

    A row with chat messages decides itself: it is in thinking mode when its reply begins with
    non-empty `<think>`. Elsewhere a share `thinking_share` of the tasks, drawn by their id, gets
    its working as reasoning and the bare box as reply; the rest holds both in the reply.
    """

    data: Dataset
    fingerprint: str
    skipped: Mapping[str, int]
    thinking_share: float

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Demonstration:
        if not 0 <= index < len(self.data):
            raise IndexError(f"demonstration {index} of {len(self.data)}")
        record = self.data[index]
        task, working, reply = _unpack(record), record["reasoning"], record["reply"]
        strategy = "steps" if working else "straight"
        in_mode = task.env == "rows" or unit_hash("thinking", task.id) < self.thinking_share
        if working and not in_mode:
            return Demonstration(task, False, "", f"{working}\n{reply}", strategy)
        return Demonstration(task, bool(working), working, reply, strategy)


def load_tatqa(
    path: str,
    *,
    split: str = "train",
    held_out_share: float = HELD_OUT_SHARE,
    skip_bad_rows: bool = False,
    check_gold: GoldCheck | None = None,
    max_prompt_chars: int = 0,
    answer_types: Collection[str] = TATQA_ANSWER_TYPES,
) -> LoadedTasks:
    """TAT-QA: a JSON list of contexts (table, paragraphs, questions). See `load` for the rest.

    `answer_types` chooses among arithmetic, count, span and multi-span.
    """
    if unknown := sorted(set(answer_types) - set(TATQA_ANSWER_TYPES)):
        raise ConfigError(
            f"answer_types: unknown {', '.join(unknown)}; valid are {', '.join(TATQA_ANSWER_TYPES)}"
        )
    selection = Selection(split, held_out_share, skip_bad_rows, check_gold, max_prompt_chars)
    return load("tatqa", path, selection, frozenset(answer_types))


def load_finqa(
    path: str,
    *,
    split: str = "train",
    held_out_share: float = HELD_OUT_SHARE,
    skip_bad_rows: bool = False,
    check_gold: GoldCheck | None = None,
    max_prompt_chars: int = 0,
) -> LoadedTasks:
    """FinQA: a JSON list of `id`, `user_prompt`, `resp`. See `load` for the rest."""
    selection = Selection(split, held_out_share, skip_bad_rows, check_gold, max_prompt_chars)
    return load("finqa", path, selection)


def load_convfinqa(
    path: str,
    *,
    split: str = "train",
    held_out_share: float = HELD_OUT_SHARE,
    skip_bad_rows: bool = False,
    check_gold: GoldCheck | None = None,
    max_prompt_chars: int = 0,
) -> LoadedTasks:
    """ConvFinQA, flattened: a JSON list of `questions`, `answer`, `text`, `table`, `programs`."""
    selection = Selection(split, held_out_share, skip_bad_rows, check_gold, max_prompt_chars)
    return load("convfinqa", path, selection)


def load_gsm8k(
    path: str,
    *,
    split: str = "train",
    held_out_share: float = HELD_OUT_SHARE,
    skip_bad_rows: bool = False,
    check_gold: GoldCheck | None = None,
    max_prompt_chars: int = 0,
) -> LoadedTasks:
    """GSM8K: JSON lines of `question` and `answer`. Its test file: `held_out_share` 1."""
    selection = Selection(split, held_out_share, skip_bad_rows, check_gold, max_prompt_chars)
    return load("gsm8k", path, selection)


def load_rows(
    path: str,
    *,
    split: str = "train",
    held_out_share: float = HELD_OUT_SHARE,
    skip_bad_rows: bool = False,
    check_gold: GoldCheck | None = None,
    max_prompt_chars: int = 0,
) -> LoadedTasks:
    """JSON, JSON Lines or Parquet with a prompt and an answer; `generic_draft` says which columns.

    Rows written for verl and conversational rows written for TRL load unchanged.
    """
    selection = Selection(split, held_out_share, skip_bad_rows, check_gold, max_prompt_chars)
    return load("rows", path, selection)


def load_demonstrations(
    path: str,
    *,
    source: str = "rows",
    split: str = "train",
    held_out_share: float = HELD_OUT_SHARE,
    skip_bad_rows: bool = False,
    check_gold: GoldCheck | None = None,
    max_prompt_chars: int = 0,
    thinking_share: float = 0.5,
) -> LoadedDemonstrations:
    """Worked answers for SFT from the same files, split in the same way as their tasks.

    Rows give the assistant's message (or `completion`), GSM8K its solution, TAT-QA the derivation
    where there is one; what has no working is a straight answer. See `load` for the rest.
    """
    if not 0 <= thinking_share <= 1:
        raise ConfigError(f"thinking_share: is {thinking_share}; it is a share from 0 to 1")
    selection = Selection(split, held_out_share, skip_bad_rows, check_gold, max_prompt_chars)
    tasks = load(source, path, selection, needs_reply=True)
    return LoadedDemonstrations(
        tasks.data, f"{tasks.fingerprint}-{thinking_share:g}", tasks.skipped, thinking_share
    )


class Selection(NamedTuple):
    """Which rows of a file are wanted, and what happens to the bad ones. See `load`."""

    split: str = "train"
    held_out_share: float = HELD_OUT_SHARE
    skip_bad_rows: bool = False
    check_gold: GoldCheck | None = None
    max_prompt_chars: int = 0


def load(
    source: str,
    path: str,
    selection: Selection,
    kinds: Collection[str] = (),
    needs_reply: bool = False,
) -> LoadedTasks:
    """The tasks of a file that belong to a split.

    Documents, never single questions, are split: one belongs to "heldout" when a hash of its name
    lies under `held_out_share`, whatever else the file holds. `kinds` keeps the tasks with these
    values of the label "task". A bad row raises DataError naming file, row, column and reason; with
    `skip_bad_rows` it is left out and counted. Where `check_gold` is given, a row whose gold it
    rejects is bad. Prompts over `max_prompt_chars` (0: any) are left out and counted. Raises
    DataError too when nothing is left, ConfigError for a wrong argument.
    """
    if selection.split not in SPLITS:
        raise ConfigError(f"split: '{selection.split}' is none of {', '.join(SPLITS)}")
    if not 0 <= selection.held_out_share <= 1:
        raise ConfigError(f"held_out_share: is {selection.held_out_share}; it lies from 0 to 1")
    records: list[dict[str, str]] = []
    skipped: Counter[str] = Counter()
    seen: set[str] = set()
    for row, found in read_drafts(source, Path(path)):
        if kinds and isinstance(found, Draft) and found.task.labels["task"] not in kinds:
            continue
        try:
            draft = checked(found, seen, selection.check_gold, needs_reply)
        except RowError as error:
            if not selection.skip_bad_rows:
                raise DataError(
                    f"{path}, row {row.number}{error}; correct the row, or set "
                    "skip_bad_rows=true to leave such rows out and count them"
                ) from None
            skipped[f"{error.column or 'row'}: {error.reason}"] += 1
            continue
        held_out = unit_hash("split", draft.document) < selection.held_out_share
        if held_out != (selection.split == "heldout"):
            continue
        if 0 < selection.max_prompt_chars < prompt_chars(draft.task):
            skipped[f"prompt: longer than {selection.max_prompt_chars} characters"] += 1
            continue
        records.append(_pack(draft))
    if not records:
        raise DataError(
            f"{path}: no usable row for split '{selection.split}' with held_out_share "
            f"{selection.held_out_share:g}; run `assay data check {path}`"
        )
    digest = blake2b(digest_size=8)
    for record in records:
        digest.update("\x1f".join([*record.values(), "\x1e"]).encode())
    return LoadedTasks(Dataset.from_list(records), digest.hexdigest(), dict(skipped))


def read_drafts(source: str, path: Path) -> Iterator[tuple[Row, Draft | RowError]]:
    """Every row of a file with the task it gives, or with what is wrong with it."""
    rows = read_rows(path)
    for row in tatqa_rows(rows) if source == "tatqa" else rows:
        try:
            yield row, _draft(source, row, path.stem)
        except RowError as error:
            yield row, error


def checked(
    draft: Draft | RowError, seen: set[str], check_gold: GoldCheck | None, needs_reply: bool = False
) -> Draft:
    """The draft, if it is sound: a new id (remembered in `seen`), a gold that can be scored."""
    if isinstance(draft, RowError):
        raise draft
    if draft.task.id in seen:
        raise RowError("id", "is not unique", draft.task.id)
    seen.add(draft.task.id)
    if needs_reply and not draft.reply:
        raise RowError("messages", "hold no assistant message to learn from")
    if check_gold is not None:
        try:
            check_gold(draft.task)
        except DataError as error:
            raise RowError("answer", "is rejected by the verifier", str(error)) from None
    return draft


def prompt_chars(task: Task) -> int:
    return sum(len(message.content) for message in task.prompt)


def unit_hash(*parts: str) -> float:
    """A number in [0, 1) that depends on the parts alone, the same on every machine."""
    digest = blake2b("\x1f".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _draft(source: str, row: Row, stem: str) -> Draft:
    match source:
        case "tatqa":
            return tatqa_draft(row)
        case "finqa":
            return finqa_draft(row)
        case "convfinqa":
            return convfinqa_draft(row)
        case "gsm8k":
            return gsm8k_draft(row, stem)
        case "rows":
            return generic_draft(row, stem)
    raise ConfigError(f"source: '{source}' is none of {', '.join(SOURCES)}")


def _pack(draft: Draft) -> dict[str, str]:
    """A draft as text columns; whatever has structure is JSON."""
    task = draft.task
    return {
        "id": task.id,
        "env": task.env,
        "prompt": json.dumps([message.as_dict() for message in task.prompt]),
        "answer": task.answer,
        "labels": json.dumps(dict(task.labels)),
        "metadata": json.dumps(dict(task.metadata)),
        "reasoning": draft.reasoning,
        "reply": draft.reply,
    }


def _unpack(record: Mapping[str, Any]) -> Task:
    return Task(
        id=record["id"],
        env=record["env"],
        prompt=tuple(Message(m["role"], m["content"]) for m in json.loads(record["prompt"])),
        answer=record["answer"],
        labels=json.loads(record["labels"]),
        metadata=json.loads(record["metadata"]),
    )
