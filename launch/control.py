"""Steering a run while it goes on: requests and answers are files in the run's folder.

    control/status.json         who does what, rewritten every second
    control/ID.request.json     one request of `assay scale`, `drain` or `stop`
    control/ID.answer.json      what became of it

Whoever can write to the folder may steer the run, nobody else: there is no port and no password.
Every file appears whole (written under another name, then renamed).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import ConfigError, FaultBudgetSpent

CONTROL = "control"
STATUS = "status.json"

POLL_S = 0.2
STATUS_S = 1.0
SILENT_S = 60.0
"""A run whose status is older than this is not under way any more."""
ANSWER_S = 60.0

Command = Callable[[Mapping[str, Any]], str]
"""Carries out a request and says what it did. Raises ConfigError where it cannot be done."""


@contextlib.asynccontextmanager
async def controlled(
    run_dir: Path, commands: Mapping[str, Command], status: Callable[[], dict[str, Any]]
) -> AsyncIterator[None]:
    """Serve requests while the block runs."""
    folder = run_dir / CONTROL
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
    folder.mkdir(mode=0o700)
    server = asyncio.ensure_future(_serve(folder, commands, status))
    try:
        yield
    finally:
        server.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await server
        shutil.rmtree(folder, ignore_errors=True)


async def _serve(
    folder: Path, commands: Mapping[str, Command], status: Callable[[], dict[str, Any]]
) -> None:
    written = 0.0
    while True:
        for request in sorted(folder.glob("*.request.json")):
            answer = _answer(request, commands)
            request.unlink(missing_ok=True)  # first: whoever has the answer leaves nothing behind
            _write(request.with_name(request.name.replace(".request.", ".answer.")), answer)
            written = 0.0
        if time.monotonic() - written >= STATUS_S:
            _write(folder / STATUS, {"time": time.time(), "pid": os.getpid(), **status()})
            written = time.monotonic()
        await asyncio.sleep(POLL_S)


def _answer(request: Path, commands: Mapping[str, Command]) -> dict[str, str]:
    try:
        asked = json.loads(request.read_bytes())
        return {"done": commands[asked["command"]](asked["arguments"])}
    except ConfigError as error:
        return {"error": str(error)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"error": f"the request could not be read: {error!r}"}


@dataclass(frozen=True, slots=True)
class Running:
    """A run that is under way, from outside."""

    run_dir: Path

    @property
    def folder(self) -> Path:
        return self.run_dir / CONTROL

    def status(self) -> dict[str, Any] | None:
        """What the run said last; None when it is not under way."""
        try:
            said: dict[str, Any] = json.loads((self.folder / STATUS).read_bytes())
        except FileNotFoundError:
            return None
        return said if time.time() - said["time"] < SILENT_S else None

    def ask(self, command: str, **arguments: Any) -> str:
        """Send a request and wait for what the run says to it.

        Raises:
            ConfigError: the run is not under way, or says that it cannot be done.
            FaultBudgetSpent: it does not answer.
        """
        self.require()
        name = f"{time.time_ns()}-{secrets.token_hex(4)}"
        request = self.folder / f"{name}.request.json"
        _write(request, {"command": command, "arguments": arguments})
        answer = self.folder / f"{name}.answer.json"
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                said = json.loads(answer.read_bytes())
                answer.unlink()
                if "error" in said:
                    raise ConfigError(said["error"])
                return str(said["done"])
            if not self.folder.is_dir():
                self.require()
            time.sleep(POLL_S / 2)
        request.unlink(missing_ok=True)
        raise FaultBudgetSpent(
            f"{self.run_dir} did not answer within {ANSWER_S:g} s; its logs/ say what it does"
        )

    def require(self) -> None:
        """Raise ConfigError where the run is not under way."""
        if self.status() is None:
            raise ConfigError(
                f"no run is under way in {self.run_dir}: `assay train ... --resume` continues one"
            )


def _write(path: Path, value: Mapping[str, Any]) -> None:
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    new.write_text(json.dumps(value), encoding="utf-8")
    new.replace(path)
