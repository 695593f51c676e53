"""Saving pools, taking over what is known from elsewhere, and the picture of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl.estimates import BINS, estimate_pass_at_10
from rl.pools import FAULTY_QUEUE, LEARNING, MASTERED, MOVES, POOLS, UNSEEN, TaskPools
from rl.task_rows import NO_QUEUE

_FAULTY_BIT = 0x80  # of a row's saved pool


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """What is known of the tasks of one label. `histogram[b]` counts the tasks with an estimated
    pass rate in [b / 12, (b + 1) / 12)."""

    name: str  # the values of the labels, such as "banking/change/1"
    labels: Mapping[str, str]
    tasks: int
    pools: Mapping[str, int]  # unseen, learning, mastered, unreachable
    histogram: tuple[int, ...]
    pass_rate: float | None  # mean over the tasks that were seen, None where none was
    pass_at_10: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The picture of one task set. `moves` counts all changes of pool since the stage began."""

    name: str
    tasks: int
    pools: Mapping[str, int]
    labels: tuple[LabelSummary, ...]
    moves: Mapping[str, int]  # promoted, demoted, given_up, returned
    target: float  # the pass rate that the band is around
    draws: int
    explored: int  # draws of tasks that had not been visited


def save(pools: TaskPools) -> dict[str, Any]:
    """All that the next draw depends on, at most 32 bytes for each visited task."""
    rows = pools.rows.state()
    rows["pools"][pools.rows.in_queue(FAULTY_QUEUE)] |= _FAULTY_BIT
    return {
        "labels": list(pools.index.names),
        "clock": pools.rows.clock,
        "drawn": pools.drawn,
        "observed": pools.observed,
        "explored": pools.explored,
        "moves": list(pools.moves),
        "alarms": list(pools.alarms),
        "mean_sum": pools.mean_sum,
        "pass_sums": np.array(pools.pass_sums),
        "under_way": np.array(list(pools.under_way.values()), np.int64),
        "copies": np.array([pools.copies.get(i, 0) for i in pools.under_way], np.int64),
        "signals": pools.signals.state(),
        "rows": rows,
    }


def restore(pools: TaskPools, state: Mapping[str, Any]) -> None:
    """Go on from a state of the very same tasks, in pools that were not used yet."""
    pools.signals.restore(state["signals"])
    pools.drawn, pools.observed = state["drawn"], state["observed"]
    pools.explored = state["explored"]
    pools.moves, pools.alarms = list(state["moves"]), list(state["alarms"])
    _take(pools, state["rows"], state["clock"], state["under_way"])
    indices = pools.rows.column("indices")
    for row, copies in zip(state["under_way"].tolist(), state["copies"].tolist(), strict=True):
        pools.under_way[int(indices[row])] = row
        if copies:
            pools.copies[int(indices[row])] = copies
    # The last bit of a sum depends on the order of its terms, which only the saved one has kept.
    pools.mean_sum, pools.pass_sums = state["mean_sum"], state["pass_sums"].tolist()


def merge(pools: TaskPools, state: Mapping[str, Any], found: NDArray[np.int64]) -> None:
    """Take over from a state of other tasks the rows whose task has an index here (`found`, -1
    where it has none), in the order in which they were last seen."""
    saved: dict[str, NDArray[Any]] = state["rows"]
    kept = np.flatnonzero((found >= 0) & (saved["visits"] > 0))
    age = np.uint32(state["clock"] & 0xFFFFFFFF) - saved["stamps"][kept]
    kept = kept[np.argsort(~age, kind="stable")]
    rows = {name: column[kept] for name, column in saved.items()}
    rows["indices"] = found[kept].astype(np.uint32)
    rows["stamps"] = np.arange(len(kept), dtype=np.uint32)
    _take(pools, rows, len(kept), np.empty(0, np.int64))
    samples, correct = pools.rows.counts()
    pools.mean_sum = float(((1 + correct) / (2 + samples)).sum())
    passing = _pass_at_10(samples, correct)
    labels = pools.index.labels[rows["indices"]]
    pools.pass_sums = np.bincount(labels, passing, minlength=len(pools.index.names)).tolist()
    own, signals = pools.signals, state["signals"]
    own.bin_signals, own.bin_groups = list(signals["bin_signals"]), list(signals["bin_groups"])
    before = {name: number for number, name in enumerate(state["labels"])}
    for number, name in enumerate(pools.index.names):
        if name in before:
            own.label_signals[number] = signals["label_signals"][before[name]]
            own.label_groups[number] = signals["label_groups"][before[name]]
    pools.refresh()


