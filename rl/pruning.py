"""Which scored groups are trained, and what the others are dropped for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from configs.schema import StageConfig
from rl.advantages import SMALLEST_STD
from rl.evaluate import is_correct
from rollout.types import PROMPT_TOO_LONG, Group, StopReason, Trajectory

ADVICE: Final[Mapping[str, str]] = {
    "all_correct": "the tasks are mastered: take harder ones",
    "all_wrong": "the tasks are out of reach: take easier ones, give it more SFT, or look at the "
    "verifier",
    "constant": "the scores hardly differ: look at the verifier and constant_tolerance",
    "truncated": "the token limit cut every wrong answer off: raise max_tokens",
    "error": "too few samples have a verdict: the logs of the rollout and reward workers say why",
    PROMPT_TOO_LONG: "prompts leave no room for an answer: raise model.max_length",
    "stale": "groups come back too old: raise max_staleness",
}
"""Every reason for which a group is dropped, and what to do about it where it is frequent."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A scored group and why it is not trained; "" is a group that is."""

    group: Group
    reason: str = ""


def judge_group(group: Group, policy_version: int, stage: StageConfig) -> Judged:
    """Decide on a scored group. Samples without a verdict leave before the scores are compared.

    In this order:
    - `prompt_too_long` or, for any other cause, `error`: fewer than max(2, half the group) samples
      have a verdict;
    - `stale`: one of them is older than `max_staleness`, or of unknown age;
    - without a gradient, which is where the rewards spread no more than `constant_tolerance` (and
      `keep_zero_variance` is off): `all_correct`; `truncated`, where the token limit cut off every
      wrong answer; `all_wrong` (rewards of 0 or less); else `constant`.

    DAPO (arXiv 2503.14476, eq. 11) drops groups that are all correct or all wrong.
    """
    scored = group.scored
    if len(scored) < max(2, len(group.trajectories) / 2):
        return Judged(group, PROMPT_TOO_LONG if group.is_prompt_too_long else "error")
    versions = [t.oldest_version for t in scored]
    if any(v is None or policy_version - v > stage.max_staleness for v in versions):
        return Judged(group, "stale")
    if stage.keep_zero_variance or _has_gradient(scored, stage.constant_tolerance):
        return Judged(group)
    return Judged(group, _without_gradient(scored))


def _has_gradient(scored: list[Trajectory], tolerance: float) -> bool:
    rewards = np.array([t.reward for t in scored], dtype=np.float64)
    return bool(rewards.std() > SMALLEST_STD and np.ptp(rewards) > tolerance)


def _without_gradient(scored: list[Trajectory]) -> str:
    wrong = [t for t in scored if not is_correct(t.reward)]
    if not wrong:
        return "all_correct"
    if all(t.stop_reason is StopReason.LENGTH for t in wrong):
        return "truncated"
    return "constant" if any(t.reward > 0 for t in wrong if t.reward is not None) else "all_wrong"
