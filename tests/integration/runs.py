"""Whole runs of `assay` in processes of their own, watched, killed, and read from their logs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from configs.faultpoints import VARIABLE
from launch import cli
from launch.memory import RUN_ID_VARIABLE
from rl.checkpoint import Checkpoint, RunState, latest_checkpoint, load_state
from rl.jsonl import read_log

ROOT = Path(__file__).resolve().parents[2]
TINY = Path(__file__).parent / "presets" / "tiny.yaml"

START_S = 480.0
"""Longest wait for a run to come to a point: most of it is imports, on cores shared with others."""

GONE_S = 180.0
"""Longest wait for the processes of a killed run to be gone."""

Log = list[dict[str, Any]]

TIMES = ("time", "elapsed_s", "seconds", "generate_s", "env_s")


@dataclass(frozen=True)
class Finished:
    """What a command printed and the code it ended with, negative for a signal."""

    code: int
    out: str
    err: str
    run_id: str = ""


@dataclass(frozen=True)
class Run:
    """A run's directory."""

    directory: Path

    def log(self, name: str) -> Log:
        return read_log(self.directory / f"{name}.jsonl")

    def superseded(self, name: str) -> Log:
        """What lost attempts had written after the checkpoint that was continued from."""
        folders = sorted((self.directory / "superseded").glob("attempt_*"))
        return [line for folder in folders for line in read_log(folder / f"{name}.jsonl")]

    def steps(self, stage: str) -> Log:
        return [line for line in self.log("metrics") if line["stage"] == stage]

    def checkpoint(self) -> Checkpoint:
        checkpoint = latest_checkpoint(self.directory / "checkpoints")
        assert checkpoint is not None, f"{self.directory} has no checkpoint"
        return checkpoint

    def state(self) -> RunState:
        return load_state(self.checkpoint())

    def process_logs(self) -> str:
        """The end of what each process printed, for the message of a failed test."""
        logs = sorted((self.directory / "logs").glob("attempt_*/*.log"))
        return "\n".join(f"== {log}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)


@dataclass(frozen=True)
class Running:
    """A command under way. `run_id` stands in the environment of each of its processes."""

    process: subprocess.Popen[str]
    run_id: str

    def finish(self, timeout_s: float = START_S) -> Finished:
        out, err = self.process.communicate(timeout=timeout_s)
        return Finished(self.process.returncode, out, err, self.run_id)

    def wait_until(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_S
        while not reached():
            code = self.process.poll()
            assert code is None, f"ended with {code} before {what}: {self.process.communicate()}"
            assert time.monotonic() < deadline, f"no {what} within {START_S:g} s"
            time.sleep(0.02)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "launch.cli", *arguments]


def environment(**variables: str) -> dict[str, str]:
    inherited = {n: v for n, v in os.environ.items() if n not in (VARIABLE, RUN_ID_VARIABLE)}
    return {
        **inherited,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        **variables,
    }


def _heed_interrupts() -> None:
    """A shell has what it starts in the background ignore them, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def running(*arguments: str, fault: str = "", cwd: Path = ROOT) -> Iterator[Running]:
    """Start `assay ARGUMENTS`; when the block ends, none of its processes is left."""
    run_id = f"test-{uuid.uuid4().hex[:12]}"
    process = subprocess.Popen(
        command(*arguments),
        cwd=cwd,
        env=environment(**{RUN_ID_VARIABLE: run_id, VARIABLE: fault}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_interrupts,
    )
    try:
        yield Running(process, run_id)
    finally:
        process.kill()
        process.wait()
        wait_until_gone(run_id)


def assay(*arguments: str, fault: str = "", cwd: Path = ROOT) -> Finished:
    """Run `assay ARGUMENTS` to its end."""
    with running(*arguments, fault=fault, cwd=cwd) as run:
        return run.finish()


def processes_of(run_id: str) -> list[psutil.Process]:
    """The live processes that were started with this run's id in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(RUN_ID_VARIABLE) == run_id:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until_gone(run_id: str) -> None:
    """Fail if processes of a run outlive its driver by more than `GONE_S`; they are ended then."""
    deadline = time.monotonic() + GONE_S
    while left := processes_of(run_id):
        if time.monotonic() > deadline:
            named = [" ".join(process.cmdline())[:100] for process in left]
            for process in left:
                process.kill()
            raise AssertionError(f"left behind by run {run_id}: {named}")
        time.sleep(0.1)


def in_this_process(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str
) -> Finished:
    """Run `assay ARGUMENTS` here, for what starts no actor."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.argv", ["assay", *arguments])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return Finished(int(ended.value.code or 0), *capfd.readouterr())


def train(directory: Path, *arguments: str, preset: Path = TINY, fault: str = "") -> Finished:
    """Train in `directory`, which is named after the run."""
    return assay("train", str(preset), *where(directory), *arguments, fault=fault)


def where(directory: Path) -> Sequence[str]:
    return f"output={directory.parent}", f"name={directory.name}"


def comparable(log: Log) -> Log:
    """Log lines without what differs between two runs of the same: clocks and durations."""
    return [_timeless(line) for line in log]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _timeless(item)
            for name, item in value.items()
            if name not in TIMES and not name.startswith("time/")
        }
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def assert_same_steps(one: Log, other: Log, tolerance: float = 1e-5) -> None:
    """The same steps with the same counts; losses and other measurements within a tolerance."""
    one, other = comparable(one), comparable(other)
    assert [place(line) for line in one] == [place(line) for line in other]
    for left, right in zip(one, other, strict=True):
        assert left.keys() == right.keys()
        wrong = {
            name: (value, right[name])
            for name, value in left.items()
            if not close(value, right[name], tolerance)
        }
        assert not wrong, f"{place(left)}: {wrong}"


def place(line: Mapping[str, Any]) -> tuple[str, int]:
    return line["stage"], line["step"]


def close(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= tolerance
    return bool(one == other)
