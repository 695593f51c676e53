"""Run one learner scenario on several ranks: `python -m tests.integration.learner_ranks SPEC.json`.

The parent process starts one such process a rank. Rank 0 writes losses and the final weights.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ["DS_ACCELERATOR"] = "cpu"

import numpy as np

from configs.schema import AlgorithmConfig, LearnerConfig, Reduction
from rl.learner import Learner
from rl.types import Batch, LearnerSettings, Sample, StepResult


def samples(seed: int, count: int, vocab: int) -> list[Sample]:
    """Samples of mixed lengths, every second one with a prompt that they share, advantages of both
    signs and noisy engine logprobs."""
    rng = np.random.default_rng(seed)
    question = rng.integers(3, vocab, size=18).astype(np.int32)
    result = []
    for number in range(count):
        length = int(rng.integers(6, 40))
        prompt = int(rng.integers(1, length - 2))
        token_ids = rng.integers(3, vocab, size=length).astype(np.int32)
        if number % 2:
            prompt, length = len(question), len(question) + length
            token_ids = np.concatenate([question, token_ids])
        mask = np.arange(length) >= prompt
        result.append(
            Sample(
                token_ids=token_ids,
                loss_mask=mask,
                rollout_logprobs=np.where(mask, rng.normal(-6, 0.2, length), 0).astype(np.float32),
                advantages=np.where(mask, rng.normal(), 0).astype(np.float32),
            )
        )
    return result


def batches(spec: dict[str, object], vocab: int) -> list[Batch]:
    algorithm = AlgorithmConfig(
        reduction=Reduction(str(spec.get("reduction", "token"))),
        num_minibatches=int(str(spec.get("num_minibatches", 1))),
        kl_coef=float(str(spec.get("kl_coef", 0.0))),
    )
    made = []
    for step in range(int(str(spec.get("steps", 2)))):
        drawn = samples(100 + step, 12, vocab)
        if spec.get("shuffle"):
            drawn = [drawn[i] for i in np.random.default_rng(step).permutation(len(drawn))]
        if step == spec.get("poisoned"):
            poison = np.full_like(drawn[0].advantages, np.nan)
            drawn[0] = replace(drawn[0], advantages=poison)
        made.append(Batch(tuple(drawn), 1e-3, algorithm if spec.get("rl", True) else None, 1.0, 64))
    return made


def main(spec: dict[str, object], rank: int) -> None:
    config = LearnerConfig(
        ranks=int(str(spec["ranks"])),
        zero_stage=int(str(spec["zero_stage"])),
        token_budget=int(str(spec.get("token_budget", 4096))),
        activation_checkpointing=bool(spec.get("activation_checkpointing", False)),
    )
    settings = LearnerSettings(
        model=str(spec["model"]),
        dtype=str(spec.get("dtype", "float32")),
        config=config,
        rank=rank,
        world_size=config.ranks,
        master_port=int(str(spec["port"])),
    )
    learner = Learner(settings)
    out = Path(str(spec["out"]))
    if spec.get("kl_coef"):
        learner.load_reference(Path(str(spec["model"])))
    if spec.get("load"):
        learner.load(Path(str(spec["load"])))
    results: list[StepResult] = []
    for number, batch in enumerate(batches(spec, int(str(spec["vocab"])))):
        if number < int(str(spec.get("skip", 0))):
            continue
        results.append(replace(learner.step(batch), seconds=0.0))
        if number + 1 == spec.get("save_after"):
            learner.save(out / "saved")
    probes = learner.logprobs([s.token_ids for s in samples(7, 3, int(str(spec["vocab"])))])
    learner.write_weights(out / "weights")
    if rank == 0:
        record = {
            "steps": [
                {
                    "loss": r.loss, "grad_norm": r.grad_norm, "tokens": r.num_tokens,
                    "micro_batches": r.num_micro_batches, "out_of_memory": r.out_of_memory,
                    "metrics": r.metrics, "skipped": r.skipped,
                }
                for r in results
            ],
            "probes": [p.tolist() for p in probes],
        }  # fmt: skip
        (out / "result.json").write_text(json.dumps(record))
    learner.close()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2]))
