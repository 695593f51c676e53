"""Untrusted text on its way to a judge: cleaned, shortened, and never an instruction.

What a policy writes is optimised against the judge that reads it, so it is treated as an attack.
"""

from __future__ import annotations

import html
import re
import unicodedata
from unicodedata import normalize

from rewards.addressing import addresses_judge
from rewards.disguises import undisguised
from rewards.form import words
from rewards.logs import UNSEEN

REMOVED = "[removed]"
"""Stands where a reserved marker was."""
LEAST_WORDS = 3
"""Of an open answer that a judge is asked about."""
READ_CHARS = 20_000
"""Of a text; what the gate does not read, no judge is shown: of that half at most, since what is
removed on the way makes room for more."""

_DROPPED = {"Cf", "Co", "Cn", "Cs"}
_RESERVED = re.compile(
    r"<\|[^<>|]{0,80}\|>|<｜[^<>｜]{0,80}｜>|</?\s?s>|\[/?INST\]|<</?SYS>>|</?(?:think|tool_calls?|"
    r"tool_response|start_of_turn|end_of_turn|response|candidate|score|verdict|answer|"
    r"bos|eos|pad|unk|cls|sep|mask|sop|eop|image|(?:start|end)_of_image|unused[0-9]{1,6}|"
    r"(?:reserved|extra_id)_[0-9]{1,6}|function_calls?|(?:invoke|parameter)(?: [^<>]{0,80})?)>|"
    r"(?-i:\[(?:[gs]MASK|/?TOOL_(?:CALLS|RESULTS)|/?AVAILABLE_TOOLS|/?SYSTEM_PROMPT|"
    r"CLS|SEP|PAD|UNK|MASK|BOS|EOS)\])",
    re.IGNORECASE,
)
_HALF_MARKER = re.compile(r"(?<=[<＜])(?=[|｜])|(?<=[|｜])(?=[>＞])")
_LINE_BREAK = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_HIDDEN = re.compile("[\x08\x1b\x9b\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
_LONG_ENTITY = re.compile("&#[0-9a-fx]{9,}", re.IGNORECASE)
"""Which no character has; Python refuses to read a number of thousands of digits."""
_LETTERS = re.compile(r"[^\W_]+")
_OPENERS = (
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
    "let me think",
    "let me think about this",
    "let's begin",
    "to solve this problem",
    "here is my solution",
    "here is my answer",
    "step 1",
    "okay so",
    "首先",
    "思考",
    "思考过程",
    "让我们一步一步地思考",
    "让我们一步一步地解决这个问题",
    "解题过程",
    "分析",
    "考え方",
    "考え",
    "答え",
    "解",
    "解答",
    "解析",
    "答案",
    "かいせつ",
    "解説",
    "解释",
    "こたえ",
    "respuesta",
    "solución",
    "réponse",
    "lösung",
    "antwort",
    "risposta",
    "resposta",
    "ответ",
    "решение",
    "풀이",
)
"""Phrases that open an answer; a text of nothing else says nothing."""
_EMPTY = re.compile(
    "(?>"
    + "|".join(sorted(("".join(_LETTERS.findall(undisguised(o))) for o in _OPENERS), reverse=True))
    + ")++"  # neither gives back what it took, so time is linear
)


def clean(text: str) -> str:
    """The text as a judge may see it: without invisible, private and unassigned characters, half
    surrogates and reserved markers of a chat format; every line break is "\\n", and any other
    control character but a tab is a space."""
    return _HALF_MARKER.sub(" ", _RESERVED.sub(REMOVED, _visible(text)))


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, UNSEEN.sub("", _LINE_BREAK.sub("\n", text))))


def _shown(char: str) -> str:
    if char in "\n\t" or char.isprintable():
        return char
    category = unicodedata.category(char)
    return " " if category == "Cc" else "" if category in _DROPPED else char


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, head and tail, and a line between that says what is gone."""
    if len(text) <= limit:
        return text
    tail = limit // 3
    gone = len(text) - limit
    return f"{text[: limit - tail]}\n[{gone} characters left out here]\n{text[-tail:]}"


def gate(reply: str) -> str:
    """Why a reply is not worth a judge's time, or "": it then scores 0 by rule.

    - `empty`: no letter or digit in it, or nothing but phrases that open an answer ("Solution",
      "Thought process:"); such replies win over most judges (arXiv 2507.08794).
    - `forged`: it holds markers of a chat format, or characters that hide or turn text round.
    - `addresses_judge`: it speaks of its own score, or to who gives it (`rewards.addressing`).
    - `too_short`: under LEAST_WORDS words, a Chinese or Japanese character being one.

    Disguises are undone first (`rewards.disguises`). Of a long reply the head and tail that a judge
    may be shown are read.
    """
    seen = shortened(_visible(html.unescape(_LONG_ENTITY.sub(" ", reply))), READ_CHARS)
    normal = normalize("NFKC", seen)
    if _HIDDEN.search(reply) or any(map(_RESERVED.search, (seen, normal))):
        return "forged"
    if len(normal) > 2 * READ_CHARS:  # of characters that stand for whole sentences
        return "forged"
    plain = undisguised(seen)
    letters = "".join(_LETTERS.findall(plain))
    if not letters or _EMPTY.fullmatch(letters):
        return "empty"
    if addresses_judge(plain):
        return "addresses_judge"
    return "too_short" if len(words(plain)) < LEAST_WORDS else ""
