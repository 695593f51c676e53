"""The judge held against its gold sets while a stage runs: metrics, events and alarms."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from configs.errors import ConfigError, FaultBudgetSpent
from configs.schema import RunConfig
from launch.judging import judge_settings, load_routes
from rewards.breaker import LONGEST_S
from rewards.calibration import Calibration
from rewards.routing import Mode
from rl.tracking import Tracker

FALL, RISE = 0.15, 0.1
"""How far kappa may fall, and the share of false accepts rise, since the first calibration."""
ATTEMPTS, PAUSE_S = 4, LONGEST_S
"""At a stage's beginning, while too few cases get a verdict. Each attempt waits for a judge that is
down for its deadline, and after the pause its circuit lets a probe through."""

Ask = Callable[[], Awaitable[Mapping[str, Calibration]]]


@dataclass(slots=True)
class Calibrator:
    """Logs calibrations, and compares each with the first of its kind in this attempt."""

    config: RunConfig
    tracker: Tracker
    _first: dict[str, Calibration] = field(default_factory=dict)

    async def begin(self, stage: str, ask: Ask) -> dict[str, float]:
        """Before a stage that asks the judge: have it grade its gold sets, and log how it did.

        Raises:
            ConfigError: the judge does not know a gold set well enough to be learnt from.
            FaultBudgetSpent: it did not answer, so that nobody knows.
        """
        self._tell_of_routes_without_gold()
        found, attempts = await ask(), 1
        while unknown := self._log_unknown(stage, 0, found):
            if attempts == ATTEMPTS:
                kind, c = next(iter(unknown.items()))
                raise FaultBudgetSpent(
                    f"stage {stage} does not begin: the judge's agreement is unknown, {c.judged} "
                    f"of {c.cases} cases of the gold set of {kind} got a verdict in the last of "
                    f"{ATTEMPTS} attempts ({c.cause}); see that the judge answers and continue "
                    "with --resume"
                )
            await asyncio.sleep(PAUSE_S)
            found, attempts = await ask(), attempts + 1
        least = judge_settings(self.config.reward).min_kappa
        for kind, c in found.items():
            if c.kappa is None or c.kappa < least:
                told = "no kappa at all" if c.kappa is None else f"Cohen's kappa of {c.kappa:.2f}"
                raise ConfigError(
                    f"stage {stage} does not begin: on the gold set of {kind} the judge reaches "
                    f"{told}, under reward.judge.min_kappa {least:g}; take a better judge or "
                    "rubric, or route these tasks by rule alone"
                )
        return self.log(stage, 0, found)

    def log(self, stage: str, step: int, found: Mapping[str, Calibration]) -> dict[str, float]:
        """One event for each kind of task, alarms where one has become worse; returns metrics,
        which there are none of where the judge did not answer."""
        metrics: dict[str, float] = {}
        unknown = self._log_unknown(stage, step, found)
        for kind, c in found.items():
            if kind in unknown:
                continue
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

    def _tell_of_routes_without_gold(self) -> None:
        for kind, route in load_routes(self.config.reward).items():
            if route.mode is not Mode.RULE and not route.gold:
                self.tracker.log_event(
                    "notice", source=f"reward.routes.{kind}",
                    message="no gold set: how well the judge grades these tasks is unknown",
                )  # fmt: skip

    def _log_unknown(
        self, stage: str, step: int, found: Mapping[str, Calibration]
    ) -> dict[str, Calibration]:
        """An event for each kind of task on whose gold set the judge gave too few verdicts."""
        unknown = {kind: c for kind, c in found.items() if not c.is_known}
        for kind, c in unknown.items():
            self.tracker.log_event(
                "uncalibrated", stage=stage, step=step, task=kind, cases=c.cases, judged=c.judged,
                cause=c.cause, advice="the judge does not answer: look at its server",
            )  # fmt: skip
        return unknown


def _by(a: float | None, b: float | None) -> float:
    """How much more `a` is than `b`; 0 where either is unknown."""
    return 0.0 if a is None or b is None else a - b
