"""Every figure of a text, in whatever notation: read where the notation is plain, else named.

Digits, with a sign, a currency and a unit, are read, and so are the words that say how much
something changed ("doubled", "two thirds"). All else that is a figure (numbers in words, digits of
other scripts, "1.5e9", Chinese numerals) is found too: nothing is claimed in a form that nobody
checks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from rewards.numbers import parse_quantity
from rewards.tables import CJK, OPERATIONS
from rewards.units import CURRENCIES

WORD_TOLERANCE = 0.05
"""Of a change in words, as a share: "doubled" is 1.9 to 2.1 times."""

_CURRENCY = "|".join(
    re.escape(word) + (r"\s?" if word.isalpha() else "")
    for word in sorted((c for c in CURRENCIES if c.isascii() and len(c) < 4), key=len, reverse=True)
)
_DIGITS = re.compile(
    rf"(?<![^\W_{CJK}])(?<![.,])(?P<open>\()?(?P<sign>[-−–+])?(?P<currency>{_CURRENCY}|[€£¥])?"
    r"(?P<digits>[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?|\.[0-9]+)(?(open)(?P<close>\))?)"
    r"(?P<unit>\s?(?:%|％)|(?:[\s-]?(?:percentage points?|percent|per cent|basis points?|bps|pp|"
    r"thousand|million|billion|trillion|mn?|bn|k|fold|times|x)(?![^\W_]))|×|"
    r"\s?(?:个百分点|百分点|万亿|百万|千万|亿元?|万元?|倍))?"
    rf"(?:\s?(?:{_CURRENCY})(?![^\W_]))?",
    re.IGNORECASE,
)
_POINTS = re.compile(r"[\s-]?(?:percentage points?|pp)|\s?个?百分点", re.IGNORECASE)
_TIMES = re.compile(r"[\s-]?(?:fold|times|x)|×|\s?倍", re.IGNORECASE)
_RUNS_ON = re.compile(rf"[^\W\d_{CJK}]")
_LABEL = re.compile(
    r"\b(?:[QH][1-4]|[1-4][QH]|CET1|AT1|[1-4](?:st|nd|rd|th)(?=[\s-](?:quarter|half)))(?![^\W_])|"
    r"第?[1-4]季度"
)
"""Names of periods and of kinds of capital, whose digits count nothing."""

_ONE_TO_TEN = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_SEVERAL = "|".join(_ONE_TO_TEN[1:])
_PARTS = ["half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
_PART = "|".join(_PARTS[1:])
_BESIDE = (
    r"(?=\s+(?:(?:as|the|that|its|their|what|those)\b|_|(?:of\s+(?:it|its|the|this|that|all|total|"
    r"them|their)\b|of\s+_)|(?:more|less|higher|lower|larger|smaller|bigger)\b))"
)
_CHANGE = re.compile(
    r"(?:\b(?P<more>more than|over|above)\s+|\b(?P<near>nearly|almost|close to|under)\s+)?(?:"
    r"\b(?P<verb>doubl|tripl|trebl|quadrupl|quintupl|halv(?!es))(?:e[ds]?|ing)\b"
    r"(?![\s-](?:digit|taxation|entry|check|count|dip))|"
    rf"\b(?P<several>{_SEVERAL})(?:[\s-]?fold\b|\s+times{_BESIDE})|"
    rf"\b(?P<twice>twice|thrice){_BESIDE}|(?P<chinese>翻了?两番|翻了?一?[倍番]|倍增|减半|腰斩)|"
    r"(?<!first[ -])(?<!second[ -])(?<!the )(?<!latter )\b(?P<half>half)\b"
    r"(?!-|\s+(?:an?\s+)?(?:year|hour|month))|(?P<half_of>一半|半数)|"
    rf"\b(?=(?:a|one|{_SEVERAL})[\s-](?:{_PART}))"
    rf"(?:(?<=\bby )|(?<=than )|(?<=nearly )|(?<=almost )|(?<=about )|(?=\w+[\s-]\w+{_BESIDE})|"
    rf"(?=\w+[\s-](?!quarter)\w+s\b))(?P<count>a|one|{_SEVERAL})[\s-](?P<part>{_PART})s?\b)",
    re.IGNORECASE,
)
_TIMES_OF = {
    **{"doubl": 2.0, "tripl": 3.0, "trebl": 3.0, "quadrupl": 4.0, "quintupl": 5.0, "halv": 0.5},
    **{word: float(number) for number, word in enumerate(_ONE_TO_TEN, start=1)},
    **{"twice": 2.0, "thrice": 3.0, "翻两番": 4.0, "翻了两番": 4.0, "减半": 0.5, "腰斩": 0.5},
}
"""What "doubled" multiplies by; what is not here doubles."""

_SMALL = f"zero|one|{_SEVERAL}"
_SPELLED = re.compile(
    r"\b(?:eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|"
    r"thirty|forty|fifty|sixty|seventy|eighty|ninety|hundreds?|dozens?|lakhs?|crores?|"
    r"(?:single|double|triple)[\s-]digits?|(?<!in )(?<!in US)(?:thousand|[mb]illion|trillion)s?|"
    rf"(?:{_SMALL})[\s-]+(?:and\s+a\s+half\b|point\s+(?:{_SMALL})|percent|per\s+cent|percentage|basis|bps|"
    r"dollars?|euros?|pounds?|yuan|yen|cents?|%)|"
    rf"(?:was|were|is|are|to|by|from|reached|totall?ed|at|than)\s+(?:zero|{_SEVERAL})"
    r"(?=\s*(?:[.,;:!?)]|$|(?:to|from|in|and|while|but)\b)))(?![^\W_])",
    re.IGNORECASE,
)
_NUMERAL = "零〇一二两三四五六七八九十百千万亿兆壹贰叁肆伍陆柒捌玖拾佰仟萬億兩"
_CHINESE = re.compile(
    rf"(?<!单位)(?<!单位[:：为])(?!一一|万一|千万(?![元美港]))[{_NUMERAL}][{_NUMERAL}点]*[{_NUMERAL}]|"
    r"[一二两三四五六七八九十几数半](?:个百分点|个基点|倍|成(?![为本立功果长员交熟绩效不])|[元折%％])|"
    r"[二两三四五六七八九]番|[百千万一二两三四五六七八九十几]分之|[数几上近过逾超][百千万亿](?!分)"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """What is stated at `start` to `end` of a text: a number from `low` to `high`, since it is
    rounded, in units of `scale` (None: of whatever its row counts in).

    `operations` are those that it may come from. `percent` says whether it is a percentage; None:
    either. Where it is `signed`, so must be its source.
    """

    text: str
    start: int
    end: int
    low: float
    high: float
    scale: float | None
    percent: bool | None
    signed: bool
    operations: Collection[str]
    in_words: bool = False

    @property
    def is_bare(self) -> bool:
        return self.scale is None

    def is_near(self, value: float) -> bool:
        return self.low <= value <= self.high


def read_figures(text: str) -> tuple[list[Figure], str]:
    """The figures of a text in their order, those in words at the end, and the first that is in no
    notation that can be read ("" where there is none)."""
    rest = _LABEL.sub(_blank, text)
    found: list[Figure] = []
    for match in _DIGITS.finditer(rest):
        figure = _in_digits(match)
        if figure is None or _RUNS_ON.match(rest, match.end()):
            return found, rest[match.start() :].split()[0]
        found.append(figure)
    rest = _DIGITS.sub(_blank, rest)
    found += (_in_words(match) for match in _CHANGE.finditer(rest))
    rest = _CHANGE.sub(_blank, rest)
    unread = _SPELLED.search(rest) or _CHINESE.search(rest)
    if unread:
        return found, unread[0]
    return found, next((char for char in rest if unicodedata.category(char)[0] == "N"), "")


def has_figure(text: str) -> bool:
    """Whether a text states any figure."""
    found, unread = read_figures(text)
    return bool(found or unread)


def _blank(match: re.Match[str]) -> str:
    return "_" * len(match[0])


def _in_digits(match: re.Match[str]) -> Figure | None:
    unit = match["unit"] or ""
    in_points, is_bare = bool(_POINTS.fullmatch(unit)), not unit.strip()
    is_times = bool(_TIMES.fullmatch(unit))
    read_as = "%" if in_points else "" if is_times else unit
    quantity = parse_quantity(f"{match['digits']}{read_as}")
    if quantity is None:
        return None
    operations = set(OPERATIONS)
    if in_points:
        operations = {"change", "difference"}
    elif is_times:
        operations = {"ratio"}
    elif is_bare:  # a percentage says so
        operations -= {"percent_change", "share"}
    negative = match["sign"] not in (None, "+") or bool(match["close"])
    number = -quantity.number if negative else quantity.number
    half = 0.5 * 10.0 ** -len(match["digits"].partition(".")[2]) * (1 + 1e-9)
    return Figure(
        match[0].strip().strip("()"),
        match.start(),
        match.end(),
        number - half,
        number + half,
        None if is_bare else quantity.scale,
        None if is_bare else quantity.percent,
        negative or match["sign"] == "+",
        operations,
    )


def _in_words(match: re.Match[str]) -> Figure:
    words = match.group("verb", "several", "twice", "chinese")
    stem = next((word.lower() for word in words if word), "")
    operations = {"ratio"} if stem else {"percent_change", "share", "ratio"}
    if stem:
        number = _TIMES_OF.get(stem, 2.0)
    else:
        count, part = (match["count"] or "a").lower(), (match["part"] or "half").lower()
        number = _TIMES_OF.get(count, 1.0) / (_PARTS.index(part) + 2)
    low, high = number * (1 - WORD_TOLERANCE), number * (1 + WORD_TOLERANCE)
    if match["more"] or match["near"]:  # "more than halved" is under a half
        is_over = bool(match["more"]) is not (bool(stem) and number < 1)
        low, high = (number, number * 1.5) if is_over else (number / 1.2, number)
    return Figure(
        match[0].strip(),
        match.start(),
        match.end(),
        low,
        high,
        scale=1.0,
        percent=None,
        signed=False,
        operations=operations,
        in_words=True,
    )
