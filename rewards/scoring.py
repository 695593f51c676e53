"""From a group of trajectories to a group with scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rollout.types import Group, Score, StopReason, Trajectory

Verifier = Callable[[Trajectory], Score]


def score_group(group: Group, verifier: Verifier) -> Group:
    """Score every trajectory. One that ended in a fault has no verdict, whatever the verifier."""
    return replace(
        group,
        trajectories=tuple(
            replace(t, score=Score(None, reason="error"))
            if t.stop_reason is StopReason.ERROR
            else replace(t, score=verifier(t))
            for t in group.trajectories
        ),
    )
