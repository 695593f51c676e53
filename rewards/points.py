"""Rewrite numbers that have a comma, blanks or words between their parts: "1.234,5", "2元5角"."""

from __future__ import annotations

import re

_DECIMAL_COMMA = re.compile(
    r"(?<![0-9.,])([0-9]{1,3}(?:([. '’])[0-9]{3})(?:\2[0-9]{3}){0,5}|[0-9]{1,40})"
    r",([0-9]{1,2})(?![0-9.,])"
    r"|(?<![0-9.,])0,([0-9]{3,20})(?![0-9.,])"
)
"""Of "1.234,5", and of "0,111": no group of thousands begins with a nought."""
_DOT_GROUPS = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?:\.[0-9]{3}){2,6}(?![0-9.,])")
_SPACED_POINT = re.compile(r"(?<=[0-9]) (\.|,(?= [0-9]{3}(?![0-9]))) (?=[0-9])")
_MIXED_NUMBER = re.compile(r"(?<![0-9.,/])([0-9]{1,3})\s+([0-9]{1,3})/([0-9]{1,3})(?![0-9/])")
_YUAN_JIAO = re.compile("([0-9])(?:元|块钱?)([0-9])(?:[角毛]([0-9])分?|[角毛]?$)")


def with_points(text: str) -> str:
    """The text with its numbers as "1234.5": no points or blanks between groups, no decimal comma,
    no coin beside a yuan. A mixed number becomes a fraction, "1 1/2" -> "3/2"."""
    text = _SPACED_POINT.sub(r"\1", text)
    text = _DOT_GROUPS.sub(lambda m: m[0].replace(".", ""), text)
    text = _DECIMAL_COMMA.sub(_with_point, text)
    text = _MIXED_NUMBER.sub(_as_fraction, text)
    if text.isascii():
        return text
    return _YUAN_JIAO.sub(lambda m: f"{m[1]}.{m[2]}{m[3] or ''}元", text)


def _as_fraction(mixed: re.Match[str]) -> str:
    """Of "1 1/2"; of "3 5/2", which is nothing, the text as it is."""
    whole, part, parts = (int(group) for group in mixed.groups())
    return f"{whole * parts + part}/{parts}" if 0 < part < parts else mixed[0]


def _with_point(comma: re.Match[str]) -> str:
    whole, _, tenths, behind_nought = comma.groups()
    return f"0.{behind_nought}" if behind_nought else f"{re.sub('[^0-9]', '', whole)}.{tenths}"
