"""The numeric verifier: what counts as the answer, as a number, and as equal."""

import time

import pytest

from configs.errors import DataError
from envs.types import Message, Task
from rewards.extract import Source, extract_answer
from rewards.numbers import Quantity, parse_quantity
from rewards.numeric import NumericVerifier, Question, verify
from rollout.types import StopReason, Trajectory

MILLION = Question(unit="million")
PERCENT = Question(unit="percent", answer_type="arithmetic")
PERCENT_QUESTION = Question(percent_question=True)


def trajectory(reply: str, stop: StopReason = StopReason.STOP, **metadata: object) -> Trajectory:
    question = Message("user", "Change?")
    task = Task("t/1", "test", (question,), "94", {}, metadata)
    return Trajectory(task, 0, (), (question, Message("assistant", reply)), stop)


@pytest.mark.parametrize(
    ("reply", "text", "source"),
    [
        (r"<think>1 + 1</think> \boxed{2}", "2", Source.BOXED),
        (r"\boxed{1} and then \boxed{\frac{1}{2}}.", r"\frac{1}{2}", Source.BOXED),
        (r"\boxed{2} or \boxed{3", "", Source.NONE),
        (r"<think>\boxed{2}</think> I am not sure." + " Well." * 40, "", Source.NONE),
        (r"<think>it is \boxed{2}", "", Source.UNCLOSED_THINK),
        (r"<think>a</think><think>\boxed{2}", "", Source.UNCLOSED_THINK),
        ("<answer>1</answer> <answer> 2 </answer>", "2", Source.TAG),
        ("<answer>2", "", Source.NONE),
        ("<answer></answer>", "", Source.NONE),
        ("Work.\nThe answer is: 12 million\nThanks", "12 million", Source.PHRASE),
        ('{"answer": "94"}', "94", Source.PHRASE),
        ("16 - 4 = 12\n#### 12", "12", Source.PHRASE),
        ("12", "12", Source.REPLY),
        ("Then 12. " * 40, "", Source.NONE),
        ("", "", Source.NONE),
    ],
)
def test_extract_answer(reply: str, text: str, source: Source) -> None:
    assert extract_answer(reply) == (text, source)


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("-1,234.50", Quantity(-1234.5)),
        ("-$12.6 million", Quantity(-12.6, 1e6, False, "$")),
        ("$(9.8) million", Quantity(-9.8, 1e6, False, "$")),
        ("£(8.1m)", Quantity(-8.1, 1e6, False, "GBP")),
        ("(22.22)%", Quantity(-22.22, 0.01, True)),
        ("50 bps", Quantity(50.0, 1e-4, True)),
        ("2.5 per cent", Quantity(2.5, 0.01, True)),
        ("−3e-2", Quantity(-0.03)),
        (r"1.247 \times 10^{10}", Quantity(1.247e10)),
        (r"\frac{1}{4}", Quantity(0.25)),
        ("a decrease of 5%", Quantity(-5.0, 0.01, True)),
        ("三亿五千万元", Quantity(3.5e8, 1.0, False, "CNY")),
        ("百分之三点五", Quantity(3.5, 0.01, True)),
        ("1 234 567", Quantity(1234567.0)),
        ("12 months (rounded)", Quantity(12.0, unit="month")),
    ],
)
def test_parse_quantity(text: str, quantity: Quantity) -> None:
    assert parse_quantity(text) == quantity


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "$",
            "9 4",
            "94 or 95",
            "94 (or 95)",
            "5829-5735",
            "1.2.3",
            "12,34.5",
            "(2.40",
            "--4",
        ),
        *("1/0", "nan", "1e999", "9" * 20_000, "2**3", "1_000", "٩٤", "-(3)", "5 is wrong", "9!"),
    ],
)
def test_parse_quantity_refuses_what_is_not_one_number(text: str) -> None:
    assert parse_quantity(text) is None


