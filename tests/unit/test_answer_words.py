"""Sentences in which an answer stands, in three languages, and their neighbours that state none."""

from __future__ import annotations

import pytest

from rewards.numeric import Question
from tests.unit.answer_rows import UNKNOWN, YES_NO, Row, replies_of

WORDS = (
    Row(
        "B",
        UNKNOWN,
        "应选B | 应该选B | 本题应选B",
        "不应选B | 不应该选B | 不应选择B | 答案不应选B | 本题不应选B | 绝不应选B | 是否应选B | "
        "可能应选B | "
        "如果我选B，那么收入会下降 | 不能选B | 选项B正确吗 | The least likely answer is B",
        name="denied option",
    ),
    Row(
        "B",
        UNKNOWN,
        "【答案】B | 【答案】：B | 答案B | 答案【B】 | ## 答案////**B** | **最终答案**：B | "
        "答：选B。 | 【答案】B//【解析】A项错误。",
        "【错误答案】B | 错误答案B | 答案B错误 | 这个答案B有问题 | 【答案】B或C | "
        "【答案】不选B | 答：不选B | "
        "【答案】A//【解析】B项错误",
        name="heading",
    ),
    Row(
        "B",
        UNKNOWN,
        "因此，选项B正确。 | 综上，选B。 | 正确的是B | 答案应为B | 故B项正确。 | 由此可知，选B | "
        "最佳选项是B | "
        f"{'收入在两年间增长。' * 30}//因此，选项B正确。",
        "因此，选项B不正确 | 因此选项B应排除 | 不正确的是B | 正确的是B还是C | 正确的可能是B | "
        "综上，不选B | "
        "答案不应为B | 最不合适的选项是B | 正确的是A，B错误 | 综上，选A和B",
        name="Chinese conclusion",
    ),
    Row(
        "B",
        UNKNOWN,
        "Therefore, option B is correct. | Hence, B is correct. | I would choose B | Ans: B | "
        "It's B. | "
        "The answer should be B | Selected option: B | Therefore, B | B is the best choice | "
        "B as revenue rose",
        "Therefore, option B is not correct | I would not choose B | I might choose B | "
        "The answer may be B | "
        "Both A and B | It's not B | Is it B? | Incorrect: B | The incorrect one is B | "
        "B is likely the best choice | "
        "Therefore, B or C | Correct: A; incorrect: B | B as well as C | B as A is also right",
        name="English conclusion",
    ),
    Row(
        "A;C",
        UNKNOWN,
        "Both A and C are correct. | The correct answers are: A, C | A. rise, C. fall | ac | "
        "A项和C项正确 | "
        "AC两项 | A以及C",
        "Both A and C are wrong | Both A and D | Either A or C | A. rise, B. up, C. fall | ca | "
        "AC两项错误",
        name="several options",
    ),
    Row(
        "B",
        UNKNOWN,
        "B - 94 | B – Increase | B (Increase in revenue) | B, 94 | "
        "B////Explanation: Revenue increased. | "
        "B. 94////Explanation: 5829-5735 = 94",
        "B - wrong | B - no | B - C | B – rejected | B (wrong) | B (guess) | B (C) | B, C | "
        "B, 94 or C | B//C | "
        "B//c | B//Wrong. | B//Wait, (c) | B////Explanation: it could be C | "
        "B//A is also right | B（不选）",
        name="option with its text",
    ),
    Row(
        "-8.4%",
        UNKNOWN,
        "降幅为8.4% | 降幅8.4% | 跌幅达8.4% | 减幅约为8.4% | 同比降幅为8.4%。 | "
        "因此，净利润降幅约为8.4% | 降幅收窄为8.4% | 8.4%（降幅） | 缩水8.4% | 8.4%低下した | "
        "8.4%縮小",
        "升幅为8.4% | 涨跌幅为8.4% | 增减幅为8.4% | 降幅不是8.4% | 降幅收窄8.4% | 跌幅小于8.4% | "
        "増減率は8.4% | 8.4%悪化 | 下降到8.4%",
        name="Chinese and Japanese fall",
    ),
    Row(
        "8.4%",
        UNKNOWN,
        "涨幅为8.4% | 8.4%上昇",
        "降幅为8.4% | 降幅：8.4% | 跌幅为8.4% | 8.4%低下 | 8.4%悪化 | 8.4%落ち込んだ | "
        "8.4%マイナス | 8.4%低い | 8.4ポイントの低下",
        name="no fall",
    ),
    Row(
        "yes",
        YES_NO,
        "Correct. | The statement is true. | It is true. | 该说法是正确的。 | 判断：正确 | "
        "Affirmative | Yep | Yes and the margin rose. | Yes there is | Yes revenue increased",
        "Yes and no | Yes if revenue rose | Yes is not the answer | The statement is not true. | "
        "The statement is true? | It is true that revenue rose | "
        "The statement is true or false | The statement is partly true | 该说法不完全正确 | "
        "该说法是否正确 | 说法正确的是B | Yes there is not | Corrected | "
        "Yes the opposite happened | True and false",
        name="yes in a sentence",
    ),
    Row(
        "no",
        YES_NO,
        "The statement is false. | Incorrect | Not correct | 该说法错误。 | "
        "No, the opposite happened: revenue fell.",
        "No revenue increased | No debt | No and yes | The statement is not false | "
        "说法错误的是A | Not correct, or correct",
        name="no in a sentence",
    ),
    Row(
        "8.4%",
        UNKNOWN,
        "净利润同比增长8.4%。 | 公司营收增长8.4% | 比上年增长8.4% | 提高了8.4个百分点 | "
        "增长率达8.4% | 毛利率8.4% | 占比约8.4% | 占总收入的8.4% | 2023年毛利率达8.4% | 即8.4%",
        "净利润同比下降8.4% | 净利润未增长8.4% | 净利润增长超过8.4% | 净利润增长5%，毛利率8.4% | "
        "净利润增长8.4%或9% | 如果净利润增长8.4% | 净利润由5%增长到8.4% | 毛利率低于8.4% | "
        "占比下降8.4% | 亏损达8.4% | 净利润增长8.4%不对 | 涨跌8.4% | 毛利率8.4%，净利率5%",
        name="Chinese sentence",
    ),
    Row(
        "-8.4%",
        UNKNOWN,
        "净利润同比下降8.4% | 因此，净利润同比下降8.4%。 | 较去年同期下降8.4% | 公司亏损达8.4%",
        "净利润同比增长8.4% | 净利润没有下降8.4% | 净利润下降到8.4% | 亏损增加8.4% | "
        "亏损减少8.4% | 净利润下降5%，营收下降8.4% | 净利润下降超过8.4%",
        name="Chinese sentence of a fall",
    ),
    Row(
        "94亿元",
        UNKNOWN,
        "净利润达94亿元 | 净利润＝94亿元 | 净利润增加了94亿元 | 94亿元（约） | "
        "解：100-6=94（亿元）//答：净利润为94亿元。",
        "净利润达93亿元，收入达94亿元 | 净利润达到93亿元或94亿元 | 公司净亏损达94亿元 | "
        "净利润近94亿元 | 减值准备94亿元 | 94亿元（约93） | 目标达94亿元",
        name="Chinese amount",
    ),
    Row(
        "-45.5%",
        UNKNOWN,
        "営業利益は45.5%減少しました。 | 変化率は-45.5%です。 | 増減率は▲45.5% | "
        "答えは「-45.5%」です。 | 答えは**-45.5%**です。 | よって、-45.5%です",
        "営業利益は45.5%増加した | 営業損失は45.5%増加した | 利益は-5%、売上は-45.5%です | "
        "-45.5%ではないです | 営業利益は45.5%減少したか | -5%または-45.5%です | -45.5%でしょう | "
        "変化率は-45.5%以上です",
        name="Japanese sentence",
    ),
    Row(
        "B",
        UNKNOWN,
        "正解はBです。 | 正解：B | 正解は（B）です",
        "Bではないです | BかCです | Bですか | 不正解はBです | 正解はAです | AとBです",
        name="Japanese option",
    ),
    Row(
        "増収",
        UNKNOWN,
        "増収です。 | 答えは増収です。 | 増収である",
        "増収ではないです | 減収です | 増収ですか",
        name="Japanese text",
    ),
    Row(
        "3321港元",
        UNKNOWN,
        "港币3321元 | 3321元港币 | 港元3321",
        "港币3321美元 | 人民币3321港元 | 美元3321 | 3321元人民币 | 3321美元港币 | 港币3321万元",
        name="currency before the digits",
    ),
    Row(
        "-45.5%",
        UNKNOWN,
        "損失は45.5%です",
        "損失は45.5%増加した | 亏损增加45.5%",
        name="rise of a loss",
    ),
    Row(
        ["4.1", "4.6"],
        Question(unit="million"),
        "- 4.1//- 4.6 | • 4.1//• 4.6 | The answer is://- 4.1//- 4.6 | Answer://1. 4.1//2. 4.6",
        "- 4.1//- 4.7 | - 4.1//- 4.6//- 4.7 | - 4.1//- not 4.6 | - 4.1 or 4.2//- 4.6 | "
        "Answer://- 4.1//- 4.6//- 4.7",
        name="items by lines",
    ),
    Row(
        "A;C",
        UNKNOWN,
        "- A//- C | 1. A//2. C | - A. rise//- C. fall",
        "- A//- B//- C | - A//- not C | - A//- C//- or B",
        name="options by lines",
    ),
    Row(
        ["30 to 90"],
        UNKNOWN,
        "Payment terms range from 30 to 90 days. | The range is between 30 and 90. | "
        "在30至90之间 | [30, 90]",
        "Terms do not range from 30 to 90 days | Terms may range from 30 to 90 days | "
        "60 days; terms range from 30 to 90 days | Terms range from 30 to 90 or 120 days | "
        "不在30至90之间 | [30, 90, 120]",
        name="range in a sentence",
    ),
    Row(
        "June 20, 2023",
        UNKNOWN,
        "Tuesday, June 20, 2023 | It matures on June 20, 2023. | 2023年6月20日（星期二）",
        "It was not founded on June 20, 2023. | It may close on June 20, 2023 | "
        "Monday or Tuesday, June 20, 2023 | Opened on June 19, 2023 and closed on June 20, 2023",
        name="day in a sentence",
    ),
    Row(
        "94",
        Question(unit="million"),
        "94 [1] | $94 million [1] | 94 (Note 5) | 94 (row 3) | • 94",
        "94 [93] | 94 (93) | 94 (Note: 95) | 93 [94] | 94[0] | 94 [1] [2] or 95 | - 94//- 95",
        name="reference",
    ),
)


@pytest.mark.parametrize(("row", "reply", "accepted"), replies_of(WORDS))
def test_words(row: Row, reply: str, accepted: bool) -> None:
    row.check(reply, accepted)
