"""From samples to micro-batches of bounded size, the same number for every learner rank.

Where one number comes out of many tokens, three things must fit together: `MicroBatch.weights`, the
sums that losses return, and the one division by `denominator`.

    reduction   weights     denominator                     the loss is
    token       1           trained tokens                  the mean over tokens (DAPO)
    sequence    1 / tokens  sequences                       the mean of sequence means (GRPO)
    constant    1           sequences * max_tokens          a sum over a constant (Dr. GRPO)

A sample without trained tokens changes neither side.

The samples of a group have the same prompt. Those of one micro-batch share its tokens: a causal
model computes the same states for them, and their gradients add up. With 8 answers as long as the
prompt, that is 9 units of work in place of 16.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from configs.schema import Reduction
from rl.types import MicroBatch, Sample
from rollout.types import IntArray

SHORTEST_SHARED = 16
"""Prompts of fewer tokens are not shared: little is saved, and lengths are then better sorted."""


def denominator(samples: Sequence[Sample], reduction: Reduction, max_tokens: int) -> float:
    """What the loss of one optimizer step, summed over all micro-batches and ranks, is divided by.

    `max_tokens` is the longest answer allowed; only CONSTANT reads it. Raises ValueError when no
    sample has a trained token.
    """
    lengths = [int(np.count_nonzero(sample.loss_mask)) for sample in samples]
    num_sequences = sum(length > 0 for length in lengths)
    if num_sequences == 0:
        raise ValueError(
            f"none of {len(samples)} samples has a trained token: every loss_mask is empty, "
            "as when prompts fill model.max_length; leave the step out"
        )
    if reduction == Reduction.TOKEN:
        return float(sum(lengths))
    return float(num_sequences if reduction == Reduction.SEQUENCE else num_sequences * max_tokens)


def pack(
    samples: Sequence[Sample], token_budget: int, num_ranks: int, reduction: Reduction
) -> list[list[MicroBatch]]:
    """Pack every sample once; element r of the result is what rank r runs, in order.

    - A micro-batch holds at most `token_budget` tokens, shared prompts counted for each sample
      (attention spreads them out again); a longer sample gets one of its own.
    - Samples with one prompt stand together. Otherwise they go from the longest to the shortest,
      so that those of one micro-batch are alike (attention pads to the longest of them) and
      running out of memory shows at once.
    - All ranks get the same number of micro-batches, alike in size at the same moment, because
      ranks wait for each other in ZeRO's collectives; `empty` ones make up the number.
    - The same samples in the same order always give the same result.
    """
    if token_budget < 1 or num_ranks < 1:
        raise ValueError(
            f"token_budget and num_ranks must be at least 1, got {token_budget} and {num_ranks}"
        )
    lengths = np.array([len(sample.token_ids) for sample in samples], dtype=np.int64)
    order = _order([_shared_prompt(sample) for sample in samples], lengths)
    bounds = _split_evenly(lengths[order], token_budget, num_ranks)
    batches = [_micro_batch(samples, order[i:j], reduction) for i, j in pairwise(bounds)]
    batches += [empty() for _ in range(-len(batches) % num_ranks)]
    loads = [len(batch.token_ids) for batch in batches]
    return [[batches[i] for i in hand] for hand in _deal(loads, num_ranks)]


def split_minibatches(samples: Sequence[Sample], n: int) -> list[list[Sample]]:
    """Split a step's samples over `n` optimizer steps: tokens balanced, order kept, no sample cut.

    Counts differ by one sample at most. Fewer than `n` parts when there are fewer samples: an
    optimizer step over nothing is not a step.
    """
    if not samples:
        return []
    lengths = np.array([len(sample.token_ids) for sample in samples], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    hands = _deal(lengths[order].tolist(), min(n, len(samples)))
    return [[samples[i] for i in sorted(order[hand])] for hand in hands]


def empty() -> MicroBatch:
    """One token that is not trained: it runs forward and backward, and every sum over it is 0."""
    zero, none = np.zeros(1, np.int32), np.zeros(0, np.int32)
    nothing = np.zeros(0, np.float32)
    return MicroBatch(
        token_ids=zero,
        position_ids=zero,
        places=zero,
        cu_seqlens=np.array([0, 1], np.int32),
        predictors=none,
        targets=none,
        sequence_index=none,
        weights=nothing,
        advantages=nothing,
        rollout_logprobs=nothing,
        sample_indices=(),
    )


def _split_evenly(lengths: NDArray[np.int64], token_budget: int, num_ranks: int) -> list[int]:
    """Cut `lengths` into runs of at most `token_budget`; returns 0 and the end of each run.

    The fewest runs that fit, rounded up to a multiple of `num_ranks`; then the smallest capacity
    that still needs no more, so that runs are alike instead of full ones and a scrap.
    """
    ends = np.concatenate([[0], np.cumsum(lengths)]).tolist()

    def fill(capacity: int) -> list[int]:
        bounds = [0]
        while bounds[-1] < len(lengths):
            start = bounds[-1]
            bounds.append(max(bisect_right(ends, ends[start] + capacity) - 1, start + 1))
        return bounds

    fewest = len(fill(token_budget)) - 1
    allowed = -(-fewest // num_ranks) * num_ranks
    capacities = range(1, token_budget + 1)
    smallest = bisect_left(capacities, True, key=lambda c: len(fill(c)) - 1 <= allowed)
    return fill(capacities[smallest])


def _deal(loads: Sequence[int], num_hands: int) -> list[list[int]]:
    """Deal items round by round, in each round the heaviest to the hand that holds least so far.

    Returns the positions in each hand. Hands never differ by more than the items of one round do
    (those missing from the last round weigh nothing).
    """
    hands: list[list[int]] = [[] for _ in range(num_hands)]
    held = [0] * num_hands
    for start in range(0, len(loads), num_hands):
        this_round = range(start, min(start + num_hands, len(loads)))
        items = sorted(this_round, key=loads.__getitem__, reverse=True)
        lightest_first = sorted(range(num_hands), key=held.__getitem__)
        for hand, item in zip(lightest_first, items, strict=False):
            hands[hand].append(item)
            held[hand] += loads[item]
    return hands


def _shared_prompt(sample: Sample) -> bytes:
    """The tokens before the first trained one, b"" where they are too few to share."""
    length = int(np.argmax(sample.loss_mask))  # 0 where nothing is trained
    return sample.token_ids[:length].tobytes() if length >= SHORTEST_SHARED else b""


def _order(prompts: Sequence[bytes], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """From the longest to the shortest, with samples of one prompt next to each other."""
    by_length = np.argsort(-lengths, kind="stable").tolist()
    families: dict[bytes | int, list[int]] = {}
    for index in by_length:
        families.setdefault(prompts[index] or index, []).append(index)
    return np.array([i for family in families.values() for i in family], dtype=np.int64)


def _lay_out(members: Sequence[Sample]) -> tuple[IntArray, IntArray, IntArray]:
    """Token ids [T] of the row, their positions [T], and the places [P] of each member in turn."""
    token_ids: list[IntArray] = []
    positions: list[IntArray] = []
    places: list[IntArray] = []
    start_of: dict[bytes, int] = {}
    end = 0
    for sample in members:
        prompt = _shared_prompt(sample)
        shared = len(prompt) // sample.token_ids.itemsize if prompt in start_of else 0
        if shared:
            places.append(np.arange(start_of[prompt], start_of[prompt] + shared, dtype=np.int32))
        elif prompt:
            start_of[prompt] = end
        own = len(sample.token_ids) - shared
        token_ids.append(sample.token_ids[shared:])
        positions.append(np.arange(shared, shared + own, dtype=np.int32))
        places.append(np.arange(end, end + own, dtype=np.int32))
        end += own
    return np.concatenate(token_ids), np.concatenate(positions), np.concatenate(places)


def _micro_batch(
    samples: Sequence[Sample], indices: NDArray[np.int64], reduction: Reduction
) -> MicroBatch:
    """The samples at `indices`, end to end in that order."""
    members = [samples[i] for i in indices]
    token_ids, position_ids, places = _lay_out(members)
    lengths = [len(sample.token_ids) for sample in members]
    cu_seqlens = np.zeros(len(members) + 1, np.int32)
    cu_seqlens[1:] = np.cumsum(lengths)
    trained = np.flatnonzero(np.concatenate([sample.loss_mask for sample in members]))
    assert position_ids[places[trained]].all(), "position 0 has no predictor: it cannot be trained"
    sequence_index = np.repeat(np.arange(len(members), dtype=np.int32), lengths)[trained]
    weights = np.ones(len(trained), np.float32)
    if reduction == Reduction.SEQUENCE:
        weights /= np.bincount(sequence_index)[sequence_index]
    advantages = np.concatenate([sample.advantages for sample in members], dtype=np.float32)
    rollout = np.concatenate([sample.rollout_logprobs for sample in members], dtype=np.float32)
    return MicroBatch(
        token_ids=token_ids,
        position_ids=position_ids,
        places=places,
        cu_seqlens=cu_seqlens,
        predictors=places[trained - 1],
        targets=token_ids[places[trained]],
        sequence_index=sequence_index,
        weights=weights,
        advantages=advantages[trained],
        rollout_logprobs=rollout[trained],
        sample_indices=tuple(indices.tolist()),
    )
