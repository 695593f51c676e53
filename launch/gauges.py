"""What Prometheus can scrape of a run from Ray's metrics port; deploy/grafana.json draws it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "assay_workers": ("Workers by state", ("role", "state")),
    "assay_under_way": ("Requests that workers have", ("role",)),
    "assay_deadlines_hit": ("Requests that came too late, since the start", ("role",)),
    "assay_versions_behind": ("Most versions that a serving worker is behind the learner", ()),
    "assay_groups": ("Groups of the stage: dispatched, trained, dropped, owed", ("fate",)),
    "assay_policy_version": ("Weights that are served", ()),
    "assay_step": ("Step of the stage", ("stage",)),
    "assay_tokens_per_second": ("Generated tokens a second, over the last step", ()),
    "assay_reward": ("Mean reward of the last step", ()),
    "assay_staleness": ("Age of the oldest token of the last step, in versions", ()),
    "assay_seconds": ("Parts of the last step", ("part",)),
}
"""Name, meaning and labels; every one carries `run` as well."""

Value = tuple[str, Mapping[str, str], float]


def values(status: Mapping[str, Any], metrics: Mapping[str, float]) -> list[Value]:
    """What to set the gauges to: from a run's status, and its last step's metrics."""
    found: list[Value] = [("assay_policy_version", {}, float(status["policy_version"]))]
    if status.get("stage"):
        found.append(("assay_step", {"stage": status["stage"]}, float(status["step"])))
    for fate, count in (status.get("groups") or {}).items():
        found.append(("assay_groups", {"fate": fate}, float(count)))
    for role, workers in status["fleets"].items():
        states = Counter(worker["state"].partition(",")[0] for worker in workers)
        for state in ("healthy", "suspect", "dead", "restarting", "stale"):
            labels = {"role": role, "state": state}
            found.append(("assay_workers", labels, float(states[state])))
        under_way = sum(worker["under_way"] for worker in workers)
        found.append(("assay_under_way", {"role": role}, float(under_way)))
    for role, count in status["deadlines_hit"].items():
        found.append(("assay_deadlines_hit", {"role": role}, float(count)))
    behind = [worker["behind"] or 0 for worker in status["fleets"].get("rollout", [])]
    found.append(("assay_versions_behind", {}, float(max(behind, default=0))))
    return [*found, *_of_step(metrics)]


def _of_step(metrics: Mapping[str, float]) -> list[Value]:
    found: list[Value] = []
    whole = metrics.get("time/step", 0.0)
    if whole > 0 and "tokens/generated" in metrics:
        found.append(("assay_tokens_per_second", {}, metrics["tokens/generated"] / whole))
    for name, metric in (("assay_reward", "reward/mean"), ("assay_staleness", "staleness/max")):
        if metric in metrics:
            found.append((name, {}, metrics[metric]))
    for part in ("generate", "train", "publish", "step"):
        if f"time/{part}" in metrics:
            found.append(("assay_seconds", {"part": part}, metrics[f"time/{part}"]))
    return found


class RayGauges:
    """The gauges of one run, in the process that is connected to Ray."""

    def __init__(self, run: str) -> None:
        from ray.util.metrics import Gauge

        self._run = run
        self._gauges = {
            name: Gauge(name, description=meaning, tag_keys=("run", *labels))
            for name, (meaning, labels) in GAUGES.items()
        }

    def set(self, found: list[Value]) -> None:
        for name, labels, value in found:
            self._gauges[name].set(value, tags={"run": self._run, **labels})
