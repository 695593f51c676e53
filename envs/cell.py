"""A process that plays episodes for somebody else: `python -m envs.cell DESCRIPTOR [TOOL ...]`.

The tools named are limited: of these it calls one at a time in a turn.

Requests and answers are frames on a socket, a length and a pickle each: (number, method, arguments)
and (number, step or None, fault or ""). Both ends are ours and of one version; what a policy or a
tool says travels within, as text. When the other end is gone, the process ends with all it started.
"""

from __future__ import annotations

import contextlib
import ctypes
import pickle
import socket
import struct
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from envs.episodes import MAX_THREADS, Hall, fault_of
from envs.tools import limited
from envs.types import Step

HEADER = struct.Struct(">I")
READY = b"+"
"""What is sent first, once requests can be answered."""
MAX_FRAME = 64 * 1024**2
MAX_FAULT_CHARS = 2000
KILL_ROUNDS = 100
_PR_SET_CHILD_SUBREAPER = 36


def frame(content: object) -> bytes:
    """Raises ValueError where the content is too long for a frame."""
    data = pickle.dumps(content)
    if len(data) > MAX_FRAME:
        raise ValueError(f"an answer of {len(data)} bytes is too long")
    return HEADER.pack(len(data)) + data


def end_tree(root: psutil.Process) -> None:
    """Kill a process and all it started, whatever group or session they are in by now. It is killed
    last, since what its descendants leave behind comes to it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for _ in range(KILL_ROUNDS):
            living = [p for p in root.children(recursive=True) if _is_alive(p)]
            for process in living:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            if not living:
                break
        root.kill()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def serve(connection: socket.socket) -> None:
    """Answer requests, each in a thread, until the other end is closed."""
    hall, sending = Hall(), threading.Lock()
    methods: dict[str, Callable[..., Step | None]] = {
        "reset": hall.reset,
        "step": hall.step,
        "close": hall.close,
    }
    threads = ThreadPoolExecutor(MAX_THREADS)
    connection.sendall(READY)

    def answer(number: int, method: str, args: tuple[Any, ...]) -> None:
        try:
            reply = frame((number, methods[method](*args), ""))
        except BaseException as error:  # a plug-in, which may even call sys.exit
            reply = frame((number, None, str(fault_of(error))[:MAX_FAULT_CHARS]))
        with sending, contextlib.suppress(OSError):  # nobody is left to be answered
            connection.sendall(reply)

    with connection.makefile("rb") as requests:
        while len(header := requests.read(HEADER.size)) == HEADER.size:
            data = requests.read(HEADER.unpack(header)[0])
            threads.submit(answer, *pickle.loads(data))


def main() -> None:
    """Entry point. Descendants that leave for sessions of their own stay ours to end (Linux)."""
    with contextlib.suppress(OSError):  # another system
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    limited.update(sys.argv[2:])
    try:
        serve(socket.socket(fileno=int(sys.argv[1])))
    finally:
        end_tree(psutil.Process())


if __name__ == "__main__":
    main()
