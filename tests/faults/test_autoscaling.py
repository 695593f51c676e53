"""Scaled past what is there: Ray's autoscaler adds a machine, here a pretended one."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import ray

from configs.schema import FleetConfig
from launch import cluster
from launch.access import private_token
from launch.machine import free_port
from tests.faults.stubs import StubRolloutActor
from tests.faults.trials import Trial, play
from tests.integration.runs import ROOT
from tests.integration.test_cluster import PATH, answers, end, start, wait_for

pytestmark = [pytest.mark.brief, pytest.mark.timeout(900)]

HEAD = "ray.head.default"
PROVIDER = {
    "type": "fake_multinode",
    "use_node_id_as_ip": True,  # all machines have one address
    "disable_node_updaters": True,
    "disable_launch_config_check": True,
}
AUTOSCALING = {
    "cluster_name": "pretended",
    "max_workers": 2,
    "upscaling_speed": 1.0,
    "idle_timeout_minutes": 5,
    "auth": {},
    "docker": {},
    "head_node_type": HEAD,
    "available_node_types": {
        HEAD: {"resources": {"CPU": 2}, "node_config": {}, "max_workers": 0},
        "rollout": {
            "resources": {"CPU": 2, "rollout": 2},
            "node_config": {},
            "min_workers": 0,
            "max_workers": 2,
        },
    },
    **{name: [] for name in ("initialization_commands", "setup_commands", "cluster_synced_files")},
    **{f"{who}_setup_commands": [] for who in ("head", "worker")},
    **{f"{who}_start_ray_commands": [] for who in ("head", "worker")},
    "file_mounts": {},
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "rsync_filter": [],
}
"""Ray's provider that starts a process for each machine; its sample file is not in the wheel."""


def nodes() -> int:
    return sum(node["Alive"] for node in ray.nodes())


def test_a_machine_is_added_for_workers_without_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="assay-ray-"))  # a short path: sockets lie in it
    private_token()  # this user's: a process reads it once, so a test cannot bring its own
    port, dashboard = free_port("127.0.0.1"), free_port("127.0.0.1")
    for name, value in {
        "RAY_AUTH_MODE": "token",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_FAKE_CLUSTER": "1",
        "PYTHONPATH": str(ROOT),
        "PATH": PATH,
        "OMP_NUM_THREADS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster, "RolloutActor", StubRolloutActor)
    head_address = f"{ray.util.get_node_ip_address()}:{port}"
    provider = PROVIDER | {"gcs_address": head_address}
    (folder / "autoscaling.json").write_text(json.dumps(AUTOSCALING | {"provider": provider}))
    head = start(
        dict(os.environ), folder, "--head", f"--port={port}", "--num-cpus=2",
        f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1",
        f"--autoscaling-config={folder / 'autoscaling.json'}", f"--temp-dir={folder / 'ray'}",
        "--object-store-memory=100000000",
    )  # fmt: skip
    grown: list[int] = []

    async def disturb(trial: Trial) -> None:
        trial.learner.may_step.clear()
        grown.append(nodes())
        trial.fleets.scale({"rollout": 3})
        await trial.until(lambda: sum(m.health.serves for m in trial.pool.alive) == 3, "three", 400)
        grown.append(nodes())
        trial.learner.may_step.set()

    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{dashboard}") == 401, head, "the dashboard")
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
        trial = play(
            tmp_path / "run", disturb, limit_s=600, workers=1,
            fleet=FleetConfig(resources={"rollout": {"rollout": 1}}, probe_every_s=5),
        )  # fmt: skip
    finally:
        ray.shutdown()
        end(head)
        shutil.rmtree(folder, ignore_errors=True)
    assert grown == [2, 3], "the head, one machine for the first two workers, one for the third"
    assert trial.events("fault") == []
