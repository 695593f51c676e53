"""Numerals in words, rewritten in ASCII digits so that one grammar reads them all.

Chinese and Japanese numerals, the formal ones of cheques too, English number words, and mixtures of
digits and myriads. What is no well-formed numeral is left as it is, for the grammar to refuse.
"""

from __future__ import annotations

import re
from decimal import Decimal

_OTHERS, _PLAIN = (
    "壹壱贰貳弐叁參参肆伍陆陸柒捌玖拾佰仟两兩〇萬億兆京",
    "一一二二二三三三四五六六七八九十百千二二零万亿兆京",
)
_FROM_OTHERS = str.maketrans(_OTHERS, _PLAIN)
_RUN = re.compile(rf"[{_OTHERS}{_PLAIN}]+")
_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")}
_TENTH = {**_DIGITS, "半": 5}
_TENS = {"十": 10, "百": 100, "千": 1000}
_NUMERAL = re.compile(
    r"((?:[零一二三四五六七八九十]|[百千](?=[一二三四五六七八九十百]))[零一二三四五六七八九十百千万亿兆京]*)"
    r"(?:点([零一二三四五六七八九]+))?"
)
_COUNTERS = (
    "个個股株份枚张手人名家项次年月日天周号元円圆圓块倍成克吨户位只件套台处点百万亿兆京割"
    "基美港欧英整左"
)
_MAY_FOLLOW = re.compile(rf"$|[^\u3040-\u30ff\u4e00-\u9fff]|[{_COUNTERS}]|です")
"""What follows a numeral; "三一重工" is a name, "一般贷款" a word."""
_SHARE = re.compile(r"(百|千|万|[零一二三四五六七八九十]+|[0-9]{1,9})分之(.+)", re.DOTALL)
_SHARE_SIGN = {"百": "%", "千": "‰", "万": "‱"}
_DIGIT = "[一二三四五六七八九1-9]"
_TENTHS = re.compile(
    rf"({_DIGIT})(?:成({_DIGIT}|半)?|割(?:({_DIGIT})分)?(?:({_DIGIT})厘)?)(?![0-9{_PLAIN}])"
)
_SCALE = {"十": 1, "百": 2, "千": 3, "万": 4, "萬": 4, "亿": 8, "億": 8, "兆": 12, "京": 16}
_MYRIADS = {"万": 4, "亿": 8, "兆": 12, "京": 16}
_MIXED_PART = re.compile(r"([0-9][0-9,]*(?:\.[0-9]+)?)([十百千万萬亿億兆京]{1,3})")
_MIXED = re.compile(rf"(?:{_MIXED_PART.pattern}){{2,6}}")
_MYRIADS_AND_REST = re.compile(rf"([0-9]{{1,4}})[万萬]([0-9]{{3,4}})(?![0-9.,{_OTHERS}{_PLAIN}])")

_SMALL = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_TEENS = "fifteen sixteen seventeen eighteen nineteen"
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: i for i, word in enumerate(f"{_SMALL} {_TEENS}".split())}
_WORDS |= {word: 10 * i for i, word in enumerate(_TENS_WORDS.split(), start=2)}
_MULTIPLIERS = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_WORD = "|".join(sorted((*_WORDS, "hundred", *_MULTIPLIERS), key=len, reverse=True))
_ENGLISH = re.compile(
    rf"(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))})(?:(?:\s+and\s+|[\s-]+)(?:{_WORD}))*\b",
    re.IGNORECASE,
)
_PART_OF_ONE = re.compile(
    r"[\s-]+(?:and\b|point\b|half|halves|thirds?|quarters?|(?!months?\b)[a-z]+ths?\b)", re.I
)
NUMBER_WORDS = frozenset((*_WORDS, "half", "halves", "third", "thirds", "dozen"))


