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
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from rewards.disguises import ALIKE

_WORD = re.compile(r"\{([a-z_]+)\}")  # {0,40} is a regular expression's own

_ANCHORS = ("start", "line")
"""Words of the table that many shapes begin with; `\\b` is another such beginning."""

Part = str | list[str]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A way to speak to a grader, and one sentence of its kind. `begins` is where it may begin, and
    `rest` what follows there."""

    example: str
    begins: str
    rest: str

    @property
    def is_foreign(self) -> bool:
        """Whether it is written in another script than Latin, so that no ASCII text has it."""
        return not self.example.isascii() and re.search("[a-zA-Z]", self.example) is None


def _load(file: Path) -> tuple[Sentence, ...]:
    """Raises KeyError for a word that stands above its own definition."""
    groups = yaml.safe_load(file.read_text(encoding="utf-8"))
    words: dict[str, str] = {}
    for name, choice in groups.pop("words").items():
        words[name] = _regex([choice], words)
    anchors = (*(words[name] for name in _ANCHORS), r"\b", "")
    sentences = []
    for entry in (entry for group in groups.values() for entry in group):
        shape = _regex(entry["shape"], words)
        begins = next(anchor for anchor in anchors if shape.startswith(anchor))
        sentences.append(Sentence(entry["example"], begins, shape.removeprefix(begins)))
    return tuple(sentences)


def _regex(shape: str | list[Part], words: Mapping[str, str]) -> str:
    """Parts follow each other; a list among them is a choice. Look-alikes are as in the text."""
    parts = [shape] if isinstance(shape, str) else shape
    text = "".join(p if isinstance(p, str) else f"(?:{'|'.join(p)})" for p in parts)
    return _WORD.sub(lambda found: words[found[1]], text).translate(ALIKE)


def searches(sentences: Iterable[Sentence]) -> list[re.Pattern[str]]:
    """Patterns that together find what any of the sentences' own would: those that begin alike are
    tried together where they may begin, which takes a third of the time."""
    rests: defaultdict[str, list[str]] = defaultdict(list)
    for sentence in sentences:
        rests[sentence.begins].append(f"(?:{sentence.rest})")
    return [
        re.compile(f"{begins}(?:{'|'.join(some)})", re.MULTILINE) for begins, some in rests.items()
    ]


SENTENCES = _load(Path(__file__).with_suffix(".yaml"))
_LATIN = searches(sentence for sentence in SENTENCES if not sentence.is_foreign)
_FOREIGN = searches(sentence for sentence in SENTENCES if sentence.is_foreign)


def addresses_judge(text: str) -> bool:
    """Whether a text, as `undisguised` gives it, speaks to whoever grades it."""
    patterns = _LATIN if text.isascii() else (*_LATIN, *_FOREIGN)
    return any(pattern.search(text) for pattern in patterns)
