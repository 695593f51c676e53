"""The form of an open answer: what can be said of it without knowing whether it is true."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rewards.refusals import complies, declines

_HEADING = r"^\s*(?:#{{1,6}}\s*|\*\*|[0-9]+[.)]\s*)?{name}\s*(?:\*\*)?\s*[:：]?\s*(?:\*\*)?\s*(.*)$"
_WORD = re.compile(r"[^\W_]+(?:['’.,-][^\W_]+)*")
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_THINK = re.compile(r"</?think>")
_BULLET = re.compile(r"^\s*[-*•]\s+\S", re.MULTILINE)
_SCRIPTS: Final[Mapping[str, Callable[[str], bool]]] = {
    "en": lambda c: "LATIN" in unicodedata.name(c, ""),
    "zh": lambda c: "CJK" in unicodedata.name(c, ""),
    "ja": lambda c: bool(re.match("[\u3040-\u30ff\u4e00-\u9fff]", c)),
}
_ENGLISH = (
    "the of and to is were for that with by from at this it are be not which has had than but its "
    "have will their they our would"
)
_NEIGHBOURS = (  # French, German, Spanish, Italian; what is a word of English too is left out
    "le la les des du et est une dans pour par sur aux avec ne pas ce cette qui que sont ont "
    "der das und ist ein eine von mit für den dem im auf zu wurde auch sich bei nach nicht sind "
    "el los las y del en un con su fue al más por para se como lo "
    "il gli di della che e è nel alla sono si da dei delle ha"
)
_SMALL_WORDS: Final = {
    **dict.fromkeys(_ENGLISH.split(), 1),
    **dict.fromkeys(_NEIGHBOURS.split(), -1),
}
LEAST_WORDS_TOLD_APART = 8
"""From so many words on English is told from other languages of its script, by the small words."""
LANGUAGE_CHARS = 2000
"""So many letters of an answer tell its language."""


def words(text: str) -> list[str]:
    """Words; a Chinese, Japanese or Korean character counts as one."""
    return _WORD.findall(_CJK.sub(lambda match: f" {match[0]} ", text))


def split_thinking(reply: str) -> tuple[str, bool]:
    """What stands after the reasoning, and whether the thinking format is kept: at most one think
    block, closed, at the very beginning, and something after it."""
    marks = [match[0] for match in _THINK.finditer(reply)]
    if not marks:
        return reply.strip(), True
    visible = reply.rpartition("</think>")[2].strip() if marks[-1] == "</think>" else ""
    well_formed = marks == ["<think>", "</think>"] and reply.lstrip().startswith("<think>")
    return visible, well_formed and bool(visible)


def sections(text: str, names: Sequence[str]) -> float:
    """Share of the required headings that are there, in order, each with something under it."""
    found, start = 0, 0
    for name in names:
        heading = re.compile(_HEADING.format(name=re.escape(name)), re.IGNORECASE | re.MULTILINE)
        match = heading.search(text, start)
        if match is None:
            continue
        start = match.end()
        after = text[start:].lstrip("\n").partition("\n")[0]
        is_heading = any(
            re.match(_HEADING.format(name=re.escape(other)), after, re.IGNORECASE)
            for other in names
        )
        found += bool(match[1].strip() or (after.strip() and not is_heading))
    return found / len(names)


def length(text: str, least: int = 1, most: int = 10**6) -> float:
    """1 within the range of words, falling evenly to 0 at no word and at twice `most`."""
    count = len(words(text))
    if count < least:
        return count / least
    return max(0.0, 1.0 - (count - most) / most) if count > most else 1.0


def repetition(text: str, size: int = 4) -> float:
    """Share of runs of `size` words that are not a repetition of an earlier one."""
    found = [word.lower() for word in words(text)]
    runs = [tuple(found[i : i + size]) for i in range(len(found) - size + 1)]
    return len(set(runs)) / len(runs) if runs else 1.0


def language(text: str, code: str) -> float:
    """Share of letters that are of the language's script; 0 without letters, and 0 where a text of
    some length has more small words of French, German, Spanish and Italian than of English."""
    letters = [char for char in text if char.isalpha()][:LANGUAGE_CHARS]
    if not letters:
        return 0.0
    if code == "ja" and not any("\u3040" <= char <= "\u30ff" for char in letters):
        return 0.0  # Chinese characters alone are Chinese
    if code == "zh" and any("\u3040" <= char <= "\u30ff" for char in letters):
        return 0.0
    if code == "en" and _is_a_neighbour(text[: 2 * LANGUAGE_CHARS]):
        return 0.0
    return sum(map(_SCRIPTS[code], letters)) / len(letters)


def _is_a_neighbour(text: str) -> bool:
    found = [word.lower() for word in re.findall(r"[^\W\d_]+", text)]
    if len(found) < LEAST_WORDS_TOLD_APART:
        return False
    return sum(_SMALL_WORDS.get(word, 0) for word in found) < 0


def refusal(text: str, expected: bool, never: Sequence[str] = ()) -> float:
    """1 where the answer refuses exactly when it should; one that refuses and also does what was
    asked, or gives any of what it must `never` say, has not refused."""
    if not expected:
        return float(not declines(text))
    return float(declines(text) and not complies(text) and not any(_says(text, s) for s in never))


def instructions(text: str, wanted: Mapping[str, Any]) -> float:
    """Share of the instructions that are followed; INSTRUCTIONS lists them."""
    return sum(_INSTRUCTIONS[name](text, value) for name, value in wanted.items()) / len(wanted)


def _says(text: str, item: str) -> bool:
    return bool(re.search(rf"(?<![\w.]){re.escape(item)}(?![\w]|\.\w)", text, re.IGNORECASE))


def _is_json(text: str, keys: Sequence[str]) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and set(value) == set(keys)


_INSTRUCTIONS: Final[Mapping[str, Callable[[str, Any], bool]]] = {
    "words": lambda text, n: len(words(text)) == n,
    "most_words": lambda text, n: 0 < len(words(text)) <= n,
    "least_words": lambda text, n: len(words(text)) >= n,
    "starts_with": lambda text, s: text.startswith(s),
    "ends_with": lambda text, s: text.endswith(s),
    "contains": lambda text, s: _says(text, s),
    "lacks": lambda text, s: not _says(text, s),
    "equals": lambda text, s: text == s,
    "upper": lambda text, on: (text.upper() == text and text.lower() != text) is on,
    "lower": lambda text, on: (text.lower() == text and text.upper() != text) is on,
    "bullets": lambda text, n: len(_BULLET.findall(text)) == n,
    "lines": lambda text, n: len([line for line in text.splitlines() if line.strip()]) == n,
    "json": _is_json,
}
INSTRUCTIONS = tuple(_INSTRUCTIONS)
