"""Supervised fine-tuning: the same learner and log as RL, fed by demonstrations."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from configs.errors import DataError, Stopped
from configs.schema import StageConfig
from envs.types import Demonstration
from rl.batching import demonstration_sample, learning_rate
from rl.controller import LearnerGroup, Save
from rl.curriculum import Curriculum, Mixture
from rl.label_weights import LabelWeights
from rl.metrics import learner_metrics
from rl.skips import SkippedSteps
from rl.tracking import StepRecord, Tracker
from rl.types import Batch, Sample
from rollout.renderer import Renderer


@dataclass(slots=True)
class SupervisedStage:
    """One SFT stage. The next batch is rendered while the learner works on the present one."""

    name: str
    stage: StageConfig
    demonstrations: Mixture[Demonstration]
    curriculum: Curriculum
    renderer: Renderer
    learner: LearnerGroup
    tracker: Tracker
    save: Save
    max_length: int
    label_weights: LabelWeights | None = None
    step: int = 0
    policy_version: int = 0
    stop_requested: bool = False
    too_long: int = 0
    _state: dict[str, Any] = field(default_factory=dict)

    async def run(self) -> None:
        """Train until the stage's last step.

        Raises:
            DataError: hardly any demonstration fits into model.max_length.
            Stopped: a stop was requested and the state is saved.
        """
        started, skipped = time.time(), SkippedSteps(self.name)
        batch = self._next_batch(self.step)
        while not self.finished:
            # What a checkpoint after this step holds: the state before the next batch is drawn.
            self._state = self.curriculum.state()
            result, batch = await asyncio.gather(
                self.learner.step(batch), asyncio.to_thread(self._next_batch, self.step + 1)
            )
            self.step += 1
            skipped.observe(self.step, result, self.tracker)
            now = time.time()
            metrics = {
                **learner_metrics(result),
                "tokens/trained": float(result.num_tokens),
                "time/train": result.seconds,
                "time/step": now - started,
                "data/too_long": float(self.too_long),
                **(self.label_weights.metrics() if self.label_weights else {}),
            }
            started = now
            self.tracker.log_step(
                StepRecord(
                    self.name, "sft", self.step, self.stage.steps, self.policy_version, metrics
                )
            )
            await self.save(self)
            if self.stop_requested:
                where = f"step {self.step} of stage {self.name}"
                raise Stopped(f"stopped after {where}; continue with --resume")

    @property
    def finished(self) -> bool:
        return self.step >= self.stage.steps

    def curriculum_state(self) -> dict[str, Any]:
        return self._state

    def label_state(self) -> dict[str, Any]:
        return self.label_weights.state() if self.label_weights else {}

    def ledger_state(self) -> dict[str, Any]:
        return {}

    def _next_batch(self, step: int) -> Batch:
        samples: list[Sample] = []
        while len(samples) < self.stage.batch_size:
            demonstration = self.demonstrations[self.curriculum.next().index]
            turns = self.renderer.render_demonstration(demonstration)
            if sum(map(len, turns)) <= self.max_length:
                weight = demonstration.weight
                if self.label_weights:
                    weight *= self.label_weights.of(demonstration.task)
                samples.append(demonstration_sample(turns, weight))
                continue
            self.too_long += 1
            if self.too_long > 100 * (step + 1) * self.stage.batch_size:
                raise DataError(
                    f"stage {self.name}: {self.too_long} demonstrations are longer than "
                    f"model.max_length {self.max_length} tokens; raise it, or use shorter ones"
                )
        return Batch(tuple(samples), learning_rate(self.stage, step))
