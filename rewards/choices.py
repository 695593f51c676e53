"""Read a verdict (yes or no) and the options that an answer chooses; a hedge is neither."""

from __future__ import annotations

import re
import unicodedata

LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_EDGES = " \t\r\n*\"'`“”「」【】\u200b\ufeff"

# In each alternation longer words stand before their beginnings.
YES: tuple[str, ...] = ("yes", "true", "是的", "是", "对的", "对", "正确", "はい", "√", "✓", "✔")
NO: tuple[str, ...] = (
    "no",
    "false",
    "不是的",
    "不是",
    "否",
    "错误",
    "错的",
    "错",
    "不对",
    "不正确",
    "不",
    "いいえ",
)
NO += ("×", "✗", "✘")
_VERDICT = re.compile(
    rf"(?P<yes>{'|'.join(YES)})|(?P<no>{'|'.join(NO)})|(?P<letter>[yn]$)", re.IGNORECASE
)
_SEGMENT = re.compile(r"[^\w\s'’]|\n|\b(?:or|and|but)\b|或", re.IGNORECASE)
_FOLLOWS = re.compile(
    r"[^\w\s?？/]|\s+(?:it|they|this|that|he|she|we|because|since|as)\b|\s+[-–—(]|\s*\n",
    re.IGNORECASE,
)

_DOUBT = re.compile(
    r"\b(?:maybe|perhaps|possibly|not sure|unsure|uncertain)\b|不确定|不一定|可能"
    r"|\b(?:actually|rather|think|instead|say|sorry|wait)\W+(?:\w+\W+)?(?:yes|no|true|false)\b",
    re.IGNORECASE,
)
_LETTERS = r"[A-H][)]?(?:\s*(?:[;,、&+]|and|和|与|及|\s)?\s*[(]?[A-H][)]?)*"
_GOLD = re.compile(r"[A-H](?:\s*[;,、]\s*[A-H])*|A?B?C?D?E?F?G?H?")
_LEAD_IN = re.compile(
    r"(?:(?:the\s+)?(?:correct\s+|right\s+|final\s+|best\s+)?(?:answers?|options?|choices?)"
    r"\s*(?:is|are|:)?\s*|(?:故|应|应该|本题)?选(?:择|项)?\s*(?:是|为|:)?\s*"
    r"|(?:正确)?答案\s*(?:是|为|:|选择?)\s*)",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"\s*(?:(?:is|are)\s+(?:the\s+)?(?:(?:correct|right|best)\s*|(?=answer))(?:answers?|options?)?"
    r"|选?项(?:正确)?|正确)?\s*[.。]?"
)
_BRACKETS = re.compile(r"[\[\]{}\"'`*]")
_ONLY = re.compile(rf"[(]?({_LETTERS})")
_LOWER = re.compile(r"[(]?[a-h][)]?(?:\s*[;,、]\s*[a-h])*[.]?")
_WITH_TEXT = re.compile(
    r"(?:[(]([A-H])[)]|([A-H])[.、:)])\s*(?!\s*(?:or|and|或|和|/)(?![a-z]))[^;；\n]*"
)
_BARE_WITH_TEXT = re.compile(
    r"([A-H])\s*(?=(?![和与及或]|[之以]外|除外)[\u4e00-\u9fff\u3040-\u30ff]|(?<!A )[0-9$¥])"
    r"[^;；\n错不非]*"
)
_HEDGE = re.compile(
    r"\b(?:or|maybe|perhaps|possibly|either|not|but)\b|或|也可能|不是|还是", re.IGNORECASE
)
_OTHER_OPTION = re.compile(r"(?<![A-Za-z])[A-H](?=\s*(?:[.、:)(,;]|$))")
MAX_CHARS = 400


def read_yes_no(text: str) -> bool | None:
    """The verdict a text begins with: "No, not yes" -> False; "yes or no", "no change" -> None."""
    text = unicodedata.normalize("NFKC", LATEX_TEXT.sub(r"\1", text[:MAX_CHARS]))
    text = text.strip(_EDGES).lstrip("([$")
    match = _VERDICT.match(text)
    if match is None:
        return None
    said = _is_yes(match)
    rest = text[match.end() :]
    if not rest:
        return said
    others = [_VERDICT.fullmatch(part.strip(_EDGES)) for part in _SEGMENT.split(rest)]
    if (
        _FOLLOWS.match(rest) is None
        or _DOUBT.search(rest)
        or any(other and _is_yes(other) != said for other in others)
    ):
        return None
    return said


def _is_yes(verdict: re.Match[str]) -> bool:
    return verdict["yes"] is not None or verdict["letter"] in ("y", "Y")


def is_choice_gold(text: str) -> bool:
    """Whether a gold is option letters: "B", "A;D", "ABD" (in the order of the alphabet)."""
    return bool(text) and _GOLD.fullmatch(text) is not None


def read_choices(text: str) -> frozenset[str]:
    """The option letters a text states: "(B)", "B. 750", "A, D", "AD", "A. rise; D. fall".

    Empty when none is clear: for a hedge, and for prose that only begins with a letter.
    """
    if len(text) > MAX_CHARS:
        return frozenset()
    text = LATEX_TEXT.sub(r"\1", text)
    text = _BRACKETS.sub("", unicodedata.normalize("NFKC", text)).strip(_EDGES)
    if lead_in := _LEAD_IN.match(text):
        text = text[lead_in.end() :].strip(_EDGES)
    if _LOWER.fullmatch(text):
        text = text.upper()
    if (match := _ONLY.match(text)) and _TAIL.fullmatch(text, match.end()):
        letters = re.findall("[A-H]", match[1])
        return frozenset(letters) if len(set(letters)) == len(letters) else frozenset()
    if _HEDGE.search(text):
        return frozenset()
    if "。" in text.rstrip("。"):  # "B。因为A错误"
        return read_choices(text.partition("。")[0])
    chosen = set()
    for part in re.split(r"[;；\n]\s*", text):
        option = _WITH_TEXT.fullmatch(part) or _BARE_WITH_TEXT.fullmatch(part)
        if option is None or _OTHER_OPTION.search(part, 2 if part[0] != "(" else 3):
            return frozenset()
        chosen.add(next(letter for letter in option.groups() if letter))
    return frozenset(chosen)
