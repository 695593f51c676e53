"""Environments that behave, and some that do not; named by import path in the tasks of tests."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from envs.tools import ToolEnv
from envs.types import Message, Step, Task


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def wait(seconds: float) -> str:
    """Wait."""
    time.sleep(seconds)
    return "waited"


meetings: list[asyncio.Event] = []


async def meet() -> str:
    """Wait for another call of this tool."""
    if meetings:
        meetings.pop().set()
        return "met"
    meetings.append(here := asyncio.Event())
    try:
        async with asyncio.timeout(0.2):
            await here.wait()
    except TimeoutError:
        meetings.remove(here)
        return "alone"
    return "met"


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


async def feign() -> str:
    """Behave as if this call had been cancelled."""
    raise asyncio.CancelledError


def daemon(marker: str) -> str:
    """Start a process that leaves for a session of its own and outlives its parent."""
    code = f"import os, time; os.fork() and os._exit(0); os.setsid(); time.sleep(600)  # {marker}"
    subprocess.run([sys.executable, "-c", code], check=True)
    return "started"


def mutiny(marker: str) -> str:
    """Start a process that kills the one that plays the episode, and lives on."""
    code = f"import os, time; os.kill(os.getppid(), {signal.SIGKILL}); time.sleep(600)  # {marker}"
    subprocess.run([sys.executable, "-c", code], check=True)
    return "alive"


def desertion(seconds: int) -> str:
    """The same by a fork, which has all that its parent had open, in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(seconds)
        os._exit(0)
    time.sleep(seconds)
    return "alive"


def shout() -> bytes:
    """Ten megabytes that are no text."""
    return b"\xff\x00" * 5_000_000


class Tools(ToolEnv):
    """All of them."""

    def __init__(self) -> None:
        tools = [add, wait, meet, spin, freeze, die, mutiny, desertion, leave, feign, daemon, shout]
        super().__init__(tools)


@dataclass
class HangsAtReset:
    def reset(self, task: Task) -> Step:
        time.sleep(600)
        return Step()

    def step(self, reply: Message) -> Step:
        return Step()

    def close(self) -> None:
        return None


class OneTask:
    """A task set of two questions for `env`, whose gold call is `gold`."""

    ENV = "tests.integration.environments:Adds"
    GOLD = ("add", {"a": 1, "b": 2})
    ANSWER = "3"

    def __init__(self, split: str = "train") -> None:
        self.split = split
        self.fingerprint = f"one-{split}"

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Task:
        name, arguments = self.GOLD
        return Task(
            id=f"{self.split}/{index}",
            env=self.ENV,
            prompt=(Message("user", f"Question {index} of {self.split}?"),),
            answer=self.ANSWER,
            metadata={"gold_calls": [[{"name": name, "arguments": arguments}]]},
        )


class GoldIsWrong(OneTask):
    ANSWER = "4"
    GOLD = ("subtract", {"a": 1})


class Adds(ToolEnv):
    def __init__(self) -> None:
        super().__init__([add])


class GoldHangs(OneTask):
    ENV = "tests.integration.environments:Tools"
    GOLD = ("spin", {})


class Leaks(OneTask):
    ENV = "tests.integration.environments:Daemons"
    GOLD = ("daemon", {"marker": "leaked-by-a-test"})


class Daemons(ToolEnv):
    def __init__(self) -> None:
        super().__init__([daemon])


class Overlaps(OneTask):
    def __init__(self, split: str = "train") -> None:
        super().__init__()


class Dice:
    """A plain object with a world for each seed."""

    def reset(self, seed: int) -> str:
        self.pips = 1 + seed % 6
        return "A die was thrown."

    def look(self) -> int:
        """See the die."""
        return self.pips


class Changes(OneTask):
    ENV = "tests.integration.environments:Clock"


class Clock(ToolEnv):
    """Tells the time with every result."""

    def __init__(self) -> None:
        super().__init__([add])

    def step(self, reply: Message) -> Step:
        step = super().step(reply)
        told = tuple(Message(m.role, f"{m.content} {time.monotonic()}") for m in step.messages)
        return Step(told, step.done, step.reward, calls=step.calls)


class Gives(OneTask):
    """A world that is content with anything."""

    ENV = "tests.integration.environments:Content"
    ANSWER = ""


class Content(ToolEnv):
    def __init__(self) -> None:
        super().__init__([add], score=lambda: 1.0)


class Salted(OneTask):
    """Tasks that are others in every process."""

    def __getitem__(self, index: int) -> Task:
        task = super().__getitem__(index)
        return Task(f"{task.id}/{hash('salt')}", task.env, task.prompt, task.answer)


class SaltedReplies(OneTask):
    ENV = "tests.integration.environments:Salts"
    GOLD = ("salt", {})


class Salts(ToolEnv):
    def __init__(self) -> None:
        super().__init__([salt])


def salt() -> int:
    """What a process makes of a text."""
    return hash("salt")


class Rambles(OneTask):
    ENV = "tests.integration.environments:Stories"
    GOLD = ("ramble", {})


class Stories(ToolEnv):
    def __init__(self) -> None:
        super().__init__([ramble])


def ramble() -> str:
    """More than anybody reads."""
    return "3" * 5000


class Mumbles(OneTask):
    """Whose answer nobody could know."""

    GOLD = ("add", {"a": 100, "b": 131})


class Litters(OneTask):
    """Leaves a file somewhere at every call."""

    ENV = "tests.integration.environments:Litter"
    GOLD = ("litter", {})


class LittersByChild(Litters):
    """Leaves a file in a subfolder of the temporary one, by another program."""

    GOLD = ("litter_by_child", {})


class LittersByTask(OneTask):
    """Leaves a file for each task."""

    ENV = "tests.integration.environments:LitterByTask"

    def __len__(self) -> int:
        return 20


class Litter(ToolEnv):
    def __init__(self) -> None:
        super().__init__([litter, litter_by_child])


class LitterByTask(Adds):
    def reset(self, task: Task) -> Step:
        Path(os.environ["LITTER"], task.id.replace("/", "-")).touch()
        return super().reset(task)


def litter() -> int:
    """Write a file."""
    return Path(os.environ["LITTER"], uuid.uuid4().hex).write_text("x") + 2


def litter_by_child() -> int:
    """Have a file written."""
    folder = Path(tempfile.gettempdir(), "sub", "folder")
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["touch", folder / uuid.uuid4().hex], check=True)
    return 3
