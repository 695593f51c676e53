"""The published scorers. Expected values were worked out by hand from the published rules."""

from __future__ import annotations

from typing import Any

import pytest

from configs.errors import DataError
from configs.registry import VERIFIERS, resolve
from envs.types import Message, Task
from rewards import finqa, tatqa
from rewards.officials import (
    OfficialVerifier,
    official_choice,
    official_finqa,
    official_gsm8k,
    official_tatqa,
    score_financereasoning,
    score_finreason,
)
from rollout.types import StopReason, Trajectory

TABLE = [
    ["", "2019", "2018"],
    ["net sales", "$ 1,250", "$ 1,000 ( 1 )"],
    ["margin", "8%", "5%"],
    ["other", "-", "3"],
]


def task(gold: str, **metadata: Any) -> Task:
    return Task("t/1", "test", (Message("user", "?"),), gold, {}, metadata)


def score(verifier: OfficialVerifier, reply: str, asked: Task) -> float | None:
    messages = (*asked.prompt, Message("assistant", reply))
    return verifier(Trajectory(asked, 0, (), messages, StopReason.STOP)).reward


@pytest.mark.parametrize(
    ("program", "result"),
    [
        ("subtract(1,250, 1,000)", 250.0),
        ("subtract(1,250, 1,000), divide(#0, 1,000)", 0.25),
        ("divide(1, 3)", 0.33333),
        ("multiply(5%, const_100)", 5.0),
        ("add(const_m1, 3)", 2.0),
        ("exp(2, 10)", 1024.0),
        ("greater(2, 1)", "yes"),
        ("greater(1, 2)", "no"),
        ("table_sum(net sales, none)", 2250.0),
        ("table_average(net sales, none), divide(#0, const_2)", 562.5),
        ("table_max(margin, none)", 0.08),
        ("table_min(margin, none)", 0.05),
        ("table_max(other, none)", None),
        ("table_max(no such row, none)", None),
        ("table_max(net sales, none), table_min(#0, none)", 1000.0),
        ("divide(1, 0)", None),
        ("exp(-8, 0.5)", None),
        ("exp(9, 1e9)", None),
        ("greater(2, 1), add(#0, 1)", None),
        ("add(#0, 1)", None),
        ("add(#-1, 1)", None),
        ("add(1,2)", None),
        ("add(1, 2, 3)", None),
        ("add(1, 2) add(3, 4)", None),
        ("power(1, 2)", None),
        ("add(subtract(1, 2), 3)", None),
        ("__import__(os, none)", None),
        ("", None),
        ("add(1, 1), " * 400, None),
    ],
)
def test_finqa_programs(program: str, result: float | str | None) -> None:
    assert finqa.execute(program, TABLE) == result


def test_finqa_has_no_tolerance() -> None:
    asked = task("0.33333", table=TABLE)
    assert score(official_finqa(), r"\boxed{divide(1, 3)}", asked) == 1.0
    assert score(official_finqa(), r"\boxed{divide(1, 3.0001)}", asked) == 0.0
    assert score(official_finqa(), r"\boxed{0.33333}", asked) == 0.0, "a number is no program"
    assert score(official_finqa(), "The answer is greater(2, 1)", task("yes")) == 1.0
    assert score(official_finqa(), "The answer is add(2, 1)", task("yes")) == 0.0


