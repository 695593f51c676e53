"""What `tool_episodes` and `tools_vs_trl` do: look a figure up with a tool that takes its time, and
say it. A model of 4.5 million parameters is taught so in a minute or two.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from configs.load import load
from configs.schema import BuildConfig
from envs.tools import TaskEnv, ToolEnv
from envs.types import Demonstration, Env, Message, Task, ToolCall

MEDIAN_S, SIGMA, LONGEST_S = 0.05, 1.586, 5.0
"""Log-normal: the 99th percentile is 2 s."""
GOLD = [[{"name": "figure", "arguments": {}}]]
WITH_TOOL = "benchmarks.tool_workload:environment"
FIT_STEPS, FIT_BATCH, FIT_RATE = 600, 16, 2e-3
FITTED = 0.001
"""The loss at which nearly every sample calls the tool in the right form, and ends in time."""


def seconds(luck: random.Random) -> float:
    return min(LONGEST_S, MEDIAN_S * luck.lognormvariate(0.0, SIGMA))


def figure() -> str:
    """Look the figure up."""
    time.sleep(seconds(random.SystemRandom()))
    return "17"


def environment() -> Env:
    return TaskEnv(lambda task: ToolEnv([figure]))


class FigureTasks:
    """Questions after figures, all alike but for a number. `calls` is how often the tool is needed
    before the answer; at 0 the prompt tells of it all the same, so prompts are of one length."""

    def __init__(self, split: str = "train", calls: int = 1, size: int = 10_000) -> None:
        self.split, self.calls, self.size = split, calls, size
        self.fingerprint = f"figures-{split}-{calls}-{size}"

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Task:
        wording = "Say" if self.calls == 0 else "Look up"
        return Task(
            id=f"figures/{self.split}/{index}",
            env=WITH_TOOL,
            prompt=(Message("user", f"{wording} figure {index}."),),
            answer="17",
            metadata={"gold_calls": GOLD * self.calls},
        )


def demonstration(task: Task, sentences: int) -> Demonstration:
    """The calls and a long answer, so that there is something to decode."""
    opening = environment().reset(task)
    turns: list[Message] = []
    for _ in task.metadata["gold_calls"]:
        turns += [Message("assistant", "", (ToolCall("figure", {}),)), Message("tool", "17")]
    return Demonstration(task, False, "", answer(sentences), "t", 1.0, tuple(turns), opening.tools)


def answer(sentences: int) -> str:
    """Of 8 tokens a sentence."""
    counted = (f"{number}. The figure is 17." for number in range(1, sentences + 1))
    return " ".join(counted) + " \\boxed{17}"


def build_fitted(
    directory: Path, build: BuildConfig, kinds: Sequence[int], sentences: int = 6
) -> None:
    """Build a model and teach it the demonstrations with each of `kinds` calls."""
    import numpy as np
    import torch

    from rl.batching import demonstration_sample
    from rl.model import build_model, load_policy
    from rollout.renderer import Renderer

    sets = [FigureTasks(calls=calls) for calls in kinds]
    shown = [demonstration(tasks[i], sentences) for tasks in sets for i in range(500)]
    texts = [text for d in shown for text in (d.task.prompt[0].content, d.reply)]
    build_model(build, 17, directory, [*texts, '{"name": "figure", "arguments": {}}'] * 2)
    renderer = Renderer(directory)
    model = load_policy(directory, "float32", "sdpa")
    optimizer = torch.optim.AdamW(model.parameters(), lr=FIT_RATE)
    luck = random.Random(17)
    for _ in range(FIT_STEPS):
        drawn = luck.choices(shown, k=FIT_BATCH)
        samples = [demonstration_sample(renderer.render_demonstration(d), 1.0) for d in drawn]
        longest = max(len(s.token_ids) for s in samples)
        pad = partial(np.pad, constant_values=0)
        ids = np.stack([pad(s.token_ids, (0, longest - len(s.token_ids))) for s in samples])
        mask = np.stack([pad(s.loss_mask, (0, longest - len(s.loss_mask))) for s in samples])
        tokens = torch.as_tensor(ids).long()
        labels = tokens.masked_fill(~torch.as_tensor(mask).bool(), -100)
        loss = model(tokens, labels=labels).loss
        if loss.item() < FITTED:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    else:
        raise RuntimeError(f"after {FIT_STEPS} steps the loss is {loss.item():.3f}")
    model.save_pretrained(directory)
    print(f"taught to a loss of {loss.item():.3f}")


def build_config() -> BuildConfig:
    return load(str(Path(__file__).with_name("loop_vs_trl.yaml"))).config.model.build
