"""A real MCP server, over stdio and over HTTP: called, late, wrong, killed, and back again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcp import Client

from configs.errors import ConfigError
from envs.mcp_server import McpEnv, ServerGone, connections, load_mcp
from envs.types import Message, Task, ToolCall
from launch.machine import free_port
from tests.integration.mcp_private import SECRET

SCRIPT = str(Path(__file__).with_name("mcp_tools.py"))
BUSY = str(Path(__file__).with_name("mcp_busy.py"))
PRIVATE = str(Path(__file__).with_name("mcp_private.py"))


def call(name: str, **arguments: Any) -> Message:
    return Message("assistant", "", (ToolCall(name, arguments),))


def told(env: McpEnv, name: str, **arguments: Any) -> tuple[str, str]:
    [record] = env.step(call(name, **arguments)).calls
    return record.error, record.result


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every episode is closed, as those who play them do."""
    made: list[McpEnv] = []
    begin = McpEnv.__init__

    def init(env: McpEnv) -> None:
        begin(env)
        made.append(env)

    monkeypatch.setattr(McpEnv, "__init__", init)
    yield
    for env in made:
        env.close()


def played(task: Task) -> McpEnv:
    env = McpEnv()
    tools = [tool.name for tool in env.reset(task).tools]
    assert tools == ["divide", "sleep", "visits", "meet", "die"]
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


@pytest.mark.parametrize("shared", [True, False])
def test_calls_of_a_turn_travel_together_unless_the_server_keeps_state(shared: bool) -> None:
    command = [sys.executable, SCRIPT]
    env = played(load_mcp(command, size=1, shared=shared, timeout_s=3.0 + shared)[0])
    step = env.step(Message("assistant", "", (ToolCall("meet", {}),) * 2))
    assert [c.error for c in step.calls] == (["", ""] if shared else ["deadline", ""])
    env.close()


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


def test_a_server_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port("127.0.0.1")
    task = load_mcp(url=f"http://127.0.0.1:{port}/mcp", size=1)[0]
    monkeypatch.setattr("envs.mcp_server.AWAY_S", 0.0)
    with pytest.raises(ServerGone, match="ConnectError"):
        McpEnv().reset(task)
    with serving(SCRIPT, port) as server:
        env = once_it_is_up(task)
        assert told(env, "divide", a=6, b=4) == ("", "1.5")
        server.kill()
        server.wait()
        with pytest.raises(ServerGone):
            env.step(call("divide", a=6, b=4))
    with serving(SCRIPT, port):
        assert told(once_it_is_up(task), "divide", a=6, b=4) == ("", "1.5")


def test_a_server_that_is_away_is_waited_for() -> None:
    port = free_port("127.0.0.1")
    task = load_mcp(url=f"http://127.0.0.1:{port}/mcp", size=1)[0]
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(played, task) for _ in range(3)]
        time.sleep(1.5)
        assert not any(episode.done() for episode in waiting)
        with serving(SCRIPT, port):
            for episode in waiting:
                assert told(episode.result(60), "divide", a=6, b=4) == ("", "1.5")


def test_a_server_that_wants_fewer_requests_is_asked_again() -> None:
    port = free_port("127.0.0.1")
    task = load_mcp(url=f"http://127.0.0.1:{port}/mcp", size=1)[0]
    calls = tuple(ToolCall("look", {"number": n}) for n in range(6))
    with serving(BUSY, port):
        env = once_it_is_up(task)
        step = env.step(Message("assistant", "", calls))
        assert [(c.error, c.result) for c in step.calls] == [("", str(n)) for n in range(6)]
        assert env.step(Message("assistant", "", calls[:1])).calls[0].error == ""


