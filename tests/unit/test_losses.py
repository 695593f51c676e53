"""Losses against values and gradients worked out by hand.

The ratio of each token is given: logprobs = old_logprobs + log(ratio), d ratio / d logprob = ratio.
"""

import math
from dataclasses import replace

import pytest
import torch

from configs.errors import ConfigError
from configs.schema import AlgorithmConfig, ImportanceMode
from rl.losses import (
    cispo,
    cross_entropy,
    gspo,
    importance_correction,
    kl_penalty,
    mismatch_kl,
    policy_loss,
    ppo_clip,
    reinforce,
)
from rl.types import LossInputs, LossOutput

OLD = [-0.5, -1.5, -0.1, -2.5, -0.7, -1.1]


def make_inputs(
    ratios: list[float],
    advantages: list[float],
    weights: list[float] | None = None,
    sequences: list[int] | None = None,
    gap: list[float] | None = None,
) -> LossInputs:
    """`gap` is log(learner / engine) of each token; sequences default to one."""
    n = len(ratios)
    old = torch.tensor(OLD[:n])
    sequences = sequences or [0] * n
    return LossInputs(
        logprobs=(old + torch.tensor(ratios).log()).requires_grad_(),
        old_logprobs=old,
        rollout_logprobs=old - torch.tensor(gap or [0.0] * n),
        advantages=torch.tensor(advantages),
        weights=torch.tensor(weights or [1.0] * n),
        sequence_index=torch.tensor(sequences),
        num_sequences=max(sequences) + 1,
    )


def gradient(output: LossOutput, inputs: LossInputs) -> list[float]:
    (grad,) = torch.autograd.grad(output.loss, inputs.logprobs)
    return grad.tolist()


def plain(**changes: object) -> AlgorithmConfig:
    """Clip range 0.8 to 1.3, nothing else on."""
    config = AlgorithmConfig(clip_low=0.2, clip_high=0.3, importance=ImportanceMode.OFF)
    return replace(config, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ratio", "advantage", "dual_clip", "loss", "grad"),
    [
        (1.1, 2.0, 0.0, -2.2, -2.2),  # inside: -ratio A
        (1.1, -2.0, 0.0, 2.2, 2.2),
        (1.5, 2.0, 0.0, -2.6, 0.0),  # above, and it should grow: clipped to 1.3
        (1.5, -2.0, 0.0, 3.0, 3.0),  # above, and it should shrink: the gradient stays
        (0.5, 2.0, 0.0, -1.0, -1.0),  # below, and it should grow: the gradient stays
        (0.5, -2.0, 0.0, 1.6, 0.0),  # below, and it should shrink: clipped to 0.8
        (2.9, -2.0, 3.0, 5.8, 5.8),  # under the dual clip
        (4.0, -2.0, 3.0, 6.0, 0.0),  # over it: bounded by 3 |A|
        (4.0, -2.0, 0.0, 8.0, 8.0),  # without it
        (4.0, 2.0, 3.0, -2.6, 0.0),  # it leaves positive advantages alone
        (0.5, -2.0, 3.0, 1.6, 0.0),
    ],
)
def test_ppo_clip_in_every_region(
    ratio: float, advantage: float, dual_clip: float, loss: float, grad: float
) -> None:
    inputs = make_inputs([ratio], [advantage], weights=[0.5])
    output = ppo_clip(inputs, plain(dual_clip=dual_clip))
    assert output.loss.item() == pytest.approx(0.5 * loss)
    assert gradient(output, inputs) == pytest.approx([0.5 * grad])


def test_ppo_clip_sums_and_counts_tokens() -> None:
    inputs = make_inputs([1.0, 1.5, 1.5, 0.5, 0.5, 4.0], [1.0, 1.0, -1.0, 1.0, -1.0, -1.0])
    output = ppo_clip(inputs, plain(dual_clip=3.0))
    assert output.loss.item() == pytest.approx(-1.0 - 1.3 + 1.5 - 0.5 + 0.8 + 3.0)
    metrics = {name: value.item() for name, value in output.metrics.items()}
    kl = sum(r - 1 - math.log(r) for r in (1.0, 1.5, 1.5, 0.5, 0.5, 4.0))
    assert metrics == pytest.approx(
        {
            "policy/clip_fraction_low": 1.0,
            "policy/clip_fraction_high": 1.0,
            "policy/dual_clip_fraction": 1.0,
            "policy/importance_ratio": 9.0,
            "policy/kl_old": kl,
        }
    )


