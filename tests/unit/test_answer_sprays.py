"""Replies that say more than one thing, or not quite the thing, rule by rule; and right ones
beside them."""

from __future__ import annotations

import pytest

from configs.errors import DataError
from envs.types import Task
from rewards.choices import read_choices
from rewards.declared import parse_unit
from rewards.numbers import Quantity
from rewards.numeric import NumericVerifier, Question, verify
from rewards.officials import score_choice, score_gsm8k
from tests.unit.answer_rows import MILLION, UNKNOWN, YES_NO, Row

PERCENT = Question(unit="percent", answer_type="arithmetic")


LOSSES = (
    "net loss of 57 | Net loss: 57 | The net loss was 57 | "
    "The company's net loss was 57 million. | "
    "In 2019, the net loss was 57. | deficit of 57 | 57 deficit | 57 outflow | "
    "net outflow: 57 | "
    "57 write-down | 57 (loss) | 57 (fell) | 57 (minus) | 57 (a decrease) | "
    "57 (net cash outflow) | "
    "亏损57 | 亏损为57 | 公司净亏损为57 | 亏损额：57百万 | 57（亏损） | 57(净流出) | "
    "赤字は57 | "
    r"\boxed{\text{Net loss} = 57} | <answer>Net loss = 57</answer> | decrease: 57 | "
    "declined by 57 | 57 losses | The decrease in sales is 57"
)

