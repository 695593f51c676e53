"""Sentences in which an answer stands, in three languages, and their neighbours that state none."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from rewards.numeric import Question, verify

UNKNOWN = Question()
YES_NO = Question(gold_type="yes_no")


class Words(NamedTuple):
    """A gold, and replies that state it or do not, parted by " | "; "//" is a new line."""

    name: str
    gold: str | list[str]
    question: Question
    accepted: str
    refused: str


WORDS = (
    Words(
        "denied option",
        "B",
        UNKNOWN,
        "应选B | 应该选B | 本题应选B",
        "不应选B | 不应该选B | 不应选择B | 答案不应选B | 本题不应选B | 绝不应选B | 是否应选B | "
        "可能应选B | "
        "如果我选B，那么收入会下降 | 不能选B | 选项B正确吗 | The least likely answer is B",
    ),
    Words(
        "heading",
        "B",
        UNKNOWN,
        "【答案】B | 【答案】：B | 答案B | 答案【B】 | ## 答案////**B** | **最终答案**：B | "
        "答：选B。 | 【答案】B//【解析】A项错误。",
        "【错误答案】B | 错误答案B | 答案B错误 | 这个答案B有问题 | 【答案】B或C | "
        "【答案】不选B | 答：不选B | "
        "【答案】A//【解析】B项错误",
    ),
    Words(
        "Chinese conclusion",
        "B",
        UNKNOWN,
        "因此，选项B正确。 | 综上，选B。 | 正确的是B | 答案应为B | 故B项正确。 | 由此可知，选B | "
        "最佳选项是B | "
        f"{'收入在两年间增长。' * 30}//因此，选项B正确。",
        "因此，选项B不正确 | 因此选项B应排除 | 不正确的是B | 正确的是B还是C | 正确的可能是B | "
        "综上，不选B | "
        "答案不应为B | 最不合适的选项是B | 正确的是A，B错误 | 综上，选A和B",
    ),
    Words(
        "English conclusion",
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
    ),
    Words(
        "several options",
        "A;C",
        UNKNOWN,
        "Both A and C are correct. | The correct answers are: A, C | A. rise, C. fall | ac | "
        "A项和C项正确 | "
        "AC两项 | A以及C",
        "Both A and C are wrong | Both A and D | Either A or C | A. rise, B. up, C. fall | ca | "
        "AC两项错误",
    ),
    Words(
        "option with its text",
        "B",
        UNKNOWN,
        "B - 94 | B – Increase | B (Increase in revenue) | B, 94 | "
        "B////Explanation: Revenue increased. | "
        "B. 94////Explanation: 5829-5735 = 94",
        "B - wrong | B - no | B - C | B – rejected | B (wrong) | B (guess) | B (C) | B, C | "
        "B, 94 or C | B//C | "
        "B//c | B//Wrong. | B//Wait, (c) | B////Explanation: it could be C | "
        "B//A is also right | B（不选）",
    ),
    Words(
        "Chinese and Japanese fall",
        "-8.4%",
        UNKNOWN,
        "降幅为8.4% | 降幅8.4% | 跌幅达8.4% | 减幅约为8.4% | 同比降幅为8.4%。 | "
        "因此，净利润降幅约为8.4% | 降幅收窄为8.4% | 8.4%（降幅） | 缩水8.4% | 8.4%低下した | "
        "8.4%縮小",
        "升幅为8.4% | 涨跌幅为8.4% | 增减幅为8.4% | 降幅不是8.4% | 降幅收窄8.4% | 跌幅小于8.4% | "
        "増減率は8.4% | 8.4%悪化 | 下降到8.4%",
    ),
    Words(
        "no fall",
        "8.4%",
        UNKNOWN,
        "涨幅为8.4% | 8.4%上昇",
        "降幅为8.4% | 降幅：8.4% | 跌幅为8.4% | 8.4%低下 | 8.4%悪化 | 8.4%落ち込んだ | "
        "8.4%マイナス | 8.4%低い | 8.4ポイントの低下",
    ),
    Words(
        "yes in a sentence",
        "yes",
        YES_NO,
        "Correct. | The statement is true. | It is true. | 该说法是正确的。 | 判断：正确 | "
        "Affirmative | Yep | Yes and the margin rose. | Yes there is | Yes revenue increased",
        "Yes and no | Yes if revenue rose | Yes is not the answer | The statement is not true. | "
        "The statement is true? | It is true that revenue rose | "
        "The statement is true or false | The statement is partly true | 该说法不完全正确 | "
        "该说法是否正确 | 说法正确的是B | Yes there is not | Corrected | "
        "Yes the opposite happened | True and false",
    ),
    Words(
        "no in a sentence",
        "no",
        YES_NO,
        "The statement is false. | Incorrect | Not correct | 该说法错误。 | "
        "No, the opposite happened: revenue fell.",
        "No revenue increased | No debt | No and yes | The statement is not false | "
        "说法错误的是A | Not correct, or correct",
    ),
)

ROWS = [
    pytest.param(words, reply.replace("//", "\n"), accepted, id=f"{words.name}: {reply[-60:]}")
    for words in WORDS
    for replies, accepted in ((words.accepted, True), (words.refused, False))
    for reply in replies.split(" | ")
]


@pytest.mark.parametrize(("words", "reply", "accepted"), ROWS)
def test_words(words: Words, reply: str, accepted: bool) -> None:
    assert (verify(words.gold, reply, words.question) == "equal") is accepted