@pytest.mark.parametrize(
    ("golds", "gold_scale", "answers", "scale", "kind", "expected"),
    [
        (["61.5"], "million", ["61.5"], "million", "arithmetic", (1.0, 1.0)),
        (["61.5"], "million", ["61.5"], "", "arithmetic", (0.0, 0.0)),
        (["61.5"], "million", ["61500000"], "", "arithmetic", (1.0, 1.0)),
        (["61.5"], "million", ["61.504"], "million", "arithmetic", (1.0, 1.0)),
        (["61.5"], "million", ["61.51"], "million", "arithmetic", (0.0, 0.0)),
        (["-8.4"], "percent", ["-8.4%"], "", "arithmetic", (1.0, 1.0)),
        (["8.41"], "percent", ["0.0841"], "", "arithmetic", (1.0, 1.0)),
        (["8.41"], "percent", ["8.41"], "", "arithmetic", (0.0, 0.0)),
        (["(134)"], "", ["-134"], "", "span", (1.0, 1.0)),
        ([".5"], "", ["0.5"], "", "span", (0.0, 0.0)),
        (["the net sales"], "", ["Net sales."], "", "span", (1.0, 1.0)),
        (["net sales"], "", ["net sales growth"], "", "span", (0.0, 0.8)),
        (["a", "b c"], "", ["b c", "a"], "", "multi-span", (1.0, 1.0)),
        (["x", "y z"], "", ["y z"], "", "multi-span", (0.0, 0.8)),
        (["x"], "", [], "", "span", (0.0, 0.0)),
        (["9"], "", ["9" * 5_000], "", "span", (0.0, 0.0)),
    ],
)
def test_tatqa_exact_match_and_f1(
    golds: list[str],
    gold_scale: str,
    answers: list[str],
    scale: str,
    kind: str,
    expected: tuple[float, float],
) -> None:
    assert tatqa.em_and_f1(golds, gold_scale, answers, scale, kind) == expected


def test_tatqa_reads_the_scale_from_the_reply() -> None:
    asked = task("61.5", scale="million", answer_type="arithmetic")
    assert score(official_tatqa(), r"\boxed{61.5 million}", asked) == 1.0
    assert score(official_tatqa(), r"\boxed{61.5}", asked) == 0.0
    listed = task("b; a", answers=["b", "a"], scale="", answer_type="multi-span")
    assert score(official_tatqa(), r"\boxed{a; b}", listed) == 1.0
    assert score(official_tatqa(), r"\boxed{a}", listed) == 0.0


def test_gsm8k_and_choices() -> None:
    assert score(official_gsm8k(), "so\n#### 1,234", task("1234")) == 1.0
    assert score(official_gsm8k(), "#### 1234.0", task("1234")) == 0.0
    assert score(official_gsm8k(), "#### 5 and #### 1234", task("1234")) == 0.0, "the first one"
    assert score(official_gsm8k(), r"\boxed{1234}", task("1234")) == 0.0
    assert score(official_choice(), "选B、D", task("BD")) == 1.0
    assert score(official_choice(), "B", task("BD")) == 0.0


def test_two_papers_scorers_drop_the_percent_sign() -> None:
    assert score_finreason(task("45.2"), "45.2%") == {"answer": 1.0}
    assert score_finreason(task("-3.5"), "Answer: (3.5)\nbecause") == {"answer": 1.0}
    assert score_finreason(task("1450"), "<think>7</think>1.45 thousand") == {"answer": 1.0}
    assert score_finreason(task("0"), "0.0001") == {"answer": 1.0}
    assert score_finreason(task("net sales"), "Net  Sales") == {"answer": 1.0}
    assert score_financereasoning(task("45.2"), "x = 45.25 million") == {"answer": 1.0}
    assert score_financereasoning(task("45.2"), "45.3") == {"answer": 0.0}
    assert score_financereasoning(task("20916.7"), "20,916.7") == {"answer": 0.0}, "a tuple there"
    assert score_financereasoning(task("True"), "yes") == {"answer": 1.0}
    assert score_financereasoning(task("2"), "1+1") == {"answer": 0.0}, "nothing is evaluated"


def test_golds_are_checked_and_faults_are_no_scores() -> None:
    official_finqa().check_gold(task("0.5"))
    official_choice().check_gold(task("A;C"))
    with pytest.raises(DataError, match="t/1: the gold '28 %' is neither a number nor yes or no"):
        official_finqa().check_gold(task("28 %"))
    with pytest.raises(DataError, match="is no option letter"):
        official_choice().check_gold(task("Cash"))
    with pytest.raises(DataError, match="is empty"):
        official_gsm8k().check_gold(task(" "))
    fault = Trajectory(task("1"), 0, (), (), StopReason.ERROR)
    assert official_gsm8k()(fault).reward is None


def test_they_are_verifiers_by_name() -> None:
    names = [name for name in VERIFIERS if name.startswith("official_")]
    assert len(names) == 4
    for name in names:
        assert isinstance(resolve(name, VERIFIERS, "reward.verifier")(), OfficialVerifier)
