"""Rule checks in processes of their own: what one of them does is not felt by the others."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable

import psutil
import pytest

from configs.errors import ConfigError
from configs.schema import RewardConfig
from envs.types import Message, Task
from rewards.processes import Checkers
from rewards.scoring import Verifier
from rollout.types import Score, StopReason, Trajectory

CHECK_S = 0.6


def check(trajectory: Trajectory) -> Score:
    """Does what the reply says."""
    match trajectory.reply:
        case "loop":
            while True:
                pass
        case "sleep":
            time.sleep(100)
        case "regex":  # within C, where no Python code runs
            re.match(r"(a+)+$", "a" * 60 + "b")
        case "deaf":  # to the process's own alarm: it is killed from outside
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            time.sleep(100)
        case "memory":
            return Score(float(len(bytearray(8 * 1024**3))))
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise ZeroDivisionError("by zero")
        case "system_exit":
            raise SystemExit
    return Score(1.0, {}, str(os.getpid()))


def load(config: RewardConfig) -> Verifier:
    if config.verifier == "wrong":
        raise ConfigError("reward.verifier: no such thing")
    return check


def sample(reply: str) -> Trajectory:
    task = Task("t/1", "fake", (), "")
    return Trajectory(task, 0, (), (Message("assistant", reply),), StopReason.STOP)


def run(test: Callable[[Checkers], Awaitable[None]], check_s: float = CHECK_S) -> None:
    async def whole() -> None:
        checkers = Checkers(load, RewardConfig(check_s=check_s))
        await checkers.start()
        try:
            await test(checkers)
        finally:
            await checkers.close()

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("loop", "did not finish within 0.6 s"),
        ("sleep", "did not finish"),
        ("regex", "did not finish"),
        ("deaf", "did not finish"),
        ("exit", "ended its process with code 3"),
        ("kill", "ended its process"),
        ("memory", "MemoryError"),
        ("raise", "ZeroDivisionError: by zero"),
        ("system_exit", "SystemExit"),
    ],
)
def test_what_goes_wrong_with_one_sample_costs_that_sample_only(reply: str, reason: str) -> None:
    async def test(checkers: Checkers) -> None:
        scores = await checkers.scores([sample("a"), sample(reply), sample("b")])
        assert [score.reward for score in scores] == [1.0, None, 1.0]
        assert reason in scores[1].reason
        assert [s.reward for s in await checkers.scores([sample("c")])] == [1.0]

    run(test)


def test_each_sample_that_hangs_costs_one_deadline() -> None:
    async def test(checkers: Checkers) -> None:
        replies = ("sleep", "a", "exit", "sleep", "b")
        began = time.monotonic()
        scores = await checkers.scores([sample(reply) for reply in replies])
        assert [score.reward for score in scores] == [None, 1.0, None, None, 1.0]
        assert time.monotonic() - began < 4 * CHECK_S

    run(test)


def test_others_go_on_while_one_hangs() -> None:
    async def test(checkers: Checkers) -> None:
        stuck = asyncio.create_task(checkers.scores([sample("regex")]))
        await asyncio.sleep(0.1)
        slowest = 0.0
        while not stuck.done():
            began = time.monotonic()
            assert (await checkers.scores([sample("a")]))[0].reward == 1.0
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < CHECK_S
        assert (await stuck)[0].reward is None

    run(test)


def test_a_process_that_was_killed_while_idle_is_replaced() -> None:
    async def test(checkers: Checkers) -> None:
        [first] = await checkers.scores([sample("a")])
        os.kill(int(first.reason), signal.SIGKILL)
        await asyncio.sleep(0.5)
        for _ in range(4):
            assert (await checkers.scores([sample("a")]))[0].reward == 1.0

    run(test)


def test_processes_end_with_the_checkers() -> None:
    pids: list[int] = []

    async def test(checkers: Checkers) -> None:
        for _ in range(4):
            pids.extend(int(s.reason) for s in await checkers.scores([sample("a")]))

    run(test)
    psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=5)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_verifier_that_cannot_be_made_is_told_at_the_start() -> None:
    async def start() -> None:
        await Checkers(load, RewardConfig(verifier="wrong")).start()

    with pytest.raises(ConfigError, match="no such thing"):
        asyncio.run(start())
