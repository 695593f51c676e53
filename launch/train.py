"""One run from beginning to end: fleets up, stages in order, evaluation after each, report.

logs/attempt_N/   what every process and library printed      base_model/   where it began
metrics.jsonl, evaluations.jsonl, trajectories.jsonl, events.jsonl          (rl/tracking.py)
checkpoints/      complete or absent                                        (rl/checkpoint.py)
report.json, report.md, plots/                                              (launch/report.py)
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import AssayError, ConfigError, LearnerLost, Stopped
from configs.faultpoints import spare_new_processes
from configs.load import LoadedConfig, changed_keys, save_unresolved, to_yaml
from configs.schema import RunConfig
from configs.validate import enabled_stages
from launch.console import Console, log_dir, quiet_output
from launch.control import Command, controlled
from launch.figures import last_status
from launch.fleets import Fleets
from launch.guidance import check_curriculum, load_guidance
from launch.judging import with_cache
from launch.memory import RUN_ID_VARIABLE, PeakMemory, new_run_id, shared_folder
from launch.models import BASE_MODEL, ENGINE_MODEL, Models, prepare_models, starting_points
from launch.pipeline import REFERENCES, Pipeline, Setup
from launch.report import write_report
from launch.tasks import load_held_out, load_stages
from launch.tiny_judge import must_be_trained, with_judge
from launch.watchdog import watched
from launch.workers import Report
from rl.checkpoint import (
    CHECKPOINTS,
    Checkpoint,
    CheckpointStore,
    has_checkpoint,
    latest_checkpoint,
    load_state,
)
from rl.controller import is_finished
from rl.provenance import Fingerprints, check_resumable, code_version, package_versions
from rl.sinks import outside_sinks
from rl.tracking import FileTracker, next_attempt

CONFIG = "config.yaml"
INTERRUPTED = 130
LAST_ANSWER_S = 0.5
"""Between the answer to a second stop and the end."""

_log = logging.getLogger(__name__)

OpenedFleets = contextlib.AbstractAsyncContextManager[Fleets]
StartFleets = Callable[[RunConfig, Models, Path, str, Report], OpenedFleets]


def run(loaded: LoadedConfig, resume: bool = False, new: bool = False, local: bool = False) -> int:
    """Train, and return the exit code: 0 done, 130 interrupted.

    `resume` continues from the last checkpoint; `new` moves an earlier run of that name aside.
    `local` keeps everything in this process, without Ray, and its output on the terminal, so that
    breakpoints work.

    Raises:
        AssayError: anything that has an exit code of its own, Stopped (6) among them.
    """
    run_dir = Path(loaded.config.output) / loaded.config.name
    if new and resume:
        raise ConfigError("--resume continues a run and --new begins one: leave one of them out")
    if new and run_dir.exists():
        run_dir.rename(_free_name(run_dir))
    checkpoint = _checkpoint_to_resume(run_dir, resume)
    try:
        finished = _train_to_the_end(loaded, run_dir, checkpoint, local)
    except KeyboardInterrupt:
        resumable = (
            "continue with --resume" if has_checkpoint(run_dir / CHECKPOINTS) else "no checkpoint"
        )
        print(f"interrupted: {resumable}", file=sys.stderr)
        return INTERRUPTED
    if finished:
        print(f"{run_dir} is finished: nothing was started")
    print(f"report: {run_dir / 'report.md'}")
    return 0


def _train_to_the_end(
    loaded: LoadedConfig, run_dir: Path, checkpoint: Checkpoint | None, local: bool
) -> bool:
    """Train, in one attempt more for each lost learner rank; whether nothing was left to do.

    All ranks hold parts of one state, so where one is lost all start again from the last
    checkpoint, exactly as with --resume. Losses count anew once another checkpoint is made.
    """
    losses: list[LearnerLost] = []
    while True:
        logs = log_dir(run_dir, next_attempt(run_dir)).resolve()
        output = contextlib.nullcontext(sys.stdout) if local else quiet_output(logs / "driver.log")
        with output as terminal:
            setup = prepare(loaded, run_dir, checkpoint)
            if _is_finished(setup):
                return True
            save_unresolved(loaded, run_dir / CONFIG)
            try:
                _attempt(setup, logs, Console(terminal, live=not local), local, losses)
                return False
            except LearnerLost as loss:
                before, checkpoint = checkpoint, latest_checkpoint(run_dir / CHECKPOINTS)
                made_progress = before is None or before.path != (checkpoint or before).path
                losses = [loss] if made_progress else [*losses, loss]
                if checkpoint is None or len(losses) > loaded.config.learner.restarts:
                    raise
                spare_new_processes()


def prepare(loaded: LoadedConfig, run_dir: Path, checkpoint: Checkpoint | None = None) -> Setup:
    """Read and check all that a run is made of; nothing is started.

    Raises:
        ConfigError: the model cannot be used, or the checkpoint is of a run on something else.
        DataError: a data file cannot be used.
    """
    config = loaded.config
    state = load_state(checkpoint) if checkpoint else None
    run_dir.mkdir(parents=True, exist_ok=True)
    if state is None:
        for name in (BASE_MODEL, ENGINE_MODEL, REFERENCES):
            shutil.rmtree(run_dir / name, ignore_errors=True)  # of an attempt without a checkpoint
    models = prepare_models(config, run_dir)
    data = load_stages(config)
    guidance = {
        name: load_guidance(
            config, name, mixture, resumed=state is not None and state.stage == name
        )
        for name, mixture in data.items()
    }
    fingerprints = Fingerprints(
        data={
            "order": f"seed {config.seed}",
            **{f"{s}/{n}": f for s, sets in data.items() for n, f in sets.fingerprints.items()},
            **starting_points(config, models),
        },
        tokenizer=models.renderer.fingerprint,
        model=models.fingerprint,
        world_size=config.learner.ranks,
        zero_stage=config.learner.zero_stage,
        dtype=config.model.dtype,
    )
    if state is not None:
        check_resumable(state.fingerprints, fingerprints)
        check_curriculum(config, state)
    return Setup(
        config=config,
        config_text=to_yaml(loaded.tree),
        run_dir=run_dir,
        models=models,
        data=data,
        guidance=guidance,
        held_out=load_held_out(config),
        fingerprints=fingerprints,
        checkpoint=checkpoint,
        state=state,
    )


def _attempt(
    setup: Setup, logs: Path, console: Console, local: bool, losses: Sequence[LearnerLost]
) -> None:
    """Train to the end; however it ends, that is logged and reported."""
    config, run_dir = setup.config, setup.run_dir
    run_id = os.environ.setdefault(RUN_ID_VARIABLE, new_run_id())
    sinks = {"console": lambda: console, **outside_sinks(config.tracking, run_dir, config.name)}
    lengths = setup.state.tracker if setup.state else None
    tracker = FileTracker(run_dir, sinks, lengths, config.tracking.trajectories_per_step)
    memory = PeakMemory(run_id)
    if losses:
        tracker.log_event(
            "fault", worker="learner", fault_class="infrastructure", cause=str(losses[-1]),
            state="restarting", budget_left=config.learner.restarts - len(losses),
        )  # fmt: skip
    status = "failed"
    try:
        with memory:
            start = _in_this_process if local else _on_ray
            asyncio.run(_train(setup, logs, run_id, tracker, start))
        status = "done"
    except Stopped:
        status = "stopped"
        raise
    except AssayError as error:
        status = type(error).__name__
        raise
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        tracker.log_event("memory", peak_gb=memory.peak_gb)
        tracker.log_event("run_end", status=status)
        tracker.close()
        _report(run_dir, finished=status == "done")


def _report(run_dir: Path, finished: bool) -> None:
    """Write the report; one that cannot be written must not hide why the run ended."""
    try:
        write_report(run_dir)
    except Exception:
        if finished:
            raise
        _log.exception("no report of %s", run_dir)


async def _train(
    setup: Setup, logs: Path, run_id: str, tracker: FileTracker, start: StartFleets
) -> None:
    config = setup.config
    tracker.log_event(
        "run_start",
        name=config.name,
        seed=config.seed,
        config_digest=hashlib.sha256(setup.config_text.encode()).hexdigest()[:16],
        code=code_version(),
        versions=package_versions(),
    )
    if setup.state is not None and (changes := changed_keys(setup.state.config, setup.config_text)):
        tracker.log_event("notice", source="configuration", message="; ".join(changes))
    judge = setup.run_dir / "judge"
    if must_be_trained(config, judge):
        message = "a tiny judge is trained first, which takes a minute or two"
        tracker.log_event("notice", source="reward.judge", message=message)
    config, seconds = await asyncio.to_thread(with_judge, config, judge)
    config = with_cache(config, setup.run_dir / "verdicts")
    setup = dataclasses.replace(setup, config=config)
    if seconds:
        tracker.log_event("judge_trained", seconds=seconds)
    store = CheckpointStore(setup.run_dir / CHECKPOINTS, config.checkpoint.keep)
    with shared_folder(run_id) as weights:
        pipeline = Pipeline(setup, store, tracker, weights)
        stop = Stop(pipeline.request_stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
        async with start(config, setup.models, logs, run_id, tracker.log_event) as fleets:
            commands: dict[str, Command] = {
                "scale": lambda asked: fleets.scale(asked["sizes"]),
                "drain": lambda asked: fleets.drain(asked["worker"], asked["now"]),
                "stop": lambda asked: stop(),
            }

            def status() -> dict[str, Any]:
                known = pipeline.status()
                known |= fleets.status(known["policy_version"])
                fleets.observe(known, tracker.last_step)
                return known

            async with controlled(setup.run_dir, commands, status):
                if start is _in_this_process:  # no deadlines: one may stay at a breakpoint
                    await pipeline.run(fleets)
                else:
                    limit_s = config.deadlines.watchdog_s
                    await watched(pipeline.run(fleets), lambda: tracker.idle_s, limit_s)


def _on_ray(
    config: RunConfig, models: Models, logs: Path, run_id: str, report: Report
) -> OpenedFleets:
    from launch.cluster import ray_fleets

    return ray_fleets(config, models, logs, run_id, report)


def _in_this_process(
    config: RunConfig, models: Models, logs: Path, run_id: str, report: Report
) -> OpenedFleets:
    from launch.local import local_fleets

    return local_fleets(config, models)


def _checkpoint_to_resume(run_dir: Path, resume: bool) -> Checkpoint | None:
    """The checkpoint to continue from, None for a new run.

    Raises ConfigError where there is none, or where a new run would write over an earlier one.
    """
    if resume:
        checkpoint = latest_checkpoint(run_dir / CHECKPOINTS)
        if checkpoint is None:
            raise ConfigError(f"{run_dir} has no checkpoint to resume from; start without --resume")
        return checkpoint
    if has_checkpoint(run_dir / CHECKPOINTS) or last_status(run_dir) == "done":
        raise ConfigError(
            f"{run_dir} holds an earlier run: continue it with --resume, move it aside with --new, "
            "or choose another name=..."
        )
    return None


def _is_finished(setup: Setup) -> bool:
    """Whether nothing is left to do. A stage that was given more steps since goes on."""
    name, stage = enabled_stages(setup.config)[-1]
    state = setup.state
    tokens = state.ledger.get("generated_tokens", 0) if state else 0
    trained = state is not None and state.stage == name and is_finished(stage, state.step, tokens)
    return trained and last_status(setup.run_dir) == "done"


def _free_name(run_dir: Path) -> Path:
    """Where an earlier run is moved to: quickstart-1, quickstart-2, ..."""
    names = (run_dir.with_name(f"{run_dir.name}-{number}") for number in itertools.count(1))
    return next(name for name in names if not name.exists())


@dataclass(slots=True)
class Stop:
    """First SIGTERM, or `assay stop`: stop after the step under way, save, exit 6. Second: now."""

    request: Callable[[], None]
    asked: bool = False

    def __call__(self) -> str:
        loop = asyncio.get_running_loop()
        if self.asked:
            loop.remove_signal_handler(signal.SIGTERM)
            loop.call_later(LAST_ANSWER_S, os.kill, os.getpid(), signal.SIGTERM)
            return "ending now; what was done since the last checkpoint is lost"
        self.asked = True
        self.request()
        return "will stop after the step under way, saved; asked a second time it ends at once"
