"""Environment hosts that are killed, stopped, resized, or have hanging tools, in the middle of a
stage of real Ray actors."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from configs import faultpoints
from configs.schema import DeadlinesConfig, HostsConfig
from launch.resize import resize
from rl.jsonl import read_log
from tests.fakes import NumberedTasks
from tests.faults.trials import Attempt, Trial, kill, mixed, pid, play

ENV = "tests.integration.environments:Tools"

pytestmark = pytest.mark.usefixtures("ray_cluster")


def tool_trial(folder: Path, disturb: Any = None, hosts: int = 2, **config: Any) -> Trial:
    folder = folder / "run"
    deadlines = DeadlinesConfig(2.0, 6.0, 40.0, 60.0, 100.0, 200.0)
    config = {"steps": 4, "max_turns": 3, "max_tokens": 60, "deadlines": deadlines, **config}
    attempt = Attempt(mixed(NumberedTasks(50, env=ENV)))
    return play(folder, disturb, attempt=attempt, hosts=HostsConfig(workers=hosts), **config)


def samples(trial: Trial) -> list[dict[str, Any]]:
    return read_log(trial.folder / "trajectories.jsonl")


def errors(trial: Trial) -> list[dict[str, Any]]:
    return [line for line in samples(trial) if line["stop_reason"] == "error"]


async def under_way(trial: Trial) -> None:
    await trial.until(lambda: trial.controller.step >= 1, "a step was made")


def test_episodes_are_played_on_hosts(tmp_path: Path) -> None:
    async def look(trial: Trial) -> None:
        await under_way(trial)
        assert trial.fleets.rollouts.hosts is not None
        status = trial.fleets.status(0)["fleets"]["envs"]
        assert [worker["state"] for worker in status] == ["healthy", "healthy"]

    trial = tool_trial(tmp_path, look)
    assert not errors(trial)
    results = [m["content"] for line in samples(trial) for m in line["messages"]]
    assert "3" in results
    assert "waited" in results


def test_a_host_that_is_killed_costs_its_episodes(tmp_path: Path) -> None:
    async def disturb(trial: Trial) -> None:
        await under_way(trial)
        assert trial.fleets.rollouts.hosts is not None
        killed = trial.fleets.rollouts.hosts.pool.members[0]
        kill(killed)
        await trial.until(lambda: killed.health.life == 1 and killed.health.serves, "replaced")

    trial = tool_trial(tmp_path, disturb, steps=6)
    [fault] = [f for f in trial.events("fault") if f["worker"] == "envs-0"]
    assert fault["fault_class"] == "infrastructure"
    assert len(errors(trial)) < len(samples(trial)) / 2, "and no other"


def test_a_host_that_is_stopped_is_replaced(tmp_path: Path) -> None:
    async def disturb(trial: Trial) -> None:
        await under_way(trial)
        assert trial.fleets.rollouts.hosts is not None
        stopped = trial.fleets.rollouts.hosts.pool.members[1]
        kill(stopped, signal.SIGSTOP)
        await trial.until(
            lambda: stopped.health.life == 1 and stopped.health.serves, "it was replaced"
        )

    trial = tool_trial(tmp_path, disturb, steps=8)
    assert next(f["worker"] for f in trial.events("fault")) == "envs-1"


def test_hosts_are_added_and_leave(tmp_path: Path) -> None:
    async def disturb(trial: Trial) -> None:
        await under_way(trial)
        assert trial.fleets.rollouts.hosts is not None
        pool = trial.fleets.rollouts.hosts.pool
        first = psutil.Process(pid(pool.members[0]))
        assert resize(trial.fleets.pools, {"envs": 3}) == "envs 1 -> 3, 2 starting"
        await trial.until(
            lambda: sum(m.health.serves for m in pool.alive) == 3, "three hosts served"
        )
        pool.drain(pool.members[0])
        await asyncio.to_thread(first.wait, 30)

    trial = tool_trial(tmp_path, disturb, hosts=1, steps=10)
    assert not errors(trial), "who leaves finishes what it has"


@pytest.mark.parametrize("action", ["kill@9", "raise@9", "sleep:20@9"])
def test_a_host_that_is_struck_in_a_step(
    action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One episode, or those of one host, are faults; the others are trained."""
    monkeypatch.setenv(faultpoints.VARIABLE, f"envs.before_step={action}")
    trial = tool_trial(tmp_path, steps=6)
    assert 0 < len(errors(trial)) < len(samples(trial)) / 2
    assert all(line["reward"] is None for line in errors(trial))


def test_a_host_that_fails_in_its_start_comes_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(faultpoints.VARIABLE, "envs.start=kill@1")
    trial = tool_trial(tmp_path)
    assert not errors(trial)
    assert {fault["worker"] for fault in trial.events("fault")} == {"envs-0", "envs-1"}


def test_a_rollout_worker_that_is_started_anew_finds_the_hosts(tmp_path: Path) -> None:
    async def disturb(trial: Trial) -> None:
        await under_way(trial)
        kill(trial.pool.members[0])
        await trial.until(lambda: trial.pool.members[0].health.life == 1, "it was started anew")
        await trial.until(lambda: trial.pool.members[0].served > 0, "it played a group")

    tool_trial(tmp_path, disturb, workers=1, steps=10)
