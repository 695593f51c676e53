"""The verifier of open answers: what a rule can say of a report, a comment or a refusal.

A task names its checks in `metadata["checks"]`, a mapping from check to its arguments, and gives
the table it is about in `metadata["table"]` (see rewards/tables.py). Each check is one term from 0
to 1. Facts, directions and citations are all or nothing: one wrong figure makes a report wrong, and
a share could be bought by adding right ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from configs.errors import ConfigError, DataError
from envs.types import Message, Task
from rewards import form
from rewards.claims import Finding, check_citations, check_directions, check_facts
from rewards.tables import OPERATIONS, Table, read_table
from rollout.types import Score, StopReason, Trajectory

MAX_CHARS = 20_000
"""A longer reply is not looked at and scores 0."""

Term = tuple[float, str]
"""A term's value, and what is wrong where it is not 1."""
Check = Callable[[str, Task, Mapping[str, Any]], Term]
"""Looks at what stands after the reasoning, for a task, with the arguments that the task gives."""


@dataclass(frozen=True, slots=True)
class OpenVerifier:
    """Scores the last message of a trajectory by the checks of its task.

    The reward is the mean of the terms by `weights` (1 each unless given), or 0 where a term of
    `gates` is 0. Terms are those of CHECKS, `thinking` among them where a task does not name it.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    gates: Sequence[str] = ("facts", "refusal")

    def __post_init__(self) -> None:
        for name in (*self.weights, *self.gates):
            if name not in CHECKS:
                raise ConfigError(f"open answers have no term '{name}'; there are {known()}")

    def __call__(self, trajectory: Trajectory) -> Score:
        if trajectory.stop_reason is StopReason.ERROR:
            return Score(None, reason="error")
        task = trajectory.task
        checks = checks_of(task)
        nothing = dict.fromkeys(checks, 0.0)
        if trajectory.stop_reason is StopReason.LENGTH:
            return Score(0.0, nothing, "truncated")
        if len(trajectory.reply) > MAX_CHARS:
            return Score(0.0, nothing, "too_long")
        visible, kept_format = form.split_thinking(trajectory.reply)
        if not visible:
            return Score(0.0, nothing, "no_answer")
        found = {name: _CHECKS[name](visible, task, args) for name, args in checks.items()}
        found["thinking"] = (float(kept_format), "the thinking format is broken")
        terms = {name: value for name, (value, _) in found.items()}
        reasons = [f"{name}: {why}" for name, (value, why) in found.items() if value < 1.0]
        return Score(self._reward(terms), terms, "; ".join(reasons)[:300] or "all_met")

    def check_gold(self, task: Task) -> None:
        """Raise DataError, naming the task, when its own exemplary answer would not score 1."""
        try:
            reply = Message("assistant", task.answer)
            score = self(Trajectory(task, 0, (), (*task.prompt, reply), StopReason.STOP))
        except (DataError, TypeError, KeyError) as error:  # what the row gives to a check
            raise DataError(f"task {task.id}: its checks cannot be made: {error}") from None
        if score.reward != 1.0:
            raise DataError(
                f"task {task.id}: the rules reject the task's own answer {task.answer[:80]!r} "
                f"({score.reason}); correct or remove the row"
            )

    def _reward(self, terms: Mapping[str, float]) -> float:
        if any(terms.get(name) == 0.0 for name in self.gates):
            return 0.0
        weights = {name: self.weights.get(name, 1.0) for name in terms}
        total = sum(weights.values())
        return sum(weights[name] * value for name, value in terms.items()) / total if total else 0.0


def checks_of(task: Task) -> Mapping[str, Mapping[str, Any]]:
    """The checks that a task names. Raises DataError for none, or an unknown one."""
    checks = task.metadata.get("checks")
    if not isinstance(checks, Mapping) or not checks:
        raise DataError("an open answer needs checks in its metadata, and there are none")
    for name, args in checks.items():
        if name not in CHECKS or not isinstance(args, Mapping):
            raise DataError(f"'{name}' is no check with arguments; there are {known()}")
    return checks


def known() -> str:
    return ", ".join(CHECKS)


def _table(task: Task) -> Table:
    table = task.metadata.get("table")
    if not isinstance(table, Mapping):
        raise DataError("the checks need the source table in the metadata, and there is none")
    return read_table(table)


def _claims(finding: Finding, least: int, what: str) -> Term:
    if finding.wrong:
        return 0.0, finding.wrong
    missing = f"{finding.count} {what}, at least {least} wanted"
    return (1.0, "") if finding.count >= least else (0.0, missing)


def _facts(text: str, task: Task, args: Mapping[str, Any]) -> Term:
    operations, allowed = args.get("operations", OPERATIONS), args.get("allowed", ())
    finding = check_facts(text, _table(task), operations, allowed)
    return _claims(finding, args.get("least", 1), "figures")


def _direction(text: str, task: Task, args: Mapping[str, Any]) -> Term:
    return _claims(check_directions(text, _table(task)), args.get("least", 1), "directions")


def _citations(text: str, task: Task, args: Mapping[str, Any]) -> Term:
    return _claims(check_citations(text, _table(task)), args.get("least", 1), "citations")


def _instructions(text: str, task: Task, args: Mapping[str, Any]) -> Term:
    return form.instructions(text, args), "an instruction is not followed"


def _of_form(check: Callable[..., float], what: str) -> Check:
    return lambda text, task, args: (check(text, **args), what)


_CHECKS: Final[Mapping[str, Check]] = {
    "facts": _facts,
    "direction": _direction,
    "citations": _citations,
    "sections": _of_form(form.sections, "a section is missing, empty or out of order"),
    "length": _of_form(form.length, "too short or too long"),
    "repetition": _of_form(form.repetition, "it repeats itself"),
    "language": _of_form(form.language, "not in the language asked for"),
    "instructions": _instructions,
    "refusal": _of_form(form.refusal, "refused, or not, against what is due"),
    "thinking": lambda text, task, args: (1.0, ""),  # read off the whole reply, not its end
}
CHECKS = tuple(_CHECKS)
