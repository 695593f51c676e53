"""Records of what a policy did. Arrays are numpy, so that they cross processes cheaply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.types import CallRecord, Message, Task

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]


PROMPT_TOO_LONG = "prompt_too_long"
"""The `fault` in the info of a sample whose prompt leaves no room for an answer."""


class StopReason(StrEnum):
    """Why a trajectory ended."""

    STOP = "stop"  # the policy ended its turn and the environment was done
    LENGTH = "length"  # the token limit cut it off: truncated
    TURNS = "turns"  # the turn limit cut it off
    ERROR = "error"  # a fault of ours or of a tool: never trained, never scored


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an engine draws tokens. Temperature 0 is greedy; `max_tokens` holds for all turns of a
    sample together. `json_schema`: the schema, as JSON, of the one JSON object that may be
    written; for engines that were given a tokenizer."""

    temperature: float = 1.0
    max_tokens: int = 256
    json_schema: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """One generation as the engine reports it.

    `logprobs[i]` belongs to `token_ids[i]`; `versions` are (start, policy_version) spans over the
    generated tokens, more than one when weights were replaced in flight.

    Example: `Completion(ids, lps, "stop", ((0, 6), (17, 7)))`: version 7 wrote tokens 17 onward.
    """

    token_ids: IntArray  # [T]
    logprobs: FloatArray  # [T]
    finish_reason: str  # "stop" | "length"
    versions: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A run of tokens from one hand. `logprobs` None: not generated, so never trained."""

    token_ids: IntArray  # [T]
    logprobs: FloatArray | None = None  # [T]
    policy_version: int | None = None  # the oldest version that wrote a token of this span


@dataclass(frozen=True, slots=True)
class Score:
    """A verdict. `reward` None means that there is none (fault or abstention): the sample is never
    trained and never counts as difficulty. `costs` are what it took, by name ("judge/calls"); a
    step adds them up. Example: `Score(1.0, {"answer": 1.0}, "equal")`."""

    reward: float | None
    terms: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    costs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the policy: seconds of its generation and of the environment's reply, and the
    calls in it with what they were answered."""

    generate_s: float
    env_s: float = 0.0
    calls: tuple[CallRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One sample of a group: an append-only list of spans, token in, token out.

    Example: spans = (prompt span, generated span); messages = the same as chat messages.
    `env_reward` is the last that the environment gave, None where it gave none.
    """

    task: Task
    index: int
    spans: tuple[Span, ...]
    messages: tuple[Message, ...]
    stop_reason: StopReason
    num_turns: int = 1
    info: Mapping[str, Any] = field(default_factory=dict)
    score: Score | None = None
    turns: tuple[Turn, ...] = ()
    env_reward: float | None = None

    @property
    def calls(self) -> list[CallRecord]:
        """All calls of the episode in order."""
        return [call for turn in self.turns for call in turn.calls]

    @property
    def reply(self) -> str:
        """The text of the policy's last message, "" when it wrote none."""
        last = next((m for m in reversed(self.messages) if m.role == "assistant"), None)
        return last.content if last else ""

    @property
    def reward(self) -> float | None:
        """The verdict, None when there is none."""
        return self.score.reward if self.score else None

    @property
    def num_generated(self) -> int:
        total = 0  # a plain loop: this is asked several times for every sample of a run
        for span in self.spans:
            if span.logprobs is not None:
                total += len(span.token_ids)
        return total

    @property
    def oldest_version(self) -> int | None:
        """The oldest policy version that wrote any of its tokens, if any was generated."""
        return min(
            (s.policy_version for s in self.spans if s.policy_version is not None), default=None
        )


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """What the controller asks of a rollout worker: one group of samples of one task.

    `seeds[i]` is the seed of sample i, derived from (run, task, visit, index) and so independent
    of the number of workers. `attempt` counts re-issues of the same group.
    """

    group_id: int
    task: Task
    seeds: tuple[int, ...]
    thinking: bool
    sampling: Sampling
    max_turns: int = 1
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """All samples of one request: trained once, dropped with a reason, or still owed."""

    id: int
    task: Task
    trajectories: tuple[Trajectory, ...]
    thinking: bool = True
    attempt: int = 0

    @property
    def scored(self) -> list[Trajectory]:
        """The samples that have a verdict: only they are trained or count as difficulty."""
        return [t for t in self.trajectories if t.reward is not None]

    @property
    def num_generated(self) -> int:
        return sum(t.num_generated for t in self.trajectories)

    @property
    def is_prompt_too_long(self) -> bool:
        """Whether it has no answers because its prompt leaves no room for any."""
        return any(t.info.get("fault") == PROMPT_TOO_LONG for t in self.trajectories)