def test_ppo_clip_over_several_optimizer_steps() -> None:
    """One parameter, log p = log sigmoid(theta), against the same steps written with floats."""
    advantages, old_theta, rate = [1.0, -1.0], 0.0, 0.4
    theta = torch.tensor(old_theta, requires_grad=True)
    by_hand, clipped = old_theta, 0
    old = torch.tensor([math.log(0.5)] * 2)
    for _ in range(4):
        logprobs = torch.stack([torch.nn.functional.logsigmoid(t) for t in (theta, -theta)])
        inputs = replace(make_inputs([1.0, 1.0], advantages), old_logprobs=old, logprobs=logprobs)
        (grad,) = torch.autograd.grad(ppo_clip(inputs, plain()).loss, theta)
        theta = (theta - rate * grad).detach().requires_grad_()

        p = 1 / (1 + math.exp(-by_hand))
        ratios, dlogp = (p / 0.5, (1 - p) / 0.5), (1 - p, -p)
        moved = ratios[0] > 1.3, ratios[1] < 0.8
        clipped += sum(moved)
        by_hand += rate * sum(
            r * a * d for r, a, d, m in zip(ratios, advantages, dlogp, moved, strict=True) if not m
        )
    assert theta.item() == pytest.approx(by_hand, rel=1e-5)
    assert 0 < clipped < 8  # both kinds of steps were taken


def test_gspo_by_hand() -> None:
    # Log-ratios .2, -.1, .2 (mean .1, inside) and .5, .1 (mean .3, above): one token of the second
    # is inside on its own, yet the whole sequence is clipped. Weights are 1 / length.
    ratios = [math.exp(x) for x in (0.2, -0.1, 0.2, 0.5, 0.1)]
    advantages = [2.0, 2.0, 2.0, 3.0, 3.0]
    inputs = make_inputs(ratios, advantages, [1 / 3] * 3 + [0.5] * 2, [0, 0, 0, 1, 1])
    output = gspo(inputs, plain())
    s = math.exp(0.1)
    assert output.loss.item() == pytest.approx(-(2.0 * s + 3.0 * 1.3))
    assert gradient(output, inputs) == pytest.approx([-2.0 * s / 3] * 3 + [0.0, 0.0])
    assert output.metrics["policy/clip_fraction_high"].item() == 2.0


@pytest.mark.parametrize(("ratio", "advantage", "grad"), [(1.5, -2.0, 1.5), (0.5, 2.0, -0.5)])
def test_gspo_keeps_the_gradient_that_leads_back(
    ratio: float, advantage: float, grad: float
) -> None:
    inputs = make_inputs([ratio, ratio], [advantage] * 2, [0.5, 0.5])
    assert gradient(gspo(inputs, plain()), inputs) == pytest.approx([grad, grad])


def test_gspo_gradient_is_that_of_equation_5() -> None:
    ratios, lengths = [1.2, 0.9, 1.1, 0.8, 1.05, 1.0], [1, 2, 3]
    sequences = [0, 1, 1, 2, 2, 2]
    advantages = [1.5, -0.5, -0.5, 0.7, 0.7, 0.7]
    weights = [1.0, 0.5, 0.5, 1 / 3, 1 / 3, 1 / 3]
    inputs = make_inputs(ratios, advantages, weights, sequences)
    log_ratios = (inputs.logprobs - inputs.old_logprobs).split(lengths)
    objective = sum(a * t.mean().exp() for a, t in zip((1.5, -0.5, 0.7), log_ratios, strict=True))
    (expected,) = torch.autograd.grad(-objective, inputs.logprobs)
    assert gradient(gspo(inputs, plain()), inputs) == pytest.approx(expected.tolist(), rel=1e-5)


def test_gspo_tolerates_a_sequence_without_trained_tokens() -> None:
    inputs = make_inputs([1.1, 1.1], [1.0, 1.0], sequences=[0, 2])
    assert gradient(gspo(inputs, plain()), inputs) == pytest.approx([-1.1, -1.1])


def test_cispo_bounds_the_weight_and_keeps_every_gradient() -> None:
    inputs = make_inputs([1.1, 1.5, 1.5, 0.5, 0.5], [2.0, 2.0, -2.0, 2.0, -2.0])
    output = cispo(inputs, plain())
    bounded, signs = [1.1, 1.3, 1.3, 0.8, 0.8], [1, 1, -1, 1, -1]
    expected = [-2.0 * b * s for b, s in zip(bounded, signs, strict=True)]
    assert gradient(output, inputs) == pytest.approx(expected)
    logprobs = inputs.logprobs.tolist()
    value = sum(e * lp for e, lp in zip(expected, logprobs, strict=True))
    assert output.loss.item() == pytest.approx(value)
    assert output.metrics["policy/clip_fraction_low"].item() == 2.0
    assert output.metrics["policy/clip_fraction_high"].item() == 2.0


