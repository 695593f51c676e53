"""Find the final answer in a reply. Only what stands after the reasoning counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from rewards.answer_objects import answer_of_object
from rewards.boxes import find_box, read_box
from rewards.conclusions import LETTERS
from rewards.english import NEGATION, stated_in_english
from rewards.numbers import parse_quantity, states_another
from rewards.remarks import bears_number, value_of_working, without_times
from rewards.retractions import is_taken_back
from rewards.statements import ITEM_LINES, stated_figure
from rewards.units import CJK_FALL, CURRENCIES, FALL, SCALES

MAX_ANSWER_CHARS = 4000
"""Longest answer that is looked at; a longer box or tag is no answer."""
SHORT_REPLY_CHARS = 200
"""A reply without any marker is taken as the answer itself when it is at most this long."""
MAX_SIDES = 8
"""Longest chain of equations, "5829 - 5735 = 94", that is followed."""
_PHRASE_WINDOW = 1000  # an answer phrase is searched in the end of a reply only

_TAGS = (("<answer>", "</answer>"), ("<ANSWER>", "</ANSWER>"), ("<Answer>", "</Answer>"))
_PHRASE = re.compile(
    r"(?:(?<![a-z])(?<!wrong )(?<!incorrect )(?<!false )answer[\"'*_`]*\s*"
    r"(?:(?:is|are|was|(?:should|would|will) be|comes to|turns out to be)(?![a-z])"
    r"(?:,?\s+(?:therefore|thus|hence|then|so|simply|clearly|indeed|given by)(?![a-z]),?)?"
    r"|=>?|→|:|：)"
    r"|(?<![a-z])answer[\"'*_`]*[ \t]*(?:\n|(?=\$|\\[(\[]))"
    r"|(?<![a-z])(?:correct|right|best)\s+(?:option|choice)s?\s+(?:is|are)"
    r"|(?:(?<!错误)(?<!错误的)答案|正确选项)[*】]*\s*(?:(?:应该?|应当)?[是为]|:|：|选择?)"
    r"|(?:答え|(?<!不)正解)(?:は|:|：)|(?:故|应|应该|应当|因此|所以|本题|最终|我|(?:综上(?:所述)?|以上|可知|可见)[,，])选择?[:：]?"
    rf"|(?:因此|所以|故|综上)[,，]?选项(?={LETTERS}正确[。.]?[ \t]*$)"
    r"|^[ \t]*(?:[#*]{1,4}[ \t]*)?[【\[]?(?:最终|正确|参考|标准)?(?:答案|解?答)[】\]*]{0,3}"
    rf"[ \t]*(?:\n|[:：]|(?<=[】\]])|(?=[【(]?{LETTERS}[】)]?[。.]?[ \t]*$))"
    r"|####)[\s:：*\"'=、「]*",
    re.IGNORECASE | re.MULTILINE,
)
_PHRASE_WORDS = ("answer", "option", "choice", "####")
_CJK_PHRASE_WORDS = ("答", "正解", "选")
_RESTATED = re.compile(
    r"^(?:(?:the\s+)?(?:final\s+)?answer\s*(?:is\b|:)|(?:最终)?答案\s*(?:是|为|:|：))\s*"
    r"|^\\text\s*\{\s*(?:the\s+)?(?:final\s+)?answer\s*(?:is|:)\s*\}\s*",
    re.IGNORECASE,
)
_RESULT = re.compile(
    r"\A(?:(?:the\s+)?(?:final\s+)?(?:result|answer to the question|ans)"
    r"\s*(?:is\b(?!n't)|[:：]|(?<=ans)\.)"
    r"|(?:so|thus|hence|therefore)[,:]\s|=\s|(?:最终|计算|計算)?[结結]果\s*(?:[是为は]\s*[:：]?|[:：]))\s*",
    re.IGNORECASE,
)
_KEY = re.compile(r"[\"']\w*answer[\"']\s*:|[{,]\s*\w*answer\s*:", re.IGNORECASE)
_MARK_CHARS = 60  # of the end of a reply, where marks of its end are looked for
_END_OF_TEXT = re.compile(r"(?:\s*(?:</s>|<eos>|<\|(?:im_end|endoftext|eot_id|end)\|>))+\Z")
_SENTENCE_END = re.compile(r"(?<!\.)[.。](?=\s|$)[^0-9]*$")
_SENTENCE_BREAK = re.compile(r"[.。!?](?=\s)")
_DENIED = re.compile(
    r"\b(?:not|never|nor|neither|hardly|wrong|incorrect|false|untrue|doubt|unlikely|previous|old|initial|rejected|mistaken|(?<!at\s)least|worst|if|unless|whether)\b|n't\b"
    r"|(?:不是|并非|不对|错误|否认|ではな)",
    re.IGNORECASE,
)
_OR = re.compile(
    r"(?:\bor\s+(?:that\s+)?|/\s*|\bif (?:so|not),?\s*)(?:(?:the|my|final|correct|best)\s+)*$", re.I
)
_JUST_DENIED = re.compile(
    r"(?:[不没别勿非]|是否|能否|难道|如果|假如|可能|也许|或许|不知道)(?:本题)?$"
)
_DENIES_STATEMENT = re.compile(
    r"(?:\b(?:not|never|false|untrue|nicht|kein|falsch\w*|pas|no|nobody|none|hardly|doubt\w*|except\w*"
    r"|reject\w*|exclud\w+|den(?:y|ie[sd])|opposite|wrong|page)\b|n't\b)[^0-9,.;]{0,60}$"
    r"|(?:错误|不正确|未必|不见得|不会|绝非|并非)[^0-9,，。；]{0,20}$",
    re.IGNORECASE,
)
_CLAUSE_BREAK = re.compile(
    r".*(?:[.,;:!?。，；！？\n]|\b(?:so|thus|hence|therefore|but|and|then)\b)", re.I | re.DOTALL
)
_TAKEN_BACK = re.compile(
    r"\b(?:wrong|incorrect|false|not (?:right|sure|correct|true)|unsure|guess|maybe"
    r"|perhaps|actually|wait|kidding|scratch that|or|no)\b|不对|错了|错误|或",
    re.IGNORECASE,
)
_FALL_LABEL = re.compile(
    rf"(?:^|[,.;:，。；]|\b(?:the|an?|its|our|their)\b|'s\b)\s*"
    rf"(?:(?!(?:for|of|on|from|in|to|against|by|before|after|excluding)\b)[\w%&/-]{{1,30}}\s+){{0,4}}{FALL}"
    r"(?:\s+(?:in|of|for|from|on|per|attributable)\b[^.;:=]*)?"
    r"(?:\s*[(（](?![^()]*(?:gain|income|profit))[^()]{0,30}[)）])?\s*(?:is|was|are|were|equals|[:=≈])\s*$"
    rf"|(?:{CJK_FALL})(?:[总總]?[额額]|金额|幅度)?(?:收窄|扩大|缩小)?(?:大?约|达到?)?\s*[为是:：=≈至]\s*$",
    re.IGNORECASE,
)
_UNITS = "|".join(word for word in (*SCALES, *CURRENCIES) if word.isalpha() and len(word) > 2)
_MONEY = "|".join(word for word in CURRENCIES if word.isalpha() and len(word) > 2)
_LABEL_UNIT = re.compile(
    rf"(?:^\s*|\bin\s+(?:the\s+)?|[(（]\s*(?:in\s+)?|单位\s*[:：为]?\s*)"
    rf"((?:(?:us)?[$€£]|(?:us|{_MONEY})(?![a-z]))?\s*(?:in\s+)?"
    rf"(?:(?:{_UNITS}|[$]?['’]?000s?|bn|mn|bps|basis\s+points?|per\s?cent)(?![a-z])|%"
    r"|[百千万亿]+元?(?![a-z])|(?<=[$€£])(?-i:[KMBT])(?=\s*[)）])))",
    re.IGNORECASE,
)
_NO_FALL = re.compile(
    r"\b(?:change|increase|growth|rise|ratio|provision|allowance|reserve|difference)\b|[没無无]",
    re.I,
)
_BOTH_ENDS = re.compile(
    r"\b(?:low|lower|min|minimum|worst)\b[^=:]*[=:](?=.*\b(?:high|upper|max|maximum|best)\b)",
    re.I | re.DOTALL,
)
_EQUALS = re.compile(r"=|≈|\\approx")
_WORKING = re.compile(r"(?<![\w.,])[(]?[$€£¥]?[0-9][0-9.,()$€£¥%×÷·*/+−–\s-]{0,80}$")
_IDENTIFIER = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]_?\{?[0-9]{1,2}\}?(?![0-9])")
_STATEMENT = re.compile(
    r"\A(?!\s*(?:(?!(?:19|20)[0-9]{2}:\s)[0-9.]+\s*[:：]\s*){1,4}[0-9.]+\s*\Z)"
    r".*(?:\b(?:is|was|are|were|equals|would be)\b|(?<![<>!≤≥])=|[:：≈]|\\approx"
    r"|(?<![不非])[是为])(.+)",
    re.IGNORECASE | re.DOTALL,
)
_BETWEEN = (
    r"(?<!difference )(?<!change )(?<!gap )(?<!spread )between(?! (?:fiscal )?(?:19|20)[0-9]{2}\b)"
)
_HEDGE = re.compile(
    rf"\b(?:or|either|{_BETWEEN}"
    r"|maybe|perhaps|possibly|probably|incorrect|wrong|unlikely|less|more|if|whether|guess"
    r"|uncertain|unclear|unsure|not sure|at (?:most|least))\b|或|不是|并非|[<>≤≥]|!="
    r"|=/=|==|\\not\b|\bnot\s*\}?\s*[=:]|\blambda\b|\b(?:print|exec|eval|return|def)\s*[:(]"
    r"|\}\s*\{\s*\"|\b[a-z]\s*[=:]\s*[-$]?[0-9][0-9.,]*\s*[;,]\s*[a-z]\s*[=:]|既[是为]|可能|也许|大概|似乎|かも|たぶん|または|もしくは|あるいは|でしょう|だろう",
    re.IGNORECASE,
)
_SIDE_START = re.compile(
    r".*(?:[.,:](?![0-9])|[;!?。，；：！？\n]"
    r"|\b(?:so|thus|hence|therefore|but|and|then|is|was|are|were|equals)\b)",
    re.IGNORECASE | re.DOTALL,
)
_CLAUSE_END = re.compile(
    r"[,;:](?![0-9])|[，；：。(（\n]|\.\s|\s(?=(?:because|since|as|while|and|but|when|where|which|with"
    r"|calculated|computed|rounded|up|down)\b)|(?=因为)",
    re.IGNORECASE,
)
_OR_PERCENT = re.compile(
    r"(?<=[0-9a-z])(?<!percent), or (?:about |approximately )?[0-9.]{1,9} ?(?:%|percent)\.?$"
)
"""The same change as a share: "rose by $94 million, or 1.6%"."""
_REASON = re.compile(
    r"[\s,;，；。.]*(?:((?:because|since|calculated|computed|explanation|this is|the difference)\b"
    r"|(?<=,)\s*as\b|因为)|(?:which|rounded|(?:up|down) from)\b)",
    re.IGNORECASE,
)
_REASON_DOUBTS = re.compile(
    r"\b(?:or|either|maybe|perhaps|possibly|probably|incorrect|wrong|false|unlikely|if|whether|guess"
    r"|uncertain|unclear|unsure|not|no|could|might|may|should|would|but|however|although|though"
    r"|alternativ\w*|another|also|instead|actually|then|final\w*|now|estimate[ds]?|range|bound|end|revised|corrected"
    r"|rather|wait|answer|sorry|mistake\w*|error)\b|n't|[<>≤≥?？]|!=|或|不|错|也许|可能|大概|但|另|答",
    re.IGNORECASE,
)
_WHEN_TAIL = re.compile(
    r"\s+(?:from|between|in|for|as of|at|during|over|on|compared (?:with|to))\s+([^$€£¥%]{1,60})$",
    re.IGNORECASE,
)


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

    A reply or a tag that is a JSON object states its "answer".

    All of it after the last `</think>`; a reply that is still thinking has no answer.
    """
    end_of_think = reply.rfind("</think>")
    if reply.find("<think>", max(end_of_think, 0)) >= 0:
        return Answer("", Source.UNCLOSED_THINK)
    start = end_of_think + len("</think>") if end_of_think >= 0 else 0
    if (box := find_box(reply, start)) >= 0:
        return _found(read_box(reply, start, box), Source.BOXED)
    has_tags = reply.rfind(">", start) >= 0
    for opening, closing in _TAGS if has_tags else ():
        tag = reply.rfind(opening, start)
        if tag >= 0:
            begin = tag + len(opening)
            inner, found, rest = reply[begin : begin + MAX_ANSWER_CHARS].partition(closing)
            if is_taken_back(reply[max(tag - 60, start) : tag], rest[:60]):
                return Answer("", Source.NONE)
            stated = answer_of_object(inner)
            return _found((inner if stated is None else stated) if found else "", Source.TAG)
    text = reply[start:].strip()
    if text.endswith(">"):
        text = text[:-_MARK_CHARS] + _END_OF_TEXT.sub("", text[-_MARK_CHARS:])
    if text.endswith(("}", "```")) and (stated := answer_of_object(text)) is not None:
        return _found(stated, Source.PHRASE)
    if text.startswith(("{", '"', "```")) and (
        text.startswith('{"') or len(_KEY.findall(text[:MAX_ANSWER_CHARS])) > 1
    ):
        return Answer("", Source.NONE)  # a broken object, or several
    window = text[-_PHRASE_WINDOW:]
    if phrase := _last_phrase(window):
        if _is_denied(window[max(phrase.start() - 80, 0) : phrase.start()]):
            return Answer("", Source.NONE)
        items = ITEM_LINES.match(window, phrase.end()) if window[phrase.end() - 1] == "\n" else None
        stated = items[0] if items else window[phrase.end() :].partition("\n")[0]
        return _found(stated.strip("} "), Source.PHRASE)
    return _found(_RESULT.sub("", text) if len(text) <= SHORT_REPLY_CHARS else "", Source.REPLY)


