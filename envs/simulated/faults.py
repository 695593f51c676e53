"""Faults on order: a tool that is slow, unavailable, broken, or answers in another form."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from statistics import NormalDist
from typing import Any

from configs.errors import ConfigError
from envs.draws import Draws
from envs.tool_schema import Tool
from envs.tools import ToolUnavailable

OTHER_FORM = json.dumps({"status": 200, "payload": None})


class InjectedCrash(RuntimeError):
    """The fault of a tool that was ordered with `crash`: it costs the sample its verdict."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How often a call meets a fault, and how long tools take.

    `error`: the tool is unavailable, which the policy is told. `crash`: the tool breaks, which ends
    the sample without a verdict. `wrong_schema`: the result has another form than promised. Each is
    a probability of a call. Latency is log-normal with median `latency_s` and 99th percentile
    `latency_p99_s` (0: always the median).

    Chance is a hash of the task, the call and how many came before it: so a call that is tried
    again may succeed, and the same replies always meet the same faults.
    """

    error: float = 0.0
    crash: float = 0.0
    wrong_schema: float = 0.0
    latency_s: float = 0.0
    latency_p99_s: float = 0.0

    def __post_init__(self) -> None:
        chances = {"error": self.error, "crash": self.crash, "wrong_schema": self.wrong_schema}
        for name, chance in chances.items():
            if not 0 <= chance <= 1:
                raise ConfigError(f"faults.{name} is {chance}; it is a probability, from 0 to 1")
        if self.latency_s < 0 or 0 < self.latency_p99_s < self.latency_s:
            raise ConfigError(
                f"faults: latency {self.latency_s} s with 99th percentile {self.latency_p99_s} s; "
                "neither is negative, and the percentile is at least the median"
            )

    def latency(self, chance: float) -> float:
        """The latency, in seconds, at `chance` in (0, 1) of its distribution."""
        if not self.latency_p99_s or not self.latency_s:
            return self.latency_s
        normal = NormalDist()
        sigma = math.log(self.latency_p99_s / self.latency_s) / normal.inv_cdf(0.99)
        return self.latency_s * math.exp(sigma * normal.inv_cdf(chance))


def read_faults(given: Mapping[str, float] | None) -> Faults:
    """From the keyword arguments of a configuration. Raises ConfigError for an unknown one."""
    names = [field.name for field in fields(Faults)]
    if unknown := [name for name in given or {} if name not in names]:
        raise ConfigError(f"unknown fault '{unknown[0]}'; there are {', '.join(names)}")
    return Faults(**(given or {}))


def with_faults(tool: Tool, faults: Faults, key: str) -> Tool:
    """The same tool, meeting faults; `key` is the task's."""
    if faults == Faults():
        return tool
    num_calls = 0

    def call(**arguments: Any) -> Any:
        nonlocal num_calls
        num_calls += 1
        draws = Draws(key, tool.spec.name, num_calls, sorted(arguments.items()))
        below_million = [draws.below(10**6) for _ in range(4)]
        chance, crash, error, wrong = ((n + 0.5) / 10**6 for n in below_million)
        if faults.latency_s:
            time.sleep(faults.latency(chance))
        if crash < faults.crash:
            raise InjectedCrash(f"{tool.spec.name} broke, as it was asked to")
        if error < faults.error:
            raise ToolUnavailable
        return OTHER_FORM if wrong < faults.wrong_schema else tool.function(**arguments)

    return replace(tool, function=call)