def seed(
    pools: TaskPools,
    indices: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    samples: NDArray[np.int64],
    correct: NDArray[np.int64],
) -> None:
    """Count the rows of a profile, no task twice, as one visit each."""
    assert not pools.rows.count, "these pools are in use"
    chosen = np.argsort(hashes)  # the order in which they will come: at random
    for index, task, n, c in zip(
        *(column[chosen].tolist() for column in (indices, hashes, samples, correct)), strict=True
    ):
        row = pools.rows.add(index)
        pools.rows.set_id(row, task)
        pools.under_way[index] = row
        if n >= 2:
            pools.visited(index, n, c, 0)
        else:
            pools.faulted(index)
    _pass_over(pools)
    pools.refresh()


def _take(
    pools: TaskPools, saved: Mapping[str, NDArray[Any]], clock: int, under_way: NDArray[np.int64]
) -> None:
    """Fill pools with saved rows, all in their queues but those under way."""
    rows = pools.rows
    assert not rows.count, "these pools are in use"
    rows.fill(saved)
    rows.clock = clock
    stored = rows.column("pools")
    queues = np.empty(rows.count, np.uint8)
    for part in rows.parts():
        pool = stored[part] & ~np.uint8(_FAULTY_BIT)
        samples, correct = rows.counts(part)
        bins = (1 + correct) * BINS // (2 + samples)
        queue = np.where(pool == LEARNING, bins, pool + np.uint8(BINS - MASTERED))
        queues[part] = np.where(stored[part] == pool, queue, FAULTY_QUEUE)
        stored[part] = pool
    queues[under_way] = NO_QUEUE
    rows.link(queues)
    pools.counts = np.bincount(stored, minlength=len(POOLS)).tolist()
    pools.counts[UNSEEN] += len(pools.index.labels) - rows.count
    labels, indices = pools.index.labels, rows.column("indices")
    seen = np.zeros(len(pools.index.names), np.int64)
    for part in rows.parts():
        known = labels[indices[part][stored[part] != UNSEEN]]
        seen += np.bincount(known, minlength=len(seen))
    pools.seen = seen.tolist()
    _pass_over(pools)


def _pass_over(pools: TaskPools) -> None:
    """Let exploring begin after the tasks that have a row, wherever in their label they lie."""
    index = pools.index
    visited = np.zeros(len(index.labels), np.bool_)
    visited[pools.rows.column("indices")] = True
    for label, (start, end) in enumerate(zip(index.starts[:-1], index.starts[1:], strict=True)):
        tasks = index.order[start:end]
        known = visited[tasks]
        pools.places[label] = int(start) + int(known.sum())
        index.order[start:end] = np.concatenate((tasks[known], tasks[~known]))


def _pass_at_10(samples: NDArray[np.int64], correct: NDArray[np.int64]) -> NDArray[np.float64]:
    """`estimate_pass_at_10` of every pair, worked out once for pairs that are alike."""
    base = int(samples.max(initial=0)) + 1
    pairs, places = np.unique(samples * base + correct, return_inverse=True)
    return np.array([estimate_pass_at_10(*divmod(pair, base)) for pair in pairs.tolist()])[places]


def summarise(pools: TaskPools) -> Summary:
    """The picture of one task set, in time proportional to the tasks that were visited."""
    index = pools.index
    samples, correct = pools.rows.counts()
    stored = pools.rows.column("pools")
    labels = index.labels[pools.rows.column("indices")].astype(np.int64)
    seen = stored != UNSEEN
    num_labels = len(index.names)

    def table(values: NDArray[np.int64], width: int) -> NDArray[np.int64]:
        cells = (labels * width + values)[seen]
        return np.bincount(cells, minlength=num_labels * width).reshape(num_labels, width)

    in_pools = table(stored.astype(np.int64), len(POOLS))
    histograms = table((1 + correct) * BINS // (2 + samples), BINS)
    means = np.bincount(labels, (1 + correct) / (2 + samples) * seen, minlength=num_labels)
    summaries = []
    for number, name in enumerate(index.names):
        tasks, visited = int(index.sizes[number]), pools.seen[number]
        counts = [tasks - visited, *in_pools[number, 1:].tolist()]
        summaries.append(
            LabelSummary(
                name=name,
                labels=index.label_sets[number],
                tasks=tasks,
                pools=dict(zip(POOLS, counts, strict=True)),
                histogram=tuple(histograms[number].tolist()),
                pass_rate=float(means[number]) / visited if visited else None,
                pass_at_10=pools.pass_sums[number] / visited if visited else None,
            )
        )
    return Summary(
        name=index.name,
        tasks=len(index.labels),
        pools=dict(zip(POOLS, pools.counts, strict=True)),
        labels=tuple(summaries),
        moves=dict(zip(MOVES, pools.moves, strict=True)),
        target=pools.signals.target,
        draws=pools.drawn,
        explored=pools.explored,
    )
