"""What a step reports, under the names that `tracking.StepRecord` lists."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.schema import StageConfig
from rl.evaluate import is_correct
from rl.types import StepResult
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
    seen: Sequence[Group],
    trained: Sequence[Group],
    result: StepResult | None,
    published: PublishReport | None,
    times: StepTimes,
    policy_version: int,
) -> dict[str, float]:
    """Metrics of an RL step. `seen` are all groups consumed, `trained` those that were kept;
    `policy_version` is that of the weights the step started from."""
    metrics = {
        "group/trained": float(len(trained)),
        "time/generate": _generation_seconds(seen, times),
        "time/wait": times.collected_at - times.begun,
        "time/train": result.seconds if result else 0.0,
        "time/publish": published.seconds if published else 0.0,
        "time/step": time.time() - times.begun,
        "staleness/limit": float(stage.max_staleness),
        "tokens/trained": float(result.num_tokens) if result else 0.0,
    }
    metrics |= _reward_metrics(seen) | _length_metrics(seen, trained)
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
    """What every training step reports, SFT or RL."""
    return {
        **result.metrics,
        "loss/mean": result.loss,
        "learner/grad_norm": result.grad_norm,
        "learner/lr": result.learning_rate,
        "learner/micro_batches": float(result.num_micro_batches),
        "learner/token_budget": float(result.token_budget),
        "learner/out_of_memory": float(result.out_of_memory),
    }


def _generation_seconds(groups: Sequence[Group], times: StepTimes) -> float:
    """Seconds of this step in which a sample of it was generated, by the workers' clocks."""
    spans = sorted(
        (max(t.info["started"], times.begun), min(t.info["ended"], times.collected_at))
        for group in groups
        for t in group.trajectories
    )
    total, reached = 0.0, 0.0
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


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


def _versions(group: Group) -> list[int]:
    return [t.oldest_version for t in group.scored if t.oldest_version is not None]
