"""The range of every number that a run can set."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """Allowed numbers, ends included unless `above` is set; always finite."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf

    def __contains__(self, value: float) -> bool:
        return math.isfinite(value) and self.low <= value <= self.high and value > self.above

    def __str__(self) -> str:
        if self.above > -math.inf:
            return f"over {self.above:g}" + (f" and at most {self.high:g}" if self.bounded else "")
        return f"from {self.low:g} to {self.high:g}" if self.bounded else f"at least {self.low:g}"

    @property
    def bounded(self) -> bool:
        return self.high < math.inf


COUNT = Range(low=1)
NOT_NEGATIVE = Range(low=0)
POSITIVE = Range(above=0)
SHARE = Range(low=0, high=1)

RANGES: Mapping[str, Range] = {
    "RunConfig.seed": NOT_NEGATIVE,
    "BuildConfig.num_layers": COUNT,
    "BuildConfig.hidden_size": COUNT,
    "BuildConfig.intermediate_size": COUNT,
    "BuildConfig.num_heads": COUNT,
    "BuildConfig.num_kv_heads": COUNT,
    "BuildConfig.vocab_size": Range(low=263),  # 256 bytes and 7 special tokens
    "ModelConfig.max_length": Range(low=16),
    "RolloutConfig.workers": COUNT,
    "RolloutConfig.cpus": COUNT,
    "RolloutConfig.gpus": NOT_NEGATIVE,
    "RolloutConfig.max_num_seqs": COUNT,
    "RolloutConfig.kv_cache_gib": POSITIVE,
    "RolloutConfig.gpu_memory_utilization": Range(above=0, high=1),
    "LearnerConfig.ranks": COUNT,
    "LearnerConfig.restarts": NOT_NEGATIVE,
    "LearnerConfig.cpus": COUNT,
    "LearnerConfig.gpus": Range(low=0, high=1),
    "LearnerConfig.zero_stage": Range(low=0, high=3),
    "LearnerConfig.token_budget": COUNT,
    "LearnerConfig.grad_clip": POSITIVE,
    "LearnerConfig.weight_decay": NOT_NEGATIVE,
    "PublishConfig.max_logprob_difference": NOT_NEGATIVE,
    "PublishConfig.num_probes": COUNT,
    "PublishConfig.max_mismatch_kl": POSITIVE,
    "RewardConfig.workers": COUNT,
    "RewardConfig.check_s": POSITIVE,
    "RewardConfig.max_no_verdict": Range(above=0, high=1),
    "HostsConfig.workers": COUNT,
    "HostsConfig.cpus": COUNT,
    "FleetConfig.min_rollout_workers": COUNT,
    "FleetConfig.restarts": NOT_NEGATIVE,
    "FleetConfig.data_retries": NOT_NEGATIVE,
    "FleetConfig.probe_every_s": POSITIVE,
    "FleetConfig.max_rollout_workers": NOT_NEGATIVE,
    "DeadlinesConfig.tool_s": POSITIVE,
    "DeadlinesConfig.turn_s": POSITIVE,
    "DeadlinesConfig.rollout_s": POSITIVE,
    "DeadlinesConfig.group_s": POSITIVE,
    "DeadlinesConfig.step_s": POSITIVE,
    "DeadlinesConfig.watchdog_s": POSITIVE,
    "TasksConfig.held_out_share": SHARE,
    "TasksConfig.weight": POSITIVE,
    "AlgorithmConfig.clip_low": Range(above=0, high=1),
    "AlgorithmConfig.clip_high": POSITIVE,
    "AlgorithmConfig.dual_clip": NOT_NEGATIVE,
    "AlgorithmConfig.kl_coef": NOT_NEGATIVE,
    "AlgorithmConfig.importance_cap": POSITIVE,
    "AlgorithmConfig.overlong_share": SHARE,
    "AlgorithmConfig.num_minibatches": COUNT,
    "StageConfig.order": NOT_NEGATIVE,
    "StageConfig.steps": COUNT,
    "StageConfig.thinking_share": SHARE,
    "StageConfig.learning_rate": POSITIVE,
    "StageConfig.warmup_steps": NOT_NEGATIVE,
    "StageConfig.min_lr_ratio": SHARE,
    "StageConfig.batch_size": COUNT,
    "StageConfig.group_size": Range(low=2),  # one sample has no other to be compared with
    "StageConfig.max_turns": COUNT,
    "StageConfig.max_tokens": COUNT,
    "StageConfig.temperature": POSITIVE,
    "StageConfig.max_staleness": NOT_NEGATIVE,
    "StageConfig.max_generated_tokens": NOT_NEGATIVE,
    "StageConfig.evaluate_every": NOT_NEGATIVE,
    "StageConfig.lookahead": COUNT,
    "StageConfig.refill_budget": NOT_NEGATIVE,
    "StageConfig.max_empty_steps": COUNT,
    "StageConfig.constant_tolerance": NOT_NEGATIVE,
    "StageConfig.gate": SHARE,
    "EvaluationConfig.num_tasks": COUNT,
    "EvaluationConfig.samples": COUNT,
    "EvaluationConfig.max_turns": COUNT,
    "EvaluationConfig.max_tokens": COUNT,
    "EvaluationConfig.thinking_share": SHARE,
    "CheckpointConfig.every": COUNT,
    "CheckpointConfig.keep": Range(low=2),
    "TrackingConfig.trajectories_per_step": NOT_NEGATIVE,
}
"""The range of every number in the schema, by class and field; a test holds it complete."""
