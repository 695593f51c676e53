"""Two Ray nodes on one machine: submitted to, steered, and one of them killed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from launch.control import Running as Control
from launch.env_new import write_package
from launch.machine import free_port
from tests.integration.runs import ROOT, TINY, Run, command

pytestmark = pytest.mark.timeout(1800)

UP_S = 180.0
RAY = str(Path(sys.executable).with_name("ray"))
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
"""As after activating the environment: a job's command is looked up in it."""


@dataclass
class TwoNodes:
    """A head and a worker node, each a `ray start --block`."""

    folder: Path
    port: int
    dashboard: str
    environment: dict[str, str]
    head: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return start(self.environment, self.folder, *arguments)

    def assay(self, *arguments: str, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments), env=self.environment, cwd=ROOT, capture_output=True, text=True,
            timeout=timeout_s, check=False,
        )  # fmt: skip


def start(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    log = folder / f"ray_start_{len(list(folder.glob('ray_start_*')))}.log"
    # The agent's usual port is that of any other Ray on this machine.
    agent = f"--dashboard-agent-listen-port={free_port('127.0.0.1')}"
    return subprocess.Popen(
        [RAY, "start", "--block", agent, *arguments], env=environment, stdout=log.open("wb"),
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a node: everything that `ray start --block` has started."""
    family = psutil.Process(process.pid)
    members = [family, *family.children(recursive=True)]
    for member in members:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    folder = Path(tempfile.mkdtemp(prefix="assay-ray-"))  # a short path: sockets lie in it
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    environment = {
        **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "PYTHONPATH": str(ROOT),
        "PATH": PATH,
        "OMP_NUM_THREADS": "1",
    }
    port, dashboard = free_port("127.0.0.1"), free_port("127.0.0.1")
    head = start(
        environment, folder, "--head", f"--port={port}", f"--dashboard-port={dashboard}",
        "--dashboard-host=127.0.0.1", "--num-cpus=3", f"--temp-dir={folder / 'ray'}",
        "--object-store-memory=200000000",
    )  # fmt: skip
    nodes = None
    try:
        url = f"http://127.0.0.1:{dashboard}"
        wait_for(lambda: answers(url) is not None, head, "the dashboard")
        worker = start(
            environment, folder, f"--address=127.0.0.1:{port}", "--num-cpus=2",
            # Its own, as on another machine: in a shared one each node unpacks a job's files anew,
            # and so takes them from under the other's processes.
            f"--temp-dir={folder / 'worker'}", "--object-store-memory=200000000",
        )  # fmt: skip
        nodes = TwoNodes(folder, port, url, environment, head, worker)
        yield nodes
    finally:
        for process in (nodes.worker if nodes else None, head):
            if process is not None and process.poll() is None:
                end(process)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(reached: object, process: subprocess.Popen[bytes], what: str) -> None:
    assert callable(reached)
    deadline = time.monotonic() + UP_S
    while not reached():
        assert process.poll() is None, f"ended before {what}"
        assert time.monotonic() < deadline, f"no {what} within {UP_S:g} s"
        time.sleep(0.2)


def answers(url: str) -> int | None:
    """The status of a request without a token; None while nobody listens."""
    try:
        with urllib.request.urlopen(f"{url}/api/jobs/", timeout=5) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_f42_submit_scale_and_lose_a_node() -> None:
    with two_nodes() as nodes:
        assert answers(nodes.dashboard) == 401, "nothing without the token"
        shared = nodes.folder / "runs"
        run, control = Run(shared / "tiny"), Control(shared / "tiny")
        submitted = subprocess.Popen(
            command(
                "submit", str(TINY.relative_to(ROOT)), "--address", nodes.dashboard,
                f"output={shared}", "name=tiny", "stages.reasoning.steps=3000",
                "fleet.probe_every_s=3", "deadlines.turn_s=20",
            ),
            env=nodes.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        try:
            wait_long(lambda: len(run.steps("reasoning")) >= 2, submitted, "RL steps")
            assert "2 starting" not in control.ask("scale", sizes={"rollout": 2})
            wait_long(lambda: sum(w["done"] > 0 for w in workers(control)) == 2, submitted, "two")
            places = {worker["node"] for worker in workers(control)}
            assert len(places) == 2, "each on its own node: weights went through the object store"
            listed = nodes.assay("status", str(run.directory), "--json")
            assert len(json.loads(listed.stdout)["fleets"]["rollout"]) == 2, listed.stderr

            end(nodes.worker)
            wait_long(lambda: faults(run), submitted, "the loss of a node noticed")
            steps = len(run.steps("reasoning"))
            wait_long(lambda: len(run.steps("reasoning")) > steps + 3, submitted, "more steps")

            jobs = nodes.assay("jobs", "list", "--address", nodes.dashboard).stdout
            [job] = [line.split()[0] for line in jobs.splitlines() if "RUNNING" in line]
            stopped = nodes.assay("jobs", "stop", job, "--address", nodes.dashboard)
            assert "was asked to stop" in stopped.stdout, stopped
            out, _ = submitted.communicate(timeout=600)
            assert "continue with --resume" in out, out[-3000:]
            assert run.state().step >= steps, "what was done is saved"
        finally:
            submitted.kill()
        assert run.log("events")[-1]["status"] == "stopped"


def wait_long(reached: object, process: subprocess.Popen[str], what: str) -> None:
    assert callable(reached)
    deadline = time.monotonic() + 600
    while not reached():
        if process.poll() is not None:
            raise AssertionError(f"ended before {what}: {process.communicate()[0][-5000:]}")
        assert time.monotonic() < deadline, f"never {what}"
        time.sleep(0.2)


def workers(control: Control) -> list[dict[str, Any]]:
    status = control.status()
    return list(status["fleets"]["rollout"]) if status else []


def faults(run: Run) -> list[dict[str, object]]:
    return [event for event in run.log("events") if event["kind"] == "fault"]


def test_an_environment_of_ones_own_travels_with_the_job(tmp_path: Path) -> None:
    """Made by `assay env new`, unpacked by `submit`, brought by Ray to every node."""
    package = write_package("exotic_rates", tmp_path)
    with two_nodes() as nodes:
        shared = nodes.folder / "runs"
        run, site = Run(shared / "tiny"), nodes.folder / "site"
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--target", site, package], check=True)  # where the job is checked
        environment = {**nodes.environment, "PYTHONPATH": f"{site}:{ROOT}"}
        done = subprocess.run(
            command(
                "submit", str(TINY.relative_to(ROOT)), "--address", nodes.dashboard,
                "--package", str(package), f"output={shared}", "name=tiny",
                "stages.sft.steps=1", "stages.reasoning.steps=2", "stages.reasoning.max_turns=2",
                "envs.exotic_rates={}",
            ),
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=500,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
        played = {line["task_id"].partition("/")[0] for line in run.log("trajectories")}
        assert "exotic_rates" in played
