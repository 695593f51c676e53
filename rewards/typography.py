"""Turn the typography of LaTeX into plain text: styles, spaces, delimiters, escaped signs.

What carries mathematics is kept as it is: fractions, powers, indices, roots, unknown commands. So
"\\textbf{94}\\,{\\rm million}" is "94 million" and "\\sqrt{94}" stays what no number is.
"""

from __future__ import annotations

import re

_STYLE_NAMES = (
    "text textbf textit textrm texttt textsf textsc textup textmd textnormal emph mathrm mathbf"
    " mathit mathsf mathtt mathnormal boldsymbol bm pmb bold mbox hbox underline operatorname bf"
    " bfseries rm rmfamily it itshape sf tt displaystyle textstyle tiny small normalsize large"
    " Large LARGE huge left right big Big bigl bigr Bigl Bigr"
)
_STYLES = frozenset(_STYLE_NAMES.split())
_HIDDEN_ARGUMENT = frozenset(("color", "textcolor", "hspace", "vspace"))
_DOLLAR = "\ue000"  # an escaped dollar, until those that delimit formulas are gone
_WORDS = {
    "space": " ", "enspace": " ", "enskip": " ", "thinspace": " ", "medspace": " ",
    "thickspace": " ", "quad": "  ", "qquad": "  ", "approx": "≈", "simeq": "≈", "cong": "≈",
    "sim": "~", "therefore": "∴", "times": "×", "mathdollar": _DOLLAR, "textdollar": _DOLLAR,
    "downarrow": "↓", "uparrow": "↑",
}  # fmt: skip
_MARKS = {
    **dict.fromkeys(",;:> \n\t()[]", " "),
    **{mark: mark for mark in "%&#_{}"},
    "$": _DOLLAR,
    "!": "",
    "\\": "\n",
}
_TOKEN = re.compile(
    r"\\{1,4}n(?![a-zA-Z])"
    r"|\\(?P<word>[a-zA-Z]+)\*?[ \t]*|\\(?P<mark>.)|(?P<brace>[{}])|[^\\{}]+|\\",
    re.DOTALL,
)
_ESCAPED_TWICE = re.compile(r"\\{2,4}(?=[%$]|(?:text|math)[a-z]{0,6}\{)")
_FRACTION = re.compile(r"\\[dtc]?frac(?![a-zA-Z])(?:[ \t]{0,3}([0-9])[ \t]{0,3}([0-9]))?")
_MIXED_NUMBER = re.compile(r"(?<=[0-9])(?=\\frac)")
_FORMULA = re.compile(r"(?<![\w$])\$([^\s$](?:[^$\n]{0,200}[^\s$])?)\$(?![0-9A-Za-z$])")
_WHOLE_FORMULA = re.compile(r"\s*\$([^$]+)\$\s*([.]?)\s*")
_TIE = re.compile(r"~(?=[A-Za-z\\(]|$)|(?<=[,;])~|(?<=[%$])~(?![0-9])")

LATEX_TEXT = re.compile(
    rf"\\(?:{'|'.join(name for name in _STYLE_NAMES.split() if len(name) > 2)})\s*\{{([^{{}}]*)\}}"
)
"""Text in a style, whose braces hold no others."""


def plain(text: str) -> str:
    """The text without LaTeX's styles, spaces, groups and delimiters of formulas.

    "\\(\\text{Change} = \\$94\\,\\mathrm{million}\\)" -> "Change = $94 million". Linear in its
    length.
    """
    if "~" in text:
        text = _TIE.sub(" ", text)
    if "{,}" in text:
        text = text.replace("{,}", ",")
    if "\\" in text:
        text = _ESCAPED_TWICE.sub(r"\\", text)
        if "frac" in text:
            text = _FRACTION.sub(_braced_fraction, text)
            text = _MIXED_NUMBER.sub(" ", text)
        text = _without_commands(text)
    if text.count("$") > 1:
        text = _without_dollars(text)
    return text.replace(_DOLLAR, "$") if _DOLLAR in text else text


def _braced_fraction(match: re.Match[str]) -> str:
    return f"\\frac{{{match[1]}}}{{{match[2]}}}" if match[1] else "\\frac"


def _without_commands(text: str) -> str:
    """One pass over commands and braces. A group is kept where it is the argument of what is kept:
    an unknown command, a power, an index."""
    parts: list[str] = []
    groups: list[str] = []  # of each open group: what stands for its braces
    is_argument = hides_next = False
    hidden_from = -1
    for token in _TOKEN.finditer(text):
        word, mark, brace = token.group("word", "mark", "brace")
        if brace == "{":
            if hides_next and hidden_from < 0:
                hidden_from = len(groups)
            groups.append("}" if is_argument else "")
            shown, is_argument = "{" if is_argument else "", False
            hides_next = False
        elif brace:
            shown = groups.pop() if groups else "}"
            is_argument = shown == "}"  # and so is the group that follows, as in \frac{1}{2}
        elif word is not None:
            is_known = word in _STYLES or word in _HIDDEN_ARGUMENT or word in _WORDS
            shown = _WORDS.get(word, "") if is_known else token[0]
            is_argument, hides_next = not is_known, word in _HIDDEN_ARGUMENT
        else:
            shown = _MARKS.get(mark, token[0]) if mark else token[0] if token[0] != "\\" else ""
            is_argument = shown.rstrip().endswith(("^", "_")) and not mark
            hides_next = False
        if hidden_from < 0:
            parts.append(shown)
        elif len(groups) == hidden_from:
            hidden_from, is_argument = -1, False
    return "".join(parts)


def _without_dollars(text: str) -> str:
    """Without the dollars around formulas; as in Pandoc, no formula begins or ends with a blank,
    and none is followed by a digit: "$5,829 - $5,735" holds amounts."""
    text = text.replace("$$", " ")
    if whole := _WHOLE_FORMULA.fullmatch(text):
        return f"{whole[1]}{whole[2]}"
    return _FORMULA.sub(_formula, text)


def _formula(match: re.Match[str]) -> str:
    is_formula = " " not in match[1] or any(sign in match[1] for sign in "=≈^_\\")
    return match[1] if is_formula else match[0]
