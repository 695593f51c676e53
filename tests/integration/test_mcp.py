"""A real MCP server, over stdio and over HTTP: called, late, wrong, killed, and back again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from configs.errors import ConfigError
from envs.mcp_server import McpEnv, ServerGone, connections, load_mcp
from envs.types import Message, Task, ToolCall
from launch.machine import free_port

SCRIPT = str(Path(__file__).with_name("mcp_tools.py"))


def call(name: str, **arguments: Any) -> Message:
    return Message("assistant", "", (ToolCall(name, arguments),))


def told(env: McpEnv, name: str, **arguments: Any) -> tuple[str, str]:
    [record] = env.step(call(name, **arguments)).calls
    return record.error, record.result


def played(task: Task) -> McpEnv:
    env = McpEnv()
    assert [tool.name for tool in env.reset(task).tools] == ["divide", "sleep", "visits", "die"]
    return env


@pytest.fixture
def stdio() -> Iterator[Task]:
    yield load_mcp(command=[sys.executable, SCRIPT], size=5, timeout_s=3.0)[0]
    for server in connections()._servers.values():
        server.close()


def test_a_server_over_stdio(stdio: Task) -> None:
    env, other = played(stdio), played(stdio)
    assert told(env, "divide", a=6, b=4) == ("", "1.5")
    assert told(env, "divide", a=6, b=0)[0] == "refused"
    assert told(env, "divide", a="six", b=4)[0] == "invalid_arguments"
    assert told(env, "multiply", a=6, b=4)[0] == "unknown_tool"
    assert told(env, "divide", a=6, b=4, places=2) == (
        "invented_argument",
        '{"error": "invented_argument", "message": "no parameter \'places\'; divide has a, b"}',
    )
    assert told(env, "visits", place="here")[0] == "invented_argument"
    assert told(env, "sleep", seconds=9) == (
        "deadline",
        '{"error": "deadline", "message": "no answer within 3 s"}',
    )
    assert [told(e, "visits")[1] for e in (env, other)] == ["1", "2"], "one server for all"
    assert env.step(Message("assistant", "1.5")).done


def test_a_server_that_dies_is_a_fault_and_is_started_again(stdio: Task) -> None:
    env = played(stdio)
    with pytest.raises(ServerGone, match="is gone"):
        env.step(call("die"))
    with pytest.raises(ServerGone):
        env.step(call("divide", a=6, b=4))
    assert told(played(stdio), "divide", a=6, b=4) == ("", "1.5")


def test_a_server_of_its_own_for_each_episode() -> None:
    task = load_mcp(f"{sys.executable} {SCRIPT}", size=1, shared=False)[0]
    env, other = played(task), played(task)
    assert [told(e, "visits")[1] for e in (env, other)] == ["1", "1"]
    env.close()
    other.close()
    deadline = time.monotonic() + 10
    while any(SCRIPT in p.cmdline() for p in psutil.Process().children()):
        assert time.monotonic() < deadline, "a server is left behind"
        time.sleep(0.05)


def test_a_server_that_never_answers_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.mcp_server.CONNECT_S", 0.5)
    mute = "import time; time.sleep(600)"
    before = set(psutil.Process().children())
    with pytest.raises(ServerGone, match="no answer within"):
        McpEnv().reset(load_mcp([sys.executable, "-c", mute], size=1)[0])
    deadline = time.monotonic() + 20
    while set(psutil.Process().children()) - before:
        assert time.monotonic() < deadline, "it was left behind"
        time.sleep(0.1)


def test_a_server_over_http() -> None:
    port = free_port("127.0.0.1")
    task = load_mcp(url=f"http://127.0.0.1:{port}/mcp", size=1)[0]
    with pytest.raises(ServerGone, match="ConnectError"):
        McpEnv().reset(task)
    server = subprocess.Popen([sys.executable, SCRIPT, str(port)], stderr=subprocess.DEVNULL)
    try:
        env = once_it_is_up(task)
        assert told(env, "divide", a=6, b=4) == ("", "1.5")
        server.kill()
        server.wait()
        with pytest.raises(ServerGone):
            env.step(call("divide", a=6, b=4))
        server = subprocess.Popen([sys.executable, SCRIPT, str(port)], stderr=subprocess.DEVNULL)
        assert told(once_it_is_up(task), "divide", a=6, b=4) == ("", "1.5")
    finally:
        server.kill()
        server.wait()


def once_it_is_up(task: Task) -> McpEnv:
    deadline = time.monotonic() + 60
    while True:
        try:
            return played(task)
        except ServerGone:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_what_a_server_is_told_by() -> None:
    for given in ({}, {"command": "x", "url": "http://x"}):
        with pytest.raises(ConfigError, match="either command"):
            load_mcp(size=1, **given)
    with pytest.raises(ConfigError, match="set path"):
        load_mcp(url="http://x")
    missing = load_mcp("no-such-program-anywhere", size=1)[0]
    with pytest.raises(ServerGone, match="FileNotFoundError"):
        McpEnv().reset(missing)


def test_rows_are_the_tasks(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"prompt": "{i} / 2?", "answer": {i / 2}}}\n' for i in range(50)))
    train, held_out = (
        load_mcp(url="http://x", path=str(rows), split=s) for s in ("train", "heldout")
    )
    assert len(train) + len(held_out) == 50
    task = train[0]
    assert task.env == "envs.mcp_server:McpEnv"
    assert task.answer
    assert train.fingerprint != held_out.fingerprint
    assert train.fingerprint == load_mcp(url="http://x", path=str(rows)).fingerprint
    assert train.fingerprint != load_mcp(url="http://y", path=str(rows)).fingerprint
