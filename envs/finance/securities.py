"""Securities: return, price to earnings, weighted cost of capital."""

from __future__ import annotations

from envs.draws import Draws
from envs.finance.companies import RATE, Company, Figure, Layout, Line, Row
from envs.finance.families import (
    TABLE_TO_STATEMENTS,
    TEXT_TO_STATEMENTS,
    Ask,
    Family,
    one_year,
    year_and_before,
)

LAYOUT = Layout(
    scene="securities",
    suffixes=("Securities", "Brokers", "Capital Markets", "Markets", "Exchange Group"),
    items=("Trades", "Dividends", "Commissions", "Bonds"),
    owner="share",
    revenue=(
        Line("commissions", "Commission income", 350, 600),
        Line("underwriting", "Underwriting fees", 150, 350),
        Line("trading", "Trading income", 100, 300),
    ),
    costs=(
        Line("staff_costs", "Staff costs", 300, 480),
        Line("interest_expense", "Interest expense", 40, 120),
        Line("other_expenses", "Other operating expenses", 150, 300),
    ),
    asset=Line("client_loans", "Client loans", 1500, 3000),
    liability=Line("client_payables", "Payables to clients", 800, 1400),
    parts=("Margin loans", "Securities lending"),
    figures=(
        Figure(Row("cost_of_equity", "Cost of equity", RATE), 750, 1400),
        Figure(Row("cost_of_debt", "Cost of debt after tax", RATE), 180, 600),
    ),
)


def _total_return(draws: Draws, company: Company) -> Ask:
    first, last = year_and_before(draws, company)
    text = (
        f"What was the total return in percent on a share bought at the end of {first} and sold at "
        f"the end of {last}, with the dividend of {last}?"
    )
    old, new = company.at("price", first), company.at("price", last)
    dividend = company.at("dividend_per_share", last)
    program = f"subtract({new}, {old}), add(#0, {dividend}), divide(#1, {old})"
    return Ask(text, program, "percent", ("price", "dividend_per_share"), (first, last))


def _price_earnings(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    text = (
        f"What was the price-earnings ratio at the end of {year}: share price over net income per "
        "share?"
    )
    keys = ("net_income", "shares", "price")
    income, shares, price = (company.at(key, year) for key in keys)
    program = f"divide({income}, {shares}), divide({price}, #0)"
    return Ask(text, program, "ratio", keys, (year,))


def _weighted_cost(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    text = (
        f"What was the weighted average cost of capital in {year}, with total equity and "
        "borrowings at book value as weights?"
    )
    keys = ("total_equity", "cost_of_equity", "borrowings", "cost_of_debt")
    equity, cost_of_equity, debt, cost_of_debt = (company.at(key, year) for key in keys)
    program = (
        f"multiply({equity}, {cost_of_equity}), multiply({debt}, {cost_of_debt}), add(#0, #1), "
        f"add({equity}, {debt}), divide(#2, #3)"
    )
    return Ask(text, program, "percent", keys, (year,))


FAMILIES = (
    Family("total_return", TEXT_TO_STATEMENTS, _total_return),
    Family("price_earnings", TEXT_TO_STATEMENTS, _price_earnings),
    Family("weighted_cost", TABLE_TO_STATEMENTS, _weighted_cost),
)
