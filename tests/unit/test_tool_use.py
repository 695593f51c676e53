"""Rewards of episodes with tools: right ones from 1 up, wrong ones under it, conduct told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import ConfigError, DataError
from envs.tools import CallError
from envs.types import CallRecord, Message, Task, ToolCall
from rewards.tool_use import CONDUCT, ToolUseVerifier
from rl.evaluate import is_correct
from rollout.types import Score, Span, StopReason, Trajectory, Turn

GOLD = [[{"name": "calculate", "arguments": {"expression": "384 / 12"}}]]


def episode(
    reply: str = "\\boxed{32}",
    errors: tuple[str, ...] = ("",),
    state: float | None = None,
    **task: Any,
) -> Trajectory:
    fields = {"answer": "32", "metadata": {"gold_calls": GOLD}, **task}
    asked = Task("t/1", "envs.t:Env", (Message("user", "384 / 12?"),), **fields)
    calls = tuple(CallRecord(ToolCall("calculate", {}), "32", error) for error in errors)
    written = Span(np.zeros(100, np.int32), np.zeros(100, np.float32), 0)
    return Trajectory(
        asked, 0, (written,), (Message("assistant", reply),), StopReason.STOP, 2,
        turns=(Turn(0.1, 0.1, calls), Turn(0.1)), env_reward=state,
    )  # fmt: skip


VERIFIER = ToolUseVerifier()
FULL = 1 + sum(CONDUCT.values())


def test_a_right_answer_with_the_calls_it_needs() -> None:
    score = VERIFIER(episode())
    assert score.reward == pytest.approx(FULL)
    assert score.terms == {
        **{"answer": 1, "validity": 1, "grounding": 1, "necessity": 1, "efficiency": 1},
        "brevity": pytest.approx(1 - 100 / 1024),
    }


@pytest.mark.parametrize(
    ("errors", "term", "value"),
    [
        (("invalid_json", "", ""), "validity", 0.0),
        (("invalid_arguments",), "validity", 0.0),
        (("unknown_tool", "", "", ""), "grounding", 0.0),
        (("invented_argument",), "grounding", 0.0),
        ((), "necessity", 0.0),
        (("", "", "", ""), "efficiency", 0.25),
        (("refused", "failed", "deadline"), "validity", 1.0),
        (("refused", "failed", "deadline"), "grounding", 1.0),
    ],
)
def test_conduct_term_by_term(errors: tuple[str, ...], term: str, value: float) -> None:
    score = VERIFIER(episode(errors=errors))
    assert score.terms[term] == pytest.approx(value)
    assert score.reward is not None
    assert 1 <= score.reward <= FULL


@settings(max_examples=40)
@given(
    st.booleans(),
    st.lists(st.sampled_from(["", *CallError]), max_size=6),
    st.sampled_from([None, 0.0, 0.5, 1.0]),
    st.dictionaries(st.sampled_from(list(CONDUCT)), st.floats(0, 10)),
)
def test_conduct_never_makes_up_for_the_outcome(
    right: bool, errors: list[str], state: float | None, weights: dict[str, float]
) -> None:
    reply = "\\boxed{32}" if right else "\\boxed{7}"
    score = ToolUseVerifier(weights=weights)(episode(reply, tuple(errors), state))
    assert is_correct(score.reward) == (right and state in (None, 1.0))


def test_the_final_state_counts_beside_the_answer_or_alone() -> None:
    half = VERIFIER(episode(state=0.0))
    assert half.reward == pytest.approx(0.5 - CONDUCT["brevity"])
    assert (half.terms["state"], half.reason) == (0.0, "equal; wrong state")
    assert VERIFIER(episode(state=1.0)).reward == pytest.approx(FULL)
    alone = VERIFIER(episode(reply="Done.", state=1.0, answer=""))
    assert alone.reward == pytest.approx(FULL)
    assert "answer" not in alone.terms
    assert VERIFIER(episode(answer="")).reward is None


def test_a_mistake_weighs_by_the_calls_that_are_needed_however_many_are_made() -> None:
    def validity(errors: tuple[str, ...], needed: int) -> float:
        metadata = {"gold_calls": GOLD * needed}
        return VERIFIER(episode(errors=errors, metadata=metadata)).terms["validity"]

    assert validity(("invalid_json", ""), 2) == 0.5
    assert validity(("invalid_json", *[""] * 30), 2) == 0.5
    assert validity(("invalid_json",) * 3, 2) == 0.0
    assert validity(("invalid_json",), 0) == 0.0


def test_answer_and_state_have_weights() -> None:
    def reward(**weights: float) -> float | None:
        return ToolUseVerifier(weights={**dict.fromkeys(CONDUCT, 0.0), **weights})(
            episode(state=0.0)
        ).reward

    assert (reward(), reward(answer=3.0), reward(state=0.0)) == (0.5, 0.75, 1.0)
    with pytest.raises(ConfigError, match="nothing is right"):
        reward(answer=0.0, state=0.0)


def test_the_rewards_of_an_environment_have_a_range() -> None:
    def score(reward: float) -> Score:
        return ToolUseVerifier(state_range=(-1.0, 4.0))(episode(answer="", state=reward))

    assert score(-1.0).terms["state"] == 0
    assert score(1.5).terms["state"] == 0.5
    assert score(4.0).reason == "right state"
    beyond = score(4.5)
    assert (beyond.reward, beyond.terms) == (None, {})
    assert beyond.reason == "the environment's reward 4.5 is not within state_range, -1 to 4"
    with pytest.raises(ConfigError, match="is 1 to 1, must rise"):
        ToolUseVerifier(state_range=(1.0, 1.0))


def test_calls_where_none_are_needed() -> None:
    score = VERIFIER(episode(metadata={"gold_calls": []}))
    assert (score.terms["necessity"], score.terms["efficiency"]) == (0, 0)
    without = VERIFIER(episode(errors=(), metadata={"gold_calls": []}))
    assert (without.terms["necessity"], without.terms["efficiency"]) == (1, 1)
    unknown = VERIFIER(episode(metadata={}))
    assert not {"necessity", "efficiency"} & unknown.terms.keys()


def test_plain_questions_and_faults() -> None:
    plain = episode(errors=())
    plain = Trajectory(Task("q/1", "q", (), "32"), 0, plain.spans, plain.messages, StopReason.STOP)
    assert VERIFIER(plain).terms == {"answer": 1.0}
    fault = Trajectory(plain.task, 0, (), (), StopReason.ERROR)
    assert VERIFIER(fault).reward is None


def test_golds_and_arguments_are_checked() -> None:
    VERIFIER.check_gold(episode().task)
    VERIFIER.check_gold(episode(answer="").task)
    with pytest.raises(DataError):
        VERIFIER.check_gold(episode(answer="\\boxed{").task)
    with pytest.raises(ConfigError, match="did you mean 'validity'"):
        ToolUseVerifier(weights={"valdity": 1})
    with pytest.raises(ConfigError, match="must not be under 0"):
        ToolUseVerifier(weights={"validity": -1})
    with pytest.raises(ConfigError, match="neither one of"):
        ToolUseVerifier(answer="nummeric")
    assert ToolUseVerifier(answer_args={"tolerance": 0.5})(episode("\\boxed{40}")).reward > 1  # type: ignore[operator]
