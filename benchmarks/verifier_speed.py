"""Answers scored by the numeric verifier, per second of one core."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice

from benchmarks.figures import Bound, Figures, Target
from envs.finance import FinanceTasks
from envs.types import Message, Task
from rewards.numeric import NumericVerifier
from rollout.types import StopReason, Trajectory

TARGET: Target = {"short_per_s": Bound(">=", 50_000), "two_kb_per_s": Bound(">=", 20_000)}

ROUNDS = 5
NUM_TASKS = 2_000
NUM_PEER_TASKS = 100
SENTENCE = "Revenue rose from 1,204.5 to 1,318.2 million, so the change is 113.7, or 9.4 %. "


def run() -> Figures:
    """Right and wrong answers in turn, bare and after 2 kB of reasoning; golds of every level."""
    tasks = [FinanceTasks(levels=(1 + i % 5,))[i] for i in range(NUM_TASKS)]
    short = list(answers(tasks, reasoning=""))
    long = list(answers(tasks, reasoning=SENTENCE * (2_000 // len(SENTENCE))))
    verifier = NumericVerifier()
    return {
        "short_per_s": per_second(verifier, short),
        "two_kb_per_s": per_second(verifier, long),
        **peer_figures(short[:NUM_PEER_TASKS], long[:NUM_PEER_TASKS]),
    }


def answers(tasks: Sequence[Task], reasoning: str) -> Iterator[Trajectory]:
    forms = ("\\boxed{%s}", "The answer is %s.", "<answer>%s</answer>", "\\boxed{%s7}")
    for task, form in zip(tasks, islice(cycle(forms), len(tasks)), strict=True):
        reply = Message("assistant", reasoning + form % task.answer)
        yield Trajectory(task, 0, (), (*task.prompt, reply), StopReason.STOP)


def per_second(score: Callable[[Trajectory], object], trajectories: Sequence[Trajectory]) -> float:
    """Median over rounds of answers per second of processor time."""
    rates = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for trajectory in trajectories:
            score(trajectory)
        rates.append(len(trajectories) / (time.process_time() - began))
    return statistics.median(rates)


def peer_figures(short: Sequence[Trajectory], long: Sequence[Trajectory]) -> Figures:
    """The same for math-verify, where it is installed."""
    if importlib.util.find_spec("math_verify") is None:
        return {"math_verify_short_per_s": None, "math_verify_two_kb_per_s": None}
    from math_verify import parse, verify  # type: ignore[import-not-found]

    def score(trajectory: Trajectory) -> object:
        return verify(parse(f"${trajectory.task.answer}$"), parse(trajectory.reply))

    return {
        "math_verify_short_per_s": per_second(score, short),
        "math_verify_two_kb_per_s": per_second(score, long),
    }
