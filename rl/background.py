"""Sinks that training never waits for."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

RecordT = TypeVar("RecordT")
RecordT_contra = TypeVar("RecordT_contra", contravariant=True)


class Sink(Protocol[RecordT_contra]):
    """A place that records go to. It may raise or block: it runs inside a `BackgroundSink`."""

    def write(self, global_step: int, record: RecordT_contra) -> None: ...

    def close(self) -> None: ...


class BackgroundSink(Generic[RecordT]):
    """Opens and feeds a sink in a thread of its own, so that a slow or broken one holds nothing up.

    Records that find the queue full are left out; a sink that raises is given up. The first such
    trouble of a sink is told to `warn(name, message)`, and no other.
    """

    def __init__(
        self,
        name: str,
        open_sink: Callable[[], Sink[RecordT]],
        warn: Callable[[str, str], None],
        capacity: int = 1000,
        close_timeout_s: float = 30.0,
    ) -> None:
        self._name, self._open_sink, self._warn = name, open_sink, warn
        self._close_timeout_s = close_timeout_s
        self._queue: queue.Queue[tuple[int, RecordT] | None] = queue.Queue(capacity)
        self._given_up = False
        self._warned = False
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)
        self._thread.start()

    def put(self, global_step: int, record: RecordT) -> None:
        """Never blocks and never raises."""
        if self._given_up:
            return
        try:
            self._queue.put_nowait((global_step, record))
        except queue.Full:
            self._warn_once("does not keep up; some records are missing there")

    def close(self) -> None:
        """Waits until what is queued is written, at most `close_timeout_s` seconds."""
        deadline = time.monotonic() + self._close_timeout_s
        if self._thread.is_alive():
            with contextlib.suppress(queue.Full):  # a blocked sink: the join below says so
                self._queue.put(None, timeout=self._close_timeout_s)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._warn_once(
                f"did not finish within {self._close_timeout_s:g} s and was left behind"
            )

    def _run(self) -> None:
        try:
            sink = self._open_sink()
            while (item := self._queue.get()) is not None:
                sink.write(*item)
            sink.close()
        except Exception as error:  # whatever a third party raises must not reach training
            self._given_up = True
            self._warn_once(f"failed and is off for the rest of the run: {error!r}")

    def _warn_once(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            self._warn(self._name, message)
