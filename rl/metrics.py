"""What a step reports, under the names that `tracking.StepRecord` lists."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.schema import StageConfig
from rl.evaluate import is_correct
from rl.pruning import Judged
from rl.types import Batch, StepResult
from rl.verdicts import verdict_metrics
from rollout.types import Group, StopReason


@dataclass(frozen=True, slots=True)
class PublishReport:
    """A verified publish: the largest |engine - learner| log-probability, and seconds."""

    max_logprob_difference: float
    seconds: float


@dataclass(slots=True)
class StepTimes:
    """Wall-clock marks of one step, in seconds since the epoch (what rollout workers report in)."""

    begun: float
    collected_at: float = 0.0
    trained_at: float = 0.0

    @staticmethod
    def begin() -> StepTimes:
        return StepTimes(time.time())

    def collected(self) -> None:
        self.collected_at = time.time()

    def trained(self) -> None:
        self.trained_at = time.time()


def rl_metrics(
    stage: StageConfig,
    judged: Sequence[Judged],
    batch: Batch | None,
    result: StepResult | None,
    published: PublishReport | None,
    times: StepTimes,
    policy_version: int,
) -> dict[str, float]:
    """Metrics of an RL step: of all groups consumed, and of the batch made of those that were kept;
    `policy_version` is that of the weights the step started from."""
    seen = [item.group for item in judged]
    trained = [item.group for item in judged if not item.reason]
    metrics = {
        "group/trained": float(len(trained)),
        "time/wait": times.collected_at - times.begun,
        "time/train": result.seconds if result else 0.0,
        "time/publish": published.seconds if published else 0.0,
        "time/step": time.time() - times.begun,
        "staleness/limit": float(stage.max_staleness),
        "tokens/trained": float(result.num_tokens) if result else 0.0,
    }
    metrics |= _reward_metrics(seen) | verdict_metrics(seen) | _length_metrics(seen, trained)
    metrics |= _tool_metrics(seen)
    metrics |= _pruning_metrics(judged, times) | _gradient_metrics(seen, trained, batch)
    ages = [policy_version - version for group in trained for version in _versions(group)]
    if ages:
        assert max(ages) <= stage.max_staleness, f"trained at age {max(ages)}"
        metrics["staleness/max"] = float(max(ages))
        metrics["staleness/mean"] = float(np.mean(ages))
    if result is not None:
        metrics |= learner_metrics(result)
        metrics["mismatch_kl"] = metrics.pop("policy/mismatch_kl")
    if published is not None:
        metrics["publish/max_logprob_difference"] = published.max_logprob_difference
    return metrics


def learner_metrics(result: StepResult) -> dict[str, float]:
    """What every training step reports, SFT or RL; what is not finite in a skipped one is left
    out."""
    metrics = {
        **result.metrics,
        "loss/mean": result.loss,
        "learner/grad_norm": result.grad_norm,
        "learner/lr": result.learning_rate,
        "learner/micro_batches": float(result.num_micro_batches),
        "learner/token_budget": float(result.token_budget),
        "learner/out_of_memory": float(result.out_of_memory),
        "learner/skipped": float(result.skipped),
    }
    if result.skipped:
        metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return metrics


def _pruning_metrics(judged: Sequence[Judged], times: StepTimes) -> dict[str, float]:
    """Groups, generated tokens and seconds of generation that went to what was dropped."""
    seconds = _generation_seconds(judged, times)
    metrics = {"time/generate": sum(seconds.values())}
    for reason in dict.fromkeys(item.reason for item in judged if item.reason):
        dropped = [item.group for item in judged if item.reason == reason]
        metrics[f"group/dropped/{reason}"] = float(len(dropped))
        metrics[f"tokens/dropped/{reason}"] = float(sum(map(_num_generated, dropped)))
        metrics[f"time/dropped/{reason}"] = seconds[reason]
    return metrics


def _gradient_metrics(
    seen: Sequence[Group], trained: Sequence[Group], batch: Batch | None
) -> dict[str, float]:
    """How much of what was generated moves the policy: tokens of samples whose advantage is not 0.
    Beside them, tokens of trained groups' samples that had no verdict and so were left out."""
    samples = batch.samples if batch else ()
    moving = sum(int(s.loss_mask.sum()) for s in samples if np.any(s.advantages))
    left_out = sum(t.num_generated for g in trained for t in g.trajectories if t.reward is None)
    generated = sum(map(_num_generated, seen))
    return {
        "tokens/gradient": float(moving),
        "tokens/gradient_share": moving / max(1, generated),
        "tokens/no_verdict": float(left_out),
    }


