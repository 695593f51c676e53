"""The work that both sides of `loop_vs_trl` do, and how they are told to do it.

A side is a process. It reads one `Turn` a line from standard input, takes one training step with
answers of the lengths that the turn asks for, and replies with one line of seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from envs.types import Task
from rl.evaluate import Rollouts
from rollout.types import Group, RolloutRequest, Score, Trajectory

CONFIG = Path(__file__).with_name("loop_vs_trl.yaml")
STAGE = "loop"
NUM_PROMPTS, GROUP_SIZE = 16, 8
NUM_SAMPLES = NUM_PROMPTS * GROUP_SIZE

FIXED, HEAVY_TAILED = "fixed", "heavy_tailed"
FIXED_TOKENS, MEDIAN_TOKENS, SIGMA, MAX_TOKENS = 128, 32, 1.0, 192


@dataclass(frozen=True, slots=True)
class Turn:
    """One step: `lengths` names the distribution, `number` seeds the draw from it."""

    lengths: str
    number: int

    def draw(self) -> NDArray[np.int64]:
        """Tokens of each answer [NUM_SAMPLES], the same on both sides."""
        if self.lengths == FIXED:
            return np.full(NUM_SAMPLES, FIXED_TOKENS)
        drawn = np.random.default_rng(self.number).lognormal(
            np.log(MEDIAN_TOKENS), SIGMA, NUM_SAMPLES
        )
        return np.clip(np.rint(drawn), 1, MAX_TOKENS).astype(np.int64)

    def as_line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


class Turns:
    """A side's end of the conversation: turns from standard input, replies to standard output.

    Whatever else is printed goes to standard error from then on.
    """

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def next(self) -> Turn | None:
        """The next turn, None when there are no more."""
        line = sys.stdin.readline()
        return Turn(**json.loads(line)) if line else None

    def reply(self, seconds: dict[str, float]) -> None:
        print(json.dumps(seconds), file=self._out, flush=True)


@dataclass(slots=True)
class RolloutsByLength:
    """Gives every sample of a step the limit that its turn has drawn."""

    inner: Rollouts
    turn: Turn

    async def run(self, request: RolloutRequest) -> Group:
        first = request.group_id % NUM_PROMPTS * GROUP_SIZE
        limits = self.turn.draw()[first : first + GROUP_SIZE].tolist()
        if len(set(limits)) == 1:
            return await self.inner.run(limited(request, request.seeds, limits[0]))
        parts = await asyncio.gather(
            *(
                self.inner.run(limited(request, (seed,), limit))
                for seed, limit in zip(request.seeds, limits, strict=True)
            )
        )
        trajectories = [replace(p.trajectories[0], index=i) for i, p in enumerate(parts)]
        return replace(parts[0], trajectories=tuple(trajectories))


def limited(request: RolloutRequest, seeds: tuple[int, ...], limit: int) -> RolloutRequest:
    return replace(request, seeds=seeds, sampling=replace(request.sampling, max_tokens=limit))


def digit_share(text: str) -> float:
    """The share of digits in an answer: a reward that random answers differ in."""
    return sum(character.isdigit() for character in text) / max(1, len(text))


class DigitShare:
    """`digit_share` as a verifier."""

    def __call__(self, trajectory: Trajectory) -> Score:
        return Score(digit_share(trajectory.reply))

    def check_gold(self, task: Task) -> None:
        """Golds are not looked at."""
