"""Read gold answers into what they are: a number, a range, yes or no, choices, a date, or text."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from rewards.numbers import Quantity, parse_quantity


class Number(NamedTuple):
    """One number; `alternatives` are other forms of it ("$ 386797190 or $ 386.8 million").

    `is_year` marks a bare four-digit year, which no tolerance may blur into the year before;
    `is_fraction` a gold that is itself written as a fraction ("1/3").
    """

    quantity: Quantity
    is_year: bool = False
    alternatives: tuple[Quantity, ...] = ()
    is_fraction: bool = False


class Range(NamedTuple):
    low: Quantity
    high: Quantity


class YesNo(NamedTuple):
    value: bool


class Choices(NamedTuple):
    letters: frozenset[str]


class Day(NamedTuple):
    year: int
    month: int
    day: int


class Text(NamedTuple):
    """Text in normal form: NFKC, lower case, no punctuation, no articles, single spaces."""

    normal: str


class Items(NamedTuple):
    golds: tuple[Gold, ...]
    ordered: bool


Gold = Number | Range | YesNo | Choices | Day | Text | Items

_NOTHING = frozenset(("", "nan", "inf", "infinity", "none", "null", "na"))
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_RANGE = re.compile(
    r"(?:from\s+|between\s+)?(.*?[^\s-])\s*(?:\bto\b|\band\b|-|–|—|至|到)\s*(.+)", re.IGNORECASE
)
_YES = ("yes", "true", "是的", "是", "对", "正确", "はい")  # longer words before their beginnings
_NO = ("no", "false", "不是", "否", "错误", "错", "不对", "不正确", "いいえ")
_YES_NO = re.compile(
    rf"(?:({'|'.join(_YES)})|({'|'.join(_NO)}))"
    r"(?![a-z\u3040-\u30ff\u4e00-\u9fff])(?!\s*(?:or|and|/|或)\b)",
    re.IGNORECASE,
)
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_CHOICES_GOLD = re.compile(r"[A-H](?:\s*[;,、]\s*[A-H])*")
_CHOICES = re.compile(r"[(（]?([A-H](?:\s*[;,、]?\s*[A-H])*)[)）]?\.?")
_CHOICE_WITH_TEXT = re.compile(
    r"[(（]?([A-H])[)）]?(?:[.．、:：]|\s)(?!\s*(?:or|and|或|和|[;,/])).*", re.DOTALL
)
_DAY = re.compile(r"([12][0-9]{3})\s*[-/.年]\s*([0-9]{1,2})\s*[-/.月]\s*([0-9]{1,2})\s*日?")
_PUNCTUATION = re.compile(r"[^\w\s%$€£¥.+-]|\.(?![0-9])|(?<![\w])-(?![0-9])|_")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_OR = re.compile(r"\s+or\s+")


@lru_cache(maxsize=65536)
def read_gold(text: str) -> Gold | None:
    """What a gold string is; None when nothing can ever equal it (empty, NaN, infinite, "None").

    "10000;-8000" is an ordered list when one of its parts is a number, "A;D" a set of choices.
    """
    text = text.strip()
    if normalise(text) in _NOTHING:
        return None
    if _CHOICES_GOLD.fullmatch(text):
        return Choices(frozenset(re.findall("[A-H]", text)))
    if text.lower() in _YES or text.lower() in _NO:
        return YesNo(text.lower() in _YES)
    parts = re.split("[;；]", text)
    if len(parts) > 1:
        golds = tuple(gold for part in parts if (gold := read_gold(part)))
        if len(golds) == len(parts) and any(isinstance(gold, Number) for gold in golds):
            return Items(golds, ordered=True)
    return _read_number(text) or read_day(text) or read_range(text) or Text(normalise(text))


def _read_number(text: str) -> Number | None:
    forms = [parse_quantity(form) for form in _OR.split(text)]
    quantities = tuple(form for form in forms if form)
    if not quantities or len(quantities) != len(forms):
        return None
    if _YEAR.match(text) and not _YEAR.fullmatch(text) and len(text.split()) > 1:
        return None  # "2018 annual report" is a name, not a number with a unit
    first = quantities[0]
    if "亿" in text and not first.currency:
        first = first._replace(
            currency="CNY"
        )  # an amount in 亿 is in yuan unless it says otherwise
    is_fraction = any(parse_quantity(form, fractions=False) is None for form in _OR.split(text))
    return Number(first, bool(_YEAR.fullmatch(text)), quantities[1:], is_fraction)


def read_yes_no(text: str) -> bool | None:
    """The verdict a text begins with: "No, not yes" -> False; "yesterday" -> None."""
    match = _YES_NO.match(_LATEX_TEXT.sub(r"\1", text).strip(" *\"'`"))
    return None if match is None else match[1] is not None


def read_choices(text: str) -> frozenset[str]:
    """The option letters a text states: "(B)", "B. 750", "A, D"; empty when none is clear."""
    text = _LATEX_TEXT.sub(r"\1", text).strip(" *\"'`")
    if match := _CHOICES.fullmatch(text):
        return frozenset(re.findall("[A-H]", match[1]))
    match = _CHOICE_WITH_TEXT.fullmatch(text)
    return frozenset(match[1]) if match else frozenset()


def read_day(text: str) -> Day | None:
    match = _DAY.fullmatch(text.strip())
    return Day(int(match[1]), int(match[2]), int(match[3])) if match else None


def read_range(text: str) -> Range | None:
    """Two numbers with "to" or a dash between them, a unit after the second at most."""
    match = _RANGE.fullmatch(text.strip()) if len(text) <= 80 else None
    low, high = (parse_quantity(match[1]), parse_quantity(match[2])) if match else (None, None)
    return Range(low, high) if low and high else None


def normalise(text: str) -> str:
    """The normal form in which texts are compared. "The  Annual-basis." -> "annual-basis"."""
    text = _LATEX_TEXT.sub(r"\1", text).replace("\\", "")
    text = unicodedata.normalize("NFKC", text).lower().replace("−", "-").replace("’", "'")
    text = _THOUSANDS.sub("", text)
    words = _PUNCTUATION.sub(" ", text)
    return " ".join(_ARTICLES.sub(" ", words).split()) or words.strip()