def number_candidates(answer: Answer) -> Iterator[str]:
    """The texts in which an answer may state its number, best first.

    The answer as it stands; then, where it is prose and not a box or a tag, its first sentence
    when no digit follows it and nothing takes it back, and what follows the last "is" or "=", or
    "fell by", unless the prose hedges. After an answer phrase only the sentence of the phrase
    counts. Of an equation the last side counts, unless another side is another number.
    """
    text = answer.text
    yield text
    if answer.source in (Source.BOXED, Source.TAG):
        yield from _stated_in_mark(text)
        return
    text = _OR_PERCENT.sub("", text)
    sentence = _SENTENCE_END.sub("", text)
    if _TAKEN_BACK.search(text, len(sentence)):
        return
    if sentence != text:
        yield sentence
    if clause := _first_clause(sentence):
        if _only_explains(text[len(clause) :]):
            yield clause
        if answer.source is Source.PHRASE and bears_number(without_times(clause)):
            return
    if _HEDGE.search(text) or _BOTH_ENDS.search(text):
        return
    if answer.source is Source.PHRASE and _SENTENCE_BREAK.search(sentence):
        return
    timeless = _without_when(sentence)
    if timeless != sentence:
        yield timeless
    statement = _STATEMENT.search(sentence)
    if statement and not _DENIES_STATEMENT.search(sentence, 0, statement.start(1)):
        if _sides_differ(_EQUALS.split(sentence), strict=False):
            return
        yield _with_sign(sentence, statement)
    if stated := stated_figure(sentence):
        yield stated
    yield from stated_in_english(timeless)


