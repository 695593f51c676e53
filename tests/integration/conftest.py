"""Runs that several tests look at: each is made once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.runs import Finished, Log, Run, in_this_process, train
from tests.tiny_model import build_tiny

Assay = Callable[..., Finished]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The tiny preset from beginning to end, undisturbed."""
    run = Run(tmp_path_factory.mktemp("whole") / "tiny")
    finished = train(run.directory)
    assert finished.code == 0, f"{finished}\n{run.process_logs()}"
    return run


@dataclass(frozen=True)
class Killed:
    """A run whose driver was killed when it was about to save, and that was then resumed."""

    run: Run
    lost: Log
    """The steps that were made since the last checkpoint, as the killed attempt logged them."""


@pytest.fixture(scope="session")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """The tiny preset on two ZeRO-3 ranks, killed at the end of its RL stage and resumed."""
    run = Run(tmp_path_factory.mktemp("sharded") / "tiny")
    changes = ("learner.ranks=2", "learner.zero_stage=3", "checkpoint.every=100")
    killed = train(run.directory, *changes, fault="ckpt.before_tmp=kill@2")
    assert killed.code == -signal.SIGKILL, f"{killed}\n{run.process_logs()}"
    assert (run.state().stage, run.state().step) == ("sft", 6)
    lost = run.steps("reasoning")
    finished = train(run.directory, *changes, "--resume")
    assert finished.code == 0, f"{finished}\n{run.process_logs()}"
    return Killed(run, lost)


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with another tokenizer than that of the tiny preset."""
    return build_tiny(tmp_path_factory.mktemp("other") / "model")


@pytest.fixture
def assay(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Assay:
    """Run a command in this process: what starts no actor then takes no import of its own."""

    def run(*arguments: str) -> Finished:
        return in_this_process(monkeypatch, capfd, *arguments)

    return run
