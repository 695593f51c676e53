"""English sentences that state a number without "is" or "=": what changed by it, who has it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rewards.numbers import parse_quantity
from rewards.remarks import bears_number, without_times
from rewards.units import FALL

MAX_CHARS = 160

NEGATION = re.compile(r"\b(?:not|never|neither)\b|n't", re.IGNORECASE)
_UNREAL = re.compile(
    r"\b(?:would(?: have|['’]ve)|could|should|might|(?-i:may)|if|unless|until|whether|instead"
    r"|rather|anything but|suppose\w*|assum\w+|pretend\w*|imagin\w+|fail\w*|expect\w*|forecast\w*"
    r"|plan(?:s|ned)|hope[sd]?|avoid\w*|almost|hardly|mistaken\w*|wrong\w*|false\w*|den(?:y|ie[sd])"
    r"|lie[sd]?|cannot|claim\w*|allege\w*|wiped|competitor\w*|no|none|nobody)\b"
    r"|\A\s*(?:has|have|had|did|does|do|who)\b",
    re.IGNORECASE,
)
"""What is denied, supposed, asked, or somebody else's."""
_MOVED = (
    r"(?:decreased|declined|dropped|fell|shrank|contracted|slipped|slumped|plunged|lost|increased|rose"
    r"|grew|changed)"
)
_CHANGE = re.compile(
    rf".*\b({_MOVED}\s+(?:by\s)?.+|(?:(?<=went )|(?<=was ))(?:up|down)\s+by\s.+"
    rf"|(?:an?|the)\s+(?:{FALL}|increase|rise|gain|growth)\s+of\s.+"
    r"|(?P<either>(?:an?|the)\s+(?:change|difference)\s+of\s.+))",
    re.IGNORECASE | re.DOTALL,
)
_MOVED_BY = re.compile(rf"\b{_MOVED}\s+(?:by\s+)?[$€£¥]?[0-9]|\bof\s+[$€£¥]?[0-9]", re.IGNORECASE)
_FELL = re.compile(
    r"\b(?:decreas|declin|dropp|fell|lower|down|lost|shr[aiu]nk|slip|plung|reduc|s[au]nk|tumbl|worsen"
    r"|slump|contract|erod|weaken)",
    re.IGNORECASE,
)
_FROM_TO = re.compile(
    r"(?<=[^\s,]),?\s+from\s+[$€£¥]?[0-9][^\s]*(?:\s[a-z]+)?\s+to\s+[$€£¥]?[0-9][^\s]*", re.I
)
_WORDS = re.compile("[a-z]{2,}", re.IGNORECASE)
_THAT_IS = re.compile(r"[\s,;(]*(?:i\.e\.|that is|or)?[\s,]*$", re.IGNORECASE)
_WE = (
    r"(?:(?:i|we)\s+(?:get|have|obtain|find|calculate|compute)"
    r"|(?:this|that|which|it|the\s+(?:calculation|formula|equation|subtraction|division))"
    r"\s+(?:gives|yields|makes|equals|results\s+in)(?:\s+(?:us|you))?|(?:it|that)['’]s"
    r"|(?:subtracting|dividing|adding|multiplying)\s[^;=]{1,60}?\s(?:gives|yields)(?:\s+us)?)"
)
_INTRODUCED = re.compile(
    rf"\s*(?:(?:(?:so|thus|hence|therefore|ans|finally|overall|sure)[.,:]?|{_WE})\s+){{1,2}}",
    re.IGNORECASE,
)
_THEN_WE = re.compile(rf"[^;]{{1,120}},\s+{_WE}\s+([^,;]+)", re.IGNORECASE)
_IS_THE_ANSWER = re.compile(
    r"([^,;:!?]{1,60}?)\s+is\s+(?:the|my)\s+(?:final\s+|correct\s+)?(?:answer|result)", re.I
)
_HAS = re.compile(
    r"([^;:!?]{1,90}\b(?:ma[dk]es?|earn(?:s|ed)|gets?|got|ha[sd]|pa(?:ys|id)|spen(?:ds|t)|costs?"
    r"|needs?|saved?|saves|sold|received?s?|generated|reported|recorded|reached|totall?ed"
    r"|represents|accounts\s+for|amount(?:s|ed)\s+to|c[ao]mes?\s+to|stood\s+at))\s+(.+)",
    re.IGNORECASE | re.DOTALL,
)
_HAS_OF = re.compile(r"(?:an?\s+)?[a-z][a-z' -]{1,40}?\s+of\s+(.+)", re.IGNORECASE)
_FALL = re.compile(rf"\b{FALL}\b", re.IGNORECASE)
_A_FALL = re.compile(
    rf"(?:(?:the|its|an?|net|total|operating|comprehensive|overall|annual)\s+){{0,4}}{FALL}\s\S+(?:\sto|\sat)?",
    re.IGNORECASE,
)


def stated_in_english(sentence: str) -> Iterator[str]:
    """What an English sentence says that something changed by, gives or has, with its verb where
    that gives the sign. Nothing of a sentence that denies, supposes or asks.

    Example: "Janet makes $18 every day" -> "$18 every day", "It fell by 94" -> "fell by 94".
    """
    if NEGATION.search(sentence) or _UNREAL.search(sentence):
        return
    if (change := _CHANGE.match(sentence)) and _is_the_only(change, sentence):
        yield change[1]
        yield _FROM_TO.sub("", change[1])
    if len(sentence) > MAX_CHARS:
        return
    if introduced := _INTRODUCED.match(sentence) or _THEN_WE.fullmatch(sentence):
        yield introduced[1] if introduced.lastindex else sentence[introduced.end() :]
    if answer := _IS_THE_ANSWER.fullmatch(sentence.rstrip(" .")):
        yield answer[1]
    if has := _HAS.fullmatch(sentence):
        yield from _owned(has[1], has[2])


def _is_the_only(change: re.Match[str], sentence: str) -> bool:
    """Whether no other change or bare number stands before it, and its sign is not open."""
    before = _FROM_TO.sub("", sentence[: change.start(1)])
    if _MOVED_BY.search(before) or (change["either"] and _FELL.search(sentence)):
        return False
    if not bears_number(without_times(before)) or len(_WORDS.findall(before)) > 2:
        return True
    stated, same = parse_quantity(_THAT_IS.sub("", before)), parse_quantity(change[1])
    return bool(stated and same) and stated == same  # "-8.4%, i.e. a decrease of 8.4%"


def _owned(subject: str, rest: str) -> Iterator[str]:
    if bears_number(without_times(subject)):
        return
    if _FALL.search(subject) or _FELL.search(subject):
        if _A_FALL.fullmatch(subject):  # "Net loss reached"
            yield f"a loss of {rest}"
        return
    yield rest
    if (named := _HAS_OF.fullmatch(rest)) and not _FALL.search(rest):
        yield named[1]