def _stated_in_mark(text: str) -> Iterator[str]:
    """What an equation in a box or a tag comes to, or a sentence there says of a change."""
    if _HEDGE.search(text):
        return
    if _EQUALS.search(text):
        statement = _STATEMENT.fullmatch(text)
        if statement and not _sides_differ(_EQUALS.split(text)):
            yield _with_sign(text, statement)
        return
    timeless = _without_when(text.rstrip(" .。"))
    if timeless != text:
        yield timeless
    statement = _STATEMENT.fullmatch(timeless)
    label = timeless[: statement.start(1)] if statement else ""
    if statement and not _DENIES_STATEMENT.search(label) and not bears_number(without_times(label)):
        yield _with_sign(timeless, statement)
    yield from stated_in_english(timeless)


def _first_clause(sentence: str) -> str:
    """The number that a sentence begins with, before a comma or "because"; "" where there is no
    number or nothing behind it."""
    end = _CLAUSE_END.search(sentence)
    clause = sentence[: end.start()] if end else ""
    return clause if clause and parse_quantity(clause) else ""


def _only_explains(rest: str) -> bool:
    """Whether what follows a number tells why or how, and states no other answer."""
    reason = _REASON.match(rest)
    if reason is None or _REASON_DOUBTS.search(rest):
        return False
    return reason[1] is not None or not bears_number(without_times(rest))


