"""Sentences that state a number, a range or a day, and lists by lines.

Chinese and Japanese ones state a number behind their verb: 净利润同比下降8.4%, 売上高は94百万円.
"""

from __future__ import annotations

import re

from rewards.remarks import bears_number, without_times
from rewards.units import CJK_FALL

MAX_CHARS = 160

_COPULA = re.compile(r"[*」』\"”]{0,3}(?:です|でした|である|だった|だ)[。.]?$")
_THUS = re.compile(
    r"(?:因此|所以|因而|故|综上(?:所述)?|即|也就是说?|したがって|よって|ゆえに|つまり|すなわち|以上より)[,，、:：]?\s?"
)
_LINK = re.compile(
    rf"(?P<fall>{CJK_FALL})"
    r"|(?P<rise>增长|增加|增幅|上升|上涨|提高|提升|升高|涨幅|升幅|涨|盈利|増加|上昇)(?!率|跌)"
    r"|占比?(?:[^0-9,，。]{1,12}的)?|达到?|价值|总价|[应可需]要?(?:支付|得|付|收)|需要|净买入|获得|得到|收到|支付|花费?了?"
    r"|(?:一共|总共|共)(?:需要?|花费?了?|支付|有)?|合計は?|"
    r"[=＝]|は[、,]?"
    r"|(?<=[率润入额額债本用益])[:：\s]{0,2}(?=[-−+▲△约約]?[0-9])"
)
"""What stands between the name of a figure and the figure."""
_NO_SUBJECT = re.compile(
    r"[没沒勿]|不(?!动产|動産|良|变)|未(?!分配|实现|来)|[绝而并]非|[无無](?!形|风险)|若|如果|假[如设]|预[计期]|目标"
    r"|[超逾近约差除扣]|谎|误报|拒绝|险些|有望|要是|谁|是否|可能|至[少多]|[低高少多大小]于|もし|ない|以外"
)
_FIGURE_FIRST = re.compile(r"[-−+▲△约約]?[0-9]")
_RISE = re.compile("[增増升涨]|上昇")


def without_copula(text: str) -> str:
    """The text without a Japanese "is" at its end: "94百万円です。" -> "94百万円"."""
    return text if text.isascii() else _COPULA.sub("", text)


def stated_figure(sentence: str) -> str:
    """What a Chinese or Japanese sentence states, with its verb where that gives the sign.

    "" for a sentence that denies or supposes, and for one with another number before its verb.

    Example: "净利润同比下降8.4%" -> "下降8.4%", "2023年毛利率达8.4%" -> "8.4%".
    """
    if sentence.isascii() or len(sentence) > MAX_CHARS:
        return ""
    text = without_copula(sentence.strip(" .。*\n"))
    text = text[thus.end() :] if (thus := _THUS.match(text)) else text
    link = _LINK.search(text)
    if link is None or _FIGURE_FIRST.match(without_times(text)):
        return text if text != sentence else ""
    if bears_number(without_times(text[: link.start()])):
        return ""
    if _NO_SUBJECT.search(text, 0, link.start()):
        return ""
    if link["fall"] and _RISE.search(text, link.end()):
        return ""  # of a loss that rose
    return text[link.start() if link["fall"] or link["rise"] else link.end() :]


_ITEM = r"[ \t]*(?:[(]?[1-9][.)]|[-*•·])[ \t]+"
_BULLET = re.compile(f"^{_ITEM}", re.MULTILINE)
ITEM_LINES = re.compile(rf"(?:{_ITEM}\S[^\n]*(?:\n+|\Z)){{2,}}")
"""Two lines or more that each begin with a bullet or a number."""
_RANGES = re.compile(
    r"(.*?)\brang(?:e|es|ed|ing)(?:\s(?:is|was|are))?\s((?:from|between)\s.+)", re.IGNORECASE
)
_ON_DAY = re.compile(r"(.*?)\bon\s(.+)", re.IGNORECASE)
_UNLIKELY = re.compile(
    r"\b(?:not|never|no|or|if|unless|may|might|could|would|should|wrong|incorrect|false|perhaps|maybe"
    r"|probably|possibly|except|before|after|fail\w*|lied|denie[sd])\b|n['’]t|\A(?:is|was|did|does)\b",
    re.IGNORECASE,
)


def without_bullets(text: str) -> str:
    """Lines without the bullets or numbers that all of them begin with: "- 4.1\\n- 4.6"."""
    return _BULLET.sub("", text) if ITEM_LINES.fullmatch(text) else text


def stated_range(sentence: str) -> str:
    """The range of "Payment terms range from 30 to 90 days."; "" for other sentences."""
    return _stated(_RANGES, sentence)


def stated_day(sentence: str) -> str:
    """The date of "It matures on June 20, 2023."; "" for other sentences."""
    return _stated(_ON_DAY, sentence)


def _stated(form: re.Pattern[str], sentence: str) -> str:
    match = form.fullmatch(sentence.rstrip(" .")) if len(sentence) <= MAX_CHARS else None
    if match is None or _UNLIKELY.search(sentence) or bears_number(match[1]):
        return ""
    return match[2]
