"""Scores of a group: a fault, whosever it is, is no verdict and never a number."""

from __future__ import annotations

import pytest

from rewards.scoring import score_group
from rollout.types import Group, Score, StopReason, Trajectory
from tests.fakes import numbered_task, trajectory


def group_of(*trajectories: Trajectory) -> Group:
    return Group(3, numbered_task("task/0"), trajectories, thinking=False, attempt=2)


def test_every_sample_gets_its_own_score_and_nothing_else_changes() -> None:
    group = group_of(trajectory(0, None), trajectory(1, None))
    scored = score_group(group, lambda t: Score(float(t.index), {"answer": 1.0}, "why"))
    assert [t.reward for t in scored.trajectories] == [0.0, 1.0]
    assert (scored.id, scored.thinking, scored.attempt) == (3, False, 2)
    assert scored.trajectories[0].spans is group.trajectories[0].spans


def test_a_sample_that_ended_in_a_fault_is_not_shown_to_the_verifier() -> None:
    seen = []

    def verifier(sample: Trajectory) -> Score:
        seen.append(sample.index)
        return Score(1.0)

    scored = score_group(
        group_of(trajectory(0), trajectory(1, stop_reason=StopReason.ERROR)), verifier
    )
    assert [t.reward for t in scored.trajectories] == [1.0, None]
    assert seen == [0]


def test_a_verifier_that_fails_on_one_sample_leaves_its_siblings_alone() -> None:
    def verifier(sample: Trajectory) -> Score:
        return Score(1.0 / sample.index)

    first, second = score_group(group_of(trajectory(0), trajectory(1)), verifier).trajectories
    assert (first.reward, second.reward) == (None, 1.0)
    assert first.score is not None
    assert first.score.reason.startswith("the verifier failed: ZeroDivisionError")


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_finite_number_is_no_verdict(reward: float) -> None:
    [sample] = score_group(group_of(trajectory()), lambda t: Score(reward)).trajectories
    assert sample.score == Score(None, reason=f"the verifier returned {reward}")


def test_an_abstention_is_kept_with_its_reason() -> None:
    abstention = Score(None, {"judge": 0.5}, "unsure")
    [sample] = score_group(group_of(trajectory()), lambda t: abstention).trajectories
    assert sample.score is abstention
