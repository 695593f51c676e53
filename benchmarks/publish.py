"""Publishing 3 GB to two engines on one machine, beside a plain write and two plain reads."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.figures import Bound, Figures, Target
from configs.schema import (
    BuildConfig,
    FleetConfig,
    LearnerConfig,
    ModelConfig,
    RolloutConfig,
    RunConfig,
)

TARGET: Target = {"publish_over_write_and_read": Bound("<=", 3.5)}

WORKERS = 2
MEMORY_FACTOR = 5.5
"""What it all takes at most, in sizes of the weights: learner, engines, shared memory, a copy."""

WIDTH, LAYERS = 2048, 8


def model_shape(gigabytes: float) -> BuildConfig:
    """A wide and shallow model of about so many bytes in float32."""
    per_layer = WIDTH * WIDTH * (1 + 0.25 + 1) + 3 * WIDTH * 4 * WIDTH  # attention and feed-forward
    vocabulary = int((gigabytes * 1e9 / 4 - LAYERS * per_layer) / (2 * WIDTH))
    assert vocabulary > 1024, "more gigabytes: the layers alone take more"
    return BuildConfig(
        num_layers=LAYERS, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_heads=16,
        num_kv_heads=2, vocab_size=vocabulary,
    )  # fmt: skip


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def fresh_write(file: Path, content: np.ndarray[Any, Any]) -> float:
    """Seconds to write these bytes to pages that were not there before."""
    file.unlink(missing_ok=True)
    return timed(lambda: content.tofile(file))


def read(file: Path) -> None:
    np.fromfile(file, np.uint8)


def read_by_all(file: Path) -> float:
    """Seconds until each of `WORKERS` processes has read the file, all at once."""
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        pool.map(_ready, range(WORKERS))
        return timed(lambda: pool.map(read, [file] * WORKERS, chunksize=1))


def _ready(number: int) -> None:
    time.sleep(0.2)  # so that each process takes one


async def publish(
    config: RunConfig, folder: Path, rounds: int
) -> tuple[list[dict[str, float]], int]:
    """Seconds of each part, round by round, and the bytes that are published."""
    from launch.cluster import start_learner, start_rollouts
    from launch.connection import connected
    from launch.models import prepare_models
    from rl.publish import SharedMemoryTransfer, WeightPublisher

    models = prepare_models(config, folder)
    shared = Path(tempfile.mkdtemp(prefix="assay-publish-", dir="/dev/shm"))
    parts: list[dict[str, float]] = []
    size = 0
    try:
        with connected(config):
            fleet = await start_rollouts(config, models, folder, "publish", serving=False)
            learner = await start_learner(config, models.source, folder, "publish")
            transfer = SharedMemoryTransfer(shared)
            probes = [np.arange(1, 9, dtype=np.int32)]
            publisher = WeightPublisher(fleet, lambda: learner, transfer, probes, 1e-3)
            for version in range(1 + rounds):  # the first one warms up
                began = time.perf_counter()
                await publisher.publish(version)
                whole = time.perf_counter() - began
                size = sum(f.stat().st_size for f in shared.rglob("*") if f.is_file())
                began = time.perf_counter()
                await transfer.offer(learner, version)
                offered = time.perf_counter() - began
                began = time.perf_counter()
                await asyncio.gather(*(transfer.deliver(e, version) for e in fleet.ready()))
                delivered = time.perf_counter() - began
                parts.append({"publish": whole, "write": offered, "load": delivered})
            await fleet.pool.close()
    finally:
        shutil.rmtree(shared)
    return parts[1:], size


def run(gigabytes: float = 3.0, rounds: int = 3) -> Figures:
    """Best of `rounds`. None everywhere where the machine lacks the memory."""
    if psutil.virtual_memory().available < MEMORY_FACTOR * gigabytes * 1e9:
        return {"publish_over_write_and_read": None, "gigabytes": gigabytes}
    config = RunConfig(
        name="publish",
        model=ModelConfig(max_length=64, build=model_shape(gigabytes)),
        rollout=RolloutConfig(workers=WORKERS, max_num_seqs=1),
        learner=LearnerConfig(),
        fleet=FleetConfig(probe_every_s=3600),
    )
    folder = Path(tempfile.mkdtemp(prefix="assay-publish-"))
    try:
        parts, size = asyncio.run(publish(config, folder, rounds))
    finally:
        shutil.rmtree(folder)
    file = Path("/dev/shm") / f"assay-publish-{os.getpid()}"
    content = np.ones(size, np.uint8)
    try:
        write_s = min(fresh_write(file, content) for _ in range(rounds))
        read_s = min(read_by_all(file) for _ in range(rounds))
    finally:
        file.unlink(missing_ok=True)
    best = min(parts, key=lambda part: part["publish"])
    return {
        "publish_over_write_and_read": best["publish"] / (write_s + read_s),
        "publish_s": best["publish"],
        "plain_write_s": write_s,
        "plain_reads_s": read_s,
        "learner_writes_s": best["write"],
        "engines_load_s": best["load"],
        "probes_and_the_rest_s": best["publish"] - best["write"] - best["load"],
        "gigabytes": size / 1e9,
    }
