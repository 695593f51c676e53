"""The reward of an episode with tools: its outcome, and how well the tools were used.

    reward = outcome + sum of weight * term over the conduct, less the sum of the weights if wrong

The outcome is the weighted mean of `answer` and `state`, each where the task has it, and right when
both are 1. So a right episode gets 1 or more and a wrong one less than 1, whatever the weights:
conduct tells right ones apart, and wrong ones, and never makes up for the outcome. All terms lie
from 0 (worst) to 1 and stand in the metrics by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from configs.errors import ConfigError
from configs.registry import VERIFIERS, bind, nearest, resolve
from envs.episodes import is_plain
from envs.tools import CallError
from envs.types import CallRecord, Task
from rollout.types import Score, StopReason, Trajectory

OUTCOME = {"answer": 1.0, "state": 1.0}
CONDUCT = {
    "validity": 0.1,
    "grounding": 0.1,
    "necessity": 0.05,
    "efficiency": 0.05,
    "brevity": 0.0,
}

INVALID = {CallError.INVALID_JSON, CallError.INVALID_ARGUMENTS, CallError.TOO_LARGE}
INVENTED = {CallError.UNKNOWN_TOOL, CallError.INVENTED_ARGUMENT}


class Verifier(Protocol):
    def __call__(self, trajectory: Trajectory) -> Score: ...

    def check_gold(self, task: Task) -> None: ...


class ToolUseVerifier:
    """Scores episodes with tools; plain questions are for the verifier of `answer` alone.

    - answer: what that verifier says, where the task has a gold answer;
    - state: the environment's own reward, where it gives one, as a place in `state_range`;
    - validity: 1 less the calls that could not be read or had arguments of the wrong kind;
    - grounding: 1 less the calls that made up a tool or a parameter;
    - necessity: 0 for calls where the task needs none, and for none where it needs some;
    - efficiency: calls that the task needs over calls made, at most 1;
    - brevity: 1 less generated tokens over `token_budget`.

    What a task needs is its `gold_calls`; without them it has no necessity and efficiency. Mistaken
    calls count as a share of those needed, at least one: more calls do not make them smaller. A
    call that a tool refused, failed or was too slow for is not the policy's mistake. A reward of
    the environment outside `state_range` is no verdict. Raises ConfigError for an unknown verifier
    or weight, a weight under 0, and an empty range.
    """

    def __init__(
        self,
        answer: str = "numeric",
        answer_args: Mapping[str, Any] | None = None,
        weights: Mapping[str, float] | None = None,
        token_budget: int = 1024,
        state_range: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        for name, weight in (weights or {}).items():
            if name not in OUTCOME | CONDUCT:
                raise ConfigError(
                    f"reward.args.weights.{name}: there are {', '.join(OUTCOME | CONDUCT)}"
                    f"{nearest(name, OUTCOME | CONDUCT)}"
                )
            if weight < 0:
                raise ConfigError(f"reward.args.weights.{name}: is {weight}, must not be under 0")
        if token_budget < 1:
            raise ConfigError(f"reward.args.token_budget: is {token_budget}, must be at least 1")
        self._weights = {**OUTCOME, **CONDUCT, **(weights or {})}
        if not any(self._weights[name] for name in OUTCOME):
            raise ConfigError("reward.args.weights: answer and state are 0, so nothing is right")
        low, high = state_range
        if not low < high:
            raise ConfigError(f"reward.args.state_range: is {low:g} to {high:g}, must rise")
        where = "reward.args.answer"
        verifier = bind(resolve(answer, VERIFIERS, where), answer_args or {}, f"{where}_args")
        self._answer: Verifier = verifier()
        self._token_budget = token_budget
        self._low, self._high = low, high

    def __call__(self, trajectory: Trajectory) -> Score:
        if trajectory.stop_reason is StopReason.ERROR:
            return Score(None, reason="error")
        task = trajectory.task
        if is_plain(task):
            return self._answer(trajectory)
        outcome: dict[str, float] = {}
        reasons: list[str] = []
        if task.answer:
            answer = self._answer(trajectory)
            if answer.reward is None:
                return answer
            outcome["answer"] = answer.reward
            reasons.append(answer.reason)
        if trajectory.env_reward is not None:
            if not self._low <= trajectory.env_reward <= self._high:
                found, bounds = f"{trajectory.env_reward:g}", f"{self._low:g} to {self._high:g}"
                reason = f"the environment's reward {found} is not within state_range, {bounds}"
                return Score(None, reason=reason)
            outcome["state"] = (trajectory.env_reward - self._low) / (self._high - self._low)
            reasons.append("right state" if outcome["state"] >= 1 else "wrong state")
        weights = {name: self._weights[name] for name in outcome}
        if not sum(weights.values()):
            return Score(None, reason="neither a gold answer nor a reward of the environment")
        conduct = self._conduct(trajectory)
        right = all(value >= 1 for name, value in outcome.items() if weights[name])
        shaping = [self._weights[name] * (value - (not right)) for name, value in conduct.items()]
        weighted = sum(weights[name] * value for name, value in outcome.items())
        reward = weighted / sum(weights.values()) + sum(shaping)
        return Score(reward, outcome | conduct, "; ".join(reasons))

    def check_gold(self, task: Task) -> None:
        """Raise DataError when the gold answer of a task would not be accepted."""
        if task.answer:
            self._answer.check_gold(task)

    def _conduct(self, trajectory: Trajectory) -> dict[str, float]:
        calls = trajectory.calls
        gold = trajectory.task.metadata.get("gold_calls")
        needed = sum(len(turn) for turn in gold or ())
        terms = {
            "validity": _faultless(calls, INVALID, needed),
            "grounding": _faultless(calls, INVENTED, needed),
            "brevity": max(0.0, 1 - trajectory.num_generated / self._token_budget),
        }
        if gold is not None:
            terms["necessity"] = float(bool(calls) == bool(needed))
            terms["efficiency"] = min(1.0, needed / len(calls)) if calls else 1.0
        return terms


def _faultless(calls: list[CallRecord], errors: Iterable[str], needed: int) -> float:
    mistaken = sum(call.error in errors for call in calls)
    return max(0.0, 1 - mistaken / max(1, needed))
