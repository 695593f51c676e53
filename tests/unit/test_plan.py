"""The plan of a run, as `--dry-run` prints it."""

from __future__ import annotations

from configs.load import load
from launch.plan import make_plan


def test_a_run_with_every_fleet_plans_each_of_them_once() -> None:
    roles = [role.name for role in make_plan(load("quickstart")).roles]
    assert roles == ["controller", "rollout", "learner", "reward", "envs", "judge"]
