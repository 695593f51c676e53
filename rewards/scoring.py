"""From a group of trajectories to a group with scores: first the rules, then the judge."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from envs.types import Task
from rewards.judge import Judge, JudgeError
from rewards.pairwise import compare_group
from rewards.routing import (
    Mode,
    Opinion,
    Route,
    combine,
    judge_texts,
    kind_of,
    needs_rules,
    settled,
)
from rewards.rubric import Rubric
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
    except Exception as error:  # a plug-in: its fault is data
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
        return self.by_kind[kind][0](trajectory)

    def check_gold(self, task: Task) -> None:
        """Raise DataError for a gold answer that the rules of its route would reject."""
        kind = kind_of(task, self.routes)
        check = self.check_default if kind is None else self.by_kind[kind][1]
        check(task)


def asks_judge(task: Task, routes: Mapping[str, Route]) -> bool:
    """Whether a task's answers go to the judge after the rules."""
    kind = kind_of(task, routes)
    return kind is not None and routes[kind].mode != Mode.RULE


@dataclass(frozen=True, slots=True)
class Panel:
    """Judges a group that has the rules' scores, by the routes of its task."""

    judge: Judge
    routes: Mapping[str, Route]
    rubrics: Mapping[str, Rubric]

    async def score(self, group: Group) -> Group:
        """The group with final scores. Never raises for a fault of the judge: there is then no
        verdict, and the reason says why."""
        kind = kind_of(group.task, self.routes)
        assert kind is not None, "only tasks with a route come here"
        route, rubric = self.routes[kind], self.rubrics[kind]
        rules = [_rule_of(t) for t in group.trajectories]
        final = [settled(route, t, rule) for t, rule in zip(group.trajectories, rules, strict=True)]
        open_ = [index for index, score in enumerate(final) if score is None]
        asked = [group.trajectories[index] for index in open_]
        if rubric.pairwise:
            opinions = await compare_group(self.judge, rubric, asked, route.opponents)
        else:
            opinions = await asyncio.gather(*(self._opinion(rubric, t) for t in asked))
        for index, opinion in zip(open_, opinions, strict=True):
            final[index] = combine(route, rules[index], opinion)
        return with_scores(group, [score for score in final if score is not None])

    async def _opinion(self, rubric: Rubric, trajectory: Trajectory) -> Opinion:
        try:
            verdict = await self.judge.verdict(rubric, judge_texts(rubric, trajectory))
        except JudgeError as error:
            return Opinion(None, f"judge: {error}", {"judge/no_verdict": 1.0})
        return Opinion(verdict.terms, costs=verdict.costs)


def _rule_of(trajectory: Trajectory) -> Score | None:
    score = trajectory.score
    return None if score is None or score.reason == NO_RULES else score
