"""Our side of `loop_vs_trl`: the controller over Ray, vLLM and DeepSpeed, one step a turn.

python -m benchmarks.loop_ours MODEL KEY=VALUE...
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.loop_workload import CONFIG, STAGE, RolloutsByLength, Turns
from configs.derived import logprob_limit
from configs.load import load
from configs.schema import RunConfig
from launch.cluster import RayFleets, no_report, ray_fleets
from launch.memory import new_run_id, shared_folder
from launch.models import Models, prepare_models
from launch.tasks import load_stages
from rl.controller import Controller, Parts, Progress
from rl.curriculum import UniformCurriculum
from rl.publish import WeightPublisher
from rl.tracking import EvaluationRecord, StepRecord
from rollout.types import Group

PHASES = ("generate", "train", "publish", "step")


@dataclass(frozen=True, slots=True)
class EndlessModels(Models):
    """No token ends an answer, only its limit."""

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        return ()


class LastStep:
    """A tracker that keeps the metrics of the last step."""

    metrics: dict[str, float]

    def log_step(self, record: StepRecord) -> None:
        self.metrics = dict(record.metrics)

    def log_trajectories(
        self, stage: str, step: int, groups: Iterable[Group], whole: bool = False
    ) -> None: ...

    def log_evaluation(self, record: EvaluationRecord) -> None: ...

    def log_event(self, kind: str, **fields: Any) -> None: ...

    def state(self) -> dict[str, int]:
        return {}


async def main(model: str, overrides: Sequence[str]) -> None:
    """Start the fleets, then train step by step as turns come in."""
    turns = Turns()
    config = load(str(CONFIG), [f"model.path={model}", *overrides]).config
    run_id = new_run_id()
    with tempfile.TemporaryDirectory() as folder, shared_folder(run_id) as weights:
        base = prepare_models(config, Path(folder))
        models = EndlessModels(base.source, base.engine, base.renderer, base.fingerprint)
        async with ray_fleets(config, models, Path(folder), run_id, no_report) as fleets:
            await take_turns(turns, config, models, fleets, weights)


async def take_turns(
    turns: Turns, config: RunConfig, models: Models, fleets: RayFleets, weights: Path
) -> None:
    """A stage of the real loop that waits for its next turn where it would save a checkpoint."""
    stage, tasks = config.stages[STAGE], load_stages(config)[STAGE]
    tracker = LastStep()
    probes = [
        models.renderer.render_prompt(tasks[i].prompt, thinking=True)
        for i in range(config.publish.num_probes)
    ]
    publisher = WeightPublisher(
        engines=fleets.engines,
        learner=lambda: fleets.learner,
        transfer=fleets.transfer(weights),
        probes=probes,
        max_logprob_difference=logprob_limit(config),
    )
    await publisher.publish(0)
    first = turns.next()
    if first is None:
        return
    rollouts = RolloutsByLength(fleets.rollouts, first)

    async def wait(progress: Progress) -> None:
        turns.reply({phase: tracker.metrics[f"time/{phase}"] for phase in PHASES})
        turn = await asyncio.to_thread(turns.next)
        if turn is None:
            controller.stage = replace(controller.stage, steps=progress.step)
        else:
            rollouts.turn = turn

    controller = Controller(
        name=STAGE,
        stage=stage,
        seed=config.seed,
        tasks=tasks,
        curriculum=UniformCurriculum(tasks.sizes, tasks.weights, config.seed),
        parts=Parts(rollouts, fleets.rewards, fleets.learner, publisher, tracker),
        save=wait,
        max_mismatch_kl=config.publish.max_mismatch_kl,
    )
    await controller.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
