"""Read gold answers into what they are: a number, a range, yes or no, choices, a date, or text."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from rewards.choices import NO, YES, is_choice_gold, read_choices, read_yes_no
from rewards.dates import Day, read_day
from rewards.numbers import Quantity, parse_quantity
from rewards.numerals import to_ascii
from rewards.typography import LATEX_TEXT, plain
from rewards.units import COUNTED, CURRENCIES, PERCENTS, SCALES


class Number(NamedTuple):
    """One number; `alternatives` are other forms of it ("$ 386797190 or $ 386.8 million").

    `is_year` marks a bare four-digit year, which no tolerance may blur into the year before;
    `is_fraction` a gold that is itself written as a fraction ("1/3"); `is_computed` one with four
    decimals or more, as an executed program leaves it.
    """

    quantity: Quantity
    is_year: bool = False
    alternatives: tuple[Quantity, ...] = ()
    is_fraction: bool = False
    is_computed: bool = False


class Range(NamedTuple):
    low: Quantity
    high: Quantity


class YesNo(NamedTuple):
    value: bool


class Choices(NamedTuple):
    letters: frozenset[str]


class Text(NamedTuple):
    """Text in normal form: NFKC, lower case, no punctuation, no articles, single spaces."""

    normal: str


class Expression(NamedTuple):
    """LaTeX beyond numbers and text, which only a computer algebra system can compare."""

    latex: str


class Items(NamedTuple):
    golds: tuple[Gold, ...]
    ordered: bool


Gold = Number | Range | YesNo | Choices | Day | Text | Expression | Items

KINDS = ("number", "yes_no", "choice", "date", "text", "expression")
"""What a task may declare its gold to be, where reading it would guess wrong."""

MAX_RANGE_CHARS = 80

_LATEX_COMMAND = re.compile(r"\\[a-zA-Z]+|[\^_]\{|[A-Za-z0-9)]\^[A-Za-z0-9(-]")
_UNIT_WORDS = SCALES.keys() | PERCENTS.keys() | CURRENCIES.keys() | COUNTED.keys()
_NOTHING = frozenset(("", "nan", "inf", "infinity", "none", "null", "na"))
_COMPUTED = re.compile(r"-?[0-9]+\.[0-9]{4,}")
_YEAR = re.compile(r"(?:[a-z]+\s*){0,3}(?:19|20)[0-9]{2}\s?(?:年度?)?", re.IGNORECASE)
_YEAR_AND_WORD = re.compile(r"(?:[a-z]+\s+)*(?:19|20)[0-9]{2}\s+([a-z]+).*", re.IGNORECASE)
_RANGE = re.compile(
    r"(?:between\s+(.+?)\s+and|(?:from\s+)?(.*?[^\s-])\s*(?:\b(?:to|through)\b|-|–|—|~|～|至|到))"
    r"\s*(.+)",
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    r"\[([^,\[\]]+),\s+([^,\[\]]+)\]|(?:在|介于)(.+?)(?:至|到|和|与|-|–|~)(.+?)之间"
)
_PUNCTUATION = re.compile(r"[^\w\s%$€£¥.+<>≤≥≠±↑↓△▲▽▼-]|\.(?![0-9])|(?<![\w])-(?![0-9])|_")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_SPELLED_SIGNS = (("<=", "≤"), (">=", "≥"), ("≦", "≤"), ("≧", "≥"), ("+/-", "±"), ("!=", "≠"))
_SIGN = re.compile("([<>≤≥≠±↑↓△▲▽▼])")
_NAME = re.compile(r"(?<=[a-z]) A\b")
_MARKED_NAME = " ᴀ"  # a letter that is no article, "Class A", until articles are gone
_ARTICLES = re.compile(r"\b(?:an|the)\b|\ba\b(?!$)")
_OR = re.compile(r"\s+or\s+")


@lru_cache(maxsize=65536)
def read_gold(text: str, kind: str = "") -> Gold | None:
    """What a gold string is; None when nothing can ever equal it (empty, NaN, infinite, "None"),
    or when it is not of the `kind` that is declared (one of KINDS; "" reads whatever it is).

    "10000;-8000" is an ordered list when one of its parts is a number, "A;D" a set of choices.
    """
    text = text.strip()
    if normalise(text) in _NOTHING:
        return None
    if kind:
        return _read_kind(text, kind)
    if is_choice_gold(text):
        return Choices(read_choices(text))
    if text.lower() in YES or text.lower() in NO:
        return YesNo(text.lower() in YES)
    parts = re.split("[;；]", text)
    if len(parts) > 1:
        golds = tuple(gold for part in parts if (gold := read_gold(part)))
        if len(golds) == len(parts) and any(isinstance(gold, Number) for gold in golds):
            return Items(golds, ordered=True)
    if _LATEX_COMMAND.search(LATEX_TEXT.sub("", text)) and not _read_number(text):
        return Expression(text)
    return _read_number(text) or read_day(text) or read_range(text) or Text(normalise(text))


def _read_kind(text: str, kind: str) -> Gold | None:
    match kind:
        case "number":
            return _read_number(text)
        case "yes_no":
            said = read_yes_no(text)
            return None if said is None else YesNo(said)
        case "choice":
            letters = read_choices(text)
            return Choices(letters) if letters else None
        case "date":
            return read_day(text)
        case "text":
            return Text(normalise(text))
    assert kind == "expression", kind
    return Expression(text)


def _read_number(text: str) -> Number | None:
    forms = [parse_quantity(form) for form in _OR.split(text)]
    quantities = tuple(form for form in forms if form)
    if not quantities or len(quantities) != len(forms):
        return None
    if (name := _YEAR_AND_WORD.fullmatch(text)) and name[1].lower() not in _UNIT_WORDS:
        return None  # "2018 annual report" is a name, not a number with a unit
    if text.isascii() and not (digits := to_ascii(text)).isdigit() and digits != text:
        return None  # and so is "One Liberty Plaza"
    first = quantities[0]
    if "亿" in text and not first.unit:
        first = first._replace(unit="CNY")  # an amount in 亿 is in yuan unless it says otherwise
    is_fraction = any(parse_quantity(form, fractions=False) is None for form in _OR.split(text))
    is_year = first.unit in ("", "year") and _YEAR.fullmatch(text) is not None
    is_computed = _COMPUTED.fullmatch(text) is not None
    return Number(first, is_year, quantities[1:], is_fraction, is_computed)


def read_range(text: str) -> Range | None:
    """Two numbers with "to" or a dash between them; a unit after the second alone is of both."""
    text = plain(text[: MAX_RANGE_CHARS + 1]).strip()
    if len(text) > MAX_RANGE_CHARS:
        return None
    text = text.replace("--", "–")
    match = _BETWEEN.fullmatch(text) or _RANGE.fullmatch(text)
    if match is None:
        return None
    first, second = (end for end in match.groups() if end)
    low, high = parse_quantity(first), parse_quantity(second)
    if low is None or high is None:
        return None
    if low.scale == 1.0 and not low.unit:
        low = low._replace(scale=high.scale, percent=high.percent, unit=high.unit)
    return Range(low, high)


def normalise(text: str) -> str:
    """The normal form in which texts are compared. "The  Annual-basis." -> "annual-basis"."""
    text = plain(text).replace("\\", "")
    text = unicodedata.normalize("NFKC", text)
    text = _NAME.sub(_MARKED_NAME, text).lower().replace("−", "-").replace("’", "'")
    for spelled, sign in _SPELLED_SIGNS:
        text = text.replace(spelled, sign)
    text = _SIGN.sub(r" \1 ", _THOUSANDS.sub("", text))
    words = _PUNCTUATION.sub(" ", text).strip()
    words = " ".join(_ARTICLES.sub(" ", words).split()) or words
    return words.replace("ᴀ", "a")


def is_same_text(normal: str, text: str) -> bool:
    """Whether a text has the normal form `normal`. "class a shares" is "Class A shares" too."""
    if normalise(text) == normal:
        return True
    return " a" in normal and normalise(text.lower().replace(" a", " A")) == normal
