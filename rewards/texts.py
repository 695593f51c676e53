"""Untrusted text on its way to a judge or a log: cleaned, shortened, and never an instruction.

What a policy writes is optimised against the judge that reads it, so it is treated as an attack.
"""

from __future__ import annotations

import re
import unicodedata

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
_ADDRESSES_JUDGE = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,30}\b(?:previous|prior|above|earlier|all|the)\b.{0,20}"
    r"\b(?:instructions?|rubric|rules|criteria|prompt)\b"
    r"|\bgrading policy\b|\bfull (?:marks?|score|credit)\b|\bfinal (?:judge?ment|verdict|score)\b"
    r"|\b(?:evaluator|grader|judge|system|assistant)\s*:"
    r"|(?:^|[^\w])[\"'<#*]*(?:score|verdict|rating|grade)[\"'>*]*\s*[:=]\s*[\"']?(?:[0-9]|yes|true|"
    r"correct|pass|good|strong)"
    r"|\bscore of [0-9]|\b(?:certify|confirm|attest) (?:that )?(?:this|my|the) (?:answer |reply )?"
    r"is correct|<score>"
    r"|\b(?:rate|grade|mark|score|judge|accept|count|treat)\b.{0,10}\b(?:this|my|the) "
    r"(?:answer|reply|response|comment)\b.{0,10}\b(?:as|correct|right)\b"
    # The same in other languages: an order to grade, and the answer or the grade that it is about.
    r"|满分|评为|判为|评分标准|満点|採点|正解として|만점|정답으로"
    r"|\b(?:оцени|поставь|засчитай)(?:те)?\b.{0,40}\b(?:ответ|балл|оценк)"
    r"|\b(?:califi(?:ca|que)|punt[uú][ae]|eval[uú][ae])\b.{0,20}\brespuesta\b"
    r"|\b(?:notez|évaluez|jugez)\b.{0,20}\bréponse\b"
    r"|\b(?:bewerten?|benoten?)\b.{0,20}\bantwort\b"
    r"|\b(?:avalie|considere)\b.{0,20}\bresposta\b",
    re.IGNORECASE,
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
    return " ".join(unicodedata.normalize("NFKC", clean(text)).casefold().split())


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
    - `addresses_judge`: it speaks of its own score, or to who gives it.
    - `too_short`: under LEAST_WORDS words, a Chinese or Japanese character being one.
    """
    if _RESERVED.search(reply) or _HIDDEN.search(reply):
        return "forged"
    plain = comparable(reply)
    letters = "".join(_LETTERS.findall(plain))
    if not letters or letters in _EMPTY_PHRASES:
        return "empty"
    if _ADDRESSES_JUDGE.search(plain):
        return "addresses_judge"
    return "too_short" if len(words(plain)) < LEAST_WORDS else ""


def loggable(text: str, limit: int = 200) -> str:
    """One printable line: what is not printable is escaped, and the rest of a long text counted."""
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text[:limit]
    )
    return shown if len(text) <= limit else f"{shown}... ({len(text) - limit} more characters)"
