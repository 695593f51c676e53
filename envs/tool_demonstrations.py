"""Demonstrations of tool use: gold calls, played in the world that answers them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from configs.errors import ConfigError, DataError
from configs.registry import resolve
from envs.draws import Draws, key_of
from envs.tools import gold_episode
from envs.types import Demonstration, Env, Message, Step, Task, TaskSet


def play(task: Task, messages: Iterable[Message]) -> list[Step]:
    """Play an episode with given messages of the policy: the world's replies, `reset`'s first."""
    env: Env = resolve(task.env, {}, f"task {task.id}")()
    try:
        return [env.reset(task), *(env.step(message) for message in messages)]
    finally:
        env.close()


class ToolDemonstrations:
    """One demonstration per task (a `DemonstrationSet`), of any tasks that have `gold_calls`.

    A share `tool_share` is "tools": the gold calls with what the world answers, then the answer in
    a box. The rest is "straight": the answer in a box at once, which teaches to guess. A share
    `thinking_share`, drawn independently, is in thinking mode. Nothing fails in demonstrations.
    Raises ConfigError for a share outside [0, 1], DataError where a gold call is answered with an
    error.
    """

    def __init__(
        self, tasks: TaskSet, thinking_share: float = 0.5, tool_share: float = 0.5, seed: int = 0
    ) -> None:
        for name, share in (("thinking_share", thinking_share), ("tool_share", tool_share)):
            if not 0 <= share <= 1:
                raise ConfigError(f"demonstrations: {name} is {share}; it is a share from 0 to 1")
        self.tasks = tasks
        self.thinking_share, self.tool_share, self.seed = thinking_share, tool_share, seed

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, index: int) -> Demonstration:
        task = self.tasks[index]
        draws = Draws("tool demonstration", self.seed, index)
        thinking = draws.below(10**6) < self.thinking_share * 10**6
        with_tools = draws.below(10**6) < self.tool_share * 10**6
        *calling, answer = gold_episode(task)
        opening, *steps = play(without_faults(task), calling if with_tools else [])
        turns: list[Message] = []
        for message, step in zip(calling, steps, strict=False):
            if wrong := [record for record in step.calls if record.error]:
                raise DataError(f"task {task.id}: its gold call fails: {wrong[0].result}")
            turns += [message, *step.messages]
        strategy = "tools" if with_tools else "straight"
        return Demonstration(
            task, thinking, "", answer.content, strategy, turns=tuple(turns), tools=opening.tools
        )

    @property
    def fingerprint(self) -> str:
        own = (self.thinking_share, self.tool_share, self.seed)
        return f"{key_of(self.tasks.fingerprint, *own):016x}"


def without_faults(task: Task) -> Task:
    """The task in a world where nothing fails."""
    metadata = {name: value for name, value in task.metadata.items() if name != "faults"}
    return replace(task, metadata=metadata)
