"""The judge that is trained before a run, by the process that a run starts for it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from configs.errors import FaultBudgetSpent
from launch.gold import TINY_FORMS, forms_of
from launch.tiny_judge import prepare_tiny_judge

SECONDS = 120.0


def test_it_is_trained_once(tmp_path: Path) -> None:
    directory = tmp_path / "judge"
    assert prepare_tiny_judge(directory, seed=1, steps=2) > 0
    assert (directory / "model.safetensors").exists()
    assert forms_of(str(directory)) == TINY_FORMS  # it says which rubric it takes, and how
    assert "step 0 loss" in (tmp_path / "judge.log").read_text()
    assert prepare_tiny_judge(directory, seed=1, steps=2) == 0


def test_a_training_that_fails_names_its_log(tmp_path: Path) -> None:
    (tmp_path / "judge_base").write_text("a file where a folder is to be")
    with pytest.raises(FaultBudgetSpent, match=r"exit 1\).*judge\.log"):
        prepare_tiny_judge(tmp_path / "judge", seed=1, steps=2)


def test_it_does_not_outlive_the_run(tmp_path: Path) -> None:
    call = "prepare_tiny_judge(pathlib.Path(sys.argv[1]), 1, 100_000)"
    code = f"import pathlib, sys; from launch.tiny_judge import prepare_tiny_judge; {call}"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "judge")]) as run:
        try:
            training = _child(run.pid)
        finally:
            run.kill()
    training.wait(SECONDS)  # raises when it goes on


def _child(pid: int) -> psutil.Process:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if children := psutil.Process(pid).children():
            return children[0]
        time.sleep(0.1)
    raise AssertionError("no training was started")
