"""When to add or remove a rollout worker: from who waits for whom, measured step by step.

The learner waits when generation is too slow; workers are idle when the ledger is full, because the
learner is too slow. One worker at a time, and only when several steps in a row agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

STEPS = 3
"""Steps in a row that must agree; as many pass after a change before the next one."""
LEARNER_WAITS = 0.5
WORKERS_BUSY = 0.2
WORKERS_IDLE = 0.5


@dataclass(frozen=True, slots=True)
class Measure:
    """One step: the share of its time in which the learner had nothing to train, and the share of
    the workers' time in which they had no group."""

    learner_waits: float
    workers_idle: float


def decide(measures: Sequence[Measure], workers: int, fewest: int, most: int) -> int:
    """The number of workers that the last steps speak for."""
    last = measures[-STEPS:]
    if len(last) < STEPS:
        return workers
    if workers < most and all(
        m.learner_waits > LEARNER_WAITS and m.workers_idle < WORKERS_BUSY for m in last
    ):
        return workers + 1
    if workers > fewest and all(m.workers_idle > WORKERS_IDLE for m in last):
        return workers - 1
    return workers


@dataclass(slots=True)
class Scaler:
    """Measures while a stage runs. `sample` is called about once a second, `step_done` after each
    step; it returns the number of workers that there should be."""

    fewest: int
    most: int
    _idle: list[float] = field(default_factory=list)
    _measures: list[Measure] = field(default_factory=list)

    def sample(self, idle: int, serving: int) -> None:
        """So many of the workers that serve have nothing to do at this moment."""
        if serving:
            self._idle.append(idle / serving)

    def step_done(self, metrics: Mapping[str, float], workers: int) -> int:
        """`metrics` are those of the step's record (rl/tracking.py)."""
        whole = metrics.get("time/step", 0.0)
        if whole <= 0 or not self._idle:
            return workers
        used = metrics.get("time/train", 0.0) + metrics.get("time/publish", 0.0)
        idle = sum(self._idle) / len(self._idle)
        self._measures.append(Measure(max(0.0, 1 - used / whole), idle))
        self._idle.clear()
        wanted = decide(self._measures, workers, self.fewest, self.most)
        if wanted != workers:
            self._measures.clear()
        return wanted
