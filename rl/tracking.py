"""What a run leaves behind: four append-only logs in its directory.

    metrics.jsonl        one line a training step
    trajectories.jsonl   a few sampled answers a step
    evaluations.jsonl    one line a held-out evaluation, with every task's counts
    events.jsonl         faults, notices, publishes, the beginning and end of each attempt

A checkpoint holds `FileTracker.state()`, the length of each log. Resuming cuts the first three back
to it and moves what the lost attempt wrote after it to `superseded/attempt_N/`, so every line of a
log counts exactly once and sums over a log are the run's. `events.jsonl` is a history, never cut.

The lines are strict JSON, see `jsonl.py`. What goes elsewhere as well is in `sinks.py`.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from rl.background import BackgroundSink, Sink
from rl.jsonl import encode_line, read_log
from rollout.types import Group, Trajectory, Turn

METRICS, TRAJECTORIES = "metrics.jsonl", "trajectories.jsonl"
EVALUATIONS, EVENTS = "evaluations.jsonl", "events.jsonl"
START = "start"  # the stage name of the evaluation before the first stage

BOOKKEEPING = {"attempt_start", "run_start", "run_end", "publish", "memory", "calibration"}
"""Kinds of events that belong to any run (see `Tracker.log_event`); the others are news."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One training step. `kind` is "sft" or "rl"; `step` counts from 1 to `num_steps` in its stage.

    Metrics are `area/what`. Console, report and plots read these (others are stored as they come):

    - reward/mean, reward/std, reward/accuracy (share of scored samples with reward >= 1) and
      reward/<term>: over this step's scored samples; reward/no_verdict, judge/...: rl/verdicts.py;
    - group/dispatched, group/trained, group/dropped/<reason>: how many in this step; group/owed:
      how many of this stage's are dispatched, but neither trained nor dropped, when the step ends.
      So over a stage dispatched = trained + dropped + owed;
    - length/mean, length/thinking, length/non_thinking: generated tokens an answer;
      length/truncated: share cut by the limit;
    - tokens/generated, tokens/trained: how many in this step; tokens/dropped/<reason> and, of
      trained groups' samples, tokens/no_verdict: the others. tokens/gradient: those of samples
      whose advantage is not 0; tokens/gradient_share: their share of the generated ones;
    - time/dropped/<reason>: the part of time/generate that went to what was dropped;
    - time/step: wall seconds of the step; time/generate, time/train, time/publish: parts of it,
      which overlap only where max_staleness > 0;
    - staleness/limit: the stage's max_staleness; staleness/max: largest age of a trained token;
    - publish/max_logprob_difference: engine against learner after this step's publish; mismatch_kl;
    - tools/turns, tools/calls, tools/seconds: a sample; tools/errors/<CallError>: in this step;
    - loss/mean, policy/entropy, learner/grad_norm, learner/lr.

    Example: `StepRecord("reasoning", "rl", 3, 200, 7, {"reward/mean": 0.25, "time/step": 1.9})`.
    """

    stage: str
    kind: str
    step: int
    num_steps: int
    policy_version: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One held-out task: n >= 1 sampled answers of which c are right, and one greedy answer.

    `tokens` and `seconds` are sums over the n sampled answers; an answer's seconds run from its
    submission to its last token. `reward` is the answers' mean, and `terms` that of each term.

    Example: `TaskResult("finance/heldout/1/7", {"level": "1"}, True, 10, 4, True, 310, 2.5)`: 4 of
    10 answers right, 31 tokens and 0.25 seconds each.
    """

    task_id: str
    labels: Mapping[str, str]
    thinking: bool
    num_samples: int
    num_correct: int
    greedy_correct: bool
    tokens: int
    seconds: float
    reward: float | None = None
    terms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert 0 <= self.num_correct <= self.num_samples > 0, f"impossible counts: {self}"


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """A held-out evaluation after `stage` (`START` before the first), or while it ran, after `step`
    of it; `seconds` is wall time.

    `prompts_too_long` tasks are left out of `results`, since the model's length cannot hold them.
    """

    stage: str
    policy_version: int
    seconds: float
    results: tuple[TaskResult, ...]
    prompts_too_long: int = 0
    step: int = 0


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened beside the steps: a fault, a notice, a publish, an end."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)


