"""`assay curriculum profile`: how often a model solves each task of a stage, before training.

Answers are sampled as the stage would sample them. Finished tasks go to part files beside the
profile, so a profile that was interrupted goes on where it was.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from configs.errors import ConfigError, FaultBudgetSpent
from configs.schema import RunConfig, StageConfig, StageKind
from configs.validate import enabled_stages
from envs.draws import key_of, permute
from envs.types import Task
from launch.console import clock, printable, quiet_output
from launch.memory import RUN_ID_VARIABLE, new_run_id
from launch.models import Models, prepare_models, weights_of
from launch.tasks import load_stages
from launch.tiny_judge import with_judge
from rl.checkpoint import CHECKPOINTS, latest_checkpoint
from rl.curriculum import Mixture
from rl.evaluate import Rollouts, Scorer, is_correct, play
from rl.profile import TaskProfile, read_profile, write_profile
from rl.seeds import is_thinking, sample_seeds
from rl.statistics import pass_at_k
from rollout.types import RolloutRequest, Sampling, StopReason

PART_TASKS = 256
"""Finished tasks of one part file: what a killed profile loses at most."""

EASY = 0.9
"""Pass rate from which the table counts a task as easy; hopeless is one without a right answer."""

MadeWith = Mapping[str, str | int | float]
Say = Callable[[str], None]


@dataclass(slots=True)
class Profiler:
    """Samples tasks and keeps what is finished in `folder`, in parts.

    `slots` is how many sequences the engines decode at once.
    """

    rollouts: Rollouts
    scorer: Scorer
    stage: StageConfig
    samples: int
    seed: int
    slots: int
    folder: Path
    made_with: MadeWith
    say: Say
    _finished: list[TaskProfile] = field(default_factory=list)
    _num_parts: int = 0

    async def run(self, tasks: Sequence[tuple[str, Task]]) -> None:
        """Sample the (task set, task) pairs, a few more at a time than the engines have slots for.
        What is finished when one fails is kept."""
        self._num_parts = len(parts(self.folder))
        waiting, started, done = iter(enumerate(tasks)), time.monotonic(), 0

        async def take_turns() -> None:
            nonlocal done
            for number, (task_set, task) in waiting:
                profile = await self._profile(number, task_set, task)
                self._finished.append(profile)
                done += 1
                if len(self._finished) >= PART_TASKS:
                    self._write_part()
                    left_s = (len(tasks) - done) * (time.monotonic() - started) / done
                    self.say(f"{done:,} of {len(tasks):,} tasks, {clock(left_s)} left")

        try:
            turns = 1 + 2 * self.slots // self.samples
            await asyncio.gather(*(take_turns() for _ in range(turns)))
        finally:
            self._write_part()

    async def _profile(self, number: int, task_set: str, task: Task) -> TaskProfile:
        request = RolloutRequest(
            group_id=number,
            task=task,
            seeds=sample_seeds(self.seed, task.id, 0, self.samples),
            thinking=is_thinking(self.seed, task.id, 0, self.stage.thinking_share),
            sampling=Sampling(self.stage.temperature, self.stage.max_tokens),
            max_turns=self.stage.max_turns,
        )
        answers = (await self.scorer.score(await play(self.rollouts, request))).scored
        return TaskProfile(
            task_id=task.id,
            task_set=task_set,
            labels=task.labels,
            samples=len(answers),
            correct=sum(is_correct(t.reward) for t in answers),
            truncated=sum(t.stop_reason is StopReason.LENGTH for t in answers),
            tokens=sum(t.num_generated for t in answers),
            seconds=sum(t.info["ended"] - t.info["started"] for t in answers),
        )

    def _write_part(self) -> None:
        if self._finished:
            part = self.folder / f"part-{self._num_parts:05}.parquet"
            write_profile(part, self._finished, self.made_with)
            self._num_parts += 1
            self._finished = []


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def profile_stage(
    config: RunConfig, stage_name: str, model: str, samples: int, num_tasks: int, out: Path
) -> None:
    """Profile a stage's tasks (`num_tasks` of them, 0: all) and print the table by label.

    `model` is a model directory, a checkpoint or a run; empty: what the stage starts from.

    Raises:
        ConfigError: there is no such stage or model, or `out` is of something else.
        DataError: a data file cannot be used.
        FaultBudgetSpent: an engine failed; what is finished is kept.
    """
    name, stage = _rl_stage(config, stage_name)
    config.model.path = _starting_model(config, stage, model)
    mixture = load_stages(config)[name]
    logs = Path(tempfile.mkdtemp(prefix="assay-profile-"))
    try:
        with quiet_output(logs / "driver.log") as terminal:
            console = Console(file=terminal, highlight=False, markup=False, soft_wrap=True)
            models = prepare_models(config, logs)
            made_with = _made_with(config, stage, mixture, models, samples, num_tasks)
            start = _Start(config, stage, models, samples, logs, made_with)
            profiles = _complete(out, choose(mixture, num_tasks), start, console.print)
            for line in _totals(out, profiles):
                console.print(line)
            console.print(by_label(profiles))
    except FaultBudgetSpent as error:
        raise FaultBudgetSpent(
            f"{error}; logs are in {logs}; the same command goes on where this one was"
        ) from error
    shutil.rmtree(logs)


def _complete(
    out: Path, chosen: Sequence[tuple[str, Task]], start: _Start, say: Say
) -> list[TaskProfile]:
    """Sample what is missing of the chosen tasks, and write the profile."""
    folder = out.with_name(f"{out.name}.parts")
    done = finished(out, folder, start.made_with)
    todo = [(task_set, task) for task_set, task in chosen if task.id not in done]
    if todo and done:
        say(f"going on: {len(done):,} of {len(chosen):,} tasks are done")
    if todo:
        folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(start.run(todo, folder, say))
        done = finished(out, folder, start.made_with)
    profiles = [done[task.id] for _, task in chosen]
    write_profile(out, profiles, start.made_with)
    shutil.rmtree(folder, ignore_errors=True)
    return profiles


@dataclass(frozen=True, slots=True)
class _Start:
    """Starts engines and reward workers, and profiles on them."""

    config: RunConfig
    stage: StageConfig
    models: Models
    samples: int
    logs: Path
    made_with: MadeWith

    async def run(self, tasks: Sequence[tuple[str, Task]], folder: Path, say: Say) -> None:
        from launch.cluster import start_rewards, start_rollouts, stop_engines
        from launch.connection import connected

        run_id = os.environ.setdefault(RUN_ID_VARIABLE, new_run_id())
        config, _ = await asyncio.to_thread(with_judge, self.config, self.logs / "judge")
        with connected(config):
            rollouts, rewards = await asyncio.gather(
                start_rollouts(config, self.models, self.logs, run_id),
                start_rewards(config, self.logs, run_id),
            )
            profiler = Profiler(
                rollouts=rollouts,
                scorer=rewards,
                stage=self.stage,
                samples=self.samples,
                seed=config.seed,
                slots=config.rollout.workers * config.rollout.max_num_seqs,
                folder=folder,
                made_with=self.made_with,
                say=say,
            )
            await profiler.run(tasks)
            await asyncio.gather(rewards.close(), stop_engines(rollouts))


def choose(mixture: Mixture[Task], num_tasks: int) -> list[tuple[str, Task]]:
    """The tasks to profile with their sets' names: all, or `num_tasks` evenly over the sets, the
    first of each in a fixed random order."""
    chosen: list[tuple[str, Task]] = []
    for number, (name, tasks) in enumerate(mixture.sets.items()):
        share, rest = divmod(num_tasks, len(mixture.sets))
        count = min(share + (number < rest), len(tasks)) if num_tasks else len(tasks)
        key = key_of("profile", name)
        chosen += [(name, tasks[permute(place, len(tasks), key)]) for place in range(count)]
    return chosen


def finished(out: Path, folder: Path, made_with: MadeWith) -> dict[str, TaskProfile]:
    """What is profiled already, by task id.

    Raises ConfigError where that was made with something else.
    """
    files = [out] if out.exists() else parts(folder)
    done: dict[str, TaskProfile] = {}
    for file in files:
        tasks, before = read_profile(file)
        differing = [
            f"{key} was {before.get(key)}, is {made_with.get(key)}"
            for key in dict.fromkeys([*before, *made_with])
            if before.get(key) != made_with.get(key)
        ]
        if differing:
            raise ConfigError(
                f"{file} is another profile: {'; '.join(differing)}; "
                "choose another --out, or move it aside"
            )
        done |= {task.task_id: task for task in tasks}
    return done


def _made_with(
    config: RunConfig,
    stage: StageConfig,
    mixture: Mixture[Task],
    models: Models,
    samples: int,
    num_tasks: int,
) -> MadeWith:
    return {
        "model": models.fingerprint,
        **{f"tasks {name}": print_ for name, print_ in mixture.fingerprints.items()},
        "num_tasks": num_tasks,
        "samples": samples,
        "seed": config.seed,
        "temperature": stage.temperature,
        "max_tokens": stage.max_tokens,
        "max_length": config.model.max_length,
        "thinking_share": stage.thinking_share,
    }


def _rl_stage(config: RunConfig, name: str) -> tuple[str, StageConfig]:
    stages = {n: s for n, s in enabled_stages(config) if s.kind is StageKind.RL}
    if name and name not in stages:
        raise ConfigError(f"--stage {name}: the rl stages are {', '.join(stages) or 'none'}")
    if not stages:
        raise ConfigError(f"{config.name} has no rl stage, so there are no tasks to profile")
    name = name or next(iter(stages))
    return name, stages[name]


def _starting_model(config: RunConfig, stage: StageConfig, model: str) -> str:
    """The model that is asked for, else the one that the stage starts from; a hub id stays one."""
    source = model or stage.start_from or config.model.path
    if not source:
        raise ConfigError(
            "there is no trained model to profile with: give --model with a model's directory, "
            "a checkpoint, or a run such as runs/quickstart"
        )
    checkpoint = latest_checkpoint(Path(source) / CHECKPOINTS)
    path = checkpoint.path if checkpoint else Path(source)
    return str(weights_of(str(path))) if path.exists() else source


def _totals(out: Path, profiles: Sequence[TaskProfile]) -> Iterator[str]:
    answers, tokens = sum(p.samples for p in profiles), sum(p.tokens for p in profiles)
    yield f"{out}: {len(profiles):,} tasks, {answers:,} answers, {tokens:,} generated tokens"
    if without := sum(p.samples == 0 for p in profiles):
        yield f"{without:,} tasks have no answer with a verdict: faults, or prompts too long"


def by_label(profiles: Sequence[TaskProfile]) -> Table:
    """Pass rates over all tasks, by set and by each value of each label."""
    columns = ("tasks", "pass@1", "pass@10", "easy", "hopeless", "tokens", "cut off")
    table = Table(Column("", no_wrap=True), *columns, box=None)
    known = [profile for profile in profiles if profile.samples]
    for name, slice_ in _slices(known).items():
        answers = sum(p.samples for p in slice_)
        enough = [pass_at_k(p.samples, p.correct, 10) for p in slice_ if p.samples >= 10]
        table.add_row(
            printable(name),
            f"{len(slice_):,}",
            _percent([p.correct / p.samples for p in slice_]),
            _percent(enough),
            _percent([p.correct >= EASY * p.samples for p in slice_]),
            _percent([p.correct == 0 for p in slice_]),
            f"{sum(p.tokens for p in slice_) / answers:.1f}",
            f"{sum(p.truncated for p in slice_) / answers:.1%}",
        )
    return table


def _slices(profiles: Sequence[TaskProfile]) -> dict[str, list[TaskProfile]]:
    slices: dict[str, list[TaskProfile]] = {"all": list(profiles)} if profiles else {}
    for profile in sorted(profiles, key=lambda p: p.task_set):
        slices.setdefault(f"set {profile.task_set}", []).append(profile)
    for label in sorted({label for profile in profiles for label in profile.labels}):
        for profile in sorted(profiles, key=lambda p: p.labels.get(label, "")):
            if label in profile.labels:
                slices.setdefault(f"{label} {profile.labels[label]}", []).append(profile)
    return slices


def _percent(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.1%}" if values else "-"
