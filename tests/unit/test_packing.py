"""Packing by properties, and the loss of a real (tiny) model under every way to pack a step."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import AlgorithmConfig, BuildConfig, Reduction
from rl.attention import PackedLayout
from rl.losses import cross_entropy, policy_loss
from rl.model import build_model, load_policy
from rl.network import PolicyNetwork
from rl.packing import SHORTEST_SHARED, denominator, empty, pack, split_minibatches
from rl.types import LossInputs, LossOutput, MicroBatch, Sample

VOCABULARY, LONGEST = 11, 40


def make_sample(length: int, seed: int, share_trained: float = 0.6) -> Sample:
    rng = np.random.default_rng(seed)
    mask = rng.random(length) < share_trained
    mask[0] = False
    return Sample(
        token_ids=rng.integers(VOCABULARY, size=length, dtype=np.int32),
        loss_mask=mask,
        rollout_logprobs=np.where(mask, -rng.random(length) - 1.5, 0).astype(np.float32),
        advantages=np.where(mask, rng.normal(), 0).astype(np.float32),
    )


def make_samples(*lengths: int) -> list[Sample]:
    return [make_sample(length, seed) for seed, length in enumerate(lengths)]


def num_tokens(micro_batches: list[MicroBatch]) -> int:
    return sum(len(batch.token_ids) for batch in micro_batches)


lengths_of_a_step = st.lists(st.integers(1, LONGEST), min_size=1, max_size=60)
derandomized = settings(derandomize=True, max_examples=50)


@derandomized
@given(lengths_of_a_step, st.integers(1, 100), st.integers(1, 5), st.sampled_from(Reduction))
def test_every_sample_is_packed_once_and_unchanged(
    lengths: list[int], token_budget: int, num_ranks: int, reduction: Reduction
) -> None:
    samples = make_samples(*lengths)
    seen = []
    for batch in (b for rank in pack(samples, token_budget, num_ranks, reduction) for b in rank):
        for i, index in enumerate(batch.sample_indices):
            sample, row = samples[index], batch.places[slice(*batch.cu_seqlens[i : i + 2])]
            trained = np.flatnonzero(sample.loss_mask)
            mine = batch.sequence_index == i
            weight = 1 / len(trained) if reduction == Reduction.SEQUENCE and len(trained) else 1.0
            np.testing.assert_array_equal(batch.token_ids[row], sample.token_ids)
            np.testing.assert_array_equal(batch.position_ids[row], np.arange(len(sample.token_ids)))
            np.testing.assert_array_equal(batch.predictors[mine], row[trained - 1])
            np.testing.assert_array_equal(batch.targets[mine], sample.token_ids[trained])
            np.testing.assert_array_equal(batch.advantages[mine], sample.advantages[trained])
            np.testing.assert_array_equal(
                batch.rollout_logprobs[mine], sample.rollout_logprobs[trained]
            )
            np.testing.assert_allclose(batch.weights[mine], weight, rtol=1e-6)
            seen.append(index)
    assert sorted(seen) == list(range(len(samples)))


@derandomized
@given(lengths_of_a_step, st.integers(1, 100), st.integers(1, 5))
def test_budget_and_balance_hold(lengths: list[int], token_budget: int, num_ranks: int) -> None:
    ranks = pack(make_samples(*lengths), token_budget, num_ranks, Reduction.TOKEN)
    assert len(ranks) == num_ranks
    assert len({len(rank) for rank in ranks}) == 1
    for batch in (b for rank in ranks for b in rank):
        assert len(batch.token_ids) <= token_budget or len(batch.sample_indices) == 1
    rounds = [[len(batch.token_ids) for batch in step] for step in zip(*ranks, strict=True)]
    totals = [num_tokens(rank) for rank in ranks]
    assert max(totals) - min(totals) <= max(max(step) - min(step) for step in rounds)


@derandomized
@given(lengths_of_a_step, st.integers(1, 100), st.integers(1, 5))
def test_no_more_micro_batches_than_filling_them_up_needs(
    lengths: list[int], token_budget: int, num_ranks: int
) -> None:
    needed, room = 0, 0
    for length in sorted(lengths, reverse=True):
        if length > room:
            needed, room = needed + 1, token_budget
        room -= length
    ranks = pack(make_samples(*lengths), token_budget, num_ranks, Reduction.TOKEN)
    assert len(ranks[0]) == -(-needed // num_ranks)


def test_equal_work_is_shared_equally() -> None:
    ranks = pack(make_samples(*[10] * 12), token_budget=40, num_ranks=2, reduction=Reduction.TOKEN)
    assert [[len(b.token_ids) for b in rank] for rank in ranks] == [[30, 30], [30, 30]]


def test_heavy_tailed_lengths_balance_over_ranks() -> None:
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(5, 1, size=512), 2, 2000).astype(int)
    totals = [num_tokens(rank) for rank in pack(make_samples(*lengths), 4096, 4, Reduction.TOKEN)]
    assert max(totals) < 1.05 * np.mean(totals)


def test_a_prompt_stands_in_a_micro_batch_once() -> None:
    first, second = make_group(20, [5, 9, 7], seed=1), make_group(16, [3, 12], seed=2)
    samples = [first[0], second[0], first[1], second[1], first[2], make_sample(30, 3)]
    [[batch]] = pack(samples, 1000, 1, Reduction.TOKEN)
    assert batch.sample_indices == (5, 2, 4, 0, 3, 1)  # families together, the longest first
    assert len(batch.token_ids) == 30 + (20 + 9 + 7 + 5) + (16 + 12 + 3)
    assert len(batch.places) == sum(len(sample.token_ids) for sample in samples)


def test_the_budget_counts_a_shared_prompt_for_every_sample() -> None:
    [rank] = pack(make_group(20, [10] * 4, seed=1), 60, 1, Reduction.TOKEN)
    assert [batch.sample_indices for batch in rank] == [(0, 1), (2, 3)]
    assert [len(batch.token_ids) for batch in rank] == [40, 40]


@pytest.mark.parametrize("length", [SHORTEST_SHARED - 1, SHORTEST_SHARED])
def test_a_short_prompt_is_not_shared(length: int) -> None:
    [[batch]] = pack(make_group(length, [3, 3], seed=1), 1000, 1, Reduction.TOKEN)
    shared = length == SHORTEST_SHARED
    assert len(batch.token_ids) == 2 * (length + 3) - shared * length


def test_a_transformer_computes_the_same_with_shared_prompts(tmp_path: Path) -> None:
    """Log-probabilities and gradients against the samples one by one."""
    build = BuildConfig(num_layers=2, hidden_size=64, num_heads=2, num_kv_heads=1, vocab_size=300)
    build_model(build, 3, tmp_path, ["Fees were 384 in 2021 and 512 in 2022."])
    network = PolicyNetwork(load_policy(tmp_path, "float32", "packed"))
    samples = [*make_group(20, [5, 9, 7], seed=1), *make_samples(8)]
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    for token_budget in (1000, 1):
        network.zero_grad()
        by_sample = {}
        for batch in pack(samples, token_budget, 1, Reduction.TOKEN)[0]:
            values = network(batch, 1.0)[0]
            values.square().sum().backward()
            for place, index in enumerate(batch.sample_indices):
                by_sample[index] = values.detach()[torch.as_tensor(batch.sequence_index) == place]
        gradients = torch.cat([p.grad.flatten() for p in network.parameters()])
        seen.append((torch.cat([by_sample[i] for i in range(len(samples))]), gradients))
    torch.testing.assert_close(seen[0][0], seen[1][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(seen[0][1], seen[1][1], atol=1e-4, rtol=1e-4)


def test_samples_of_like_length_share_a_micro_batch() -> None:
    lengths = [5, 40] * 8
    (rank,) = pack(make_samples(*lengths), token_budget=80, num_ranks=1, reduction=Reduction.TOKEN)
    assert [set(np.diff(batch.cu_seqlens).tolist()) for batch in rank] == [{40}] * 4 + [{5}]


def test_a_long_sample_gets_a_micro_batch_of_its_own() -> None:
    (rank,) = pack(make_samples(3, 30, 4), 10, 1, Reduction.TOKEN)
    assert [batch.sample_indices for batch in rank] == [(1,), (2, 0)]


def test_ranks_without_samples_get_empty_micro_batches() -> None:
    ranks = pack(make_samples(7), token_budget=10, num_ranks=3, reduction=Reduction.TOKEN)
    assert [rank[0].sample_indices for rank in ranks] == [(0,), (), ()]
    assert [len(rank[0].targets) for rank in ranks[1:]] == [0, 0]


def test_packing_is_deterministic() -> None:
    samples = make_samples(*[7, 7, 9, 3, 7, 9] * 3)
    first, second = (pack(samples, 20, 2, Reduction.TOKEN) for _ in range(2))
    assert [[b.sample_indices for b in rank] for rank in first] == [
        [b.sample_indices for b in rank] for rank in second
    ]


def test_nothing_packs_into_nothing() -> None:
    assert pack([], 10, 2, Reduction.TOKEN) == [[], []]
    assert split_minibatches([], 2) == []


@pytest.mark.parametrize(("token_budget", "num_ranks"), [(0, 1), (10, 0)])
def test_pack_refuses_nonsense(token_budget: int, num_ranks: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        pack(make_samples(3), token_budget, num_ranks, Reduction.TOKEN)


def test_position_zero_cannot_be_trained() -> None:
    sample = replace(make_sample(3, 0), loss_mask=np.array([True, False, False]))
    with pytest.raises(AssertionError, match="position 0"):
        pack([sample], 10, 1, Reduction.TOKEN)


@derandomized
@given(lengths_of_a_step, st.integers(1, 6))
def test_minibatches_keep_samples_whole_in_order_and_balanced(lengths: list[int], n: int) -> None:
    samples = make_samples(*lengths)
    parts = split_minibatches(samples, n)
    place = {id(sample): i for i, sample in enumerate(samples)}
    indices = [[place[id(sample)] for sample in part] for part in parts]
    assert len(parts) == min(n, len(samples))
    assert sorted(i for part in indices for i in part) == list(range(len(samples)))
    assert all(part == sorted(part) for part in indices)
    counts = [len(part) for part in parts]
    tokens = [sum(len(s.token_ids) for s in part) for part in parts]
    assert max(counts) - min(counts) <= 1
    assert max(tokens) - min(tokens) <= max(lengths)


def test_denominator_counts_what_is_trained() -> None:
    samples = make_samples(9, 14, 5)
    trained = [int(sample.loss_mask.sum()) for sample in samples]
    masked = replace(samples[0], loss_mask=np.zeros(9, bool))
    for step in (samples, [*samples, masked]):
        assert denominator(step, Reduction.TOKEN, 100) == sum(trained)
        assert denominator(step, Reduction.SEQUENCE, 100) == 3
        assert denominator(step, Reduction.CONSTANT, 100) == 300
    with pytest.raises(ValueError, match="none of 2 samples has a trained token"):
        denominator([masked, masked], Reduction.TOKEN, 100)


class TinyModel(torch.nn.Module):
    """Embeddings and a linear layer; the causal mean over a sample makes neighbours matter."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.tokens = torch.nn.Embedding(VOCABULARY, 8)
        self.positions = torch.nn.Embedding(LONGEST, 8)
        self.head = torch.nn.Linear(8, VOCABULARY)

    def forward(self, batch: MicroBatch) -> torch.Tensor:
        rows = torch.as_tensor(batch.token_ids).long(), torch.as_tensor(batch.position_ids).long()
        hidden = self.tokens(rows[0]) + self.positions(rows[1])  # [T, 8]
        layout = PackedLayout.of(batch, torch.device("cpu"))
        samples = hidden[layout.places].split(np.diff(batch.cu_seqlens).tolist())
        past = [s.cumsum(0) / torch.arange(1, len(s) + 1)[:, None] for s in samples]
        logits = self.head(torch.cat(past)[layout.owner])[
            torch.as_tensor(batch.predictors).long()
        ]  # [N, V]
        return logits.log_softmax(-1).gather(1, torch.as_tensor(batch.targets).long()[:, None])[
            :, 0
        ]


