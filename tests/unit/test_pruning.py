"""Which scored groups are trained, and what the others are dropped for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema import StageConfig
from rl.advantages import grpo
from rl.pruning import ADVICE, judge_group
from rollout.types import PROMPT_TOO_LONG, Group, StopReason
from tests.fakes import scored_group, trajectory


@pytest.mark.parametrize(
    ("rewards", "reason"),
    [
        ([0.0, 1.0, 0.0, 0.0], ""),
        ([0.4, 0.5, 0.4, 0.4], ""),
        ([1.0, 1.0, 1.0, 1.0], "all_correct"),
        ([0.0, 0.0, 0.0, 0.0], "all_wrong"),
        ([-1.0, -1.0, -1.0, -1.0], "all_wrong"),
        ([0.5, 0.5, 0.5, 0.5 + 1e-9], "constant"),
        ([1.0, 0.0, None, None], ""),  # half of them is enough
        ([1.0, 0.0, None, None, None], "error"),
        ([1.0, None], "error"),  # one sample compares with nothing
        ([None, None, None, None], "error"),
        ([1.0, 1.0, None], "all_correct"),  # the fault is no zero that would make a difference
        ([0.0, 0.0, None], "all_wrong"),
    ],
)
def test_groups_are_judged(rewards: list[float | None], reason: str) -> None:
    assert judge_group(scored_group(rewards), 0, StageConfig()).reason == reason


def test_a_prompt_that_is_too_long_has_a_reason_of_its_own() -> None:
    samples = [trajectory(i, None, info={"fault": PROMPT_TOO_LONG}) for i in range(4)]
    group = replace(scored_group([]), trajectories=tuple(samples))
    assert judge_group(group, 0, StageConfig()).reason == "prompt_too_long"


def test_groups_without_variance_can_be_kept() -> None:
    keep = StageConfig(keep_zero_variance=True)
    assert not judge_group(scored_group([1.0, 1.0]), 0, keep).reason
    assert judge_group(scored_group([1.0, None]), 0, keep).reason == "error"


@pytest.mark.parametrize(("limit", "keep"), [(2, True), (1, False), (0, False)])
def test_old_groups_are_not_trained(limit: int, keep: bool) -> None:
    stage = StageConfig(max_staleness=limit)
    judged = judge_group(scored_group([0.0, 1.0], version=5), 7, stage)
    assert judged.reason == ("" if keep else "stale")


def test_one_old_sample_or_one_of_unknown_age_makes_a_group_stale() -> None:
    group = scored_group([0.0, 1.0, 1.0], version=7)
    for odd in (trajectory(2, 1.0, version=6), trajectory(2, 1.0, version=None)):
        mixed = Group(0, group.task, (*group.trajectories[:2], odd))
        assert judge_group(mixed, 7, StageConfig()).reason == "stale"
    faulty = trajectory(2, None, version=6)  # will not be trained, so its age does not matter
    mixed = Group(0, group.task, (*group.trajectories[:2], faulty))
    assert not judge_group(mixed, 7, StageConfig()).reason


def cut_group(rewards: list[float | None], cut: list[bool]) -> Group:
    """A group some of whose answers the token limit cut off."""
    samples = tuple(
        trajectory(i, reward, stop_reason=StopReason.LENGTH if is_cut else StopReason.STOP)
        for i, (reward, is_cut) in enumerate(zip(rewards, cut, strict=True))
    )
    return replace(scored_group([]), trajectories=samples)


@pytest.mark.parametrize(
    ("rewards", "cut", "reason"),
    [
        ([0.0, 0.0, 0.0], [True, True, True], "truncated"),
        ([0.3, 0.3, 0.3], [True, True, True], "truncated"),
        ([0.0, 0.0, 0.0], [True, True, False], "all_wrong"),  # one was wrong at its leisure
        ([0.3, 0.3, 0.3], [True, False, True], "constant"),
        ([1.0, 1.0, 1.0], [True, True, True], "all_correct"),
        ([0.0, 0.0, None], [True, True, False], "truncated"),  # a fault says nothing about it
        ([0.0, 1.0, 0.0], [True, False, True], ""),  # there is something to learn
    ],
)
def test_a_group_whose_wrong_answers_were_all_cut_off_says_so(
    rewards: list[float | None], cut: list[bool], reason: str
) -> None:
    assert judge_group(cut_group(rewards, cut), 0, StageConfig()).reason == reason


@pytest.mark.parametrize(
    ("rewards", "reason"),
    [
        ([0.70, 0.75, 0.80], "constant"),
        ([0.70, 0.75, 0.82], ""),
        ([0.95, 1.00, 1.00], "constant"),  # not all of them are right
        ([1.00, 1.05, 1.10], "all_correct"),
        ([-0.1, -0.05, 0.0], "all_wrong"),
    ],
)
def test_scores_within_the_tolerance_are_equal(rewards: list[float | None], reason: str) -> None:
    stage = StageConfig(constant_tolerance=0.1 + 1e-9)
    assert judge_group(scored_group(rewards), 0, stage).reason == reason
    assert not judge_group(scored_group(rewards), 0, StageConfig()).reason


@given(
    rewards=st.lists(st.one_of(st.none(), st.floats(-1, 1)), min_size=2, max_size=8),
    tolerance=st.floats(0, 1),
    size=st.integers(0, 3),
)
def test_a_group_that_is_kept_has_a_gradient_and_enough_verdicts(
    rewards: list[float | None], tolerance: float, size: int
) -> None:
    group = scored_group([*rewards, *[None] * size])
    reason = judge_group(group, 0, StageConfig(constant_tolerance=tolerance)).reason
    verdicts = [reward for reward in rewards if reward is not None]
    enough = len(verdicts) >= max(2, (len(rewards) + size) / 2)
    assert (reason == "error") == (not enough)
    assert not reason or reason in ADVICE
    if not reason:
        assert np.ptp(verdicts) > tolerance
        assert any(grpo(verdicts))
