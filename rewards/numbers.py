"""Read one number the way financial text writes it; nothing is evaluated but a fraction "188/2".

The grammar is: sign, currency, digits, scale words or a percent sign, unit words. Whatever does not
fit it as a whole is refused, so that a hedge ("94 or 188"), an expression ("5829-5735") or a spray
of numbers is no number at all. Input over `MAX_CHARS` is refused unread, which bounds the time.
"""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from rewards.numerals import to_ascii

MAX_CHARS = 160
MAX_WORDS = 4


class Quantity(NamedTuple):
    """A number as written. `number * scale` is its value; `scale` 1.0: no scale was stated.

    Example: "-$12.6 million" -> Quantity(-12.6, 1e6, False, "$"), "26.8%" -> (26.8, 0.01, True).
    """

    number: float
    scale: float = 1.0
    percent: bool = False
    currency: str = ""

    @property
    def value(self) -> float:
        return self.number * self.scale


_SCALES = {
    "hundred": 1e2, "hundreds": 1e2, "k": 1e3, "thousand": 1e3, "thousands": 1e3, "lakh": 1e5,
    "m": 1e6, "mm": 1e6, "mn": 1e6, "mil": 1e6, "million": 1e6, "millions": 1e6, "crore": 1e7,
    "b": 1e9, "bn": 1e9, "billion": 1e9, "billions": 1e9, "tn": 1e12, "trillion": 1e12,
    "trillions": 1e12, "百": 1e2, "千": 1e3, "万": 1e4, "萬": 1e4, "百万": 1e6, "亿": 1e8,
    "億": 1e8, "兆": 1e12,
}  # fmt: skip
_PERCENTS = {
    "%": 1e-2, "percent": 1e-2, "percents": 1e-2, "pct": 1e-2, "percentage": 1e-2, "pp": 1e-2,
    "百分点": 1e-2, "‰": 1e-3, "‱": 1e-4, "bp": 1e-4, "bps": 1e-4, "基点": 1e-4, "成": 1e-1,
}  # fmt: skip
_CURRENCIES = {
    "$": "$", "us$": "USD", "usd": "USD", "hk$": "HKD", "hkd": "HKD", "a$": "AUD", "aud": "AUD",
    "c$": "CAD", "cad": "CAD", "s$": "SGD", "sgd": "SGD", "nt$": "TWD", "€": "EUR", "eur": "EUR",
    "£": "GBP", "gbp": "GBP", "¥": "", "jpy": "JPY", "cny": "CNY", "rmb": "CNY", "₹": "INR",
    "inr": "INR", "rs": "INR", "chf": "CHF", "rm": "MYR", "₩": "KRW", "krw": "KRW", "元": "CNY",
    "人民币": "CNY", "美元": "USD", "港元": "HKD", "港币": "HKD", "欧元": "EUR", "日元": "JPY",
    "円": "JPY", "dollars": "$", "dollar": "$", "euros": "EUR", "yuan": "CNY", "yen": "JPY",
}  # fmt: skip
# Words after a number that make it something else than one number with a unit.
_REFUSED = {
    "(", ")", ".", "or", "and", "to", "not", "no", "but", "nor", "if", "maybe", "perhaps", "either",
    "between", "is", "isn't", "are", "was", "wrong", "incorrect", "true", "false", "loss", "plus",
    "minus", "times", "from", "than", "vs", "versus",
}  # fmt: skip
_FILLERS = {"/", ",", "个"}
_DECREASES = {"decrease", "decline", "drop", "fall", "reduction", "减", "減"}

