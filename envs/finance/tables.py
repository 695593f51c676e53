"""Company figures as text: one sentence, a small table, or full statements with noise rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from envs.draws import Draws
from envs.finance.companies import AMOUNT, PER_SHARE, RATE, Company, Row, Sign

NOISE = (
    ("Employees", 40, 20_000),
    ("Branches", 3, 900),
    ("Customers (thousands)", 10, 5_000),
    ("Memo: assets held in custody", 10_000, 900_000),
    ("Memo: undrawn credit lines", 500, 90_000),
    ("Memo: operating lease commitments", 100, 9_000),
    ("Memo: income of discontinued business", 10, 4_000),
    ("Memo: deferred tax not recognised", 10, 4_000),
    ("Memo: related-party balances", 10, 4_000),
)
MOST_NOISE_ROWS = 2  # in one statement


def sentence(company: Company, keys: Sequence[str], years: Sequence[int]) -> str:
    """The figures in one sentence: "Elm Bank (in $ millions): cash 310 in 2021 and 12 in 2022."."""
    facts = []
    for key in keys:
        row, first = company.layout.rows[key], company.years[0]
        texts = ((year, company.values[key][year - first]) for year in sorted(years))
        values = [f"{'-' * (value < 0)}{_digits(row, value)} in {year}" for year, value in texts]
        facts.append(f"{company.said(key)} {_listed(values)}")
    rows = [company.layout.rows[key] for key in keys]
    return f"{company.name} ({_units(company, rows)}): {'; '.join(facts)}."


def small_table(company: Company, keys: Collection[str], draws: Draws) -> str:
    """A table of the rows asked for and up to two others, in the order of the statements."""
    others = [key for key in company.layout.lines if key not in keys]
    shown = {*keys, draws.choice(others), draws.choice(others)}
    rows = [row for key, row in company.layout.rows.items() if key in shown]
    return "\n".join(_table(company, "selected figures", rows))


def full_statements(company: Company, draws: Draws) -> str:
    """All four statements, each with some rows of noise."""
    blocks = []
    for title, rows in company.layout.statements.items():
        lines = list(_table(company, title, rows))
        for _ in range(draws.between(0, MOST_NOISE_ROWS)):
            lines.insert(draws.between(2, len(lines)), _noise_line(company, draws))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _table(company: Company, title: str, rows: Sequence[Row]) -> Iterator[str]:
    """A header with scale and currency, the years, then the rows."""
    yield f"{company.name}: {title} ({_units(company, rows)})"
    yield f"| | {' | '.join(map(str, company.years))} |"
    for row in rows:
        deducted = row.sign is Sign.OUTFLOW or (row.sign is Sign.COST and company.parentheses)
        cells = [
            f"({_digits(row, value)})" if value < 0 or (deducted and value) else _digits(row, value)
            for value in company.values[row.key]
        ]
        yield f"| {row.label} | {' | '.join(cells)} |"


def _units(company: Company, rows: Sequence[Row]) -> str:
    """What the figures of these rows are in: "in $ millions, shares in millions, ..."."""
    units, owner = [f"in {company.money}"], company.layout.owner
    if any(row.key == "shares" for row in rows):
        units.append(f"{owner}s in {company.scale}s")
    if any(row.unit == PER_SHARE for row in rows):
        units.append(f"per-{owner} figures in {company.currency}")
    return ", ".join(units)


def _digits(row: Row, value: int) -> str:
    """The size of a value, without its sign, with thousands separators."""
    if row.unit == AMOUNT:
        return f"{abs(value):,}"
    return f"{abs(value) / 100:,.2f}%" if row.unit == RATE else f"{abs(value) / 100:,.2f}"


def _noise_line(company: Company, draws: Draws) -> str:
    label, low, high = draws.choice(NOISE)
    cells = (f"{draws.between(low, high):,}" for _ in company.years)
    return f"| {label} | {' | '.join(cells)} |"


def _listed(items: Sequence[str]) -> str:
    """Join as in "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