ABUSES = (
    Row(
        "57",
        MILLION,
        "57 (4,257 - 4,200) | 57 (= 4257 − 4200) | 57 (19 × 3) | 57 (2019) | 57 (FY2019) | "
        "57 (2019 vs 2018) | 57 (Q3 2019) | 57 (as of December 31, 2019) | 57 (57.1) | "
        "57 million (57,000,000) | 57 (rounded to 2 decimals) | "
        "57 (rounded to the nearest million) | 57 (12 months ended June 30, 2019) | "
        "57 million (4,257 million - 4,200 million)",
        "57 (56-58) | 57 (56, 58) | 57 (vs 56) | 57 (±1) | 57 (i.e. 56) | 57 (alt: 56) | "
        "57 (in 2018: 56) | 57 (2018: 56, 2019: 57) | 57 (fifty-six) | 57 (五十六) | "
        "57 (error 2) | "
        "57 (x2) | 57 (4,257 - 4,201.9) | 57 (1 of 2) | 57（约56） | 57 (5%) | "
        "57 (squared) | "
        r"57 (and up) | 57 (-57) | \boxed{57 (56-58)} | 57 (1e2) | 57 (half of 114)",
        name="a remark with another number",
    ),
    Row("2019", UNKNOWN, "2019", "2019 (2018) | 2019 (FY2018)", name="a remark with another year"),
    Row(
        "57",
        MILLION,
        "57 mn | 57 Mio. EUR | 57 MUSD | 57 USDm | 0.057 Mrd | 57 (M) | 57 (amounts in millions) | "
        "57 (单位:百万) | In millions: 57 | Revenue (in millions) was 57. | 金额（百万元）：57",
        "57 Mrd | 57 bil | 57 lacs | 57 quadrillion | 57 zillion | 57 mlrd | 57 grand | 57 dozen | "
        "57 nano | 57垓 | 57 (USDk) | "
        "57 kEUR | 57 TEUR | 57 USDbn | 57 juta | 57十万 | 57千万 | 57兆 | 57 '000 | 57 x 1000 | "
        "57 (x1000) | 57 (in 000s) | 57 ($000) | 57 (amounts in thousands) | 57 in thousands | "
        "57 (figures in billions) | 57 ($ in billions) | 57（单位：千元） | 57 (k) | "
        "thousands: 57 | "
        "In billions: 57 | Revenue ($bn): 57 | "
        r"\boxed{\text{Revenue (in billions)} = 57} | "
        "金额（千元）：57 | The answer in thousands is 57",
        name="another scale",
    ),
    Row(
        "57",
        MILLION,
        r"\boxed{x = 57} | \boxed{4257 - 4200 = 57} | \boxed{\frac{114}{2} = 57} | "
        r"\boxed{\text{Change} = 4,257 - 4,200 = 57} | \boxed{x_1 = 57} | "
        "<answer>Change in 2019 = 57</answer> | Sales 4257, cost 4200, profit = 57",
        r"\boxed{x=56, y=57} | \boxed{56 = 57} | \boxed{56\approx57} | \boxed{2x = 57} | "
        r"\boxed{4257 - 4190 = 57} | \boxed{low: 50, high = 57} | \boxed{\text{not } = 57} | "
        r"<answer>low = 50, high = 57</answer> | low = 50, high = 57 | 56 = 57 | "
        r"\boxed{56}\text{ or }\boxed{57} | 56，57 | 56 , 57",
        name="equations",
    ),
    Row(
        "1.36",
        PERCENT,
        r"\boxed{\frac{4257-4200}{4200} \times 100 = 1.36\%} | \boxed{(4257-4200)/4200 = 1.36\%}",
        r"\boxed{\frac{4257-4100}{4200} \times 100 = 1.36\%}",
        name="equations with a percentage",
    ),
    Row("-57", MILLION, LOSSES, "57 (gain) | gain of 57 | 盈利57", name="losses"),
    Row(
        "57",
        MILLION,
        "gain of 57 | inflow of 57 | The tax loss carryforward was 57 | 盈利57 | "
        "The provision for loan losses is 57 | The change in net loss was 57",
        LOSSES + " | 57 (sign: -) | 57 (−) | 57 (opposite sign) | 57 (revenue decreased)",
        name="no losses",
    ),
    Row(
        "57",
        MILLION,
        "This is not 56, so the answer is 57 | 不是56，答案是57 | "
        "It was wrong before. The answer is 57",
        "Not the answer: 57 | It is false that the answer is 57 | I doubt the answer is 57 | "
        "The answer is 57 too high | The answer is 57. Wrong! | The answer is 57 off | "
        "并非答案：57 | 答案可能是57 | 答案是57吗 | 57 ish | 57. Just kidding. | "
        "~~57~~ | It is not: 57 | Nicht die Antwort: 57 | 57 at best | 57 (X) | "
        "57 (to be confirmed)",
        name="denied or taken back",
    ),
    Row(
        "$6.20",
        UNKNOWN,
        "6.20 | 6.20 USD | $6.20 per share | 6.20 (rounded)",
        "6.20 PLN | 6.20 MXN | 6.20 bitcoin | 6.20 rand | 6.20 won | 6.20 apples | 6.20兹罗提 | "
        "6.20 (paid in yen) | Price in euros: 6.20",
        name="another currency",
    ),
    Row(
        "5%", UNKNOWN, "5% | 5 percentage points", "5% bps | 5 %‰ | 5 %%", name="two percent signs"
    ),
    Row(
        "3.5兆円",
        UNKNOWN,
        "三兆五千億円 | 3兆5000億円 | 35000億円",
        "3兆円 | 三兆円 | 3.5億円",
        name="trillions",
    ),
    Row("10京円", UNKNOWN, "10京円 | 十京円 | 10万兆円", "10円 | 10兆円", name="ten quadrillions"),
    Row(
        "15%",
        UNKNOWN,
        "1.5割 | 1割5分 | 一割五分 | 一成五",
        "1.5 | 割5分 | 1割6分 | 1割",
        name="tenths",
    ),
    Row(
        "12345000",
        UNKNOWN,
        "千二百三十四万五千 | 1234万5000 | 一千二百三十四万五千圆整 | 壹仟贰佰叁拾肆万伍仟圆整",
        "千二百万 | 1234万5 | 十百千万",
        name="numerals",
    ),
    Row(
        "62元",
        UNKNOWN,
        "六十二元 | 62元0角5分",
        "六十二元五角 | 63元5角 | 62元55角",
        name="yuan and its tenths",
    ),
    Row(
        "4% to 6%",
        UNKNOWN,
        "4% to 6% | 4-6% | 400 bps to 600 bps",
        "4 bps to 6% | 4 million to 6% | $4 to 6% | 4% to 6 bps",
        name="scale of the low end",
    ),
    Row(
        "$0.5 million to $2 million",
        UNKNOWN,
        "0.5-2 million | $500 thousand to $2 million",
        "0.5 billion to 2 million | €0.5 million to €2 million",
        name="amounts of a range",
    ),
    Row("> 10 stores", UNKNOWN, ">10 stores", "< 10 stores | 10 stores", name="comparison"),
    Row("≥ 50", UNKNOWN, ">= 50", "≤ 50 | <= 50 | > 50 | 50", name="comparison spelled"),
    Row("±5%", UNKNOWN, "±5% | +/-5%", "5% | +5%", name="either side"),
    Row(
        "Class A shares",
        UNKNOWN,
        "class a shares | the Class A shares",
        "Class shares | Class B shares",
        name="a name of one letter",
    ),
    Row("Class", UNKNOWN, "a class | The class", "Class A", name="no name of one letter"),
    Row(
        "yes",
        YES_NO,
        "Yes, because revenue did not fall below cost | Yes, that is correct | Yes, it was | "
        "是的，净利润上升 | Yes, 5 × 3 = 15",
        "Yes, nope | Yes, hmm no | Yes, however no | Yes, definitely not | Yes, it depends | √× | "
        "是的，但是错误 | 是，其实不是 | はい、違います | Yes, it is not | Yes, that is false | "
        "Yes ❌ | Yes, the statement is not correct | Yes, partly | Yes, not really | "
        "Yes, by no means | Yes, that isn't right | yes. n | はい、ちがいます | 是的,错了",
        name="yes and its contrary",
    ),
    Row(
        "no",
        YES_NO,
        "No, that is not true | No. The statement is incorrect | 否，该说法不正确 | No, never",
        "No, it did | No, that is true | 不是，是的 | いいえ、はい | No, correct",
        name="no and its contrary",
    ),
    Row(
        "C",
        UNKNOWN,
        "$C$ | The answer is $C$. | \\(C\\) | C. Class B shares | C. A decrease in cash | "
        "答案：C。因为A、B错误 | "
        "The answer is C because rates fell | C, because A is wrong",
        "C。D。 | C. B is correct | C: wrong | C有误 | (C)? | The answer is C. D is also right | "
        "Not the answer: C | C.D | C...D | C错误 | C. Wrong | "
        "答案：C。D也对 | C because D is right too | C because A and D are | "
        "C吗 | Cではない | Cかな",
        name="another option",
    ),
    Row("B", UNKNOWN, "B. False | B. 错误", "B: false | B错误", name="false as an option"),
    Row(
        "A;B;D",
        UNKNOWN,
        "A, B, and D | $A, B, D$",
        "A, B, or D | A, B, and C",
        name="options with and",
    ),
    Row(
        "June 30, 2021",
        UNKNOWN,
        "As of June 30, 2021 | as at 30 June 2021 | 截至2021年6月30日",
        "before June 30, 2021 | by June 30, 2021 | since June 30, 2021",
        name="a date with its preposition",
    ),
    Row("1900股", UNKNOWN, "1900 ordinary shares | 1900股普通股", "1900 stores", name="shares"),
    Row("22 months", UNKNOWN, "twenty-two months | 22 mths", "22 apples | $22", name="months"),
)


