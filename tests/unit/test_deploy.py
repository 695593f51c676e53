"""The files in deploy/: manifests, image, dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.validate import ROLES
from launch.gauges import GAUGES, values
from tests.unit.test_control import STATUS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def manifest(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    return loaded


def cluster_spec(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest(name)["spec"]
    return spec.get("rayClusterSpec", spec)  # type: ignore[no-any-return]


def containers(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        yield from group["template"]["spec"]["containers"]


@pytest.mark.parametrize("name", ["raycluster.yaml", "rayjob.yaml"])
def test_each_role_has_its_machines_and_the_autoscaler_its_bounds(name: str) -> None:
    spec = cluster_spec(name)
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    assert set(groups) == set(ROLES)
    assert spec["enableInTreeAutoscaling"] is True
    for role, group in groups.items():
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        # Ray is given JSON in quotes: its start command goes through a shell.
        assert list(json.loads(group["rayStartParams"]["resources"].strip("'\"").replace("\\", "")))
        assert f'"{role}"' in group["rayStartParams"]["resources"].replace("\\", "")


@pytest.mark.parametrize("name", ["raycluster.yaml", "rayjob.yaml"])
def test_clusters_ask_for_a_token_and_hold_no_secret(name: str) -> None:
    spec = cluster_spec(name)
    assert spec["authOptions"] == {"mode": "token"}
    for container in containers(spec):
        assert {"name": "RAY_AUTH_MODE", "value": "token"} in container["env"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        named = [variable["name"] for variable in container["env"]]
        assert not [n for n in named if re.search("KEY|SECRET|PASSWORD|AUTH_TOKEN", n)]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts == {"shared": "/shared", "memory": "/dev/shm"}


def test_the_two_manifests_describe_the_same_machines() -> None:
    assert cluster_spec("raycluster.yaml") == cluster_spec("rayjob.yaml")


def test_the_versions_are_those_of_the_lock_file() -> None:
    [locked] = re.findall(
        r"^ray(?:\[.*\])?==(\S+)", (ROOT / "requirements-cpu.lock").read_text(), re.M
    )
    for name in ("raycluster.yaml", "rayjob.yaml"):
        assert cluster_spec(name)["rayVersion"] == locked


def test_a_job_that_is_begun_again_resumes_and_has_time_to_save() -> None:
    spec = manifest("rayjob.yaml")["spec"]
    assert "--resume" in spec["entrypoint"]
    assert spec["backoffLimit"] > 0
    environment = yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"]
    assert int(environment["RAY_JOB_STOP_WAIT_TIME_S"]) >= 600


def test_the_image_has_both_targets_and_runs_as_a_user() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", text, flags=re.M)[1:]
    names = [re.search(r"AS (\w+)", stage).group(1) for stage in stages]  # type: ignore[union-attr]
    assert names == ["base", "cpu", "gpu"]
    for stage in stages[1:]:
        assert "USER ray" in stage
    for copied in re.findall(r"^COPY (.+) \S+$", text, flags=re.M):
        assert all((ROOT / path).exists() for path in copied.split())


def metrics_drawn() -> set[str]:
    board = json.loads((DEPLOY / "grafana.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return {name for text in expressions for name in re.findall(r"ray_(assay_\w+)", text)}


def test_the_dashboard_draws_every_gauge_and_no_other() -> None:
    assert metrics_drawn() == set(GAUGES)


def test_every_gauge_gets_values_with_its_labels() -> None:
    status = {**STATUS, "deadlines_hit": {"rollout": 2, "reward": 0}}
    step = {
        "time/step": 4.0, "time/generate": 2.0, "time/train": 1.0, "time/publish": 0.5,
        "tokens/generated": 100.0, "reward/mean": 0.25, "staleness/max": 1.0,
    }  # fmt: skip
    found = values(status, step)
    assert {name for name, _, _ in found} == set(GAUGES)
    for name, labels, value in found:
        assert set(labels) == set(GAUGES[name][1])
        assert isinstance(value, float)
    by_name = {(name, *labels.values()): value for name, labels, value in found}
    assert by_name["assay_tokens_per_second",] == 25.0
    assert by_name["assay_workers", "rollout", "healthy"] == 1
    assert by_name["assay_versions_behind",] == 1
    assert by_name["assay_deadlines_hit", "rollout"] == 2
    assert values({**status, "stage": "", "groups": None}, {})
