"""A run directory as a short training would leave it, written through the product's tracker."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from envs.types import Message, Task
from rl.tracking import START, EvaluationRecord, FileTracker, StepRecord, TaskResult
from rollout.types import Group, Score, Span, StopReason, Trajectory

SCENES = ("banking", "securities", "insurance", "trusts", "funds")
HOSTILE = "```\n# not a heading\n| <script>alert(1)</script> \x1b[2J \u202e"


def write_run(
    run_dir: Path, seed: int = 0, num_sft: int = 40, num_rl: int = 60, num_tasks: int = 60
) -> None:
    """SFT, then RL in which accuracy rises, with drops for two reasons and three evaluations."""
    rng = np.random.default_rng(seed)
    now = 0.0
    tracker = FileTracker(run_dir, clock=lambda: now)

    def log_step(record: StepRecord) -> None:
        nonlocal now
        now += record.metrics["time/step"]
        tracker.log_step(record)

    def log_evaluation(record: EvaluationRecord) -> None:
        nonlocal now
        now += record.seconds + 1.5
        tracker.log_evaluation(record)

    versions = {"torch": "2.13.0", "ray": "2.60.0"}
    facts = {"config_digest": "9f2c41d0", "code": "34f4de4", "versions": versions}
    tracker.log_event("run_start", name="synthetic", seed=seed, **facts)
    tracker.log_event("publish", version=0, max_logprob_difference=2.5e-6)
    log_evaluation(evaluation(rng, START, 0.02, num_tasks))
    for step in range(1, num_sft + 1):
        log_step(sft_step(rng, step, num_sft))
    log_evaluation(evaluation(rng, "sft", 0.2, num_tasks))
    tracker.log_event("notice", source="gate", message="held-out pass@1 is low | `so`")
    for step in range(1, num_rl + 1):
        skill = 0.2 + 0.6 * (1 - np.exp(-4 * step / num_rl))
        log_step(rl_step(rng, step, num_rl, skill))
        tracker.log_trajectories("reasoning", step, [group(step, HOSTILE)])
    log_evaluation(evaluation(rng, "reasoning", 0.78, num_tasks))
    tracker.log_event("memory", peak_gb=6.25)
    tracker.log_event("run_end", status="done")
    tracker.close()


def sft_step(rng: np.random.Generator, step: int, num_steps: int) -> StepRecord:
    train_s = float(rng.uniform(0.25, 0.3))
    metrics = {
        "loss/mean": 3.0 / step,
        "learner/lr": 1e-3,
        "tokens/trained": 4000.0,
        "time/train": train_s,
        "time/step": train_s + 0.01,
    }
    return StepRecord("sft", "sft", step, num_steps, 0, metrics)


def rl_step(rng: np.random.Generator, step: int, num_steps: int, skill: float) -> StepRecord:
    zero_variance, fault = int(rng.integers(0, 12)), int(rng.random() < 0.2)
    times = {
        "time/generate": float(rng.uniform(1.2, 1.6)),
        "time/train": float(rng.uniform(0.8, 1.0)),
        "time/publish": float(rng.uniform(0.05, 0.1)),
    }
    reward = float(np.clip(rng.normal(skill, 0.06), 0.0, 1.0))
    metrics = {
        "reward/mean": reward,
        "reward/accuracy": reward,
        "reward/std": 0.4,
        "group/dispatched": 32.0 + zero_variance + fault + (2.0 if step == 1 else 0.0),
        "group/trained": 32.0,
        "group/dropped/zero_variance": float(zero_variance),
        "group/owed": 2.0,
        "length/mean": 18.0 + 12.0 * skill + float(rng.normal(0, 0.7)),
        "length/thinking": 24.0 + 14.0 * skill + float(rng.normal(0, 1)),
        "length/non_thinking": 12.0 + 9.0 * skill + float(rng.normal(0, 1)),
        "length/truncated": max(0.0, 0.12 - 0.13 * skill),
        "length/trained": 17.0 + 12.0 * skill,
        "tokens/generated": 6500.0 + 210.0 * zero_variance + 40.0 * fault + step,
        "tokens/trained": 6500.0,
        "tokens/gradient": 6400.0,
        "tokens/no_verdict": float(step),
        "tokens/dropped/zero_variance": 210.0 * zero_variance,
        "time/dropped/zero_variance": times["time/generate"] * zero_variance / 50,
        "staleness/limit": 0.0,
        "staleness/max": 0.0,
        "publish/max_logprob_difference": float(rng.uniform(1e-6, 9e-6)),
        "mismatch_kl": float(rng.uniform(1e-9, 1e-7)),
        "policy/entropy": 0.9 - 0.5 * skill,
        **times,
        "time/step": sum(times.values()) + float(rng.uniform(0.02, 0.08)),
    }
    if fault:  # a cause appears in a step's metrics only when it occurs
        metrics["group/dropped/fault"] = 1.0
        metrics["tokens/dropped/fault"] = 40.0
        metrics["time/dropped/fault"] = 0.01
    return StepRecord("reasoning", "rl", step, num_steps, step, metrics)


def evaluation(
    rng: np.random.Generator, stage: str, skill: float, num_tasks: int
) -> EvaluationRecord:
    results = []
    for index in range(num_tasks):
        level = 1 + index % 3
        chance = float(np.clip(rng.normal(skill - 0.1 * (level - 1), 0.25), 0.0, 1.0))
        labels = {"level": str(level), "scene": SCENES[index % 5], "task": f"family_{index % 4}"}
        right = int(rng.binomial(10, chance))
        tokens, seconds = int(rng.integers(150, 400)), float(rng.uniform(1, 4))
        task_id, thinking = f"finance/heldout/{level}/{index}", bool(index % 2)
        greedy = bool(rng.random() < chance)
        results.append(
            TaskResult(task_id, labels, thinking, 10, right, greedy, tokens, seconds),
        )
    return EvaluationRecord(stage, 0, 4.5, tuple(results))


def group(group_id: int, reply: str) -> Group:
    task = Task(f"finance/train/1/{group_id}", "finance", (Message("user", "12 + 3?"),), "15")
    trajectory = Trajectory(
        task,
        0,
        (Span(np.arange(3, dtype=np.int32), np.zeros(3, dtype=np.float32), 0),),
        (*task.prompt, Message("assistant", reply)),
        StopReason.STOP,
        score=Score(0.0, {"answer": 0.0}, "different"),
    )
    return Group(group_id, task, (trajectory,))
