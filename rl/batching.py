"""From scored groups or demonstrations to the learner's batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from configs.schema import Schedule, StageConfig
from envs.types import Task
from rl.advantages import batch_advantages, overlong_penalty
from rl.types import Batch, Sample
from rollout.types import Group, IntArray, Trajectory


def learning_rate(stage: StageConfig, step: int) -> float:
    """Rate of optimizer batch `step` (from 0): linear warm-up, then the stage's schedule."""
    if step < stage.warmup_steps:
        return stage.learning_rate * (step + 1) / stage.warmup_steps
    if stage.schedule is Schedule.CONSTANT:
        return stage.learning_rate
    done = (step - stage.warmup_steps) / max(1, stage.steps - stage.warmup_steps)
    left = 1 - done if stage.schedule is Schedule.LINEAR else (1 + math.cos(math.pi * done)) / 2
    return stage.learning_rate * (stage.min_lr_ratio + (1 - stage.min_lr_ratio) * left)


def shaped_reward(trajectory: Trajectory, stage: StageConfig) -> float:
    """The verdict plus the length penalty of the stage's algorithm."""
    assert trajectory.reward is not None, "only scored samples are trained"
    buffer = round(stage.algorithm.overlong_share * stage.max_tokens)
    penalty = overlong_penalty(trajectory.num_generated, stage.max_tokens, buffer)
    return trajectory.reward + penalty


def evenly(task: Task) -> float:
    """Weighs all tasks alike."""
    return 1.0


def rl_batch(
    groups: Sequence[Group],
    stage: StageConfig,
    step: int,
    weigh: Callable[[Task], float] = evenly,
) -> Batch:
    """Advantages within each group, times the weight of its task; one sample a trajectory."""
    trajectories = [group.scored for group in groups]
    rewards = [[shaped_reward(t, stage) for t in group] for group in trajectories]
    advantages = batch_advantages(rewards, stage.algorithm.advantage)
    weights = [weigh(group.task) for group in groups]
    samples = [
        sample_of(trajectory, weight * advantage)
        for group, values, weight in zip(trajectories, advantages, weights, strict=True)
        for trajectory, advantage in zip(group, values, strict=True)
    ]
    return Batch(
        samples=tuple(samples),
        learning_rate=learning_rate(stage, step),
        algorithm=stage.algorithm,
        temperature=stage.temperature,
        max_tokens=stage.max_tokens,
    )


def sample_of(trajectory: Trajectory, advantage: float) -> Sample:
    """Token in, token out: the spans end to end; only generated tokens are trained."""
    spans = trajectory.spans
    mask = [np.full(len(s.token_ids), s.logprobs is not None) for s in spans]
    logprobs = [
        np.zeros(len(s.token_ids), np.float32) if s.logprobs is None else s.logprobs for s in spans
    ]
    loss_mask = np.concatenate(mask)
    return Sample(
        token_ids=np.concatenate([s.token_ids for s in spans]),
        loss_mask=loss_mask,
        rollout_logprobs=np.concatenate(logprobs),
        advantages=np.where(loss_mask, np.float32(advantage), np.float32(0)),
    )


def demonstration_sample(turns: Sequence[IntArray], weight: float) -> Sample:
    """A worked answer by turns: what is read and what the policy writes, one after the other. Only
    what it writes is trained."""
    mask = np.concatenate([np.full(len(ids), i % 2 == 1) for i, ids in enumerate(turns)])
    return Sample(
        token_ids=np.concatenate(turns),
        loss_mask=mask,
        rollout_logprobs=np.zeros(len(mask), np.float32),
        advantages=np.where(mask, np.float32(weight), np.float32(0)),
    )
