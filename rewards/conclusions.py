"""Sentences that conclude with options: "Therefore, option B is correct", 综上，选B.

Each is matched as a whole, so that a sentence which denies or doubts ("option B is not correct"),
or that goes on, is none of them.
"""

from __future__ import annotations

import re

_LETTER = r"\(?[A-H]\)?"
_JOINED = r" ?(?:[;,、&+] ?(?:and |和)?|and |和|与|以?及|と| ) ?"
LETTERS = rf"(?:[A-H]{{2,8}}|{_LETTER}(?:{_JOINED}{_LETTER}){{0,7}})"
"""Option letters and what joins them; a pattern."""
_QUALITY = "(?:correct|right|best|final|most (?:appropriate|suitable|accurate))"
_NOUN = "(?:answer|option|choice|letter|statement|one)s?"
_ENGLISH = re.compile(
    r"(?i:(?:so|thus|therefore|hence|consequently|overall|finally|in conclusion|as a result),? )?"
    rf"(?i:(?:the )?(?:(?:{_QUALITY}|selected|chosen|my) )?{_NOUN}"
    r" ?(?:(?:is|are|was|(?:would|should|must|will) be)\b ?:?|:)? ?"
    r"|(?:i|we)(?: would| will|'?d|'?ll)? (?:choose|pick|select|go with) "
    r"|(?:choose|pick|select) |(?:it|that)(?: is|'?s) |(?:correct|right|ans) ?[.:] ?)?"
    rf"(?i:(?:the )?{_NOUN} )?(?P<both>(?i:both) )?(?P<letters>{LETTERS})"
    rf"(?i: (?:is|are)(?: the)? {_QUALITY}(?: {_NOUN})?| (?:is|are) the answers?)? ?\.?"
)
_CJK = re.compile(
    r"(?:(?:因此|所以|故|因而|综上(?:所述)?|综合(?:以上|上述)(?:分析)?|由此(?:可知|可见)|可知|最终|最后)"
    r"[,:]? ?){0,2}"
    r"(?:(?:下列|以下)?(?:说法|选项|叙述)?(?:中)?(?:正确|最佳|最合适|最恰当|符合题意)的?"
    r"(?:选项|答案|说法|一项)?(?:应该?|应当)?(?:是|为|有) ?:? ?"
    r"|(?:正确)?答案(?:应该?|应当)?(?:是|为|选) ?:? ?"
    r"|(?:本题|此题)?(?:我们?)?(?:会|应该?|应当)?选择?(?:的?是|为)? ?:? ?)?"
    rf"(?:选?项 ?)?(?P<letters>{LETTERS})"
    r" ?(?:[两三四]?(?:个?选)?项)?(?:[都均]?(?:是|为)?正确的?)? ?。?"
)
_CJK_PAIR = re.compile("(?<=[A-H])选?项(?=[、和与及])")  # A项和C项正确
_LOWER = re.compile("(?=[a-h]{2})a?b?c?d?e?f?g?h?")


def concluded_letters(text: str) -> str:
    """The letters that a sentence concludes with, parted by commas; "" for any other text.

    Example: "Both A and C are correct." -> "A, C"; "B may be correct" -> "".
    """
    text = " ".join(text.replace("’", "'").split())
    if _LOWER.fullmatch(text):
        return text.upper()
    match = _ENGLISH.fullmatch(text) or _CJK.fullmatch(_CJK_PAIR.sub("", text))
    return ", ".join(re.findall("[A-H]", match["letters"])) if match else ""


_JUDGED = re.compile(
    r"\b(?:no|not|nope|never|none|nor|or|but|wrong|incorrect|false|untrue|invalid|excluded|eliminated"
    r"|rejected|discarded|ruled|refuted|unlikely|likely|probably|maybe|perhaps|possibly|guess\w*|sure"
    r"|unsure|uncertain|unclear|think|believe|tentative\w*|doubt\w*|if|unless|except|wait|actually"
    r"|correction|sorry|instead|rather|kidding|scratch|versus|vs|alternative\w*|could|might|may)\b"
    r"|n't\b|\?|[不错非没無无或]|有误|排除|可能|大概|也许|猜|ない|違|誤|か$",
    re.IGNORECASE,
)
_ALONE = re.compile(r"[(]?[A-Ha-h][.)]*")
_WITH_REMARK = re.compile(
    r"(\(?[A-H]\)?) ?(?:[-–—]{1,2} (.+)|\((.+)\)|, ?([$€£¥]?[0-9][0-9.,]*%?)) ?\.?"
)


def letter_with_remark(text: str, other: re.Pattern[str]) -> str:
    """The letter of "B - Increase", "B (increase)", "B, 94" and of a first line that stands over an
    explanation; "" where what follows may judge it, doubts, or bears an `other` letter."""
    first, _, below = text.partition("\n")
    if below.strip():
        lines = [line.strip() for line in below.splitlines()]
        if _JUDGED.search(below) or other.search(below) or any(map(_ALONE.fullmatch, lines)):
            return ""
        return first.strip()
    match = _WITH_REMARK.fullmatch(text)
    if match is None:
        return ""
    remark = next(filter(None, match.groups()[1:]))
    return "" if _JUDGED.search(remark) or other.search(remark) else match[1]
