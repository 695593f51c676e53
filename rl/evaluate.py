"""Held-out evaluation: several samples a task at temperature 1, and one greedy answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from configs.schema import EvaluationConfig
from envs.draws import key_of, permute
from envs.types import Task, TaskSet
from rl.seeds import is_thinking, sample_seeds
from rl.tracking import EvaluationRecord, TaskResult
from rollout.types import PROMPT_TOO_LONG, Group, RolloutRequest, Sampling, Trajectory

SET_LABEL = "set"


class GroupLost(Exception):
    """Whoever had the group is gone, or failed: ask for it again, with the next attempt."""


class Rollouts(Protocol):
    """Plays requests on whatever engines there are. May raise GroupLost, but not without end."""

    async def run(self, request: RolloutRequest) -> Group: ...


class Scorer(Protocol):
    """Fills in the score of every trajectory of a group."""

    async def score(self, group: Group) -> Group: ...


def held_out(sets: Mapping[str, TaskSet], num_tasks: int) -> list[Task]:
    """`num_tasks` different tasks, evenly over the sets; fewer where a set is too small for that.

    Always the same ones, whatever the run's seed: the first of each set in a fixed random order.
    Evenly spaced indices would not do, since sets may have their labels in a regular order. Where
    there are several sets, each task has the name of its own as label "set".
    """
    key = key_of("held out")
    chosen = []
    for number, (name, tasks) in enumerate(sets.items()):
        share = num_tasks // len(sets) + (number < num_tasks % len(sets))
        named = {SET_LABEL: name} if len(sets) > 1 else {}
        for place in range(min(share, len(tasks))):
            task = tasks[permute(place, len(tasks), key)]
            chosen.append(replace(task, labels={**task.labels, **named}))
    return chosen


async def play(rollouts: Rollouts, request: RolloutRequest) -> Group:
    """Have a group played, however often it has to be asked for: where no ledger keeps count."""
    while True:
        try:
            return await rollouts.run(request)
        except GroupLost:
            request = replace(request, attempt=request.attempt + 1)


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates the policy that the engines serve, always on the same tasks with the same seeds.

    `slots` is how many sequences the engines decode at once. About twice as many are asked for: so
    engines stay busy, while deadlines and the time of an answer do not depend on `num_tasks`.
    """

    tasks: Sequence[Task]
    config: EvaluationConfig
    rollouts: Rollouts
    scorer: Scorer
    seed: int
    slots: int = 256

    async def run(self, stage: str, policy_version: int, step: int = 0) -> EvaluationRecord:
        """Answer every task, after `step` of the stage (0: at its end).

        One whose samples, or whose greedy answer, have no verdict is left out: a fault is not a
        wrong answer. `len(tasks) - len(results)` says how many, and `prompts_too_long` for how many
        of them the prompt was the cause.
        """
        started = time.monotonic()
        turn = asyncio.Semaphore(1 + 2 * self.slots // (self.config.samples + 1))

        async def in_turn(number: int, task: Task) -> TaskResult | str:
            async with turn:
                return await self._task(number, task)

        outcomes = await asyncio.gather(*(in_turn(i, task) for i, task in enumerate(self.tasks)))
        return EvaluationRecord(
            stage=stage,
            policy_version=policy_version,
            step=step,
            seconds=time.monotonic() - started,
            results=tuple(outcome for outcome in outcomes if isinstance(outcome, TaskResult)),
            prompts_too_long=outcomes.count(PROMPT_TOO_LONG),
        )

    async def _task(self, number: int, task: Task) -> TaskResult | str:
        """The result of one task, or why it is left out."""
        sampled, greedy = await asyncio.gather(
            self._group(-1 - 2 * number, task, 1.0, self.config.samples),
            self._group(-2 - 2 * number, task, 0.0, 1),
        )
        answers = sampled.scored
        if not (answers and greedy.scored):
            return PROMPT_TOO_LONG if sampled.is_prompt_too_long else "error"
        [best] = greedy.scored
        return TaskResult(
            task_id=task.id,
            labels=task.labels,
            thinking=sampled.thinking,
            num_samples=len(answers),
            num_correct=sum(is_correct(t.reward) for t in answers),
            greedy_correct=is_correct(best.reward),
            tokens=sum(t.num_generated for t in answers),
            seconds=sum(t.info["ended"] - t.info["started"] for t in answers),
            reward=sum(t.reward or 0.0 for t in answers) / len(answers),
            terms=_mean_terms(answers),
        )

    async def _group(self, group_id: int, task: Task, temperature: float, count: int) -> Group:
        request = RolloutRequest(
            group_id=group_id,
            task=task,
            seeds=sample_seeds(self.seed, task.id, 0, count),
            thinking=is_thinking(self.seed, task.id, 0, self.config.thinking_share),
            sampling=Sampling(temperature, self.config.max_tokens),
            max_turns=self.config.max_turns,
        )
        return await self.scorer.score(await play(self.rollouts, request))


def _mean_terms(answers: Sequence[Trajectory]) -> dict[str, float]:
    """The mean of each term over the answers that have it."""
    found: dict[str, list[float]] = {}
    for answer in answers:
        for name, value in (answer.score.terms if answer.score else {}).items():
            found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def is_correct(reward: float | None) -> bool:
    """A full score; partial credit is not a correct answer."""
    return reward is not None and reward >= 1.0
