"""Replies made to fool the answer verifier, and unusual right ones: golds with their replies."""

from __future__ import annotations

import pytest

from tests.unit.answer_rows import MILLION, UNKNOWN, YES_NO, Row, replies_of

TRICKS = (
    Row(
        "83",
        MILLION,
        "83 (in millions) | 83 (2019) | 83 million (USD) | 83 (83 million)",
        "83 (166) | 83 (but 84) | 83 (could be 84) | 83 (guess) | 83 (at least) | 83 (84?) | "
        "83 (in thousands) | 83 (billion) | 83 (%) | 83 million (thousands)",
        name="remark that takes back",
    ),
    Row(
        "-83",
        MILLION,
        "a loss of 83 | a $83 million decrease | net loss of $83 million | 83 million loss | "
        "83 (loss) | 83 (a decrease) | 亏损83百万 | 净亏损8300万 | 8300万亏损 | "
        "跌83 | 负的83 | 83(亏损) | 赤字83",
        "83 (gain) | 83 (负债) | a gain of 83 | 盈利83",
        name="sign in words",
    ),
    Row(
        "83",
        MILLION,
        "83 (负债) | 83 (5,913 - 5,830)",
        "83 (loss) | 83 (negative) | 83 in losses | 83 shortfall | 亏损83 | 83の赤字",
        name="no sign",
    ),
    Row(
        "83000",
        UNKNOWN,
        r"\boxed{83\,000} | \boxed{83~\text{thousand}} | \boxed{83{,}000} | \boxed {83000} | "
        r"\boxed{{83000}} | The net change is **83** thousand.",
        r"\boxed{8\,3000} | \boxed{8~3000} | \boxed{830\quad 00} | \boxed{83000} \boxed {82000}",
        name="spaces of LaTeX",
    ),
    Row(
        "83",
        UNKNOWN,
        "83x | 83 times | => 83 | 8.3e1",
        "83j | 83L | 83e | 83null | 83NaN | 83 unlikely | 83 squared | 83 hundredths | 83 max | "
        r"x =/= 83 | \boxed{x \not= 83} | The answer is not = 83 | 2:83 | A wrong answer is 83 | "
        "**8**3 | 8**3",
        name="what a number is not",
    ),
    Row("0", UNKNOWN, "0.00 | 0e5 | -0", "1e-400 | 0.000001", name="no zero"),
    Row(
        "83",
        MILLION,
        "<answer>The answer is 83</answer> | <answer>答案：83</answer>",
        "<answer>The answer is not 83</answer> | <answer>The answer is 82 or 83</answer>",
        name="restated in a tag",
    ),
    Row(
        "$8.40",
        UNKNOWN,
        "8.40 | US $8.40 | $8.40 per share",
        "840% | 8.40 cents | 8.40 pesos | 8.40卢布 | 8.4x | 8.4倍 | 8.40 (EUR)",
        name="dollars",
    ),
    Row(
        "62.5元",
        UNKNOWN,
        "每股62.5元 | 62.5（元） | 共62.5元 | 等于62.5元",
        "62.5（万元） | 62.5卢比 | 62.5新台币 | 62.5韩元 | 62.5分 | 62.5角 | "
        "62.5吨 | 62.5倍 | 62.5余元",
        name="yuan",
    ),
    Row(
        "1607000000",
        UNKNOWN,
        "16亿7百万 | 1.607十亿",
        "16亿7千百万 | 7百万16亿",
        name="thousands and hundreds of myriads",
    ),
    Row(
        "12300000",
        UNKNOWN,
        "1千2百3十万 | 1千万2百万3十万",
        "1千23万 | 3十2百1千万",
        name="hundreds of myriads",
    ),
    Row(
        "-45.5%",
        UNKNOWN,
        "45.5%減少した | 45.5%の減 | 45.5%下落 | 前年比45.5%減 | 前期比▲45.5%",
        "-45.5%ではない | 45.5%減ではない | 45.5%増",
        name="Japanese",
    ),
    Row(
        ["$61.3", "$95.0"],
        MILLION,
        r"\boxed{\$61.3 \text{ and } \$95.0} | (61.3, 95.0) | {95.0, 61.3} | "
        "61.3 and 95.0, respectively",
        "(61.3), (95.0) | (61.3) | 61.3 or 95.0, respectively",
        name="list",
    ),
    Row(
        "2023年6月20日",
        UNKNOWN,
        r"\boxed{\text{2023-06-20}} | 20-Jun-2023 | 2023–06–20 | The date is June 20, 2023.",
        "The date is not June 20, 2023. | The date is June 20 or 21, 2023.",
        name="date",
    ),
    Row(["30 to 90"], UNKNOWN, "The range is 30 to 90 days.", "It is not 30 to 90.", name="range"),
    Row(
        "yes",
        YES_NO,
        r"Yes because 5 > 4 | (yes) | $\text{Yes}$ | <answer>The answer is yes</answer>",
        "Yes, actually no | Yes, or maybe not | 是，但不确定 | Yes (no)",
        name="yes",
    ),
    Row(
        "B",
        UNKNOWN,
        "答案选B | 本题选B | 【B】 | B海外投资",
        "B以外 | 答案选B或C | B除外",
        name="option",
    ),
    Row("net income", UNKNOWN, "Net income!", "net income?", name="text"),
)


@pytest.mark.parametrize(("row", "reply", "accepted"), replies_of(TRICKS))
def test_trick(row: Row, reply: str, accepted: bool) -> None:
    row.check(reply, accepted)