@pytest.mark.parametrize("abuse", ABUSES, ids=[abuse.name for abuse in ABUSES])
def test_abuse(abuse: Row) -> None:
    equal = {
        reply: verify(abuse.gold, reply, abuse.question) == "equal"
        for reply in f"{abuse.accepted} | {abuse.refused}".split(" | ")
    }
    assert [r for r in abuse.accepted.split(" | ") if not equal[r]] == [], "should be accepted"
    assert [r for r in abuse.refused.split(" | ") if equal[r]] == [], "should be refused"


@pytest.mark.parametrize(
    ("unit", "scale", "counted"),
    [
        ("in millions", 1e6, ""),
        ("in thousands, except per share data", 1e3, ""),
        ("US$ in thousands", 1e3, "USD"),
        ("$000", 1e3, "$"),
        ("HKD '000", 1e3, "HKD"),
        ("RMB'000", 1e3, "CNY"),
        ("€m", 1e6, "EUR"),
        ("单位:万元", 1e4, "CNY"),
        ("index (2010=100)", 1.0, ""),
        ("°C", 1.0, ""),
    ],
)
def test_declared_unit(unit: str, scale: float, counted: str) -> None:
    assert parse_unit(unit) == Quantity(1.0, scale, unit=counted)


def test_a_declared_scale_that_is_not_understood_is_an_error() -> None:
    task = Task("t/1", "test", (), "57", {}, {"unit": "zillions"})
    with pytest.raises(DataError, match=r"^task t/1: the unit 'zillions' is not understood"):
        NumericVerifier().check_gold(task)


def test_official_scorers_are_not_sprayed_and_read_whole_solutions() -> None:
    chosen = Task("t/1", "test", (), "C")
    assert (
        score_choice(chosen, "C。D。") == score_choice(chosen, "C. B is correct") == {"answer": 0.0}
    )
    solved = Task("t/2", "test", (), "She makes 9 * 2 = 18 a day.\n#### 1,800")
    assert score_gsm8k(solved, "#### 1800") == {"answer": 1.0}
    assert score_gsm8k(solved, "#### 18") == {"answer": 0.0}
    assert read_choices("C") == {"C"}
