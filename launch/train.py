"""One run from beginning to end: fleets up, stages in order, evaluation after each, report.

logs/attempt_N/   what every process and library printed      base_model/   where it began
metrics.jsonl, evaluations.jsonl, trajectories.jsonl, events.jsonl          (rl/tracking.py)
checkpoints/      complete or absent                                        (rl/checkpoint.py)
report.json, report.md, plots/                                              (launch/report.py)
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from configs.errors import AssayError, ConfigError
from configs.load import LoadedConfig, save_unresolved, to_yaml
from configs.schema import RunConfig
from launch.console import Console, log_dir, quiet_output
from launch.memory import RUN_ID_VARIABLE, PeakMemory, new_run_id
from launch.models import Models, prepare_models
from launch.pipeline import Fleets, Pipeline
from launch.report import write_report
from rl.checkpoint import CheckpointStore, RunState, latest_checkpoint, load_state
from rl.provenance import code_version, package_versions
from rl.tracking import FileTracker, next_attempt, outside_sinks

CHECKPOINTS = "checkpoints"
CONFIG = "config.yaml"
INTERRUPTED = 130

OpenedFleets = contextlib.AbstractAsyncContextManager[Fleets]
StartFleets = Callable[[RunConfig, Models, Path, str], OpenedFleets]


def run(loaded: LoadedConfig, resume: bool = False, new: bool = False, local: bool = False) -> int:
    """Train, and return the exit code: 0 done, 130 interrupted.

    `resume` continues from the last checkpoint; `new` moves an earlier run of that name aside.
    `local` keeps everything in this process, without Ray, and its output on the terminal, so that
    breakpoints work.

    Raises:
        AssayError: anything that has an exit code of its own, Stopped (6) among them.
    """
    run_dir = Path(loaded.config.output) / loaded.config.name
    if new and run_dir.exists():
        run_dir.rename(_free_name(run_dir))
    state = _starting_state(run_dir, resume)
    run_dir.mkdir(parents=True, exist_ok=True)
    save_unresolved(loaded, run_dir / CONFIG)
    run_id = os.environ.setdefault(RUN_ID_VARIABLE, new_run_id())
    logs = log_dir(run_dir, next_attempt(run_dir)).resolve()
    output = contextlib.nullcontext(sys.stdout) if local else quiet_output(logs / "driver.log")
    with output as terminal, PeakMemory(run_id) as memory:
        sinks = {
            "console": lambda: Console(terminal, live=not local),
            **outside_sinks(loaded.config.tracking, run_dir, loaded.config.name),
        }
        tracker = FileTracker(
            run_dir,
            sinks,
            state.tracker if state else None,
            loaded.config.tracking.trajectories_per_step,
        )
        status = "failed"
        try:
            start = _in_this_process if local else _on_ray
            asyncio.run(_train(loaded, run_dir, logs, run_id, state, tracker, start))
            status = "done"
        except AssayError as error:
            status = type(error).__name__
            raise
        except (KeyboardInterrupt, asyncio.CancelledError):
            status = "interrupted"
            return INTERRUPTED
        finally:
            tracker.log_event("memory", peak_gb=memory.peak_gb)
            tracker.log_event("run_end", status=status)
            tracker.close()
            write_report(run_dir)
    print(f"report: {run_dir / 'report.md'}")
    return 0


async def _train(
    loaded: LoadedConfig,
    run_dir: Path,
    logs: Path,
    run_id: str,
    state: RunState | None,
    tracker: FileTracker,
    start: StartFleets,
) -> None:
    config, text = loaded.config, to_yaml(loaded.tree)
    tracker.log_event(
        "run_start",
        name=config.name,
        seed=config.seed,
        config_digest=hashlib.sha256(text.encode()).hexdigest()[:16],
        code=code_version(),
        versions=package_versions(),
    )
    models = prepare_models(config, run_dir)
    weights = _shared_memory(run_id)
    store = CheckpointStore(run_dir / CHECKPOINTS, config.checkpoint.keep)
    try:
        async with start(config, models, logs, run_id) as fleets:
            pipeline = Pipeline(
                config, text, models, fleets, store, tracker, weights, run_dir, state
            )
            _stop_on_sigterm(pipeline.request_stop)
            await pipeline.run()
    finally:
        shutil.rmtree(weights, ignore_errors=True)


def _on_ray(config: RunConfig, models: Models, logs: Path, run_id: str) -> OpenedFleets:
    from launch.cluster import ray_fleets

    return ray_fleets(config, models, logs, run_id)


def _in_this_process(config: RunConfig, models: Models, logs: Path, run_id: str) -> OpenedFleets:
    from launch.local import local_fleets

    return local_fleets(config, models)


def _starting_state(run_dir: Path, resume: bool) -> RunState | None:
    """The state to continue from, None for a new run. Refuses to write over an earlier run."""
    if resume:
        checkpoint = latest_checkpoint(run_dir / CHECKPOINTS)
        if checkpoint is None:
            raise ConfigError(f"{run_dir} has no checkpoint to resume from; start without --resume")
        return load_state(checkpoint)
    if (run_dir / CONFIG).exists():
        raise ConfigError(
            f"{run_dir} holds an earlier run: continue it with --resume, move it aside with --new, "
            "or choose another name=..."
        )
    return None


def _free_name(run_dir: Path) -> Path:
    """Where an earlier run is moved to: quickstart-1, quickstart-2, ..."""
    names = (run_dir.with_name(f"{run_dir.name}-{number}") for number in itertools.count(1))
    return next(name for name in names if not name.exists())


def _shared_memory(run_id: str) -> Path:
    """A private folder for weights in transit, in memory where the system has a place for that."""
    root = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
    folder = root / f"assay-{run_id}"
    folder.mkdir(mode=0o700)
    return folder


def _stop_on_sigterm(request_stop: Callable[[], None]) -> None:
    """First SIGTERM: stop after the step under way, save, exit 6. A second one: now."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        request_stop()
        loop.remove_signal_handler(signal.SIGTERM)

    loop.add_signal_handler(signal.SIGTERM, first)
