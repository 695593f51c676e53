"""The Python sandbox on hostile programs: bounded text, nothing left behind, nothing reached."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from configs.errors import MissingCapability
from envs.killable import ROOT
from envs.simulated import python, sandbox
from envs.simulated.python import PythonTasks
from envs.simulated.sandbox import SandboxLimits, check_isolation, run_code
from envs.tool_demonstrations import ToolDemonstrations, play
from envs.tools import CallError, ToolUnavailable, gold_episode
from envs.types import Message, ToolCall
from rewards.numeric import NumericVerifier
from rollout.types import StopReason, Trajectory

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="needs bubblewrap: apt-get install bubblewrap"
)

LIMITS = SandboxLimits(seconds=4.0)  # it takes 0.05 on a quiet machine
LATE_S = 3.0
SECRET = "canary-3f1b"


def outcome(code: str) -> str:
    """What it wrote, or the name of the error; fails where it is late or leaves a process."""
    check_isolation()
    others = _children()  # left running by tests before
    started = time.monotonic()
    try:
        text = run_code(code, LIMITS)
    except (TimeoutError, ValueError) as error:
        text = type(error).__name__
    assert time.monotonic() - started < LIMITS.seconds + LATE_S
    deadline = time.monotonic() + 2
    while (children := _children() - others) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not children, f"{code[:60]} left {children}"
    assert SECRET not in text
    assert len(text.encode()) < 2 * LIMITS.output_bytes
    return text


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", SECRET)


def test_honest_programs() -> None:
    assert outcome("print(6 * 7)") == "42"
    assert outcome("") == ""
    assert outcome("import sys; print('a'); print('b', file=sys.stderr)") == "a\nb"
    assert outcome("import sys; sys.exit(3)") == "[exit code 3]"
    assert "ZeroDivisionError" in outcome("1 / 0")
    assert outcome("import decimal, statistics, math, datetime, fractions, itertools") == ""
    assert outcome("import asyncio; print(asyncio.run(asyncio.sleep(0, 7)))") == "7"


def test_no_zombie_is_left_to_who_adopts_orphans() -> None:
    script = (
        "import ctypes, psutil\n"
        "from envs.simulated.sandbox import SandboxLimits, run_code\n"
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER\n"
        "for code in ['print(1)', 'while True: pass', '1 / 0']:\n"
        "    try: run_code(code, SandboxLimits(seconds=0.5))\n"
        "    except TimeoutError: pass\n"
        "print(psutil.Process().children(recursive=True))"
    )
    environment = {**os.environ, "PYTHONPATH": ROOT}
    host = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert host.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("import os; os.fork()", "PermissionError"),
        ("import subprocess; subprocess.run(['/bin/true'])", "PermissionError"),
        ("import multiprocessing as m; m.Process(target=print).start()", "PermissionError"),
        ("import socket; socket.socket()", "PermissionError"),
        ("import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "PermissionError"),
        ("open('/usr/x', 'w')", "Read-only"),
        ("open('/x', 'w')", "Read-only"),
        ("open('/dev/shm/x', 'w')", "Read-only"),
        ("open('/main.py', 'w')", "Read-only"),
        ("open('/etc/passwd')", "No such file"),
        ("open('/proc/1/environ')", "No such file"),
        ("import os; print(os.listdir('/root'))", "No such file"),
        ("x = bytes(10**10)", "MemoryError"),
        ("open('x', 'w')", "Read-only"),
        ("import os\nn = 0\nwhile True: os.mkdir(f'{n}'); n += 1", "Read-only"),
        ("import threading as t; t.Thread(target=print).start()", "can't start new thread"),
        # What is the machine's stays as it is, and carries no message to the next program.
        ("import os; os.chmod('/dev/full', 0o640)", "PermissionError"),
        ("import os; os.utime('/dev/full', (1, 2))", "PermissionError"),
        ("import os; os.chown('/dev/full', 0, 0)", "PermissionError"),
        ("import os; os.setxattr('/dev/full', 'user.x', b'1')", "PermissionError"),
        ("import fcntl as f; f.flock(open('/usr/bin/env'), f.LOCK_EX)", "PermissionError"),
        ("import fcntl as f; f.lockf(open('/main.py'), f.LOCK_SH)", "PermissionError"),
        ("import fcntl as f; f.fcntl(open('/main.py'), f.F_SETLEASE, f.F_RDLCK)", "not permitted"),
        ("import os; os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0))", "not permitted"),
        ("import os; print(dict(os.environ))", "{"),
        ("import ctypes; print(ctypes.CDLL(None).unshare(0x10000000))", "-1"),
        ("import ctypes; print(ctypes.CDLL(None).syscall(101, 0, 0, 0, 0))", "-1"),
        ("import ctypes; ctypes.string_at(0)", "[exit code 139]"),
        ("print('\\ud800')", "UnicodeEncodeError"),
        ("import os; print(os.getuid(), os.getpid() < 10)", "65534 True"),
        ("while True: print('y' * 1000)", "[stopped: more than 16384 bytes of output]"),
        ("while True: pass", "TimeoutError"),
        ("import os; os.close(1); os.close(2)\nwhile True: pass", "TimeoutError"),
        ("import time; time.sleep(100)", "TimeoutError"),
        ("import signal\nfor n in range(1, 31):\n try: signal.signal(n, signal.SIG_IGN)\n"
         " except OSError: pass\nwhile True: pass", "TimeoutError"),
        ("\ud800", "UnicodeEncodeError"),
        # What feigns a sandbox that does not start is a program like any other.
        ("print('bwrap: no namespace'); raise SystemExit(1)", "[exit code 1]"),
        ("print('bwrap: no namespace' + 'x' * 20000)", "[stopped: more than"),
        ("import os; os.write(1, b'bwrap: '); os.kill(os.getpid(), 9)", "[exit code 137]"),
        # Whoever is above: init does not hear it, and there is nobody else.
        ("import os; os.kill(os.getppid(), 9); print('went on')", "went on"),
        ("import os; os.kill(1, 19); os.kill(1, 15); print('went on')", "went on"),
        ("import os; os.kill(-1, 9)", "ProcessLookupError"),
        ("import os; os.killpg(0, 9)", "[exit code 137]"),
        (f"import os; os.kill({os.getpid()}, 9)", "ProcessLookupError"),
        # Memory that is nobody's address space, and the init that reports the exit code.
        ("import os; os.memfd_create('x')", "PermissionError"),
        ("import ctypes; print([ctypes.CDLL(None).syscall(n, 0, 4096, 0o1600)"
         " for n in ((29, 68, 64) if __import__('platform').machine() == 'x86_64'"
         " else (194, 186, 190))])", "[-1, -1, -1]"),
        ("import os; os.pidfd_open(1)", "not implemented"),
        ("import ctypes; print(ctypes.CDLL(None).syscall(438, 3, 1, 0))", "-1"),
        ("import resource as r; r.prlimit(1, r.RLIMIT_CPU, (0, 0))", "PermissionError"),
        ("import resource as r; r.setrlimit(r.RLIMIT_CPU, (1, 1)); print('own')", "own"),
    ],
)  # fmt: skip
def test_hostile_programs(code: str, shown: str) -> None:
    assert shown in outcome(code)


def test_the_attack_strings(assay_data: Path) -> None:
    path = assay_data.parent / "cases" / "attack_strings.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["tool"] == "python"]
    assert len(rows) > 10
    before = sorted(os.listdir("/tmp"))
    for row in rows:
        outcome(row["payload"])
    assert outcome("print('still alive')") == "still alive"
    new = set(os.listdir("/tmp")) - set(before)
    assert not new & {"f", "x", "conftest.py"}


def test_without_isolation_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    check_isolation.cache_clear()
    with pytest.raises(MissingCapability, match="apt-get install bubblewrap"):
        run_code("print(1)", LIMITS)
    monkeypatch.undo()
    check_isolation.cache_clear()
    plain = sandbox._command

    def broken(*arguments: object) -> list[str]:
        command = plain(*arguments)  # type: ignore[arg-type]
        return [*command[: command.index(shutil.which("bwrap")) + 1], "--no-such-option"]

    monkeypatch.setattr(sandbox, "_command", broken)
    with pytest.raises(MissingCapability, match="cannot isolate here"):
        run_code("print(1)", LIMITS)
    monkeypatch.undo()
    check_isolation.cache_clear()


def test_gold_programs_give_the_gold_answers() -> None:
    for split in ("train", "heldout"):
        tasks = PythonTasks(split, levels=(1, 2, 3, 4), size=10)
        for index in range(len(tasks)):
            task = tasks[index]
            _, step, end = play(task, gold_episode(task))
            [record] = step.calls
            told = Message("assistant", f"\\boxed{{{record.result}}}")
            trajectory = Trajectory(task, 0, (), (told,), StopReason.STOP)
            assert NumericVerifier()(trajectory).reward == 1.0, (task, record)
            assert end.done
    shown = ToolDemonstrations(PythonTasks(), tool_share=1.0)[0]
    assert shown.turns[1].content == shown.task.answer


def test_programs_take_turns_and_a_full_house_is_no_late_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ThreadPoolExecutor(12) as threads:
        results = list(threads.map(python.run_python, [f"print({n})" for n in range(12)]))
    assert results == [str(n) for n in range(12)]
    monkeypatch.setattr(python, "WAIT_S", 0.0)
    held = [python.places().acquire() for _ in range(os.cpu_count() or 1)]
    with pytest.raises(ToolUnavailable, match="try again"):
        python.run_python("print(1)")
    for _ in held:
        python.places().release()


def test_a_late_program_is_told_to_the_policy() -> None:
    task = PythonTasks()[0]
    endless = Message("assistant", "", (ToolCall("run_python", {"code": "while True: pass"}),))
    assert play(task, [endless])[1].calls[0].error == CallError.DEADLINE
