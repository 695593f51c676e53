"""Weights of labels: more for the kinds of task that the policy is bad at (Agentar-Fin-R1).

A label is what a task is about, its scene and its kind ("banking/percent_change"), whatever its
level. From pass@10 of the policy, p(l), and of a reference, r(l), of each label (arXiv 2507.16802,
section 3.1):

    raw(l)      = alpha (1 - p(l)) + beta max(0, r(l) - p(l)) + gamma
    smoothed(l) = smoothing * smoothed(l) before + (1 - smoothing) * raw(l)
    weight(l)   = max(floor, c * smoothed(l)), with c such that the mean over all tasks is 1

So a weighted loss stays comparable with an unweighted one, and no label ever lies under the floor
(flooring first and normalising then, as the paper does, would push it there). What is smoothed is
the raw weight: raw weights of different times have one scale, normalised ones do not. A label that
was never measured gets the mean weight of those that were. The paper publishes no constant; the
defaults of `LabelWeights` are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from envs.draws import key_of, permute
from envs.types import Demonstration, Task
from rl.curriculum import Mixture
from rl.estimates import estimate_pass_at_10

LEVEL = "level"
MOST_READ = 10_000
"""Tasks of a set, in a random order, whose labels stand for those of all."""


@runtime_checkable
class LabelAware(Protocol):
    """A curriculum that measures labels and can favour some. It has finer ones: a label here stands
    for all that begin with it and a "/"."""

    def label_pass_at_10(self) -> dict[str, float]: ...

    def set_label_weights(self, weights: Mapping[str, float]) -> None: ...


def label_of(labels: Mapping[str, str]) -> str:
    """The label that a task is weighted by: all values but that of its level, which comes last.

    Example: {"scene": "banking", "task": "percent_change", "level": "2"} -> banking/percent_change.
    """
    return "/".join(value for name, value in labels.items() if name != LEVEL)


def pass_at_10_by_label(
    results: Iterable[tuple[Mapping[str, str], int, int]],
) -> dict[str, float]:
    """Mean pass@10 over tasks by label, from each task's labels, samples and right answers."""
    values: dict[str, list[float]] = {}
    for labels, samples, correct in results:
        if samples:
            values.setdefault(label_of(labels), []).append(estimate_pass_at_10(samples, correct))
    return {label: sum(found) / len(found) for label, found in values.items()}


def label_shares(mixture: Mixture[Task | Demonstration]) -> dict[str, float]:
    """The share of draws that each label has while tasks of a set are drawn evenly."""
    shares: dict[str, float] = {}
    for (name, items), weight in zip(mixture.sets.items(), mixture.weights, strict=True):
        count, key = min(len(items), MOST_READ), key_of("labels", name)
        for place in range(count):
            item = items[permute(place, len(items), key)]
            label = label_of((item.task if isinstance(item, Demonstration) else item).labels)
            share = weight / sum(mixture.weights) / count
            shares[label] = shares.get(label, 0.0) + share
    return shares


class LabelWeights:
    """The weight of each label of a stage; 1 for all until `update` is called.

    `shares` are those of the stage's tasks by label. `reference` is pass@10 of a stronger model by
    label; labels that it lacks have no beta term. With the defaults a label that always fails
    weighs six times as much as one that is mastered before the floor, which is a share of the mean
    weight; after two updates half of the past is forgotten.

    Raises ValueError for constants that give no weights.
    """

    def __init__(
        self,
        shares: Mapping[str, float],
        reference: Mapping[str, float],
        *,
        alpha: float = 1.0,
        beta: float = 1.0,
        gamma: float = 0.2,
        smoothing: float = 0.7,
        floor: float = 0.25,
    ) -> None:
        for name, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
            if not 0 <= float(value) < math.inf:
                raise ValueError(f"{name} must be at least 0, is {value:g}")
        if not 0 <= float(smoothing) < 1:
            raise ValueError(f"smoothing must be at least 0 and under 1, is {smoothing:g}")
        if not 0 < float(floor) < 1:
            raise ValueError(f"floor must be over 0 and under 1, is {floor:g}")
        self._shares, self._reference = dict(shares), dict(reference)
        self._alpha, self._beta, self._gamma = alpha, beta, gamma
        self._smoothing, self._floor = smoothing, floor
        self._smoothed: dict[str, float] = {}
        self.weights = dict.fromkeys(shares, 1.0)

    def of(self, task: Task) -> float:
        """The weight of a task's label, 1 where it is none of the stage's."""
        return self.weights.get(label_of(task.labels), 1.0)

    def update(self, pass_at_10: Mapping[str, float]) -> None:
        """Move towards the weights of what was measured; other labels stay where they are.

        Names may go on after a label and a "/" ("banking/percent_change/2", with the level): a
        label's figure is the mean over all such.
        """
        found: dict[str, list[float]] = {}
        for name, value in pass_at_10.items():
            label = name
            while label not in self._shares and "/" in label:
                label = label.rpartition("/")[0]
            if label in self._shares:
                found.setdefault(label, []).append(value)
        for label, values in found.items():
            raw = self._raw(label, sum(values) / len(values))
            before = self._smoothed.get(label, raw)
            self._smoothed[label] = self._smoothing * before + (1 - self._smoothing) * raw
        self.weights = self._normalised()

    def metrics(self) -> dict[str, float]:
        """The range of the weights, named label_weight/<what>."""
        values = self.weights.values()
        return {"label_weight/min": min(values), "label_weight/max": max(values)}

    def state(self) -> dict[str, Any]:
        return {"smoothed": dict(self._smoothed)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly: weights follow from the smoothed ones."""
        self._smoothed = dict(state["smoothed"])
        self.weights = self._normalised()

    def _raw(self, label: str, now: float) -> float:
        behind = max(0.0, self._reference.get(label, 0.0) - now)
        return self._alpha * (1 - now) + self._beta * behind + self._gamma

    def _normalised(self) -> dict[str, float]:
        """max(floor, c * smoothed), with c such that the mean over tasks is 1.

        The labels at the floor are the first few by rising weight: c follows from the others, and
        is right once it lifts the least of them over the floor.
        """
        known = [(self._shares[label], raw) for label, raw in self._smoothed.items()]
        total = sum(share * raw for share, raw in known)
        if not total:  # nothing measured, or nothing to weigh by
            return dict.fromkeys(self._shares, 1.0)
        mean = total / sum(share for share, _ in known)
        raw = {label: self._smoothed.get(label, mean) for label in self._shares}
        rising = sorted(raw, key=raw.__getitem__)
        whole, floored = sum(self._shares.values()), 0.0
        rest = sum(self._shares[label] * raw[label] for label in rising)
        for label in rising:
            c = (whole - self._floor * floored) / rest
            if c * raw[label] >= self._floor:
                break
            floored += self._shares[label]
            rest -= self._shares[label] * raw[label]
        return {label: max(self._floor, c * weight) for label, weight in raw.items()}
