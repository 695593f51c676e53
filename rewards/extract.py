"""Find the final answer in a reply. Only what stands after the reasoning counts."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

MAX_ANSWER_CHARS = 4000
"""Longest answer that is looked at; a longer box or tag is no answer."""
SHORT_REPLY_CHARS = 200
"""A reply without any marker is taken as the answer itself when it is at most this long."""
_PHRASE_WINDOW = 1000  # an answer phrase is searched in the end of a reply only

_BRACE = re.compile(r"[{}]")
_PHRASE = re.compile(
    r"(?:\banswer[\"'*_]*\s*(?:is|are|was|=|:|：)|答案\s*(?:是|为|:|：)|答え(?:は|:|：)|####)[\s:*\"'=]*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.。](?=\s|$)[^0-9]*$")
_STATEMENT = re.compile(
    r".*(?:\b(?:is|was|are|were|equals)\b|[=:：是为])(.+)", re.IGNORECASE | re.DOTALL
)
_HEDGE = re.compile(r"\b(?:or|either|between|maybe|perhaps)\b|或", re.IGNORECASE)


class Source(StrEnum):
    """Where the answer was found, or why there is none."""

    BOXED = "boxed"
    TAG = "tag"
    PHRASE = "phrase"
    REPLY = "reply"  # the whole of a short reply
    NONE = "no_answer"
    UNCLOSED_THINK = "unclosed_think"


class Answer(NamedTuple):
    text: str
    source: Source


def extract_answer(reply: str) -> Answer:
    """The final answer of a reply, by the first of these that is there:

    1. the last `\\boxed{...}` with balanced braces (a last box that never closes is no answer),
    2. the last `<answer>...</answer>`,
    3. the rest of the line after the last "answer is", "answer:", "答案是" or "####",
    4. the whole reply when it is short.

    All of it after the last `</think>`; a reply that is still thinking has no answer.
    """
    end_of_think = reply.rfind("</think>")
    if reply.find("<think>", max(end_of_think, 0)) >= 0:
        return Answer("", Source.UNCLOSED_THINK)
    start = end_of_think + len("</think>") if end_of_think >= 0 else 0
    box = reply.rfind("\\boxed{", start)
    if box >= 0:
        return _found(_balanced(reply, box + len("\\boxed{")), Source.BOXED)
    tag = reply.rfind("<answer>", start)
    if tag >= 0:
        inner, closing, _ = reply[tag + 8 : tag + 8 + MAX_ANSWER_CHARS].partition("</answer>")
        return _found(inner if closing else "", Source.TAG)
    text = reply[start:].strip()
    window = text[-_PHRASE_WINDOW:]
    if phrases := list(_PHRASE.finditer(window)):
        return _found(window[phrases[-1].end() :].partition("\n")[0].rstrip("}"), Source.PHRASE)
    return _found(text if len(text) <= SHORT_REPLY_CHARS else "", Source.REPLY)


def number_candidates(answer: Answer) -> list[str]:
    """The texts in which an answer may state its number, best first.

    The answer as it stands; then, where it is prose and not a box or a tag, its first sentence
    when no digit follows it, and what follows the last "is" or "=" unless the prose hedges.
    """
    if answer.source in (Source.BOXED, Source.TAG):
        equation = answer.text.rpartition("=")
        return [answer.text, equation[2]] if equation[1] else [answer.text]
    candidates = [answer.text]
    sentence = _SENTENCE_END.sub("", answer.text)
    if sentence != answer.text:
        candidates.append(sentence)
    if not _HEDGE.search(answer.text) and (statement := _STATEMENT.search(sentence)):
        candidates.append(statement[1])
    return candidates


def _found(text: str, source: Source) -> Answer:
    text = text.strip()
    return Answer(text, source) if text else Answer("", Source.NONE)


def _balanced(reply: str, start: int) -> str:
    """The text from `start` to the brace that closes the one before it, "" when none does."""
    depth = 1
    for brace in _BRACE.finditer(reply, start, start + MAX_ANSWER_CHARS):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return reply[start : brace.start()]
    return ""
