"""The judge held against its gold sets while a stage runs: metrics, events and alarms."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from configs.errors import ConfigError
from configs.schema import RunConfig
from launch.judging import judge_settings
from rewards.calibration import Calibration
from rl.tracking import Tracker

FALL, RISE = 0.15, 0.1
"""How far kappa may fall, and the share of false accepts rise, since the first calibration."""


@dataclass(slots=True)
class Calibrator:
    """Logs calibrations, and compares each with the first of its kind in this attempt."""

    config: RunConfig
    tracker: Tracker
    _first: dict[str, Calibration] = field(default_factory=dict)

    def begin(self, stage: str, found: Mapping[str, Calibration]) -> dict[str, float]:
        """Before a stage that asks the judge.

        Raises:
            ConfigError: the judge does not know its gold set well enough to be learnt from.
        """
        least = judge_settings(self.config.reward).min_kappa
        for kind, c in found.items():
            if c.kappa is None or c.kappa < least:
                told = "no verdict at all" if c.kappa is None else f"Cohen's kappa of {c.kappa:.2f}"
                raise ConfigError(
                    f"stage {stage} does not begin: on the gold set of {kind} the judge reaches "
                    f"{told}, under reward.judge.min_kappa {least:g}; take a better judge or "
                    "rubric, or route these tasks by rule alone"
                )
        return self.log(stage, 0, found)

    def log(self, stage: str, step: int, found: Mapping[str, Calibration]) -> dict[str, float]:
        """One event for each kind of task, alarms where one has become worse; returns metrics."""
        metrics: dict[str, float] = {}
        for kind, c in found.items():
            first = self._first.setdefault(kind, c)
            drift = None if c.mean is None or first.mean is None else c.mean - first.mean
            self.tracker.log_event(
                "calibration", stage=stage, step=step, task=kind, drift=drift,
                **dataclasses.asdict(c),
            )  # fmt: skip
            now = {"kappa": c.kappa, "false_accept": c.false_accept}
            then = {"kappa": first.kappa, "false_accept": first.false_accept}
            values = {**now, "agreement": c.agreement, "drift": drift}
            metrics |= {f"judge/{kind}/{n}": v for n, v in values.items() if v is not None}
            worse = {
                "kappa": _by(then["kappa"], now["kappa"]) > FALL,
                "false_accept": _by(now["false_accept"], then["false_accept"]) > RISE,
            }
            for metric in (name for name, is_worse in worse.items() if is_worse):
                self.tracker.log_event(
                    "alarm", stage=stage, step=step, metric=f"judge/{kind}/{metric}",
                    value=now[metric], baseline=then[metric],
                    advice="the judge has changed: look at its server, model and rubric",
                )  # fmt: skip
        return metrics


def _by(a: float | None, b: float | None) -> float:
    """How much more `a` is than `b`; 0 where either is unknown."""
    return 0.0 if a is None or b is None else a - b
