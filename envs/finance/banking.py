"""Banking: interest and the net interest margin."""

from __future__ import annotations

from envs.draws import Draws
from envs.finance.companies import Company, Figure, Layout, Line, Row
from envs.finance.families import TEXT_TO_STATEMENTS, Ask, Family, one_year

LAYOUT = Layout(
    scene="banking",
    suffixes=("Bank", "Bancorp", "Savings Bank", "Banking Group", "Credit Bank"),
    items=("Deposits", "Loans", "Mortgages", "Card fees"),
    owner="share",
    revenue=(
        Line("interest_income", "Interest income", 700, 900),
        Line("fee_income", "Fee income", 120, 300),
    ),
    costs=(
        Line("interest_expense", "Interest expense", 180, 400),
        Line("provisions", "Provision for loan losses", 20, 120),
        Line("operating_expenses", "Operating expenses", 200, 400),
    ),
    asset=Line("loans", "Loans to customers", 9000, 16000),
    liability=Line("deposits", "Customer deposits", 6000, 8500),
    parts=("Mortgage loans", "Corporate loans"),
    figures=(Figure(Row("earning_assets", "Average earning assets"), 850, 980, of="total_assets"),),
)


def _interest(draws: Draws, company: Company) -> Ask:
    key = draws.choice(("borrowings", "deposits"))
    year = one_year(draws, company)
    rate = f"{draws.between(1, 7)}.{draws.between(10, 99)}%"
    months = draws.between(2, 11)
    text = (
        f"At {rate} a year, how much interest falls due over {months} months on "
        f"{company.said(key)} as they stood at the end of {year}?"
    )
    program = (
        f"multiply({company.at(key, year)}, {rate}), multiply(#0, {months}), divide(#1, const_12)"
    )
    return Ask(text, program, "currency", (key,), (year,), in_scale=True)


def _net_interest_margin(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    text = (
        f"What was the net interest margin in {year}: interest income less interest expense, as a "
        "percentage of average earning assets?"
    )
    keys = ("interest_income", "interest_expense", "earning_assets")
    income, expense, assets = (company.at(key, year) for key in keys)
    program = f"subtract({income}, {expense}), divide(#0, {assets})"
    return Ask(text, program, "percent", keys, (year,))


FAMILIES = (
    Family("interest", TEXT_TO_STATEMENTS, _interest),
    Family("net_interest_margin", TEXT_TO_STATEMENTS, _net_interest_margin),
)
