"""Question families over a company's statements, those that every scene shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envs.draws import Draws
from envs.finance.companies import Company

TEXT_TO_STATEMENTS = (3, 4, 5)  # two or three steps: fit for a sentence, a small table, statements
TABLE_TO_STATEMENTS = (4, 5)  # one step, where finding is the task, or more than three


@dataclass(frozen=True, slots=True)
class Ask:
    """A question about a company; `rows` and `years` are the figures it needs.

    `in_scale`: the answer is an amount in the company's scale, and is asked for "in $ millions".
    """

    text: str
    program: str
    unit: str
    rows: tuple[str, ...]
    years: tuple[int, ...]
    in_scale: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """`ask` draws one question, or None where the company does not lend itself to it.

    `levels` says in which presentations it is put: 3 a sentence, 4 a small table, 5 statements.
    """

    name: str
    levels: tuple[int, ...]
    ask: Callable[[Draws, Company], Ask | None]


def two_years(draws: Draws, company: Company) -> tuple[int, int]:
    """Two different years, the earlier one first."""
    later = draws.between(1, len(company.years) - 1)
    return company.years[draws.below(later)], company.years[later]


def one_year(draws: Draws, company: Company) -> int:
    return draws.choice(company.years)


def year_and_before(draws: Draws, company: Company) -> tuple[int, int]:
    """A year and the one before it, the earlier one first."""
    later = draws.between(1, len(company.years) - 1)
    return company.years[later - 1], company.years[later]


def _change(draws: Draws, company: Company) -> Ask:
    key = draws.choice((*company.layout.lines, "operating_cash", "investing_cash"))
    first, last = two_years(draws, company)
    text = f"What was the change in {company.said(key)} from {first} to {last}?"
    program = f"subtract({company.at(key, last)}, {company.at(key, first)})"
    return Ask(text, program, "currency", (key,), (first, last), in_scale=True)


def _total(draws: Draws, company: Company) -> Ask:
    key = draws.choice([line.key for line in (*company.layout.revenue, *company.layout.costs)])
    first, last = two_years(draws, company)
    text = f"What was the total of {company.said(key)} in {first} and {last}?"
    program = f"add({company.at(key, first)}, {company.at(key, last)})"
    return Ask(text, program, "currency", (key,), (first, last), in_scale=True)


def _growth(draws: Draws, company: Company) -> Ask:
    key = draws.choice(company.layout.lines)
    first, last = two_years(draws, company)
    text = f"By what percentage did {company.said(key)} change from {first} to {last}?"
    old, new = company.at(key, first), company.at(key, last)
    program = f"subtract({new}, {old}), divide(#0, {old})"
    return Ask(text, program, "percent", (key,), (first, last))


def _margin(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    income, costs = company.at("total_revenue", year), company.at("total_costs", year)
    text = (
        f"What was the pre-tax margin in {year}: total income less total expenses, as a percentage "
        "of total income?"
    )
    program = f"subtract({income}, {costs}), divide(#0, {income})"
    return Ask(text, program, "percent", ("total_revenue", "total_costs"), (year,))


def _margin_change(draws: Draws, company: Company) -> Ask:
    first, last = two_years(draws, company)
    text = (
        "By how many percentage points did the net margin (net income as a percentage of total "
        f"income) change from {first} to {last}?"
    )
    program = f"{_net_margin(company, last)}, {_net_margin(company, first)}, subtract(#0, #1)"
    return Ask(text, program, "percent", ("net_income", "total_revenue"), (first, last))


def _ratio(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    key = draws.choice(("borrowings", "total_liabilities", "total_assets"))
    text = f"What was the ratio of {company.said(key)} to total equity at the end of {year}?"
    program = f"divide({company.at(key, year)}, {company.at('total_equity', year)})"
    return Ask(text, program, "ratio", (key, "total_equity"), (year,))


def _share(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    revenue = [(line.key, "total_revenue") for line in company.layout.revenue]
    costs = [(line.key, "total_costs") for line in company.layout.costs]
    assets = [(company.layout.asset.key, "total_assets"), ("cash", "total_assets")]
    part, whole = draws.choice([*revenue, *costs, *assets])
    text = f"What percentage of {company.said(whole)} was {company.said(part)} in {year}?"
    program = f"divide({company.at(part, year)}, {company.at(whole, year)})"
    return Ask(text, program, "percent", (part, whole), (year,))


def _average(draws: Draws, company: Company) -> Ask:
    key = draws.choice(company.layout.lines)
    years = company.years[-3:]
    one, two, three = (company.at(key, year) for year in years)
    text = f"What was the average of {company.said(key)} over the years {years[0]} to {years[-1]}?"
    program = f"add({one}, {two}), add(#0, {three}), divide(#1, const_3)"
    return Ask(text, program, "currency", (key,), years, in_scale=True)


def _weighted_average(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    text = (
        f"What was the average yield in {year} on {company.said('part_one')} and "
        f"{company.said('part_two')} together, weighted by their amounts?"
    )
    keys = ("part_one", "rate_one", "part_two", "rate_two")
    one, rate_one, two, rate_two = (company.at(key, year) for key in keys)
    program = (
        f"multiply({one}, {rate_one}), multiply({two}, {rate_two}), add(#0, #1), "
        f"add({one}, {two}), divide(#2, #3)"
    )
    return Ask(text, program, "percent", keys, (year,))


def _earnings_per_share(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    owner, preferred = company.layout.owner, company.said("preferred")
    text = f"What were earnings per {owner} in {year}, in {company.currency}, after {preferred}?"
    keys = ("net_income", "preferred", "shares")
    income, taken, shares = (company.at(key, year) for key in keys)
    program = f"subtract({income}, {taken}), divide(#0, {shares})"
    return Ask(text, program, "currency", keys, (year,))


def _cagr(draws: Draws, company: Company) -> Ask:
    key = draws.choice(company.layout.lines)
    first, last = company.years[0], company.years[-1]
    text = (
        f"What was the compound annual growth rate of {company.said(key)} from {first} to {last}?"
    )
    program = (
        f"divide({company.at(key, last)}, {company.at(key, first)}), "
        f"divide(const_1, const_{last - first}), exp(#0, #1), subtract(#2, const_1)"
    )
    return Ask(text, program, "percent", (key,), (first, last))


def _comparison(draws: Draws, company: Company) -> Ask:
    """Either year may come first, so that yes and no are equally likely."""
    one, other = two_years(draws, company)
    if draws.below(2):
        one, other = other, one
    text = (
        "Was the net margin (net income as a percentage of total income) higher in "
        f"{one} than in {other}?"
    )
    program = f"{_net_margin(company, one)}, {_net_margin(company, other)}, greater(#0, #1)"
    return Ask(text, program, "yes_no", ("net_income", "total_revenue"), (one, other))


def _net_margin(company: Company, year: int) -> str:
    return f"divide({company.at('net_income', year)}, {company.at('total_revenue', year)})"


SHARED_FAMILIES = (
    Family("change", TABLE_TO_STATEMENTS, _change),
    Family("total", TABLE_TO_STATEMENTS, _total),
    Family("ratio", TABLE_TO_STATEMENTS, _ratio),
    Family("share", TABLE_TO_STATEMENTS, _share),
    Family("growth", TEXT_TO_STATEMENTS, _growth),
    Family("margin", TEXT_TO_STATEMENTS, _margin),
    Family("margin_change", TEXT_TO_STATEMENTS, _margin_change),
    Family("average", TEXT_TO_STATEMENTS, _average),
    Family("earnings_per_share", TEXT_TO_STATEMENTS, _earnings_per_share),
    Family("cagr", TEXT_TO_STATEMENTS, _cagr),
    Family("comparison", TEXT_TO_STATEMENTS, _comparison),
    Family("weighted_average", TABLE_TO_STATEMENTS, _weighted_average),
)
