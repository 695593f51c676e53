"""Real OpenEnv servers, in a venv of their own: the openenv package wants another mcp than ours."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from envs.openenv_server import OpenEnv, OpenEnvFault, load_openenv, text_of
from envs.types import Message, Step, Task, ToolCall
from launch.machine import free_port

TOO_MUCH = -1  # the number at which the server says more than is read
SCRIPT = str(Path(__file__).with_name("openenv_games.py"))
VERSION = "0.10.0"
INSTALL_S = 400
UP_S = 120


@pytest.fixture(scope="module")
def python() -> str:
    """An interpreter that has openenv: ASSAY_OPENENV_PYTHON, or a venv that is made once."""
    if given := os.environ.get("ASSAY_OPENENV_PYTHON"):
        return given
    venv = Path(tempfile.gettempdir()) / f"assay-openenv-{VERSION}-{os.getuid()}"
    found = venv / "bin" / "python"
    if not (venv / "complete").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
            install = [found, "-m", "pip", "install", "-q", f"openenv=={VERSION}"]
            subprocess.run(install, check=True, capture_output=True, timeout=INSTALL_S)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"openenv cannot be installed here: {error}")
        (venv / "complete").touch()
    return str(found)


def serve(python: str, kind: str) -> Iterator[str]:
    port = free_port("127.0.0.1")
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen([python, SCRIPT, kind, str(port)], env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + UP_S
        while True:
            try:
                env = OpenEnv()
                env.reset(load_openenv(url, size=1, wait_s=0.2)[0])
                env.close()
                break
            except OpenEnvFault:
                assert time.monotonic() < deadline
                assert server.poll() is None, "the server ended"
        yield url
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def guess(python: str) -> Iterator[str]:
    yield from serve(python, "guess")


@pytest.fixture(scope="module")
def till(python: str) -> Iterator[str]:
    yield from serve(python, "till")


def act(env: OpenEnv, tool: str, **arguments: Any) -> Step:
    return env.step(Message("assistant", "", (ToolCall(tool, arguments),)))


def test_an_environment_with_actions(guess: str) -> None:
    env = OpenEnv()
    opening = env.reset(load_openenv(guess, size=3)[0])
    assert [tool.name for tool in opening.tools] == ["act"]
    assert list(opening.tools[0].parameters["properties"]) == ["number"]
    assert opening.messages[-1].content.endswith("Guess a number from 0 to 9.")
    assert act(env, "act", number="x").calls[0].error == "invalid_arguments"
    steps = []
    for number in range(10):
        steps.append(act(env, "act", number=number))
        if steps[-1].done:
            break
    assert steps[-1].messages[0].content == "right"
    assert steps[-1].reward == 1.0
    assert all(step.messages[0].content == "higher" for step in steps[:-1])
    assert act(env, "act", number=1).calls[0].error == "refused", "it is over"
    env.close()


def test_the_seed_of_a_task_decides(guess: str) -> None:
    def answers(task: Task) -> list[str]:
        env = OpenEnv()
        env.reset(task)
        said = [act(env, "act", number=n).messages[0].content for n in (3, 6)]
        env.close()
        return said

    tasks = load_openenv(guess, size=20)
    assert answers(tasks[0]) == answers(tasks[0])
    assert len({tuple(answers(tasks[i])) for i in range(12)}) > 1


def test_an_action_that_the_environment_breaks_at_is_told(guess: str) -> None:
    env = OpenEnv()
    env.reset(load_openenv(guess, size=1)[0])
    [record] = act(env, "act", number=1001).calls
    assert record.error == "refused"
    assert "no number is that large" in record.result
    assert act(env, "act", number=9).calls[0].error == ""
    env.close()


def test_an_answer_that_is_too_long_ends_the_episode_not_the_sample(guess: str) -> None:
    env = OpenEnv()
    env.reset(load_openenv(guess, size=1)[0])
    step = act(env, "act", number=TOO_MUCH)
    assert step.calls[0].error == "refused"
    assert "too long" in step.messages[0].content
    assert (step.done, step.reward) == (True, 0.0)
    env.close()


def test_a_full_server_is_waited_for(guess: str) -> None:
    tasks = load_openenv(guess, size=4, wait_s=20.0)
    first = [OpenEnv() for _ in range(3)]
    for env, number in zip(first, range(3), strict=True):
        env.reset(tasks[number])
    impatient = load_openenv(guess, size=4, wait_s=0.0)[3]
    with pytest.raises(OpenEnvFault, match="session"):
        OpenEnv().reset(impatient)
    timer = threading.Timer(0.5, first[0].close)
    timer.start()
    late = OpenEnv()
    late.reset(tasks[3])
    for env in (*first[1:], late):
        env.close()


def test_an_environment_with_mcp_tools(till: str) -> None:
    env, other = OpenEnv(), OpenEnv()
    task = load_openenv(till, size=1)[0]
    assert [tool.name for tool in env.reset(task).tools] == ["ring_up", "break_down"]
    other.reset(task)
    assert "total 5" in act(env, "ring_up", amount=5).messages[0].content
    assert "total 12" in act(env, "ring_up", amount=7).messages[0].content
    assert "total 1" in act(other, "ring_up", amount=1).messages[0].content
    assert act(env, "ring_up", amount="x").calls[0].error == "invalid_arguments"
    assert "stuck" in act(env, "break_down").messages[0].content
    assert env.step(Message("assistant", "12")).done
    env.close()
    other.close()


def test_a_server_that_is_not_there() -> None:
    task = load_openenv(f"http://127.0.0.1:{free_port('127.0.0.1')}", size=1, wait_s=0.0)[0]
    with pytest.raises(OpenEnvFault, match="127"):
        OpenEnv().reset(task)
    with pytest.raises(ConfigError, match="must begin with http"):
        load_openenv("127.0.0.1:1", size=1)


@pytest.mark.parametrize(
    ("observation", "text"),
    [
        ("as it is", "as it is"),
        ({"text": "only"}, "only"),
        ({"text": "one", "metadata": {}, "n": None}, "one"),
        ({"a": 1, "b": "x"}, '{"a": 1, "b": "x"}'),
        ({}, ""),
        (None, ""),
        ([1], "[1]"),
    ],
)
def test_observations_as_text(observation: object, text: str) -> None:
    assert text_of(observation) == text
