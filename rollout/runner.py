"""One task becomes one group: render, generate, parse, let the environment reply, go on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from envs.types import Env, Message, Task
from rollout.engine import Engine, GenerationFailed, PromptTooLong
from rollout.types import PROMPT_TOO_LONG, Group, RolloutRequest, Span, StopReason, Trajectory

if TYPE_CHECKING:
    from rollout.renderer import Renderer

T = TypeVar("T")
MakeEnv = Callable[[Task], Env]


@dataclass(frozen=True, slots=True)
class Runner:
    """Plays requests on one engine. All samples of a group stay on it, so their prompt is shared.

    A fault of the environment, or of one request, ends its own sample with `StopReason.ERROR` and
    leaves its siblings alone; a fault of the engine is the worker's and is raised.
    """

    engine: Engine
    renderer: Renderer
    make_env: MakeEnv
    rollout_s: float

    async def run(self, request: RolloutRequest) -> Group:
        """Play every sample of a request.

        Raises:
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
        try:
            async with asyncio.timeout(self.rollout_s):
                with _opened(self.make_env, request.task) as env:
                    return await self._play(request, index, env)
        except PromptTooLong as error:
            return failed_sample(request, index, f"prompt too long: {error}", PROMPT_TOO_LONG)
        except TimeoutError:
            return failed_sample(request, index, f"not finished within {self.rollout_s:g} s")
        except EnvFault as error:
            return failed_sample(request, index, f"environment: {error}")
        except GenerationFailed as error:
            return failed_sample(request, index, str(error))

    async def _play(self, request: RolloutRequest, index: int, env: Env) -> Trajectory:
        opening = _ask(env.reset, request.task)
        messages: list[Message] = list(opening.messages)
        tokens = self.renderer.render_prompt(messages, request.thinking)
        spans = [Span(tokens)]
        turns = 0
        while True:
            try:
                completion = await self.engine.generate(
                    tokens, request.sampling, request.seeds[index] + turns
                )
            except PromptTooLong:
                if turns == 0:
                    raise
                stop = StopReason.LENGTH  # what it was told since has filled the model's length
                break
            turns += 1
            oldest = min((version for _, version in completion.versions), default=None)
            spans.append(Span(completion.token_ids, completion.logprobs, oldest))
            reply = self.renderer.parse(completion.token_ids, tokens)
            tokens = np.concatenate([tokens, completion.token_ids])
            messages.append(reply)
            if completion.finish_reason == "length":
                stop = StopReason.LENGTH
                break
            step = _ask(env.step, reply)
            messages.extend(step.messages)
            if step.done or turns == request.max_turns:
                stop = StopReason.STOP if step.done else StopReason.TURNS
                break
            bridge = self.renderer.bridge(tokens, step.messages, request.thinking)
            spans.append(Span(bridge))
            tokens = np.concatenate([tokens, bridge])
        return Trajectory(request.task, index, tuple(spans), tuple(messages), stop, num_turns=turns)


class EnvFault(Exception):
    """An environment raised; it ends one sample."""


def _ask(call: Callable[..., T], *args: Any) -> T:
    """Call an environment. It is a plug-in that may raise anything; all of it is `EnvFault`."""
    try:
        return call(*args)
    except Exception as error:
        raise EnvFault(f"{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _opened(make_env: MakeEnv, task: Task) -> Iterator[Env]:
    env = _ask(make_env, task)
    try:
        yield env
    except BaseException:
        with contextlib.suppress(EnvFault):  # the first fault is the one to tell
            _ask(env.close)
        raise
    _ask(env.close)


def failed_sample(request: RolloutRequest, index: int, reason: str, fault: str = "") -> Trajectory:
    """A sample that ended in a fault: kept for the counts, never scored or trained."""
    info = {"error": reason, "fault": fault}
    return Trajectory(request.task, index, (), (), StopReason.ERROR, num_turns=0, info=info)