def _without_when(sentence: str) -> str:
    """The sentence without years, dates and periods at its end: "$94 million from 2018 to 2019"."""
    tail = _WHEN_TAIL.search(sentence, max(len(sentence) - 200, 0))
    if tail is None or not bears_number(tail[1]) or bears_number(without_times(tail[1])):
        return sentence
    return sentence[: tail.start()]


def list_candidates(answer: Answer) -> list[str]:
    """The texts in which an answer may state a list: all of it, or what follows the last "are"."""
    marked = answer.source in (Source.BOXED, Source.TAG)
    if marked or _HEDGE.search(answer.text) or NEGATION.search(answer.text):
        return [answer.text]
    statement = _STATEMENT.search(answer.text)
    label = answer.text[: statement.start(1)] if statement else ""
    if statement and not bears_number(without_times(label)) and not _DENIES_STATEMENT.search(label):
        return [answer.text, statement[1]]
    return [answer.text]


def _with_sign(text: str, statement: re.Match[str]) -> str:
    """What is stated: "the net loss was 94" is a loss of 94, "in thousands: 94" 94 thousands."""
    label = text[max(statement.start(1) - 120, 0) : statement.start(1)]
    falls = _FALL_LABEL.search(label) and not _NO_FALL.search(label)
    stated = f"a loss of {statement[1].strip()}" if falls else statement[1]
    unit = _LABEL_UNIT.search(label)
    if unit is None:
        return stated
    mark = unit[1].lower().replace("us$", "usd ").replace("$", "$ ").replace("basis points", "bps")
    quantity, label_says = parse_quantity(stated), parse_quantity(f"1 ({mark})")
    if quantity and label_says and quantity.scale == label_says.scale != 1.0:
        return stated  # "Change (%): 12.5%"
    return f"{stated.strip(' .。')} ({mark})"


