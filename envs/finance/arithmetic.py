"""Sums and differences worked in digit columns, the way they are done on paper.

A small language model cannot add three-digit numbers in its head, but it can learn the hundred
or so facts of single digits. Each column is one such fact; a carry or a borrow is written into the
next column, so nothing has to be remembered.
"""

from __future__ import annotations

from itertools import zip_longest


def worked_sum(a: int, b: int) -> str:
    """The columns of a + b for a, b >= 0, from the ones upward, without the total.

    Example: `worked_sum(384, 57)` is "4+7=11 8+5+1=14 3+0+1=4" (the total 441 read upward).
    A carry out of the last column stays in its result: 950 + 80 ends in "9+0+1=10".
    """
    _require_naturals(a, b)
    columns: list[str] = []
    carry = 0
    for x, y in _digit_pairs(a, b):
        total = x + y + carry
        columns.append(f"{x}+{y}" + ("+1" if carry else "") + f"={total}")
        carry = total // 10
    return " ".join(columns)


def worked_difference(a: int, b: int) -> str:
    """The columns of a - b for a, b >= 0, from the ones upward, without the result.

    Example: `worked_difference(384, 57)` is "14-7=7 8-5-1=2 3-0=3" (the result 327 read upward).
    Where a < b the columns are those of b - a behind a minus sign: "- 14-7=7 8-5-1=2 3-0=3".
    """
    _require_naturals(a, b)
    if a < b:
        return f"- {worked_difference(b, a)}"
    columns: list[str] = []
    borrow = 0
    for x, y in _digit_pairs(a, b):
        lent = 10 if x < y + borrow else 0
        columns.append(f"{x + lent}-{y}" + ("-1" if borrow else "") + f"={x + lent - y - borrow}")
        borrow = 1 if lent else 0
    return " ".join(columns)


def _digit_pairs(a: int, b: int) -> list[tuple[int, int]]:
    """Digits of a and b side by side, ones first, the shorter number filled up with zeros."""
    pairs = zip_longest(reversed(str(a)), reversed(str(b)), fillvalue="0")
    return [(int(x), int(y)) for x, y in pairs]


def _require_naturals(a: int, b: int) -> None:
    if a < 0 or b < 0:
        raise ValueError(f"digit columns need numbers from 0 upward, got {a} and {b}")
