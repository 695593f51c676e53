"""Trusts: distributions, fees, and how long debt takes to repay."""

from __future__ import annotations

from envs.draws import Draws
from envs.finance.companies import RATE, Company, Figure, Layout, Line, Row
from envs.finance.families import TEXT_TO_STATEMENTS, Ask, Family, one_year, year_and_before

LAYOUT = Layout(
    scene="trusts",
    suffixes=("Trust", "Property Trust", "Income Trust", "Real Estate Trust", "Trust Company"),
    items=("Distributions", "Rents", "Trust fees", "Bequests"),
    owner="unit",
    revenue=(
        Line("rents", "Rental income", 650, 850),
        Line("interest_income", "Interest income", 100, 250),
    ),
    costs=(
        Line("property_expenses", "Property expenses", 180, 330),
        Line("trustee_fees", "Trustee fees", 40, 90),
        Line("finance_costs", "Finance costs", 80, 180),
    ),
    asset=Line("properties", "Investment properties", 5000, 9000),
    liability=Line("tenant_deposits", "Tenant deposits", 300, 700),
    parts=("Office buildings", "Retail buildings"),
    figures=(Figure(Row("trustee_rate", "Trustee fee rate", RATE), 30, 110),),
)


def _distribution(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    text = (
        f"What was distributable income (net income plus depreciation) per unit in {year}, in "
        f"{company.currency}?"
    )
    keys = ("net_income", "depreciation", "shares")
    income, depreciation, units = (company.at(key, year) for key in keys)
    program = f"add({income}, {depreciation}), divide(#0, {units})"
    return Ask(text, program, "currency", keys, (year,))


def _trustee_fee(draws: Draws, company: Company) -> Ask:
    first, last = year_and_before(draws, company)
    text = (
        f"What does the trustee fee rate of {last} come to on average total assets (the mean of "
        f"the ends of {first} and {last})?"
    )
    program = (
        f"add({company.at('total_assets', first)}, {company.at('total_assets', last)}), "
        f"divide(#0, const_2), multiply(#1, {company.at('trustee_rate', last)})"
    )
    keys = ("total_assets", "trustee_rate")
    return Ask(text, program, "currency", keys, (first, last), in_scale=True)


def _repayment(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    text = (
        f"How many years would it take to repay the borrowings of the end of {year} out of net "
        f"income plus depreciation of {year}?"
    )
    keys = ("net_income", "depreciation", "borrowings")
    income, depreciation, borrowings = (company.at(key, year) for key in keys)
    program = f"add({income}, {depreciation}), divide({borrowings}, #0)"
    return Ask(text, program, "years", keys, (year,))


FAMILIES = (
    Family("distribution", TEXT_TO_STATEMENTS, _distribution),
    Family("trustee_fee", TEXT_TO_STATEMENTS, _trustee_fee),
    Family("repayment", TEXT_TO_STATEMENTS, _repayment),
)
