"""Numbers in plain sentences, other ways to write them, and what only looks like an answer."""

from __future__ import annotations

import pytest

from rewards.numeric import Question
from tests.unit.answer_rows import MILLION, UNKNOWN, YES_NO, Row, replies_of

NOUGHTS = "94." + "0" * 50

PROSE = (
    Row(
        "94",
        MILLION,
        "There was a change of $94 million. | Net revenue changed by $94 million. | "
        "In 2016, net revenue changed by $94 million. | "
        "Net revenue rose from 5,735 to 5,829, a change of 94. | "
        "The company earned $94 million in 2016. | The total amounted to $94 million.",
        "Net revenue fell from 5,829 to 5,735, a change of 94 | changed from 94 | "
        "Net revenue decreased, a difference of 94 | a decrease of 94 | "
        "Revenue changed by 94 or 95 | The company would have earned $94 million | "
        "The company earned 93 of the 94 | "
        "The company expected to have $94 million | The company reported 94 less | "
        "The gain of 94 was lost | Revenue slumped, a change of 94 | a change of 94 downwards | "
        "Net loss reached $94 million | The deficit stood at 94 | The decrease came to 94 | "
        "92, 93, a change of 94 | 92 93 rose 94 | It fell by 93, rose by 94 | "
        "It rose by 92. It rose by 93. It rose by 94. | Revenue rose by 188 = 94 | "
        "The company earned 188 - 90 = 94 | The company almost earned 94 | "
        "Instead of what it had 94 | Suppose the company had 94 | Who earned 94 | "
        "It is false that it rose 94 | It might have increased by 94",
        name="has and changes",
    ),
    Row(
        "-94",
        MILLION,
        "Net loss reached $94 million | The decrease came to 94 | a decrease of 94 | "
        "Net revenue fell by $94 million, or 1.6%.",
        "It avoided a loss of 94 | It denied that it lost 94 | Rather than a loss of 94",
        name="falls of somebody",
    ),
    Row(
        "94",
        MILLION,
        "The difference between 5,829 and 5,735 is 94. | This results in $94 million. | "
        "Revenue rose by 94 million, from 5,735 to 5,829. | Net revenue went up by $94 million. | "
        "The company reported revenue of $94 million in 2019. | This gives us 94. | "
        "Subtracting 5,735 from 5,829 gives 94. | Subtracting 5,735 from 5,829, we get 94. | "
        "Revenue increased by $94 million, or 1.6%. | That would be $94 million.",
        "It is between 93 and 94 | The company reported losses of $94 million | "
        "We get 188 = 94 | It's 188 = 94 | This gives 188 = 94 | a=92; b=93; c=94",
        name="working in words",
    ),
    Row(
        "94",
        MILLION,
        "94 is the answer. | $94 million is the answer. | We get 94. | This gives 94. | It's 94. | "
        "Thus, $94 million. | Hence 94 | So, 94 | So, we get 94 | Ans. 94 | Result: 94",
        "94 is not the answer | 94 is the wrong answer | 93 and 94 is the answer | It's not 94 | "
        "We get 93, then 94 | This gives 94 or 95 | That's 94 short | So, 93. No, 94 | "
        "The result is not 94 | = 93 = 94",
        name="introduced",
    ),
    Row(
        "94",
        MILLION,
        "94 in millions | 94, in millions | 0.094 in billions | 94·10^6 | __94__ | _94_ | # 94 | "
        f"{NOUGHTS} | 94</s> | 94<|im_end|> | \\boxed{{\\text{{Answer: }}94}} | "
        "<answer>The change is $94 million.</answer> | Answer \\[ 94 \\] | Answer $ 94 $",
        "94 in thousands | 94, in billions | 94 in 2 | 94 a | 94_ | _94 | 94</s>95 | "
        "<answer>The rate is 93, was 94</answer> | \\boxed{The change is not 94} | "
        "<answer>The answer might be 94</answer>",
        name="marks and scales",
    ),
    Row(
        "94",
        MILLION,
        "",
        "lambda: 94 | x=lambda:94 | 94==94 | 94 == 94 | 1/0 = 94 | 94:94:94 | 94/ | print(94) | "
        'eval: 94 | 94//import os | x=94//import os | {"answer": "93"} {"note": 94}',
        name="code",
    ),
    Row(
        "94",
        UNKNOWN,
        "It is \\boxed{94}. | \\boxed{94} is the answer | 1. \\boxed{94} | "
        "That is 94.0, or \\boxed{94} | <answer>\\boxed{94}</answer> | "
        "\\boxed{94}////Possibly rounding differs. | \\boxed{94}. No, it is not taxed. | "
        "\\boxed{94}////No 95 was used. | "
        "\\boxed{94}. This is not 95.",
        "\\boxed{94} wait no | \\boxed{94} is incorrect | \\boxed{94}, or maybe 95 | "
        "\\boxed{94}, or 95 | \\boxed{94} (wrong) | \\boxed{94}? No | not \\boxed{94} | "
        "The answer is not \\boxed{94} | $\\boxed{94}$ is wrong | \\boxed{95}, or \\boxed{94} | "
        "\\boxed{95} or maybe \\boxed{94} | \\boxed{95}或者\\boxed{94} | \\boxed{94}，不对 | "
        "\\boxed{94}。不对，应为95 | \\boxed{94}？ | \\boxed{94}ではない | ~~\\boxed{94}~~ | "
        "\\cancel{\\boxed{94}} | \\boxed{94}//No, 95 | \\boxed{94}, which is wrong | "
        "\\boxed{94}\\text{ is wrong} | \\boxed{94} (not sure) | x != \\boxed{94} | "
        "The wrong answer is \\boxed{94} | I reject \\boxed{94}. | 9\\boxed{94} | "
        "\\boxed{94}5 | \\boxed{94} dozen | <answer>95</answer> or <answer>94</answer> | "
        "not <answer>94</answer> | <answer>94</answer> is wrong",
        name="box taken back",
    ),
    Row(
        "94",
        UNKNOWN,
        '{"answer": 94, "explanation": "the answer: 94"}',
        '{"answer": 93} {"answer": 94} | {"answer": 93, "answer": 94} | {"answer": 94 | '
        "{'answer': 93, 'answer': 94} | The answer is 93 or the answer is 94 | "
        "Answer: 93 / Answer: 94",
        name="several answers",
    ),
    Row("yes", YES_NO, "Result: Yes | So, yes | 结果是：是", "No. 5 | no.1", name="result"),
    Row("no", YES_NO, "No, 5 years", "No. 5 | no.1", name="a number, not a verdict"),
    Row("B", UNKNOWN, "Result: B | The result is B. | 结果：B | B,", "Result: not B | Bは誤り"),
    Row(
        ["4.1", "4.6"],
        UNKNOWN,
        "The values for 2019 and 2018 are 4.1 and 4.6",
        "7 is 4.1; 4.6 | They are 1.0: 4.1, 4.6 | 4.1, 4.6 excluded | None of: 4.1, 4.6",
        name="items behind a label",
    ),
)

