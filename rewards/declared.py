"""Read the unit that a task or a table declares for its bare numbers."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from configs.errors import DataError
from rewards.numbers import Quantity, parse_quantity
from rewards.units import CURRENCY_MARK, UNIT_LABEL, is_scale, units_mentioned

_UNIT_LEAD_IN = re.compile(
    r"(?:(?:all\s+)?(?:amounts?|figures?|values?)\s+)?(?:(?:are|expressed|stated|reported)\s+)?in\s+",
    re.IGNORECASE,
)
_EXCEPT = re.compile(r",?\s*except\s.*", re.IGNORECASE)
_MILLIONS = re.compile(r"\s*['’]?000,000s?\b")
_THOUSANDS = re.compile(r"\s*['’]?000['’]?s?\b")
_UNIT_CURRENCY = re.compile(rf"{CURRENCY_MARK}\s*(?:in\s+)?", re.IGNORECASE)


@lru_cache(maxsize=1024)
def parse_unit(unit: str) -> Quantity:
    """What a declared unit means for a bare number: "in millions" -> scale 1e6, "percent" -> 0.01,
    "HKD '000" -> scale 1e3 and currency HKD; a word that is no scale is what is counted.

    Raises DataError for a unit that names a scale in a way that is not understood.
    """
    text = unicodedata.normalize("NFKC", unit).strip(" ()[]")
    text = _EXCEPT.sub("", text)
    text = UNIT_LABEL.sub("", _UNIT_LEAD_IN.sub("", text))
    text = _MILLIONS.sub(" million", text)
    text = _THOUSANDS.sub(" thousand", text)
    mark = _UNIT_CURRENCY.match(text)
    currency, rest = (mark[0], text[mark.end() :]) if mark else ("", text)
    quantity = parse_quantity(f"{currency}1 {rest}") or parse_quantity(f"1 {text}")
    if quantity is None and any(is_scale(word) for word in units_mentioned(text)):
        raise DataError(
            f"the unit {unit[:40]!r} is not understood; write it as 'million', 'USD thousand', "
            "'percent' or '万元', or leave it out"
        )
    return quantity or Quantity(1.0)
