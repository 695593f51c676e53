"""The other side of `loop_vs_trl`: TRL's GRPOTrainer, set for speed, one step a turn.

    python -m benchmarks.loop_trl MODEL DTYPE THREADS MICRO_BATCH

TRL cannot generate with vLLM on a CPU, so it uses Hugging Face's `generate`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from functools import partial
from typing import Any

import torch
from datasets import Dataset
from transformers import LogitsProcessor, LogitsProcessorList, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from benchmarks.loop_workload import (
    CONFIG,
    GROUP_SIZE,
    MAX_TOKENS,
    NUM_PROMPTS,
    NUM_SAMPLES,
    STAGE,
    Turns,
    digit_share,
)
from configs.load import load
from launch.tasks import load_stages
from rl.curriculum import UniformCurriculum

RAY_NICENESS = 15
"""The priority that Ray gives its workers: a busy machine then slows both sides down alike."""
NUM_STEPS = 100
PLAIN: dict[str, Any] = {
    "use_cpu": True,
    "beta": 0.0,
    "num_iterations": 1,
    "gradient_checkpointing": False,
    "learning_rate": 1e-6,
    "lr_scheduler_type": "constant",
    "shuffle_dataset": False,
    "logging_strategy": "no",
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}
"""GRPO and nothing else: no reference model, no recomputation, no log, no checkpoint."""


class StopAt(LogitsProcessor):
    """Ends every row at its own length, and not before."""

    def __init__(self, stop_token_id: int) -> None:
        self.stop_token_id = stop_token_id

    def begin(self, lengths: torch.Tensor) -> None:
        """Take the lengths [B] of the next generation."""
        self.lengths = lengths
        self.generated = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.generated += 1
        ends = self.lengths <= self.generated  # [B]
        scores[:, self.stop_token_id] = -torch.inf
        scores[ends] = -torch.inf
        scores[ends, self.stop_token_id] = 0.0
        return scores


class Timer(TrainerCallback):
    """Waits for a turn before each step and replies with the step's seconds after it."""

    def __init__(self, turns: Turns, stop: StopAt) -> None:
        self.turns, self.stop = turns, stop
        self.generating = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._wait(control)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        seconds = time.perf_counter() - self.began
        self.turns.reply({"step": seconds, "generate": self.generating})
        self._wait(control)

    def _wait(self, control: Any) -> None:
        turn = self.turns.next()
        if turn is None:
            control.should_training_stop = True
            return
        self.stop.begin(torch.as_tensor(turn.draw()))
        self.began = time.perf_counter()

    def timed(self, generate: Any, **inputs: Any) -> Any:
        began = time.perf_counter()
        output = generate(**inputs)
        self.generating = time.perf_counter() - began
        return output


def prompts() -> Dataset:
    """The tasks that our side draws, in its order."""
    config = load(str(CONFIG)).config
    tasks = load_stages(config)[STAGE]
    curriculum = UniformCurriculum(tasks.sizes, tasks.weights, config.seed)
    drawn = [tasks[curriculum.next().index] for _ in range(NUM_STEPS * NUM_PROMPTS)]
    return Dataset.from_list([{"prompt": [m.as_dict() for m in task.prompt]} for task in drawn])


def reward(completions: list[list[dict[str, str]]], **_: Any) -> list[float]:
    return [digit_share(completion[-1]["content"]) for completion in completions]


def main(model: str, dtype: str, threads: int, micro_batch: int) -> None:
    """Train step by step as turns come in."""
    turns = Turns()
    os.nice(RAY_NICENESS)
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        args = GRPOConfig(
            output_dir=folder,
            bf16=dtype == "bfloat16",
            model_init_kwargs={"dtype": dtype, "attn_implementation": "sdpa"},
            num_generations=GROUP_SIZE,
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=NUM_SAMPLES // micro_batch,
            max_completion_length=MAX_TOKENS,
            max_steps=NUM_STEPS,
            **PLAIN,
        )
        trainer = GRPOTrainer(model, reward, args, train_dataset=prompts())
        stop = StopAt(trainer.processing_class.eos_token_id)
        timer = Timer(turns, stop)
        generate = partial(trainer.model.generate, logits_processor=LogitsProcessorList([stop]))
        trainer.model.generate = partial(timer.timed, generate)
        trainer.add_callback(timer)
        trainer.train()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
