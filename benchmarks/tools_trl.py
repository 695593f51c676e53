"""The other side of `tools_vs_trl`: TRL's GRPOTrainer and its tool loop.

python -m benchmarks.tools_trl MODEL THREADS STEPS
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from trl.chat_template_utils import qwen3_template

from benchmarks.loop_trl import PLAIN, RAY_NICENESS
from benchmarks.tool_workload import FigureTasks, figure
from configs.load import load

END = r"    {{- '<|im_end|>\n' -}}" + "\n"
CONFIG = Path(__file__).with_name("tools_vs_trl.yaml")


class Clock(TrainerCallback):
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.seconds.append(time.perf_counter() - self.began)


def for_training(template: str) -> str:
    """Our template as TRL wants it: earlier turns keep their think block, and marks say what the
    policy wrote."""
    changes = {
        "(loop.last or thinking)": "true",
        "    {%- if loop.index0 > last": "    {% generation %}{%- if loop.index0 > last",
        END + "  {%- elif not": END.replace("-}}\n", "-}}{% endgeneration %}\n") + "  {%- elif not",
    }
    for ours, theirs in changes.items():
        assert template.count(ours) == 1, ours
        template = template.replace(ours, theirs)
    return template


def main(model: str, threads: int, steps: int) -> None:
    """Train, and print what it took as the last line."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.nice(RAY_NICENESS)
    torch.set_num_threads(threads)
    stage = load(str(CONFIG)).config.stages["loop"]
    samples = stage.batch_size * stage.group_size
    tasks = FigureTasks()
    prompts = [
        {"prompt": [m.as_dict() for m in tasks[i].prompt]} for i in range(steps * stage.batch_size)
    ]
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = for_training(tokenizer.chat_template)
    tokenizer.response_template = qwen3_template
    tokenizer.pad_token = tokenizer.eos_token
    calls: list[int] = []
    tokens: list[int] = []

    def reward(
        completions: list[list[dict[str, Any]]], completion_ids: Any, **_: Any
    ) -> list[float]:
        calls.extend(sum(m["role"] == "tool" for m in c) for c in completions)
        tokens.extend(len(ids) for ids in completion_ids)
        return [float("17" in str(c[-1].get("content"))) for c in completions]

    with tempfile.TemporaryDirectory() as folder:
        args = GRPOConfig(
            output_dir=folder,
            model_init_kwargs={"dtype": "float32", "attn_implementation": "sdpa"},
            num_generations=stage.group_size,
            per_device_train_batch_size=32,
            gradient_accumulation_steps=samples // 32,
            max_completion_length=stage.max_tokens,
            max_tool_calling_iterations=stage.max_turns - 1,
            chat_template_kwargs={"enable_thinking": False},
            max_steps=steps,
            **PLAIN,
        )
        clock = Clock()
        trainer = GRPOTrainer(
            model,
            reward,
            args,
            train_dataset=Dataset.from_list(prompts),
            processing_class=tokenizer,
            tools=[figure],
            callbacks=[clock],
        )
        trainer.train()
    reply = {
        "seconds": clock.seconds,
        "calls": sum(calls) / max(1, len(calls)),
        "tokens": sum(tokens) / max(1, len(tokens)),
    }
    print(json.dumps(reply), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
