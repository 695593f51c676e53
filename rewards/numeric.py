"""The numeric verifier: does a reply state the gold answer?

Default policy. Relative tolerance 1 %; a gold of 0, a year and a count must be met exactly. "%"
divides by 100. A declared unit allows the bare number, the absolute value and the right scale word.
A bare number may stand for a percentage only where the question asks for one. The sign always
counts. Hedges and sprays are no answer, nor is a fraction where the task asks for its quotient. Of
a reply that was cut off only a marked answer counts. Text must be equal in normal form; lists item
by item.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from configs.errors import DataError
from envs.types import Task
from rewards.choices import read_choices, read_yes_no
from rewards.dates import Day, read_day
from rewards.declared import parse_unit
from rewards.extract import (
    Answer,
    Source,
    extract_answer,
    list_candidates,
    number_candidates,
)
from rewards.golds import (
    KINDS,
    Choices,
    Expression,
    Gold,
    Items,
    Number,
    Range,
    Text,
    YesNo,
    is_same_text,
    normalise,
    read_gold,
    read_range,
)
from rewards.latex import NO_VERDICT, LatexChecker
from rewards.numbers import Quantity, is_close, parse_quantity
from rewards.statements import stated_day, stated_range, without_bullets, without_copula
from rewards.typography import plain
from rewards.units import units_differ
from rollout.types import Score, StopReason, Trajectory

LatexCheck = Callable[[str, str], str]

EXACT = 1e-9
"""Relative slack of an exact comparison: the rounding of a float, nothing more."""
PERCENT_UNITS_FROM = 3.0
"""From this size on a gold without a unit may be in percent units ("37.81" for 37.81 %): a fraction
of three is rarer than a percentage of three."""

_STRONG_SPLIT = re.compile(r"\s*(?:;|；|\n|、|(?<=\s)/(?=\s))\s*(?:and\s+)?")
_WEAK_SPLIT = re.compile(
    r"\s*(?:,(?![0-9]{3}(?![0-9]))|，)\s*(?:and\s+|和)?|\s+(?:and|&)\s+|(?<=[0-9%元年])\s*[和与及]\s*"
)
_EITHER_SPLIT = re.compile(rf"{_STRONG_SPLIT.pattern}|{_WEAK_SPLIT.pattern}")
_YEARS = re.compile(r"(?:the\s+)?(?:fiscal\s+)?years\s+(?=[0-9])", re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_NUMBERING = re.compile(r"^[ \t]*(?:[(]?[1-9][.)]|[*•·])[ \t]+", re.MULTILINE)
_IN_BRACKETS = re.compile(r"\s*\\?[({]([^(){}\\]*)\\?[)}]\s*\.?")
_RESPECTIVELY = re.compile(r",?\s*respectively\.?\s*$", re.IGNORECASE)
_GOLD_TYPES = {"yesno": "yes_no", "bool": "yes_no"}


@dataclass(frozen=True, slots=True)
class Question:
    """What the verifier knows of a question beyond its gold.

    `unit` is the unit that bare numbers are in: "million", "percent", "" when there is none, None
    when that is unknown. `percent_question` says whether a percentage is asked for, None when
    unknown. `answer_type` "count" makes numbers exact, as `tolerance` 0 does. `gold_type`, one of
    `rewards.golds.KINDS`, says what the gold is; "" reads it as what it looks like. Without
    `fractions` "188/2" is no answer, or copying the operands would answer every question about a
    ratio; a gold that is itself a fraction allows them all the same.
    """

    unit: str | None = None
    percent_question: bool | None = None
    answer_type: str = ""
    tolerance: float = 0.01
    fractions: bool = True
    gold_type: str = ""


@dataclass(frozen=True, slots=True)
class NumericVerifier:
    """Scores the last message of a trajectory against its task: 1.0 or 0.0, term "answer".

    Of `task.metadata` it reads `scale` (or, where that is empty, `unit`), `percent_question`,
    `answer_type`, `gold_type`, `tolerance`, `fractions`, and `answers`, the items of a list gold,
    which count in any order. Unless the task says so, fractions are no answer where `answer_type`
    is "arithmetic". Reasons: equal, different, unparseable, no_answer, unclosed_think, truncated;
    with no reward: error, when a fault of ours ended it, latex_timeout and latex_failed, when LaTeX
    could not be compared within `latex_deadline_s`.
    """

    tolerance: float = 0.01
    latex_deadline_s: float = 2.0
    latex: LatexChecker = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "latex", LatexChecker(self.latex_deadline_s))

    def __call__(self, trajectory: Trajectory) -> Score:
        if trajectory.stop_reason is StopReason.ERROR:
            return Score(None, reason="error")
        task = trajectory.task
        truncated = trajectory.stop_reason is StopReason.LENGTH
        question = self.question(task.metadata)
        reason = verify(gold_of(task), trajectory.reply, question, truncated, self.latex)
        if reason in NO_VERDICT:
            return Score(None, reason=reason)
        reward = 1.0 if reason == "equal" else 0.0
        return Score(reward, {"answer": reward}, reason)

    def question(self, metadata: Mapping[str, Any]) -> Question:
        scale = metadata.get("scale")
        return Question(
            scale or metadata.get("unit", scale),
            metadata.get("percent_question"),
            metadata.get("answer_type", ""),
            metadata.get("tolerance", self.tolerance),
            metadata.get("fractions", metadata.get("answer_type") != "arithmetic"),
            metadata.get("gold_type", ""),
        )

    def check_gold(self, task: Task) -> None:
        """Raise DataError, naming the task, when its own gold as the reply would not score 1."""
        gold = gold_of(task)
        stated = gold if isinstance(gold, str) else "; ".join(gold)
        reply = f"\\boxed{{{stated}}}"
        try:
            reason = verify(gold, reply, self.question(task.metadata))
        except DataError as error:
            raise DataError(f"task {task.id}: {error}") from None
        if reason != "equal":
            raise DataError(
                f"task {task.id}: the verifier rejects the task's own gold {stated[:80]!r} "
                f"({reason}); correct or remove the row"
            )


def gold_of(task: Task) -> str | Sequence[str]:
    """The gold of a task: the list in `metadata["answers"]` where there is one, else `answer`."""
    answers: Sequence[str] | None = task.metadata.get("answers")
    return task.answer if answers is None else answers


def verify(
    gold: str | Sequence[str],
    reply: str,
    question: Question = Question(),
    truncated: bool = False,
    latex: LatexCheck | None = None,
) -> str:
    """Compare a reply with a gold; the answer is a reason word, "equal" when they agree.

    A `gold` that is a sequence is a list in any order (one item counts as that item). Of a reply
    that is `truncated` only a closed box or tag counts: "it is 12" may have been going on as 128.
    `latex` compares expressions, and gives the reason word; without it they must be equal as text.
    Raises DataError when the gold cannot be read. Time is bounded whatever the reply holds.
    """
    wanted = _read(gold, question)
    answer = extract_answer(reply)
    if answer.source in (Source.NONE, Source.UNCLOSED_THINK):
        return str(answer.source)
    if truncated and answer.source not in (Source.BOXED, Source.TAG):
        return "truncated"
    if not isinstance(wanted, Expression):
        text = plain(answer.text)
        answer = answer if text is answer.text else Answer(text.strip(), answer.source)
    verdict = _agrees(wanted, answer, question)
    if not verdict and (bare := without_copula(answer.text)) != answer.text:
        verdict = _agrees(wanted, answer._replace(text=bare), question)
    if isinstance(wanted, Expression) and latex and not verdict:
        return latex(wanted.latex, answer.text)
    return "unparseable" if verdict is None else "equal" if verdict else "different"


def _read(gold: str | Sequence[str], question: Question) -> Gold:
    texts = [gold] if isinstance(gold, str) else gold
    kind = _GOLD_TYPES.get(question.gold_type, question.gold_type)
    if kind and kind not in KINDS:
        raise DataError(f"gold_type {kind[:40]!r} is none of {', '.join(KINDS)}")
    golds = tuple(read for text in texts if (read := read_gold(text, kind)))
    if not golds or len(golds) != len(texts):
        what = f"no {kind}" if kind else "not a finite value"
        raise DataError(f"the gold answer {str(gold)[:80]!r} is empty or {what}")
    if question.answer_type in ("arithmetic", "count") and not isinstance(golds[0], Number):
        raise DataError(
            f"the gold answer {str(gold)[:80]!r} is not a number, as {question.answer_type} needs"
        )
    return golds[0] if len(golds) == 1 else Items(golds, ordered=False)


def _agrees(gold: Gold, answer: Answer, question: Question) -> bool | None:
    """Whether an answer states the gold; None when the answer is not of the gold's kind at all."""
    match gold:
        case Number():
            fractions = question.fractions or gold.is_fraction
            quantities = (parse_quantity(text, fractions) for text in number_candidates(answer))
            quantity = next((q for q in quantities if q), None)
            return None if quantity is None else _number_agrees(gold, quantity, question)
        case YesNo(value):
            said = read_yes_no(answer.text)
            return None if said is None else said == value
        case Choices(letters):
            chosen = read_choices(answer.text)
            return chosen == letters if chosen else None
        case Range():
            texts = (*number_candidates(answer), stated_range(answer.text))
            spans = (read_range(text) for text in texts)
            span = next((s for s in spans if s), None)
            return None if span is None else _range_agrees(gold, span)
        case Day():
            texts = (*number_candidates(answer), stated_day(answer.text))
            days = (read_day(text) for text in texts)
            day = next((d for d in days if d), None)
            return None if day is None else day == gold
        case Text(normal):
            return not answer.text.endswith(("?", "？")) and is_same_text(normal, answer.text)
        case Expression(latex):
            return _SPACE.sub("", latex) == _SPACE.sub("", answer.text)
        case Items(golds, ordered):
            return _items_agree(golds, ordered, answer, question)


