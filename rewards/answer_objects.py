"""Read the answer of a reply that is a JSON object: {"answer": 94, "unit": "million"}."""

from __future__ import annotations

import json

_ANSWERS = ("answer", "final_answer", "result", "value")
_UNITS = ("unit", "scale", "currency")
_ASIDES = frozenset(
    ("explanation", "reason", "reasoning", "rationale", "confidence", "working", "calculation")
)
"""Keys whose values say nothing of what the answer is."""
MAX_CHARS = 4000
_MAX_DEPTH = 3


def answer_of_object(text: str) -> str | None:
    """What a JSON object states as its answer, with its unit; items of a list are parted by ";".

    None where the text is none. "" where it states no answer or more than one: a key twice, two
    keys of answers, or a key that is neither unit nor explanation.
    """
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text.strip("`").removeprefix("json").strip()
    if not (text.startswith("{") and text.endswith("}")) or len(text) > MAX_CHARS:
        return None
    if '"' not in text or text.count("[") + text.count("{") > _MAX_DEPTH:
        return None
    try:
        pairs = json.loads(text, object_pairs_hook=list, parse_float=str, parse_int=str)
    except ValueError:
        return None
    return _stated(pairs)


def _stated(pairs: object) -> str:
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return ""
    keys = [str(key).lower().replace(" ", "_") for key, _ in pairs]
    named = dict(zip(keys, (value for _, value in pairs), strict=True))
    answers = [key for key in keys if key in _ANSWERS]
    known = all(key in _ANSWERS or key in _UNITS or key in _ASIDES for key in keys)
    if len(answers) != 1 or len(named) != len(keys) or not known:
        return ""
    value = named[answers[0]]
    units = [named[key] for key in _UNITS if key in named]
    if isinstance(value, bool) and not units:
        return "yes" if value else "no"
    items = value if isinstance(value, list) else [value]
    if items and all(isinstance(item, tuple) for item in items) and not units:
        return _stated(items)
    if not all(isinstance(item, str) and item.strip() for item in (*items, *units)):
        return ""
    return "; ".join(" ".join((item, *units)) for item in items)
