"""Answer cases: files of golds and replies with the verdict that each should get, and their score.

A file is JSON Lines. A case has `gold` (text, a number, a list, null), `prediction` (the reply) and
`expected` (true or false); it may have `id`, `tier`, `category` and what tells the verifier of the
question: `unit`, `percent_question`, `answer_type`, `gold_type`, `tolerance`. The tier
"official:NAME" is scored by that set's own scorer where there is one (SCORERS), every other tier
by the default policy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import DataError
from envs.rows import clean_text
from envs.types import Task
from rewards.numeric import NumericVerifier, gold_of, verify
from rewards.officials import SCORERS

OFFICIAL = "official:"
_TEXTS = ("id", "tier", "category", "answer_type", "gold_type")


@dataclass(frozen=True, slots=True)
class Case:
    """Example: `Case("ac1", task, "94 million", True, "core", "scale_word")`."""

    id: str
    task: Task
    reply: str
    expected: bool
    tier: str
    category: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was said of a case, and whether that was expected."""

    case: Case
    accepted: bool

    @property
    def is_right(self) -> bool:
        return self.accepted == self.case.expected


@dataclass(frozen=True, slots=True)
class Tally:
    """The verdicts of one tier or category, counted."""

    n: int
    false_accepts: int
    false_rejects: int

    @property
    def accuracy(self) -> float:
        return 1.0 - (self.false_accepts + self.false_rejects) / self.n


def read_cases(path: Path) -> list[Case]:
    """The cases of a file. Raises DataError, naming file and line, for one that is malformed."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}; is it a text file in UTF-8?") from error
    cases: dict[str, Case] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            case = _read_case(line, number, where)
            if case.id in cases:
                raise DataError(f"{where}: the id {case.id!r} is taken by an earlier line")
            cases[case.id] = case
    if not cases:
        raise DataError(f"{path}: holds no case")
    return list(cases.values())


def score_cases(cases: Iterable[Case], verifier: NumericVerifier) -> list[Verdict]:
    """Every case scored by its tier's scorer. A gold that nothing can equal accepts nothing."""
    return [Verdict(case, _accepts(case, verifier)) for case in cases]


def has_scorer(tier: str) -> bool:
    return tier.startswith(OFFICIAL) and tier.removeprefix(OFFICIAL) in SCORERS


def tally(verdicts: Sequence[Verdict], key: Callable[[Case], str]) -> dict[str, Tally]:
    """Counts by what `key` says of a case, such as its tier, in the order of the file."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault(key(verdict.case), []).append(verdict)
    return {
        name: Tally(
            len(group),
            sum(v.accepted and not v.is_right for v in group),
            sum(not v.accepted and not v.is_right for v in group),
        )
        for name, group in groups.items()
    }


def _accepts(case: Case, verifier: NumericVerifier) -> bool:
    if has_scorer(case.tier):
        terms = SCORERS[case.tier.removeprefix(OFFICIAL)](case.task, case.reply)
        return next(iter(terms.values())) == 1.0
    try:
        question = verifier.question(case.task.metadata)
        return verify(gold_of(case.task), case.reply, question, latex=verifier.latex) == "equal"
    except DataError:
        return False


def _read_case(line: str, number: int, where: str) -> Case:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is not valid JSON: {error}") from None
    if not isinstance(fields, dict):
        raise DataError(f"{where}: is no object")
    for name in ("gold", "prediction", "expected"):
        if name not in fields:
            raise DataError(f"{where}: lacks '{name}'")
    if not isinstance(fields["prediction"], str) or not isinstance(fields["expected"], bool):
        raise DataError(f"{where}: 'prediction' must be text and 'expected' true or false")
    for name in _TEXTS:
        if not isinstance(fields.get(name, ""), str):
            raise DataError(f"{where}: '{name}' must be text")
    name = clean_text(fields.get("id", f"line {number}"))
    task = _task(name, fields, where)
    reply, expected = fields["prediction"], fields["expected"]
    tier, category = (clean_text(fields.get(key, "")) for key in ("tier", "category"))
    return Case(name, task, reply, expected, tier or "core", category)


def _task(name: str, fields: dict[str, Any], where: str) -> Task:
    """The task that a case asks of; what it says of fractions is left to the policy's default."""
    metadata: dict[str, Any] = {"fractions": True}
    kinds = {"unit": str, "percent_question": bool, "answer_type": str, "gold_type": str}
    for key, kind in kinds.items():
        if fields.get(key) is not None:
            if not isinstance(fields[key], kind):
                raise DataError(f"{where}: '{key}' must be {kind.__name__}")
            metadata[key] = fields[key]
    tolerance = fields.get("tolerance")
    if tolerance is not None:
        if isinstance(tolerance, bool) or not isinstance(tolerance, int | float):
            raise DataError(f"{where}: 'tolerance' must be a number")
        if not 0 <= tolerance < 1:
            raise DataError(f"{where}: 'tolerance' must be from 0 to 1")
        metadata["tolerance"] = tolerance
    gold = fields["gold"]
    if isinstance(gold, list):
        metadata["answers"] = [_text(item) for item in gold]
        gold = "; ".join(metadata["answers"])
    if fields.get("table") is not None:
        metadata["table"] = _table(fields["table"], where)
    return Task(name, "cases", (), _text(gold), {}, metadata)


def _table(rows: Any, where: str) -> list[list[str]]:
    is_table = isinstance(rows, list) and all(isinstance(row, list) for row in rows)
    if not is_table or not all(isinstance(cell, str) for row in rows for cell in row):
        raise DataError(f"{where}: 'table' must be a list of rows, which are lists of text")
    return list(rows)


def _text(gold: Any) -> str:
    return gold if isinstance(gold, str) else "" if gold is None else str(gold)
