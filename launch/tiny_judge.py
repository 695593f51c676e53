"""A judge that is made on the spot: a tiny model, trained on generated comments with their grades.

`reward.judge: {model: graded}` asks for it, where there are neither weights nor a server. It knows
one rubric, in a form of its own (`TINY_FORMS`), and nothing else. It is trained in a process of its
own before the run's fleets start:

    python -m launch.tiny_judge DIRECTORY SEED STEPS

which ends with its standard input, so that none is left behind by a run that is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.errors import FaultBudgetSpent
from configs.schema import BuildConfig, LearnerConfig, RunConfig, Schedule, StageConfig, StageKind
from envs.draws import Draws
from envs.finance.general import GradedComments
from envs.types import Demonstration
from launch.gold import FORMS_FILE, GRADED, TINY, TINY_FORMS, gold_case
from launch.judging import asks_anyone
from launch.machine import deepspeed_accelerator
from rewards.rubric import REASON, Rubric, load_rubric

STEPS = 250
BATCH = 64
TOKENIZER_TEXTS = 2000
TIMEOUT_S = 1800.0
BUILD = BuildConfig(vocab_size=512)
LIMITS = {"max_tokens": 60, "max_length": 256}
"""Of the judge, in tokens, where the configuration gives none."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """Prompts of the rubric about graded comments, and the verdicts that they deserve."""

    comments: GradedComments
    rubric: Rubric

    def __getitem__(self, index: int) -> Demonstration:
        case = gold_case(self.comments, self.rubric, index)
        nonce = str(10**9 + Draws("nonce", index).below(9 * 10**9))
        task, _, levels, reason = self.comments.graded(index)
        prompt = tuple(self.rubric.prompt(case.texts, nonce))
        asked = type(task)(task.id, task.env, prompt, "")
        verdict = json.dumps({REASON: reason, **levels})
        return Demonstration(asked, False, "", verdict, "graded")


def prepare_tiny_judge(directory: Path, seed: int, steps: int = STEPS) -> float:
    """Train the judge into `directory`, unless it is there already; returns the seconds it took.

    Raises:
        FaultBudgetSpent: the training failed; the message names its log.
    """
    if (directory / "config.json").exists():
        return 0.0
    began = time.monotonic()
    directory.parent.mkdir(parents=True, exist_ok=True)
    log = directory.with_name(f"{directory.name}.log")
    command = [sys.executable, "-m", "launch.tiny_judge", str(directory), str(seed), str(steps)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "PASSIVE",
        "DS_ACCELERATOR": deepspeed_accelerator(),
    }
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=environment
        ) as training,
    ):
        try:
            failure = training.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            training.kill()
            failure = f"after {TIMEOUT_S:g} s"
    if failure:
        raise FaultBudgetSpent(f"the judge could not be trained (exit {failure}): {log}")
    return time.monotonic() - began


def must_be_trained(config: RunConfig, directory: Path) -> bool:
    """Whether the configuration asks for a tiny judge and none is in `directory`."""
    return _asked_for(config) and not (directory / "config.json").exists()


def _asked_for(config: RunConfig) -> bool:
    return config.reward.judge.get("model") == GRADED and asks_anyone(config.reward)


def with_judge(config: RunConfig, directory: Path) -> tuple[RunConfig, float]:
    """The configuration with a tiny judge in `directory`, where it asks for one, and the seconds
    that its training took. Raises as `prepare_tiny_judge` does."""
    if not _asked_for(config):
        return config, 0.0
    seconds = prepare_tiny_judge(directory.resolve(), config.seed)
    judge: dict[str, Any] = {**LIMITS, **config.reward.judge, "model": str(directory.resolve())}
    return replace(config, reward=replace(config.reward, judge=judge)), seconds


def train(directory: Path, seed: int, steps: int) -> None:
    """SFT on the lessons, with the learner of any other stage."""
    from launch.machine import free_port
    from rl.batching import demonstration_sample, learning_rate
    from rl.export import copy_settings
    from rl.learner import Learner
    from rl.model import build_model
    from rl.types import Batch, LearnerSettings
    from rollout.renderer import Renderer

    lessons = Lessons(GradedComments(seed=seed), load_rubric(TINY))
    base, partial = directory.with_name("judge_base"), directory.with_name("judge_partial")
    build_model(BUILD, seed, base, _texts(lessons))
    renderer, host = Renderer(base), "127.0.0.1"
    config = LearnerConfig(cpus=2, token_budget=8192)
    settings = LearnerSettings(
        model=str(base),
        dtype="float32",
        config=config,
        master_address=host,
        master_port=free_port(host),
    )
    learner = Learner(settings)
    stage = StageConfig(
        kind=StageKind.SFT,
        steps=steps,
        batch_size=BATCH,
        learning_rate=2e-3,
        warmup_steps=20,
        schedule=Schedule.LINEAR,
    )
    for step in range(steps):
        taught = (lessons[i] for i in range(step * BATCH, (step + 1) * BATCH))
        turns = (renderer.render_demonstration(demonstration) for demonstration in taught)
        samples = tuple(demonstration_sample(turn, 1.0) for turn in turns)
        result = learner.step(Batch(samples, learning_rate(stage, step)))
        if step % 20 == 0:
            print(f"step {step} loss {result.loss:.4f}", flush=True)
    learner.write_weights(partial)
    copy_settings(base, partial)
    (partial / FORMS_FILE).write_text(json.dumps(TINY_FORMS))
    partial.rename(directory)


def _texts(lessons: Lessons) -> Iterator[str]:
    for index in range(TOKENIZER_TEXTS):
        lesson = lessons[index]
        yield from (lesson.task.prompt[-1].content, lesson.reply)


def _end_with_parent() -> None:
    """Nobody else holds the other end of the standard input."""
    os.read(0, 1)  # not sys.stdin, whose lock the interpreter needs when it ends
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    train(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
