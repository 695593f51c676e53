"""Who decides on a task: the rules, the judge, or both; and what becomes of it when they differ.

A route belongs to a kind of task: `labels["task"]`, else `env`. What no route names is for the
rules of `reward.verifier` alone. A fault is never a score: where who has to speak cannot, there is
no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING

from configs.errors import ConfigError
from envs.types import Task
from rewards.form import split_thinking
from rewards.texts import gate
from rollout.types import Score, StopReason, Trajectory

if TYPE_CHECKING:
    from rewards.rubric import Rubric

CANARY_SHARE = 0.05
"""Of the answers that only a judge scores, so many are checked by rule too, beside the reward."""


class Mode(StrEnum):
    RULE = "rule"
    JUDGE = "judge"
    RULE_THEN_JUDGE = "rule_then_judge"  # what the rules reject is settled
    BOTH = "both"


class Disagreement(StrEnum):
    """Whose word counts where rules and judge differ by more than the route's `margin`."""

    MEAN = "mean"
    RULE = "rule"
    JUDGE = "judge"
    LOWER = "lower"
    ABSTAIN = "abstain"


@dataclass(frozen=True, slots=True)
class Route:
    """How one kind of task is scored.

    `rules` names the verifier and `rubric` the judge's rubric. The reward is the mean of all terms
    by `weights` (1 each unless given). From `pass_at` on the rules accept an answer. `pairwise`
    rubrics compare the samples of a group, each with `opponents` others. `gold` is a file of graded
    answers for the rubric (see rewards/calibration.py), or "graded" for generated ones.
    """

    mode: Mode = Mode.BOTH
    rules: str = "open"
    rules_args: Mapping[str, object] = field(default_factory=dict)
    rubric: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    disagreement: Disagreement = Disagreement.LOWER
    margin: float = 0.5
    pass_at: float = 0.5
    opponents: int = 3
    gold: str = ""

    def __post_init__(self) -> None:
        for name, kind in (("mode", Mode), ("disagreement", Disagreement)):
            value = {"mode": self.mode, "disagreement": self.disagreement}[name]
            if value not in list(kind):
                raise ConfigError(f"{name} must be one of {', '.join(kind)}, is '{value}'")
            object.__setattr__(self, name, kind(value))  # a configuration gives it as text
        if not self.rubric and self.mode != Mode.RULE:
            raise ConfigError(f"mode {self.mode} needs a rubric")
        if any(weight < 0 for weight in self.weights.values()):
            raise ConfigError("weights must not be under 0")
        if self.opponents < 1 or not 0 <= self.margin <= 1 or not 0 <= self.pass_at <= 1:
            raise ConfigError("opponents is at least 1; margin and pass_at are shares from 0 to 1")


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge said of one answer: the terms, or None and why there are none."""

    terms: Mapping[str, float] | None
    reason: str = ""
    costs: Mapping[str, float] = field(default_factory=dict)


def kind_of(task: Task, kinds: Mapping[str, object]) -> str | None:
    """A task's route: by its label "task", else by its environment; None where there is none."""
    return next((k for k in (task.labels.get("task", ""), task.env) if k in kinds), None)


def needs_rules(route: Route, trajectory: Trajectory) -> bool:
    """Whether the rules look at an answer: always, but where only the judge counts at a share."""
    return route.mode != Mode.JUDGE or is_canary(trajectory)


def is_canary(trajectory: Trajectory) -> bool:
    """A fixed share of answers, by a hash of what was asked and said."""
    about = f"{trajectory.task.id}\n{trajectory.reply}".encode(errors="surrogatepass")
    draw = int.from_bytes(blake2b(about, digest_size=4).digest())
    return draw < CANARY_SHARE * 2**32


def settled(route: Route, trajectory: Trajectory, rule: Score | None) -> Score | None:
    """The final score where the judge need not be asked, else None.

    That is: a fault; the rules alone decide, or have rejected what the judge comes after; and what
    no judge should see, which scores 0 by rule whatever the mode (see `texts.gate`).
    """
    if trajectory.stop_reason is StopReason.ERROR:
        return Score(None, reason="error")
    if route.mode is Mode.RULE:
        return _ruled(rule)
    if trajectory.stop_reason is StopReason.LENGTH:
        return _rejected("truncated", rule)
    visible, _ = split_thinking(trajectory.reply)
    if problem := gate(visible):
        return _rejected(problem, rule)
    if route.mode is Mode.RULE_THEN_JUDGE and rule is not None and rule.reward is not None:
        return _ruled(rule) if rule.reward < route.pass_at else None
    return None