def test_a_server_that_says_nothing_keeps_nobody_from_another(
    stdio: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envs.mcp_server.CONNECT_S", 8.0)
    mute = load_mcp([sys.executable, "-c", "import time; time.sleep(600)"], size=1)[0]
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(McpEnv().reset, mute)
        time.sleep(0.2)
        assert told(played(stdio), "divide", a=6, b=4) == ("", "1.5")
        assert not waiting.done()
        with pytest.raises(ServerGone):
            waiting.result()


def test_a_server_that_was_started_again_between_two_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.mcp_server.Client", partial(Client, mode="legacy"))  # with sessions
    port = free_port("127.0.0.1")
    task, other = (
        load_mcp(url=f"http://127.0.0.1:{port}/mcp", size=1, timeout_s=t)[0] for t in (8, 9)
    )
    with serving(SCRIPT, port):
        env = once_it_is_up(task)
    with serving(SCRIPT, port):
        once_it_is_up(other)
        with pytest.raises(ServerGone):
            env.step(call("divide", a=6, b=4))
        assert told(played(task), "divide", a=6, b=4) == ("", "1.5"), "connected anew"


def test_a_secret_reaches_a_server_over_stdio(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = [sys.executable, PRIVATE]
    named = load_mcp(command, size=1, env=["API_KEY"], cwd=str(tmp_path))[0]
    monkeypatch.delenv("API_KEY", raising=False)
    with pytest.raises(ConfigError, match="variable API_KEY is not set"):
        McpEnv().reset(named)
    monkeypatch.setenv("API_KEY", SECRET)
    monkeypatch.setenv("OTHER_KEY", "nobody's")
    with pytest.raises(ServerGone):
        McpEnv().reset(load_mcp(command, size=1)[0])
    env = McpEnv()
    env.reset(named)
    assert told(env, "folder") == ("", str(tmp_path))
    given = told(env, "variables")[1]
    assert "API_KEY" in given
    assert "OTHER_KEY" not in given
    assert SECRET not in repr(named)
    connections().to(named.metadata["settings"]).close()


def test_a_secret_reaches_a_server_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port("127.0.0.1")
    url, bearer = f"http://127.0.0.1:{port}/mcp", {"Authorization": "TOKEN"}
    named = load_mcp(url=url, size=1, headers=bearer)[0]
    monkeypatch.delenv("TOKEN", raising=False)
    with pytest.raises(ConfigError, match="variable TOKEN is not set"):
        McpEnv().reset(named)
    with serving(PRIVATE, port):
        monkeypatch.setenv("TOKEN", f"Bearer {SECRET}")
        env = once_it_is_up(named)
        assert told(env, "folder")[0] == ""
        with pytest.raises(ServerGone, match="401"):
            McpEnv().reset(load_mcp(url=url, size=1)[0])
        monkeypatch.setenv("TOKEN", "Bearer of-another")
        with pytest.raises(ServerGone, match="401"):
            McpEnv().reset(load_mcp(url=url, size=1, headers=bearer, timeout_s=7.0)[0])
        assert SECRET not in repr(named)


@pytest.mark.parametrize("value", [f"Bearer {SECRET}\n", f" {SECRET}", f"{SECRET}\r\nHost: x", "ü"])
def test_what_is_no_header_is_not_told(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TOKEN", value)
    task = load_mcp(url="http://127.0.0.1:9/mcp", size=1, headers={"Authorization": "TOKEN"})[0]
    with pytest.raises(ConfigError, match="TOKEN cannot be the header Authorization") as told:
        McpEnv().reset(task)
    assert value.strip() not in str(told.value)


@contextmanager
def serving(script: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    server = subprocess.Popen([sys.executable, script, str(port)], stderr=subprocess.DEVNULL)
    try:
        yield server
    finally:
        server.kill()
        server.wait()


def once_it_is_up(task: Task) -> McpEnv:
    deadline = time.monotonic() + 60
    while True:
        env = McpEnv()
        try:
            env.reset(task)
        except ServerGone:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return env


def test_what_a_server_is_told_by() -> None:
    for given in ({}, {"command": "x", "url": "http://x"}):
        with pytest.raises(ConfigError, match="either command"):
            load_mcp(size=1, **given)
    with pytest.raises(ConfigError, match="of a command"):
        load_mcp(url="http://x", size=1, env=["A"])
    with pytest.raises(ConfigError, match="of a command"):
        load_mcp(url="http://x", size=1, cwd="/")
    with pytest.raises(ConfigError, match="headers are of a url"):
        load_mcp("x", size=1, headers={"A": "B"})
    secret = "sk-3f1b"
    no_names: list[Any] = [secret, [secret], {"KEY": secret}, "KEY", 7]
    for env in no_names:
        with pytest.raises(ConfigError, match="names of environment variables") as told:
            load_mcp("x", size=1, env=env)
        assert secret not in str(told.value)
    with pytest.raises(ConfigError, match="names of environment variables"):
        load_mcp(url="http://x", size=1, headers={"Authorization": f"Bearer {secret}"})
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
