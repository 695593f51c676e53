"""Runs on a cluster, submitted through Ray's Jobs API."""

from __future__ import annotations

import asyncio
import logging
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from configs.errors import AssayError, ConfigError, FaultBudgetSpent
from launch.access import HELP, private_token, require_token

LEFT_BEHIND = ("runs", ".git", ".venv", ".hypothesis")
EXCLUDED = (*(f"/{name}/" for name in LEFT_BEHIND), "**/__pycache__/", "**/.*_cache/")
"""What of the working directory, and of a package, does not travel to the cluster."""

IMAGE = "install the package where the nodes' Python finds it"

SAVE_S = 1800
"""How long a job that is asked to stop may take to finish its step and save."""

POLL_S = 1.0
READY_S = 60.0
"""How long a cluster that is just starting is waited for."""

PYTHON = "python"

RAY_LOGGERS = ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")


def connect(address: str) -> Any:
    """A client of the Jobs API, once it is known that not everybody can be one.

    Raises:
        ConfigError: the address is none, cannot be reached, is open to all, or refuses our token.
    """
    require_token(address)
    private_token()
    from ray.job_submission import JobSubmissionClient

    try:
        client = JobSubmissionClient(address)
        for name in RAY_LOGGERS:  # it has just given them its own level
            logging.getLogger(name).setLevel(logging.ERROR)
        client.list_jobs()
    except (RuntimeError, ConnectionError) as error:
        raise _refused(address, error) from None
    return client


def command(*arguments: str) -> str:
    """What the cluster runs; the same as `ray job submit ... -- assay ARGUMENTS`."""
    return shlex.join((PYTHON, "-m", "launch.cli", *arguments))


def check_paths(preset: str, output: str, working_dir: Path) -> None:
    """Raise ConfigError where a job would not find its preset, or would lose what it writes."""
    if not Path(output).is_absolute():
        raise ConfigError(
            f"output={output} lies in the job's own copy of the working directory, which is "
            "deleted with it: set output to an absolute path that all machines share"
        )
    file = Path(preset)
    if file.suffix in (".yaml", ".yml") and (
        file.is_absolute() or not (working_dir / file).is_file()
    ):
        raise ConfigError(f"{preset} must be a path within {working_dir}, which is what travels")


def unpacked(package: Path, folder: Path) -> list[Path]:
    """The modules of a wheel, or of a project's folder, and its metadata, in folders in `folder`.

    Ray could take the wheel itself, but knows it by its name, so that a cluster keeps the first
    of one version; and installs it in each process's environment, where two that start at once on
    a node delete it under each other. Folders go by their content; console scripts stay behind.

    Raises:
        ConfigError: it is neither a wheel nor the folder of a project, cannot be installed here,
            or has files that would not travel.
    """
    is_wheel = package.suffix == ".whl" and package.is_file()
    if not is_wheel and not (package / "pyproject.toml").is_file():
        raise ConfigError(f"{package} is neither a wheel nor a folder with a pyproject.toml")
    target = tempfile.mkdtemp(dir=folder)
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check",
            "--no-deps", "--no-build-isolation", "--no-compile", "--target", target,
            package.resolve(),
        ],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise ConfigError(f"{package} cannot be installed: {last}; try `pip install {package}`")
    modules = [path for path in sorted(Path(target).iterdir()) if path.name != "bin"]
    for place, module in enumerate(modules):
        if module.suffix == ".py" and not module.with_suffix("").exists():  # Ray takes folders
            modules[place] = module.with_suffix("")
            modules[place].mkdir()
            module.rename(modules[place] / "__init__.py")
        elif (
            not module.is_dir() or module.suffix == ".libs"
        ):  # which extensions look for beside them
            raise ConfigError(f"{package} installs {module.name}, which cannot travel: {IMAGE}")
        for left in (*LEFT_BEHIND, ".gitignore"):
            if (module / left).exists():
                raise ConfigError(f"{package}: {module.name}/{left} would not travel: rename it")
        # Ray names a folder by what it holds alone: two that hold the same would be one.
        (modules[place] / f"{modules[place].name}.module").touch()
    return modules


def submit(
    client: Any, entrypoint: str, working_dir: Path, name: str, modules: Sequence[Path] = ()
) -> str:
    """Start a job and return its id. `modules`, folders, can be imported by its processes.

    Raises:
        ConfigError: the cluster refused it.
    """
    environment = {
        "working_dir": str(working_dir),
        "excludes": list(EXCLUDED),
        # Read by the process that watches over the job. No secret belongs here: the Jobs API
        # shows these values.
        "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(SAVE_S), "PYTHONUNBUFFERED": "1"},
    }
    if modules:  # Ray fails on an empty list
        environment["py_modules"] = [str(module) for module in modules]
    deadline = time.monotonic() + READY_S
    while True:
        try:
            job: str = client.submit_job(
                entrypoint=entrypoint, runtime_env=environment, metadata={"assay": name}
            )
            return job
        except (RuntimeError, ValueError) as error:
            starting = "No available agent" in str(error)  # of a head that has just come up
            if not starting or time.monotonic() > deadline:
                raise _refused("the cluster", error) from None
            time.sleep(POLL_S)


def follow(client: Any, job: str, write: Callable[[str], Any] = sys.stdout.write) -> int:
    """Print a job's log until it ends; returns the exit code of its command.

    Raises:
        ConfigError: there is no such job.
    """

    async def tail() -> None:
        async for text in client.tail_job_logs(job):
            write(text)

    try:
        asyncio.run(tail())
        while not (status := client.get_job_status(job)).is_terminal():
            time.sleep(POLL_S)
        if status == "SUCCEEDED":
            return 0
        code = client.get_job_info(job).driver_exit_code
    except RuntimeError as error:
        raise _refused(f"job {job}", error) from None
    return FaultBudgetSpent.exit_code if code is None else int(code)


def jobs_table(client: Any) -> list[tuple[str, str, str, str]]:
    """Id, status, begin and command of every job, the newest first."""
    jobs = sorted(client.list_jobs(), key=lambda job: -(job.start_time or 0))
    return [
        (
            job.submission_id or job.job_id or "",
            str(job.status.value),
            _clock(job.start_time),
            job.entrypoint,
        )
        for job in jobs
    ]


def stop(client: Any, job: str) -> str:
    """Ask a job to stop: it finishes the step under way, saves, and exits with 6.

    Raises:
        ConfigError: there is no such job.
    """
    try:
        asked = client.stop_job(job)
    except RuntimeError as error:
        raise _refused(f"job {job}", error) from None
    return f"{job} was asked to stop" if asked else f"{job} had ended before"


def _refused(what: str, error: Exception) -> AssayError:
    """Ray's many errors as one line, with what to do about the frequent ones."""
    text = " ".join(str(error).split())
    if "401" in text or "403" in text or "nauthenticated" in text or "token" in text.lower():
        return ConfigError(
            f"{what} refused the token: put the cluster's into ~/.ray/auth_token (mode 600) or "
            f"name its file in RAY_AUTH_TOKEN_PATH; {HELP}"
        )
    return ConfigError(f"{what}: {text[:300]}")


def _clock(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000).isoformat(" ", "seconds")
