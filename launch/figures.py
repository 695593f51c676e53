"""The figures of a run, computed from its logs alone.

`benchmarks/recompute_report.py` computes the same figures from the same logs with code of its own.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import DataError
from rl.jsonl import read_log
from rl.statistics import bootstrap_interval, pass_at_k
from rl.tracking import (
    BOOKKEEPING,
    EVALUATIONS,
    EVENTS,
    METRICS,
    START,
    EvaluationRecord,
    TaskResult,
)

PASS_AT = 10
DROPPED = "group/dropped/"
COSTS = ("group", "tokens", "time")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Held-out accuracy over some tasks, as shares from 0 to 1.

    `pass_at_1` is the mean over tasks of c/n at temperature 1 with its 95 % bootstrap interval over
    tasks; `pass_at_10` is the unbiased estimate over the `pass_at_10_tasks` that have ten samples
    or more; `greedy` the share of tasks with a right greedy answer; `tokens` and
    `seconds_per_answer` are means over sampled answers. All are None over no task.
    """

    pass_at_1: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    pass_at_10: float | None = None
    pass_at_10_tasks: int = 0
    greedy: float | None = None
    tasks: int = 0
    tokens: float | None = None
    seconds_per_answer: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What some groups cost: generated tokens, seconds of generation, and their shares of all."""

    groups: int
    tokens: int
    token_share: float
    seconds: float
    second_share: float


@dataclass(frozen=True, slots=True)
class Generation:
    """Where generation went, over RL steps: into groups that were trained or dropped by reason.

    `no_verdict_tokens` belong to samples of trained groups that have no verdict, so that tokens =
    trained + dropped + no_verdict. `gradient_tokens` are those of samples whose advantage is not 0.
    `length_ratio` is the mean over steps of the mean length of trained groups' answers over that of
    all: what selection does to length, 1 where it does nothing.
    """

    tokens: int
    seconds: float
    gradient_tokens: int
    gradient_share: float
    length_ratio: float | None
    no_verdict_tokens: int
    trained: Cost
    dropped: Mapping[str, Cost]

    @property
    def add_up(self) -> bool:
        dropped = sum(cost.tokens for cost in self.dropped.values())
        return self.tokens == self.trained.tokens + dropped + self.no_verdict_tokens


@dataclass(frozen=True, slots=True)
class StageFigures:
    """What a stage cost and what the model could do after it.

    `seconds`, `steps` and the token counts are of its training steps, without the evaluation.
    `generation` is None where nothing was generated. `by_label` goes by label, then by value;
    `by_mode` has "thinking" and "non_thinking".
    """

    accuracy: Accuracy
    seconds: float
    evaluation_seconds: float
    steps: int
    generated_tokens: int
    trained_tokens: int
    generation: Generation | None
    by_level: Mapping[str, Accuracy]
    by_label: Mapping[str, Mapping[str, Accuracy]]
    by_mode: Mapping[str, Accuracy]

    def as_dict(self) -> dict[str, Any]:
        """The form of report.json: the stage's own accuracy stands beside its other figures."""
        fields = dataclasses.asdict(self)
        accuracy = fields.pop("accuracy")
        for mode in fields["by_mode"].values():
            mode["accuracy"] = mode.pop("pass_at_1")
        return {**accuracy, **fields}


@dataclass(frozen=True, slots=True)
class Groups:
    """What became of the groups: dispatched = trained + sum(dropped) + owed."""

    dispatched: int
    trained: int
    dropped: Mapping[str, int]
    owed: int

    @property
    def add_up(self) -> bool:
        return self.dispatched == self.trained + sum(self.dropped.values()) + self.owed


@dataclass(frozen=True, slots=True)
class Report:
    """Everything in report.json. Times in seconds, memory in 10^9 bytes; None where nothing tells.

    `seconds` is the time of all attempts together; `phases` splits it. `controller_overhead` is the
    share of step time that is neither generation nor training, over the synchronous RL steps.
    """

    name: str
    status: str
    attempts: int
    seed: int
    config_digest: str
    code: str
    versions: Mapping[str, str]
    seconds: float
    phases: Mapping[str, float]
    peak_memory_gb: float | None
    max_logprob_difference: float | None
    max_mismatch_kl: float | None
    controller_overhead: float | None
    groups: Groups
    generation: Generation | None
    events: Mapping[str, int]
    stages: Mapping[str, StageFigures]

    def as_dict(self) -> dict[str, Any]:
        stages = {name: stage.as_dict() for name, stage in self.stages.items()}
        return {**dataclasses.asdict(self), "stages": stages}


