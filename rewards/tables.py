"""The table that an open answer is about, and every figure that follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configs.errors import DataError
from rewards.declared import parse_unit

OPERATIONS = (
    "value",
    "change",
    "percent_change",
    "share",
    "ratio",
    "sum",
    "difference",
    "total",
    "average",
)
"""What a figure may come from. `change` and `percent_change` go between two columns of a row;
`share`, `ratio`, `sum` and `difference` between two rows of a column; `total` and `average` over
the columns of a row."""

MAX_ROWS, MAX_COLUMNS = 200, 24
MAX_PAIRED = 12
"""Of the rows that a sentence names, so many are set against each other."""
PERCENT = 0.01
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Chinese and Japanese letters, as ranges of a regular expression; no space sets words apart."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of numbers over periods in order of time; None where a cell is empty.

    `scales[row]` is what one unit of the row stands for: 1e6 for "million", 0.01 for "percent".

    Example: `read_table({"columns": ["2022", "2023"], "rows": {"Revenue": [120, 150]}})`.
    """

    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    scales: Mapping[str, float]

    def is_percent(self, row: str) -> bool:
        return self.scales[row] == PERCENT


@dataclass(frozen=True, slots=True)
class Derived:
    """A figure that follows from the table, in absolute terms (a percentage as a fraction).

    `columns` are the periods it is of, `scale` what one unit of its row stands for: a bare number
    is in that unit. A `signed` one must be stated with its sign; of a change the size alone may be
    stated, since the words around it say which way it went.
    """

    value: float
    operation: str
    columns: tuple[str, ...]
    scale: float = 1.0
    percent: bool = False
    signed: bool = True


def read_table(given: Mapping[str, Any]) -> Table:
    """A table from a task's metadata: `columns`, `rows` (label to numbers), and optionally `unit`
    of all rows and `units` of single ones.

    Raises:
        DataError: it has no rows, too many, a row of another length than the columns, or a unit
            that is not understood.
    """
    columns = tuple(str(column) for column in given.get("columns", ()))
    rows = {
        str(label): tuple(None if v is None else float(v) for v in values)
        for label, values in given.get("rows", {}).items()
    }
    if not columns or not rows or len(rows) > MAX_ROWS or len(columns) > MAX_COLUMNS:
        raise DataError(
            f"the source table has {len(rows)} rows and {len(columns)} columns; it needs 1 to "
            f"{MAX_ROWS} and 1 to {MAX_COLUMNS}"
        )
    for label, values in rows.items():
        if len(values) != len(columns):
            raise DataError(
                f"row '{label[:80]}' has {len(values)} cells for {len(columns)} columns"
            )
    units = given.get("units", {})
    scales = {
        label: parse_unit(str(units.get(label, given.get("unit", "")))).value for label in rows
    }
    return Table(columns, rows, scales)


def derived_figures(
    table: Table, rows: Sequence[str], operations: Sequence[str] = OPERATIONS
) -> Iterator[Derived]:
    """Every figure that follows from these rows by one of the operations."""
    for row in rows:
        yield from _of_a_row(table, row, operations)
    for a in rows[:MAX_PAIRED]:
        for b in rows[:MAX_PAIRED]:
            if a != b and table.is_percent(a) == table.is_percent(b):
                yield from _of_two_rows(table, a, b, operations)


def _of_a_row(table: Table, row: str, operations: Sequence[str]) -> Iterator[Derived]:
    scale, percent = table.scales[row], table.is_percent(row)
    cells = [
        (column, value * scale)
        for column, value in zip(table.columns, table.rows[row], strict=True)
        if value is not None
    ]
    if "value" in operations:
        for column, value in cells:
            yield Derived(value, "value", (column,), scale, percent)
    for start, (first, before) in enumerate(cells):
        for last, after in cells[start + 1 :]:
            periods = (first, last)
            if "change" in operations:
                yield Derived(after - before, "change", periods, scale, percent, signed=False)
            if "percent_change" in operations and before:
                growth = (after - before) / abs(before)
                yield Derived(
                    growth, "percent_change", periods, PERCENT, percent=True, signed=False
                )
                if "ratio" in operations:
                    yield Derived(after / before, "ratio", periods)
    if len(cells) > 1:
        total, columns = sum(value for _, value in cells), tuple(column for column, _ in cells)
        if "total" in operations and not percent:
            yield Derived(total, "total", columns, scale)
        if "average" in operations:
            yield Derived(total / len(cells), "average", columns, scale, percent)


def _of_two_rows(table: Table, a: str, b: str, operations: Sequence[str]) -> Iterator[Derived]:
    scale, percent = table.scales[a], table.is_percent(a)
    for column, x, y in zip(table.columns, table.rows[a], table.rows[b], strict=True):
        if x is None or y is None:
            continue
        x, y = x * scale, y * table.scales[b]
        if "sum" in operations and not percent:
            yield Derived(x + y, "sum", (column,), scale)
        if "difference" in operations:
            yield Derived(x - y, "difference", (column,), scale, percent, signed=False)
        if y and not percent:
            if "share" in operations:
                yield Derived(x / y, "share", (column,), PERCENT, percent=True)
            if "ratio" in operations:
                yield Derived(x / y, "ratio", (column,))


def name_pattern(names: Sequence[str]) -> re.Pattern[str]:
    """Finds any of these names in a text, longest first, in singular or plural; group 1 is it."""
    letter = rf"[^\W_{CJK}]"
    before, after = rf"(?:(?<!{letter})|(?<=\bFY))", f"(?!{letter})"

    def whole(name: str) -> str:
        words = r"\s+".join(map(re.escape, name.removesuffix("s").split()))
        return f"{words}s?{'' if re.search(f'[{CJK}]$', name) else after}"

    ordered = sorted(names, key=len, reverse=True)
    return re.compile(f"{before}({'|'.join(map(whole, ordered))})", re.IGNORECASE)


def same_name(written: str, names: Iterable[str]) -> str:
    """The name that was found by `name_pattern`."""
    key = _singular(written)
    return next(name for name in names if _singular(name) == key)


def _singular(name: str) -> str:
    return " ".join(name.lower().split()).removesuffix("s")