def _number_agrees(gold: Number, answer: Quantity, question: Question) -> bool:
    exact = question.answer_type == "count" or (
        gold.is_year and not question.unit and question.answer_type != "arithmetic"
    )
    tolerance = EXACT if exact else max(question.tolerance, EXACT)
    may_be_percent = (
        gold.is_computed and question.unit is None
        if question.percent_question is None
        else question.percent_question
    )
    forms = (gold.quantity, *gold.alternatives)
    return any(_quantities_agree(f, answer, question, tolerance, may_be_percent) for f in forms)


def _quantities_agree(
    gold: Quantity, answer: Quantity, question: Question, tolerance: float, may_be_percent: bool
) -> bool:
    """The policy on units: `value` is the absolute amount, `number` what is written."""
    unit = parse_unit(question.unit) if question.unit else Quantity(1.0)
    declared = unit.scale != 1.0
    value = gold.number * unit.scale if declared and gold.scale == 1.0 else gold.value
    percent_gold = gold.percent or unit.percent
    bare = answer.scale == 1.0
    plain = bare and not answer.unit
    if units_differ(gold.unit or unit.unit, answer.unit):
        return False
    if percent_gold and (answer.is_money or (not bare and not answer.percent)):
        return False  # "$26.82", "26.82 million" for 26.82 %
    counted = declared or gold.is_money or question.answer_type == "count"
    if answer.percent and not percent_gold and counted:
        return False  # "9400%" for 94 million, "870%" for $8.70, "400%" for 4 stores
    if is_close(value, answer.value, tolerance):
        return True
    if bare and declared:
        return is_close(gold.number, answer.number, tolerance)
    if plain and gold.percent:
        return question.percent_question is True and is_close(gold.number, answer.number, tolerance)
    in_percent_units = not declared and abs(value) >= PERCENT_UNITS_FROM
    if plain and question.percent_question:
        return is_close(value, answer.number / 100, tolerance) or (
            in_percent_units and is_close(value, answer.number * 100, tolerance)
        )
    return bool(answer.percent and may_be_percent and in_percent_units) and is_close(
        value, answer.number, tolerance
    )


