"""Helper processes end at their deadline with all that they started, and the next call works."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from envs.killable import ROOT, HelperPool
from envs.tools import ToolUnavailable

MISCHIEF = "tests.integration.mischief_helper"
DEADLINE_S = 0.5
TARGET = Path("/tmp/assay-mischief")


OTHERS: set[psutil.Process] = set()
"""What tests before have left running, such as multiprocessing's own processes."""


@pytest.fixture(autouse=True)
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    now = set(psutil.Process().children(recursive=True))
    monkeypatch.setattr(sys.modules[__name__], "OTHERS", now)


@pytest.fixture
def pool() -> Iterator[HelperPool]:
    pool = HelperPool(MISCHIEF, size=2)
    yield pool
    pool.close()
    assert wait_for(lambda: not mischief_processes())
    TARGET.unlink(missing_ok=True)


def mischief_processes() -> list[int]:
    return [
        process.pid
        for process in psutil.Process().children(recursive=True)
        if process not in OTHERS and process.status() != psutil.STATUS_ZOMBIE
    ]


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_warm_helper_answers_again_and_again(pool: HelperPool) -> None:
    pids = {pool.call("pid", 5) for _ in range(20)}
    assert len(pids) == 1
    assert pool.call({"a": [1, "é\n"]}, 5) == {"a": [1, "é\n"]}
    assert pool.call("environment", 5).keys() <= {"LC_CTYPE"}  # Python sets it by itself


@pytest.mark.parametrize("request_", ["sleep", "deaf", "child"])
def test_what_hangs_is_killed_at_its_deadline(pool: HelperPool, request_: str) -> None:
    pid = pool.call("pid", 5)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        pool.call(request_, DEADLINE_S)
    assert time.monotonic() - started < DEADLINE_S + 3
    assert wait_for(lambda: not mischief_processes())
    assert pool.call("pid", 5) != pid


def test_a_helper_that_answers_is_kept(pool: HelperPool) -> None:
    pid = pool.call("pid", 5)
    assert pool.call("print", 5) == "print"
    with pytest.raises(TimeoutError, match="by itself"):
        pool.call("late", 5)
    with pytest.raises(ValueError, match="no"):
        pool.call("refuse", 5)
    assert pool.call("pid", 5) == pid


@pytest.mark.parametrize("request_", ["die", "flood"])
def test_what_dies_is_replaced(pool: HelperPool, request_: str) -> None:
    with pytest.raises(ToolUnavailable):
        pool.call(request_, 5)
    assert pool.call("still there?", 5) == "still there?"


def test_limits_of_the_helper_hold(pool: HelperPool) -> None:
    with pytest.raises(ValueError, match="too much memory"):
        pool.call("memory", 5)
    with pytest.raises((RuntimeError, ToolUnavailable)):
        pool.call("write", 5)
    assert not TARGET.exists() or TARGET.stat().st_size == 0
    with pytest.raises(RuntimeError, match="a bug"):
        pool.call("bug", 5)
    assert pool.call(1, 5) == 1


def test_a_busy_pool_serves_others_and_says_when_it_cannot(pool: HelperPool) -> None:
    errors: list[Exception] = []

    def hang() -> None:
        try:
            pool.call("sleep", 3.0)
        except TimeoutError as error:
            errors.append(error)

    threads = [threading.Thread(target=hang) for _ in range(2)]
    threads[0].start()
    assert pool.call("quick", 5) == "quick"
    threads[1].start()
    assert wait_for(lambda: len(mischief_processes()) == 2)
    time.sleep(0.2)
    with pytest.raises(ToolUnavailable, match="busy"):
        pool.call("quick", 0.05)
    for thread in threads:
        thread.join()
    assert len(errors) == 2


def test_helpers_end_with_their_host_however_it_ends() -> None:
    script = (
        "from envs.killable import HelperPool; import os, signal, sys\n"
        f"pool = HelperPool({MISCHIEF!r}); print(pool.call('pid', 5), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": ROOT}
    host = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert wait_for(lambda: not psutil.pid_exists(int(host.stdout)))
