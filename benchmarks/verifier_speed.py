"""Answers scored by the numeric verifier, per second of one core, and the worst of hostile ones."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice, product

from benchmarks.figures import Bound, Figures, Target
from envs.finance import FinanceTasks
from envs.types import Message, Task
from rewards.numeric import NumericVerifier
from rollout.types import StopReason, Trajectory

TARGET: Target = {
    "short_per_s": Bound(">=", 50_000),
    "two_kb_per_s": Bound(">=", 20_000),
    "times_math_verify_short": Bound(">=", 30),
    "times_math_verify_two_kb": Bound(">=", 30),
    "worst_hostile_ms": Bound("<=", 100),
}

ROUNDS = 5
NUM_TASKS = 2_000
NUM_PEER_TASKS = 200
SENTENCE = "Revenue rose from 1,204.5 to 1,318.2 million, so the change is 113.7, or 9.4 %. "

HOSTILE_GOLDS = [
    "94",
    "-45.5%",
    "15.27亿",
    "yes",
    "B",
    "30 to 90",
    "2023年6月20日",
    "net sales",
    "1;2",
]
HOSTILE_PARTS = (
    *("(", "{", "9", "9,", "1.", "1+", " ", "\t", "\n", "-", "9**", "A ", "A, ", "and ", "is "),
    *("=", "三", "亿", "3亿", "百分之", "one ", "hundred ", "\\frac{", "\\text{", "\\boxed{"),
    *("<answer>", "answer is ", "选", "for ", "down ", "a decrease of ", "⁴", "½", "\x00"),
    *("no, ", "2023-", "1. ", "1+1=", "low ="),
)
"""What is repeated, alone and in pairs, until a reply is as long as a part of it that is read."""
HOSTILE_CHARS = (190, 3_900, 40_000)
SEEMS_SLOW_S = 2e-3
HOSTILE_FORMS = ("%s", "\\boxed{1%s}", "The answer is %s!")


def run() -> Figures:
    """Right and wrong answers in turn, bare and after 2 kB of reasoning; golds of every level."""
    tasks = [FinanceTasks(levels=(1 + i % 5,))[i] for i in range(NUM_TASKS)]
    short = list(answers(tasks, reasoning=""))
    long = list(answers(tasks, reasoning=SENTENCE * (2_000 // len(SENTENCE))))
    verifier = NumericVerifier()
    ours = per_second(verifier, short), per_second(verifier, long)
    peers = peer_rates(short[:NUM_PEER_TASKS], long[:NUM_PEER_TASKS])
    return {
        "short_per_s": ours[0],
        "two_kb_per_s": ours[1],
        "math_verify_short_per_s": peers[0],
        "math_verify_two_kb_per_s": peers[1],
        "times_math_verify_short": ours[0] / peers[0] if peers[0] else None,
        "times_math_verify_two_kb": ours[1] / peers[1] if peers[1] else None,
        "worst_hostile_ms": 1_000 * worst_hostile_s(verifier),
    }


def answers(tasks: Sequence[Task], reasoning: str) -> Iterator[Trajectory]:
    forms = ("\\boxed{%s}", "The answer is %s.", "<answer>%s</answer>", "\\boxed{%s7}")
    for task, form in zip(tasks, islice(cycle(forms), len(tasks)), strict=True):
        yield _replied(task, reasoning + form % task.answer)


def per_second(score: Callable[[Trajectory], object], trajectories: Sequence[Trajectory]) -> float:
    """Median over rounds of answers per second of processor time."""
    rates = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for trajectory in trajectories:
            score(trajectory)
        rates.append(len(trajectories) / (time.process_time() - began))
    return statistics.median(rates)


def peer_rates(
    short: Sequence[Trajectory], long: Sequence[Trajectory]
) -> tuple[float | None, float | None]:
    """The same for math-verify, where it is installed."""
    if importlib.util.find_spec("math_verify") is None:
        return None, None
    from math_verify import parse, verify

    def score(trajectory: Trajectory) -> object:
        return verify(parse(f"${trajectory.task.answer}$"), parse(trajectory.reply))

    return per_second(score, short), per_second(score, long)


def worst_hostile_s(verifier: NumericVerifier) -> float:
    """The longest that any hostile reply takes, in processor time; what seems slow is timed again,
    and the least of three counts, because a process may be put aside in the middle of one."""
    return max(_seconds(verifier, trajectory) for trajectory in hostile())


def hostile() -> Iterator[Trajectory]:
    """Replies made to be slow to read, each against golds of one kind in turn."""
    golds = cycle(HOSTILE_GOLDS)
    parts = [*HOSTILE_PARTS, *(a + b for a, b in product(HOSTILE_PARTS, repeat=2) if a != b)]
    for part, form, length in product(parts, HOSTILE_FORMS, HOSTILE_CHARS):
        text = (part * (length // len(part) + 1))[:length]
        yield _replied(Task("hostile", "test", (), next(golds)), form % text)


def _seconds(verifier: NumericVerifier, trajectory: Trajectory) -> float:
    seconds = _once(verifier, trajectory)
    if seconds < SEEMS_SLOW_S:
        return seconds
    return min(seconds, *(_once(verifier, trajectory) for _ in range(2)))


def _once(verifier: NumericVerifier, trajectory: Trajectory) -> float:
    began = time.process_time()
    verifier(trajectory)
    return time.process_time() - began


def _replied(task: Task, reply: str) -> Trajectory:
    return Trajectory(task, 0, (), (*task.prompt, Message("assistant", reply)), StopReason.STOP)
