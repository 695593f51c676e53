"""Losses over the trained tokens of one packed micro-batch.

Every loss returns a weighted *sum* over tokens, so that micro-batches add up to the same number
however the step was packed; the learner divides once by `packing.denominator`. Metrics are plain
sums over tokens, for the same reason. All arithmetic is fp32. Built-in losses have the signature of
plug-ins, (LossInputs, AlgorithmConfig) -> LossOutput.

Notation: ratio = exp(logprobs - old_logprobs), the current policy over the one at the start of the
batch; A = advantages; w = weights.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from configs.errors import ConfigError
from configs.registry import LOSSES, resolve
from configs.schema import AlgorithmConfig, ImportanceMode
from rl.types import LossInputs, LossOutput

LARGEST_LOG_RATIO = 20.0
"""Log-ratios stop here, and their gradient with them: exp of 89 overflows fp32, and an infinite
ratio turns the gradient into NaN even on the branch that min() does not take."""


def ppo_clip(inputs: LossInputs, settings: AlgorithmConfig) -> LossOutput:
    """-sum w min(ratio A, clip(ratio, 1 - clip_low, 1 + clip_high) A).

    PPO, arXiv 1707.06347, eq. 7; with two ranges, DAPO, arXiv 2503.14476, eq. 10. `dual_clip` c > 1
    bounds the objective of tokens with A < 0 from below by c A (arXiv 1912.09729, eq. 5); 0 is off.
    """
    log_ratio = _log_ratio(inputs.logprobs, inputs.old_logprobs)
    advantages = inputs.advantages.float()
    objective, metrics = _clipped_objective(log_ratio.exp(), advantages, settings)
    if settings.dual_clip:
        floor = settings.dual_clip * advantages
        bounded = (advantages < 0) & (objective < floor)
        objective = torch.where(bounded, floor, objective)
        metrics["policy/dual_clip_fraction"] = _count(bounded)
    return LossOutput(-_weighted_sum(inputs, objective), metrics | _drift(log_ratio))


def gspo(inputs: LossInputs, settings: AlgorithmConfig) -> LossOutput:
    """-sum w min(s A, clip(s, 1 - clip_low, 1 + clip_high) A), s the ratio of the whole sequence.

    s = exp(mean over the sequence's trained tokens of logprobs - old_logprobs) (GSPO, arXiv
    2507.18071, eq. 5 and 7). Written in the paper's token form (eq. 13 and 14): the value is s, the
    gradient s * grad logprobs[t]. Both equal those of eq. 5 where a sequence has one advantage and
    one weight, and a token's own weight (the importance correction) stays with that token.
    Clip ranges are far smaller than PPO's: the paper uses 3e-4 and 4e-4.
    """
    log_ratio = _log_ratio(inputs.logprobs, inputs.old_logprobs)
    frozen = log_ratio.detach()
    zeros = frozen.new_zeros(inputs.num_sequences)
    totals = zeros.index_add(0, inputs.sequence_index, frozen)  # [S]
    lengths = zeros.index_add(0, inputs.sequence_index, torch.ones_like(frozen))  # [S]
    sequence_log_ratio = (totals / lengths)[inputs.sequence_index]  # [N]
    ratio = (sequence_log_ratio + (log_ratio - frozen)).exp()
    objective, metrics = _clipped_objective(ratio, inputs.advantages.float(), settings)
    return LossOutput(-_weighted_sum(inputs, objective), metrics | _drift(log_ratio))


def cispo(inputs: LossInputs, settings: AlgorithmConfig) -> LossOutput:
    """-sum w stop_gradient(clip(ratio, 1 - clip_low, 1 + clip_high)) A logprobs.

    No token loses its gradient, only its size is bounded, on both sides whatever the sign of A
    (CISPO, MiniMax-M1, arXiv 2506.13585, eq. 4 and 5). The paper leaves the lower side open:
    `clip_low` 1 does that.
    """
    log_ratio = _log_ratio(inputs.logprobs, inputs.old_logprobs).detach()
    ratio = log_ratio.exp()
    low, high = 1.0 - settings.clip_low, 1.0 + settings.clip_high
    bounded = ratio.clamp(low, high)
    objective = bounded * inputs.advantages.float() * inputs.logprobs.float()
    metrics = {
        "policy/clip_fraction_low": _count(ratio < low),
        "policy/clip_fraction_high": _count(ratio > high),
    }
    return LossOutput(-_weighted_sum(inputs, objective), metrics | _drift(log_ratio))


def reinforce(inputs: LossInputs, settings: AlgorithmConfig) -> LossOutput:
    """-sum w A logprobs: the plain policy gradient (Williams, 1992), right only on policy."""
    objective = inputs.advantages.float() * inputs.logprobs.float()
    log_ratio = _log_ratio(inputs.logprobs, inputs.old_logprobs)
    return LossOutput(-_weighted_sum(inputs, objective), _drift(log_ratio))


def cross_entropy(inputs: LossInputs) -> LossOutput:
    """-sum w A logprobs for supervised fine-tuning, where A holds the weight of the sample.

    Reads `logprobs`, `advantages` and `weights` only; `sft/nll` is the unweighted sum of -logprobs.
    """
    logprobs = inputs.logprobs.float()
    loss = -_weighted_sum(inputs, inputs.advantages.float() * logprobs)
    return LossOutput(loss, {"sft/nll": -logprobs.detach().sum()})


def policy_loss(inputs: LossInputs, settings: AlgorithmConfig) -> LossOutput:
    """The whole loss of an RL step: importance correction * `settings.loss` + kl_coef * KL.

    `settings.loss` is a built-in or the import path of a function of the same signature. The
    correction for the gap between engine and learner multiplies the token's weight in that loss,
    not in the KL term. With `trust_engine_logprobs` the engine's log-probabilities are the ratio's
    denominator, which leaves nothing to correct. Raises ConfigError for an unknown loss or KL
    estimator.
    """
    loss = resolve(settings.loss, LOSSES, "algorithm.loss")
    mismatch = mismatch_kl(inputs.old_logprobs, inputs.rollout_logprobs)
    if settings.trust_engine_logprobs:
        inputs = replace(inputs, old_logprobs=inputs.rollout_logprobs)
    gap = _log_ratio(inputs.old_logprobs, inputs.rollout_logprobs).detach().exp()
    correction = importance_correction(gap, settings.importance, settings.importance_cap)
    output = loss(replace(inputs, weights=inputs.weights.float() * correction), settings)
    total = output.loss
    metrics = {
        "policy/mismatch_kl": mismatch.sum(),
        "policy/importance_weight": correction.sum(),
        "policy/importance_over_cap": _count(gap > settings.importance_cap),
    }
    if settings.kl_coef:
        assert inputs.ref_logprobs is not None, "kl_coef is set, but no reference was computed"
        kl = kl_penalty(inputs.logprobs, inputs.ref_logprobs, settings.kl_estimator)
        total = total + settings.kl_coef * _weighted_sum(inputs, kl)
        metrics["policy/kl_ref"] = kl.detach().sum()
    return LossOutput(total, output.metrics | metrics)


def kl_penalty(
    logprobs: torch.Tensor, ref_logprobs: torch.Tensor, estimator: str
) -> torch.Tensor:  # [N]
    """KL(policy || reference) at each token (Schulman, "Approximating KL divergence", 2020).

    With d = logprobs - ref_logprobs: k1 = d, unbiased and of either sign; k2 = d^2 / 2, whose
    gradient is on average that of the true KL; k3 = exp(-d) - 1 + d, unbiased and never negative.
    Used as a loss, k1 has a gradient of mean zero on policy: it measures, it does not hold the
    policy back. Raises ConfigError for another name.
    """
    d = logprobs.float() - ref_logprobs.float()
    if estimator == "k1":
        return d
    if estimator == "k2":
        return 0.5 * d.square()
    if estimator == "k3":
        d = d.clamp(min=-LARGEST_LOG_RATIO)
        return (-d).exp() - 1.0 + d
    raise ConfigError(f"kl_estimator={estimator!r} is not one of k1, k2, k3")


def importance_correction(
    ratio: torch.Tensor, mode: ImportanceMode, cap: float
) -> torch.Tensor:  # [N]
    """The weight of each token, from ratio = exp(old_logprobs - rollout_logprobs).

    The engine samples with other kernels and precision than the learner trains with, so its samples
    are slightly off policy. TRUNCATE bounds the weight by `cap` (truncated importance sampling:
    Ionides, 2008; for this gap, Yao et al., "Your efficient RL framework secretly brings you
    off-policy RL training", 2025); MASK drops tokens over the cap (masked importance sampling, Liu
    et al., "When speed kills stability", 2025); OFF is 1 everywhere.
    """
    if mode == ImportanceMode.TRUNCATE:
        return ratio.clamp(max=cap)
    if mode == ImportanceMode.MASK:
        return ratio.masked_fill(ratio > cap, 0.0)
    return torch.ones_like(ratio)


def mismatch_kl(old_logprobs: torch.Tensor, rollout_logprobs: torch.Tensor) -> torch.Tensor:  # [N]
    """KL(engine || learner) at each sampled token, by the k3 estimator: 0 where the two agree."""
    return kl_penalty(rollout_logprobs.detach(), old_logprobs.detach(), "k3")


def _clipped_objective(
    ratio: torch.Tensor, advantages: torch.Tensor, settings: AlgorithmConfig
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """min(ratio A, clip(ratio) A): moving the ratio further out of its range earns nothing.

    Also the number of tokens whose gradient that takes away, on either side.
    """
    low, high = 1.0 - settings.clip_low, 1.0 + settings.clip_high
    clipped = ratio.clamp(low, high)
    metrics = {
        "policy/clip_fraction_low": _count((ratio < low) & (advantages < 0)),
        "policy/clip_fraction_high": _count((ratio > high) & (advantages > 0)),
    }
    return torch.minimum(ratio * advantages, clipped * advantages), metrics


def _drift(log_ratio: torch.Tensor) -> dict[str, torch.Tensor]:
    """How far the policy is from the batch's start: the ratio, and KL(old || current) by k3."""
    log_ratio = log_ratio.detach()
    ratio = log_ratio.exp()
    return {
        "policy/importance_ratio": ratio.sum(),
        "policy/kl_old": (ratio - 1.0 - log_ratio).sum(),
    }


def _log_ratio(logprobs: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
    """Gradient flows through `logprobs` only, even where both are the same tensor."""
    difference = logprobs.float() - fixed.detach().float()
    return difference.clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)


def _weighted_sum(inputs: LossInputs, values: torch.Tensor) -> torch.Tensor:
    return (inputs.weights.float() * values).sum()


def _count(mask: torch.Tensor) -> torch.Tensor:
    return mask.float().sum()