def combine(route: Route, rule: Score | None, opinion: Opinion) -> Score:
    """One score of what rules and judge say.

    Terms hold each one's own, `rule` and `judge` (the mean of theirs) and, of a canary, what the
    rules would have said. Without the judge's opinion there is no verdict; without the rules',
    there is one only where they may be without: after them (`rule_then_judge`) the judge decides
    alone.
    """
    if opinion.terms is None:
        return Score(None, reason=opinion.reason, costs=opinion.costs)
    judged = _mean(opinion.terms, route.weights)
    terms = {**opinion.terms, "judge": judged}
    if route.mode is Mode.JUDGE:
        if rule is not None and rule.reward is not None:
            terms["canary"] = rule.reward
        return Score(judged, terms, "judged", opinion.costs)
    if rule is None or rule.reward is None:
        if route.mode is Mode.RULE_THEN_JUDGE:
            return Score(judged, terms, "judged, the rules abstain", opinion.costs)
        return Score(None, reason=rule.reason if rule else "no rules", costs=opinion.costs)
    terms = {**rule.terms, **terms, "rule": rule.reward}
    together = _together(route, rule, judged, opinion)
    score = Score(together, terms, rule.reason, opinion.costs)
    if abs(rule.reward - judged) <= route.margin:
        return score
    said = f"rules {rule.reward:.2f}, judge {judged:.2f}; {rule.reason}"
    reward = {
        Disagreement.MEAN: together,
        Disagreement.RULE: rule.reward,
        Disagreement.JUDGE: judged,
        Disagreement.LOWER: min(rule.reward, judged),
        Disagreement.ABSTAIN: None,
    }[route.disagreement]
    costs = {**opinion.costs, "judge/disagreements": 1.0}
    return replace(score, reward=reward, reason=said[:300], costs=costs)


def judge_texts(rubric: Rubric, trajectory: Trajectory) -> dict[str, str]:
    """What a judge is shown of an answer. The candidate is what stands after its reasoning."""
    task = trajectory.task
    texts = {
        "question": "\n".join(m.content for m in task.prompt if m.role == "user"),
        "source": _source(task),
        "reference": task.answer,
        "candidate": split_thinking(trajectory.reply)[0],
    }
    used = rubric.system + rubric.user
    return {name: text for name, text in texts.items() if f"{{{name}}}" in used}


def _ruled(rule: Score | None) -> Score:
    if rule is None or rule.reward is None:
        return Score(None, reason=rule.reason if rule else "no rules")
    return replace(rule, terms={**rule.terms, "rule": rule.reward})


def _rejected(reason: str, rule: Score | None) -> Score:
    terms = dict(rule.terms) if rule is not None and rule.reward is not None else {}
    return Score(0.0, {**terms, "gate": 0.0}, reason)


def _together(route: Route, rule: Score, judged: float, opinion: Opinion) -> float:
    """The mean of all terms; where the rules give 0, a gate of theirs is shut: 0 then."""
    if rule.reward == 0.0:
        return 0.0
    assert opinion.terms is not None
    return _mean({**rule.terms, **opinion.terms}, route.weights) if rule.terms else judged


def _mean(terms: Mapping[str, float], weights: Mapping[str, float]) -> float:
    total = sum(weights.get(name, 1.0) for name in terms)
    if not total:
        return 0.0
    return sum(weights.get(name, 1.0) * value for name, value in terms.items()) / total


def _source(task: Task) -> str:
    """The table of a task as lines, "" where it has none."""
    table = task.metadata.get("table")
    if not isinstance(table, Mapping):
        return ""
    unit = f" ({table['unit']})" if table.get("unit") else ""
    columns: Sequence[object] = table.get("columns", ())
    lines = [f"item{unit} | {' | '.join(map(str, columns))}"]
    for label, values in table.get("rows", {}).items():
        lines.append(f"{label} | {' | '.join('' if v is None else str(v) for v in values)}")
    return "\n".join(lines)