def test_cispo_without_a_lower_side() -> None:
    inputs = make_inputs([0.01], [1.0])
    assert gradient(cispo(inputs, plain(clip_low=1.0)), inputs) == pytest.approx([-0.01])


def test_reinforce_ignores_the_ratio() -> None:
    inputs = make_inputs([1.5, 0.2], [2.0, -1.0], weights=[1.0, 0.5])
    output = reinforce(inputs, plain())
    assert gradient(output, inputs) == pytest.approx([-2.0, 0.5])
    assert output.metrics["policy/importance_ratio"].item() == pytest.approx(1.7)


def test_cross_entropy_weighs_samples() -> None:
    inputs = make_inputs([1.0, 1.0], [1.0, 3.0], weights=[1.0, 0.5])
    output = cross_entropy(inputs)
    assert output.loss.item() == pytest.approx(0.5 + 1.5 * 1.5)
    assert gradient(output, inputs) == pytest.approx([-1.0, -1.5])
    assert output.metrics["sft/nll"].item() == pytest.approx(2.0)


@pytest.mark.parametrize("loss", [ppo_clip, gspo, cispo, reinforce])
def test_losses_agree_where_the_policy_has_not_moved(loss) -> None:  # type: ignore[no-untyped-def]
    inputs = make_inputs([1.0] * 4, [2.0, 2.0, -1.0, -1.0], sequences=[0, 0, 1, 1])
    assert gradient(loss(inputs, plain()), inputs) == pytest.approx([-2.0, -2.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (ImportanceMode.OFF, [1.0, 1.0, 1.0]),
        (ImportanceMode.TRUNCATE, [0.5, 1.5, 2.0]),
        (ImportanceMode.MASK, [0.5, 1.5, 0.0]),
    ],
)
def test_importance_correction(mode: ImportanceMode, expected: list[float]) -> None:
    gap = [math.log(x) for x in (0.5, 1.5, 4.0)]
    ratio = torch.tensor(gap).exp()
    assert importance_correction(ratio, mode, 2.0).tolist() == pytest.approx(expected)
    inputs = make_inputs([1.1] * 3, [1.0] * 3, weights=[1.0, 1.0, 0.5], gap=gap)
    output = policy_loss(inputs, plain(importance=mode, importance_cap=2.0))
    hand = [-1.1 * c * w for c, w in zip(expected, (1.0, 1.0, 0.5), strict=True)]
    assert gradient(output, inputs) == pytest.approx(hand)
    assert output.loss.item() == pytest.approx(sum(hand))
    assert output.metrics["policy/importance_weight"].item() == pytest.approx(sum(expected))
    assert output.metrics["policy/importance_over_cap"].item() == 1.0


def test_the_correction_has_no_gradient() -> None:
    """Nor has the ratio's denominator, even if the current logprobs are passed as the old ones."""
    inputs = make_inputs([1.0], [1.0], gap=[math.log(1.5)])
    same = replace(inputs, old_logprobs=inputs.logprobs)
    output = policy_loss(same, plain(importance=ImportanceMode.TRUNCATE))
    assert gradient(output, inputs) == pytest.approx([-1.5])


def test_trusting_the_engine_moves_the_gap_into_the_ratio() -> None:
    inputs = make_inputs([1.0, 1.0], [1.0, 1.0], gap=[math.log(1.2), math.log(1.5)])
    settings = plain(importance=ImportanceMode.TRUNCATE, trust_engine_logprobs=True)
    output = policy_loss(inputs, settings)
    assert gradient(output, inputs) == pytest.approx([-1.2, 0.0])  # 1.5 is over the clip range
    assert output.metrics["policy/importance_weight"].item() == pytest.approx(2.0)
    assert output.metrics["policy/mismatch_kl"].item() == pytest.approx(
        0.2 - math.log(1.2) + 0.5 - math.log(1.5), rel=1e-4
    )


def test_mismatch_kl_estimates_the_divergence_of_the_engine() -> None:
    engine, learner = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.6, 0.2, 0.2])
    expected = (engine * (engine / learner).log()).sum().item()
    estimate = (engine * mismatch_kl(learner.log(), engine.log())).sum().item()
    assert estimate == pytest.approx(expected, rel=1e-5)
    assert mismatch_kl(engine.log(), engine.log()).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("estimator", "value", "grad"),
    [("k1", 0.5, 1.0), ("k2", 0.125, 0.5), ("k3", math.exp(-0.5) - 0.5, 1 - math.exp(-0.5))],
)
def test_kl_penalty_by_hand(estimator: str, value: float, grad: float) -> None:
    """d = .5. The KL term carries the token's weight but not the importance correction."""
    gap = math.log(1.5)
    inputs = make_inputs([1.0], [2.0], weights=[0.25], gap=[gap])
    inputs = replace(inputs, ref_logprobs=inputs.old_logprobs - 0.5)
    settings = plain(kl_coef=0.1, kl_estimator=estimator, importance=ImportanceMode.TRUNCATE)
    output = policy_loss(inputs, settings)
    assert output.metrics["policy/kl_ref"].item() == pytest.approx(value)
    assert output.loss.item() == pytest.approx(0.25 * (-2.0 * 1.5 + 0.1 * value))
    assert gradient(output, inputs) == pytest.approx([0.25 * (-2.0 * 1.5 + 0.1 * grad)])


