"""Named places where a test can make the product fail, behind one environment variable.

    ASSAY_FAULT="ckpt.before_rename=kill"        SIGKILL this process at the first hit
    ASSAY_FAULT="ckpt.mid_file=raise@3"          raise InjectedFault at the third hit only
    ASSAY_FAULT="ckpt.before_latest=sleep:20"    stop for 20 seconds at every hit
    ASSAY_FAULT="ckpt.before_verify=truncate@1"  cut the file at hand to half its size, then go on
    ASSAY_FAULT="learner.forward=oom@2"          fail as torch does when a CPU's memory is spent

Unset, a point costs one comparison. Tests loop over `POINTS`, so a new entry is tested as soon as
it stands here; one test checks that the table and the calls of `point` name the same places.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from configs.errors import ConfigError

VARIABLE = "ASSAY_FAULT"

POINTS: dict[str, str] = {
    "rollout.start": "a rollout worker is about to start its engine",
    "rollout.before_run": "a rollout worker has got a group and generated nothing of it",
    "rollout.after_run": "a group is played and not yet delivered",
    "rollout.probe": "a rollout worker is about to generate a probe's token",
    "rollout.before_load": "a rollout worker is about to load published weights",
    "rollout.after_load": "it has loaded them and not told so",
    "reward.start": "a reward worker is about to load its verifier",
    "reward.before_score": "a reward worker has got a group",
    "reward.after_score": "a group is scored and not yet delivered",
    "envs.start": "an environment host is about to start",
    "envs.before_step": "an environment host has got what a policy wrote",
    "judge.start": "a judge is about to start its engine or its client",
    "judge.before_score": "a judge has got a group",
    "publish.before_offer": "the driver is about to have the learner write its weights",
    "learner.before_step": "a learner rank has got a batch",
    "learner.forward": "a learner rank is about to run one micro-batch forward",
    "ckpt.before_tmp": "nothing of the new checkpoint is on disk",
    "ckpt.mid_file": "half of a file is written",
    "ckpt.after_tensors": "a rank's tensors are written, not yet flushed",
    "ckpt.before_manifest": "all files are flushed, none is listed",
    "ckpt.before_verify": "the manifest is written, nothing has been read back",
    "ckpt.before_rename": "the checkpoint is complete under its temporary name",
    "ckpt.before_latest": "it has its final name, `latest` still holds the one before",
    "ckpt.before_prune": "`latest` holds it, one checkpoint too many is kept",
    "ckpt.mid_prune": "an old checkpoint has lost its name, its files are still there",
}

_SPEC = re.compile(r"([\w.]+)=(kill|raise|oom|truncate|sleep:(\d+(?:\.\d+)?))(?:@([1-9]\d*))?")


class InjectedFault(RuntimeError):
    """Raised by the action `raise`; no product code catches it by name."""


@dataclass(frozen=True, slots=True)
class _Fault:
    name: str
    action: str
    seconds: float
    only_hit: int | None
    hits: Iterator[int] = field(default_factory=lambda: itertools.count(1))


def _parse(spec: str) -> _Fault | None:
    if not spec:
        return None
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise ConfigError(
            f"{VARIABLE}={spec!r} is not POINT=ACTION or POINT=ACTION@HIT "
            "with ACTION one of kill, raise, oom, truncate, sleep:SECONDS"
        )
    name, action, seconds, hit = match.groups()
    if name not in POINTS:
        raise ConfigError(f"{VARIABLE}: no fault point {name!r}; there are {', '.join(POINTS)}")
    return _Fault(name, action.split(":")[0], float(seconds or 0), int(hit) if hit else None)


_armed = _parse(os.environ.get(VARIABLE, ""))


def arm(spec: str) -> None:
    """Replace what the environment variable set, in this process only; "" disarms.

    Raises:
        ConfigError: the specification cannot be read or names no point.
    """
    global _armed
    _armed = _parse(spec)


def in_life(life: int) -> str:
    """The variable for a worker's process: one that was started again, after the fault of a single
    hit, is spared."""
    spec = os.environ.get(VARIABLE, "")
    return "" if life and "@" in spec else spec


def spare_new_processes() -> None:
    """The same for all processes that are started from now on, after the whole run was."""
    os.environ[VARIABLE] = in_life(1)


def point(name: str, path: Path | None = None) -> None:
    """Fail here if a test asked for it. `path` is the file that `truncate` would cut.

    Raises:
        InjectedFault: the action of this point is `raise`.
        RuntimeError: it is `oom`.
    """
    if _armed is not None and _armed.name == name:
        _strike(_armed, path)


def _strike(fault: _Fault, path: Path | None) -> None:
    hit = next(fault.hits)
    if fault.only_hit not in (None, hit):
        return
    if fault.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.action == "sleep":
        time.sleep(fault.seconds)
    elif fault.action == "truncate":
        assert path is not None, f"{fault.name} has no file at hand to truncate"
        os.truncate(path, path.stat().st_size // 2)
    elif fault.action == "oom":
        raise RuntimeError(f"{fault.name}, hit {hit}: can't allocate memory")
    else:
        raise InjectedFault(f"{fault.name}, hit {hit}")
