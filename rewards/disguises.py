"""Text without its disguises, for rules that look for words: look-alikes of other scripts, letters
spaced out, digits in place of letters, Traditional for Simplified Chinese, runs of punctuation.

Only rules see the result; a judge sees what was written.
"""

from __future__ import annotations

import re
import unicodedata

_LATIN_OF = str.maketrans(
    "авеёгкмнорстухіїјѕԁһԛԝѵүӏ" + "αβεζηικμνορτυχω",
    "abeerkmhopctyxiijsdhqwvyl" + "abezhikmvoptyxw",
)
_CYRILLIC_OF = str.maketrans("abcehikmoptxy", "авсенікмортху")
# Small capitals, typographic quotes, and the Traditional forms of what the shapes are written with.
# Japanese shares some; shapes go through the same table, so they meet in any script.
ALIKE = str.maketrans(
    "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɡıſ‘’“”"
    "請給這個該評滿為視標認對將輸總結論終級閱師員規則準無與應當說寫題條參實審驗證測數據統項優獲處"
    "確間問選擇賦記內後發讓們還會決誤錯獎須複復斷錄從爾麼價務擔來盡過質計劃讚贊導專開關儘",
    "abcdefghijklmnoprstuvwyzgis''\"\""
    "请给这个该评满为视标认对将输总结论终级阅师员规则准无与应当说写题条参实审验证测数据统项优获处"
    "确间问选择赋记内后发让们还会决误错奖须复复断录从尔么价务担来尽过质计划赞赞导专开关尽",
)
_MIXED = re.compile(
    "\\b\\w{0,40}?(?:[a-z][\u0370-\u03ff\u0400-\u052f]|[\u0370-\u03ff\u0400-\u052f][a-z])\\w*"
)
_MARKS = re.compile("[\u0300-\u036f\u20d0-\u20ff]")
_SPACED = re.compile(r"(?<![^\W_])[^\W\d_](?:[ ._*·-][^\W\d_]){2,}(?![^\W_])")
_SEPARATORS = re.compile(r"[\W_]")
_WITH_DIGITS = re.compile(r"\b[013457]?[a-z]+(?:[013457][a-z]+)+[013457]?\b|\b[013457][a-z]{4,}\b")
_LETTER_OF = str.maketrans("013457", "oieast")
_RUN = re.compile(r"((?:[^\w\n]|_){4})(?:[^\w\n]|_)+((?:[^\w\n]|_){4})")
_CONTENT = re.compile(r"[^\W_]")


def undisguised(text: str) -> str:
    """In lower case, normalised (NFKC), look-alikes equal, one space between words, its line breaks
    kept but for lines of punctuation, and at most eight marks of punctuation in a row."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    if not plain.isascii():
        plain = _MIXED.sub(_one_script, _MARKS.sub("", plain).translate(ALIKE))
    plain = _SPACED.sub(lambda found: _SEPARATORS.sub("", found[0]), plain)
    plain = _WITH_DIGITS.sub(_letters, plain)
    lines = (" ".join(line.split()) for line in plain.split("\n"))
    return _RUN.sub(r"\1\2", "\n".join(line for line in lines if _CONTENT.search(line)))


def _one_script(found: re.Match[str]) -> str:
    """A word that mixes scripts: Latin where every letter of it has a look-alike there."""
    latin = found[0].translate(_LATIN_OF)
    return latin if latin.isascii() else found[0].translate(_CYRILLIC_OF)


def _letters(found: re.Match[str]) -> str:
    """ "prev1ous" and "1gnore" as they are meant; "10bps", "1st" and "fy15" are figures."""
    return found[0].translate(_LETTER_OF)
