"""FinQA's execution accuracy: run the program that an answer is, and compare its result.

Source: Chen et al. 2021, "FinQA: A Dataset of Numerical Reasoning over Financial Data", and its
evaluation script. A program is steps such as "subtract(5829, 5735), divide(#0, 5735)", where #0 is
the result of the first step; "table_sum(net revenue, none)" works on a row of the table. Its
result is rounded to five decimals and must equal the gold's exactly. Everything is a float, so
time and memory are bounded by the length of the text.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence

MAX_CHARS = 2_000

_STEP = re.compile(r"([a-z_]+)\(([^()]*)\)")
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "exp": operator.pow,
}
_TABLE: dict[str, Callable[[Sequence[float]], float]] = {
    "table_max": max,
    "table_min": min,
    "table_sum": sum,
    "table_average": lambda row: sum(row) / len(row),
}

Result = float | str
"""A number, or "yes" or "no" as `greater` gives it."""


def execute(program: str, table: Sequence[Sequence[str]] = ()) -> Result | None:
    """The result of a program, None for one that is not well formed or cannot be computed.

    `table` holds rows of cells, the first cell being the row's name.
    """
    steps = _steps(program)
    if steps is None:
        return None
    rows = {row[0]: row[1:] for row in table if row}
    row: Sequence[str] | None = None
    results: list[Result] = []
    try:
        for name, first, second in steps:
            if name in _TABLE:
                row = _row(first, rows, row, results)
                result: Result = _TABLE[name]([_number(_plain_cell(cell)) for cell in row])
            else:
                result = _arithmetic(name, _argument(first, results), _argument(second, results))
            results.append(result)
        last = results[-1]
        return last if isinstance(last, str) else round(last, 5)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None  # a missing row, a division by zero, a complex root, arithmetic on "yes"


def agrees(gold: str, result: Result | None) -> bool:
    """Whether a result is the gold, without any tolerance."""
    if result is None or isinstance(result, str) or gold in ("yes", "no"):
        return result == gold
    try:
        return result == float(gold)
    except ValueError:
        return False


def _steps(program: str) -> list[tuple[str, str, str]] | None:
    """(operation, argument, argument) of each step; steps and arguments are parted by ", "."""
    if not 0 < len(program) <= MAX_CHARS:
        return None
    steps, position = [], 0
    while position < len(program):
        step = _STEP.match(program, position)
        if step is None:
            return None
        arguments = step[2].split(", ")
        if len(arguments) != 2 or step[1] not in (*_ARITHMETIC, *_TABLE, "greater"):
            return None
        steps.append((step[1], arguments[0].strip(), arguments[1].strip()))
        position = step.end()
        if position < len(program):
            if not program.startswith(", ", position):
                return None
            position += 2
    return steps


def _row(
    name: str,
    rows: Mapping[str, Sequence[str]],
    last: Sequence[str] | None,
    results: Sequence[Result],
) -> Sequence[str]:
    """The row of that name; for "#0" the row that was used last, as the published script has it."""
    if "#" not in name:
        return rows[name]
    _result(name, results)
    if last is None:
        raise LookupError(name)
    return last


def _arithmetic(name: str, left: float, right: float) -> Result:
    if name == "greater":
        return "yes" if left > right else "no"
    return _ARITHMETIC[name](left, right)


def _argument(text: str, results: Sequence[Result]) -> float:
    if "#" not in text:
        return _number(text)
    value = _result(text, results)
    if isinstance(value, str):
        raise TypeError(value)
    return value


def _result(text: str, results: Sequence[Result]) -> Result:
    """The result of an earlier step: "#0"."""
    index = int(text.replace("#", ""))
    if not 0 <= index < len(results):
        raise LookupError(text)
    return results[index]


def _number(text: str) -> float:
    """ "1,234", "5.2%", "const_100", "const_m1"; ValueError for anything else."""
    text = text.replace(",", "")
    if text.startswith("const_"):
        return -1.0 if text == "const_m1" else float(text.removeprefix("const_"))
    if "%" in text:
        return float(text.replace("%", "")) / 100.0
    return float(text)


def _plain_cell(cell: str) -> str:
    """ "$ 9.8 ( 1 )" -> "9.8"."""
    return cell.replace("$", "").strip().partition("(")[0].strip()
