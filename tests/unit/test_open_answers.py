"""Rule checks of open answers, on replies as a policy would write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from configs.errors import ConfigError, DataError
from envs.types import Message, Task
from rewards import form
from rewards.claims import check_citations, check_directions, check_facts
from rewards.open_answers import OpenVerifier
from rewards.tables import Table, read_table
from rollout.types import StopReason, Trajectory

STATEMENT = {
    "columns": ["2022", "2023"],
    "rows": {"Revenue": [120, 150], "Net income": [12, 9], "Margin": [10, 6], "Loans": [80, 80]},
    "unit": "million",
    "units": {"Margin": "percent"},
}


@pytest.fixture(scope="module")
def table() -> Table:
    return read_table(STATEMENT)


@pytest.mark.parametrize(
    "text",
    [
        "Revenue rose by 25% from 120 in 2022 to 150 in 2023.",
        "Revenue came to $150 million, 30 million more than in 2022.",
        "Revenue was 0.15 billion in 2023.",
        "Revenue was 150,000,000.",
        "Net income fell from 12 to 9, or 25 %.",
        "In 2023 net income was 6.0% of revenue.",
        "The margin fell by 4 percentage points to 6%.",
        "Revenue grew. It was 150.",  # the subject of the sentence before
        "1. Revenue: 150\n2. Net income: 9",
        "Over the two years revenue was 270 in total, 135 on average.",
        "In 2022 revenue was 120, then 150.",
        "Revenue was 1.25 times that of the year before.",
    ],
)
def test_figures_that_follow_from_the_table(text: str, table: Table) -> None:
    finding = check_facts(text, table)
    assert not finding.wrong
    assert finding.count > 0


@pytest.mark.parametrize(
    "text",
    [
        "Revenue rose by 31.",
        "Revenue was 150 in 2022.",  # a figure of the other year
        "In 2022 revenue was 150.",
        "In 2022, revenue was 150.",
        "Net income was 150.",  # a figure of another row
        "It was 150.",  # of nothing
        "Revenue rose by 26%.",
        "Revenue rose by 25 percentage points.",  # a percentage is not in points
        "Revenue rose by 25.",  # the percentage without its sign
        "Revenue was $150 thousand.",
        "Revenue rose by twelve million.",
        "Revenue was 150. It will be 180 in 2024.",
        "Net income was (9).",
        "Revenue was 150 and then 150.5.",
        "Revenue rose from 150 to 120.",
        "Revenue went from 150 in 2023 to 120.",
    ],
)
def test_figures_that_do_not(text: str, table: Table) -> None:
    assert check_facts(text, table).wrong


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Revenue rose, while net income fell.", True),
        ("Revenue fell.", False),
        ("Net income declined in 2023.", True),
        ("Revenue rose, while net income grew.", False),
        ("Loans were unchanged.", True),
        ("Revenue was flat.", False),
        ("Net income did not rise.", True),
        ("Revenue did not rise.", False),
        ("Higher revenue, lower margin.", True),
        ("Net income shows a decline of revenue.", False),
        ("Sales rose.", False),  # no such row
        ("营业收入未知，Revenue 增长。", True),
        ("Revenue 下降。", False),
    ],
)
def test_direction_words_are_held_against_signs(text: str, right: bool, table: Table) -> None:
    assert (not check_directions(text, table).wrong) is right


def test_directions_between_the_periods_a_sentence_names() -> None:
    table = read_table({"columns": ["Q1", "Q2", "Q3"], "rows": {"Fees": [10, 20, 15]}})
    assert not check_directions("Fees rose from Q1 to Q2.", table).wrong
    assert not check_directions("Fees fell in Q3.", table).wrong
    assert check_directions("Fees fell in Q2.", table).wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Revenue was 150 [Revenue].", ""),
        ("Revenue was 150 [row 1], net income 9 [2].", ""),
        ("Revenue was 150.", "cites no row"),
        ("Revenue was 150 [Turnover].", "no row of the table"),
        ("Revenue was 150 and net income 9 [Revenue].", "not cited"),
        ("Revenue was 150 [9].", "no row of the table"),
    ],
)
def test_citations(text: str, wrong: str, table: Table) -> None:
    finding = check_citations(text, table)
    assert wrong in finding.wrong
    assert bool(finding.wrong) is bool(wrong)


def test_form() -> None:
    assert form.sections("# Summary\nGood.\n## Risks\nNone.", ["Summary", "Risks"]) == 1.0
    assert form.sections("Risks: none\nSummary: good", ["Summary", "Risks"]) == 0.5
    assert form.sections("# Summary\n# Risks\nNone.", ["Summary", "Risks"]) == 0.5
    assert form.length("one two three", 2, 5) == 1.0
    assert form.length("one two three", 6, 9) == 0.5
    assert form.length("word " * 15, 1, 10) == 0.5
    assert form.length("word " * 40, 1, 10) == 0.0
    assert form.repetition("a b c d a b c d a b c d") < 0.5
    assert form.repetition("Revenue rose by a quarter last year.") == 1.0
    assert form.language("Revenue rose.", "en") == 1.0
    assert form.language("收入增长", "zh") == 1.0
    assert form.language("収入は増えました", "ja") == 1.0
    assert form.language("収入は増えました", "zh") == 0.0
    assert form.language("收入增长", "en") == 0.0


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("Revenue rose by a quarter in 2023, to 150, because the bank had more clients.", 1.0),
        ("Banco de la Nación and Crédit du Nord reported that fees were lower than in 2022.", 1.0),
        ("Fees up, costs down, margin at 6%; headcount flat; no new loans in Q3.", 1.0),
        ("Le chiffre d'affaires a augmenté de 25 % en 2023, grâce à de nouveaux clients.", 0.0),
        ("Der Umsatz ist im Jahr 2023 um 25 % gestiegen, und die Kosten sind gesunken.", 0.0),
        ("Los ingresos aumentaron un 25 % en 2023, y los costes se redujeron.", 0.0),
        ("I ricavi sono aumentati del 25% nel 2023, e i costi si sono ridotti.", 0.0),
        ("Umsatz gestiegen.", 1.0),  # too short: the script alone
    ],
)
def test_english_is_told_from_its_neighbours(text: str, share: float) -> None:
    assert form.language(text, "en") == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(
    ("reply", "visible", "kept"),
    [
        ("Good.", "Good.", True),
        ("<think>\nwell\n</think>\n\nGood.", "Good.", True),
        ("<think>\nwell", "", False),
        ("<think>a</think><think>b</think>Good.", "Good.", False),
        ("Good. <think>a</think> Bad.", "Bad.", False),
        ("<think>a</think>", "", False),
    ],
)
def test_thinking_format(reply: str, visible: str, kept: bool) -> None:
    assert form.split_thinking(reply) == (visible, kept)


def test_refusals() -> None:
    refused = "I cannot write that: the report says 120."
    assert form.refusal(refused, expected=True) == 1.0
    assert form.refusal(refused, expected=False) == 0.0
    assert form.refusal("Fees were 300.", expected=True) == 0.0
    assert form.refusal("I cannot do that. Fees were 300.", True, never=["300"]) == 0.0
    assert form.refusal("I can not do that. Fees were 3000.", True, never=["300"]) == 1.0


@pytest.mark.parametrize(
    ("text", "wanted", "share"),
    [
        ("FEES ROSE", {"upper": True, "words": 2}, 1.0),
        ("Fees rose", {"upper": True, "words": 2}, 0.5),
        ('{"period": "2023"}', {"json": ["period"]}, 1.0),
        ('{"period": "2023"} ok', {"json": ["period"]}, 0.0),
        ("- a\n- b", {"bullets": 2, "lines": 2}, 1.0),
        ("Fees rose. OK", {"ends_with": "OK", "lacks": "fell", "contains": "fees"}, 1.0),
    ],
)
def test_instructions(text: str, wanted: Mapping[str, Any], share: float) -> None:
    assert form.instructions(text, wanted) == share


def comment(reply: str, stop: StopReason = StopReason.STOP, **checks: Any) -> Trajectory:
    checks = checks or {"facts": {}, "direction": {}, "length": {"least": 3, "most": 12}}
    answer = "Revenue rose from 120 to 150."
    task = Task(
        "t/1",
        "finance",
        (Message("user", "Comment on revenue."),),
        answer,
        {},
        {"table": STATEMENT, "checks": checks},
    )
    return Trajectory(task, 0, (), (*task.prompt, Message("assistant", reply)), stop)


def test_terms_and_reward_of_a_comment() -> None:
    verifier = OpenVerifier()
    good = verifier(comment("Revenue rose from 120 to 150."))
    assert (good.reward, good.reason) == (1.0, "all_met")
    assert good.terms == {"facts": 1.0, "direction": 1.0, "length": 1.0, "thinking": 1.0}
    wrong_way = verifier(comment("Revenue fell from 120 to 150."))
    assert wrong_way.terms["direction"] == 0.0
    assert wrong_way.reward == 0.75
    wrong_figure = verifier(comment("Revenue rose from 120 to 151."))
    assert wrong_figure.reward == 0.0  # facts are a gate
    assert "151" in wrong_figure.reason
    assert verifier(comment("It went well this year.")).reward == 0.0  # says nothing checkable


def test_weights_and_gates() -> None:
    weighted = OpenVerifier(weights={"direction": 5.0}, gates=())
    assert weighted(comment("Revenue fell from 120 to 150.")).reward == 3 / 8
    with pytest.raises(ConfigError, match="no term 'fact'"):
        OpenVerifier(weights={"fact": 1.0})


@pytest.mark.parametrize(
    ("reply", "stop", "reward", "reason"),
    [
        ("Revenue rose to 150", StopReason.LENGTH, 0.0, "truncated"),
        ("<think>\nRevenue rose to 150.", StopReason.STOP, 0.0, "no_answer"),
        ("", StopReason.STOP, 0.0, "no_answer"),
        ("Revenue rose. " * 2000, StopReason.STOP, 0.0, "too_long"),
        ("Revenue rose to 150.", StopReason.ERROR, None, "error"),
    ],
)
def test_replies_that_are_not_looked_into(
    reply: str, stop: StopReason, reward: float | None, reason: str
) -> None:
    score = OpenVerifier()(comment(reply, stop))
    assert (score.reward, score.reason) == (reward, reason)


def test_golds_of_open_tasks() -> None:
    verifier = OpenVerifier()
    verifier.check_gold(comment("").task)
    with pytest.raises(DataError, match="own answer"):
        verifier.check_gold(comment("", length={"least": 30}).task)
    with pytest.raises(DataError, match="'lenght' is no check"):
        verifier.check_gold(comment("", lenght={}).task)


def test_any_text_is_scored_in_bounded_time() -> None:
    verifier = OpenVerifier()
    hostile = ["(" * 19_000, "1," * 9_000, "Revenue rose " * 1_500, "1" * 19_000, "[" * 19_000]
    for reply in (*hostile, "\ud800 \x00 \u202e Revenue", "not " * 4_000 + "rose"):
        assert verifier(comment(reply)).reward is not None
