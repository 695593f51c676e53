"""What stands around a marked answer and takes it from it: a denial, a doubt, another answer."""

from __future__ import annotations

import re

_GAP = (
    r"[ \t}\])$.,;:!*()~，。！；：、”\"'-]{0,12}\n?[ \t]{0,3}"  # not beyond a blank line
    r"(?:\\text\s{0,2}\{\s{0,2})?"
)
_BEHIND = re.compile(
    rf"{_GAP}(?:(?:is|was|are)\s+(?:not|wrong|incorrect|false|my first)\b|(?:is|was|are)n['’]t\b"
    r"|(?:which|that|this|it)\s+(?:is|was)\s+(?:not (?:right|correct|true)|wrong|incorrect|false)\b"
    r"|(?:wait|actually|incorrect|wrong|maybe|perhaps|possibly|probably|not sure|correction"
    r"|scratch that|on second thought|no,? wait|no,? (?:it|that)(?:['’]s| is)(?! not))\b"
    r"|no(?:\.?\s*$|,?\s*\$?-?[0-9])"
    r"|or\s+[$€£¥(\\]{0,3}(?:-?[0-9]|[A-H]\b|maybe|perhaps|possibly|rather|boxed|<answer)"
    r"|and\s+(?:maybe|perhaps|possibly)\b|[?？吗]|不对|不是|不正确|错|有误|是错|或|または|もしくは"
    r"|では?な|じゃな|は?(?:間違|誤)|違い|ちが)",
    re.IGNORECASE,
)
_NOUN = r"(?:answer|option|choice|value|result|one)s?"
_BEFORE = re.compile(
    r"(?:(?:\b(?:not|never)|n['’]t)[\s$*({\\]*(?:be\s+)?[$]*|(?:[不并]是|非)\s*|!=\s*"
    r"|(?:[≠≥≤]|(?<![a-z]{2})[<>])\s*|\\(?:neq?|geq?|leq?|gt|lt)\s*|~~[$*]*|\\cancel\s*\{|<(?:s|del)>"
    rf"|\b(?:wrong|incorrect|false)\s+{_NOUN}\s*(?:is|are|was|:|would be)?[\s$*]*"
    rf"|\breject(?:s|ed)?[\s$*:]*|\bnot the {_NOUN}\s*:?[\s$*]*"
    r"|[}>][\s$,;*]*(?:\\text\s*\{\s*)?(?:\bor(?:\s+(?:maybe|perhaps|possibly|else))?|或者?|还是|または|もしくは)"
    r"[\s$*}]*|(?<=[0-9])[.,]?)\Z",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"[0-9]|[.,][0-9]|-[0-9]|e-?[0-9]|\s?dozens?\b", re.IGNORECASE)
_HINT = re.compile(
    r"not|never|n['’]t|wrong|incorrect|false|reject|\bor\b|[≠<>≥≤~非是或还]|!=|cancel|\\[gln]"
    r"|または|もしくは|[0-9][.,]?\Z"
)
"""Without one of these nothing before an answer takes it back; searched first, for speed."""


def is_taken_back(before: str, behind: str) -> bool:
    r"""Whether the text right before or right behind a marked answer denies or doubts it, offers
    another one, or makes it a part of a longer number.

    Example: ("not ", ""), ("", ", or maybe 95"), ("", "，不对"), ("9", ""), ("\boxed{93} or ", "").
    """
    near = before[-40:].lower()
    if _HINT.search(near) and _BEFORE.search(near):
        return True
    return _BEHIND.match(behind) is not None or _GOES_ON.match(behind) is not None
