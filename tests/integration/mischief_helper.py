"""A helper process that does what it is told, however bad it is."""

from __future__ import annotations

import os
import signal
import time

from envs.helper import serve


def handle(request: object) -> object:
    """Do the named thing, or give the request back."""
    if request == "sleep":
        time.sleep(600)
    elif request == "deaf":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        while True:
            pass
    elif request == "child":
        if os.fork() == 0:
            time.sleep(600)
        time.sleep(600)
    elif request == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif request == "memory":
        return len(bytes(1 << 34))
    elif request == "write":
        with open("/tmp/assay-mischief", "w", encoding="utf-8") as file:
            file.write("x" * 100_000)
    elif request == "flood":
        return "x" * (1 << 22)
    elif request == "print":
        print("this is no reply", flush=True)
    elif request == "late":
        raise TimeoutError("by itself")
    elif request == "refuse":
        raise ValueError("no")
    elif request == "bug":
        raise RuntimeError("a bug")
    elif request == "pid":
        return os.getpid()
    elif request == "environment":
        return dict(os.environ)
    return request


if __name__ == "__main__":
    serve(handle)