@pytest.mark.parametrize(
    ("gold", "reply", "question", "reason"),
    [
        ("94", r"\boxed{94}", MILLION, "equal"),
        ("94", "$94 million", MILLION, "equal"),
        ("94", "94,000,000", MILLION, "equal"),
        ("94", "94 thousand", MILLION, "different"),
        ("94", "9400%", MILLION, "different"),
        ("94", "-94", MILLION, "different"),
        ("94", "In 2019, revenue rose. The change is 94.", MILLION, "equal"),
        ("94", "either it is 93 or it is 94", MILLION, "unparseable"),
        ("94", "<think>94", MILLION, "unclosed_think"),
        ("94", "I think that " * 30, MILLION, "no_answer"),
        ("100", "101", Question(), "equal"),
        ("100", "101.1", Question(), "different"),
        ("100", "101", Question(tolerance=0.0), "different"),
        ("100", "101", Question(answer_type="count"), "different"),
        ("2019", "2018", Question(), "different"),
        ("2019", "In 2019", Question(), "equal"),
        ("2019", "2018", Question(answer_type="arithmetic"), "equal"),
        ("0", "0.001", Question(), "different"),
        ("0.34719", "34.72%", PERCENT_QUESTION, "equal"),
        ("0.34719", "34.72", PERCENT_QUESTION, "equal"),
        ("0.34719", "34.72", Question(percent_question=False), "different"),
        ("0.34719", "0.34719%", PERCENT_QUESTION, "different"),
        ("73.22", "0.73215", PERCENT_QUESTION, "equal"),
        ("407", "407%", Question(percent_question=False), "different"),
        ("-22.22", "-0.2222", PERCENT, "equal"),
        ("-22.22", "-22.2", PERCENT, "equal"),
        ("-22.22", "-22.22 million", PERCENT, "different"),
        ("1.9%", "1.9", Question(), "different"),
        ("$10 million", "€10 million", Question(), "different"),
        ("$10 million", "USD 10 million", Question(), "equal"),
        ("yes", r"\boxed{\text{Yes}}", Question(), "equal"),
        ("yes", "No, not yes", Question(), "different"),
        ("yes", "yes or no", Question(), "unparseable"),
        ("yes", "1", Question(), "unparseable"),
        ("B", "B. 750", Question(), "equal"),
        ("B", "B or C", Question(), "unparseable"),
        ("A;D", "D, A", Question(), "equal"),
        ("2023年06月20日", "2023-6-20", Question(), "equal"),
        ("30 to 90", "30–90 days", Question(), "equal"),
        ("30 to 90", "30", Question(), "unparseable"),
        ("Annual basis", r"\boxed{\text{annual basis.}}", Question(), "equal"),
        ("Annual basis", "annual", Question(), "different"),
        (["$1,073.3", "$1,095.0"], "1095.0; 1073.3", MILLION, "equal"),
        (["$1,073.3", "$1,095.0"], "1095.0; 1073.3; 5", MILLION, "different"),
        (["2019", "2018"], "2018, 2019", Question(), "equal"),
        (["2019", "2018"], "2019, 2019", Question(), "different"),
        (["cash, net", "debt and equity"], "debt and equity, cash, net", Question(), "equal"),
        (["cash", "debt"], "cash, debt, equity", Question(), "different"),
        ("10;-8", "-8;10", Question(), "different"),
    ],
)
def test_verify(gold: str | list[str], reply: str, question: Question, reason: str) -> None:
    assert verify(gold, reply, question) == reason


@pytest.mark.parametrize("gold", ["", " ", "nan", "inf", "None", []])
def test_a_gold_that_nothing_can_equal_is_an_error(gold: str | list[str]) -> None:
    with pytest.raises(DataError, match="empty or not a finite value"):
        verify(gold, "1")


def test_a_text_gold_of_an_arithmetic_question_is_an_error() -> None:
    with pytest.raises(DataError, match="is not a number, as arithmetic needs"):
        verify("cash", "cash", Question(answer_type="arithmetic"))


def test_verifier_scores_a_trajectory() -> None:
    score = NumericVerifier()
    equal = score(trajectory(r"<think>1</think> \boxed{94 million}", unit="million"))
    assert (equal.reward, equal.terms, equal.reason) == (1.0, {"answer": 1.0}, "equal")
    cut = score(trajectory("<think>5829 -", StopReason.LENGTH))
    assert (cut.reward, cut.reason) == (0.0, "unclosed_think")
    fault = score(trajectory(r"\boxed{94}", StopReason.ERROR))
    assert (fault.reward, fault.terms, fault.reason) == (None, {}, "error")


@pytest.mark.parametrize("copied", ["1764/28", "1764 / 28", r"\frac{1764}{28}", "(1764/28)"])
def test_a_task_may_ask_for_the_quotient_itself(copied: str) -> None:
    asked = Question(fractions=False)
    assert verify("63", rf"\boxed{{{copied}}}", asked) == "unparseable"
    assert verify("63", f"The answer is {copied}", asked) == "unparseable"
    assert verify("63", rf"\boxed{{{copied} = 63}}", asked) == "equal"
    assert verify("63", r"\boxed{63 (1764/28)}", asked) == "equal"
    assert verify("1/3", r"\boxed{2/6}", asked) == "equal", "the gold is a fraction itself"
    score = NumericVerifier()(trajectory(r"\boxed{188/2}", fractions=False))
    assert (score.reward, score.reason) == (0.0, "unparseable")
    assert NumericVerifier().question({"answer_type": "arithmetic"}).fractions is False
    assert NumericVerifier().question({}).fractions is True


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("The answer is 94", "truncated"),
        ("94", "truncated"),
        ("#### 94", "truncated"),
        (r"\boxed{94", "no_answer"),
        (r"\boxed{94} because", "equal"),
        ("<answer>94</answer> bec", "equal"),
    ],
)
def test_of_a_reply_that_was_cut_off_only_a_marked_answer_counts(reply: str, reason: str) -> None:
    cut = NumericVerifier()(trajectory(reply, StopReason.LENGTH))
    assert (cut.reward, cut.reason) == (float(reason == "equal"), reason)
    if reason == "truncated":
        assert NumericVerifier()(trajectory(reply)).reason == "equal"


