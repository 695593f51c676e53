"""Companies whose statements add up: income, balance sheet, cash flow and key figures.

All amounts are whole numbers in the company's scale, so every identity holds exactly, each year:
lines sum to their totals; assets = liabilities + equity; opening cash + flows = ending cash, which
is next year's opening cash; retained earnings grow by net income less dividends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from envs.draws import Draws

CURRENCIES = ("$", "€", "£", "RMB", "HK$", "CHF")
SCALES = ("thousand", "million")
LAST_YEARS = (2016, 2024)

AMOUNT, PER_SHARE, RATE = (
    "amount",
    "per_share",
    "rate",
)  # whole, hundredths, hundredths of a percent


class Sign(Enum):
    """How a row's positive values are printed."""

    PLAIN = "plain"
    COST = "cost"  # in parentheses where the company writes its costs so
    OUTFLOW = "outflow"  # always in parentheses


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a statement. Costs and outflows are held as positive numbers."""

    key: str
    label: str
    unit: str = AMOUNT
    sign: Sign = Sign.PLAIN


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is drawn: between `low` and `high` thousandths of the company's size."""

    key: str
    label: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Figure:
    """A key figure that is drawn: thousandths of the row `of`, or as it is where `of` is empty."""

    row: Row
    low: int
    high: int
    of: str = ""


INVESTMENTS = Line("investments", "Other investments", 300, 900)
EQUIPMENT = Line("equipment", "Property and equipment", 300, 700)
CASH = Line("cash", "Cash", 150, 500)
CAPEX = Line("capex", "Purchase of property and equipment", 30, 90)
ISSUE = Line("issue", "Proceeds from share issue", 5, 60)
SHARES = Line("shares", "Shares", 60, 500)


@dataclass(frozen=True)
class Layout:
    """The wording and proportions of one scene's companies.

    `suffixes` end their names; `items` are what short questions count (plural nouns); `asset` and
    `liability` are the main ones (loans and deposits of a bank); the asset has two `parts`, each
    with a yield. `owner` is "share" or "unit".
    """

    scene: str
    suffixes: tuple[str, ...]
    items: tuple[str, ...]
    owner: str
    revenue: tuple[Line, ...]
    costs: tuple[Line, ...]
    asset: Line
    liability: Line
    parts: tuple[str, str]
    figures: tuple[Figure, ...] = ()

    @cached_property
    def statements(self) -> Mapping[str, tuple[Row, ...]]:
        """Title to rows, in the order in which they are printed."""
        return {
            "income statement": self._income(),
            "balance sheet": self._balance(),
            "cash flow statement": self._cash_flow(),
            "key figures": self._key_figures(),
        }

    @cached_property
    def rows(self) -> Mapping[str, Row]:
        return {row.key: row for rows in self.statements.values() for row in rows}

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """Keys of the rows that plain questions (change, total, average) choose from."""
        drawn = (*self.revenue, *self.costs, self.asset, self.liability, EQUIPMENT, CASH)
        totals = ("total_revenue", "total_costs", "net_income", "total_assets", "total_equity")
        return (*(line.key for line in drawn), *totals, "tax", "borrowings", "retained_earnings")

    def _income(self) -> tuple[Row, ...]:
        return (
            *(Row(line.key, line.label) for line in self.revenue),
            Row("total_revenue", "Total income"),
            *(Row(line.key, line.label, sign=Sign.COST) for line in self.costs),
            Row("depreciation", "Depreciation", sign=Sign.COST),
            Row("total_costs", "Total expenses", sign=Sign.COST),
            Row("pretax", "Profit before tax"),
            Row("tax", "Income tax", sign=Sign.COST),
            Row("net_income", "Net income"),
        )

    def _balance(self) -> tuple[Row, ...]:
        return (
            *(Row(line.key, line.label) for line in (CASH, self.asset, INVESTMENTS, EQUIPMENT)),
            Row("total_assets", "Total assets"),
            Row(self.liability.key, self.liability.label),
            Row("borrowings", "Borrowings"),
            Row("total_liabilities", "Total liabilities"),
            Row("share_capital", f"{self.owner.capitalize()} capital"),
            Row("retained_earnings", "Retained earnings"),
            Row("total_equity", "Total equity"),
            Row("total_funding", "Total liabilities and equity"),
        )

    def _cash_flow(self) -> tuple[Row, ...]:
        return (
            Row("net_income", "Net income"),
            Row("added_depreciation", "Depreciation"),
            Row("asset_flow", f"Cash from change in {self.asset.label.lower()}"),
            Row("liability_flow", f"Cash from change in {self.liability.label.lower()}"),
            Row("operating_cash", "Net cash from operating activities"),
            Row("capex", CAPEX.label, sign=Sign.OUTFLOW),
            Row("investment_flow", "Net sale of other investments"),
            Row("investing_cash", "Net cash from investing activities"),
            Row("borrowing_flow", "Net new borrowings"),
            Row("issue", f"Proceeds from {self.owner} issue"),
            Row("dividends", f"{self.payment}s paid", sign=Sign.OUTFLOW),
            Row("financing_cash", "Net cash from financing activities"),
            Row("cash_change", "Net change in cash"),
            Row("opening_cash", "Cash at the start of the year"),
            Row("ending_cash", "Cash at the end of the year"),
        )

    def _key_figures(self) -> tuple[Row, ...]:
        owner, (one, other) = self.owner, self.parts
        return (
            Row("shares", f"{owner.capitalize()}s outstanding"),
            Row("price", f"{owner.capitalize()} price at year end", PER_SHARE),
            Row("dividend_per_share", f"{self.payment} per {owner}", PER_SHARE),
            Row("preferred", f"{self.payment}s on preferred {owner}s"),
            Row("part_one", one),
            Row("part_two", other),
            Row("rate_one", f"Yield on {one.lower()}", RATE),
            Row("rate_two", f"Yield on {other.lower()}", RATE),
            *(figure.row for figure in self.figures),
        )

    @property
    def payment(self) -> str:
        return "Dividend" if self.owner == "share" else "Distribution"


