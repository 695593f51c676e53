"""Scores of a group by comparisons: who wins against how many of the others.

A judge prefers what stands first more often than it should, so each pair is put both ways round,
and a preference that turns with the order is a tie.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from rewards.judge import Judge, JudgeError, Verdict
from rewards.routing import Opinion, judge_texts
from rewards.rubric import PREFERENCE, Rubric
from rollout.types import Trajectory


def pairs(count: int, opponents: int) -> list[tuple[int, int]]:
    """Pairs in which each of `count` meets at least min(opponents, count - 1) others, none twice.

    Example: `pairs(4, 2)` is [(0, 1), (1, 2), (2, 3), (0, 3)].
    """
    found: dict[tuple[int, int], None] = {}
    for distance in range(1, count // 2 + 1):
        if 2 * distance > opponents + 1:
            break
        for first in range(count):
            second = (first + distance) % count
            found[min(first, second), max(first, second)] = None
    return list(found)


async def compare_group(
    judge: Judge, rubric: Rubric, trajectories: Sequence[Trajectory], opponents: int
) -> list[Opinion]:
    """The share of comparisons that each answer wins, a tie being half; equal texts tie unasked.

    A comparison that failed counts for neither; an answer without any has no verdict.
    """
    texts = [judge_texts(rubric, trajectory) for trajectory in trajectories]
    meetings = pairs(len(texts), opponents)
    results = await asyncio.gather(*(_meet(judge, rubric, texts[a], texts[b]) for a, b in meetings))
    points: defaultdict[int, list[float]] = defaultdict(list)
    costs: list[Counter[str]] = [Counter() for _ in texts]
    reason = "no other answer to compare with"
    for (a, b), (result, spent) in zip(meetings, results, strict=True):
        costs[a].update(spent)
        if isinstance(result, str):
            reason = result
            continue
        points[a].append(result)
        points[b].append(1.0 - result)
    return [
        Opinion({PREFERENCE: sum(won) / len(won)} if (won := points[i]) else None, reason, costs[i])
        for i in range(len(texts))
    ]


async def _meet(
    judge: Judge, rubric: Rubric, a: Mapping[str, str], b: Mapping[str, str]
) -> tuple[float | str, dict[str, float]]:
    """What `a` gets of a comparison with `b`, or why there is none; and what it took."""
    if a["candidate"] == b["candidate"]:
        return 0.5, {}
    orders = [(a, b), (b, a)]
    random.shuffle(orders)  # which order is asked first, under a limit, is nobody's advantage
    try:
        verdicts = await asyncio.gather(
            *(judge.verdict(rubric, {**one, "other": other["candidate"]}) for one, other in orders)
        )
    except JudgeError as error:
        return f"judge: {error}", {"judge/no_verdict": 1.0}
    by_first = {id(one): v.terms[PREFERENCE] for (one, _), v in zip(orders, verdicts, strict=True)}
    forward, backward = by_first[id(a)], 1.0 - by_first[id(b)]
    won = forward if forward == backward else 0.5
    return won, _sum(verdicts)


def _sum(verdicts: Sequence[Verdict]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for verdict in verdicts:
        total.update(verdict.costs)
    return dict(total)
