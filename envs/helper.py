"""The inside of a helper process: a loop that answers one request at a time.

Only the standard library is imported here: a helper starts without anything that was installed, in
about 20 ms. The outside is `envs.killable`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

READY = b"ready\n"
OK, REFUSED, LATE, FAULT = "ok", "refused", "late", "fault"
"""What a reply can be: a result, a ValueError, a TimeoutError, or anything else that went wrong."""


def serve(handle: Callable[[Any], Any], memory_bytes: int = 1 << 30) -> None:
    """Answer requests on standard input with `handle` until it is closed.

    A request is a line of JSON, [deadline_s, request], and a reply is one, [kind, value]. The
    kernel ends this process when a request takes a second longer than its deadline, even if nobody
    is left outside to do it. It may write no file and dump no core.
    """
    for limit, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(limit, (most, most))
    replies = os.dup(sys.stdout.fileno())
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())  # what anyone prints is no reply
    requests = sys.stdin.buffer
    os.write(replies, READY)
    for line in requests:
        deadline_s, request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, deadline_s + 1.0)  # SIGALRM ends a process
        reply = json.dumps(_answered(handle, request)).encode() + b"\n"
        signal.setitimer(signal.ITIMER_REAL, 0)
        while reply:
            reply = reply[os.write(replies, reply) :]


def _answered(handle: Callable[[Any], Any], request: Any) -> list[Any]:
    try:
        return [OK, handle(request)]
    except TimeoutError as error:
        return [LATE, str(error)]
    except (ValueError, ArithmeticError, LookupError) as error:
        return [REFUSED, str(error)]
    except MemoryError:
        return [REFUSED, "it takes too much memory"]
    except Exception as error:  # told outside, where it is raised
        return [FAULT, f"{type(error).__name__}: {error}"]
