"""What is shown of a run, what is kept off the terminal, and how its memory is measured."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from launch.console import (
    Console,
    clock,
    dropped_by_cause,
    evaluation_line,
    event_line,
    log_dir,
    printable,
    quiet_output,
    step_line,
)
from launch.memory import RUN_ID_VARIABLE, PeakMemory, new_run_id
from rl.tracking import START, EvaluationRecord, EventRecord, StepRecord, TaskResult

RL_METRICS = {
    "reward/mean": 0.412,
    "reward/accuracy": 0.4375,
    "tokens/generated": 2468.0,
    "time/step": 2.0,
    "length/mean": 31.6,
    "tokens/gradient_share": 0.715,
    "staleness/max": 1.0,
    "group/dropped/fault": 1.0,
    "group/dropped/zero_variance": 4.0,
    "group/dropped/no_verdict": 0.0,
}


def rl_step(step: int) -> StepRecord:
    return StepRecord("reasoning", "rl", step, 200, step, RL_METRICS)


def test_the_line_of_an_rl_step_says_what_a_person_asks_for() -> None:
    line = step_line(rl_step(12), "6:16")
    for said in (
        "reasoning  12/200",
        "reward 0.412",
        "accuracy 43.8%",
        "1,234 tok/s",
        "length 32  gradient 72%",
        "stale 1",
        "dropped 5 (zero_variance 4, fault 1)",
        "ETA 6:16",
    ):
        assert said in line


def test_the_line_of_an_sft_step_has_the_loss_and_no_rollout_figures() -> None:
    metrics = {"loss/mean": 1.25, "learner/lr": 1e-3, "tokens/trained": 1000.0, "time/step": 0.5}
    line = step_line(StepRecord("sft", "sft", 3, 9, 0, metrics), "0:03")
    assert "loss 1.2500" in line
    assert "2,000 tok/s" in line
    assert "dropped" not in line
    assert "stale" not in line


def test_nothing_dropped_is_said_too() -> None:
    assert dropped_by_cause({"reward/mean": 1.0}) == "dropped 0"


def test_without_a_terminal_each_record_is_one_plain_line_however_long() -> None:
    shown = io.StringIO()
    console = Console(shown)
    for step in (1, 2):
        console.write(step, rl_step(step))
    console.write(2, EventRecord("fault", {"what": "x" * 200}))
    console.write(2, EventRecord("publish", {"version": 3}))
    console.close()
    lines = shown.getvalue().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["reasoning", "reasoning", "fault:"]
    assert "\x1b" not in shown.getvalue()
    assert "ETA 6:38" in lines[0]  # 199 more steps of 2 s
    assert len(lines[2]) > 200


def test_a_notice_is_its_source_and_message() -> None:
    assert event_line("notice", {"source": "evaluation", "message": "one set is empty"}) == (
        "evaluation: one set is empty"
    )


def test_on_a_terminal_a_bar_stands_below_the_lines() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    console = Console(shown)
    console.write(1, rl_step(1))
    console.close()
    assert "1/200  6:38 left" in shown.getvalue()
    assert "\x1b[2K" in shown.getvalue()  # the bar is redrawn in place


def test_the_line_of_an_evaluation_splits_by_mode() -> None:
    results = (
        TaskResult("a", {}, True, 10, 8, True, 100, 1.0),
        TaskResult("b", {}, False, 10, 2, False, 100, 1.0),
    )
    line = evaluation_line(EvaluationRecord("reasoning", 9, 12.0, results))
    assert line.startswith("held-out after reasoning: pass@1 50.0%, greedy 50.0%")
    assert "thinking 80.0%, non-thinking 20.0%, 2 tasks" in line
    assert "left out" not in line
    short = EvaluationRecord("reasoning", 9, 12.0, results, prompts_too_long=3)
    assert evaluation_line(short).endswith(", 3 left out: prompt too long")
    midway = EvaluationRecord("reasoning", 9, 12.0, results, step=40)
    assert evaluation_line(midway).startswith("held-out after reasoning 40: pass@1")
    sets = tuple(replace(r, labels={"set": name}) for r, name in zip(results, "ab", strict=True))
    by_set = evaluation_line(EvaluationRecord("reasoning", 9, 12.0, sets))
    assert "pass@1 50.0% (a 80.0%, b 20.0%), greedy" in by_set
    assert "no task" in evaluation_line(EvaluationRecord(START, 0, 0.0, ()))


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[2Jgone",
        "a\rb",
        "a\nb",
        "\x9b31m",
        "\u202egnp",
        "\ud800",
        "\u2028",
        "\x07",
        "\u200b",
        "\ufe0f",
    ],
)
def test_hostile_text_is_shown_as_one_harmless_line(hostile: str) -> None:
    shown = printable(hostile)
    assert shown.isprintable()
    assert len(shown.splitlines()) == 1
    shown.encode("utf-8")


def test_ordinary_text_is_shown_as_it_is_and_long_text_is_cut() -> None:
    assert printable("净利润 12.5 % [bold] émoi") == "净利润 12.5 % [bold] émoi"
    assert printable("x" * 1000) == "x" * 300 + "... (700 more characters)"


def test_clock() -> None:
    assert [clock(s) for s in (0, 59.6, 71, 3671)] == ["0:00", "1:00", "1:11", "1:01:11"]


def test_output_of_the_process_and_its_children_goes_to_the_file(tmp_path: Path) -> None:
    log = log_dir(tmp_path, 2) / "driver.log"
    script = f"""
