"""Read a box: what it holds, with the unit right behind it and the sign right before it."""

from __future__ import annotations

import re

from rewards.retractions import is_taken_back
from rewards.typography import plain
from rewards.units import CURRENCIES, FALL, SCALES

MAX_CHARS = 4000
"""A longer box is no answer."""
_AROUND = 60  # characters before and behind a box that may belong to it
_MAX_UNITS = 4

_BRACE = re.compile(r"[{}]")
_MARKUP = re.compile(r"[*_`$]")
_SCALE = (
    r"[%％‰]|百分点|[百千万亿萬億兆]+(?!分)"
    r"|(?:per[ -]?cent(?:age points?)?|pct|basis points?|bps|bn|mn|mm|crores?|lakhs?"
    rf"|{'|'.join(word for word in SCALES if word.isascii() and len(word) > 5)})(?![a-z])"
    r"|(?-i:[kKMBT])(?![a-zA-Z])"
)
_CURRENCIES = "|".join(word for word in CURRENCIES if word.isalpha() and len(word) > 2)
_UNIT = re.compile(
    r"[ \t~(（}]{0,8}(?:,[ \t]{0,3}(?=in\b))?(?:(?:in|of|us|u\.s\.)[ \t]{1,3}){0,3}(?:us|usd)?"
    rf"({_SCALE}|[€£¥]|(?:{_CURRENCIES})(?![a-z])|us\$)",
    re.IGNORECASE,
)
_POWER = re.compile(r"\s{0,8}\}?\s{0,4}((?:×|\\cdot)\s{0,4}10\s{0,2}\^\s{0,2}\{?-?[0-9]{1,3}\}?)")
_OPERATOR = re.compile(
    r"[ }]{0,8}([ ,]?[0-9]{3}(?![0-9])|\^(?! ?\{?\\circ)"
    r"|×(?= ?[0-9(\\])|\\(?:cdot|div|pm|frac)(?![a-z]))"
)
_NUMBER = re.compile(r"[^\n]*[0-9][)}\s]*")
_SEPARATOR = re.compile(r"(\s*(?:[;；、]|[,，]\s)\s*)")
_UNSIGNED = re.compile(r"[\s{$€£¥]*(?:[0-9.]|\\frac)")
_SIGNED = re.compile(r"[\s{$€£¥]*[-−–(]")
_ENDS = re.compile(r"[.$* ]*(?:\n|$)")
_MAY_TURN_SIGN = (*"-−–△▲()[]}\\", "of", "minus", "negative", "ly", "about", "around", "almost")
"""How a text ends that may turn the sign of a box behind it."""
_MINUS = re.compile(
    r"(?:^\s*|[=≈:：(]\s*|[a-z]{2} +|[\u3040-\u9fff]\s*)[-−–△▲]$|[=≈]\s*[-−–]\s*$", re.IGNORECASE
)
_FALLEN = re.compile(
    rf"\b(?:{FALL}\s+of(?:\s+(?:about|approximately|around|roughly|nearly|almost))?"
    r"|minus|negative)\s*$",
    re.IGNORECASE,
)
_OPENED = re.compile(r"(?:^|[=≈:：]|\b(?:is|was|are|were))\s*\(\s*$", re.IGNORECASE)
_CLOSED = re.compile(r"[^\n()]{0,20}\)")


def find_box(reply: str, start: int) -> int:
    """Where the last box after `start` begins, -1 without one."""
    return max(reply.rfind("\\boxed{", start), reply.rfind("\\boxed {", start))


def read_box(reply: str, start: int, box: int) -> str:
    """The text of the box that begins at `box`: "-\\boxed{94}\\%" is "-94 %". "" where it does not
    close, is denied or taken back ("\\boxed{94}, wait"), or "or" joins it to another one. Nothing
    before `start` is looked at."""
    begin = reply.index("{", box) + 1
    inner = balanced(reply, begin)
    before = reply[max(box - _AROUND, start) : box].rpartition("\n")[2]
    behind = reply[begin + len(inner) + 1 :][:_AROUND] if inner else ""
    if is_taken_back(before, behind):
        return ""
    if _ENDS.match(behind) and not _stripped(before).endswith(_MAY_TURN_SIGN):
        return inner
    before, behind = (_MARKUP.sub("", plain(text)) for text in (before, behind))
    bare = plain(inner).strip()
    text = _with_units(inner, bare, behind.partition("\n")[0])
    return f"-{text.lstrip()}" if _is_negative(before, bare, behind) else text


def _stripped(before: str) -> str:
    return before.rstrip(" $*_`").lower()


def _is_negative(before: str, bare: str, behind: str) -> bool:
    """Whether what stands before a number turns its sign: "-", "a loss of", a parenthesis around
    it. The minus of a difference, "5829 - ", and the dash of a list do not."""
    if not _UNSIGNED.match(bare):  # twice negative is no number
        return bool(_SIGNED.match(bare) and _MINUS.search(before))
    if _MINUS.search(before) or _FALLEN.search(before):
        return True
    return bool(_OPENED.search(before) and _CLOSED.match(behind))


def _with_units(inner: str, bare: str, behind: str) -> str:
    """The text of a box with a power of ten, a scale, a percent sign or a currency behind it, which
    belong to each number of a list. With an operator behind, "^2", it is no number any more."""
    parts = _SEPARATOR.split(bare)
    if not all(_NUMBER.fullmatch(part) for part in parts[::2]):
        return inner
    units, position = [], 0
    for pattern in (_POWER, *[_UNIT] * _MAX_UNITS):
        if unit := pattern.match(behind, position):
            units.append(unit[1])
            position = unit.end()
    if not units:
        operator = _OPERATOR.match(behind)
        return f"{inner} ^{operator[1]}" if operator else inner  # which none reads
    if len(parts) == 1:
        return " ".join((inner, *units))
    numbers = (" ".join((part, *units)) for part in parts[::2])
    return "".join(text for pair in zip(numbers, (*parts[1::2], ""), strict=True) for text in pair)


def balanced(text: str, start: int) -> str:
    """The text from `start` to the brace that closes the one before it, "" when none does."""
    depth = 1
    for brace in _BRACE.finditer(text, start, start + MAX_CHARS):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[start : brace.start()]
    return ""
