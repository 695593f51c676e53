"""One task becomes one group: render, generate, parse, let the environment reply, go on."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from envs.episodes import EnvFault, Episodes, PlainEpisodes, is_plain
from envs.types import Message, Step, Task
from rollout.engine import Engine, GenerationFailed, PromptTooLong
from rollout.types import (
    PROMPT_TOO_LONG,
    Group,
    RolloutRequest,
    Span,
    StopReason,
    Trajectory,
    Turn,
)

if TYPE_CHECKING:
    from rollout.renderer import Renderer

PLAIN = PlainEpisodes()
NOTHING_MORE = Message("assistant", "")


@dataclass(slots=True)
class _Sample:
    """A sample under way: what a fault leaves of it is kept for the traces."""

    messages: list[Message] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    env_reward: float | None = None

    def hear(self, step: Step) -> None:
        self.messages.extend(step.messages)
        if step.reward is not None:
            self.env_reward = step.reward


@dataclass(frozen=True, slots=True)
class Runner:
    """Plays requests on one engine. All samples of a group stay on it, so their prompt is shared.
    Tasks with an environment are played in `episodes`; plain questions need none.

    A fault of the environment, or of one request, ends its own sample with `StopReason.ERROR` and
    leaves its siblings alone; a fault of the engine is the worker's and is raised.
    """

    engine: Engine
    renderer: Renderer
    episodes: Episodes
    rollout_s: float

    async def run(self, request: RolloutRequest) -> Group:
        """Play every sample of a request.

        Raises:
            ConfigError: the chat template rewrote an earlier turn.
            EngineDead: the engine cannot serve; no part of the group is delivered.
        """
        trajectories = await asyncio.gather(
            *(self._timed(request, index) for index in range(len(request.seeds)))
        )
        return Group(
            id=request.group_id,
            task=request.task,
            trajectories=tuple(trajectories),
            thinking=request.thinking,
            attempt=request.attempt,
        )

    async def _timed(self, request: RolloutRequest, index: int) -> Trajectory:
        """Play one sample; `info` gets the wall times of its begin and end."""
        started = time.time()
        trajectory = await self._run_sample(request, index)
        timing = {"started": started, "ended": time.time()}
        return replace(trajectory, info={**trajectory.info, **timing})

    async def _run_sample(self, request: RolloutRequest, index: int) -> Trajectory:
        sample, fault = _Sample(), ""
        try:
            async with asyncio.timeout(self.rollout_s), self._episode(request.task) as episode:
                return await self._play(request, index, episode, sample)
        except PromptTooLong as error:
            reason, fault = f"prompt too long: {error}", PROMPT_TOO_LONG
        except TimeoutError:
            reason = f"not finished within {self.rollout_s:g} s"
        except EnvFault as error:
            reason = f"environment: {error}"
        except GenerationFailed as error:
            reason = str(error)
        failed = failed_sample(request, index, reason, fault)
        return replace(failed, messages=tuple(sample.messages), turns=tuple(sample.turns))

    @contextlib.asynccontextmanager
    async def _episode(self, task: Task) -> AsyncIterator[_Episode]:
        episode = _Episode(
            PLAIN if is_plain(task) else self.episodes, f"{task.id}#{secrets.token_hex(8)}"
        )
        try:
            yield episode
        except BaseException:
            with contextlib.suppress(EnvFault):  # the first fault is the one to tell
                await episode.home.close(episode.name)
            raise
        await episode.home.close(episode.name)

    async def _play(
        self, request: RolloutRequest, index: int, episode: _Episode, sample: _Sample
    ) -> Trajectory:
        opening = await episode.home.reset(episode.name, request.task)
        sample.hear(opening)
        tokens = self.renderer.render_prompt(sample.messages, request.thinking, opening.tools)
        spans, left = [Span(tokens)], request.sampling.max_tokens
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            try:
                completion = await self.engine.generate(
                    tokens,
                    replace(request.sampling, max_tokens=left),
                    request.seeds[index] + len(sample.turns),
                )
            except PromptTooLong:
                if not sample.turns:
                    raise
                stop = StopReason.LENGTH  # what it was told since has filled the model's length
                break
            generated = clock()
            oldest = min((version for _, version in completion.versions), default=None)
            spans.append(Span(completion.token_ids, completion.logprobs, oldest))
            reply = self.renderer.parse(completion.token_ids, tokens)
            tokens = np.concatenate([tokens, completion.token_ids])
            left -= len(completion.token_ids)
            sample.messages.append(reply)
            sample.turns.append(turn := Turn(generated - started))
            if completion.finish_reason == "length":
                stop = StopReason.LENGTH
                break
            step = await episode.home.step(episode.name, reply)
            sample.hear(step)
            sample.turns[-1] = replace(turn, calls=step.calls, env_s=clock() - generated)
            if step.done or len(sample.turns) == request.max_turns:
                stop = StopReason.STOP if step.done else StopReason.TURNS
                break
            if left < 1:
                stop = StopReason.LENGTH
                break
            bridge = self.renderer.bridge(tokens, step.messages, request.thinking)
            spans.append(Span(bridge))
            tokens = np.concatenate([tokens, bridge])
        if stop is not StopReason.STOP:  # an episode that is cut off has a verdict, too
            end = await episode.home.step(episode.name, NOTHING_MORE)
            sample.env_reward = sample.env_reward if end.reward is None else end.reward
        if len(sample.turns) > 1:
            self.renderer.check_turns(sample.messages, request.thinking, opening.tools)
        return Trajectory(
            request.task, index, tuple(spans), tuple(sample.messages), stop,
            num_turns=len(sample.turns), turns=tuple(sample.turns), env_reward=sample.env_reward,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Episode:
    """Where an episode is played, and by what name."""

    home: Episodes
    name: str


def failed_sample(request: RolloutRequest, index: int, reason: str, fault: str = "") -> Trajectory:
    """A sample that ended in a fault: kept for the counts, never scored or trained."""
    info = {"error": reason, "fault": fault}
    return Trajectory(request.task, index, (), (), StopReason.ERROR, num_turns=0, info=info)
