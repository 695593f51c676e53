"""Objects in TRL's form as environments: methods are tools, reset begins, get_reward scores."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from envs.objects import ObjectEnv, load_object
from envs.types import Message, Step, Task, ToolCall

HERE = "tests.unit.test_objects"


class Counter:
    """Counts up to a number that `reset` is given."""

    def reset(self, seed: int = 0, target: int | None = None, **row: Any) -> str:
        self.count, self.target = 0, seed % 5 if target is None else target
        self.row = row
        self.runners: list[str] = []
        return f"Count to {self.target}."

    def add(self, amount: int) -> int:
        """Add to the count.

        Args:
            amount: how much
        """
        if amount < 0:
            raise RuntimeError("down is not up")
        self.count += amount
        return self.count

    async def peek(self) -> str:
        """Look at the count."""
        return f"it is {self.count}"

    async def race(self, name: str) -> str:
        """Run against whoever else was called."""
        self.runners.append(name)
        await asyncio.sleep(0.01)
        if name == "":
            raise KeyError("nobody")
        return "".join(self.runners)

    def get_reward(self) -> float:
        return float(self.count == self.target)

    def _hidden(self) -> None:
        raise AssertionError("not a tool")

    @property
    def touchy(self) -> None:
        raise AssertionError("not to be looked at")


class Silent:
    def reset(self) -> None:
        return None

    def say(self, text: str) -> str:
        """Say it."""
        return text


class NoReset:
    def say(self, text: str) -> str:
        """Say it."""
        return text


class Undocumented:
    def reset(self) -> None:
        return None

    def say(self, text: str) -> str:
        return text


def step(env: ObjectEnv, name: str, **arguments: Any) -> Step:
    return env.step(Message("assistant", "", (ToolCall(name, arguments),)))


def test_an_episode() -> None:
    env = ObjectEnv()
    opening = env.reset(load_object(f"{HERE}:Counter", size=3)[0])
    assert [tool.name for tool in opening.tools] == ["add", "peek", "race"]
    assert opening.tools[0].parameters["properties"]["amount"]["description"] == "how much"
    question = opening.messages[-1].content
    assert question.startswith("Use the tools.\nCount to ")
    first = step(env, "add", amount=int(question[-2]))
    assert (first.reward, first.done) == (None, False)
    assert step(env, "peek").messages[0].content == f"it is {question[-2]}"
    refused = step(env, "add", amount=-1)
    assert refused.calls[0].error == "refused"
    assert "RuntimeError: down is not up" in refused.messages[0].content
    last = env.step(Message("assistant", "done"))
    assert (last.reward, last.done) == (1.0, True)
    env.close()


def test_its_coroutines_run_at_the_same_time() -> None:
    env = ObjectEnv()
    env.reset(load_object(f"{HERE}:Counter", size=3)[0])
    calls = tuple(ToolCall("race", {"name": name}) for name in ("a", "", "b"))
    records = env.step(Message("assistant", "", calls)).calls
    assert [record.error for record in records] == ["", "refused", ""]
    assert [records[0].result, records[2].result] == ["ab", "ab"]
    env.close()


def test_rows_are_given_to_reset(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "Go.", "answer": "3", "metadata": {"target": 3}}\n' * 20)
    task = load_object(f"{HERE}:Counter", path=str(rows), held_out_share=0.0)[0]
    env = ObjectEnv()
    assert env.reset(task).messages == (Message("user", "Go.\nCount to 3."),)
    assert env._object.row["answer"] == "3"
    assert env._object.row["prompt"] == [{"role": "user", "content": "Go."}]


def test_without_observation_and_reward() -> None:
    env = ObjectEnv()
    assert env.reset(load_object(f"{HERE}:Silent", size=1)[0]).messages[0].content
    assert step(env, "say", text="hi").reward is None


def test_tasks_are_the_same_for_ever_and_splits_apart() -> None:
    def seeds(split: str) -> set[int]:
        tasks = load_object(f"{HERE}:Counter", split=split, size=50)
        return {tasks[i].metadata["seed"] for i in range(50)}

    assert seeds("train") == seeds("train")
    assert not seeds("train") & seeds("heldout")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (f"{HERE}:NoReset", "has no method reset"),
        (f"{HERE}:Undocumented", "no docstring"),
        (f"{HERE}:Countr", "did you mean 'Counter'"),
    ],
)
def test_what_is_no_environment(name: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load_object(name, size=1)


def test_size_or_rows() -> None:
    with pytest.raises(ConfigError, match="set path to a file"):
        load_object(f"{HERE}:Counter")


def test_each_episode_has_an_object_of_its_own() -> None:
    task: Task = load_object(f"{HERE}:Counter", size=1)[0]
    one, other = ObjectEnv(), ObjectEnv()
    one.reset(task)
    other.reset(task)
    step(one, "add", amount=4)
    assert step(other, "peek").messages[0].content == "it is 0"