def _generation_seconds(judged: Sequence[Judged], times: StepTimes) -> dict[str, float]:
    """Seconds of this step in which a sample of it was generated, by the workers' clocks and by
    what the sample's group was dropped for ("" is trained).

    A second is shared evenly by the samples under way in it, as an engine's work is; so the sum is
    the length of the union of their times.
    """
    changes: list[tuple[float, int, str]] = []
    for item in judged:
        for sample in item.group.trajectories:
            start = max(sample.info["started"], times.begun)
            end = min(sample.info["ended"], times.collected_at)
            if start < end:
                changes += [(start, 1, item.reason), (end, -1, item.reason)]
    seconds: defaultdict[str, float] = defaultdict(float)
    under_way: Counter[str] = Counter()
    last = 0.0
    for now, change, fate in sorted(changes):
        for reason, number in under_way.items():
            if number:
                seconds[reason] += (now - last) * number / under_way.total()
        under_way[fate] += change
        last = now
    return seconds


def _num_generated(group: Group) -> int:
    return sum(t.num_generated for t in group.trajectories)


def _reward_metrics(groups: Sequence[Group]) -> dict[str, float]:
    samples = [t for group in groups for t in group.scored]
    rewards = np.array([t.reward for t in samples], dtype=np.float64)
    if not len(rewards):
        return {}
    terms: dict[str, list[float]] = {}
    for trajectory in samples:
        assert trajectory.score is not None
        for name, value in trajectory.score.terms.items():
            terms.setdefault(name, []).append(value)
    return {
        "reward/mean": float(rewards.mean()),
        "reward/std": float(rewards.std()),
        "reward/accuracy": float(np.mean([is_correct(r) for r in rewards])),
        **{f"reward/{name}": float(np.mean(values)) for name, values in terms.items()},
    }


def _length_metrics(seen: Sequence[Group], trained: Sequence[Group]) -> dict[str, float]:
    def mean(groups: Sequence[Group]) -> float:
        lengths = [t.num_generated for group in groups for t in group.trajectories]
        return float(np.mean(lengths)) if lengths else 0.0

    everything = [t for group in seen for t in group.trajectories]
    metrics = {
        "tokens/generated": float(sum(t.num_generated for t in everything)),
        "length/mean": mean(seen),
        "length/trained": mean(trained),
        "length/truncated": float(
            np.mean([t.stop_reason is StopReason.LENGTH for t in everything] or [False])
        ),
    }
    for name, thinking in (("thinking", True), ("non_thinking", False)):
        chosen = [group for group in seen if group.thinking is thinking]
        if chosen:
            metrics[f"length/{name}"] = mean(chosen)
    return metrics


def _tool_metrics(seen: Sequence[Group]) -> dict[str, float]:
    """Turns and calls a sample, and how many calls went wrong, by `CallError`, where any are."""
    samples = [t for group in seen for t in group.trajectories]
    calls = [call for t in samples for call in t.calls]
    turns = sum(t.num_turns for t in samples)
    if not calls and turns <= len(samples):
        return {}
    errors = Counter(call.error for call in calls if call.error)
    return {
        "tools/turns": turns / len(samples),
        "tools/calls": len(calls) / len(samples),
        "tools/seconds": sum(call.seconds for call in calls) / len(samples),
        **{f"tools/errors/{name}": float(count) for name, count in errors.items()},
    }


def _versions(group: Group) -> list[int]:
    return [t.oldest_version for t in group.scored if t.oldest_version is not None]