def test_tolerance_comes_from_the_task_first() -> None:
    assert NumericVerifier(tolerance=0.05)(trajectory("97")).reward == 1.0
    assert NumericVerifier(tolerance=0.05)(trajectory("97", tolerance=0.0)).reward == 0.0


def test_check_gold_names_the_task_and_the_reason() -> None:
    check = NumericVerifier().check_gold
    check(Task("t/1", "test", (), "-12.6", {}, {"unit": "million"}))
    check(Task("t/2", "test", (), "b; a", {}, {"answers": ["b", "a"]}))
    with pytest.raises(DataError, match=r"^task t/3: the gold answer 'nan' is empty or not"):
        check(Task("t/3", "test", (), "nan"))
    with pytest.raises(DataError, match=r"^task t/4: the verifier rejects .* \(no_answer\)"):
        check(Task("t/4", "test", (), "an open { brace"))


BEHIND_A_BOX = (
    (
        "12.5%",
        r"\boxed{12.5}\% | \(\boxed{12.5}\%\) | \boxed{12.5}~\text{percent} | $\boxed{12.5}$ %",
    ),
    ("0.125", r"\boxed{12.5}\% | \boxed{\text{12.5}} percent | \boxed{1250} bps"),
    (
        "94 million",
        r"\boxed{94} million | \boxed{94}\ \text{million} | \boxed{94{,}000} (in thousands)",
    ),
    ("-94 million", r"\boxed{-94} million | \boxed{(94)} million"),
    ("94亿", r"\boxed{94}亿元 | \boxed{940,000}万"),
    ("94 million EUR", r"\boxed{94} million euros | \boxed{94} million"),
    ("$94", r"\boxed{94} dollars | \boxed{94}"),
    ("94", r"\boxed{94} shares | \boxed{94}. Millions were lost. | \boxed{94}\n\nMillion"),
    ("B", r"\boxed{B} percent"),
    ("yes", r"\boxed{yes} (million)"),
)
OTHER_UNITS = (
    ("12.5%", r"\boxed{12.5} bps | \boxed{0.125}\% | \boxed{1250}\%"),
    ("0.125", r"\boxed{0.125}\%"),
    (
        "94 million",
        r"\boxed{94} thousand | $\boxed{94}$ thousand | \boxed{94}\text{ billion} | \boxed{94}",
    ),
    ("94", r"\boxed{94} thousand | \boxed{94} (in millions)"),
    ("94亿", r"\boxed{94}万元"),
    ("94 million EUR", r"\boxed{94} million USD | \boxed{94} million pounds"),
    ("$94", r"\boxed{94} euros"),
)


@pytest.mark.parametrize(("golds", "expected"), [(BEHIND_A_BOX, True), (OTHER_UNITS, False)])
def test_a_unit_behind_a_box_is_part_of_it(
    golds: tuple[tuple[str, str], ...], expected: bool
) -> None:
    for gold, replies in golds:
        for reply in replies.split(" | "):
            text = reply.replace("\\n", "\n")
            assert (verify(gold, text) == "equal") is expected, (gold, reply)


HOSTILE = {
    "parentheses": "(" * 1_000_000,
    "digits": "9" * 1_000_000,
    "boxes": r"\boxed{" * 140_000,
    "braces in a box": r"\boxed{" + "{" * 1_000_000,
    "digits in a box": r"\boxed{" + "9" * 3_900 + "}",
    "commas in a box": r"\boxed{" + "1," * 1_900 + "}",
    "spaces in a box": r"\boxed{" + " " * 3_900 + "1}",
    "phrases": "answer is " * 100_000,
    "tags": "<answer>" * 120_000,
    "thinking": "</think>" * 120_000,
    "blanks before a mark": "a" + " " * 200_000 + ">",
    "marks of the end": "</s>" * 50_000 + "a>",
    "spaces": " " * 1_000_000 + "9",
}


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("gold", ["94", "yes", "B", "3 to 4", "some text", ["a, b", "c"]])
def test_hostile_replies_are_rejected_in_bounded_time(gold: str | list[str], reply: str) -> None:
    start = time.process_time()
    assert verify(gold, reply) != "equal"
    assert time.process_time() - start < 1.0  # milliseconds in practice
