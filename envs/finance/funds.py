"""Funds: net asset value, fees, drawdown."""

from __future__ import annotations

from itertools import combinations

from envs.draws import Draws
from envs.finance.companies import Company, Layout, Line
from envs.finance.families import TEXT_TO_STATEMENTS, Ask, Family, one_year

LAYOUT = Layout(
    scene="funds",
    suffixes=("Fund", "Growth Fund", "Income Fund", "Equity Fund", "Balanced Fund"),
    items=("Inflows", "Redemptions", "Holdings", "Fund fees"),
    owner="unit",
    revenue=(
        Line("dividend_income", "Dividend income", 300, 500),
        Line("interest_income", "Interest income", 200, 350),
        Line("gains", "Realised gains", 150, 450),
    ),
    costs=(
        Line("management_fees", "Management fees", 120, 260),
        Line("custody_fees", "Custody fees", 20, 60),
        Line("administration", "Administrative expenses", 60, 180),
    ),
    asset=Line("securities", "Securities held", 8000, 14000),
    liability=Line("redemptions", "Redemptions payable", 200, 600),
    parts=("Domestic securities", "Foreign securities"),
)


def _net_asset_value(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    text = (
        f"What was the net asset value (total assets less total liabilities) per unit outstanding "
        f"at the end of {year}, in {company.currency}?"
    )
    keys = ("total_assets", "total_liabilities", "shares")
    assets, liabilities, units = (company.at(key, year) for key in keys)
    program = f"subtract({assets}, {liabilities}), divide(#0, {units})"
    return Ask(text, program, "currency", keys, (year,))


def _fee_ratio(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    text = (
        f"What percentage of total assets at the end of {year} were management fees and custody "
        "fees together?"
    )
    keys = ("management_fees", "custody_fees", "total_assets")
    management, custody, assets = (company.at(key, year) for key in keys)
    program = f"add({management}, {custody}), divide(#0, {assets})"
    return Ask(text, program, "percent", keys, (year,))


def _drawdown(draws: Draws, company: Company) -> Ask | None:
    """The largest fall from a year end to a later one; a price that only rises has none."""
    prices = company.values["price"]
    pairs = combinations(range(len(prices)), 2)
    peak, trough = max(pairs, key=lambda pair: 1 - prices[pair[1]] / prices[pair[0]])
    if prices[trough] >= prices[peak]:
        return None
    years = company.years
    text = (
        f"What was the maximum drawdown of the unit price over the year ends {years[0]} to "
        f"{years[-1]}: the largest fall from one year end to a later one, as a positive percentage "
        "of the earlier price?"
    )
    high, low = (company.at("price", years[position]) for position in (peak, trough))
    program = f"subtract({high}, {low}), divide(#0, {high})"
    return Ask(text, program, "percent", ("price",), years)


FAMILIES = (
    Family("net_asset_value", TEXT_TO_STATEMENTS, _net_asset_value),
    Family("fee_ratio", TEXT_TO_STATEMENTS, _fee_ratio),
    Family("drawdown", TEXT_TO_STATEMENTS, _drawdown),
)
