"""The stages of a run, in order, on fleets that stay up between them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from configs.derived import logprob_limit
from configs.errors import ConfigError, Stopped
from configs.schema import RunConfig, StageConfig, StageKind
from configs.validate import enabled_stages
from envs.draws import key_of, permute
from envs.types import Demonstration, Task
from launch.calibrating import Calibrator
from launch.fleets import Fleets
from launch.guidance import Guidance
from launch.judging import judge_settings, load_routes
from launch.models import Models, weights_of
from rewards.scoring import asks_judge
from rl.checkpoint import LEARNER_DIR, MODEL_DIR, Checkpoint, CheckpointStore, RunState
from rl.controller import Controller, Parts, Progress
from rl.curriculum import Mixture
from rl.evaluate import Evaluator
from rl.export import copy_settings
from rl.label_weights import pass_at_10_by_label
from rl.ledger import Ledger
from rl.provenance import Fingerprints, code_version, package_versions
from rl.publish import WeightPublisher
from rl.sft import SupervisedStage
from rl.tracking import START, EvaluationRecord, FileTracker
from rollout.types import Group, IntArray

REFERENCES = "references"
LOOKED_AT = 256
"""Tasks of a stage that are looked at to know whether it asks the judge."""

Stage = Controller | SupervisedStage


@dataclass(frozen=True, slots=True)
class Setup:
    """What a run is made of, all of it read and checked before anything is started.

    `config_text` is the configuration as written, unresolved; `checkpoint`, and the `state` in it,
    what a resumed run continues from.
    """

    config: RunConfig
    config_text: str
    run_dir: Path
    models: Models
    data: Mapping[str, Mixture[Any]]
    guidance: Mapping[str, Guidance]
    held_out: Sequence[Task]
    fingerprints: Fingerprints
    checkpoint: Checkpoint | None = None
    state: RunState | None = None


@dataclass(slots=True)
class Pipeline:
    """Runs what is left of a run: everything, or what comes after the state of a checkpoint."""

    setup: Setup
    store: CheckpointStore
    tracker: FileTracker
    weights_folder: Path
    policy_version: int = 0
    _fleets: Fleets = field(init=False)
    _evaluator: Evaluator = field(init=False)
    _publisher: WeightPublisher = field(init=False)
    _calibrator: Calibrator = field(init=False)
    _measured: dict[str, float] = field(default_factory=dict)  # pass@10 by label, held out
    _current: Stage | None = None
    _judged: bool = False  # whether the current stage asks a judge
    _stop_requested: bool = False

    @property
    def config(self) -> RunConfig:
        return self.setup.config

    def request_stop(self) -> None:
        """Stop after the step under way, or the first one, with everything saved."""
        self._stop_requested = True
        if self._current is not None:
            self._current.stop_requested = True

    def status(self) -> dict[str, Any]:
        """Where the run is, as plain values; for `assay status`."""
        stage = self._current
        known: dict[str, Any] = {
            "policy_version": stage.policy_version if stage else self.policy_version,
            "stopping": self._stop_requested,
            "stage": stage.name if stage else "",
        }
        if stage is not None:
            known |= {"step": stage.step, "num_steps": stage.stage.steps}
        if isinstance(stage, Controller):
            known["groups"] = stage.ledger.counts()
        return known

    async def run(self, fleets: Fleets) -> None:
        """Evaluate, then train and evaluate stage by stage. Raises Stopped when asked to stop."""
        self._fleets = fleets
        self._publisher = WeightPublisher(
            engines=fleets.engines,
            learner=lambda: fleets.learner,
            transfer=fleets.transfer(self.weights_folder),
            probes=self._probes(),
            max_logprob_difference=logprob_limit(self.config),
        )
        fleets.attach(self._publisher.join, self._came_late)
        self._calibrator = Calibrator(self.config, self.tracker)
        self._evaluator = Evaluator(
            tasks=self.setup.held_out,
            config=self.config.evaluation,
            rollouts=fleets.rollouts,
            scorer=fleets.rewards,
            seed=self.config.seed,
            slots=self.config.rollout.workers * self.config.rollout.max_num_seqs,
        )
        await self._restore()
        stages, state = enabled_stages(self.config), self.setup.state
        if state is None:
            await self._start_from(stages[0][1])
            await self._evaluate(START)
        else:
            names = [name for name, _ in stages]
            stages = stages[names.index(state.stage) :]
        for name, stage in stages:
            resumed = state is not None and state.stage == name
            if name != stages[0][0]:
                await self._start_from(stage)
            await self._run_stage(name, stage, resumed)
            self._check_stop(name)
            await self._evaluate(name)
            if name != stages[-1][0]:
                self._check_stop(name)

    def _check_stop(self, stage: str) -> None:
        if self._stop_requested:
            raise Stopped(f"stopped after stage {stage}; continue with --resume")

    def _probes(self) -> list[IntArray]:
        """Prompts of the first stage's first tasks; any fixed text would do."""
        mixture = next(iter(self.setup.data.values()))
        items = [mixture[i] for i in range(min(self.config.publish.num_probes, len(mixture)))]
        tasks: list[Task] = [i.task if isinstance(i, Demonstration) else i for i in items]
        limit = self.config.model.max_length - 1
        renderer = self.setup.models.renderer
        prompts = [renderer.render_prompt(t.prompt, thinking=True) for t in tasks]
        return [np.asarray(prompt[:limit]) for prompt in prompts]

    # Stages

    async def _run_stage(self, name: str, config: StageConfig, resumed: bool) -> None:
        state = self.setup.state if resumed else None
        reference = await self._reference(name, config, resumed)
        if state is None:
            await self._fleets.learner.begin_stage(reference)
        else:
            await self._fleets.learner.load_reference(reference)
        stage = self._make_stage(name, config)
        if state is not None:
            self._restore_stage(stage, state)
        else:
            self._begin_stage(stage)
        stage.policy_version = self.policy_version
        stage.stop_requested = self._stop_requested
        self._current = stage
        try:
            self._judged = isinstance(stage, Controller) and self._asks_judge(name)
            if isinstance(stage, Controller) and self._judged:
                ask = self._fleets.rewards.calibrate
                stage.calibration = await self._calibrator.begin(name, ask)
            await stage.run()
        finally:
            self._current = None
            self.policy_version = stage.policy_version
        if config.kind is StageKind.SFT:
            await self._publish(self.policy_version + 1)

    def _asks_judge(self, stage: str) -> bool:
        """Whether any of the stage's first tasks goes to the judge."""
        mixture, routes = self.setup.data[stage], load_routes(self.config.reward)
        places = range(min(LOOKED_AT, len(mixture)))
        some = (mixture[permute(place, len(mixture), key_of("looked at"))] for place in places)
        return any(asks_judge(task, routes) for task in some)

    def _begin_stage(self, stage: Stage) -> None:
        if stage.label_weights:
            stage.label_weights.update(self._measured)
        if seeded := self.setup.guidance[stage.name].seeded:
            message = f"stage {stage.name} {seeded}"
            self.tracker.log_event("notice", source="curriculum", message=message)

    def _restore_stage(self, stage: Stage, state: RunState) -> None:
        stage.step = state.step
        stage.curriculum.restore(state.curriculum)
        if stage.label_weights:
            stage.label_weights.restore(state.label_weights)
        if isinstance(stage, Controller):
            stage.ledger = Ledger.restore(state.ledger)

    def _make_stage(self, name: str, config: StageConfig) -> Stage:
        mixture, guidance = self.setup.data[name], self.setup.guidance[name]
        if config.kind is StageKind.SFT:
            return SupervisedStage(
                name=name,
                stage=config,
                demonstrations=mixture,
                curriculum=guidance.curriculum,
                label_weights=guidance.label_weights,
                renderer=self.setup.models.renderer,
                learner=self._fleets.learner,
                tracker=self.tracker,
                save=self._save_if_due,
                max_length=self.config.model.max_length,
            )
        parts = Parts(
            rollouts=self._fleets.rollouts,
            scorer=self._fleets.rewards,
            learner=self._fleets.learner,
            publisher=self._publisher,
            tracker=self.tracker,
        )
        return Controller(
            name=name,
            stage=config,
            seed=self.config.seed,
            tasks=mixture,
            curriculum=guidance.curriculum,
            label_weights=guidance.label_weights,
            parts=parts,
            save=self._after_rl_step,
            max_mismatch_kl=self.config.publish.max_mismatch_kl,
            max_no_verdict=self.config.reward.max_no_verdict,
        )

    async def _reference(self, name: str, config: StageConfig, resumed: bool) -> Path | None:
        """The model of the KL term: the weights that the stage started from, also on resume."""
        if config.kind is StageKind.SFT or not config.algorithm.kl_coef:
            return None
        directory = self.setup.run_dir.resolve() / REFERENCES / name
        if not resumed:
            shutil.rmtree(directory, ignore_errors=True)  # of an attempt that saved nothing
            await self._fleets.learner.write_weights(directory)
            copy_settings(self.setup.models.engine, directory)
        elif not (directory / "config.json").exists():
            raise ConfigError(
                f"{directory} is gone: the weights that stage {name} began with, which its KL term "
                "refers to; restore it, or start a new run"
            )
        return directory

    async def _start_from(self, stage: StageConfig) -> None:
        """Replace the learner by one on the weights that a stage names, and publish them."""
        if stage.start_from:
            await self._fleets.replace_learner(weights_of(stage.start_from))
            await self._publish(self.policy_version + 1)

    async def _evaluate(self, stage: str) -> None:
        record = await self._evaluator.run(stage, self.policy_version)
        self._log_evaluation(record)
        self._warn_below_gate(stage, record.results)

    async def _evaluate_if_due(self, stage: Progress) -> None:
        """The evaluation at a stage's end comes when all is saved, and from `run`."""
        every = self.config.stages[stage.name].evaluate_every
        if every and stage.step % every == 0 and not stage.finished:
            record = await self._evaluator.run(stage.name, stage.policy_version, stage.step)
            self._log_evaluation(record)
            assert self._current is not None
            if self._current.label_weights:
                self._current.label_weights.update(self._measured)

    def _log_evaluation(self, record: EvaluationRecord) -> None:
        self.tracker.log_evaluation(record)
        self._measured = pass_at_10_by_label(
            (r.labels, r.num_samples, r.num_correct) for r in record.results
        )
        if left_out := len(self._evaluator.tasks) - len(record.results):
            where = f"evaluation after {record.stage}"
            message = f"{where}: {left_out} tasks left out, faults gave no verdict"
            self.tracker.log_event("notice", source="evaluation", message=message)

    def _warn_below_gate(self, stage: str, results: Any) -> None:
        """Rewards that are all zero teach nothing: say so before the RL stage, not after it."""
        names = [name for name, _ in enabled_stages(self.config)]
        following = names[names.index(stage) + 1 :] if stage in names else names
        if not following or self.config.stages[following[0]].kind is not StageKind.RL:
            return
        gate = self.config.stages[following[0]].gate
        accuracy = float(np.mean([r.num_correct / r.num_samples for r in results] or [0.0]))
        if accuracy < gate:
            self.tracker.log_event(
                "warning",
                message=f"held-out pass@1 is {accuracy:.1%}, under the gate of {gate:.1%}: nearly "
                f"all rewards of {following[0]} will be 0; more SFT, or easier tasks, come first",
            )

    # Weights and checkpoints

    def _came_late(self, answer: Any) -> None:
        if isinstance(answer, Group) and isinstance(self._current, Controller):
            self._current.ledger.late()

    async def _publish(self, policy_version: int) -> None:
        report = await self._publisher.publish(policy_version)
        self.policy_version = policy_version
        self.tracker.log_event(
            "publish",
            policy_version=policy_version,
            max_logprob_difference=report.max_logprob_difference,
            seconds=report.seconds,
        )

    async def _restore(self) -> None:
        """Bring learner and engines to the state of the checkpoint, or the engines to version 0."""
        checkpoint, state = self.setup.checkpoint, self.setup.state
        if checkpoint is not None and state is not None:
            await self._fleets.learner.load(checkpoint.learner_dir.resolve())
            self.policy_version = state.policy_version
        await self._publish(self.policy_version)

    async def _after_rl_step(self, stage: Progress) -> None:
        await self._evaluate_if_due(stage)
        every = judge_settings(self.config.reward).calibrate_every
        if self._judged and every and stage.step % every == 0 and not stage.finished:
            assert isinstance(self._current, Controller)
            found = await self._fleets.rewards.calibrate()
            self._current.calibration = self._calibrator.log(stage.name, stage.step, found)
        await self._save_if_due(stage)

    async def _save_if_due(self, stage: Progress) -> None:
        every = self.config.checkpoint.every
        if stage.step % every and not stage.finished and not self._stop_requested:
            return
        state = RunState(
            stage=stage.name,
            step=stage.step,
            policy_version=stage.policy_version,
            curriculum=stage.curriculum_state(),
            ledger=stage.ledger_state(),
            label_weights=stage.label_state(),
            rng={},  # nothing here draws from a generator: seeds come from what a sample is
            tracker=self.tracker.state(),
            fingerprints=self.setup.fingerprints,
            config=self.setup.config_text,
            code_version=code_version(),
            packages=package_versions(),
        )
        loop = asyncio.get_running_loop()

        def write(directory: Path) -> None:
            asyncio.run_coroutine_threadsafe(self._write_checkpoint(directory), loop).result()

        await asyncio.to_thread(self.store.save, write, state)

    async def _write_checkpoint(self, directory: Path) -> None:
        learner = self._fleets.learner
        directory = directory.resolve()
        await learner.save(directory / LEARNER_DIR)
        await learner.write_weights(directory / MODEL_DIR)
        copy_settings(self.setup.models.engine, directory / MODEL_DIR)
