"""Read one number the way financial text writes it; nothing is evaluated but a fraction "188/2".

The grammar is: sign, currency, digits, scale words or a percent sign, unit words. Whatever does not
fit it as a whole is refused, so that a hedge ("94 or 188"), an expression ("5829-5735") or a spray
of numbers is no number at all. Input over `MAX_CHARS` is refused unread, which bounds the time.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import NamedTuple

from rewards.numerals import NUMBER_WORDS, to_ascii
from rewards.points import with_points
from rewards.remarks import bears_number, value_of_working, without_times
from rewards.typography import plain
from rewards.units import (
    CJK_FALL,
    COUNTED,
    CURRENCIES,
    CURRENCY_MARK,
    FALL,
    FILLERS,
    NO_UNIT,
    PERCENTS,
    REFUSED,
    SCALES,
    STOPS,
    THING,
    UNIT_LABEL,
    is_decrease,
    is_scale,
    is_scale_like,
    read_compound,
    units_differ,
    units_mentioned,
)

MAX_CHARS = 160
MAX_WORDS = 4


class Quantity(NamedTuple):
    """A number as written. `number * scale` is its value; `scale` 1.0: no scale was stated.

    `unit` is a currency or a thing counted, "" where none of them is stated.

    Example: "-$12.6 million" -> Quantity(-12.6, 1e6, False, "$"), "26.8%" -> (26.8, 0.01, True).
    """

    number: float
    scale: float = 1.0
    percent: bool = False
    unit: str = ""

    @property
    def value(self) -> float:
        return self.number * self.scale

    @property
    def is_money(self) -> bool:
        return self.unit in _CURRENCY_UNITS


_CURRENCY_UNITS = frozenset(CURRENCIES.values())
_PLAIN = re.compile(
    r"(-?)(\$?)((?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]{1,40})(?:\.[0-9]{1,99})?)(%?)\.?"
)
_DIGITS = (
    r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![,0-9])|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?![,0-9])"
    r"|[0-9]{1,3}(?:[ '’][0-9]{3})+(?![0-9])|[0-9]{1,40})(?:\.[0-9]{1,99})?|\.[0-9]{1,99}"
)
_NUMBER = re.compile(
    rf"(?P<sign>[-+△▲])?\s*(?P<currency>{CURRENCY_MARK})?\s*(?P<sign2>-)?\s*(?P<open>\()?\s*"
    rf"(?P<currency2>{CURRENCY_MARK})?\s*(?P<sign3>-)?(?P<digits>{_DIGITS})"
    r"(?:e(?P<exponent>[-+]?[0-9]{1,3}(?![0-9]))|\s*/\s*(?P<divisor>[0-9]{1,20})(?![0-9]))?(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
_CJK_UNITS = sorted(
    {w for table in (SCALES, PERCENTS, CURRENCIES) for w in table if not w.isascii()}
    | {"个", "個"},
    key=len,
    reverse=True,
)
_REMARK_WORD = re.compile(rf"{'|'.join(_CJK_UNITS)}|\S+")
_TOKEN = re.compile(
    rf"\s*({'|'.join(_CJK_UNITS)}|[%$×]|[A-Za-z]+(?:['’-][A-Za-z]+)*"
    r"|[\u3040-\u30ff\u4e00-\u9fff]+|[()/.,])"
)
_LEAD_IN = re.compile(
    r"(?:(?:approximately|approx\.?|about|around|roughly|nearly|almost|exactly|circa|ca\.|equal to"
    r"|in|for|the|(?:year|fiscal|fy)(?=[\s']*(?:year|fiscal|fy|(?:19|20)[0-9]{2})))(?![a-z])|[=-]>|[~≈→∴•]|#{1,6}(?=\s)|大约为?|约为?|約|合计|总计|共计|总共|一?共|每股"
    r"|an?(?=\s+[$€£]?[0-9])|达到?|等于|占比?|即|前年同?期?比|前期比)\s*",
    re.IGNORECASE,
)
_LINK = r"(?:\s+(?:of|was|is|amount(?:s|ed|ing)?\s+to)\s+|\s*[:=]\s*)"
_VERBAL_SIGN = re.compile(
    rf"(?:(?:an?|the)\s+)?(?:(?:net|total|operating|cash)\s+)*"
    rf"(?:(?P<fall>{FALL})|increase|rise|gain|profit|growth|total|inflow|change|difference){_LINK}"
    r"|(?:(?P<fell>decreased|declined|dropped|fell|reduced|down|lost|shrank|contracted|slipped"
    r"|slumped|plunged)|increased|rose|grew|gained|changed|up)"
    r"\s+(?:by\s+)?"
    rf"|(?:同比|环比|较上年)?(?:(?P<down>{CJK_FALL})|盈利|净流入|增长|增加|增幅|上升|上涨|[涨升]幅|涨"
    r"|提[高升]|升高|増加|上昇)"
    r"(?:[总總]?[额額]|金额|幅度)?(?:[为是:=]|[达達]到?|は)?了?\s*"
    r"|(?P<minus>minus\s+|negative\s+|[负負]的?|マイナス)",
    re.IGNORECASE,
)
_CJK_RISE = re.compile("[增増升]|上昇")
_IN_SCALE = re.compile(
    r"(?<=[0-9]),?\s+in\s+(?=(?:thousand|million|billion|trillion|percent|per cent|%)s?(?![a-z]))",
    re.I,
)
_AREA = re.compile("(?<=[0-9 ])[kc]?m[²³]")
_WHEN = re.compile(
    r"(?<=[^\s])\s+(?:in|for|during|as of|at the end of)\s+(?:the\s+)?"
    r"(?:fiscal\s+)?(?:year\s+|fy\s*)?(?:19|20)[0-9]{2}$",
    re.IGNORECASE,
)
_TO_ONE = re.compile(r"(?<=[0-9])\s*(?::|\bto\b)\s*1(?:\.0)?$")
_REMARK = re.compile(
    r"(?!.*(?:\b(?:or|not|maybe|perhaps|possibly|wrong|incorrect|false|unless|if|but|could|might|should"
    r"|actually|alternatively|either|to be|tbc|tbd|unconfirmed"
    r"|unsure|uncertain|guess|corrected|at (?:least|most)|bound)\b"
    r"|n't|\?|不|错))([^()]*)\)\s*",
    re.IGNORECASE | re.DOTALL,
)
_UNIT_REMARK = re.compile(r"\(([^()]{1,40})\)$")
_UNIT_FILLER_WORDS = "in of us all amounts amount figures figure values value stated reported shown"
_UNIT_FILLERS = frozenset(_UNIT_FILLER_WORDS.split())
_FALLEN = re.compile(
    rf"\s*(?:an?\s+|the\s+)?(?:(?:net|total|operating|cash)\s+)*"
    rf"(?:{FALL}|negative|neg\.?|minus|lower|down|decreased|declined|dropped|fell|lost)(?![a-z])"
    rf"|(?:净|同比|为|是)?(?:{CJK_FALL}|减|[负負](?:$|[的数值]))",
    re.IGNORECASE,
)
_A_FALL = re.compile(
    rf"\b(?:{FALL}|negative|minus|fell|decreased|declined|dropped|lost|sign|opposite|in the red)\b"
    rf"|{CJK_FALL}|^\W*-\W*$|[:=]\s*-\s*$",
    re.IGNORECASE,
)
_ROUNDED = re.compile(r"(?:rounded\s+)?to\s+(?:the\s+)?nearest\s+[a-z]+", re.IGNORECASE)
_SAYS_SAME = re.compile(r"\s*(?:i\.?e\.?|that is|exact(?:ly)?|rounded from|from)[,:]?\s+", re.I)
_IS_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_REFERENCE = re.compile(
    r"(?<=[0-9]{2}|[a-z%][a-z%])\s{0,2}\[[1-9]\]$|\s?\((?:see )?(?:note|row|line)\s[0-9]{1,2}\)$",
    re.I,
)
_SPELLINGS = {
    "per cent": "percent",
    "per mille": "‰",
    "basis point": "bp",
    "basis points": "bps",
    "u.s.": "US ",
    "p.a.": "per annum",
}
_SPELLING = re.compile(
    r"\b(?:per cent|per mille|basis points?|u\.s\.|p\.a\.)", re.IGNORECASE | re.ASCII
)
_CJK_REFUSED = re.compile(
    "半(?!年)|[或不到吗呢来至和减減降跌亏損损非无無超多]|[十百千万萬亿億兆京零〇一二两三四五六七八九壹贰叁肆伍陆柒捌玖拾佰仟]"
    r"|でしょう|だろう|かも|悪化|恶化|マイナス|低[下いく]|縮小|落|余(?!额)|以[上下内外前后後]|之[前后後]|[弱強引]|封顶|待定|存疑|起$|らしい|未[满満]|ない|ません|か$"
)
_NO_GROUP = re.compile("，(?![0-9０-９]{3})")  # "93，94" is two numbers
_LITERAL_NEWLINE = re.compile(r"(?:\\+n\s*)+$")
_LATEX_FRACTION = re.compile(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_POWER_OF_TEN = re.compile(
    r"\s*(?:\\cdot|[×x*·⋅])\s*10\s*(?:\^|\*\*)\s*"
    r"(?:\{([-+]?[0-9]+)\}|\(([-+]?[0-9]+)\)|([-+]?[0-9]+)(?![\^*0-9]))"
)
_BOLD = re.compile(r"(?<![0-9*])\*\*([^*]{1,60})\*\*(?![0-9*])")
_UNDERLINED = re.compile(r"(_{1,2})([^_]{1,60})\1")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴-⁹⁺⁻]+")
_FROM_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_MINUS = str.maketrans({**dict.fromkeys("−–—﹣‐‑", "-"), "\u00a0": " ", "\u202f": " "})
_EDGES = " \t\r\n\f\v*`\"'“”‘’「」\u200b\u2060\ufeff\u3000"


def parse_quantity(text: str, fractions: bool = True) -> Quantity | None:
    """The one number that `text` states; None for none, several, or something unclear.

    A fraction such as "188/2" is its quotient, or None without `fractions`.
    """
    if match := _PLAIN.fullmatch(text):
        number = float(match[3].replace(",", "")) * (-1.0 if match[1] else 1.0)
        return Quantity(number, 0.01 if match[4] else 1.0, bool(match[4]), match[2])
    if len(text) > MAX_CHARS:
        return None
    text, is_decrease = _tidy(text)
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    digits = re.sub("[ ,'’]", "", match["digits"])
    number = float(f"{digits}e{match['exponent'] or 0}")
    if match["divisor"]:
        if not fractions:
            return None
        divisor = float(match["divisor"])
        number = number / divisor if divisor else math.nan
    groups = ("sign", "sign2", "sign3") if match["divisor"] else ("sign", "sign2", "sign3", "open")
    signs = [sign for sign in match.group(*groups) if sign]  # "(1/3)" is no third less
    if len(signs) > 1 or not math.isfinite(number) or (number == 0 and digits.strip("0.")):
        return None
    if is_decrease or (signs and signs[0] != "+"):
        number = -number
    mark = match["currency"] or match["currency2"]
    currency = CURRENCIES["".join(mark.lower().split()).rstrip(".")] if mark else ""
    return _with_suffix(number, match["rest"], bool(match["open"]), currency)


def _tidy(text: str) -> tuple[str, bool]:
    """Undo typography, LaTeX and spelled-out numerals; True when it was "a decrease of ..."."""
    text = text.translate(_MINUS)
    if "\\" in text:
        text = _LITERAL_NEWLINE.sub("", text)
        text = _LATEX_FRACTION.sub(r"\1/\2 ", plain(text))
    if not text.isascii():
        text = _AREA.sub(" sq", text)
        text = _SUPERSCRIPT.sub(lambda m: f"^{{{m[0].translate(_FROM_SUPERSCRIPT)}}}", text)
        if any(unicodedata.category(char) == "No" for char in text):
            return "", False  # "1½" would come out as 11/2, "①" as 1
        text = unicodedata.normalize("NFKC", _NO_GROUP.sub(", ", text))
    text = _POWER_OF_TEN.sub(lambda m: f"e{m[1] or m[2] or m[3]}", text)
    text = text.replace("{,}", ",")
    text = _BOLD.sub(r"\1", text).strip(_EDGES)
    text = underlined[2] if (underlined := _UNDERLINED.fullmatch(text)) else text
    if len(text) > 2 and text[0] + text[-1] in ("$$", "{}"):
        text = text[1:-1].strip("$ ")
    text = _SPELLING.sub(lambda m: _SPELLINGS[m[0].lower()], text)
    text = text[:-1] if text.endswith((".", "。", ",", ";")) else text
    text = _REFERENCE.sub("", text) if text.endswith((")", "]")) else text
    text = text.rstrip()
    while lead_in := _LEAD_IN.match(text):
        text = text[lead_in.end() :]
    verbal = _VERBAL_SIGN.match(text)
    if verbal:
        text = text[verbal.end() :]
        text = text[lead_in.end() :] if (lead_in := _LEAD_IN.match(text)) else text
        if verbal["down"] and _CJK_RISE.search(text):
            return "", False  # of a loss that rose
    text = _TO_ONE.sub("", _WHEN.sub("", text))
    text = with_points(_IN_SCALE.sub(" ", text))
    sign = text[:1] if text[:1] in ("-", "△", "▲") else ""
    is_decrease = bool(verbal and any(verbal.group("fall", "fell", "down", "minus")))
    body = text[len(sign) :].strip()
    return (sign + to_ascii(body) if body else ""), is_decrease and not sign


def _with_suffix(number: float, rest: str, is_open: bool, unit: str) -> Quantity | None:
    """Read what follows the digits: scale, percent, currency, unit words, a closing remark."""
    scale, percent, num_words, position, names_unit = 1.0, False, 0, 0, True
    rest = _without_brackets(rest.rstrip())
    word = ""
    while position < len(rest):
        token, before = _TOKEN.match(rest, position), word
        if token is None:
            return None
        word, position = token[1].lower(), token.end()
        if "\n" in token[0] and not (word in SCALES or word in PERCENTS or word in CURRENCIES):
            return None  # "1\nimport os"
        if word == ")" and is_open:
            is_open = False
        elif word == "(" and not is_open and (remark := _REMARK.fullmatch(rest, position)):
            return _with_remark(Quantity(number, scale, percent, unit), remark[1])
        elif word in PERCENTS and not percent:
            if scale != 1.0:
                return None
            scale, percent = PERCENTS[word], True
        elif word in SCALES and not percent and not num_words:
            scale *= SCALES[word]
        elif word in CURRENCIES:
            if names_unit and (unit in ("", "$", "¥", THING) or before == "元"):
                unit = CURRENCIES[word]
            elif names_unit and not word.isascii() and word != "元" and unit != CURRENCIES[word]:
                return None
        elif is_decrease(word):
            number = -abs(number)
        elif not num_words and (compound := read_compound(word)) and not (percent or unit):
            scale, unit = scale * compound[0], compound[1]
        elif (
            word in SCALES
            or word in PERCENTS
            or word in REFUSED
            or word in NUMBER_WORDS
            or (len(word) == 1 and word.isalpha() and word.isascii() and word not in "xag")
            or num_words == MAX_WORDS
            or _CJK_REFUSED.search(word)
            or (names_unit and is_scale_like(word))
        ):
            return None
        else:
            if names_unit and unit in ("", THING) and word not in FILLERS and word not in STOPS:
                unit = unit if word in NO_UNIT or percent else _counted(word)
            num_words += word not in FILLERS
        names_unit = names_unit and word not in STOPS
    if is_open or word in STOPS or not math.isfinite(number * scale):
        return None
    return Quantity(number, scale, percent, unit)


def _counted(word: str) -> str:
    by_first = "" if word.isascii() else COUNTED.get(word[0], "")  # "股普通股" are shares
    return COUNTED.get(word) or by_first or THING


def _without_brackets(rest: str) -> str:
    """ "94 (in millions)" says the same as "94 millions"; other remarks stay as they are."""
    if not rest.endswith(")") or not (remark := _UNIT_REMARK.search(rest)):
        return rest
    inner = UNIT_LABEL.sub("", remark[1].lower().strip())
    words = [w for w in _REMARK_WORD.findall(inner) if w not in _UNIT_FILLERS]
    if not all(word in SCALES or word in PERCENTS or word in CURRENCIES for word in words):
        return rest
    return f"{rest[: remark.start()]} {' '.join(words)}"


def _with_remark(quantity: Quantity, remark: str) -> Quantity | None:
    """The number with what a remark in parentheses says of it: nothing, its sign, its scale or
    currency. None where the remark bears another number or a scale that is not understood."""
    if _FALLEN.match(remark):
        quantity = quantity._replace(number=-abs(quantity.number))
    elif _A_FALL.search(remark):
        return None
    stated = parse_quantity(_SAYS_SAME.sub("", remark)) if bears_number(remark) else None
    if stated and not _is_time(remark, quantity):
        if quantity.scale == 1.0 and not quantity.percent and not stated.percent:
            quantity = quantity._replace(scale=stated.scale)
        if units_differ(quantity.unit, stated.unit) or (stated.number < 0 < quantity.number):
            return None
        tolerance = 0.0 if _may_be_year(quantity) else 0.005
        return quantity if is_close(abs(stated.value), abs(quantity.value), tolerance) else None
    if states_another(remark, quantity) or _changes(remark.strip(" .").lower()):
        return None
    for word in units_mentioned(_ROUNDED.sub("", remark)):
        scale, currency = read_compound(word) or (SCALES.get(word, 1.0), CURRENCIES.get(word, ""))
        if scale != 1.0 and quantity.scale == 1.0 and word not in SCALES:
            quantity = quantity._replace(scale=scale)  # "94 (USDm)"
        if units_differ(quantity.unit, currency):
            return None
        if word in PERCENTS and not quantity.percent:
            return None
        if currency and not quantity.unit:
            quantity = quantity._replace(unit=currency)
        if (scale != 1.0 or is_scale(word)) and scale != quantity.scale:
            return None
    return quantity


def _changes(remark: str) -> bool:
    """Whether a remark of a word makes the number another: "94 (squared)", "94 (and up)"."""
    if remark in NO_UNIT or remark in SCALES or _FALLEN.match(remark):
        return False
    if len(remark) < 2:  # "(X)", "(-)"
        return True
    return remark in REFUSED or remark.startswith("and ") or is_scale_like(remark)


def states_another(text: str, quantity: Quantity) -> bool:
    """Whether a text beside a number bears a different one. Working that comes to the number is
    none, and neither are years and periods, unless the number may be a year itself."""
    if not bears_number(text) or _is_time(text, quantity):
        return False
    if "=" in text:  # "5,829 - 5,735 = 94": each side must be the number
        sides = text.split("=")
        return len(sides) > MAX_WORDS or any(states_another(side, quantity) for side in sides)
    stated = parse_quantity(text)
    working = value_of_working(text) if stated is None else None
    if stated is None and working is None:
        return True
    others = [abs(working)] if stated is None and working is not None else []
    others += [abs(stated.value), abs(stated.number)] if stated else []
    return not any(
        is_close(abs(value), other, 0.01)
        for value in (quantity.number, quantity.value)
        for other in others
    )


def _is_time(text: str, quantity: Quantity) -> bool:
    return not _may_be_year(quantity) and not bears_number(without_times(text))


def _may_be_year(quantity: Quantity) -> bool:
    return quantity.scale == 1.0 and _IS_YEAR.fullmatch(f"{abs(quantity.number):g}") is not None


def is_close(gold: float, value: float, tolerance: float) -> bool:
    """Whether `value` lies within a relative tolerance of `gold`; a gold of 0 allows 0 alone."""
    return abs(value - gold) <= tolerance * abs(gold) * (1 + 1e-9)
