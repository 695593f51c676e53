"""What the default policy accepts and refuses, rule by rule: docs/answers.md as a table."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from rewards.dates import WHOLE_MONTH, Day, read_day
from rewards.numeric import Question, verify

MILLION = Question(unit="million")
PERCENT = Question(unit="percent", answer_type="arithmetic")
ASKS_PERCENT = Question(percent_question=True)
COUNT = Question(unit="", answer_type="count")


class Rule(NamedTuple):
    """A gold, and replies that state it or do not, parted by " | "."""

    name: str
    gold: str | list[str]
    question: Question
    accepted: str
    refused: str


RULES = (
    Rule(
        "amount",
        "61.5",
        MILLION,
        "61.5 | $61.5M | 61.5 million dollars | USD 61.5 million | 61,500 thousand | "
        "61.5mn | 6.15 × 10^7 | 6.15×10⁷ | 6.15e7 | 0.0615bn | 61.5百万 | 6150万 | 0.615亿 | "
        "≈ $61.5 million | roughly 61.5 | 61.5 (rounded)",
        "61.5 billion | 61.5k | 6150% | -61.5 | (61.5) | 6.15 | 615 | 61.5 or 62 | ±61.5 | "
        "60-63 | 61.5 / 2 | > 61.5 | 61.5 (wrong) | about half | 61.5? | 61.5 and 62",
    ),
    Rule(
        "fraction asked as a percentage",
        "0.2173",
        ASKS_PERCENT,
        "21.73% | 0.2173 | 21.7 percent | 21.73 | 21.73\\% | 2,173 bps | 21.73 per cent",
        "217.3% | 2.173% | 0.2173% | -21.73% | 23% | $21.73 | 21.73 years | 21.73 million",
    ),
    Rule(
        "percentage",
        "-8.4",
        PERCENT,
        "-8.4% | (8.4)% | (8.4%) | -0.084 | a decrease of 8.4% | decreased by 8.4% | "
        "8.4% decline | down 8.4% | Revenue fell by 8.4%. | 下降8.4% | 8.4%減 | △8.4% | "
        "マイナス8.4% | minus 8.4 percent | -840 basis points | a contraction of 8.4% | "
        "8.4% slump | 8.4% weaker | 8.4% (lower) | 8.4% (shrinkage)",
        "8.4% | an increase of 8.4% | up 8.4% | -84% | -8.4 million | -$8.4 | 增长8.4% | "
        "did not fall by 8.4% | fell from 8.4% | 8.4%増 | 8.4% stronger | 8.4% (lower bound)",
    ),
    Rule(
        "percentage without a hint",
        "7.2%",
        Question(),
        "7.2% | 0.072 | 720 bps | 7.2个百分点 | 百分之七点二 | 72‰",
        "7.2 | 7.2‰ | 0.72% | 7.2%以上 | 近7.2% | 至少7.2% | 7.2%-8%",
    ),
    Rule(
        "amount in yuan",
        "3.6亿",
        Question(),
        "360000000 | 3.6亿元 | 36000万元 | 三亿六千万 | 3亿6千万 | 三点六亿 | "
        "叁亿陆仟万元整 | RMB 360 million | 约3.6亿元",
        "3.6万 | 3.6 | 3.6亿美元 | $360 million | -3.6亿 | 亏损3.6亿 | 三亿六",
    ),
    Rule(
        "shares",
        "2400股",
        Question(),
        "2,400 | 二千四百股 | 0.24万股 | 2400 shares",
        "2400元 | $2,400 | 24手 | 2400万股 | 二千四股",
    ),
    Rule(
        "yen",
        "52,310百万円",
        Question(),
        "523.1億円 | 523億1,000万円 | ¥52,310 million | 52310000000",
        "52,310 | 52,310百万元 | 52,310千円 | 52,310百万ドル",
    ),
    Rule(
        "grouping",
        "3141592.65",
        Question(),
        "3,141,592.65 | 3 141 592.65 | 3'141'592.65 | 3.141.592,65 | 31,41,592.65 | "
        "\\$3{,}141{,}592.65 | $ 3 , 141 , 592 . 65 | ３,１４１,５９２.６５",
        "3,14,1592.65 | 3,141,592.65.1 | 3_141_592.65 | 314,159 | ٣١٤١٥٩٢",
    ),
    Rule(
        "count",
        "6",
        COUNT,
        "6 | six | Six segments | 6.0 | 六 | There are six.",
        "5 | 6.01 | 6% | six or seven | sixty | six hundred | 6 million | two thirds",
    ),
    Rule(
        "multiple",
        "1.8",
        Question(),
        "1.8x | 1.8 times | 1.8倍 | 180% | 1.8:1 | 9/5 | \\frac{9}{5} | 1.80",
        "18 | 1.8% | 1.8 to 2 | 1.8 or 1.9 | 9/50",
    ),
    Rule(
        "years are exact",
        "2016",
        Question(),
        "2016 | FY2016 | 2016年 | in 2016",
        "2017 | 16",
    ),
    Rule(
        "months are no years",
        "18 months",
        Question(),
        "18 | 18 months",
        "18 years | $18",
    ),
    Rule(
        "zero",
        "0",
        PERCENT,
        "0 | 0% | -0 | zero | 0.00%",
        "0.01% | none | 1e-9",
    ),
    Rule(
        "signs",
        "-7",
        Question(),
        "-7 | −7 | –7 | (7) | -7.0 | 负7",
        "7 | --7 | -(-7) | (7",
    ),
    Rule(
        "range",
        "4% to 6%",
        Question(),
        "4%-6% | 4 to 6% | between 4% and 6% | 4%～6% | 4\\%\\text{ to }6\\%",
        "4% | 6% | 5% | 4 to 6 | 6% to 4% | 4% to 7% | 4% or 6%",
    ),
    Rule(
        "list in any order",
        ["$412.7", "$388.0"],
        MILLION,
        "388.0; 412.7 | $412.7 million and $388 million | [412.7, 388] | 412.7, 388.0 | "
        "The amounts are 412.7 and 388. | 1. 412.7\n2. 388.0",
        "412.7 | 412.7; 388; 800.7 | 412.7 or 388 | 412.7; 412.7 | 800.7 | 388-412.7",
    ),
    Rule(
        "ordered list",
        "1500;-320;高",
        Question(),
        "1500;-320;高 | 1,500；-320；高 | 0.15万; -320; 高",
        "-320;1500;高 | 1500;320;高 | 1500;-320 | 1500;-320;低",
    ),
    Rule(
        "spans",
        ["net sales", "cost of sales"],
        Question(),
        "Net sales; cost of sales | Cost of sales and net sales | "
        "They are net sales, cost of sales",
        "net sales | net sales or cost of sales | Not included: net sales, cost of sales",
    ),
    Rule(
        "yes",
        "yes",
        Question(),
        "Yes. | yes, it did | TRUE | 是 | はい | Yes\nbecause sales rose | Y | **Yes**",
        "no | yes or no | yes/no | Yes|No | yes no | Yes? No. | Yes. No. | yesterday | 1",
    ),
    Rule(
        "no",
        "no",
        Question(),
        "No | No, not yes | false | 不是 | いいえ | \\text{No} | 否。 | No — sales fell",
        "none | No change | not available | know | 是 | no, yes | 是否 | no way",
    ),
    Rule(
        "choice",
        "C",
        Question(),
        "C | (C) | C. | C. 300 | The answer is C | the correct option is C. | 选C | "
        "故选C。 | Option C | Ｃ | c | C is correct | 答案：C。因为A错误 | \\boxed{\\text{C}}",
        "B | B or C | BC | C或D | C++ | Cash | C: D | C. 300 or D. 400 | not C | CCC | C? | "
        "C. up; D. down",
    ),
    Rule(
        "article, not option",
        "A",
        Question(),
        "A | A: 100",
        "A decrease | A 5% rise | A-",
    ),
    Rule(
        "several choices",
        "B;D",
        Question(),
        'BD | D,B | B、D | B和D | B and D | (B)(D) | ["B", "D"] | B. up; D. down | 选BD',
        "B | B or D | ABCD | B-D | B,C,D | BDB",
    ),
    Rule(
        "date",
        "2021年03月09日",
        Question(),
        "2021-03-09 | 2021/3/9 | March 9, 2021 | 9th March 2021 | Mar. 9 2021 | 20210309 | "
        "二〇二一年三月九日 | 令和3年3月9日 | 2021年3月9号 | 答案是2021年3月9日。",
        "2021-03-08 | 3月9日 | 2021年3月 | 03/09/2021 | 2021-09-03 | 2021-3-9 or 2021-3-10",
    ),
    Rule(
        "month",
        "June 2020",
        Question(),
        "Jun 2020 | 2020年6月",
        "2020 | June 2021 | June 1, 2020",
    ),
    Rule(
        "text",
        "straight-line basis",
        Question(),
        "Straight-line basis. | the straight-line basis | \\text{straight-line basis}",
        "straight-line | straight-line basis or not | line basis",
    ),
)
ROWS = [
    pytest.param(rule, reply, accepted, id=f"{rule.name}: {reply}")
    for rule in RULES
    for accepted, replies in ((True, rule.accepted), (False, rule.refused))
    for reply in replies.split(" | ")
]


@pytest.mark.parametrize(("rule", "reply", "accepted"), ROWS)
def test_rule(rule: Rule, reply: str, accepted: bool) -> None:
    assert (verify(rule.gold, reply, rule.question) == "equal") is accepted


@pytest.mark.parametrize(
    ("reply", "accepted"),
    [
        ("<think>1</think><answer>73</answer>", True),
        ("<ANSWER>73</ANSWER>", True),
        ("<think>73</think><answer>72</answer>", False),
        (r"\boxed{72} wait, \boxed{73}", True),
        (r"\boxed{73} wait, \boxed{72}", False),
        (r"\boxed{72} or \boxed{73}", False),
        (r"\boxed{72}, or $\boxed{73}$", False),
        (r"72.5 less half, or $\boxed{73}$", True),
        (r"\boxed{\boxed{73}}", True),
        (r"\boxed{146/2 = 73}", True),
        ("### Answer\n73", True),
        ("**Final answer:** 73", True),
        ('{"final_answer": "73"}', True),
        ("The answer is 72. The rest is 73.", False),
        ("The answer is 73. That is all.", True),
        ("The answer is unclear, perhaps 73", False),
        ("It is unclear whether it is 73", False),
        ("Sales rose in 2019. The change is 73.", True),
        ("70 + 3 = 73", True),
        ("70 + 3 != 73", False),
        ("70 + 3", False),
        ("不是73", False),
        ("最终答案：73", True),
        ("<think>73", False),
        ("73\u200b", True),
        ("7\x003", False),
    ],
)
def test_extraction(reply: str, accepted: bool) -> None:
    assert (verify("73", reply) == "equal") is accepted


@pytest.mark.parametrize(
    ("gold", "reply", "accepted"),
    [
        ("4.20817", "4.21%", True),  # an executed program's value may be in percent units
        ("4.2", "4.2%", False),  # what a person wrote may not
        ("12", "12%", False),
        ("0.042", "4.2%", True),
    ],
)
def test_a_percent_sign_where_nothing_is_known(gold: str, reply: str, accepted: bool) -> None:
    assert (verify(gold, reply) == "equal") is accepted


def test_a_task_may_say_what_its_gold_is() -> None:
    assert verify("A", "a", Question(gold_type="text")) == "equal"
    assert verify("ACE", "E, C, A", Question(gold_type="choice")) == "equal"
    assert verify("20210309", "March 9, 2021", Question(gold_type="date")) == "equal"
    assert verify("True", "yes", Question(gold_type="bool")) == "equal"
    with pytest.raises(DataError, match="'maybe' is empty or no yes_no"):
        verify("maybe", "yes", Question(gold_type="yesno"))
    with pytest.raises(DataError, match="gold_type 'colour' is none of number, "):
        verify("red", "red", Question(gold_type="colour"))


@pytest.mark.parametrize(
    ("gold", "reply", "accepted"),
    [
        ("The 2014 Plan", "2015 plan", False),
        ("One Liberty Plaza", "1", False),
        ("三一重工", "31", False),
        ("一般贷款", "1", False),
        ("in 2019", "in 2018", False),
        ("5 and 10", "5-10", False),
        ("2000 shares", "2,000", True),
        ("three", "3", True),
        ("三十人", "30", True),
    ],
)
def test_golds_that_only_look_like_numbers(gold: str, reply: str, accepted: bool) -> None:
    assert verify(gold, gold) == "equal"
    assert (verify(gold, reply) == "equal") is accepted


def test_the_declared_unit_names_a_currency() -> None:
    dollars = Question(unit="USD million")
    assert verify("61.5", "$61.5 million", dollars) == "equal"
    assert verify("61.5", "€61.5 million", dollars) == "different"


@pytest.mark.parametrize("text", ["2021-13-01", "2021-02-32", "05/06/2021", "May", "1021-01-01"])
def test_what_is_no_date(text: str) -> None:
    assert read_day(text) is None


@pytest.mark.parametrize("reply", ["ınr 5", "5 basıs points", "sıx", "5 mıllion", "\ud800", "5K"])
def test_letters_that_only_match_without_regard_to_case_are_harmless(reply: str) -> None:
    assert verify("6", reply) != "equal"
    assert verify("April 2020", f"aprıl 2020{reply}") != "equal"


def test_dates() -> None:
    assert read_day("25/12/2021") == read_day("12/25/2021") == Day(2021, 12, 25)
    assert read_day("May 2021") == Day(2021, 5, WHOLE_MONTH)


AMOUNTS = st.decimals(min_value=1, max_value=999_999, places=2).map(float)


@settings(max_examples=30)
@given(AMOUNTS, st.sampled_from(["", "-"]))
def test_every_way_to_write_an_amount_is_equal(amount: float, sign: str) -> None:
    gold = f"{sign}{amount}"
    opening, closing = ("(", ")") if sign else ("", "")
    for form in (
        f"{sign}{amount:,.2f}",
        f"{sign}${amount:,.2f}",
        f"${opening}{amount:,.2f}{closing}",
        f"{sign}{amount:.2f} million",
        f"{sign}{amount * 1e6:,.0f}",
        f"{sign}{amount * 1e6:.10e}",
        f"{sign}{amount / 1e3:.8f} billion",
        f"{sign}{amount * 100:.4f}万",
    ):
        assert verify(gold, f"\\boxed{{{form}}}", MILLION) == "equal", form


@settings(max_examples=30)
@given(AMOUNTS, st.sampled_from([1.03, 0.97, -1.0, 10.0, 0.1, 100.0, 0.01, 1e3]))
def test_a_wrong_amount_is_never_equal(amount: float, factor: float) -> None:
    wrong = amount * factor
    for form in (
        f"{wrong:.8f}",
        f"${wrong:,.8f} million",
        f"{wrong * 1e6:.10e}",
        f"{wrong:.9f}百万",
    ):
        assert verify(str(amount), f"\\boxed{{{form}}}", MILLION) != "equal", form


NOISE = "0189.,%$()-+=/:;°eExX百千万亿点三九是或和ABan"


@settings(max_examples=60)
@given(st.text(alphabet=NOISE + " \n", max_size=40))
def test_random_text_has_a_verdict_and_does_not_spray(reply: str) -> None:
    golds = [str(number) for number in (1.0, 8.9, 18.0, 910.0, 89000.0, 1e6)]
    accepted = [gold for gold in golds if verify(gold, reply) == "equal"]
    assert len(accepted) <= 1, "one reply, one number"
