"""What this machine has: cores, memory, shared memory, disk, GPUs, a compiler, a sandbox."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    memory_gib: float


@dataclass(frozen=True, slots=True)
class Machine:
    """Sizes in GiB; cores and memory are what this process may use, container limits included."""

    cores: int
    memory_gib: float
    shm_gib: float
    gpus: tuple[Gpu, ...]
    compiler: str
    """Path of a C++ compiler, "" without one: torch.compile on a CPU needs it."""


def this_machine() -> Machine:
    shm = Path("/dev/shm")
    return Machine(
        cores=_cores(),
        memory_gib=_memory_bytes() / GIB,
        shm_gib=shutil.disk_usage(shm).free / GIB if shm.is_dir() else 0.0,
        gpus=_gpus(),
        compiler=shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++") or "",
    )


def sandbox_problem() -> str:
    """Why bubblewrap cannot isolate a process here, or ""."""
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed"
    command = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--die-with-parent", "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return "bubblewrap did not answer within 10 s"
    return done.stderr.strip() if done.returncode else ""


def deepspeed_accelerator() -> str:
    """What DS_ACCELERATOR must say before DeepSpeed is imported, unless it says so already."""
    present = "cuda" if Path("/dev/nvidiactl").exists() else "cpu"
    return os.environ.get("DS_ACCELERATOR", present)


def free_port(host: str) -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _cores() -> int:
    allowed = len(os.sched_getaffinity(0))
    quota = _read_numbers(Path("/sys/fs/cgroup/cpu.max"))  # "max 100000" without a limit
    return min(allowed, max(1, round(quota[0] / quota[1]))) if len(quota) == 2 else allowed


def _memory_bytes() -> float:
    limit = _read_numbers(Path("/sys/fs/cgroup/memory.max"))
    return min([float(psutil.virtual_memory().total), *limit])


def _read_numbers(path: Path) -> list[float]:
    if not path.is_file():
        return []
    return [float(word) for word in path.read_text().split() if word.isdigit()]


def _gpus() -> tuple[Gpu, ...]:
    if not shutil.which("nvidia-smi"):
        return ()
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    rows = [line.split(", ") for line in done.stdout.splitlines() if done.returncode == 0]
    return tuple(Gpu(name, float(mib) / 1024) for name, mib in rows)
