"""Statements that add up, for any company; and text that shows them faithfully."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.draws import Draws
from envs.finance.companies import Company, draw_company, plain
from envs.finance.names import ENDS, MIDDLES, STARTS, long_name, num_long_names
from envs.finance.scenes import LAYOUTS
from envs.finance.tables import full_statements, sentence, small_table

SCENES = st.sampled_from(sorted(LAYOUTS))
SEEDS = st.integers(0, 2**63)


def company_of(scene: str, seed: int) -> Company:
    return draw_company(LAYOUTS[scene], "Test Company", Draws("test", seed))


@given(SCENES, SEEDS)
def test_every_year_adds_up(scene: str, seed: int) -> None:
    company = company_of(scene, seed)
    layout = company.layout
    for index in range(len(company.years)):
        at = {key: values[index] for key, values in company.values.items()}
        assets = (at["cash"], at[layout.asset.key], at["investments"], at["equipment"])
        operating = ("net_income", "depreciation", "asset_flow", "liability_flow")
        assert at["total_revenue"] == sum(at[line.key] for line in layout.revenue)
        assert at["total_costs"] - at["depreciation"] == sum(at[line.key] for line in layout.costs)
        assert at["pretax"] == at["total_revenue"] - at["total_costs"]
        assert at["net_income"] == at["pretax"] - at["tax"]
        assert at["total_assets"] == sum(assets)
        assert at["total_liabilities"] == at[layout.liability.key] + at["borrowings"]
        assert at["total_equity"] == at["share_capital"] + at["retained_earnings"]
        assert at["total_assets"] == at["total_liabilities"] + at["total_equity"]
        assert at["total_assets"] == at["total_funding"]
        assert at["operating_cash"] == sum(at[key] for key in operating)
        assert at["investing_cash"] == at["investment_flow"] - at["capex"]
        assert at["financing_cash"] == at["borrowing_flow"] + at["issue"] - at["dividends"]
        flows = at["operating_cash"] + at["investing_cash"] + at["financing_cash"]
        assert at["cash"] == at["ending_cash"] == at["opening_cash"] + flows
        assert at["cash_change"] == flows
        assert at["part_one"] + at["part_two"] == at[layout.asset.key]
        assert min(assets) > 0
        assert at["borrowings"] >= 0
        assert at["shares"] > 0


@given(SCENES, SEEDS)
def test_each_year_continues_the_one_before(scene: str, seed: int) -> None:
    company = company_of(scene, seed)
    asset, liability = company.layout.asset.key, company.layout.liability.key
    values = company.values
    for now in range(1, len(company.years)):
        then = now - 1

        def change(key: str, now: int = now, then: int = then) -> int:
            return values[key][now] - values[key][then]

        assert values["opening_cash"][now] == values["cash"][then]
        assert change("retained_earnings") == values["net_income"][now] - values["dividends"][now]
        assert change("share_capital") == values["issue"][now]
        assert change("borrowings") == values["borrowing_flow"][now]
        assert change("equipment") == values["capex"][now] - values["depreciation"][now]
        assert change(asset) == -values["asset_flow"][now]
        assert change("investments") == -values["investment_flow"][now]
        assert change(liability) == values["liability_flow"][now]


@given(SCENES, SEEDS)
def test_printed_statements_hold_every_value(scene: str, seed: int) -> None:
    """Read the tables back: parentheses and separators undone, they are the company's values."""
    company = company_of(scene, seed)
    text = full_statements(company, Draws("noise", seed))
    assert text.count(company.money) == len(company.layout.statements)
    for rows, block in zip(company.layout.statements.values(), text.split("\n\n"), strict=True):
        printed = [line.strip("| ").split(" | ") for line in block.splitlines()[2:]]
        values = {cells[0]: cells[1:] for cells in printed}
        for row in rows:
            for cell, value in zip(values[row.label], company.values[row.key], strict=True):
                assert re.sub(r"[(),-]", "", cell) == plain(abs(value), row.unit)
                assert cell.startswith("(") or value >= 0


def test_losses_stand_in_parentheses_and_costs_where_the_company_does_so() -> None:
    companies = [company_of("banking", seed) for seed in range(60)]
    assert {company.parentheses for company in companies} == {True, False}
    for company in companies:
        text = full_statements(company, Draws("noise"))
        assert ("| Operating expenses | (" in text) == company.parentheses
        assert "| Purchase of property and equipment | (" in text
    assert any(min(company.values["net_income"]) < 0 for company in companies)


def test_noise_rows_come_and_go() -> None:
    company = company_of("funds", 1)
    lengths = {full_statements(company, Draws("noise", n)).count("\n") for n in range(40)}
    assert len(lengths) > 4


def test_a_small_table_and_a_sentence_hold_what_is_asked() -> None:
    company = company_of("insurance", 5)
    year = company.years[0]
    table = small_table(company, ("claims", "premiums"), Draws("others"))
    assert "| Claims incurred |" in table
    assert "| Premiums earned |" in table
    assert 4 <= len(table.splitlines()) <= 6
    claims = f"{company.values['claims'][0]:,}"
    assert sentence(company, ("claims",), (year,)) == (
        f"Test Company (in {company.money}): claims incurred {claims} in {year}."
    )


def test_tables_say_what_their_figures_are_in() -> None:
    company = company_of("securities", 2)
    titles = [block.split("\n")[0] for block in full_statements(company, Draws("n")).split("\n\n")]
    assert titles[0] == f"Test Company: income statement (in {company.money})"
    assert titles[3] == (
        f"Test Company: key figures (in {company.money}, shares in {company.scale}s, "
        f"per-share figures in {company.currency})"
    )


def test_coined_words_are_all_different() -> None:
    words = {start + middle + end for start in STARTS for middle in MIDDLES for end in ENDS}
    assert len(words) == len(STARTS) * len(MIDDLES) * len(ENDS)


@pytest.mark.parametrize("scene", sorted(LAYOUTS))
def test_names_suffice_for_ten_million_in_each_split(scene: str) -> None:
    suffixes = LAYOUTS[scene].suffixes
    assert num_long_names(suffixes) >= 20_000_000
    last = num_long_names(suffixes) - 1
    assert len({long_name(n, suffixes) for n in range(0, last, 1009)}) == len(range(0, last, 1009))
    assert long_name(last, suffixes).endswith(suffixes[-1])
