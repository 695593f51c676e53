"""Training while the judge's server is down, for a while and for good.

The loop, the judge and the HTTP are real; engines and learner are not.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from configs.errors import FaultBudgetSpent
from configs.schema import StageConfig
from envs.types import Message
from launch.local import LocalScorer
from rewards.judge import Judge, Limits
from rewards.judge_server import ServerBackend
from rewards.panel import Panel
from rewards.routing import Mode, Route
from rewards.rubric import load_rubric
from rewards.scoring import Rules
from rl.controller import Controller
from rl.verdicts import VerdictWatch
from rollout.types import Group, RolloutRequest, Score, Trajectory
from tests.fakes import FakeRollouts, Fate, Saves, World, make_controller
from tests.scripted_judge import ScriptedJudge

ROUTES = {"commentary": Route(Mode.JUDGE, rubric="commentary")}
UP, DOWN = ("good", "gaps"), ("down",)
"""What its server does, request by request."""


class Writers(FakeRollouts):
    """Every other task is a comment; its samples say different things."""

    async def run(self, request: RolloutRequest) -> Group:
        judged = request.group_id % 2 == 0
        task = replace(request.task, labels={"task": "commentary" if judged else "plain"})
        group = await FakeRollouts.run(self, replace(request, task=task))
        samples = (
            replace(t, messages=(Message("assistant", f"Fees rose by {request.group_id}{i} %."),))
            for i, t in enumerate(group.trajectories)
        )
        return replace(group, trajectories=tuple(samples))


def by_index(trajectory: Trajectory) -> Score:
    return Score(float(trajectory.index % 2))


def controller_of(
    world: World, saves: Saves, url: str, stage: StageConfig, limit: float = 0.6
) -> Controller:
    def no_check(task: object) -> None:
        return None

    rules = Rules(by_index, no_check, ROUTES, {"commentary": (by_index, no_check)})
    judge = Judge(ServerBackend(url, "m"), Limits(deadline_s=1.5, attempts=2))
    judge.breaker.cool_down_s, judge.breaker.longest_s = 0.05, 0.1
    panel = Panel(judge, ROUTES, {"commentary": load_rubric("commentary")})
    controller = make_controller(stage, world, saves)
    controller.parts = replace(
        controller.parts, rollouts=Writers(world), scorer=LocalScorer(rules, panel)
    )
    controller.verdicts = VerdictWatch(limit, steps=stage.max_empty_steps)
    return controller


def fast_world() -> World:
    fate = Fate((0.0, 1.0, 0.0, 1.0), seconds=0.05)
    return World(lambda request: fate, train_s=0.05, publish_s=0.01)


STAGE = StageConfig(steps=14, batch_size=4, group_size=4, max_empty_steps=5, refill_budget=1.0)


def test_an_outage_masks_what_is_judged_and_training_goes_on() -> None:
    world, saves, server = fast_world(), Saves(), ScriptedJudge(script=UP)

    async def run() -> Controller:
        async with server.serving():
            controller = controller_of(world, saves, server.url(), STAGE, limit=1.0)

            async def outage() -> None:
                while controller.step < 4:
                    await asyncio.sleep(0.01)
                server.script = DOWN
                while controller.step < 7:
                    await asyncio.sleep(0.01)
                server.script = UP

            await asyncio.gather(controller.run(), outage())
            return controller

    controller = asyncio.run(run())
    assert controller.step == STAGE.steps
    metrics = [record.metrics for record in world.records]
    missing = [step.get("reward/no_verdict", 0.0) for step in metrics]
    assert missing[0] == 0.0
    assert missing[-1] == 0.0
    assert max(missing) > 0.2
    assert all(step["group/trained"] >= 2 for step in metrics)  # those that rules score
    assert sum(step.get("judge/no_verdict", 0.0) for step in metrics) > 0
    assert sum(step.get("group/dropped/error", 0.0) for step in metrics) > 0


def test_a_judge_that_is_down_for_good_ends_the_run_with_the_cause() -> None:
    world, saves, server = fast_world(), Saves(), ScriptedJudge(script=DOWN)

    async def run() -> None:
        async with server.serving():
            await controller_of(world, saves, server.url(), STAGE).run()

    with pytest.raises(FaultBudgetSpent, match=r"100% of the commentary .*judge: "):
        asyncio.run(run())
    assert max(saves.states) == STAGE.max_empty_steps - 1  # resumable from there
    assert server.hits["down"] < 100  # the breaker's probes, not one request a sample
