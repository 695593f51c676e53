"""What the verdicts of a step say about whoever gives them: how many are missing, what they cost,
and whether a judge is being played.

Rules and judge see the same answers in part, so the gap between them should stay what it was. A
score that follows the length or the style of an answer, or parts from the rules while it rises, is
the usual sign that a policy has found what the judge likes.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from configs.errors import FaultBudgetSpent
from rollout.types import Group, StopReason, Trajectory

WINDOW = 10
"""Steps that an alarm looks back on, and that the first of make its baseline."""
GAP_RISE = 0.15
"""How far judge minus rule may rise over its baseline."""
CORRELATION = 0.6
"""Of the judge's score with length or style, on the mean of the window."""
FEWEST = 8
"""Judged answers of a step from which on a correlation is worth computing."""

ALARMS: Mapping[str, str] = {
    "judge/gap": "the judge parts from the rules: look at what it likes, and tighten its rubric",
    "judge/length_correlation": "the judge's score follows length: bound it by rule",
    "judge/style_correlation": "the judge's score follows markup: forbid it in the rubric",
}
"""Metrics that are watched, and what to do when one of them goes off."""


def verdict_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """Metrics of the verdicts on a step's samples, without those that ended in a fault:

    - reward/no_verdict: the share that has none;
    - the sum of each of their costs, such as judge/calls and judge/prompt_tokens;
    - of judged ones judge/gap, the mean of judge minus rule where both spoke (a canary's rule
      included); judge/length_correlation and judge/style_correlation; judge/distinct, the share of
      different texts; judge/canary_agreement.
    """
    samples = [t for group in groups for t in group.trajectories]
    samples = [t for t in samples if t.stop_reason is not StopReason.ERROR and t.score]
    if not samples:
        return {}
    metrics: Counter[str] = Counter()
    for sample in samples:
        assert sample.score is not None
        metrics.update(sample.score.costs)
    missing = sum(t.reward is None for t in samples) / len(samples)
    return {"reward/no_verdict": missing, **metrics, **_judge_metrics(samples)}


def _judge_metrics(samples: Sequence[Trajectory]) -> dict[str, float]:
    judged = [(t, t.score.terms) for t in samples if t.score and "judge" in t.score.terms]
    if not judged:
        return {}
    scores = np.array([terms["judge"] for _, terms in judged])
    lengths = np.array([float(t.num_generated) for t, _ in judged])
    markup = np.array([_markup(t.reply) for t, _ in judged])
    ruled = [
        (terms["judge"], terms.get("rule", terms.get("canary", 0.0)))
        for _, terms in judged
        if "rule" in terms or "canary" in terms
    ]
    canaries = [
        (terms["judge"] >= 0.5) == (terms["canary"] >= 0.5)
        for _, terms in judged
        if "canary" in terms
    ]
    found = {
        "judge/distinct": len({t.reply for t, _ in judged}) / len(judged),
        "judge/length_correlation": _correlation(scores, lengths),
        "judge/style_correlation": _correlation(scores, markup),
        "judge/gap": float(np.mean([j - r for j, r in ruled])) if ruled else None,
        "judge/canary_agreement": float(np.mean(canaries)) if canaries else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _markup(text: str) -> float:
    """Share of characters that are neither letters, digits nor space."""
    return sum(not (c.isalnum() or c.isspace()) for c in text) / max(1, len(text))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Pearson's, None for too few values or such that do not vary."""
    if len(a) < FEWEST or a.std() < 1e-9 or b.std() < 1e-9:
        return None
    return float(np.corrcoef(a, b)[0, 1])


@dataclass(frozen=True, slots=True)
class Alarm:
    """A watched metric that went off: what it is on the mean of the last steps, and was before."""

    metric: str
    value: float
    baseline: float


@dataclass(slots=True)
class VerdictWatch:
    """Ends a run whose verdicts stay away, and tells of a judge that is being played.

    `limit` is the share of a kind of task (label "task", else env) whose samples may have no
    verdict over `steps` steps in which it came up.
    """

    limit: float
    steps: int
    _missing: defaultdict[str, deque[tuple[int, int]]] = field(init=False)
    _reasons: Counter[str] = field(default_factory=Counter)
    _last: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, list[float]] = field(default_factory=dict)
    _ringing: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._missing = defaultdict(lambda: deque(maxlen=self.steps))

    def check(self, groups: Sequence[Group]) -> None:
        """Raises FaultBudgetSpent, with the cause, where too many verdicts are missing."""
        by_kind: defaultdict[str, list[Trajectory]] = defaultdict(list)
        for group in groups:
            kind = group.task.labels.get("task", group.task.env)
            played = (t for t in group.trajectories if t.stop_reason is not StopReason.ERROR)
            by_kind[kind] += played
        for kind, samples in by_kind.items():
            without = [t for t in samples if t.reward is None]
            self._tell(t.score.reason for t in without if t.score)
            self._missing[kind].append((len(without), len(samples)))
            missing = sum(n for n, _ in self._missing[kind])
            share = missing / max(1, sum(total for _, total in self._missing[kind]))
            if len(self._missing[kind]) == self.steps and share > self.limit:
                cause = self._last[self._reasons.most_common(1)[0][0]] or "no reason given"
                raise FaultBudgetSpent(
                    f"{share:.0%} of the {kind} samples of the last {self.steps} steps have no "
                    f"verdict, over reward.max_no_verdict {self.limit:.0%}; most often: {cause}; "
                    "mend that and continue with --resume"
                )

    def _tell(self, reasons: Iterable[str]) -> None:
        for reason in reasons:
            kind = ":".join(reason.split(":")[:2])  # such as "judge: timeout"
            self._reasons[kind] += 1
            self._last[kind] = reason

    def alarms(self, metrics: Mapping[str, float]) -> list[Alarm]:
        """What goes off with this step's metrics; each only once until it is quiet again."""
        found = []
        for name in ALARMS:
            if name not in metrics:
                continue
            seen = self._seen.setdefault(name, [])
            seen.append(metrics[name])
            if len(seen) < 2 * WINDOW:
                continue
            value, before = float(np.mean(seen[-WINDOW:])), float(np.mean(seen[:WINDOW]))
            rises = name == "judge/gap" and value - before > GAP_RISE
            follows = name != "judge/gap" and abs(value) > CORRELATION
            if (rises or follows) and name not in self._ringing:
                found.append(Alarm(name, value, before))
            (self._ringing.add if rises or follows else self._ringing.discard)(name)
        return found
