"""Tasks from rows, or from nothing but a number, for an environment that somebody else wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from configs.errors import ConfigError
from envs.datasets import HELD_OUT_SHARE, load_rows
from envs.draws import SPLITS, key_of
from envs.types import Message, Step, Task, TaskSet

ASK = "Use the tools."


@dataclass(frozen=True, slots=True)
class NumberedTasks:
    """`size` tasks with one prompt, told apart by the seed that their environment is reset with."""

    name: str
    split: str
    size: int
    prompt: str

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Task:
        if not 0 <= index < self.size:
            raise IndexError(f"{self.name} task {index} of {self.size}")
        seed = key_of(self.name, self.split, index) >> 33  # 31 bits: what any generator takes
        return Task(
            id=f"{self.name}/{self.split}/{index}",
            env=self.name,
            prompt=(Message("user", self.prompt),),
            answer="",
            labels={"scene": self.name, "task": self.name, "level": "unrated"},
            metadata={"seed": seed},
        )

    @property
    def fingerprint(self) -> str:
        return f"{key_of(self.name, self.split, self.size, self.prompt):016x}"


@dataclass(frozen=True, slots=True)
class PlayedTasks:
    """The same tasks, played by the environment at the import path `env`. `settings` is what that
    needs to know of where it is played; it stands in each task's metadata."""

    tasks: TaskSet
    env: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, index: int) -> Task:
        task = self.tasks[index]
        return replace(task, env=self.env, metadata={**task.metadata, "settings": self.settings})

    @property
    def fingerprint(self) -> str:
        return f"{key_of(self.tasks.fingerprint, self.env, sorted(self.settings.items())):016x}"


def rows_or_numbers(
    name: str, split: str, path: str, size: int, prompt: str, held_out_share: float = HELD_OUT_SHARE
) -> TaskSet:
    """The tasks of a file of rows, with prompt and answer; without one, `size` numbered tasks."""
    if path:
        return load_rows(path, split=split, held_out_share=held_out_share)
    if split not in SPLITS:
        raise ConfigError(f"{name}: unknown split '{split}'; there are {', '.join(SPLITS)}")
    if size < 1:
        raise ConfigError(f"{name}: set path to a file of tasks, or size to how many there are")
    return NumberedTasks(name, split, size, prompt)


def with_observation(opening: Step, text: str) -> Step:
    """What an environment said when it was reset stands at the end of the last message."""
    if not text:
        return opening
    *earlier, last = opening.messages
    said = replace(last, content=f"{last.content}\n{text}" if last.content else text)
    return replace(opening, messages=(*earlier, said))