Record: TypeAlias = StepRecord | EvaluationRecord | EventRecord
OpenSink: TypeAlias = Callable[[], Sink[Record]]


class Tracker(Protocol):
    """What the controller and the stage pipeline report to."""

    def log_step(self, record: StepRecord) -> None: ...

    def log_trajectories(
        self, stage: str, step: int, groups: Iterable[Group], whole: bool = False
    ) -> None: ...

    def log_evaluation(self, record: EvaluationRecord) -> None: ...

    def log_event(self, kind: str, **fields: Any) -> None:
        """Faults and notices are named by whoever logs them. The report reads these:

        - run_start: name, seed, config_digest, code, versions (a mapping by package);
        - publish, for one outside of a step: max_logprob_difference;
        - memory: peak_gb;
        - run_end: status ("done", "stopped", ...).
        """
        ...

    def state(self) -> dict[str, int]:
        """What a checkpoint holds so that a resumed run's logs continue exactly there."""
        ...


class FileTracker:
    """The `Tracker` over a run directory; appends are written through, one line at a time.

    `sinks` are opened and fed in threads of their own. `state` is that of the checkpoint to resume
    from; None begins anew, and lines that an attempt without a checkpoint left are moved aside.
    """

    def __init__(
        self,
        run_dir: Path,
        sinks: Mapping[str, OpenSink] | None = None,
        state: Mapping[str, int] | None = None,
        trajectories_per_step: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        run_dir.mkdir(parents=True, exist_ok=True)
        self.attempt = next_attempt(run_dir)
        last_lines = [line for name in (EVENTS, METRICS) for line in read_log(run_dir / name)[-1:]]
        before = max((line["elapsed_s"] for line in last_lines), default=0.0)
        missing = [
            name
            for name in (METRICS, TRAJECTORIES, EVALUATIONS)
            if not _cut(run_dir, name, (state or {}).get(name, 0), self.attempt - 1)
        ]
        _drop_torn_line(run_dir / EVENTS)
        self._clock = clock
        self._began = clock() - before
        self._lock = threading.Lock()
        self._last_line = time.monotonic()
        self._files = {
            name: open(run_dir / name, "ab", buffering=0)  # noqa: SIM115 - closed by close()
            for name in (METRICS, TRAJECTORIES, EVALUATIONS, EVENTS)
        }
        self.last_step: StepRecord | None = None
        self._global_step = len(read_log(run_dir / METRICS))
        self._trajectories_per_step = trajectories_per_step
        self._sinks: list[BackgroundSink[Record]] = []
        self.log_event("attempt_start", attempt=self.attempt, global_step=self._global_step)
        for name in missing:
            self.log_event(
                "notice", source=name, message="shorter than at the checkpoint: lines lost"
            )
        for name, open_sink in (sinks or {}).items():
            self._sinks.append(BackgroundSink(name, open_sink, self._warn))

    @property
    def elapsed_s(self) -> float:
        """Seconds spent on this run, in all attempts together, without the pauses between them."""
        return self._clock() - self._began

    @property
    def idle_s(self) -> float:
        """Seconds since anything was logged."""
        return time.monotonic() - self._last_line

    def log_step(self, record: StepRecord) -> None:
        self.last_step = record
        self._global_step += 1
        fields = asdict(record)
        metrics = fields.pop("metrics")
        assert not metrics.keys() & fields.keys(), f"metrics shadow fields: {sorted(metrics)}"
        self._append(METRICS, {**fields, "global_step": self._global_step, **metrics})
        self._forward(record)

    def log_trajectories(
        self, stage: str, step: int, groups: Iterable[Group], whole: bool = False
    ) -> None:
        """Writes a few of the step's trajectories, the same whenever it is repeated; or all."""
        everything = [(group, trajectory) for group in groups for trajectory in group.trajectories]
        count = len(everything) if whole else min(self._trajectories_per_step, len(everything))
        for group, trajectory in random.Random(f"{stage}/{step}").sample(everything, count):
            line = {"stage": stage, "step": step, **_trajectory_fields(group, trajectory)}
            self._append(TRAJECTORIES, line)

    def log_evaluation(self, record: EvaluationRecord) -> None:
        self._append(EVALUATIONS, {**asdict(record), "global_step": self._global_step})
        self._forward(record)

    def log_event(self, kind: str, **fields: Any) -> None:
        self._append(EVENTS, {"kind": kind, **fields})
        self._forward(EventRecord(kind, fields))

    def state(self) -> dict[str, int]:
        """The length of each log in bytes, all of it on disk when this returns."""
        with self._lock:
            for file in self._files.values():
                os.fsync(file.fileno())
            return {name: os.fstat(file.fileno()).st_size for name, file in self._files.items()}

    def close(self) -> None:
        """Gives each sink a bounded time to finish, then closes the logs."""
        for sink in self._sinks:
            sink.close()
        with self._lock:
            for file in self._files.values():
                file.close()

    def _append(self, name: str, fields: Mapping[str, Any]) -> None:
        stamped = {**fields, "time": round(time.time(), 3), "elapsed_s": round(self.elapsed_s, 3)}
        with self._lock:
            self._last_line = time.monotonic()
            self._files[name].write(encode_line(stamped))

    def _forward(self, record: Record) -> None:
        for sink in self._sinks:
            sink.put(self._global_step, record)

    def _warn(self, source: str, message: str) -> None:
        self.log_event("notice", source=source, message=message)


def next_attempt(run_dir: Path) -> int:
    """The number, from 1, of the attempt that a `FileTracker` opened now would begin."""
    kinds = [event["kind"] for event in read_log(run_dir / EVENTS)]
    return 1 + kinds.count("attempt_start")


def _trajectory_fields(group: Group, trajectory: Trajectory) -> dict[str, Any]:
    score = trajectory.score
    versions = {s.policy_version for s in trajectory.spans if s.policy_version is not None}
    generated = [span.token_ids for span in trajectory.spans if span.logprobs is not None]
    return {
        "group": group.id,
        "index": trajectory.index,
        "task_id": trajectory.task.id,
        "labels": trajectory.task.labels,
        "thinking": group.thinking,
        "messages": [message.as_dict() for message in trajectory.messages],
        "gold": trajectory.task.answer,
        "tokens": trajectory.num_generated,
        "token_ids": [token for ids in generated for token in ids.tolist()],
        "reward": score.reward if score else None,
        "terms": score.terms if score else {},
        "reason": score.reason if score else "",
        "stop_reason": trajectory.stop_reason,
        "error": trajectory.info.get("error", ""),
        "turns": [_turn_fields(turn) for turn in trajectory.turns],
        "env_reward": trajectory.env_reward,
        "versions": sorted(versions),
    }


def _turn_fields(turn: Turn) -> dict[str, Any]:
    calls = [asdict(record) for record in turn.calls]
    return {"generate_s": turn.generate_s, "env_s": turn.env_s, "calls": calls}


def _cut(run_dir: Path, name: str, length: int, attempt: int) -> bool:
    """Cuts a log back to `length` bytes, the rest moved aside; False if it is shorter than that."""
    path = run_dir / name
    size = path.stat().st_size if path.exists() else 0
    if size > length:
        aside = run_dir / "superseded" / f"attempt_{attempt}" / name
        aside.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "r+b") as log, open(aside, "wb") as rest:
            log.seek(length)
            shutil.copyfileobj(log, rest)
            log.truncate(length)
    return size >= length


def _drop_torn_line(path: Path) -> None:
    if path.exists():
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
