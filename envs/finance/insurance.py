"""Insurance: loss ratio and combined ratio."""

from __future__ import annotations

from envs.draws import Draws
from envs.finance.companies import Company, Layout, Line
from envs.finance.families import TEXT_TO_STATEMENTS, Ask, Family, one_year

LAYOUT = Layout(
    scene="insurance",
    suffixes=("Insurance", "Assurance", "Mutual", "Re", "Insurance Group"),
    items=("Premiums", "Claims", "Policies", "Reserves"),
    owner="share",
    revenue=(
        Line("premiums", "Premiums earned", 750, 900),
        Line("investment_income", "Investment income", 80, 200),
    ),
    costs=(
        Line("claims", "Claims incurred", 380, 560),
        Line("claims_handling", "Claims handling expenses", 40, 110),
        Line("underwriting", "Underwriting expenses", 160, 290),
    ),
    asset=Line("portfolio", "Bond portfolio", 2500, 4500),
    liability=Line("policy_liabilities", "Policy liabilities", 1200, 2000),
    parts=("Government bonds", "Corporate bonds"),
)


def _loss_ratio(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    text = (
        f"What was the loss ratio in {year}: claims incurred and claims handling expenses as a "
        "percentage of premiums earned?"
    )
    keys = ("claims", "claims_handling", "premiums")
    claims, handling, premiums = (company.at(key, year) for key in keys)
    program = f"add({claims}, {handling}), divide(#0, {premiums})"
    return Ask(text, program, "percent", keys, (year,))


def _combined_ratio(draws: Draws, company: Company) -> Ask:
    year = one_year(draws, company)
    text = (
        f"What was the combined ratio in {year}: claims incurred, claims handling expenses and "
        "underwriting expenses as a percentage of premiums earned?"
    )
    keys = ("claims", "claims_handling", "underwriting", "premiums")
    claims, handling, underwriting, premiums = (company.at(key, year) for key in keys)
    program = f"add({claims}, {handling}), add(#0, {underwriting}), divide(#1, {premiums})"
    return Ask(text, program, "percent", keys, (year,))


FAMILIES = (
    Family("loss_ratio", TEXT_TO_STATEMENTS, _loss_ratio),
    Family("combined_ratio", TEXT_TO_STATEMENTS, _combined_ratio),
)