@dataclass(frozen=True, slots=True)
class Company:
    """One company over several years. `values[key][i]` belongs to `years[i]`.

    `parentheses`: its income statement shows costs in parentheses, as other negatives always are.
    """

    name: str
    layout: Layout
    currency: str
    scale: str
    years: tuple[int, ...]
    values: Mapping[str, tuple[int, ...]]
    parentheses: bool

    @property
    def money(self) -> str:
        """The unit of its amounts, such as "$ millions"."""
        return f"{self.currency} {self.scale}s"

    def at(self, key: str, year: int) -> str:
        """One value as programs write it: "-5735", "12.30" (per share) or "4.25%"."""
        return plain(self.values[key][year - self.years[0]], self.layout.rows[key].unit)

    def said(self, key: str) -> str:
        """The row's label as it stands inside a sentence."""
        label = self.layout.rows[key].label
        return label[0].lower() + label[1:]


def plain(value: int, unit: str) -> str:
    """A stored value as text without thousands separators."""
    if unit == AMOUNT:
        return str(value)
    return f"{value / 100:.2f}" if unit == PER_SHARE else f"{value / 100:.2f}%"


def draw_company(layout: Layout, name: str, draws: Draws) -> Company:
    """A company of the layout's scene over three or four years."""
    num_years = draws.between(3, 4)
    last_year = draws.between(*LAST_YEARS)
    size = 10 ** draws.between(4, 6)
    base = draws.between(size // 5, size)
    shares = _shares(layout, draws)
    year = _opening(layout, draws, shares, base)
    columns: list[dict[str, int]] = []
    for _ in range(num_years):
        base = base * draws.between(930, 1180) // 1000
        year = _next_year(layout, draws, shares, base, year)
        columns.append(year)
    return Company(
        name=name,
        layout=layout,
        currency=draws.choice(CURRENCIES),
        scale=draws.choice(SCALES),
        years=tuple(range(last_year - num_years + 1, last_year + 1)),
        values={key: tuple(column[key] for column in columns) for key in year},
        parentheses=draws.below(2) == 0,
    )


def _shares(layout: Layout, draws: Draws) -> dict[str, int]:
    """The company's character: its proportions in thousandths and its rates, over all years."""
    own = (*layout.revenue, *layout.costs, layout.asset, layout.liability)
    common = (INVESTMENTS, EQUIPMENT, CASH, CAPEX, ISSUE, SHARES)
    shares = {line.key: draws.between(line.low, line.high) for line in (*own, *common)}
    shares["tax"] = draws.between(150, 300)
    shares["payout"] = draws.between(200, 600)
    shares["preferred"] = draws.between(50, 300)
    shares["depreciation"] = draws.between(80, 150)
    shares["price"] = draws.between(800, 2500)
    shares["part_one"] = draws.between(300, 700)
    shares["rate_one"], shares["rate_two"] = draws.between(150, 520), draws.between(430, 990)
    for figure in layout.figures:
        shares[figure.row.key] = draws.between(figure.low, figure.high)
    return shares


def _opening(layout: Layout, draws: Draws, shares: dict[str, int], base: int) -> dict[str, int]:
    """The balance sheet before the first year; what the assets exceed the liability by is split."""
    lines = (CASH, layout.asset, INVESTMENTS, EQUIPMENT, layout.liability)
    year = {line.key: base * shares[line.key] // 1000 for line in lines}
    total_assets = sum(year[line.key] for line in lines[:-1])
    rest = total_assets - year[layout.liability.key]
    year["borrowings"] = rest * draws.between(100, 300) // 1000
    year["share_capital"] = rest * draws.between(200, 400) // 1000
    year["retained_earnings"] = rest - year["borrowings"] - year["share_capital"]
    year["shares"] = year["share_capital"] * shares["shares"] // 1000
    return year


def _next_year(
    layout: Layout, draws: Draws, shares: dict[str, int], base: int, before: dict[str, int]
) -> dict[str, int]:
    """All rows of one year, from the balance sheet of the year before."""

    def drawn(line: Line, spread: int) -> int:
        return base * shares[line.key] * draws.between(1000 - spread, 1000 + spread) // 10**6

    year = {line.key: drawn(line, 70) for line in (*layout.revenue, *layout.costs)}
    _fill_income(layout, shares, year, before)
    for line in (layout.asset, layout.liability, INVESTMENTS):
        year[line.key] = drawn(line, 20)
    year["capex"], year["issue"] = drawn(CAPEX, 300), drawn(ISSUE, 500)
    _fill_cash_flow(layout, year, before, wanted_cash=drawn(CASH, 200))
    _fill_balance(layout, year, before)
    _fill_figures(layout, draws, shares, year, before)
    return year


def _fill_income(
    layout: Layout, shares: dict[str, int], year: dict[str, int], before: dict[str, int]
) -> None:
    year["depreciation"] = before["equipment"] * shares["depreciation"] // 1000
    year["total_revenue"] = sum(year[line.key] for line in layout.revenue)
    year["total_costs"] = sum(year[line.key] for line in layout.costs) + year["depreciation"]
    year["pretax"] = year["total_revenue"] - year["total_costs"]
    year["tax"] = max(0, year["pretax"]) * shares["tax"] // 1000
    year["net_income"] = year["pretax"] - year["tax"]
    year["dividends"] = max(0, year["net_income"]) * shares["payout"] // 1000
    year["preferred"] = year["dividends"] * shares["preferred"] // 1000


def _fill_cash_flow(
    layout: Layout, year: dict[str, int], before: dict[str, int], wanted_cash: int
) -> None:
    """Borrowings move so that cash ends as wanted, but are never repaid below zero."""
    asset, liability = layout.asset.key, layout.liability.key
    year["added_depreciation"] = year["depreciation"]
    year["asset_flow"] = before[asset] - year[asset]
    year["liability_flow"] = year[liability] - before[liability]
    year["operating_cash"] = (
        year["net_income"] + year["depreciation"] + year["asset_flow"] + year["liability_flow"]
    )
    year["investment_flow"] = before["investments"] - year["investments"]
    year["investing_cash"] = year["investment_flow"] - year["capex"]
    owners = year["issue"] - year["dividends"]
    otherwise = before["cash"] + year["operating_cash"] + year["investing_cash"] + owners
    year["borrowing_flow"] = max(wanted_cash - otherwise, -before["borrowings"])
    year["financing_cash"] = year["borrowing_flow"] + owners
    year["cash_change"] = year["operating_cash"] + year["investing_cash"] + year["financing_cash"]
    year["opening_cash"] = before["cash"]
    year["ending_cash"] = year["cash"] = before["cash"] + year["cash_change"]


def _fill_balance(layout: Layout, year: dict[str, int], before: dict[str, int]) -> None:
    year["equipment"] = before["equipment"] + year["capex"] - year["depreciation"]
    year["total_assets"] = (
        year["cash"] + year[layout.asset.key] + year["investments"] + year["equipment"]
    )
    year["borrowings"] = before["borrowings"] + year["borrowing_flow"]
    year["total_liabilities"] = year[layout.liability.key] + year["borrowings"]
    year["share_capital"] = before["share_capital"] + year["issue"]
    year["retained_earnings"] = before["retained_earnings"] + year["net_income"] - year["dividends"]
    year["total_equity"] = year["share_capital"] + year["retained_earnings"]
    year["total_funding"] = year["total_liabilities"] + year["total_equity"]


def _fill_figures(
    layout: Layout,
    draws: Draws,
    shares: dict[str, int],
    year: dict[str, int],
    before: dict[str, int],
) -> None:
    """Shares outstanding, market data, the two parts of the main asset, and the scene's own."""
    year["shares"] = before["shares"] * year["share_capital"] // before["share_capital"]
    book_value = 100 * year["total_equity"] // year["shares"]
    year["price"] = max(1, book_value * shares["price"] * draws.between(750, 1250) // 10**6)
    year["dividend_per_share"] = 100 * (year["dividends"] - year["preferred"]) // year["shares"]
    part = shares["part_one"] + draws.between(-50, 50)
    year["part_one"] = year[layout.asset.key] * part // 1000
    year["part_two"] = year[layout.asset.key] - year["part_one"]
    for rate in ("rate_one", "rate_two"):
        year[rate] = shares[rate] * draws.between(900, 1100) // 1000
    for figure in layout.figures:
        share = shares[figure.row.key] * draws.between(950, 1050) // 1000
        year[figure.row.key] = year[figure.of] * share // 1000 if figure.of else share