POLICY, OLD, REFERENCE = TinyModel(0), TinyModel(1), TinyModel(2)


def make_group(prompt: int, answers: list[int], seed: int) -> list[Sample]:
    """Samples that share a prompt, as a group's do."""
    question = np.random.default_rng(seed).integers(VOCABULARY, size=prompt, dtype=np.int32)
    group = []
    for number, answer in enumerate(answers):
        sample = make_sample(prompt + answer, 100 * seed + number)
        group.append(
            replace(
                sample,
                token_ids=np.concatenate([question, sample.token_ids[prompt:]]),
                loss_mask=np.arange(prompt + answer) >= prompt,
            )
        )
    return group


SAMPLES = [
    *make_samples(*[5, 12, 12, 7, 30, 3, 12, 19, 7, 8, 2, 25]),
    *make_group(18, [4, 9, 1], seed=1),
    *make_group(16, [2, 20], seed=2),
]
LOSSES = ("ppo_clip", "gspo", "cispo", "reinforce", "cross_entropy")


def run_loss(batch: MicroBatch, loss: str) -> LossOutput:
    with torch.no_grad():
        old, ref = OLD(batch), REFERENCE(batch)
    inputs = LossInputs(
        logprobs=POLICY(batch),
        old_logprobs=old,
        rollout_logprobs=torch.as_tensor(batch.rollout_logprobs),
        advantages=torch.as_tensor(batch.advantages),
        weights=torch.as_tensor(batch.weights),
        sequence_index=torch.as_tensor(batch.sequence_index).long(),
        num_sequences=batch.num_sequences,
        ref_logprobs=ref,
    )
    if loss == "cross_entropy":
        return cross_entropy(inputs)
    return policy_loss(inputs, AlgorithmConfig(loss=loss, kl_coef=0.1, dual_clip=3.0))