def _range_agrees(gold: Range, answer: Range) -> bool:
    """Both ends equal; a unit stated after the second end belongs to both."""
    ends = ((gold.low, answer.low), (gold.high, answer.high))
    return all(
        is_close(a.value, b.value, EXACT) and not units_differ(a.unit, b.unit) for a, b in ends
    )


def _items_agree(
    golds: tuple[Gold, ...], ordered: bool, answer: Answer, question: Question
) -> bool:
    """Every gold met by exactly one part of the answer and no part left over."""
    for text in list_candidates(answer):
        text = _RESPECTIVELY.sub("", text)
        text = _NUMBERING.sub("", without_bullets(text)) if "\n" in text else text
        text = inner[1] if (inner := _IN_BRACKETS.fullmatch(text)) else text
        text = _YEARS.sub("", text)
        for separator in (_STRONG_SPLIT, _WEAK_SPLIT, _EITHER_SPLIT):
            split = (part.strip("\"'") for part in separator.split(text.strip(" .;[]。")))
            parts = [Answer(part, Source.BOXED) for part in split if part]
            if len(parts) == len(golds) and _all_met(golds, parts, ordered, question):
                return True
    return all(isinstance(gold, Text) for gold in golds) and _covers(golds, normalise(answer.text))


def _all_met(
    golds: tuple[Gold, ...], parts: list[Answer], ordered: bool, question: Question
) -> bool:
    left = list(parts)
    for gold in golds:
        candidates = left[:1] if ordered else left
        met = next((part for part in candidates if _agrees(gold, part, question)), None)
        if met is None:
            return False
        left.remove(met)
    return True


def _covers(golds: tuple[Gold, ...], text: str) -> bool:
    """Whether a text is the golds in some order and no more, for items that hold separators."""
    for gold in sorted(golds, key=lambda g: -len(str(g))):
        assert isinstance(gold, Text)
        if gold.normal not in text:
            return False
        text = text.replace(gold.normal, " ", 1)
    return not text.replace(" and ", " ").strip()
