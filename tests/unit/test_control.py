"""Steering a run through files: requests, answers, status, and what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.virtual_time import simulate
from configs.errors import ConfigError, FaultBudgetSpent
from configs.schema import RolloutConfig, RunConfig
from launch import control
from launch.cli import app
from launch.control import Running, controlled
from launch.resize import check_room, describe, drain, parse_sizes, resize
from launch.workers import Member
from tests.unit.test_pool import Machine, make_pool, until


def refuse(asked: Mapping[str, Any]) -> str:
    raise ConfigError("rollout=0: must be from 1 to 4096")


COMMANDS: dict[str, control.Command] = {
    "scale": lambda asked: f"scaled to {asked['sizes']}",
    "drain": lambda asked: f"{asked['worker']} leaves, now: {asked['now']}",
    "stop": lambda asked: "will stop",
    "refuse": refuse,
}
STATUS = {
    "stage": "reasoning",
    "step": 3,
    "num_steps": 8,
    "policy_version": 5,
    "stopping": False,
    "groups": {"dispatched": 9, "trained": 6, "dropped": 1, "owed": 2, "duplicates": 0},
    "fleets": {
        "rollout": [
            {
                "name": "rollout-0", "state": "healthy", "version": 4, "behind": 1, "under_way": 2,
                "done": 7, "restarts": 1, "restarts_left": 4, "node": "abcdef0123", "pid": 42,
            }
        ],
        "reward": [],
    },
}  # fmt: skip


@contextmanager
def serving(run_dir: Path) -> Iterator[Running]:
    """A run that answers, in another thread."""
    (run_dir / "config.yaml").touch()
    over = threading.Event()

    async def serve() -> None:
        async with controlled(run_dir, COMMANDS, lambda: STATUS):
            while not over.is_set():
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    running = Running(run_dir)
    try:
        while running.status() is None:
            assert thread.is_alive()
        yield running
    finally:
        over.set()
        thread.join()


def test_requests_are_answered_and_leave_nothing_behind(tmp_path: Path) -> None:
    with serving(tmp_path) as run:
        assert run.ask("scale", sizes={"rollout": 3}) == "scaled to {'rollout': 3}"
        with pytest.raises(ConfigError, match="rollout=0: must be from"):
            run.ask("refuse")
        assert [path.name for path in run.folder.glob("*.json")] == ["status.json"]
        assert stat.S_IMODE(run.folder.stat().st_mode) == 0o700
    assert not run.folder.exists()


def test_a_request_that_is_no_request_is_answered_and_harms_nobody(tmp_path: Path) -> None:
    with serving(tmp_path) as run:
        for number, text in enumerate(["{", "[]", '{"command": "explode", "arguments": {}}']):
            (run.folder / f"{number}.request.json").write_text(text)
            answer = run.folder / f"{number}.answer.json"
            while not answer.exists():
                pass
            assert "could not be read" in json.loads(answer.read_text())["error"]
        assert run.ask("stop") == "will stop"


def test_a_run_that_is_over_or_silent_is_told_from_one_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="no run is under way"):
        Running(tmp_path).ask("stop")
    left = tmp_path / "control"
    left.mkdir()
    (left / "status.json").write_text(json.dumps({"time": 0.0}))
    assert Running(tmp_path).status() is None, "a killed run leaves its last status behind"
    with serving(tmp_path) as run:
        assert run.status() is not None
        assert run.status()["step"] == 3  # type: ignore[index]


def test_a_run_that_does_not_answer_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ANSWER_S", 0.3)
    monkeypatch.setattr(Running, "status", lambda self: {"time": 0.0})
    (tmp_path / "control").mkdir()
    with pytest.raises(FaultBudgetSpent, match=r"did not answer within 0\.3 s"):
        Running(tmp_path).ask("stop")
    assert list((tmp_path / "control").iterdir()) == [], "it would be served much later"


def test_the_commands_say_what_the_run_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_dir = tmp_path / "runs" / "tiny"
    run_dir.mkdir(parents=True)

    def said(*arguments: str) -> str:
        outcome = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert outcome.exit_code == 0
        return outcome.output

    with serving(run_dir):
        assert "{'rollout': 4, 'reward': 2}" in said("scale", "tiny", "rollout=4", "reward=2")
        assert "rollout-1 leaves, now: True" in said("drain", str(run_dir), "rollout-1", "--now")
        assert "will stop" in said("stop", "runs/tiny")
        assert json.loads(said("status", "tiny", "--json"))["policy_version"] == 5
        page = said("status", "tiny")
        for part in ("step 3/8 of stage reasoning", "6 trained", "rollout-0", "4 (1 behind)"):
            assert part in page
    (run_dir / "events.jsonl").write_text('{"kind": "run_end", "status": "stopped"}\n')
    assert "is not under way: ended as stopped" in said("status", "tiny")
    for wrong in (("status", "nowhere"), ("scale", "tiny", "rollout"), ("scale", "tiny", "x=-1")):
        with pytest.raises(ConfigError):
            said(*wrong)


@pytest.mark.parametrize("word", ["rollout", "rollout=", "=3", "rollout=-1", "rollout=٣", "r=1.5"])
def test_a_size_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="is not ROLE=COUNT"):
        parse_sizes(["reward=1", word])


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"rollout": 1}, "rollout=1: must be from 2"),
        ({"reward": 0}, "reward=0: must be from 1"),
        ({"reward": 10**6}, "to 4096"),
        ({"reward": 3, "learner": 2}, "learner group keeps its size"),
        ({"envs": 8}, "no environment hosts"),
        ({"wheels": 4}, "no role 'wheels': there are rollout, reward"),
    ],
)
def test_a_size_that_cannot_be_had_changes_nothing(sizes: dict[str, int], reason: str) -> None:
    async def run() -> None:
        pools = {"rollout": make_pool(Machine(), minimum=2), "reward": make_pool(Machine())}
        await asyncio.gather(*(pool.open(2) for pool in pools.values()))
        with pytest.raises(ConfigError, match=reason):
            resize(pools, sizes)
        assert {role: len(pool.members) for role, pool in pools.items()} == {
            "rollout": 2, "reward": 2,
        }  # fmt: skip

    simulate(run())


def test_engines_without_room_are_refused() -> None:
    cpu = RunConfig()
    check_room(cpu, 2, free_gpus=0, free_gib=100)
    check_room(cpu, -3, free_gpus=0, free_gib=0)
    with pytest.raises(ConfigError, match=r"2 more engines take about \d+\.\d GiB, 1\.0 are free"):
        check_room(cpu, 2, free_gpus=0, free_gib=1.0)
    gpu = RunConfig(rollout=RolloutConfig(gpus=2))
    check_room(gpu, 2, free_gpus=4, free_gib=1.0)
    with pytest.raises(ConfigError, match="2 more engines need 4 GPUs, 3 are free"):
        check_room(gpu, 2, free_gpus=3, free_gib=100)


def test_up_down_and_out() -> None:
    async def run() -> None:
        pools = {"rollout": make_pool(Machine())}
        pool = pools["rollout"]
        await pool.open(1)
        assert resize(pools, {"rollout": 3}) == "rollout 1 -> 3, 2 starting"
        await until(lambda: all(m.health.serves for m in pool.alive))
        assert drain(pools, "rollout-0", now=False) == "rollout-0 is gone; groups handed back: 0"
        assert resize(pools, {"rollout": 1}) == "rollout 2 -> 1, 1 leaving"
        await asyncio.sleep(1)
        [left] = describe(pool, policy_version=2)
        assert (left["name"], left["state"], left["behind"]) == ("rollout-1", "healthy", 2)
        with pytest.raises(ConfigError, match="rollout-1 is needed: at least 1 must stay"):
            drain(pools, "rollout-1", now=False)
        with pytest.raises(ConfigError, match="no worker 'rollout-0': there are rollout-1"):
            drain(pools, "rollout-0", now=False)

    simulate(run())


def test_status_of_a_leaver_says_so() -> None:
    async def run() -> None:
        machine = Machine(seconds=50)
        pool = make_pool(machine)
        await pool.open(2)
        member: Member = await pool.acquire()
        work: Awaitable[Any] = asyncio.ensure_future(
            pool.request(member, "run", 1, number=1, seconds=100, what="group 1")
        )
        await asyncio.sleep(1)
        said = drain({"rollout": pool}, member.name, now=False)
        assert said == f"{member.name} leaves when the groups it has are finished: 1"
        assert describe(pool)[0]["state"] == "healthy, leaving"
        await work

    simulate(run())


def test_a_second_stop_ends_the_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from launch.train import Stop

    asked: list[str] = []
    killed: list[tuple[int, int]] = []
    kill: Callable[[int, int], None] = lambda pid, number: killed.append((pid, number))  # noqa: E731
    monkeypatch.setattr(os, "kill", kill)

    async def run() -> None:
        stop = Stop(lambda: asked.append("stop"))
        assert stop().startswith("will stop after the step")
        await asyncio.sleep(2)
        assert (asked, killed) == (["stop"], [])
        assert stop().startswith("ending now")
        await asyncio.sleep(2)
        assert len(asked) == len(killed) == 1

    simulate(run())
