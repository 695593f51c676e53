"""What may stand beside a number without being another answer: when it was, and how it came about.

"94 (93-95)" sprays; "94 (2019)" says a year and "94 (5,829 - 5,735)" the working.
"""

from __future__ import annotations

import math
import re

from envs.simulated.expressions import evaluate
from rewards.numerals import NUMBER_WORDS

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_YEAR = "(?:19|20)[0-9]{2}"
_TIME = re.compile(
    rf"(?<![0-9.,$€£¥])(?:fy|cy)?\s?(?:{_YEAR}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,2}}"
    rf"|[0-9]{{1,2}}[-/.][0-9]{{1,2}}[-/.]{_YEAR}|{_YEAR}\s?[-–/]\s?(?:20)?[0-9]{{2}}|{_YEAR}年[0-9]{{1,2}}月"
    rf"(?:[0-9]{{1,2}}日)?|{_YEAR})(?![0-9%]|[.,][0-9])"
    r"|\b(?:q[1-4]|[1-4]q|h[12]|[12]h|fy)\s?'?(?:[0-9]{2}(?![0-9]))?(?![0-9])"
    rf"|\b(?:{_MONTHS})[a-z]{{0,6}}\.?\s+[0-9]{{1,2}}(?:st|nd|rd|th)?(?![0-9]|[.,][0-9])"
    rf"|(?<![0-9.,])[0-9]{{1,2}}\s+(?:{_MONTHS})[a-z]{{0,6}}\b"
    r"|\b(?:[0-9]{1,2}|three|six|nine|twelve)[- ]months?\s+(?:ended|ending|to|period)\b"
    r"|\b(?:first|second)[- ]half\b|(?:first|second|third|fourth)[- ]quarters?\b"
    r"|one[- ](?:time|off)\b"
    r"|\b(?:[0-9]|one|two|three|four)\s?(?:d\.?p\b\.?|decimals?(?:\s+places?)?|sig(?:nificant|\.)?\s?fig\w*)"
    r"|第?[一二三四1-4]季度?|[前上下][一二三]?(?:半年|季度)|保留[一二两三四0-9]位小数",
    re.IGNORECASE,
)
_NUMERALS = re.compile("[0-9〇零一二两三四五六七八九十百千万萬亿億兆京]")
_WORD = re.compile(r"[a-z]+", re.IGNORECASE)
_LATEX = re.compile(
    r"\\(?:left|right|text\s*\{[^{}]*\}|[,;:! ])|[$€£¥%\\\s]|(?<=[0-9]),(?=[0-9]{3})"
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_SCALE_WORDS = re.compile(
    r"(?:thousand|million|billion|trillion|[kmb]n?)s?(?![a-z])", re.IGNORECASE
)
_SIGNS = (("\\times", "*"), ("\\cdot", "*"), ("\\div", "/"), ("×", "*"), ("÷", "/"), ("·", "*"))
_WORKING = re.compile(r"[0-9.()*/+-]{3,160}")
_OPERATOR = re.compile(r"[0-9)][-+*/]")
MAX_CHARS = 300


def without_times(text: str) -> str:
    """The text without years, dates, periods and places of decimals."""
    return _TIME.sub(" ", text)


def bears_number(text: str) -> bool:
    """Whether there is a digit or a numeral in words."""
    if _NUMERALS.search(text):
        return True
    return any(word.lower() in NUMBER_WORDS for word in _WORD.findall(text))


def value_of_working(text: str) -> float | None:
    """What a calculation comes to: "$5,829 - $5,735" -> 94.0; None for what is no calculation.

    Scale words and "%" are left out of it.
    """
    if len(text) > MAX_CHARS:
        return None
    text = text.lstrip(" =≈:").replace("−", "-").replace("–", "-").replace("^", "**")
    for _ in range(3):
        text, count = _FRACTION.subn(r"((\1)/(\2))", text)
        if not count:
            break
    for sign, plain in _SIGNS:
        text = text.replace(sign, plain)
    text = _SCALE_WORDS.sub("", _LATEX.sub("", text)).replace("{", "(").replace("}", ")")
    if not _WORKING.fullmatch(text) or not _OPERATOR.search(text):
        return None
    try:
        return float(evaluate(text))
    except ArithmeticError:
        return math.nan  # "1/0" is no number, and so another one than any
    except ValueError:
        return None