_PLAIN = re.compile(r"(-?)(\$?)((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,40})(?:\.[0-9]{1,40})?)(%?)")
_CURRENCY_MARK = (
    r"(?:(?:us|hk|nt|[acs])?\$|[€£¥₹₩]|(?:usd|hkd|aud|cad|sgd|eur|gbp|jpy|cny|rmb|inr|chf|krw)\b"
    r"|rm(?=\s?[0-9])|rs\.?(?=\s?[0-9])|人民币)"
)
_DIGITS = (
    r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![,0-9])|[0-9]{1,3}(?:[ '’][0-9]{3})+(?![0-9])|[0-9]{1,40})"
    r"(?:\.[0-9]{1,40})?|\.[0-9]{1,40}"
)
_NUMBER = re.compile(
    rf"(?P<sign>[-+△▲])?\s*(?P<currency>{_CURRENCY_MARK})?\s*(?P<sign2>-)?\s*(?P<open>\()?\s*"
    rf"(?P<currency2>{_CURRENCY_MARK})?\s*(?P<sign3>-)?(?P<digits>{_DIGITS})"
    r"(?:e(?P<exponent>[-+]?[0-9]{1,3}(?![0-9]))|\s*/\s*(?P<divisor>[0-9]{1,20})(?![0-9]))?(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_TOKEN = re.compile(
    r"\s*(百分点|百万|基点|美元|港元|港币|欧元|日元|人民币|个|[%‰‱$€£¥₹₩百千万萬亿億兆成元円]"
    r"|[减減]|[A-Za-z]+(?:['’-][A-Za-z]+)*|[\u3040-\u30ff\u4e00-\u9fff]+|[()/.,])"
)
_LEAD_IN = re.compile(
    r"(?:(?:approximately|approx\.?|about|around|roughly|nearly|in|for|the|year|fiscal|fy)(?![a-z])"
    r"|[~≈]|大约|约)\s*",
    re.IGNORECASE,
)
_VERBAL_SIGN = re.compile(
    r"(?:an?\s+)?(?:(decrease|decline|drop|fall|reduction)|increase|rise|gain|total)\s+of\s+"
    r"|(minus|negative)\s+",
    re.IGNORECASE,
)
_REMARK = re.compile(r"(?!.*\b(?:or|not|maybe)\b)[^()]*\)\s*", re.IGNORECASE | re.DOTALL)
_SPELLINGS = {"per cent": "percent", "basis point": "bp", "basis points": "bps", "u.s.": "US "}
_SPELLING = re.compile(r"\b(?:per cent|basis points?|u\.s\.)", re.IGNORECASE)
_CJK_OR = re.compile("[或不到至和]")
_DECIMAL_COMMA = re.compile(r"(?<![0-9.,])([0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+),([0-9]{2})(?![0-9.,])")
_SPACED_POINT = re.compile(r"(?<=[0-9]) ([.,]) (?=[0-9])")
_LITERAL_NEWLINE = re.compile(r"(?:\\+n\s*)+$")
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_LATEX_MATH = re.compile(r"\s*\\[(\[]\s*(.*?)\s*\\[)\]]\.?\s*", re.DOTALL)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_POWER_OF_TEN = re.compile(
    r"\s*(?:\\times|\\cdot|[×x*])\s*10\s*\^\s*(?:\{([-+]?[0-9]+)\}|([-+]?[0-9]+)(?![\^*0-9]))"
)
_LATEX_SPACE = re.compile(r"\\(?:[,;:! ]|left|right|quad|displaystyle|approx)|\\(?=[$%()#&])")
_MINUS = str.maketrans({"−": "-", "–": "-", "—": "-", "﹣": "-", "‐": "-", "‑": "-", "\u00a0": " "})


def parse_quantity(text: str, fractions: bool = True) -> Quantity | None:
    """The one number that `text` states; None for none, several, or something unclear.

    A fraction such as "188/2" is its quotient, or None without `fractions`.
    """
    if match := _PLAIN.fullmatch(text):
        number = float(match[3].replace(",", "")) * (-1.0 if match[1] else 1.0)
        return Quantity(number, 0.01 if match[4] else 1.0, bool(match[4]), match[2])
    if len(text) > MAX_CHARS:
        return None
    text, is_decrease = _tidy(text)
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    digits = re.sub("[ ,'’]", "", match["digits"])
    number = float(f"{digits}e{match['exponent'] or 0}")
    if match["divisor"]:
        if not fractions:
            return None
        divisor = float(match["divisor"])
        number = number / divisor if divisor else math.nan
    signs = [sign for sign in match.group("sign", "sign2", "sign3", "open") if sign]
    if len(signs) > 1 or not math.isfinite(number):
        return None
    if is_decrease or (signs and signs[0] != "+"):
        number = -number
    currency = _CURRENCIES[(match["currency"] or match["currency2"] or "¥").lower().rstrip(".")]
    return _with_suffix(number, match["rest"], bool(match["open"]), currency)


def _tidy(text: str) -> tuple[str, bool]:
    """Undo typography, LaTeX and spelled-out numerals; True when it was "a decrease of ..."."""
    text = text.translate(_MINUS)
    if "\\" in text:
        text = _LITERAL_NEWLINE.sub("", text)
        text = _LATEX_MATH.sub(r"\1", text)
        text = _LATEX_TEXT.sub(r"\1", text)
        text = _LATEX_FRACTION.sub(r"\1/\2", text)
    text = _POWER_OF_TEN.sub(lambda m: f"e{m[1] or m[2]}", text)
    text = _LATEX_SPACE.sub("", text).replace("{,}", ",")
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = text.strip().strip("*`\"'“”").strip()
    if len(text) > 2 and text[0] == text[-1] == "$":
        text = text[1:-1].strip()
    text = _SPELLING.sub(lambda m: _SPELLINGS[m[0].lower()], text.rstrip(".。,，;"))
    while lead_in := _LEAD_IN.match(text):
        text = text[lead_in.end() :]
    verbal = _VERBAL_SIGN.match(text)
    text = text[verbal.end() :] if verbal else text
    text = _SPACED_POINT.sub(r"\1", text)
    text = _DECIMAL_COMMA.sub(lambda m: f"{m[1].replace('.', '')}.{m[2]}", text)
    return to_ascii(text), bool(verbal and (verbal[1] or verbal[2]))


def _with_suffix(number: float, rest: str, is_open: bool, currency: str) -> Quantity | None:
    """Read what follows the digits: scale, percent, currency, unit words, a closing remark."""
    scale, percent, num_words, position = 1.0, False, 0, 0
    rest = rest.rstrip()
    while position < len(rest):
        token = _TOKEN.match(rest, position)
        if token is None:
            return None
        word, position = token[1].lower(), token.end()
        if word == ")" and is_open:
            is_open = False
        elif word == "(" and not is_open and _REMARK.fullmatch(rest, position):
            break
        elif word in _PERCENTS and scale == 1.0:
            scale, percent = _PERCENTS[word], True
        elif word in _SCALES and not percent and not num_words:
            scale *= _SCALES[word]
        elif word in _CURRENCIES:
            currency = _CURRENCIES[word] or currency
        elif word in _DECREASES:
            number = -abs(number)
        elif word in _SCALES or word in _REFUSED or _CJK_OR.search(word) or num_words == MAX_WORDS:
            return None
        elif word not in _FILLERS:
            num_words += 1
    if is_open or not math.isfinite(number * scale):
        return None
    return Quantity(number, scale, percent, currency)


@lru_cache(maxsize=1024)
def parse_unit(unit: str) -> Quantity:
    """What a declared unit means for a bare number: "million" -> scale 1e6, "percent" -> 0.01."""
    return parse_quantity(f"1 {unit}") or Quantity(1.0)


def is_close(gold: float, value: float, tolerance: float) -> bool:
    """Whether `value` lies within a relative tolerance of `gold`; a gold of 0 allows 0 alone."""
    return abs(value - gold) <= tolerance * abs(gold) * (1 + 1e-9)
