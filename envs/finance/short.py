"""Levels 1 and 2: one or two sentences, one operation, no table.

Level 1 asks for sums and differences of numbers up to three digits in a dozen words: what a tiny
model learns in minutes. A question is a pair of operands in a frame (template, line item, periods),
and each family enumerates them all: number n is the n-th in an order that the seed shuffles, so no
question comes twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from envs.finance.draws import in_split, permute
from envs.finance.questions import Question

LINES: Mapping[str, tuple[str, ...]] = {
    "banking": ("Deposits", "Loans", "Mortgages", "Card fees"),
    "securities": ("Trades", "Dividends", "Commissions", "Bonds"),
    "insurance": ("Premiums", "Claims", "Policies", "Reserves"),
    "trusts": ("Distributions", "Rents", "Trust fees", "Bequests"),
    "funds": ("Inflows", "Redemptions", "Holdings", "Fund fees"),
}
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
class ShortFamily:
    """A family whose questions are operand pairs in frames.

    Templates take {line}, {p} and {q} (periods) and {a} and {b} (operands); the program takes {a}
    and {b}. Every operand pair from 1 to `limit` is asked in both orders.
    """

    name: str
    level: int
    limit: int
    program: str
    templates: tuple[str, ...]
    unit: str = "number"

    def capacity(self, scene: str, split: str) -> int:
        """How many distinct questions there are in one scene."""
        pairs = len(operand_pairs(self.limit, split))
        return pairs * 2 * len(self.templates) * len(LINES[scene]) * len(PERIODS)

    def question(self, scene: str, split: str, key: int, number: int) -> Question:
        """The number-th question of the order that `key` sets, with number < capacity."""
        pairs, lines = operand_pairs(self.limit, split), LINES[scene]
        rest, pair = divmod(permute(number, self.capacity(scene, split), key), len(pairs))
        rest, swapped = divmod(rest, 2)
        rest, template = divmod(rest, len(self.templates))
        period, line = divmod(rest, len(lines))
        low, high = pairs[pair].tolist()
        a, b = (high, low) if swapped else (low, high)
        p, q = PERIODS[period]
        prompt = self.templates[template].format(line=lines[line], p=p, q=q, a=a, b=b)
        return Question(prompt, self.program.format(a=a, b=b), self.unit)


SHORT_FAMILIES = (
    ShortFamily(
        "change",
        level=1,
        limit=999,
        program="subtract({b}, {a})",
        templates=(
            "{line} were {a} in {p} and {b} in {q}. What is the change?",
            "{line} went from {a} in {p} to {b} in {q}. What is the change?",
        ),
    ),
    ShortFamily(
        "total",
        level=1,
        limit=999,
        program="add({a}, {b})",
        templates=(
            "{line} were {a} in {p} and {b} in {q}. What is the total?",
            "{line} came to {a} in {p} and {b} in {q}. What is the total?",
        ),
    ),
)


@cache
def operand_pairs(limit: int, split: str) -> NDArray[np.int32]:
    """All pairs 1 <= low < high <= limit that belong to the split: [N, 2]."""
    low, high = np.triu_indices(limit, k=1)
    low, high = low + 1, high + 1
    chosen = in_split(split, low, high)
    return np.stack([low[chosen], high[chosen]], axis=1).astype(np.int32)