def to_ascii(text: str) -> str:
    """Rewrite a leading numeral: "三亿五千万" -> "350000000", "百分之三点六五" -> "3.65%",
    "3亿5000万" -> "350000000", "ninety-four" -> "94"."""
    if text.isascii():
        return _english(text) if text[:1].isalpha() else text
    if mixed := _MIXED.match(text):
        return _mixed(mixed[0]) + text[mixed.end() :]
    if rest := _MYRIADS_AND_REST.match(text):
        return f"{int(rest[1]) * 10**4 + int(rest[2])}{text[rest.end() :]}"
    if run := _RUN.match(text):
        text = run[0].translate(_FROM_OTHERS) + text[run.end() :]
    if share := _SHARE.match(text):
        whole, part = share[1], to_ascii(share[2])
        if whole in _SHARE_SIGN:
            return part + _SHARE_SIGN[whole]
        digits = re.match("[0-9.]*", part)
        end = digits.end() if digits else 0
        return f"{part[:end]}/{to_ascii(whole)}{part[end:]}"
    if tenths := _TENTHS.match(text):
        one, two, three, four = (str(_TENTH.get(d, d)) if d else "0" for d in tenths.groups())
        return f"{one}{two if tenths[2] else three}.{four}%{text[tenths.end() :]}"
    if numeral := _NUMERAL.match(text):
        whole_digits = _integer(numeral[1])
        if whole_digits is not None and _MAY_FOLLOW.match(text, numeral.end()):
            fraction = "".join(str(_DIGITS[char]) for char in numeral[2] or "")
            point = "." if fraction else ""
            return f"{whole_digits}{point}{fraction}{text[numeral.end() :]}"
    return text


def _integer(numeral: str) -> int | None:
    """Its value, None when it is not well formed. Sections under 10,000 are closed by a myriad (万,
    亿, 兆, 京), and smaller myriads by a larger one: "五千万亿" is 5000 * 10^4 * 10^8.

    A digit right after a hundred or more ("一百二") is refused: it may mean 120 or be cut short.
    """
    if all(char in _DIGITS for char in numeral):
        return int("".join(str(_DIGITS[char]) for char in numeral))
    closed: list[tuple[int, int]] = []  # values with the power that closed them
    section = digit = 0
    before, last_ten = "", 10**4
    for char in numeral:
        if char in _DIGITS:
            if before in _DIGITS and before != "零":
                return None
            digit = _DIGITS[char]
        elif char in _TENS:
            if _TENS[char] >= last_ten:
                return None
            last_ten = _TENS[char]
            section, digit = section + (digit or 1) * _TENS[char], 0
        else:
            power, section, digit = _MYRIADS[char], section + digit, 0
            while closed and closed[-1][1] < power:
                section += closed.pop()[0]
            if closed and closed[-1][1] == power:
                return None
            closed.append((section * 10**power, power))
            section, last_ten = 0, 10**4
        before = char
    cut_short = digit and numeral[-2:-1] in ("百", "千", *_MYRIADS)
    return None if cut_short else sum(value for value, _ in closed) + section + digit


def _mixed(text: str) -> str:
    """ "3亿5千万" -> "350000000", "1千2百万" -> "12000000"; parts whose scales do not fall are left
    as they are. Thousands, hundreds and tens in a row belong to the 万 or 亿 that closes them."""
    total, section = Decimal(0), Decimal(0)
    highest, lowest, last = 0, 0, 99  # powers of ten: of the section, and of what is before it
    for number, scales in _MIXED_PART.findall(text):
        powers = [_SCALE[scale] for scale in scales]
        ten, myriad = (sum(p for p in powers if (p >= 4) is big) for big in (False, True))
        if section and ten != lowest - 1:
            return text
        highest, lowest = highest if section else ten, ten
        section += Decimal(number.replace(",", "")).scaleb(ten)
        if myriad:
            if highest + myriad >= last:
                return text
            total, section, last = total + section.scaleb(myriad), Decimal(0), lowest + myriad
    return f"{total + section:f}" if not section or highest < last else text


def _english(text: str) -> str:
    """ "Ninety-four million" -> "94000000"; "two and a half" and "one third" are left."""
    match = _ENGLISH.match(text)
    if match is None or _PART_OF_ONE.match(text, match.end()):
        return text
    total = section = 0
    last = ""
    for word in re.split(r"[\s-]+", match[0].lower()):
        if word == "hundred":
            section *= 100
        elif word in _MULTIPLIERS:
            total, section = total + section * _MULTIPLIERS[word], 0
        elif word != "and":
            tens = last in _WORDS and _WORDS[last] >= 20 and 0 < _WORDS[word] < 10
            if last in _WORDS and not tens:
                return text  # "nine four", "ten five"
            section += _WORDS[word]
        last = word
    return f"{total + section}{text[match.end() :]}"
