"""From a group of trajectories to a group with scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from rollout.types import Group, Score, StopReason, Trajectory

Verifier = Callable[[Trajectory], Score]


def score_group(group: Group, verifier: Verifier) -> Group:
    """Score every trajectory.

    There is no verdict where the sample ended in a fault, whatever the verifier, and where the
    verifier itself fails or returns a reward that is no finite number.
    """
    scored = tuple(replace(t, score=_score(t, verifier)) for t in group.trajectories)
    return replace(group, trajectories=scored)


def _score(trajectory: Trajectory, verifier: Verifier) -> Score:
    if trajectory.stop_reason is StopReason.ERROR:
        return Score(None, reason="error")
    try:
        score = verifier(trajectory)
    except Exception as error:  # a plug-in: its fault is data
        return Score(None, reason=f"the verifier failed: {type(error).__name__}: {error}")
    if score.reward is not None and not math.isfinite(score.reward):
        return Score(None, reason=f"the verifier returned {score.reward}")
    return score
