"""Packing 10,000 samples of 500 tokens into micro-batches, in seconds."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks.figures import Bound, Figures, Target
from configs.schema import Reduction

TARGET: Target = {"seconds": Bound("<", 1.0)}

NUM_SAMPLES = 10_000
MEAN_TOKENS = 500
TOKEN_BUDGET = 16_384
ROUNDS = 5


def run() -> Figures:
    """Median of rounds, in processor time, on lengths from 1 to twice the mean."""
    from rl.packing import pack
    from rl.types import Sample

    rng = np.random.default_rng(0)
    samples = []
    for length in rng.integers(2, 2 * MEAN_TOKENS, NUM_SAMPLES):
        mask = np.arange(length) >= length // 2
        zeros = np.zeros(length, np.float32)
        samples.append(Sample(np.ones(length, np.int32), mask, zeros, zeros))
    seconds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        [micros] = pack(samples, TOKEN_BUDGET, 1, Reduction.TOKEN)
        seconds.append(time.process_time() - began)
    tokens = sum(len(micro.token_ids) for micro in micros)
    return {
        "seconds": statistics.median(seconds),
        "tokens": float(tokens),
        "micro_batches": float(len(micros)),
        "filled": tokens / (len(micros) * TOKEN_BUDGET),
    }
