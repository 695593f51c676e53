"""Faults on the whole stack: real vLLM engines, DeepSpeed ranks and checkpoints.

Engines draw with a seed for each sample, so a run that was disturbed must log the same steps.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from launch.control import Running as Control
from tests.integration.runs import (
    TINY,
    Run,
    Running,
    assert_same_steps,
    processes_of,
    running,
    train,
    where,
)

pytestmark = pytest.mark.timeout(1800)

CHANGES = ("stages.reasoning.steps=10", "fleet.probe_every_s=3", "deadlines.turn_s=20")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("undisturbed") / "tiny")
    finished = train(run.directory, *CHANGES)
    assert finished.code == 0, f"{finished}\n{run.process_logs()}"
    return run


@contextmanager
def under_way(folder: Path, *changes: str) -> Iterator[tuple[Run, Running]]:
    """A run whose first RL steps are made."""
    run = Run(folder / "tiny")
    with running("train", str(TINY), *where(run.directory), *CHANGES, *changes) as process:
        process.wait_until(lambda: len(run.steps("reasoning")) >= 2, "RL steps")
        yield run, process


def workers(run: Run, role: str = "rollout") -> list[dict[str, Any]]:
    status = Control(run.directory).status()
    found: list[dict[str, Any]] = status["fleets"][role] if status else []
    return found


def finish(run: Run, process: Running, undisturbed: Run) -> list[dict[str, Any]]:
    """Wait for the end, which is that of the undisturbed run; the faults on the way."""
    finished = process.finish()
    assert finished.code == 0, f"{finished}\n{run.process_logs()}"
    assert_same_steps(undisturbed.log("metrics"), run.log("metrics"))
    return [event for event in run.log("events") if event["kind"] == "fault"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_f01_f02_f05_a_worker_under_vllm(
    number: signal.Signals, tmp_path: Path, undisturbed: Run
) -> None:
    with under_way(tmp_path) as (run, process):
        [worker] = workers(run)
        os.kill(worker["pid"], number)
        faults = finish(run, process, undisturbed)
        assert {fault["worker"] for fault in faults} == {"rollout-0"}
        assert not psutil.pid_exists(worker["pid"])


def test_f09_an_engine_that_dies_under_its_actor(tmp_path: Path, undisturbed: Run) -> None:
    """vLLM's core is a process of its own; without it the worker leaves on purpose."""
    with under_way(tmp_path) as (run, process):
        [worker] = workers(run)
        actor = psutil.Process(worker["pid"])
        [core] = [
            c for c in actor.children(recursive=True) if "EngineCore" in " ".join(c.cmdline())
        ]
        core.kill()
        faults = finish(run, process, undisturbed)
        assert faults
        assert all("EngineDead" in fault["cause"] for fault in faults)
        assert not psutil.pid_exists(worker["pid"])


@pytest.mark.parametrize(
    "fault",
    ["rollout.before_run=kill@9", "rollout.before_load=kill@4", "reward.before_score=kill@5"],
)
def test_f01_f03_at_a_named_point(fault: str, tmp_path: Path, undisturbed: Run) -> None:
    run = Run(tmp_path / "tiny")
    finished = train(run.directory, *CHANGES, fault=fault)
    assert finished.code == 0, f"{finished}\n{run.process_logs()}"
    assert_same_steps(undisturbed.log("metrics"), run.log("metrics"))
    assert [event for event in run.log("events") if event["kind"] == "fault"]


@pytest.mark.brief
def test_f12_a_learner_rank(tmp_path: Path, undisturbed: Run) -> None:
    run = Run(tmp_path / "tiny")
    finished = train(run.directory, *CHANGES, fault="learner.before_step=kill@9")
    assert finished.code == 0, f"{finished}\n{run.process_logs()}"
    assert_same_steps(undisturbed.log("metrics"), run.log("metrics"))
    [fault] = [event for event in run.log("events") if event["kind"] == "fault"]
    assert "learner rank 0 died during a training step" in fault["cause"]


def test_f12_one_of_two_learner_ranks(tmp_path: Path, undisturbed: Run) -> None:
    """The other one fails in the exchange with it; both start again from the last checkpoint."""
    with under_way(tmp_path, "learner.ranks=2", "checkpoint.every=2") as (run, process):
        ranks = [p for p in processes_of(process.run_id) if "LearnerRank" in "".join(p.cmdline())]
        assert len(ranks) == 2
        ranks[1].kill()
        finished = process.finish()
        assert finished.code == 0, f"{finished}\n{run.process_logs()}"
        [fault] = [event for event in run.log("events") if event["kind"] == "fault"]
        assert "died during" in fault["cause"]
        assert [step["step"] for step in run.steps("reasoning")] == list(range(1, 11))


def test_f13_a_rank_that_raises_alone(tmp_path: Path) -> None:
    """No rank waits for it in an exchange until a deadline; what was saved can be resumed."""
    run = Run(tmp_path / "tiny")
    changes = (*CHANGES, "learner.ranks=2", "checkpoint.every=2")
    wrong = "stages.reasoning.algorithm.loss=tests.faults.losses:raises_on_rank_1_at_its_fifth_call"
    began = time.monotonic()
    finished = train(run.directory, *changes, wrong)
    assert finished.code == 5, f"{finished}\n{run.process_logs()}"
    assert "learner rank 1 failed in a training step: RuntimeError: on this rank" in finished.err
    assert time.monotonic() - began < 300, "no exchange was waited for"
    assert 0 < len(run.steps("reasoning")) < 10
    resumed = train(run.directory, *changes, "--resume")
    assert resumed.code == 0, f"{resumed}\n{run.process_logs()}"


def test_one_three_one_workers_while_it_trains(tmp_path: Path, undisturbed: Run) -> None:
    with under_way(tmp_path, "stages.reasoning.steps=4000") as (run, process):
        control = Control(run.directory)
        assert control.ask("scale", sizes={"rollout": 3}) == "rollout 1 -> 3, 2 starting"
        process.wait_until(lambda: sum(w["done"] > 0 for w in workers(run)) == 3, "three at work")
        assert {w["behind"] for w in workers(run)} <= {0, 1}
        control.ask("scale", sizes={"rollout": 1})
        process.wait_until(lambda: len(workers(run)) == 1, "two have left")
        assert control.ask("stop").startswith("will stop")
        finished = process.finish()
        assert finished.code == 6, f"{finished}\n{run.process_logs()}"
        steps = run.steps("reasoning")
        assert len(steps) >= 10
        assert_same_steps(
            undisturbed.steps("reasoning"), [{**step, "num_steps": 10} for step in steps[:10]]
        )
        assert not [event for event in run.log("events") if event["kind"] == "fault"]
        assert json.loads((run.directory / "report.json").read_text())
