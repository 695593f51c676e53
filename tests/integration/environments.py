"""Environments that behave, and some that do not; named by import path in the tasks of tests."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from envs.tools import ToolEnv
from envs.types import Message, Step, Task


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def wait(seconds: float) -> str:
    """Wait."""
    time.sleep(seconds)
    return "waited"


def spin() -> str:
    """Never return, and never let go of the interpreter's lock for long."""
    while True:
        pass


def freeze(seconds: int) -> str:
    """Hold the interpreter's lock."""
    ctypes.PyDLL(None).sleep(seconds)
    return "thawed"


def die() -> str:
    """Kill the process that plays the episode."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def leave() -> str:
    """Ask the interpreter to end."""
    sys.exit(3)


def daemon(marker: str) -> str:
    """Start a process that leaves for a session of its own and outlives its parent."""
    code = f"import os, time; os.fork() and os._exit(0); os.setsid(); time.sleep(600)  # {marker}"
    subprocess.run([sys.executable, "-c", code], check=True)
    return "started"


def shout() -> bytes:
    """Ten megabytes that are no text."""
    return b"\xff\x00" * 5_000_000


class Tools(ToolEnv):
    """All of them."""

    def __init__(self) -> None:
        super().__init__([add, wait, spin, freeze, die, leave, daemon, shout])


@dataclass
class HangsAtReset:
    def reset(self, task: Task) -> Step:
        time.sleep(600)
        return Step()

    def step(self, reply: Message) -> Step:
        return Step()

    def close(self) -> None:
        return None
