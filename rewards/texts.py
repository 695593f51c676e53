"""Untrusted text on its way to a judge: cleaned, shortened, and never an instruction.

What a policy writes is optimised against the judge that reads it, so it is treated as an attack.
"""

from __future__ import annotations

import re
import unicodedata

from rewards.addressing import addresses_judge
from rewards.form import words

REMOVED = "[removed]"
"""Stands where a reserved marker was."""
LEAST_WORDS = 3
"""Of an open answer that a judge is asked about."""

_DROPPED = {"Cf", "Co", "Cn", "Cs", "Cc"}
_RESERVED = re.compile(
    r"<\|[^<>|]{0,40}\|>|<｜[^<>｜]{0,40}｜>|</?s>|\[/?INST\]|<</?SYS>>|</?(?:think|tool_call|"
    r"tool_response|start_of_turn|end_of_turn|response|candidate|score|verdict|answer)>",
    re.IGNORECASE,
)
_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
_LETTERS = re.compile(r"[^\W_]+")
_EMPTY_PHRASES = frozenset(
    "".join(_LETTERS.findall(phrase))
    for phrase in (
        "solution",
        "the solution is",
        "thought process",
        "reasoning",
        "answer",
        "the answer is",
        "final answer",
        "let's solve this problem step by step",
        "let's think step by step",
        "step by step",
        "explanation",
        "analysis",
        "conclusion",
        "解",
        "解答",
        "解析",
        "答案",
        "かいせつ",
        "解説",
        "こたえ",
        "respuesta",
        "solución",
        "réponse",
        "lösung",
    )
)


def clean(text: str) -> str:
    """The text as a judge may see it: no invisible, private, unassigned or control characters but
    line breaks and tabs, no half surrogates, and no reserved marker of a chat format."""
    kept = text if text.isascii() and text.isprintable() else _visible(text)
    return _RESERVED.sub(REMOVED, kept)


def _visible(text: str) -> str:
    return "".join(
        char for char in text if char in "\n\t" or unicodedata.category(char) not in _DROPPED
    )


def comparable(text: str) -> str:
    """A form in which look-alikes are equal (NFKC, lower case, one space between words)."""
    return " ".join(_normal(text).split())


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", clean(text)).casefold()


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, head and tail, and a line between that says what is gone."""
    if len(text) <= limit:
        return text
    tail = limit // 3
    gone = len(text) - limit
    return f"{text[: limit - tail]}\n[{gone} characters left out here]\n{text[-tail:]}"


def gate(reply: str) -> str:
    """Why a reply is not worth a judge's time, or "": it then scores 0 by rule.

    - `empty`: no letter or digit in it, or nothing but a phrase that opens an answer ("Solution",
      "Thought process:"); such replies win over most judges (arXiv 2507.08794).
    - `forged`: it holds markers of a chat format, or characters that hide or turn text round.
    - `addresses_judge`: it speaks of its own score, or to who gives it (`rewards.addressing`).
    - `too_short`: under LEAST_WORDS words, a Chinese or Japanese character being one.
    """
    if _RESERVED.search(reply) or _HIDDEN.search(reply):
        return "forged"
    lines = [" ".join(line.split()) for line in _normal(reply).splitlines()]
    plain = " ".join(lines)
    letters = "".join(_LETTERS.findall(plain))
    if not letters or letters in _EMPTY_PHRASES:
        return "empty"
    if addresses_judge("\n".join(lines)):
        return "addresses_judge"
    return "too_short" if len(words(plain)) < LEAST_WORDS else ""
