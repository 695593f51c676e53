"""Whole trainings in one process on engines in plain torch, for the experiments that start many."""

from __future__ import annotations

import asyncio
from pathlib import Path

from configs.load import LoadedConfig, save_unresolved
from launch.local import local_fleets
from launch.pipeline import Pipeline
from launch.train import CONFIG, prepare
from rl.checkpoint import CheckpointStore, latest_checkpoint
from rl.tracking import FileTracker
from tests.integration.torch_engine import start_torch_engine


class TorchTrainer:
    """Trains as `assay train --local` does, on engines in plain torch."""

    def __init__(self) -> None:
        self.trained: list[str] = []

    def __call__(self, loaded: LoadedConfig, resume: bool) -> None:
        self.trained.append(loaded.config.name)
        run_dir = Path(loaded.config.output) / loaded.config.name
        checkpoint = latest_checkpoint(run_dir / "checkpoints") if resume else None
        setup = prepare(loaded, run_dir, checkpoint)
        save_unresolved(loaded, run_dir / CONFIG)
        tracker = FileTracker(run_dir, state=setup.state.tracker if setup.state else None)
        (run_dir / "weights").mkdir(exist_ok=True)
        store = CheckpointStore(run_dir / "checkpoints", keep=2)
        pipeline = Pipeline(setup, store, tracker, run_dir / "weights")

        async def go() -> None:
            async with local_fleets(setup.config, setup.models, start_torch_engine) as fleets:
                await pipeline.run(fleets)

        try:
            asyncio.run(go())
            tracker.log_event("run_end", status="done")
        finally:
            tracker.close()
