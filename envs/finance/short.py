"""Levels 1 and 2: one or two sentences, one operation, no table.

Level 1 asks for sums and differences of numbers up to three digits in about a dozen words: what a
tiny model learns in minutes. A question is a pair of operands in a frame (sentence, item, period,
name), and a cell enumerates them all: number n is the n-th in an order that the seed shuffles, so
no question comes twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from envs.draws import in_split, key_of, permute
from envs.finance.companies import Layout
from envs.finance.names import num_short_names, short_name
from envs.finance.questions import Question
from envs.finance.scenes import LAYOUTS

PERIODS = (
    ("2020", "2021"),
    ("2021", "2022"),
    ("2022", "2023"),
    ("2023", "2024"),
    ("March", "April"),
    ("May", "June"),
    ("July", "August"),
    ("October", "November"),
)


@dataclass(frozen=True, slots=True)
class Form:
    """How a family asks: its sentences take {a} and {b} (operands), {item}, {p} and {q} (periods)
    and, where `named`, {name}. `operands` says which pairs (a, b) there are; see `operand_pairs`.
    """

    name: str
    level: int
    operands: str
    program: str
    sentences: tuple[str, ...]
    unit: str = "number"
    named: bool = False


FORMS = (
    Form(
        "change",
        level=1,
        operands="three_digits",
        program="subtract({b}, {a})",
        sentences=(
            "{item} were {a} in {p} and {b} in {q}. What is the change?",
            "{item} went from {a} in {p} to {b} in {q}. What is the change?",
        ),
    ),
    Form(
        "total",
        level=1,
        operands="three_digits",
        program="add({a}, {b})",
        sentences=(
            "{item} were {a} in {p} and {b} in {q}. What is the total?",
            "{item} came to {a} in {p} and {b} in {q}. What is the total?",
        ),
    ),
    Form(
        "product",
        level=2,
        operands="two_digits",
        program="multiply({a}, {b})",
        sentences=(
            "{item} at {name} in {p}: {a}, each worth {b}. What are they worth together?",
            "In {p}, {name} booked this: {item}, {a} of them at {b} each. What is the total value?",
        ),
        named=True,
    ),
    Form(
        "quotient",
        level=2,
        operands="multiples",
        program="divide({a}, {b})",
        sentences=(
            "{item} at {name} in {p}: {b}, worth {a} together. What is the average value of one?",
            "In {p}, {name} booked this: {item}, {b} of them for {a}. What is the value of each?",
        ),
        named=True,
    ),
    Form(
        "share",
        level=2,
        operands="parts",
        program="divide({a}, {b})",
        sentences=(
            "{item} at {name} in {p}: {b}, of which {a} were new. What percentage was new?",
            "In {p}, {name} booked this: {item}, {b} in all, {a} abroad. What percentage was that?",
        ),
        unit="percent",
        named=True,
    ),
)


@dataclass(frozen=True, slots=True)
class ShortCell:
    """The questions of one form in one scene."""

    form: Form
    layout: Layout

    @property
    def scene(self) -> str:
        return self.layout.scene

    @property
    def family(self) -> str:
        return self.form.name

    @property
    def level(self) -> int:
        return self.form.level

    def capacity(self, split: str) -> int:
        """How many distinct questions a split holds: pairs times frames."""
        return len(operand_pairs(self.form.operands, split)) * self._num_frames()

    def question(self, split: str, key: int, number: int) -> Question:
        """Question `number` < capacity, in the order that `key` (of seed and split) sets."""
        form, pairs = self.form, operand_pairs(self.form.operands, split)
        order = key_of(key, self.scene, form.name)
        rest, pair = divmod(permute(number, len(pairs) * self._num_frames(), order), len(pairs))
        rest, sentence = divmod(rest, len(form.sentences))
        rest, item = divmod(rest, len(self.layout.items))
        name, period = divmod(rest, len(PERIODS))
        a, b = pairs[pair].tolist()
        p, q = PERIODS[period]
        prompt = form.sentences[sentence].format(
            item=self.layout.items[item],
            p=p,
            q=q,
            a=a,
            b=b,
            name=short_name(name, self.layout.suffixes) if form.named else "",
        )
        return Question(prompt, form.program.format(a=a, b=b), form.unit)

    def _num_frames(self) -> int:
        names = num_short_names(self.layout.suffixes) if self.form.named else 1
        return len(self.form.sentences) * len(self.layout.items) * len(PERIODS) * names


SHORT_CELLS = tuple(ShortCell(form, layout) for layout in LAYOUTS.values() for form in FORMS)


@cache
def operand_pairs(operands: str, split: str) -> NDArray[np.int32]:
    """All pairs (a, b) of a kind that belong to the split: [N, 2]. These are stored, not the tasks.

    "three_digits": two different numbers from 1 to 999; "two_digits": from 2 to 99; "multiples": b
    from 2 to 99 and a = b times 2 to 99; "parts": 1 <= a < b <= 999.
    """
    if operands in ("three_digits", "parts"):
        a, b = (axis.ravel() for axis in np.mgrid[1:1000, 1:1000])
    else:
        a, b = (axis.ravel() for axis in np.mgrid[2:100, 2:100])
    if operands == "multiples":
        a = a * b
    wanted = a < b if operands == "parts" else a != b
    a, b = a[wanted], b[wanted]
    chosen = in_split(split, np.minimum(a, b), np.maximum(a, b))
    return np.stack([a[chosen], b[chosen]], axis=1).astype(np.int32)
