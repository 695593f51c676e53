"""How much memory a run takes on this machine, over all its processes, and memory they share."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

RUN_ID_VARIABLE = "ASSAY_RUN_ID"
"""Set to the run's id in the environment of the driver and of every actor."""

SHARED_FOLDER = "assay-weights-"
SHIPPED_FOLDER = "assay-shipped-"


class PeakMemory:
    """Samples the memory of a run's processes in a thread; `peak_gb` is the largest sum seen.

    A process belongs to the run when it descends from this one or carries the run's id in the
    environment it was started with: Ray's workers may hang under a raylet that was there before.
    Memory is the proportional set size, which splits shared pages among those that map them, so
    that the object store and forked libraries count once; the resident set size where the system
    has none. GPU memory is not in it.

    Use: `with PeakMemory(run_id) as memory: ...; memory.peak_gb`.
    """

    def __init__(self, run_id: str, interval_s: float = 1.0) -> None:
        self._run_id = run_id
        self._interval_s = interval_s
        self._peak_bytes = 0
        self._marked: dict[psutil.Process, bool] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self.sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.sample()

    @property
    def peak_gb(self) -> float:
        """In 10^9 bytes."""
        return self._peak_bytes / 1e9

    def sample(self) -> int:
        """The memory of the run's processes now, in bytes; also raises the peak."""
        with self._lock:
            now = sum(_memory_of(process) for process in self.processes())
            self._peak_bytes = max(self._peak_bytes, now)
        return now

    def processes(self) -> list[psutil.Process]:
        """Every live process of the run on this machine."""
        everything = list(psutil.process_iter())
        self._marked = {p: self._marked.get(p) or self._is_marked(p) for p in everything}
        root = psutil.Process()
        ours = {root, *root.children(recursive=True)}
        return [p for p in everything if p in ours or self._marked[p]]

    def _watch(self) -> None:
        pause = self._interval_s
        while not self._over.wait(pause):
            began = time.thread_time()
            self.sample()
            # Page tables of large processes take long to read: stay under 2 % of a core.
            pause = max(self._interval_s, 50 * (time.thread_time() - began))

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return bool(process.environ().get(RUN_ID_VARIABLE) == self._run_id)
        except psutil.Error:
            return False


def _memory_of(process: psutil.Process) -> int:
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", "rb") as rollup:
            for line in rollup:
                if line.startswith(b"Pss:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass  # not Linux, not allowed, or gone: the resident size, if it is still there
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def new_run_id() -> str:
    """An id for `RUN_ID_VARIABLE` that no other run on this machine has."""
    return f"{os.getpid()}-{time.time_ns():x}"


@contextlib.contextmanager
def shared_folder(run_id: str) -> Iterator[Path]:
    """A private folder, in memory where the system has a place for that, gone after the block.

    This process holds a lock on it, which ends with the process at the latest: so a folder that a
    killed run left behind is told from one in use, and removed here.
    """
    root = memory_root()
    for left in root.glob(f"{SHARED_FOLDER}*"):
        with contextlib.suppress(OSError), _locked(left):  # in use, gone meanwhile, or not ours
            shutil.rmtree(left)
    folder = root / f"{SHARED_FOLDER}{run_id}"
    unnamed = Path(tempfile.mkdtemp(dir=root))  # mode 0700
    with _locked(unnamed):
        unnamed.rename(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder of this process alone, in memory where there is a place for that."""
    with tempfile.TemporaryDirectory(prefix=SHIPPED_FOLDER, dir=memory_root()) as folder:
        yield Path(folder)


def memory_root() -> Path:
    return Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the only lock on a folder. Raises OSError where another process does."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
