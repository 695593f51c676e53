"""Whether a text speaks to whoever grades it, told apart from prose that uses the same words.

Finance is full of scores, ratings, verdicts and systems. What marks an order to a grader is not a
word but what stands together, and where:

- the answer speaks of itself ("this answer") next to a grade, or is what an order is to grade;
- an order, which begins its clause, is about earlier instructions, the rubric or a grade;
- a bare label of a verdict ("Score:", nothing before it that says whose) has a value on a grader's
  scale and nothing after it; or the verdict stands in a machine's form (JSON, tags, [[A]]);
- a turn of a grader or a system is played, or one is called, and grades or answers are its subject.

The sentences are in addressing.yaml, by language, each with an example.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

_WORD = re.compile(r"\{([a-z_]+)\}")  # {0,40} is a regular expression's own

Part = str | list[str]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A way to speak to a grader, and one sentence of its kind."""

    example: str
    pattern: re.Pattern[str]


def _load(file: Path) -> tuple[Sentence, ...]:
    """Raises KeyError for a word that stands above its own definition."""
    groups = yaml.safe_load(file.read_text(encoding="utf-8"))
    words: dict[str, str] = {}
    for name, choice in groups.pop("words").items():
        words[name] = _regex([choice], words)
    return tuple(
        Sentence(entry["example"], re.compile(_regex(entry["shape"], words), re.MULTILINE))
        for group in groups.values()
        for entry in group
    )


def _regex(shape: str | list[Part], words: Mapping[str, str]) -> str:
    """Parts follow each other; a list among them is a choice."""
    parts = [shape] if isinstance(shape, str) else shape
    text = "".join(p if isinstance(p, str) else f"(?:{'|'.join(p)})" for p in parts)
    return _WORD.sub(lambda found: words[found[1]], text)


SENTENCES = _load(Path(__file__).with_suffix(".yaml"))


def addresses_judge(text: str) -> bool:
    """Whether a text speaks to whoever grades it. It comes cleaned, normalised (NFKC), in lower
    case, with one space between words and its line breaks kept: a label begins its line."""
    return any(sentence.pattern.search(text) for sentence in SENTENCES)
