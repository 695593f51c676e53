"""Worked columns: every written fact is true, and the result read upward is the answer."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.finance.arithmetic import worked_difference, worked_sum

naturals = st.integers(0, 10**6)


def read_upward(working: str, lent: int) -> int:
    """Check every column as a reader would, and put the last digits together."""
    total, carry = 0, 0
    for place, column in enumerate(working.split()):
        terms, result = column.split("=")
        numbers = [int(n) for n in re.findall(r"[+-]?\d+", terms)]
        assert sum(numbers) == int(result), column
        assert abs(numbers[2]) == carry, f"{column} after a carry of {carry}"
        assert len(result) == 2
        carry = abs(lent - int(result[0]))
        total += int(result[1]) * 10**place
    return total + carry * 10 ** (place + 1)


@given(naturals, naturals)
def test_sum_read_upward_is_the_total(a: int, b: int) -> None:
    assert read_upward(worked_sum(a, b), lent=0) == a + b


@given(naturals, naturals)
def test_difference_read_upward_is_the_result(a: int, b: int) -> None:
    working = worked_difference(a, b)
    sign = -1 if working.startswith("- ") else 1
    assert sign * read_upward(working.removeprefix("- "), lent=1) == a - b


def test_documented_examples() -> None:
    assert worked_sum(384, 57) == "4+7+0=11 8+5+1=14 3+0+1=04"
    assert worked_sum(950, 80) == "0+0+0=00 5+8+0=13 9+0+1=10"
    assert worked_difference(384, 57) == "14-7-0=07 18-5-1=12 13-0-0=13"
    assert worked_difference(57, 384) == "- 14-7-0=07 18-5-1=12 13-0-0=13"
    assert worked_sum(0, 0) == "0+0+0=00"


@pytest.mark.parametrize("work", [worked_sum, worked_difference])
def test_negative_numbers_are_refused(work) -> None:
    with pytest.raises(ValueError, match="from 0 upward"):
        work(-1, 2)
