"""Sums and differences worked in digit columns, the way they are done on paper.

A small language model cannot add three-digit numbers in its head, but it can learn the few hundred
facts of single digits. So each column is one such fact, every carry is written down before it is
needed, and all columns have the same width, so that each digit is found at a fixed distance.
"""

from __future__ import annotations

from itertools import zip_longest


def worked_sum(a: int, b: int) -> str:
    """The columns of a + b for a, b >= 0, from the ones upward, without the total.

    A column adds two digits and the carry of the column before, and its result has two digits: the
    next carry and the digit of the total. Example: `worked_sum(384, 57)` is
    "4+7+0=11 8+5+1=14 3+0+1=04", and the last digits 1, 4, 4 read upward are the total, 441.
    """
    _require_naturals(a, b)
    columns: list[str] = []
    carry = 0
    for x, y in _digit_pairs(a, b):
        total = x + y + carry
        columns.append(f"{x}+{y}+{carry}={total:02d}")
        carry = total // 10
    return " ".join(columns)


def worked_difference(a: int, b: int) -> str:
    """The columns of a - b for a, b >= 0, from the ones upward, without the result.

    Every column is lent ten. Its result has two digits: 1 where the ten was not needed and is given
    back, 0 where it was and the next column pays one; then the digit of the difference. Example:
    `worked_difference(384, 57)` is "14-7-0=07 18-5-1=12 13-0-0=13": 327.
    Where a < b the columns are those of b - a behind a minus sign: "- 14-7-0=07 18-5-1=12 ...".
    """
    _require_naturals(a, b)
    if a < b:
        return f"- {worked_difference(b, a)}"
    columns: list[str] = []
    borrow = 0
    for x, y in _digit_pairs(a, b):
        rest = 10 + x - y - borrow
        columns.append(f"1{x}-{y}-{borrow}={rest:02d}")
        borrow = 1 - rest // 10
    return " ".join(columns)


def _digit_pairs(a: int, b: int) -> list[tuple[int, int]]:
    """Digits of a and b side by side, ones first, the shorter number filled up with zeros."""
    pairs = zip_longest(reversed(str(a)), reversed(str(b)), fillvalue="0")
    return [(int(x), int(y)) for x, y in pairs]


def _require_naturals(a: int, b: int) -> None:
    if a < 0 or b < 0:
        raise ValueError(f"digit columns need numbers from 0 upward, got {a} and {b}")