SPELLINGS = (
    Row("1234.50", UNKNOWN, "1.234,5 | 1 234,5 | 1234,5 | 1.234,5 €", "12.345 | 1.234,5,6"),
    Row("1234567.8", UNKNOWN, "1.234.567,8 | 1 234 567,8 | 1234567,8", "1 234,567,8"),
    Row("12.5%", UNKNOWN, "12,5% | 12,5 %", "1,25% | 12,5,5%"),
    Row("0,111", UNKNOWN, "0.111 | 0,111", "111 | 0,1,11"),
    Row("6%", UNKNOWN, "6% p.a. | 6% per annum", "6% p.m. or 7%"),
    Row("1.5", UNKNOWN, "1 1/2", "1 5/2 | 11/2"),
    Row("1/3", UNKNOWN, "$\\left( \\frac{1}{3} \\right)$ | 三分之一 | (1/3)", "-1/3 | (0.3333)"),
    Row("2.5元", UNKNOWN, "2元5角 | 2块5毛 | 2块5", "2元7角 | 2元55角"),
    Row("25%", UNKNOWN, "二成五 | 二成半 | 两成半", "二成 | 两成"),
    Row("20%", UNKNOWN, "二成", "二成半 | 两成半"),
    Row("20000", UNKNOWN, "弐万 | 貳萬", "弐万半"),
    Row("28%", UNKNOWN, "$\\boxed{28}$ pct | \\boxed{28}pct", "$\\boxed{28}$ bps"),
    Row("1000.99", UNKNOWN, "1,000.99m² | so the number is 10 which is 1,000.99m²", "1,000.99m"),
    Row("2019", UNKNOWN, "2019年", "2019年以前 | 2019年以后"),
    Row("-94万元", UNKNOWN, "缺口为94万元 | 逆差为94万元", "94万元"),
    Row(
        "94万元",
        UNKNOWN,
        "所以需要支付94万元。 | 一共需要94万元 | 他一共花了94万元。",
        "谎称价值94万元 | 公司拒绝支付94万元 | 是否需要94万元 | 错误答案是94万元 | "
        "答案未必是94万元 | 94万元封顶 | 94万元待定",
    ),
    Row("-27.14元", UNKNOWN, "损失27.14元 | 亏损27.14元", "27.14元 | 没有损失27.14元"),
    Row("71.28元", UNKNOWN, "价值71.28元 | 总价71.28元 | 需要71.28元", "不需要71.28元"),
    Row("-5537.66万元", UNKNOWN, "净卖出5537.66万元", "净买入5537.66万元"),
    Row("0.3333枚比特币", UNKNOWN, "0.3333 BTC | 三分之一枚 | 三分之一枚比特币", "0.3333美元"),
    Row("188.52克", UNKNOWN, "188.52g | 188.52 grams", "188.52kg"),
    Row("-45.5%", UNKNOWN, "45.5%減益 | 45.5%の減収", "45.5%増益"),
    Row("2023年06月20日", UNKNOWN, "2023年6月20日星期二 | 2023/06/20 (Tue)", "2023年6月21日星期三"),
    Row(
        ["2019", "2018", "2017"],
        UNKNOWN,
        "2019 / 2018 / 2017 | 2019; 2018 and 2017 | fiscal years 2019, 2018 and 2017 | "
        "2017年、2018年和2019年",
        "2019 / 2018 | 2019 / 2018 / 2016",
    ),
    Row("4", Question(answer_type="count"), "4 | four", "400% | 4%"),
)


@pytest.mark.parametrize(("row", "reply", "accepted"), replies_of(PROSE))
def test_a_sentence_states_its_number(row: Row, reply: str, accepted: bool) -> None:
    row.check(reply, accepted)


@pytest.mark.parametrize(("row", "reply", "accepted"), replies_of(SPELLINGS))
def test_a_number_may_be_written_in_other_ways(row: Row, reply: str, accepted: bool) -> None:
    row.check(reply, accepted)