def step(
    samples: list[Sample], loss: str, reduction: Reduction, token_budget: int, num_ranks: int
) -> tuple[float, torch.Tensor, dict[str, float]]:
    """Loss, gradient and metrics of a step, as the learner adds them up."""
    POLICY.zero_grad()
    divisor = denominator(samples, reduction, LONGEST)
    total, metrics = 0.0, {}
    for batch in (b for rank in pack(samples, token_budget, num_ranks, reduction) for b in rank):
        output = run_loss(batch, loss)
        (output.loss / divisor).backward()
        total += output.loss.item() / divisor
        for name, value in output.metrics.items():
            metrics[name] = metrics.get(name, 0.0) + value.item()
    return total, torch.cat([p.grad.flatten() for p in POLICY.parameters()]), metrics


@pytest.mark.parametrize("reduction", list(Reduction))
@pytest.mark.parametrize("loss", LOSSES)
def test_no_packing_changes_loss_gradient_or_metrics(loss: str, reduction: Reduction) -> None:
    expected = step(SAMPLES, loss, reduction, token_budget=1000, num_ranks=1)
    assert expected[1].norm() > 1e-3
    backwards = SAMPLES[::-1]
    shuffled = [SAMPLES[i] for i in np.random.default_rng(0).permutation(len(SAMPLES))]
    for samples in (SAMPLES, backwards, shuffled):
        for token_budget, num_ranks in [(1000, 1), (1, 1), (31, 1), (31, 2), (50, 3), (1000, 16)]:
            loss_now, grad, metrics = step(samples, loss, reduction, token_budget, num_ranks)
            assert loss_now == pytest.approx(expected[0], rel=1e-5)
            torch.testing.assert_close(grad, expected[1], rtol=1e-4, atol=1e-6)
            assert metrics == pytest.approx(expected[2], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_reductions_mean_what_they_say(loss: str) -> None:
    """One sample at a time, with the plain sum over its tokens, gives every reduction."""
    sums, grads, lengths = [], [], []
    for sample in (s for s in SAMPLES if s.loss_mask.any()):
        lengths.append(int(sample.loss_mask.sum()))
        value, grad, _ = step([sample], loss, Reduction.TOKEN, 1000, 1)  # divided by its length
        sums.append(value * lengths[-1])
        grads.append(grad * lengths[-1])
    n = len(lengths)
    for reduction, shares in {
        Reduction.TOKEN: [1 / sum(lengths)] * n,
        Reduction.SEQUENCE: [1 / (n * length) for length in lengths],
        Reduction.CONSTANT: [1 / (n * LONGEST)] * n,
    }.items():
        value, grad, _ = step(SAMPLES, loss, reduction, 40, 2)
        assert value == pytest.approx(np.dot(sums, shares), rel=1e-4)
        by_hand = sum(g * share for g, share in zip(grads, shares, strict=True))
        torch.testing.assert_close(grad, by_hand, rtol=1e-4, atol=1e-6)


def untrained(length: int) -> MicroBatch:
    (rank,) = pack([make_sample(length, 0, share_trained=0.0)], 100, 1, Reduction.SEQUENCE)
    return rank[0]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch", [empty(), untrained(9)], ids=["empty", "masked"])
def test_nothing_trained_gives_exactly_nothing(loss: str, batch: MicroBatch) -> None:
    POLICY.zero_grad()
    output = run_loss(batch, loss)
    output.loss.backward()
    assert output.loss.item() == 0.0
    assert all(value.item() == 0.0 for value in output.metrics.values())
    for parameter in POLICY.parameters():
        assert parameter.grad is not None  # it took part, as ZeRO needs
        assert not parameter.grad.any()


@pytest.mark.parametrize("reduction", list(Reduction))
def test_a_masked_sample_changes_nothing(reduction: Reduction) -> None:
    masked = make_sample(20, 99, share_trained=0.0)
    expected = step(SAMPLES, "gspo", reduction, 1000, 1)
    loss, grad, metrics = step([masked, *SAMPLES], "gspo", reduction, 1000, 1)
    assert loss == pytest.approx(expected[0], rel=1e-6)
    torch.testing.assert_close(grad, expected[1], rtol=1e-5, atol=1e-7)
    assert metrics == pytest.approx(expected[2], rel=1e-5)
