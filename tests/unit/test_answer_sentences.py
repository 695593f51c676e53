"""Numbers in English sentences, equations, labels and JSON: golds with replies."""

from __future__ import annotations

import pytest

from rewards.numeric import Question
from tests.unit.answer_rows import MILLION, UNKNOWN, Row, replies_of

STORES = Question(unit="stores")
PERCENT = Question(unit="percent", answer_type="arithmetic", fractions=False)


SENTENCES = (
    Row(
        "94",
        MILLION,
        "The answer is 94 because revenue was higher | Answer: 94, since sales rose by 3% | "
        "The answer is: the 2019 change was 94 | The answer is the change: 94 | "
        "The answer is 94.  | The answer is x = 94 | Answer: Change = 5,829 - 5,735 = 94 | "
        "Change ($ in millions): 94 | Change (US$ million): 94 | "
        "Change (in millions of dollars): 94 | 94 | Change in millions: 94 million | "
        "The answer should be 94. | The answer is therefore 94 million | "
        "Revenue rose $94 million in 2019. | 94 million (5,829 - 5,735 = 94) | "
        "Revenue in 2019 was 5,829; 2018: 5,735; the change is 94 | "
        "\\boxed{5{,}829 - 5{,}735 = 94} | \\boxed{5,829 - 5,735 = 94} | The answer is: 94 | "
        "The answer is a total of 94 | Answer: In 2019, the total was 94 | "
        'Answer: 2019 total = 94 | {"answer": 94} | ```json\n{"answer": 94}\n``` | '
        '{"answer": {"value": 94}} | '
        '<answer>{"answer": "94", "unit": "million"}</answer> | '
        '{"answer": "$94 million", "confidence": 0.9} | '
        '{"answer": "94", "explanation": "93 was last year"} | {"Final Answer": 94}',
        "The answer is 94, 188 | The answer is 94, and 95 | The answer is 94 and 95 | "
        "The answer is 94 because 95 is wrong | The answer is 94, or since prices rose 95 | "
        "The answer is 94, as the lower bound; 98 is the upper bound | "
        "The answer is 94 because I think it might be 95 | Answer: 94, which should be 95 | "
        "Answer: 93 = 94 | Answer: 94 = 93 | The answer is 93: 94 | The answer is 93 (was 94) | "
        "93 = 94 = 94 | x = 93 = 94 | 5,829 - 5,094 = 94 | The change is 5,829 - 5,700 = 94 | "
        "5829 - 5000 = 94 | 94 (93 = 94) | 94 (94 = 93) | 94 (x = 93) | "
        "94 (5,829 - 5,094 = 94) | 94\n95 | 94\n\nExplanation: or maybe 95 | "
        "94. This is wrong | 94\n\nThis is not correct, it is 95 | Change (USD thousands): 94 | "
        "Change ($B): 94 million | Change (€ billion): 94 | Change in percent: 94 | "
        "94 million\n\n95 million | "
        "Answer: 94 million. This is an estimate; the range is 93 to 95 | Revenue fell 94 | "
        "Revenue did not increase 94 | Revenue increased 94 to 188 | "
        "Revenue rose from 94 to 2018 | 95 | Revenue increased 94 from 5,735 | "
        "The answer should not be 94 | The answer would be 94 if sales rose | "
        "The answer will never be 94 | the answer should be 94 or 95 | "
        "The answer comes to nothing: not 94 | The answer => -94 | 94 in 2018, 95 in 2019 | "
        "93 in 2018 | $93 in 2019 and 94 | 94 from 2018 to 2,019 million | "
        "The answer isn't 94 | It turns out to be wrong: the answer would not be 94 | "
        "94, which is 93 rounded up | \\boxed{Revenue decreased by 94} | "
        "\\boxed{94 in 2018, 95 in 2019} | \\boxed{94 from 93} | \\boxed{not increased by 94} | "
        "\\boxed{increased by 94 or 95} | Answer: 93, because 94 | "
        "The answer is $93 million: 94 | 答案是93，因为94 | 答案是94，也可能是95 | "
        "The answer is 93; hence the total was 94 | Answer: 93 million, total 94 | "
        "The answer is 94? because | The answer is 94% | "
        "The answer is 94 because revenue rose, then 95 | "
        "I do not think the answer should be 94 | Change in percentage: 94% | "
        "Increase (bps): 94 | 94 as 2019 | The answer was 94 but is now 93 | "
        'The answer is 94 as a percentage | {"answer": 93, "alt": 94} | '
        '{"answer": 94, "alt": 93} | {"answer": 94, "answer": 93} | '
        '{"answer": 93, "answer": 94} | {"answer": [94, 93]} | '
        '{"result": 94, "value": 93} | {"answer": 94, "unit": "billion"} | '
        '{"answer": "93 or 94"} | {"answer": {"value": 93}} | {"confidence": 94} | '
        '{"answer": null} | {"answer": 93, "confidence": 94} | '
        '{"answer": 93, "explanation": "the answer is 94"} | {"answer": -94} | '
        '{"unit": "94 million"} | {"answer": "", "unit": "94"} | '
        '{"answer": 9, "unit": "4"}',
    ),
    Row(
        "-94",
        MILLION,
        "Revenue fell 94 | Revenue slipped by $94 million in 2019. | "
        "Net income decreased 94 million from 2018 to 2019 | "
        "\\boxed{\\text{Revenue decreased by } 94} | Net loss (USD millions): 94",
        "",
    ),
    Row(
        "12.5",
        PERCENT,
        "Change (%): 12.5 | Growth in percent: 12.5% | Change (%): 12.5% | "
        "Growth in basis points: 1250",
        "Change (%): 1250 bps or so | Change (bps): 12.5% | Growth in percent: 0.125",
    ),
    Row(
        "2019",
        UNKNOWN,
        "2019 | The answer is 2019. | 2019 because revenue was highest",
        "The answer is 2018, in 2019 | in 2018 from 2019",
    ),
    Row(
        "B",
        UNKNOWN,
        'Answer → B | {"answer": "B", "reason": "A is wrong"}',
        '{"answer": "A", "reason": "B"} | {"answer": ["A","B"]}',
    ),
    Row(
        "30 to 90",
        UNKNOWN,
        "The answer is 30 to 90 days.",
        "",
    ),
    Row(
        "June 20, 2023",
        UNKNOWN,
        "The answer is June 20, 2023. | 20 June, 2023 | Answer: 20 June, 2023",
        "",
    ),
    Row(
        "yes",
        UNKNOWN,
        '{"answer": true}',
        "",
    ),
    Row(
        "101 stores",
        UNKNOWN,
        "101 | 101 stores | 101 shops",
        "$101 | 101 years | 101 dollars | 101 days",
    ),
    Row(
        "94",
        STORES,
        "94 | 94 stores",
        "$94",
    ),
    Row(
        "18",
        UNKNOWN,
        "18 miles | 18 cm | 18 mph | 18 sq ft",
        "",
    ),
    Row(
        "18 miles",
        UNKNOWN,
        "",
        "18 km | 18 cm | $18",
    ),
)


@pytest.mark.parametrize(("row", "reply", "accepted"), replies_of(SENTENCES))
def test_answer_in_a_sentence(row: Row, reply: str, accepted: bool) -> None:
    row.check(reply, accepted)
