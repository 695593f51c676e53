"""Python code of the policy's, in a sandbox of its own for each run (bubblewrap).

No network, no other processes, nothing of the machine but a read-only /usr and Python's library, no
place to write to (a tmpfs bounds bytes, but not how many folders), no environment variables; limits
on time, memory and output. Where that cannot be had it is refused, never weakened. Nothing is ever
graded inside: what comes out is text that the policy reads.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from pathlib import Path

from configs.errors import MissingCapability
from envs.simulated.seccomp import sandbox_filter

INSTALL = "install it with: apt-get install bubblewrap util-linux"
MEGABYTE = 1 << 20
PYTHON_AT = "/python"


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Of one run. Memory is address space."""

    seconds: float = 5.0
    memory_mb: int = 512
    output_bytes: int = 16_384


def run_code(code: str, limits: SandboxLimits) -> str:
    """What a Python program writes, standard output and errors together, with its exit code where
    that is not 0.

    Raises TimeoutError at the deadline, ValueError for text that is no program, MissingCapability
    without bubblewrap, RuntimeError where the sandbox cannot be started.
    """
    check_isolation()
    data = code.encode()  # UnicodeEncodeError, a ValueError, for lone surrogates
    return _run(data, limits)


@cache
def check_isolation() -> None:
    """Raise MissingCapability, with what to do, unless a sandbox works here."""
    try:
        output = _run(b"print(6 * 7)", SandboxLimits(seconds=60.0))
    except (RuntimeError, TimeoutError) as error:
        raise MissingCapability(
            f"bubblewrap cannot isolate here: {error}; allow unprivileged user namespaces: "
            "sysctl -w kernel.unprivileged_userns_clone=1 "
            "kernel.apparmor_restrict_unprivileged_userns=0, or start the container with them"
        ) from error
    if output != "42":
        raise MissingCapability(f"Python does not run in the sandbox: {output[:200]}")


def _program(name: str) -> str:
    """Where a program is. Raises MissingCapability."""
    path = shutil.which(name)
    if path is None:
        raise MissingCapability(f"the Python sandbox needs {name}; {INSTALL}")
    return path


def _run(code: bytes, limits: SandboxLimits) -> str:
    """Start, read until the end or a limit, kill, and say how it went."""
    status, status_fd = os.pipe()
    code_fd, filter_fd = _in_memory(code), _in_memory(sandbox_filter())
    with os.fdopen(status, "rb") as report:
        try:
            process = subprocess.Popen(
                _command(limits, code_fd, filter_fd, status_fd),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={},
                cwd="/",
                start_new_session=True,
                pass_fds=(code_fd, filter_fd, status_fd),
            )
        finally:
            for descriptor in (code_fd, filter_fd, status_fd):
                os.close(descriptor)
        assert process.stdout is not None
        with process.stdout as output:
            try:
                text, end = _read(process, output.fileno(), limits)
            finally:
                # bwrap is the parent of the sandbox's init, which takes everything in it along.
                process.kill()
                process.wait()
        events = [json.loads(line) for line in report.read().splitlines()]
    for event in events:
        if "child-pid" in event:
            # Where this process adopts orphans, the sandbox's init is one now.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(event["child-pid"], 0)
    if end is End.LATE:
        raise TimeoutError(f"not finished within {limits.seconds:g} s")
    codes = [event["exit-code"] for event in events if "exit-code" in event]
    # Not by the text, which the program may feign: bwrap reports the exit of all that it starts.
    if end is End.EXIT and not codes:
        raise RuntimeError(f"the sandbox does not start: {text[:300]}")
    return "\n".join([text, *(f"[exit code {code}]" for code in codes if code)]).strip("\n")


class End(Enum):
    """Why reading stopped."""

    EXIT = auto()
    LATE = auto()
    FLOOD = auto()


def _read(process: subprocess.Popen[bytes], output: int, limits: SandboxLimits) -> tuple[str, End]:
    """What is written until the program ends or a limit is reached."""
    deadline = time.monotonic() + limits.seconds
    poll = select.poll()
    poll.register(output, select.POLLIN)
    parts, size = [], 0
    while part := _next_part(poll, output, deadline):
        parts.append(part)
        size += len(part)
        if size > limits.output_bytes:
            text = b"".join(parts)[: limits.output_bytes].decode(errors="replace")
            return f"{text}\n[stopped: more than {limits.output_bytes} bytes of output]", End.FLOOD
    text = b"".join(parts).decode(errors="replace")
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return text, End.LATE
    return text, End.EXIT


def _next_part(poll: select.poll, output: int, deadline: float) -> bytes:
    """What has been written since, b"" at the end and at the deadline."""
    left = deadline - time.monotonic()
    return os.read(output, 1 << 16) if left > 0 and poll.poll(left * 1000) else b""


def _in_memory(data: bytes) -> int:
    """An open file with these bytes, at its beginning."""
    descriptor = os.memfd_create("sandbox")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _command(limits: SandboxLimits, code_fd: int, filter_fd: int, status_fd: int) -> list[str]:
    """The program to run. Limits are set first, so that everything inside inherits them."""
    seconds = math.ceil(limits.seconds) + 1
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return [
        *(_program("prlimit"), f"--as={limits.memory_mb * MEGABYTE}", f"--cpu={seconds}"),
        *("--nofile=64", "--core=0", "--"),
        *(_program("bwrap"), "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net"),
        *("--unshare-uts", "--unshare-cgroup-try", "--disable-userns", "--cap-drop", "ALL"),
        *("--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--clearenv"),
        *("--die-with-parent", "--new-session", "--ro-bind", "/usr", "/usr"),
        *_library_links(),
        *("--ro-bind", sys.base_prefix, PYTHON_AT, "--dev", "/dev", "--remount-ro", "/dev"),
        *("--ro-bind-data", str(code_fd), "/main.py"),
        *("--dir", "/tmp", "--chdir", "/tmp"),
        *("--remount-ro", "/"),  # last: it holds the places that the others are put on
        *("--seccomp", str(filter_fd), "--json-status-fd", str(status_fd)),
        *(f"{PYTHON_AT}/bin/{version}", "-I", "-u", "/main.py"),
    ]


def _library_links() -> Iterator[str]:
    """/lib and its like, which are links into /usr on most systems and folders on some."""
    for name in ("/bin", "/lib", "/lib32", "/lib64"):
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", os.readlink(path), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
