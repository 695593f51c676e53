"""The Ray cluster that a run is on: one that was there before, or one of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ray

from configs.errors import MissingCapability
from configs.schema import RunConfig
from launch.access import private_token, require_token
from launch.placement import Node
from launch.remote import first_line

SCALED_WORKERS = 8
"""Rollout workers that `assay scale` can add on a cluster of the run's own."""

OBJECT_STORE_BYTES = 512 * 1024**2


@contextlib.contextmanager
def connected(config: RunConfig) -> Iterator[None]:
    """Join the cluster that RAY_ADDRESS names (a submitted job has it set), or start a local one.

    A local cluster declares as many CPUs as the run reserves: on a laptop the roles take turns on
    the same cores. Its ports ask for Ray's token. It ends with the block, with all its
    processes, or when this process dies.
    """
    on_sigterm = signal.getsignal(signal.SIGTERM)
    private = Path(tempfile.mkdtemp(prefix="assay-ray-"))  # 0700; Ray opens its own to everybody
    private_token()
    try:
        if on_cluster():
            context = ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
            if context.dashboard_url:
                require_token(f"http://{context.dashboard_url}")
        else:
            _start_local_cluster(config, private / "ray")
        # Ray has put its own handler in place, which exits at once.
        signal.signal(signal.SIGTERM, on_sigterm)
        yield
    finally:
        ray.shutdown()
    shutil.rmtree(private, ignore_errors=True)  # Ray's own logs, which stay after a failure


def on_cluster() -> bool:
    """Whether the run is on a cluster that was there before it."""
    return bool(os.environ.get("RAY_ADDRESS"))


def cluster_nodes() -> list[Node]:
    """The machines of the cluster that RAY_ADDRESS names, with all they have.

    Raises:
        MissingCapability: it cannot be reached.
    """
    try:
        ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError) as error:
        raise MissingCapability(
            f"RAY_ADDRESS={os.environ['RAY_ADDRESS']} cannot be reached: {first_line(error)}"
        ) from error
    try:
        return [
            Node(node["NodeManagerHostname"], node["Resources"])
            for node in ray.nodes()
            if node["Alive"]
        ]
    finally:
        ray.shutdown()


def _start_local_cluster(config: RunConfig, folder: Path) -> None:
    needed = (
        config.rollout.workers * config.rollout.cpus
        + config.learner.ranks * config.learner.cpus
        + config.reward.workers
        + config.hosts.workers * config.hosts.cpus
    )
    room = SCALED_WORKERS * config.rollout.cpus  # cores are shared, not refused, on one machine
    ray.init(
        num_cpus=max(needed, os.cpu_count() or 1) + room,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(folder),
    )