def test_kl_estimators_on_average() -> None:
    """Over a whole distribution k1 and k3 are the KL, k2 has its gradient, and k1 has none."""
    logits = torch.tensor([0.3, -0.8, 1.2], requires_grad=True)
    reference = torch.tensor([0.0, 0.5, -0.2]).log_softmax(0)
    logprobs = logits.log_softmax(0)
    kl = (logprobs.exp() * (logprobs - reference)).sum()
    (true_gradient,) = torch.autograd.grad(kl, logits, retain_graph=True)
    drawn = logprobs.exp().detach()  # as often as the policy draws each token
    estimate = {k: (drawn * kl_penalty(logprobs, reference, k)).sum() for k in ("k1", "k2", "k3")}
    assert estimate["k1"].item() == pytest.approx(kl.item(), rel=1e-5)
    assert estimate["k3"].item() == pytest.approx(kl.item(), rel=1e-5)
    (k1,) = torch.autograd.grad(estimate["k1"], logits, retain_graph=True)
    (k2,) = torch.autograd.grad(estimate["k2"], logits)
    torch.testing.assert_close(k1, torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(k2, true_gradient, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("loss", ["ppo_clip", "gspo", "cispo", "reinforce"])
@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_a_collapsed_token_gives_finite_numbers(loss: str, advantage: float) -> None:
    """exp() of both gaps overflows fp32."""
    inputs = make_inputs([1.0, 1.0], [advantage] * 2, gap=[200.0, -200.0])
    logprobs = torch.tensor([-0.1, -200.0], requires_grad=True)
    old = torch.tensor([-200.0, -0.1])
    inputs = replace(inputs, logprobs=logprobs, old_logprobs=old, ref_logprobs=old)
    output = policy_loss(inputs, plain(loss=loss, kl_coef=0.1, importance=ImportanceMode.MASK))
    assert math.isfinite(output.loss.item())
    assert all(math.isfinite(g) for g in gradient(output, inputs))
    assert all(math.isfinite(m.item()) for m in output.metrics.values())


@pytest.mark.parametrize("loss", ["ppo_clip", "gspo", "cispo", "reinforce"])
def test_half_precision_inputs_are_computed_in_fp32(loss: str) -> None:
    inputs = make_inputs([1.1, 0.9, 1.2], [1.0, -1.0, 0.5], gap=[0.1, -0.1, 0.0])
    rounded = replace(inputs, logprobs=inputs.logprobs.detach().bfloat16().requires_grad_())
    widened = replace(inputs, logprobs=rounded.logprobs.detach().float().requires_grad_())
    settings = plain(loss=loss, importance=ImportanceMode.TRUNCATE)
    output = policy_loss(rounded, settings)
    assert output.loss.dtype == torch.float32
    assert all(metric.dtype == torch.float32 for metric in output.metrics.values())
    assert output.loss.item() == policy_loss(widened, settings).loss.item()


def twice_reinforce(inputs: LossInputs, settings: AlgorithmConfig) -> LossOutput:
    """A plug-in, as a user would write one."""
    return LossOutput(2.0 * reinforce(inputs, settings).loss, {"policy/mine": torch.tensor(1.0)})


def test_a_plug_in_is_an_import_path_and_is_corrected_too() -> None:
    inputs = make_inputs([1.0], [1.0], gap=[math.log(1.5)])
    settings = plain(
        loss="tests.unit.test_losses:twice_reinforce", importance=ImportanceMode.TRUNCATE
    )
    output = policy_loss(inputs, settings)
    assert gradient(output, inputs) == pytest.approx([-3.0])
    assert "policy/mine" in output.metrics


def test_unknown_names_are_configuration_errors() -> None:
    inputs = replace(make_inputs([1.0], [1.0]), ref_logprobs=torch.zeros(1))
    with pytest.raises(ConfigError, match="gspo"):
        policy_loss(inputs, plain(loss="gpso"))
    with pytest.raises(ConfigError, match="k1, k2, k3"):
        policy_loss(inputs, plain(kl_coef=0.1, kl_estimator="k4"))
