"""The pools of one task set, and which of its tasks comes next.

    unseen ──> learning ──> mastered       lower bound of the pass rate >= promote, two visits
                 ^  ^ └───> unreachable    upper bound <= give_up, two visits
                 │  └── mastered           one visit whose mean is under demote
                 └───── unreachable        one success

What a task was believed to be is forgotten when it comes back, so that it takes two visits more to
leave again: pools do not flap. Mastered and unreachable tasks are tested again in turn, the one not
tested for longest first, each pool in one draw of every `1 / retest_share` if a task has rested for
long enough; so no task is lost, and none is sampled without end. Where such tests find task after
task forgotten, or within reach, up to a quarter of all draws tests that pool. Groups with too few
verdicts say nothing about difficulty: the task keeps its pool, rests, and comes again on turns of
their own.

All other draws teach. Learning tasks lie in bins by pass rate. A bin is chosen in proportion to its
tasks times its weight: the signal p (1 - p) measured in the groups drawn from it, times a band
round a target that moves from easy to hard as the mean pass rate rises. Where good learning tasks
are short of a reserve, new tasks are explored, and the more so the more the groups of new tasks
teach. A label is explored in proportion to its size times that signal: inside one task's group,
so that a label of easy and hopeless tasks does not look like one of learnable ones.

A draw costs the same for ten tasks and for ten million.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

import numpy as np
from numpy.typing import NDArray

from envs.draws import key_of, mix
from rl.estimates import BINS, TAIL, bin_of, estimate_pass_at_10, quantiles
from rl.signals import Signals, signal_of
from rl.task_index import TaskIndex, hash_of
from rl.task_rows import (
    DRAWS,
    ID,
    INDEX,
    LANE,
    MOST_SAMPLES,
    MOST_TOTAL,
    RECENT_VISITS,
    RING,
    VERSION,
    TaskRows,
    totals,
)

POOLS = ("unseen", "learning", "mastered", "unreachable")
UNSEEN, LEARNING, MASTERED, UNREACHABLE = range(4)
MOVES = ("promoted", "given_up", "demoted", "returned")
_PROMOTED, _GIVEN_UP, _DEMOTED, _RETURNED = range(4)

# Queues: first the bins of learning tasks, then these.
RESTING = (MASTERED_QUEUE, UNREACHABLE_QUEUE, FAULTY_QUEUE) = (BINS, BINS + 1, BINS + 2)

_EXPLORE = 255  # a turn
_FIRST_LOOKS, _LOOKS = 32, 128  # observed groups from one look at all bins and labels to the next
_FIRST = 1024  # groups after which the first looks, more frequent, end
_MOST_COPIES = 4  # of a task under way, before tested tasks come again early
_TESTS = 8  # that an alarm remembers
_ALARM = 0.2  # over which it sounds: two tests in short order moved a task
_TRIES = 8  # to find a task of a label with a high weight

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """See `PassRateCurriculum`; `rest` and `reserve` in groups, `horizon` in policy versions."""

    promote: float
    demote: float
    give_up: float
    retest_share: float
    explore_share: float
    rest: int
    reserve: int
    horizon: int


class TaskPools:
    """One task set. A drawn task is under way, in no queue, until every draw of it was observed.

    `draw` gives (index, visit); then either `visited` or `faulted` is called for it, once.
    """

    def __init__(self, index: TaskIndex, settings: PoolSettings, seed: int) -> None:
        self.index, self.settings = index, settings
        self.rows = TaskRows(len(index.labels), BINS + 3)
        self.moves = [0] * len(MOVES)
        self.explored = 0
        self.signals = Signals(index.sizes, index.label_sets)
        self._key = key_of("pools", seed, index.name)
        self._turns = _turns(settings)
        self._labels, self._order = index.labels.data, index.order.data
        self._ends = index.starts[1:]
        self.places = index.starts[:-1].copy()  # the next to explore of each label
        self._table: list[list[tuple[float, float, int, int]]] = [[] for _ in range(MOST_TOTAL + 1)]
        self.alarms = [0.0, 0.0]  # share of late tests, of mastered and unreachable, that moved one
        self.drawn = self.observed = 0
        self.under_way: dict[int, int] = {}  # index -> row
        self.copies: dict[int, int] = {}  # index -> draws under way beyond the first
        self.counts = [len(index.labels), 0, 0, 0]
        self.seen = [0] * len(index.names)  # visited tasks, with a verdict, of each label
        self.pass_sums = [0.0] * len(index.names)  # of their pass@10
        self.mean_sum = 0.0  # of all their pass rates
        self.refresh()

    # Drawing

    def draw(self) -> tuple[int, int]:
        """The next task of the set and how often it was drawn before (modulo 65,536)."""
        rows, drawn = self.rows, self.drawn
        self.drawn = drawn + 1
        # Chance is a function of the number of the draw, so there is no generator to save.
        luck = (mix(self._key + drawn * _GOLDEN & _MASK) >> 11) * 2.0**-53
        turn = self._turns[drawn % len(self._turns)]
        if turn == _EXPLORE and self._unexplored():
            row = self._explore(luck)
        elif BINS <= turn < _EXPLORE and rows.sizes[turn] and self._rested(turn):
            row = rows.pop(turn)
        elif max(self.alarms) > _ALARM and (queue := self._alarming(luck)):
            row = rows.pop(queue)
        else:
            row = self._teach(luck)
            if row < 0:
                return self._make_do()
        return self._send(row)

    def _rested(self, queue: int) -> bool:
        return self.rows.waited(queue) >= self.settings.rest

    def _alarming(self, luck: float) -> int:
        """The queue to test out of turn because of what tests found lately, or 0."""
        throw = luck * 2.0**26 % 1.0  # the lower half of the bits
        for queue, alarm in zip((MASTERED_QUEUE, UNREACHABLE_QUEUE), self.alarms, strict=True):
            share = alarm / 4 if alarm > _ALARM else 0.0
            if throw < share:
                return queue if self.rows.sizes[queue] and self._rested(queue) else 0
            throw -= share
        return 0

    def _unexplored(self) -> bool:
        return self.rows.count < len(self._labels)

    def _send(self, row: int) -> tuple[int, int]:
        rows = self.rows
        index: int = rows.d[8 * row + INDEX]
        self.under_way[index] = row
        place = 16 * row + DRAWS
        visit: int = rows.h[place]
        rows.h[place] = visit + 1 & 0xFFFF
        return index, visit

    def _teach(self, luck: float) -> int:
        """A row to learn from, learning or new; -1 where no such task is left."""
        rows = self.rows
        sizes, signals = rows.sizes, self.signals
        cumulative = list(accumulate(map(mul, signals.weights, sizes)))
        total = cumulative[-1]
        if rows.count < len(self._labels):
            # Weights are relative to the best bin, so `total` counts tasks as good as those there.
            share = (1 - total / self.settings.reserve) * signals.appetite if total else 1.0
            if luck < share:
                return self._explore(luck / share)
            if share > 0:
                luck = (luck - share) / (1 - share)
        if not total:
            return -1
        chosen = bisect(cumulative, luck * total, 0, BINS - 1)
        while not sizes[chosen]:  # rounding led past the last bin that has tasks
            chosen -= 1
        if signals.thinning is None:
            return rows.pop(chosen)
        return self._pop_by_label(chosen, luck, signals.thinning)

    def _pop_by_label(self, queue: int, luck: float, keep: Sequence[float]) -> int:
        """The first task of a queue that a throw with its label's weight lets through; those that
        are not go to the end."""
        rows, word = self.rows, int(luck * 2.0**53)
        for _ in range(_TRIES):
            row = rows.pop(queue)
            word = mix(word + _GOLDEN & _MASK)
            if word < keep[self._labels[rows.d[8 * row + INDEX]]] * 2.0**64:
                return row
            rows.push(queue, row)
        return rows.pop(queue)

    def _explore(self, luck: float) -> int:
        cumulative = self.signals.label_cumulative
        places, ends = self.places.data, self._ends.data
        label = bisect(cumulative, luck * cumulative[-1], 0, len(cumulative) - 1)
        while places[label] == ends[label]:  # rounding led past the last one
            label -= 1
        place = places[label]
        places[label] = place + 1
        self.explored += 1
        row = self.rows.add(self._order[place])
        if place + 1 == ends[label]:
            self.refresh()
        return row

    def _make_do(self) -> tuple[int, int]:
        """A draw where nothing is left to learn from: learning tasks that are under way once more,
        then whatever was tested longest ago, then anything under way."""
        rows, copies = self.rows, self.copies
        learning = [i for i, row in self.under_way.items() if rows.pools[row] <= LEARNING]
        again = min(learning, key=lambda i: copies.get(i, 0), default=-1)
        if again < 0 or copies.get(again, 0) + 1 >= _MOST_COPIES:
            resting = [queue for queue in RESTING if rows.sizes[queue]]
            if resting:
                return self._send(rows.pop(max(resting, key=rows.waited)))
            again = min(self.under_way, key=lambda i: copies.get(i, 0))
        copies[again] = copies.get(again, 0) + 1
        return self._send(self.under_way[again])

    # Observing

    def visited(
        self, index: int, samples: int, correct: int, version: int, task_id: str = ""
    ) -> None:
        """`correct` of `samples` (two or more) passed under weights of this policy version."""
        row, landed = self._land(index, task_id)
        rows, label = self.rows, self._labels[index]
        if samples > MOST_SAMPLES:
            samples, correct = MOST_SAMPLES, correct * MOST_SAMPLES // samples
        signal = signal_of(samples, correct)
        pool: int = rows.pools[row]
        visits: int = rows.q[4 * row + RECENT_VISITS]
        if visits:
            mean, pass_at_10, bin_, _ = self._judge(*totals(visits))
            self.mean_sum -= mean
            self.pass_sums[label] -= pass_at_10
            if pool == LEARNING:
                self.signals.of_known(bin_, signal)
        else:
            self.seen[label] += 1
            self.signals.of_new(label, signal)
        visits, after = self._remember(row, visits, pool, samples, correct, version)
        if pool >= MASTERED:
            self.alarms[pool - MASTERED] += (
                (after != pool) - self.alarms[pool - MASTERED]
            ) / _TESTS
        mean, pass_at_10, bin_, verdict = self._judge(*totals(visits))
        self.mean_sum += mean
        self.pass_sums[label] += pass_at_10
        if after == LEARNING and verdict and visits >> LANE:
            after = verdict
            self.moves[_PROMOTED if after == MASTERED else _GIVEN_UP] += 1
        if after != pool:
            rows.pools[row] = after
            self.counts[pool] -= 1
            self.counts[after] += 1
        if landed:
            rows.push(bin_ if after == LEARNING else BINS - MASTERED + after, row)
        self.observed += 1
        every = _FIRST_LOOKS if self.observed < _FIRST else _LOOKS
        if self.observed % max(every, len(self.seen) // 4) == 0:
            self.refresh()

    def faulted(self, index: int, task_id: str = "") -> None:
        """A group without enough verdicts came back: nothing is known that was not known before."""
        row, landed = self._land(index, task_id)
        if landed:
            self.rows.push(FAULTY_QUEUE, row)

    def _land(self, index: int, task_id: str) -> tuple[int, bool]:
        """The row of a task that was under way, and whether it no longer is."""
        rows = self.rows
        landed = not (self.copies and index in self.copies)
        row = self.under_way.pop(index, -1) if landed else self.under_way[index]
        assert row >= 0, f"task {index} was observed without being drawn"
        if not landed:
            self.copies[index] -= 1
            if not self.copies[index]:
                del self.copies[index]
        if not rows.q[4 * row + ID]:
            rows.q[4 * row + ID] = hash_of(task_id)
        return row, landed

    def _remember(
        self, row: int, visits: int, pool: int, samples: int, correct: int, version: int
    ) -> tuple[int, int]:
        """Add a visit to those remembered. Returns them and the pool, before any promotion."""
        rows = self.rows
        visit, now = samples << 8 | correct, version & 0xFFFF
        age = now - rows.h[16 * row + VERSION] & 0xFFFF
        if not visits or age < 0x8000:  # else it is older than the last one, and came late
            rows.h[16 * row + VERSION] = now
            if age > self.settings.horizon:
                visits = 0
        visits = (visits << LANE | visit) & RING
        if pool == UNSEEN:
            pool = LEARNING
        elif pool == MASTERED and (1 + correct) / (2 + samples) < self.settings.demote:
            visits, pool = visit, LEARNING
            self.moves[_DEMOTED] += 1
        elif pool == UNREACHABLE and correct:
            visits, pool = visit, LEARNING
            self.moves[_RETURNED] += 1
        rows.q[4 * row + RECENT_VISITS] = visits
        return visits, pool

    def _judge(self, samples: int, correct: int) -> tuple[float, float, int, int]:
        """Posterior mean, pass@10, bin, and the pool that the bounds speak for (0: neither)."""
        known = self._table[samples]
        if not known:
            mastered = quantiles(samples, TAIL) >= self.settings.promote
            hopeless = quantiles(samples, 1 - TAIL) <= self.settings.give_up
            known += [
                (
                    (1 + c) / (2 + samples),
                    estimate_pass_at_10(samples, c),
                    bin_of(samples, c),
                    MASTERED if mastered[c] else UNREACHABLE if hopeless[c] else 0,
                )
                for c in range(samples + 1)
            ]
        return known[correct]

    def refresh(self) -> None:
        left = self._ends - self.places
        self.signals.refresh(self.ability, self.rows.sizes[:BINS], left)

    @property
    def ability(self) -> float:
        """Mean estimated pass rate of the tasks that were seen."""
        seen = len(self._labels) - self.counts[UNSEEN]
        return self.mean_sum / seen if seen else 0.0

    def set_label_weights(self, weights: NDArray[np.float64]) -> None:
        """One weight for each label, in the order of `index.names`."""
        self.signals.label_weights = weights
        self.refresh()


def _turns(settings: PoolSettings) -> bytes:
    """What each draw of a period is set aside for, where it can be used: a queue, or exploring.
    0: nothing, it teaches."""
    period = round(1 / settings.retest_share)
    turns = bytearray(period)
    explored = max(1, round(period * settings.explore_share))
    for number in range(explored):
        turns[period * number // explored] = _EXPLORE
    for number, queue in enumerate(RESTING):
        free = [place for place, turn in enumerate(turns) if not turn]
        turns[free[len(free) * number // 3]] = queue
    return bytes(turns)
