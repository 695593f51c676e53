"""What the report says of rules and judge: held-out scores of both, and what the judge is worth."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launch.console import printable
from rl.tracking import EvaluationRecord, TaskResult


@dataclass(frozen=True, slots=True)
class OpenScore:
    """Held-out means of one kind of task, from 0 to 1; None where nobody said anything."""

    tasks: int
    reward: float | None
    rule: float | None
    judge: float | None


def open_scores(results: Sequence[TaskResult]) -> dict[str, OpenScore]:
    """By kind of task (label "task"), those that rules or a judge score, "all" of them at first;
    not those that are right or wrong by one answer."""
    scored = [r for r in results if r.reward is not None and _is_open(r.terms)]
    kinds = sorted({r.labels.get("task", "") for r in scored})
    if not kinds:
        return {}
    by_kind = {kind: [r for r in scored if r.labels.get("task", "") == kind] for kind in kinds}
    return {kind: _score(found) for kind, found in {"all": scored, **by_kind}.items()}


def _is_open(terms: Collection[str]) -> bool:
    return bool({"rule", "judge"} & set(terms)) or (bool(terms) and "answer" not in terms)


def _score(results: Sequence[TaskResult]) -> OpenScore:
    return OpenScore(
        tasks=len(results),
        reward=_mean([r.reward for r in results]),
        rule=_mean([r.terms.get("rule") for r in results]),
        judge=_mean([r.terms.get("judge") for r in results]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def judge_section(
    evaluations: Sequence[EvaluationRecord], events: Sequence[Mapping[str, Any]]
) -> str:
    """A part of the page, "" for a run without open answers."""
    rows = [
        f"| {printable(_when(e))} | {printable(kind)} | {s.tasks} | {_number(s.reward)} | "
        f"{_number(s.rule)} | {_number(s.judge)} |"
        for e in evaluations
        for kind, s in open_scores(e.results).items()
    ]
    if not rows:
        return ""
    lines = [
        "## Open answers, by rules and judge",
        "",
        "| Stage | Tasks of kind | Tasks | Reward | Rules | Judge |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
        "Held-out means from 0 to 1, over sampled answers.",
        *_calibrations([event for event in events if event["kind"] == "calibration"]),
    ]
    trained = [event["seconds"] for event in events if event["kind"] == "judge_trained"]
    if any(trained):
        lines += ["", f"The judge was trained for this run, in {sum(trained):.0f} s."]
    return "\n".join(lines)


def _calibrations(events: Sequence[Mapping[str, Any]]) -> list[str]:
    if not events:
        return []
    rows = [
        f"| {printable(str(e['stage']))}, step {e['step']} | {printable(str(e['task']))} | "
        f"{e['judged']} of {e['cases']} | {_number(e['kappa'])} | {_number(e['agreement'])} | "
        f"{_number(e['false_accept'])} | {_number(e['drift'])} |"
        for e in events
    ]
    return [
        "",
        "The judge on answers whose grades are known:",
        "",
        "| When | Tasks of kind | Judged | Cohen's kappa | Agreement | False accepts | Drift |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *rows,
    ]


def _when(evaluation: EvaluationRecord) -> str:
    step = f", step {evaluation.step}" if evaluation.step else ""
    return f"{evaluation.stage}{step}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
