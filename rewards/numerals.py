"""Chinese and Japanese numerals, rewritten in ASCII digits so that one grammar reads them all."""

from __future__ import annotations

import re

_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_TENS = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_LEADING = re.compile(
    r"[零〇一二两兩三四五六七八九十][零〇一二两兩三四五六七八九十百千万萬亿億点]*"
)
_SHARE_OF = re.compile(r"([百千万])分之(.+)", re.DOTALL)
_SHARE_SIGN = {"百": "%", "千": "‰", "万": "‱"}


def to_ascii(text: str) -> str:
    """Rewrite a leading numeral: "三亿五千万" -> "350000000", "百分之三点六五" -> "3.65%"."""
    if share := _SHARE_OF.match(text):
        return to_ascii(share[2]) + _SHARE_SIGN[share[1]]
    if numeral := _LEADING.match(text):
        return _decimal(numeral[0]) + text[numeral.end() :]
    return text


def _decimal(numeral: str) -> str:
    """The decimal digits of one numeral. Sections under 10,000 are closed by 万 and 亿."""
    whole, _, fraction = numeral.partition("点")
    total = section = digit = 0
    for char in whole:
        if char in _DIGITS:
            digit = _DIGITS[char]
        elif char in _TENS:
            section, digit = section + (digit or 1) * _TENS[char], 0
        elif _MYRIADS[char] == 10**4:
            total, section, digit = total + (section + digit) * 10**4, 0, 0
        else:
            total, section, digit = (total + section + digit) * 10**8, 0, 0
    digits = "".join(str(_DIGITS[c]) for c in fraction if c in _DIGITS)
    return f"{total + section + digit}.{digits or 0}"
