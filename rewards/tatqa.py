"""TAT-QA's exact match and F1, which compare an answer together with its scale.

Source: Zhu et al. 2021, "TAT-QA: A Question Answering Benchmark on a Hybrid of Tabular and Textual
Content in Finance", and its metric. Every number becomes four decimals of its scaled value, so
"123.2 million" equals "123200000" and not "123.2"; spans are sorted, joined and compared as bags
of words. What the metric does to odd input (".5" is no number, "(134)" is -134) is kept.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

MAX_CHARS = 1_000
_MAX_DIGITS = 300  # more do not fit a float

_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "percent": 0.01}
_DROPPED = str.maketrans("", "", "'\"\\$€£¥%(),[]")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_FIRST_NUMBER = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)|[+-]?\.[0-9]+")
_NUMBER_AND_WORD = re.compile(r"[0-9.]+\s?[a-z]+", re.IGNORECASE)
_IN_PARENTHESES = re.compile(r"\([0-9.\s]+\)")
_PERCENT = re.compile(r"[0-9.\s]%")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_LAST_SCALE = re.compile(r"(.*?)\s+(thousand|million|billion|percent)", re.IGNORECASE | re.DOTALL)


def em_and_f1(
    golds: Sequence[str], gold_scale: str, answers: Sequence[str], scale: str, answer_type: str
) -> tuple[float, float]:
    """Exact match and F1 of the answers, a list of spans or one number, and their scale.

    Scales are "", "thousand", "million", "billion", "percent". For the types "arithmetic" and
    "count" F1 is the exact match.
    """
    if not golds or not answers or sum(map(len, answers)) > MAX_CHARS:
        return 0.0, 0.0
    gold = _normalised(_joined(golds, gold_scale))
    forms = [_joined(answers, scale)]
    if len(answers) == 1 and not scale and "%" not in answers[0] and _is_number(answers[0]):
        value = _to_number(answers[0])  # 0.2342 for a gold of 23.42 percent
        forms += [] if value is None else [f"{value:.4f}"]
    stated = [_normalised(form) for form in forms]
    exact = float(any(form == gold for form in stated))
    if answer_type in ("arithmetic", "count"):
        return exact, exact
    return exact, max(_f1(form, gold) for form in stated)


def split_scale(answers: Sequence[str]) -> tuple[list[str], str]:
    """Answers as text, and the scale word that all of them end with: "94 million" -> "94"."""
    parts = [_LAST_SCALE.fullmatch(answer.strip()) for answer in answers]
    scales = {part[2].lower() if part else "" for part in parts}
    if len(scales) != 1 or "" in scales:
        return [answer.strip() for answer in answers], ""
    return [part[1] for part in parts if part], scales.pop()


def _joined(answers: Sequence[str], scale: str) -> str:
    return " ".join(_with_scale(answer, scale) for answer in sorted(answers))


def _with_scale(answer: str, scale: str) -> str:
    value = _to_number(answer) if _is_number(answer) else None
    if value is None:
        return f"{answer} {scale}" if scale else answer
    if "%" in answer:
        return f"{value:.4f}"
    return f"{round(value, 2) * _scale_of(scale):.4f}"


def _scale_of(text: str) -> float:
    """The first scale word, of hundred to percent, that a text holds; 1 when it holds none."""
    text = text.lower()
    return next((factor for word, factor in _SCALES.items() if word in text), 1)


def _is_number(text: str) -> bool:
    words = " ".join(word.translate(_DROPPED) for word in text.split()).split()
    try:
        return (
            bool(words)
            and float(words[0]) == float(words[0])
            and (len(words) < 2 or _scale_of(words[1]) != 1)
        )
    except ValueError:
        return False


def _to_number(text: str) -> float | None:
    match = _FIRST_NUMBER.search(text.translate(_DROPPED))
    if match is None or match[1] is None or len(match[1]) > _MAX_DIGITS:
        return None
    word = _NUMBER_AND_WORD.search(text)
    number = float(match[1]) if "." in match[1] else int(match[1])
    value = number * (_scale_of(word[0]) if word else 1)
    value = -value if _IN_PARENTHESES.search(text) else value
    return round(value * 0.01 if _PERCENT.search(text) else value, 4)


def _normalised(text: str) -> str:
    """Lower case, without punctuation and articles; numbers in one form."""
    return " ".join(part for word in text.split() if (part := _normal_word(word)))


def _normal_word(word: str) -> str:
    word = word.lower()
    if not _is_number(word):
        word = word.translate(_PUNCTUATION)
    if _is_number(word):
        word = str(_to_number(word))
    return " ".join(_ARTICLES.sub(" ", word).split())


def _f1(answer: str, gold: str) -> float:
    """F1 of two texts as sets of words, to two decimals."""
    stated, wanted = set(answer.split()), set(gold.split())
    common = len(stated & wanted)
    precision = common / len(stated) if stated else 1.0
    recall = common / len(wanted) if wanted else 1.0
    return round(2 * precision * recall / (precision + recall), 2) if precision + recall else 0.0
