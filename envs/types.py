"""Records of what is asked and how the world replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message. Example: `Message("user", "What is 384 + 512?")`."""

    role: str
    content: str

    def as_dict(self) -> dict[str, str]:
        """The form that chat templates take."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Task:
    """One question with its gold answer.

    `id` is stable and unique within its environment: curriculum and resume are keyed by it.
    `labels` are what results are broken down by (scene, task, level). `metadata` is what the
    verifier and the reports need (unit, program, tolerance) and never what the policy sees.

    Example:
        Task("finance/train/0/7", "finance", (Message("user", "Fees were 12, now 15. Change?"),),
             "3", {"scene": "funds", "level": "1"}, {"program": "subtract(15, 12)"})
    """

    id: str
    env: str
    prompt: tuple[Message, ...]
    answer: str
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """An environment's reply: messages to append, whether it is over, and its own reward."""

    messages: tuple[Message, ...] = ()
    done: bool = True
    reward: float | None = None
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A worked answer for SFT: the reasoning (empty in a straight answer) and the visible reply.

    `thinking` says in which mode the chat template renders it. `strategy` names how it was
    written, so that reports can say what the policy was shown.
    """

    task: Task
    thinking: bool
    reasoning: str
    reply: str
    strategy: str
    weight: float = 1.0


class TaskSet(Protocol):
    """A fixed, indexable set of tasks; the same index gives the same task for ever."""

    @property
    def fingerprint(self) -> str:
        """A short hash of everything that determines the tasks; resume compares it."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Task: ...


class DemonstrationSet(Protocol):
    """A fixed, indexable set of worked answers."""

    @property
    def fingerprint(self) -> str: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Demonstration: ...


class Env(Protocol):
    """One instance plays one episode: `reset` opens it, `step` answers a reply."""

    def reset(self, task: Task) -> Step: ...

    def step(self, reply: Message) -> Step: ...

    def close(self) -> None: ...


class SingleTurn:
    """The environment of a plain question: one prompt, one answer, no reward of its own."""

    def reset(self, task: Task) -> Step:
        return Step(messages=task.prompt, done=False)

    def step(self, reply: Message) -> Step:
        return Step(done=True)

    def close(self) -> None:
        return None
