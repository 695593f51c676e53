"""Figures in every notation, held against a table: what may be claimed and what may not."""

from __future__ import annotations

import time

import pytest

from rewards.claims import check_facts
from rewards.figures import read_figures
from rewards.tables import read_table

TABLE = read_table(
    {
        "columns": ["2021", "2022", "2023"],
        "rows": {
            "Revenue": [100, 120, 150],
            "Net income": [10, -5, 12],
            "Fees": [10, 20, 30],
            "Costs": [40, 20, 10],
            "Loan losses": [3, 6, 2],
        },
        "unit": "million",
    }
)
CHINESE = read_table(
    {
        "columns": ["2022", "2023"],
        "rows": {"营业收入": [120, 150], "净利润": [-8, 12]},
        "unit": "亿元",
    }
)


@pytest.mark.parametrize(
    "text",
    [
        "Revenue was USD 150 million in FY2023.",
        "Revenue was 150m, or 150 million USD, in 2023.",
        "Revenue was 1.5x that of 2021.",
        "Revenue was 150. In the second half, Q3 and the 4th quarter, one customer left.",
        "The third quarter of 2023 was good: revenue was 150.",
        "Revenue was 150. Both halves of the year, a third party says, were good.",
        "(in millions) Revenue was 150.",
        "Revenue was 150, a quarter of growth after two bad ones.",
        "1. Revenue was 150.\n2. Fees were 30.\n3. Costs were 10.",
        "Revenue was 150 [row 1].",
        "At one point revenue was 150.",
        "Fees doubled in 2022.",
        "Fees tripled from 2021 to 2023.",
        "Costs were cut in half in 2022.",
        "Fees in 2022 were twice those of 2021.",
        "Fees were twofold those of 2021.",
        "Fees did not double in 2023.",
        "Fees were a fifth of revenue in 2023.",
        "Revenue was up by a quarter in 2023.",
        "Loan losses doubled in 2022, to 6.",
        "Net income was a loss of 5 million in 2022.",
        "Net income was a loss of 5 in 2022 and 12 in 2023.",
        "Net income turned from a loss of 5 to 12.",
        "Net income recovered from a loss in 2022 to 12 in 2023.",
    ],
)
def test_what_follows_from_the_table(text: str) -> None:
    assert check_facts(text, TABLE).wrong == ""


@pytest.mark.parametrize(
    "text",
    [
        "Revenue was 150 in 2023 after ９９９ in 2022.",
        "Revenue was 150 in 2023 after 九百亿 in 2022.",
        "Revenue was 150, and USD999 million is planned.",
        "Revenue was 150 in 2023 and .999 before.",
        "Revenue was 1.5e9 in 2023.",
        "Revenue was abt999, now 150.",
        "Revenue was 150k9.",
        "Revenue was 𝟗𝟗𝟗.",
        "Revenue was ١٥٠.",
        "Revenue was Ⅻ or 150.",
        "Fees were 30 or ½ of that.",
        "Revenue was 1,50.",
        "Revenue was 150 [and 999 in 2022].",
        "Revenue was\n99. Fees were 30.",
        "Revenue grew five percent.",
        "Fees fell to three.",
        "Fees were a dozen.",
        "Revenue was 150 after hundreds of millions.",
        "Revenue saw double-digit growth to 150.",
        "Revenue was 150 in 2023; it doubled from 2022.",
        "Revenue was 150, a third of it new.",
        "Revenue was 150, up by two thirds.",
        "Revenue halved.",
        "Costs doubled in 2022.",
        "Fees doubled in 2023.",
        "Fees were twice those of 2022.",
        "Fees did not double in 2022.",
        "Fees more than doubled in 2022 and 2023 each, or tenfold.",
        "Revenue grew three times as much to 150.",
        "Net income was a loss of 12 million in 2023.",
        "Net income was negative: 12 million.",
        "Net income: 12 million loss.",
    ],
)
def test_what_does_not(text: str) -> None:
    assert check_facts(text, TABLE).wrong


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Revenue rose 25% in 2023.", True),
        ("Revenue rose 20% in 2023.", False),
        ("Revenue grew 50% in 2023.", False),  # the change of two years
        ("Revenue grew 20% in 2022 and 25% in 2023.", True),
        ("Revenue rose 50% from 2021 to 2023.", True),
        ("Between 2021 and 2023 revenue grew 50%.", True),
        ("Between 2021 and 2023 revenue grew 25%.", False),
        ("By 2023 revenue had grown 50%.", True),
        ("By 2023 revenue had grown 20%.", False),
        ("Since 2021 revenue has grown 50%.", True),
        ("Since 2022 revenue has grown 20%.", False),
        ("Compared with 2022, revenue was 25% higher.", True),
        ("In 2023 revenue was 150, up 25%.", True),
        ("In 2023 revenue was 150, up 20%.", False),
        ("In 2023 revenue was 150, up 50% from 2021.", True),
        ("Revenue in 2022 was 30 lower than in 2023.", True),
        ("Over the three years to 2023 revenue totalled 370.", True),
        ("Revenue totalled 370 in 2023.", False),
    ],
)
def test_changes_are_those_of_their_periods(text: str, right: bool) -> None:
    assert (check_facts(text, TABLE).wrong == "") is right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("2023年营业收入为150亿元，同比增长25%。", True),
        ("营业收入从2022年的120亿元增长到150亿元。", True),
        ("2022年净利润亏损8亿元。", True),
        ("营业收入是2022年的1.25倍，进一步提高。", True),
        ("营业收入为150亿元，千万不要一概而论，负债十分稳定。", True),
        ("单位：百万元。第一，营业收入150亿元。", True),
        ("2023年营业收入为999亿元。", False),
        ("2022年营业收入为150亿元。", False),
        ("2023年净利润亏损12亿元。", False),
        ("2022年营业收入增长25%。", False),
        ("营业收入翻倍，达150亿元。", False),
        ("营业收入减半。", False),
        ("营业收入增长两成，至150亿元。", False),
        ("营业收入150亿元，增长百分之二十。", False),
        ("营业收入150亿元，其中三分之一来自新客户。", False),
        ("营业收入近千亿元。", False),
    ],
)
def test_chinese(text: str, right: bool) -> None:
    assert (check_facts(text, CHINESE).wrong == "") is right


def test_any_sentence_is_read_in_bounded_time() -> None:
    began = time.process_time()
    for piece in ("1,", "(", "one ", "more than half ", "十", "1.", "two thirds ", " ", "nearly "):
        read_figures((piece * 1000)[:1000])
        check_facts(f"Revenue {(piece * 1000)[:900]}", TABLE)
    assert time.process_time() - began < 1.0