import os, subprocess, sys
from pathlib import Path
from launch.console import quiet_output
print("before")
with quiet_output(Path({str(log)!r})) as terminal:
    print("from python")
    print("to stderr", file=sys.stderr)
    os.write(1, b"from C\\n")
    subprocess.run(["echo", "from a child"], check=True)
    print("for the person \\udcff", file=terminal)
print("after")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["before", "for the person \\udcff", "after"]
    assert done.stderr == ""
    for line in ("from python", "to stderr", "from C", "from a child"):
        assert line in log.read_text().splitlines()


def test_output_comes_back_when_the_block_raises(tmp_path: Path) -> None:
    before = os.fstat(1).st_ino
    with pytest.raises(RuntimeError), quiet_output(tmp_path / "x.log"):
        raise RuntimeError
    assert os.fstat(1).st_ino == before


HOLD = """
import os, sys
held = bytearray(b"1" * int(sys.argv[1]))
print(os.getpid(), flush=True)
sys.stdin.read()
"""


class Holder:
    """A process that holds some bytes until `close`. An orphan is no descendant of this process."""

    def __init__(self, size: int, run_id: str = "", orphan: bool = False) -> None:
        self._started = subprocess.Popen(
            [*(["setsid", "--fork"] if orphan else []), sys.executable, "-c", HOLD, str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, RUN_ID_VARIABLE: run_id},
        )
        assert self._started.stdout is not None
        self.pid = int(self._started.stdout.readline())

    def close(self) -> None:
        self._started.communicate()


def test_peak_memory_counts_a_child_that_is_gone_again() -> None:
    with PeakMemory(new_run_id(), interval_s=0.02) as memory:
        before = memory.sample()
        child = Holder(60_000_000)
        during = memory.sample()
        child.close()
        after = memory.sample()
    assert 55e6 < during - before < 100e6
    assert after < during - 50e6
    assert memory.peak_gb >= during / 1e9


@pytest.mark.skipif(not psutil.LINUX, reason="setsid --fork is a Linux command")
def test_peak_memory_finds_a_marked_process_that_is_no_descendant() -> None:
    memory = PeakMemory(run_id := new_run_id())
    marked, stranger = Holder(1, run_id, orphan=True), Holder(1, "another run", orphan=True)
    found = {process.pid for process in memory.processes()}
    marked.close()
    stranger.close()
    assert marked.pid in found
    assert stranger.pid not in found


def test_peak_memory_counts_shared_pages_once() -> None:
    share = """
import mmap, os, sys
shared = mmap.mmap(-1, 60_000_000); shared.write(b"1" * 60_000_000)
for _ in range(3):
    if os.fork() == 0:
        shared.seek(0); shared.read(); break
print("held", flush=True)
sys.stdin.read()
"""
    memory = PeakMemory(new_run_id())
    before = memory.sample()
    process = subprocess.Popen(
        [sys.executable, "-c", share], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(4):
        process.stdout.readline()
    extra = memory.sample() - before
    process.communicate()
    assert 30e6 < extra < 120e6  # this process, counted too, may have become smaller meanwhile
