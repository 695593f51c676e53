"""Work that may hang or crash, in warm helper processes that are killed at their deadline.

A helper is a Python process of its own session, without environment variables or installed
packages, that answers requests by `envs.helper.serve`. Requests and replies are lines of JSON. At
the deadline its whole process group is killed, and the next request gets a fresh one.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from envs.helper import LATE, OK, READY, REFUSED
from envs.tools import ToolUnavailable

ROOT = str(Path(__file__).parents[1])
BOOT = "import sys, runpy; sys.path.append(sys.argv.pop(1)); \
runpy.run_module(sys.argv.pop(1), run_name='__main__')"

START_S = 30.0  # of a busy machine; 0.03 s is usual
MAX_REPLY_BYTES = 1 << 20
WAIT_FACTOR = 3  # deadlines that a request waits for a free helper


class Helper:
    """One helper process. Not for two threads at once."""

    def __init__(self, module: str, arguments: Sequence[str], fds: Sequence[int]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", BOOT, ROOT, module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={},
            cwd="/",
            start_new_session=True,
            pass_fds=fds,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout
        self._poll = select.poll()
        self._poll.register(self._replies, select.POLLIN)
        try:
            if self._read_line(time.monotonic() + START_S) != READY:
                raise RuntimeError(f"the helper {module} does not start")
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: Any, deadline_s: float) -> tuple[str, Any]:
        """Its reply, as `envs.helper` has it. Raises TimeoutError at the deadline, ToolUnavailable
        when it died: it is of no more use then."""
        deadline = time.monotonic() + deadline_s
        try:
            self._requests.write(json.dumps([deadline_s, request]).encode() + b"\n")
            reply = self._read_line(deadline)
        except BrokenPipeError:
            reply = b""
        if not reply:
            raise ToolUnavailable("the tool ended while it worked on this; try something else")
        kind, value = json.loads(reply)
        return kind, value

    def _read_line(self, deadline: float) -> bytes:
        """A reply, b"" where the helper has ended. Raises TimeoutError."""
        parts = b""
        while not parts.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                raise TimeoutError("not finished in time")
            part = os.read(self._replies.fileno(), 1 << 16)
            if not part or len(parts) > MAX_REPLY_BYTES:
                return b""
            parts += part
        return parts

    def kill(self) -> None:
        """End the helper and whatever it has started; wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):  # nothing of its group is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._requests.close()
        self._replies.close()


class HelperPool:
    """Up to `size` helpers of a kind, started when they are needed and kept warm.

    `module` is what they run: it calls `envs.helper.serve`, and sees `arguments` as sys.argv[1:].
    `fds` are open files that they inherit. Any number of threads may call. Helpers end with this
    process, however it ends, because their standard input is closed then.
    """

    def __init__(
        self, module: str, arguments: Sequence[str] = (), fds: Sequence[int] = (), size: int = 2
    ) -> None:
        self._start = partial(Helper, module, arguments, fds)
        # Last in, first out: the warmest is used first, and those never needed are not started.
        self._free: queue.LifoQueue[Helper | None] = queue.LifoQueue()
        self._size = size
        for _ in range(size):
            self._free.put(None)

    def call(self, request: Any, deadline_s: float) -> Any:
        """What a helper replies; the deadline is of its work alone.

        Raises TimeoutError at the deadline, ValueError for what the helper refuses, ToolUnavailable
        when it died or all have been busy for long, and RuntimeError for a fault of the helper's.
        """
        try:
            helper = self._free.get(timeout=deadline_s * WAIT_FACTOR)
        except queue.Empty:
            raise ToolUnavailable("the tool is too busy; try again") from None
        kept = None
        try:
            helper = helper or self._start()
            kind, value = helper.ask(request, deadline_s)
            kept = helper
        finally:
            if helper and not kept:
                helper.kill()
            self._free.put(kept)
        if kind == OK:
            return value
        if kind == REFUSED:
            raise ValueError(value)
        if kind == LATE:
            raise TimeoutError(value)
        raise RuntimeError(f"helper: {value}")

    def close(self) -> None:
        """End all helpers; those at work are waited for. The pool can be used again."""
        helpers = [self._free.get() for _ in range(self._size)]
        for helper in helpers:
            if helper:
                helper.kill()
            self._free.put(None)