def compute_report(run_dir: Path) -> Report:
    """The figures of a run from its logs alone. Raises DataError where there are none."""
    steps, events = read_log(run_dir / METRICS), read_log(run_dir / EVENTS)
    evaluations = read_evaluations(run_dir)
    if not events:
        raise DataError(f"{run_dir}: no {EVENTS}, so this is no run directory; check the path")
    facts = _last(events, "run_start")
    seed = int(facts.get("seed", 0))
    logged = (*steps, *events, *read_log(run_dir / EVALUATIONS))
    seconds = max(line["elapsed_s"] for line in logged)
    return Report(
        name=str(facts.get("name", run_dir.name)),
        status=str(_last(events, "run_end").get("status", "unfinished")),
        attempts=sum(event["kind"] == "attempt_start" for event in events),
        seed=seed,
        config_digest=str(facts.get("config_digest", "")),
        code=str(facts.get("code", "")),
        versions=facts.get("versions", {}),
        seconds=seconds,
        phases=_phases(steps, evaluations, seconds),
        peak_memory_gb=_largest(e.get("peak_gb") for e in events if e["kind"] == "memory"),
        max_logprob_difference=_largest(
            [s.get("publish/max_logprob_difference") for s in steps]
            + [e.get("max_logprob_difference") for e in events if e["kind"] == "publish"]
        ),
        max_mismatch_kl=_largest(step.get("mismatch_kl") for step in steps),
        controller_overhead=_controller_overhead(steps),
        groups=_count_groups(steps),
        generation=_generation(steps),
        events=dict(Counter(e["kind"] for e in events if e["kind"] not in BOOKKEEPING)),
        stages=_stages(steps, evaluations, seed),
    )


def last_status(run_dir: Path) -> str:
    """How the last attempt of a run that came to an end did so, "" if none did."""
    return str(_last(read_log(run_dir / EVENTS), "run_end").get("status", ""))


def read_evaluations(run_dir: Path) -> list[EvaluationRecord]:
    """The held-out evaluations of a run, in order."""
    return [evaluation_of(line) for line in read_log(run_dir / EVALUATIONS)]


def evaluation_of(line: Mapping[str, Any]) -> EvaluationRecord:
    """An evaluation as it was logged."""
    return EvaluationRecord(
        line["stage"],
        line["policy_version"],
        line["seconds"],
        tuple(TaskResult(**result) for result in line["results"]),
        line.get("prompts_too_long", 0),
        line.get("step", 0),
    )


def accuracy_of(results: Sequence[TaskResult], seed: int) -> Accuracy:
    """The held-out figures over these tasks; `seed` fixes the bootstrap."""
    if not results:
        return Accuracy()
    shares = [result.num_correct / result.num_samples for result in results]
    ci_low, ci_high = bootstrap_interval(shares, seed)
    answers = sum(result.num_samples for result in results)
    enough = [result for result in results if result.num_samples >= PASS_AT]
    return Accuracy(
        pass_at_1=_mean(shares),
        ci_low=ci_low,
        ci_high=ci_high,
        pass_at_10=_mean([pass_at_k(r.num_samples, r.num_correct, PASS_AT) for r in enough])
        if enough
        else None,
        pass_at_10_tasks=len(enough),
        greedy=_mean([float(result.greedy_correct) for result in results]),
        tasks=len(results),
        tokens=sum(result.tokens for result in results) / answers,
        seconds_per_answer=sum(result.seconds for result in results) / answers,
    )


def _stages(
    steps: Sequence[Mapping[str, Any]], evaluations: Sequence[EvaluationRecord], seed: int
) -> dict[str, StageFigures]:
    names = [START] if any(e.stage == START for e in evaluations) else []
    names += [step["stage"] for step in steps] + [e.stage for e in evaluations]
    return {
        name: stage_figures(
            [step for step in steps if step["stage"] == name],
            [evaluation for evaluation in evaluations if evaluation.stage == name],
            seed,
        )
        for name in dict.fromkeys(names)
    }


