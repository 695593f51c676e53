"""From the rules' scores of a group to its final ones: the judge, which comes after them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rewards.calibration import Calibration, GoldCase, calibrate
from rewards.judge import Judge, JudgeError
from rewards.pairwise import compare_group
from rewards.routing import Opinion, Route, combine, judge_texts, kind_of, settled
from rewards.rubric import Rubric
from rewards.scoring import NO_RULES, with_scores
from rollout.types import Group, Score, Trajectory


@dataclass(frozen=True, slots=True)
class Panel:
    """Judges a group that has the rules' scores, by the routes of its task."""

    judge: Judge
    routes: Mapping[str, Route]
    rubrics: Mapping[str, Rubric]
    gold: Mapping[str, Sequence[GoldCase]] = field(default_factory=dict)

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

    async def calibrate(self) -> dict[str, Calibration]:
        """The judge on the gold set of every route that has one."""
        return {
            kind: await calibrate(self.judge, self.rubrics[kind], cases)
            for kind, cases in self.gold.items()
        }

    async def _opinion(self, rubric: Rubric, trajectory: Trajectory) -> Opinion:
        try:
            verdict = await self.judge.verdict(rubric, judge_texts(rubric, trajectory))
        except JudgeError as error:
            return Opinion(None, f"judge: {error}", {"judge/no_verdict": 1.0})
        return Opinion(verdict.terms, costs=verdict.costs)


def _rule_of(trajectory: Trajectory) -> Score | None:
    score = trajectory.score
    return None if score is None or score.reason == NO_RULES else score
