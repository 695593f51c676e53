"""How much groups teach, by difficulty and by label, and what that says about the next draws.

The signal of a group is the unbiased estimate of p (1 - p) from its own samples, so a label that
mixes easy and hopeless tasks is not taken for one of learnable tasks. A bin's weight is its signal
times a band round a target that moves from easy to hard as the mean pass rate rises; moving it
changes twelve numbers and touches no task.

The constants are this project's own; no source publishes any.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl.estimates import BINS

EASIEST_TARGET, HARDEST_TARGET = 0.7, 0.3  # of the band, at a mean pass rate of 0 and of 1
BAND = 0.25  # its standard deviation
FLOOR = 0.01  # under any signal, so that no label is left out for good
LEAST_WEIGHT = 0.02  # of a bin, so that masteries are confirmed even while others teach more
BIN_PRIOR, BIN_MEMORY = 16, 256  # groups
LABEL_PRIOR, LABEL_MEMORY = 2, 64  # groups
BEST_SIGNAL = 0.25  # what labels are expected to teach before any was tried


def signal_of(samples: int, correct: int) -> float:
    """p (1 - p) from two samples or more, without bias."""
    return correct * (samples - correct) / (samples * (samples - 1))


class Signals:
    """Decayed means of the signals of groups, and what `refresh` last made of them.

    `weights` are those of the bins, relative to the best one; `label_cumulative` the running sum of
    the shares in which labels are explored; `appetite` (0 to 1) how much new tasks teach beside
    known ones; `thinning`, where label weights differ, the share of each label's draws that stand.
    Set `label_weights` and refresh to change them.
    """

    def __init__(
        self, label_sizes: NDArray[np.int64], label_sets: Sequence[Mapping[str, str]]
    ) -> None:
        num_labels = len(label_sizes)
        self._values = _numbered(label_sets)
        self._sizes = label_sizes.astype(np.float64)
        self.bin_signals = [p * (1 - p) for p in ((b + 0.5) / BINS for b in range(BINS))]
        self.bin_groups = [BIN_PRIOR] * BINS
        self.label_signals = np.full(num_labels, BEST_SIGNAL)
        self.label_groups = np.zeros(num_labels, np.int64)
        self.label_weights = np.ones(num_labels)
        self.weights = [1.0] * BINS
        self.label_cumulative: list[float] = np.cumsum(self._sizes).tolist()
        self.thinning: list[float] | None = None
        self.target = EASIEST_TARGET
        self.appetite = 1.0

    def of_known(self, bin_: int, signal: float) -> None:
        """What the group of a learning task drawn from this bin taught."""
        count = self.bin_groups[bin_] = min(self.bin_groups[bin_] + 1, BIN_MEMORY)
        self.bin_signals[bin_] += (signal - self.bin_signals[bin_]) / count

    def of_new(self, label: int, signal: float) -> None:
        """What the group of a task that was not seen before taught."""
        count = min(int(self.label_groups[label]) + 1, LABEL_MEMORY)
        before = float(self.label_signals[label])
        self.label_groups[label] = count
        self.label_signals[label] = before + (signal - before) / count

    def refresh(self, ability: float, in_bins: Sequence[int], left: NDArray[np.int64]) -> None:
        """Place the band for a mean pass rate of `ability`, and weigh bins and labels anew.

        `in_bins` counts the tasks that rest in each bin, `left` the unexplored ones of each label.
        """
        self.target = EASIEST_TARGET + (HARDEST_TARGET - EASIEST_TARGET) * ability
        values = [
            max(signal, FLOOR) * math.exp(-(((b + 0.5) / BINS - self.target) ** 2) / (2 * BAND**2))
            for b, signal in enumerate(self.bin_signals)
        ]
        best = max(values)
        self.weights = [max(value / best, LEAST_WEIGHT) for value in values]
        taught = np.maximum(self._expected(), FLOOR)
        shares = np.where(left > 0, self._sizes * taught * self.label_weights, 0.0)
        self.label_cumulative = np.cumsum(shares).tolist()
        # Running sums, since those of numpy's `sum` differ from machine to machine in the last bit.
        new = float(np.cumsum(shares * taught)[-1]) / (self.label_cumulative[-1] or 1.0)
        self._thin(1 - float(left.sum()) / float(self._sizes.sum()))
        drawn = list(map(mul, self.weights, in_bins))
        known = sum(map(mul, drawn, self.bin_signals)) / (sum(drawn) or 1.0)
        self.appetite = min(1.0, new / known) if known else 1.0

    def _expected(self) -> NDArray[np.float64]:
        """What a group of a new task of each label is expected to teach: [labels].

        Its own mean, together with LABEL_PRIOR groups of what its values alone let expect: the
        mean over all labels times, for every value (a scene, a level), how much more or less than
        that the labels with this value teach. So a level out of reach is known in all scenes once
        it was met in some.
        """
        groups = self.label_groups.astype(np.float64)
        sums = groups * self.label_signals
        overall = _pooled(*(_totals(np.zeros_like(self.label_groups), of) for of in (sums, groups)))
        expected = np.full(len(groups), overall[0])
        for values in self._values:
            of_value = _pooled(_totals(values, sums), _totals(values, groups))
            expected *= of_value[values] / overall[0]
        expected = LABEL_PRIOR * np.minimum(expected, BEST_SIGNAL)
        mean: NDArray[np.float64] = (expected + sums) / (LABEL_PRIOR + groups)
        return mean

    def _thin(self, explored: float) -> None:
        """Known tasks are drawn by label weight as far as exploring by label weight has not already
        made the labels' numbers what they should be."""
        weights = self.label_weights / self.label_weights.max()
        self.thinning = (weights**explored).tolist() if weights.min() < 1 else None

    def state(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "appetite": self.appetite,
            "weights": list(self.weights),
            "bin_signals": list(self.bin_signals),
            "bin_groups": list(self.bin_groups),
            "label_signals": self.label_signals.copy(),
            "label_groups": self.label_groups.copy(),
            "label_weights": self.label_weights.copy(),
            "label_cumulative": np.array(self.label_cumulative),
            "thinning": np.array(self.thinning or []),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.target, self.appetite = state["target"], state["appetite"]
        self.weights = list(state["weights"])
        self.bin_signals, self.bin_groups = list(state["bin_signals"]), list(state["bin_groups"])
        self.label_signals = state["label_signals"].copy()
        self.label_groups = state["label_groups"].copy()
        self.label_weights = state["label_weights"].copy()
        self.thinning = state["thinning"].tolist() or None
        self.label_cumulative = state["label_cumulative"].tolist()


def _totals(values: NDArray[np.int64], of_labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over the labels with each value, in their order, and so the same on every machine."""
    return np.bincount(values, of_labels).astype(np.float64)


def _pooled(sums: NDArray[np.float64], groups: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means, with LABEL_PRIOR groups of the best signal, so that what is new is tried."""
    return (LABEL_PRIOR * BEST_SIGNAL + sums) / (LABEL_PRIOR + groups)


def _numbered(label_sets: Sequence[Mapping[str, str]]) -> list[NDArray[np.int64]]:
    """For each name that labels have, the number of its value in every label."""
    names = sorted({name for labels in label_sets for name in labels})
    columns = [[labels.get(name, "") for labels in label_sets] for name in names]
    return [np.unique(column, return_inverse=True)[1] for column in columns]