def stage_figures(
    steps: Sequence[Mapping[str, Any]], evaluations: Sequence[EvaluationRecord], seed: int
) -> StageFigures:
    """The figures of a stage from its step lines and its evaluations, of which the last counts."""
    results = evaluations[-1].results if evaluations else ()

    def split(key: Callable[[TaskResult], str | None]) -> dict[str, Accuracy]:
        values = sorted({value for result in results if (value := key(result)) is not None})
        return {v: accuracy_of([r for r in results if key(r) == v], seed) for v in values}

    labels = sorted({label for result in results for label in result.labels} - {"level"})
    return StageFigures(
        accuracy=accuracy_of(results, seed),
        seconds=_sum(steps, "time/step"),
        evaluation_seconds=float(sum(evaluation.seconds for evaluation in evaluations)),
        steps=len(steps),
        generated_tokens=round(_sum(steps, "tokens/generated")),
        trained_tokens=round(_sum(steps, "tokens/trained")),
        generation=_generation(steps),
        by_level=split(_value_of("level")),
        by_label={label: split(_value_of(label)) for label in labels},
        by_mode=split(lambda result: "thinking" if result.thinking else "non_thinking"),
    )


def _value_of(label: str) -> Callable[[TaskResult], str | None]:
    return lambda result: result.labels.get(label)


def _phases(
    steps: Sequence[Mapping[str, Any]], evaluations: Sequence[EvaluationRecord], seconds: float
) -> dict[str, float]:
    """Seconds by what was done; `outside_steps` is starting, checkpoints between steps, the end."""
    parts = {name: _sum(steps, f"time/{name}") for name in ("generate", "train", "publish")}
    in_steps = _sum(steps, "time/step")
    evaluating = float(sum(evaluation.seconds for evaluation in evaluations))
    return {
        **parts,
        "rest_of_steps": in_steps - sum(parts.values()),
        "evaluation": evaluating,
        "outside_steps": seconds - in_steps - evaluating,
    }


def _controller_overhead(steps: Sequence[Mapping[str, Any]]) -> float | None:
    synchronous = [s for s in steps if s["kind"] == "rl" and s.get("staleness/limit") == 0]
    total = _sum(synchronous, "time/step")
    if total == 0:
        return None
    working = _sum(synchronous, "time/generate") + _sum(synchronous, "time/train")
    return (total - working) / total


def _count_groups(steps: Sequence[Mapping[str, Any]]) -> Groups:
    owed_after = {step["stage"]: step.get("group/owed", 0) for step in steps}  # last step of each
    return Groups(
        dispatched=round(_sum(steps, "group/dispatched")),
        trained=round(_sum(steps, "group/trained")),
        dropped={reason: round(_sum(steps, DROPPED + reason)) for reason in _reasons(steps)},
        owed=round(sum(owed_after.values())),
    )


def _generation(steps: Sequence[Mapping[str, Any]]) -> Generation | None:
    steps = [step for step in steps if step["kind"] == "rl"]
    tokens, seconds = _sum(steps, "tokens/generated"), _sum(steps, "time/generate")
    if not tokens:
        return None

    def cost(groups: float, spent: float, took: float) -> Cost:
        shares = spent / tokens, took / seconds if seconds else 0.0
        return Cost(round(groups), round(spent), shares[0], took, shares[1])

    dropped = {
        reason: cost(*(_sum(steps, f"{area}/dropped/{reason}") for area in COSTS))
        for reason in _reasons(steps)
    }
    rest = seconds - sum(cost.seconds for cost in dropped.values())
    ratios = [
        step["length/trained"] / step["length/mean"]
        for step in steps
        if step.get("length/trained") and step.get("length/mean")
    ]
    return Generation(
        tokens=round(tokens),
        seconds=seconds,
        gradient_tokens=round(_sum(steps, "tokens/gradient")),
        gradient_share=_sum(steps, "tokens/gradient") / tokens,
        length_ratio=_mean(ratios) if ratios else None,
        no_verdict_tokens=round(_sum(steps, "tokens/no_verdict")),
        trained=cost(_sum(steps, "group/trained"), _sum(steps, "tokens/trained"), rest),
        dropped=dropped,
    )


def _reasons(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every reason for which a group was dropped."""
    named = {name for step in steps for name in step if name.startswith(DROPPED)}
    return sorted(name.removeprefix(DROPPED) for name in named)


def _sum(lines: Iterable[Mapping[str, Any]], name: str) -> float:
    return float(sum(line.get(name) or 0.0 for line in lines))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _last(events: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    return next((event for event in reversed(events) if event["kind"] == kind), {})
