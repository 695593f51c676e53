"""Read one date in the ways reports write it; "05/06/2023", which may be two days, is refused."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from rewards.numerals import to_ascii
from rewards.typography import plain

WHOLE_MONTH = -1


class Day(NamedTuple):
    """A calendar date; `day` WHOLE_MONTH is a whole month ("December 2019")."""

    year: int
    month: int
    day: int


_MONTHS = "january february march april may june july august september october november december"
_MONTH = {name: i for i, name in enumerate(_MONTHS.split(), start=1)}
_MONTH |= {name[:3]: i for name, i in _MONTH.items()} | {"sept": 9}
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925}
_NAME = rf"(?P<name>{'|'.join(sorted(_MONTH, key=len, reverse=True))})\.?"
_YEAR = r"(?P<year>[12][0-9]{3})"
_DAY = r"(?P<day>[0-9]{1,2})"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)  # "aprıl" is no month
    for form in (
        rf"{_YEAR}\s*([-/.])\s*(?P<month>[0-9]{{1,2}})\s*\2\s*{_DAY}(?:[ T]00:00(?::00)?)?",
        rf"(?P<era>令和|平成|昭和)?(?P<year>[0-9]{{1,4}})\s*年\s*(?P<month>[0-9]{{1,2}})\s*月"
        rf"(?:\s*{_DAY}\s*[日号號])?",
        rf"{_YEAR}(?P<month>[01][0-9])(?P<day>[0-3][0-9])",
        rf"{_NAME}\s*{_DAY}(?:st|nd|rd|th)?\s*,?\s+{_YEAR}",
        rf"{_DAY}(?:st|nd|rd|th)?[\s-]+(?:of\s+)?{_NAME}\s*(?:,\s*|-|\s){_YEAR}",
        rf"{_NAME}\s*,?\s+{_YEAR}",
        rf"(?P<first>[0-9]{{1,2}})([-/.])(?P<second>[0-9]{{1,2}})\2{_YEAR}",
    )
)
_LEAD_IN = re.compile(
    r"(?:as\s+(?:of|at)|dated|on|at|截至|截止|于)\s*(?=[a-z0-9二])(?:the\s+)?", re.IGNORECASE
)
_WEEKDAY = re.compile(
    r"^(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s|\s?\(?(?:星期|周|礼拜)[一二三四五六日天]\)?$"
    r"|\s?\((?:[月火水木金土日](?:曜日?)?|(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6})\)$",
    re.IGNORECASE,
)
_CJK_PART = re.compile("[零〇一二三四五六七八九十]+(?=[年月日号])")
_DASHES = str.maketrans("−–‐‑", "----")
MAX_CHARS = 40


def read_day(text: str) -> Day | None:
    """The date that a text is: "2023-6-20", "June 20, 2023", "二〇二三年六月二十日"."""
    text = plain(text[: 2 * MAX_CHARS])
    text = unicodedata.normalize("NFKC", text).translate(_DASHES).strip(" \t\n*`\"'.。,，")
    text = _LEAD_IN.sub("", text, count=1) if _LEAD_IN.match(text) else text
    text = _WEEKDAY.sub("", text, count=1)
    if not 6 <= len(text) <= MAX_CHARS:
        return None
    text = _CJK_PART.sub(lambda m: to_ascii(m[0]), text)
    for form in _FORMS:
        if match := form.fullmatch(text):
            return _valid(match.groupdict())
    return None


def _valid(parts: dict[str, str | None]) -> Day | None:
    year = int(parts["year"] or 0)
    if "era" in parts:
        year += _ERAS[parts["era"]] if parts["era"] else 0
    if "first" in parts:
        month, day = int(parts["first"] or 0), int(parts["second"] or 0)
        if month != day and month <= 12 and day <= 12:
            return None
        month, day = (day, month) if month > 12 else (month, day)
    else:
        name = parts.get("name")
        month = _MONTH[name.lower()] if name else int(parts["month"] or 0)
        day = int(parts["day"] or 0) if parts.get("day") else WHOLE_MONTH
    is_valid = 1900 <= year < 2200 and 1 <= month <= 12 and (day == WHOLE_MONTH or 1 <= day <= 31)
    return Day(year, month, day) if is_valid else None