def _sides_differ(sides: list[str], strict: bool = True) -> bool:
    """Whether the last side of "93 = 94" is another number than one before it. A name ("x") is
    no number, and working is what it comes to. Unless `strict`, each side before the last may end
    a sentence, "So the change is 93 = 94", and what cannot be read does not differ."""
    value = parse_quantity(sides[-1])
    if value is None or len(sides) > MAX_SIDES:
        return value is not None
    if not strict:
        sides = [_SIDE_START.sub("", side[-200:]) for side in sides]
        sides = [_worked(side) for side in sides]
    before = [_IDENTIFIER.sub("", side) for side in sides[:-1]]
    return any(
        states_another(side, value)
        for side in before
        if strict
        or parse_quantity(side)
        or ("%" not in side and value_of_working(side) is not None)
    )


def _worked(side: str) -> str:
    """Of "The company earned 188 - 90", what can be worked out; else the side as it is."""
    working = _WORKING.search(side)
    return working[0] if working and not parse_quantity(side) else side


def _is_denied(before: str) -> bool:
    """Whether the clause before an answer phrase takes it back: "it is false that the answer"."""
    start = max(before.rfind(mark) for mark in ".,;:\n。，") + 1
    clause = before[start:]
    if not clause.isascii() and _JUST_DENIED.search(clause):
        return True
    if _OR.search(before):  # "Answer: 93 or the answer is 94"
        return True
    return bool(_DENIED.search(clause)) and bool(_DENIED.search(_CLAUSE_BREAK.sub("", clause)))


def _last_phrase(text: str) -> re.Match[str] | None:
    """The last answer phrase, looked for around the last of its words before anywhere else."""
    lower = text.lower()
    words = _PHRASE_WORDS if lower.isascii() else _PHRASE_WORDS + _CJK_PHRASE_WORDS
    word = max(lower.rfind(word) for word in words)
    if word < 0:
        return None
    phrases = [*_PHRASE.finditer(text, max(word - 8, 0))] or [*_PHRASE.finditer(text)]
    return phrases[-1] if phrases else None


def _found(text: str, source: Source) -> Answer:
    text = text.strip()
    if source is Source.TAG or source is Source.BOXED:
        text = _RESTATED.sub("", text, count=1)
    if len(text) > SHORT_REPLY_CHARS:  # long runs of blanks would make later searches quadratic
        text = "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
    is_answer = text and "~~" not in text  # which strikes out
    return Answer(text, source) if is_answer else Answer("", Source.NONE)
