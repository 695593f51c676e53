"""A whole run on the real stack, killed at named points of a save or publish, and resumed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from configs import faultpoints
from tests.integration.runs import Run, assert_same_steps, comparable, train

pytestmark = pytest.mark.timeout(1800)

LONG = ("checkpoint.every=1", "stages.reasoning.steps=16", "learner.restarts=0")

POINTS = [name for name in faultpoints.POINTS if name.startswith(("ckpt.", "publish."))]

HITS = {"ckpt.mid_file": 4}
"""A save writes three small files in two pieces each; of the others, each save hits one once."""

IN_A_LEARNER_RANK = {"ckpt.after_tensors"}
"""Points where not the driver dies but a learner rank, which the driver reports."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("undisturbed") / "tiny")
    assert train(run.directory, *LONG).code == 0
    return run


@pytest.fixture(scope="module")
def battered(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run, which every test below takes a little further."""
    return Run(tmp_path_factory.mktemp("battered") / "tiny")


def steps_saved(run: Run) -> int:
    """Steps up to the latest checkpoint, over both stages; 0 without one."""
    if not (run.directory / "checkpoints").exists():
        return 0
    state = run.state()
    return state.step + (6 if state.stage == "reasoning" else 0)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(point: str, battered: Run) -> None:
    before = steps_saved(battered)
    resume = ["--resume"] if before else []
    fault = f"{point}=kill@{HITS.get(point, 2)}"
    attempt = train(battered.directory, *LONG, *resume, fault=fault)
    if point in IN_A_LEARNER_RANK:
        assert attempt.code == 5, attempt
        assert "learner rank 0 died during saving a checkpoint" in attempt.err
    else:
        assert attempt.code == -signal.SIGKILL, attempt
    gained = steps_saved(battered) - before
    assert gained > 0, "one save went through, at least"
    if point.startswith("ckpt."):
        assert gained <= 2, "the second one was struck"


LEARNER_POINTS = [name for name in faultpoints.POINTS if name.startswith("learner.")]


@pytest.mark.parametrize("point", LEARNER_POINTS)
def test_a_learner_rank_that_is_killed_is_started_again(
    point: str, tmp_path: Path, undisturbed: Run
) -> None:
    """The run goes on from its last checkpoint by itself, and ends as if nothing had been."""
    run = Run(tmp_path / "tiny")
    again = (*LONG, "learner.restarts=1", "checkpoint.every=2")
    finished = train(run.directory, *again, fault=f"{point}=kill@11")
    assert finished.code == 0, f"{finished}\n{run.process_logs()}"
    assert_same_steps(undisturbed.log("metrics"), run.log("metrics"))
    [fault] = [event for event in run.log("events") if event["kind"] == "fault"]
    assert fault["worker"] == "learner"
    assert "learner rank 0 died during a training step" in fault["cause"]
    assert len([e for e in run.log("events") if e["kind"] == "attempt_start"]) == 2


def test_the_battered_run_ends_as_the_undisturbed_one(undisturbed: Run, battered: Run) -> None:
    assert train(battered.directory, *LONG, "--resume").code == 0
    assert_same_steps(undisturbed.log("metrics"), battered.log("metrics"))
    for name in ("trajectories", "evaluations"):
        assert comparable(undisturbed.log(name)) == comparable(battered.log(name))
    assert undisturbed.state().ledger == battered.state().ledger
    assert undisturbed.state().curriculum == battered.state().curriculum
    left = {path.name for path in Path(battered.directory / "checkpoints").iterdir()}
    assert len(left) == 3, "two checkpoints and `latest`, nothing of a killed save"
