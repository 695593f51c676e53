"""Records of what is asked and how the world replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the policy is told of it; `parameters` is the JSON schema of an object.

    Example: `ToolSpec("calculate", "Evaluate an expression.", {"type": "object", "properties":
    {"expression": {"type": "string"}}, "required": ["expression"]})`.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """OpenAI's form, which chat templates take too."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
        }
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the policy wrote. `error` says what was wrong with its text ("" when it could be
    read); name and arguments are then what was understood of it.

    Example: `ToolCall("calculate", {"expression": "384 / 12"})`.
    """

    name: str
    arguments: Mapping[str, Any]
    error: str = ""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """What came of a call: the text the policy was given, and how long it took.

    `error` is "" or one of the names in `envs.tools.CallError`; a call the policy got wrong and one
    that the tool failed are told apart by it.
    """

    call: ToolCall
    result: str
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message. Example: `Message("user", "What is 384 + 512?")`.

    `tool_calls` are the calls in an assistant's message, in the order written. `content` keeps
    everything that was written, calls too; one that holds none of them is followed by them.
    """

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()

    def as_dict(self) -> dict[str, str]:
        """The form that chat templates take."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Task:
    """One question with its gold answer.

    `env` names where it is from; where it is an import path, "package.module:attribute", that is
    what is called, without arguments, for the `Env` that plays it. Any other is a plain question.
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
    """An environment's reply: messages to append, whether it is over, and its own reward.

    The reply to `reset` says with `tools` what the policy may call in this episode. `calls` are the
    calls that were answered by `messages`.
    """

    messages: tuple[Message, ...] = ()
    done: bool = True
    reward: float | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[ToolSpec, ...] = ()
    calls: tuple[CallRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A worked answer for SFT: the reasoning (empty in a straight answer) and the visible reply.

    `thinking` says in which mode the chat template renders it. `strategy` names how it was
    written, so that reports can say what the policy was shown. `turns` are the messages between
    prompt and reply where `tools` are used: calls (an assistant's `tool_calls`) and what they were
    answered (role "tool"). Only what the policy writes is trained.
    """

    task: Task
    thinking: bool
    reasoning: str
    reply: str
    strategy: str
    weight: float = 1.0
    turns: tuple[Message, ...] = ()
    tools: tuple[ToolSpec, ...] = ()


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
