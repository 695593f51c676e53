"""From a group of trajectories to a group with scores: the rules, which come first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from envs.types import Task
from rewards.routing import (
    Mode,
    Route,
    kind_of,
    needs_rules,
)
from rollout.types import Group, Score, StopReason, Trajectory

Verifier = Callable[[Trajectory], Score]
NO_RULES = "not checked by rule"


def score_group(group: Group, verifier: Verifier) -> Group:
    """Score every trajectory by rule.

    There is no verdict where the sample ended in a fault, whatever the verifier, and where the
    verifier itself fails or returns a reward that is no finite number.
    """
    return with_scores(group, [score_one(t, verifier) for t in group.trajectories])


def with_scores(group: Group, scores: Sequence[Score]) -> Group:
    scored = (replace(t, score=s) for t, s in zip(group.trajectories, scores, strict=True))
    return replace(group, trajectories=tuple(scored))


def score_one(trajectory: Trajectory, verifier: Verifier) -> Score:
    if trajectory.stop_reason is StopReason.ERROR:
        return Score(None, reason="error")
    try:
        score = verifier(trajectory)
    except (Exception, SystemExit) as error:  # a plug-in: its fault is data
        return Score(None, reason=f"the verifier failed: {type(error).__name__}: {error}")
    if score.reward is not None and not math.isfinite(score.reward):
        return Score(None, reason=f"the verifier returned {score.reward}")
    return score


@dataclass(frozen=True, slots=True)
class Rules:
    """The rule checks of every kind of task: one verifier by route, and `default` for the rest.

    Called with a trajectory it scores by rule alone; NO_RULES where the rules have no part in it.
    """

    default: Verifier
    check_default: Callable[[Task], None]
    routes: Mapping[str, Route]
    by_kind: Mapping[str, tuple[Verifier, Callable[[Task], None]]]

    def __call__(self, trajectory: Trajectory) -> Score:
        kind = kind_of(trajectory.task, self.routes)
        if kind is None:
            return self.default(trajectory)
        if not needs_rules(self.routes[kind], trajectory):
            return Score(None, reason=NO_RULES)
        score = self.by_kind[kind][0](trajectory)
        if self.routes[kind].mode is not Mode.RULE or score.reward is None:
            return score
        return replace(score, terms={**score.terms, "rule": score.reward})  # nobody adds to it

    def check_gold(self, task: Task) -> None:
        """Raise DataError for a gold answer that the rules of its route would reject."""
        kind = kind_of(task, self.routes)
        check = self.check_default if kind is None else self.by_kind[kind][1]
        check(task)


def asks_judge(task: Task, routes: Mapping[str, Route]) -> bool:
    """Whether a task's answers go to the judge after the rules."""
    kind = kind_of(task, routes)
    return kind is not None and routes[kind].mode != Mode.RULE
