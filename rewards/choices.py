"""Read a verdict (yes or no) and the options that an answer chooses; a hedge is neither."""

from __future__ import annotations

import re
import unicodedata

from rewards.conclusions import concluded_letters, letter_with_remark
from rewards.statements import without_bullets
from rewards.typography import plain

_EDGES = " \t\r\n_*\"'`“”「」【】\u200b\ufeff"

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
    rf"(?P<yes>{'|'.join(YES)}|yep|correct|affirmative)|(?P<letter>[yn]$)"
    rf"|(?P<no>incorrect|untrue|nope|not (?:true|correct)|{'|'.join(NO)})",
    re.IGNORECASE,
)
_STATEMENT = re.compile(
    r"(?:the|this) (?:statement|claim|assertion)(?: is|:) |(?:it|that|this)(?: is|['’]s) "
    r"|[该此]?(?:说法|陈述|表述|判断|命题|观点)(?:是(?!否)|为|:|：)?\s*",
    re.IGNORECASE,
)
"""What is judged, in front of the verdict: "The statement is true.", 该说法正确."""
_STATED = re.compile(
    r"(?:true|correct|false|incorrect|untrue|not (?:true|correct)|(?:不?正确|错误?|不?对)的?)"
    r"(?=$|[.,;!。、])",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\.?\s?#?[0-9]{1,4}\.?")
_GOES_ON = re.compile(
    r"\s+(?:indeed\b|and\s|there\s+(?:is|are|was|were)\b|(?:the|its|their)\s"
    r"|(?!unless|until|maybe|perhaps|possibly|probably|hardly|never|scarcely)[a-z]{5,20}\s+"
    r"(?:increased|rose|grew|improved|decreased|declined|fell|dropped)\b)",
    re.IGNORECASE,
)
"""What may follow "yes" without a comma; "no debt" is no verdict."""
_CONFIRMS_NO = re.compile(
    r"\b(?:the opposite (?:happened|occurred)|(?:quite|on) the contrary)\b", re.I
)
_FOLLOWS = re.compile(
    r"[.,;:!()\[\]{}\"'”’*`、。「」』】…~\\$-]|\s+(?:it|they|this|that|he|she|we|because|since|as)\b|\s+[-–—(]|\s*\n",
    re.IGNORECASE,
)

_LAST_VERDICT = re.compile(
    r"(?:\b(?P<denied>(?:not|never|hardly|n't)\s+)?(?:\b(?:quite|really|entirely|at all)\s+)?"
    r"(?:(?P<yes>yes|yep|yeah|true|correct|right|so|the case|affirmative)"
    r"|(?P<no>no|nope|nah|not|never|false|wrong|incorrect|untrue|negative))"
    r"|(?P<contracted>(?:is|are|was|were|do|does|did|has|have|had|ca|wo)n['’]t)"
    r"|\b(?:it|they|this|that|he|she|we)\s+(?P<aux>did|does|do|is|was|are|were|has|have|had)"
    r"|(?P<cjk_no>不正确|不是|不对|没有|错误|错|否|不|いいえ"
    r"|ちが[いう](?:ます)?|違い?ます|違う|[でじ][はゃ]?ない"
    r"|ではありません)的?了?"
    r"|(?P<cjk_yes>正确|是|对|はい)的?)$",
    re.IGNORECASE,
)
"""The verdict that a clause ends with: "definitely not", "that is not true", "但是错误"."""
_EMPTY = (
    "it that this they he she we i is are was were do does did has have had can the case at all"
    " really quite so in fact by any means way of course definitely absolutely certainly however"
    " hmm well actually though although rather"
)
_NEGATED = (
    "no not never nope nah n hardly cannot can't isn't aren't wasn't weren't doesn't don't didn't"
    " hasn't haven't hadn't won't false wrong incorrect untrue"
)
_EMPTY_WORDS, _NEGATIONS = frozenset(_EMPTY.split()), frozenset(_NEGATED.split())
_AFFIRMED = frozenset(("yes", "yep", "yeah", "y", "true", "correct", "right"))
_CLAUSE = re.compile(r"[^\w\s'’]|\n|\b(?:or|and|but)\b|或", re.IGNORECASE)
_OTHER_MARK = {True: re.compile("[✗✘]|(?<![0-9 ])×|×(?! ?[0-9])"), False: re.compile("[√✓✔]")}
_DOUBT = re.compile(
    r"\b(?:maybe|perhaps|possibly|not sure|unsure|uncertain|unclear|unknown|partly|partially"
    r"|sometimes|it depends|that depends|in part|sort of|kind of|kidding|opposite|contrary"
    r"|cannot (?:say|tell|know)|can't (?:say|tell|know)|don't know"
    r"|if not|no wait|scratch that|on second thought|far from it|as if|said nobody|not really)\b"
    r"|不确定|不一定|可能|也许|大概|部分|取决于|不好说|看情况|わからない|かもしれ|たぶん|場合に"
    r"|\b(?:actually|rather|think|instead|say|sorry|wait)\W+(?:\w+\W+)?(?:yes|no|true|false)\b",
    re.IGNORECASE,
)
_LETTERS = r"[A-H][)]?(?:\s*(?:[;,、&+]\s*(?:and|和)?|and|和|与|及|\s)?\s*[(]?[A-H][)]?)*"
_GOLD = re.compile(r"[A-H](?:\s*[;,、]\s*[A-H])*|A?B?C?D?E?F?G?H?")
_LEAD_IN = re.compile(
    r"(?:(?:the\s+)?(?:correct\s+|right\s+|final\s+|best\s+)?(?:answers?|options?|choices?)"
    r"\s*(?:is|are|:)?\s*|(?:故|应|应该|本题)?选(?:择|项)?\s*(?:是|为|:)?\s*"
    r"|(?:正确)?答案\s*(?:是|为|:|选择?)\s*)",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"\s*(?:(?:is|are)\s+(?:the\s+)?(?:(?:correct|right|best)\s*|(?=answer))(?:answers?|options?)?"
    r"|选?项(?:正确)?|正确)?\s*[.。,，;；]?"
)
_BRACKETS = re.compile(r"[\[\]{}\"'`*]")
_ONLY = re.compile(rf"[(]?({_LETTERS})")
_LOWER = re.compile(r"[(]?[a-h][)]?(?:\s*[;,、]\s*[a-h])*[.]?")
_WITH_TEXT = re.compile(
    r"(?:[(]([A-H])[)]|([A-H])[.、:)])\s*(?!\s*(?:or|and|或|和|/)(?![a-z]))[^;；\n]*"
)
_BARE_WITH_TEXT = re.compile(
    r"([A-H])\s*(?=(?![和与及或吗呢吧かやとも]|では|じゃ|でな|[之以]外|除外)[\u4e00-\u9fff\u3040-\u30ff]"
    r"|(?<!A )[0-9$¥])"
    r"[^;；\n错不非]*"
)
_HEDGE = re.compile(
    r"\b(?:or|maybe|perhaps|possibly|either|not|but)\b|或|也可能|不是|还是", re.IGNORECASE
)
_OTHER_OPTION = re.compile(
    r"(?<![A-Za-z&'’/-])(?<![A-Za-z]\.)(?<![Cc]lass )(?<![Ss]eries )(?<![Gg]rade )(?<![Ll]evel )"
    r"[A-H](?![A-Za-z&'’/-])(?!\.[A-Za-z])(?!(?<=A) +(?!(?:is|was|are|and|or|too|also)\b)[a-z])"
)
"""A letter that is no article, initial or part of a name."""
_RULED_OUT = re.compile(
    r"[A-H](?:[、,和与及 ]+[A-H])*\s*(?:选?项)?(?:是|为|都|均)?"
    r"(?:错误?的?|不正确|不对|有误|不符|排除)"
    r"|\b[A-H](?:(?:,| and) [A-H])* (?:is|are) (?:wrong|incorrect|false)\b"
)
_NEXT_OPTION = re.compile(r"[;；\n]\s*|,\s*(?=[A-H][.)] )")
_REASON = re.compile(
    r"。(?!$)|[,，]?\s*(?:\b(?:because|since|(?<=^[A-H] )as(?! well\b))\b|因为)", re.IGNORECASE
)
_REFUTED = re.compile(
    r"\s*(?:is\s+|are\s+)?(?:wrong|incorrect|untrue|invalid|ruled out|excluded|false$"
    r"|は?(?:誤り?|間違い?|違い?|不正解)|有误|错|误|不对|不正确|不选|排除|不符)",
    re.IGNORECASE,
)
_MATH = re.compile(r"\$([A-H(),;\s]{1,40})\$|\\\(([A-H(),;\s]{1,40})\\\)")
MAX_CHARS = 400


def read_yes_no(text: str) -> bool | None:
    """The verdict a text begins with: "No, not yes" -> False; "yes or no", "no change" -> None."""
    text = unicodedata.normalize("NFKC", plain(text[:MAX_CHARS]))
    text = text.strip(_EDGES).lstrip("([$")
    subject = _STATEMENT.match(text)
    match = _VERDICT.match(text, subject.end() if subject else 0)
    if match is None or (subject and not _STATED.match(text, subject.end())):
        return None
    said = _is_yes(match)
    rest = text[match.end() :].removeprefix("的" if subject else "")
    if not rest:
        return said
    if _NUMBERED.fullmatch(rest):
        return None  # "No. 5"
    follows = _FOLLOWS.match(rest) or (match[0].lower() in ("yes", "yep") and _GOES_ON.match(rest))
    if not said:
        rest = _CONFIRMS_NO.sub("", rest)
    if not follows or _DOUBT.search(rest) or _OTHER_MARK[said].search(rest):
        return None
    contrary = (_says(part) is (not said) for part in _CLAUSE.split(rest))
    return None if any(contrary) else said


def _says(clause: str) -> bool | None:
    """The verdict that a clause after the first one gives, None where it speaks of something."""
    words = clause.lower().replace("’", "'").split()
    if words and all(w in _EMPTY_WORDS or w in _NEGATIONS or w in _AFFIRMED for w in words):
        if num_negations := sum(w in _NEGATIONS for w in words):
            return num_negations % 2 == 0
        if any(w in _AFFIRMED for w in words):
            return True
    end = _LAST_VERDICT.search(clause.rstrip(_EDGES)[-60:])
    return None if end is None else _ends_yes(end)


def _ends_yes(end: re.Match[str]) -> bool:
    return bool(end["yes"] or end["aux"] or end["cjk_yes"]) != bool(end["denied"])


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
    text = _MATH.sub(r"\1\2", plain(text))
    text = _BRACKETS.sub("", unicodedata.normalize("NFKC", text)).strip(_EDGES)
    text = without_bullets(text)
    text = concluded_letters(text) or text
    if lead_in := _LEAD_IN.match(text):
        text = text[lead_in.end() :].strip(_EDGES)
    if _LOWER.fullmatch(text):
        text = text.upper()
    if (match := _ONLY.match(text)) and _TAIL.fullmatch(text, match.end()):
        letters = re.findall("[A-H]", match[1])
        return frozenset(letters) if len(set(letters)) == len(letters) else frozenset()
    if _HEDGE.search(text) or text.endswith(("?", "吗", "呢", "么", "か")):
        return frozenset()
    if stated := letter_with_remark(text, _OTHER_OPTION):
        return read_choices(stated)
    if reason := _REASON.search(text):  # "B because A is wrong", "B。因为A错误"
        others = _OTHER_OPTION.search(_RULED_OUT.sub("", text[reason.end() :]))
        return frozenset() if others else read_choices(text[: reason.start()])
    chosen = set()
    for part in _NEXT_OPTION.split(text):
        option = _WITH_TEXT.fullmatch(part) or _BARE_WITH_TEXT.fullmatch(part)
        start = 3 if part.startswith("(") else 2
        if option is None or _OTHER_OPTION.search(part[start:]) or _is_refuted(part, start):
            return frozenset()
        chosen.add(next(letter for letter in option.groups() if letter))
    return frozenset(chosen)


def _is_refuted(part: str, start: int) -> bool:
    """Whether a letter is followed by "wrong" and not by an option's text: "B. False" may be one,
    "B: false" is none."""
    text = part[start:].strip(" .。")
    if part[start - 1] in ".、" and text.lower() in ("false", "错误", "错", "不正确", "不对"):
        return False
    return _REFUTED.match(part, 1 if part[start - 1] not in ".、:)" else start) is not None
