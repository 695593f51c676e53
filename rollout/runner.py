"""One task becomes one group: render, generate, parse, let the environment reply, go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from envs.types import Env, Message, Task
from rollout.engine import Engine, PromptTooLong
from rollout.renderer import Renderer
from rollout.types import Group, RolloutRequest, Span, StopReason, Trajectory

MakeEnv = Callable[[Task], Env]


@dataclass(frozen=True, slots=True)
class Runner:
    """Plays requests on one engine. All samples of a group stay on it, so their prompt is shared.

    A fault of the environment ends its own sample with `StopReason.ERROR` and leaves its siblings
    alone; a fault of the engine is the worker's and is raised.
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
        env = self.make_env(request.task)
        try:
            async with asyncio.timeout(self.rollout_s):
                return await self._play(request, index, env)
        except (PromptTooLong, TimeoutError) as error:
            return _failed(request, index, error)
        finally:
            env.close()

    async def _play(self, request: RolloutRequest, index: int, env: Env) -> Trajectory:
        try:
            opening = env.reset(request.task)
        except Exception as error:  # a plug-in: its fault is data
            return _failed(request, index, error)
        messages: list[Message] = list(opening.messages)
        tokens = self.renderer.render_prompt(messages, request.thinking)
        spans = [Span(tokens)]
        stop, turns = StopReason.TURNS, 0
        while turns < request.max_turns:
            completion = await self.engine.generate(tokens, request.sampling, request.seeds[index])
            turns += 1
            oldest = min((version for _, version in completion.versions), default=None)
            spans.append(Span(completion.token_ids, completion.logprobs, oldest))
            tokens = np.concatenate([tokens, completion.token_ids])
            reply = self.renderer.parse(completion.token_ids)
            messages.append(reply)
            if completion.finish_reason == "length":
                stop = StopReason.LENGTH
                break
            try:
                step = env.step(reply)
            except Exception as error:
                return _failed(request, index, error)
            messages.extend(step.messages)
            if step.done:
                stop = StopReason.STOP
                break
            bridge = self.renderer.bridge(tokens, step.messages, request.thinking)
            spans.append(Span(bridge))
            tokens = np.concatenate([tokens, bridge])
        return Trajectory(request.task, index, tuple(spans), tuple(messages), stop, num_turns=turns)


def _failed(request: RolloutRequest, index: int, error: Exception) -> Trajectory:
    """A sample that ended in a fault: kept for the counts, never scored or trained."""
    info = {"error": f"{type(error).__name__}: {error}"}
    return Trajectory(request.task, index, (), (), StopReason.ERROR, num_turns=0, info=info)
