"""Files that are on disk once the call returns: JSON, tensors, hashes. Nothing here is pickled."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from configs.faultpoints import point


def fsync_path(path: Path) -> None:
    """Flush a file, or the entries of a directory, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Write and flush a small file."""
    with path.open("wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        point("ckpt.mid_file")
        file.write(data[len(data) // 2 :])
    fsync_path(path)


def write_json(path: Path, value: Any) -> None:
    """Write and flush JSON. Floats come back equal; tuples would come back as lists."""
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write and flush tensors as safetensors; what one learner rank calls for each of its files.

    Raises:
        OSError: the disk is full or the path cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(on_cpu, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error
    point("ckpt.after_tensors")
    fsync_path(path)


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a file of `save_tensors`, onto the CPU."""
    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors


def sha256_of(paths: Iterable[Path]) -> list[str]:
    """sha256 of each file; hashing releases the interpreter lock, so big shards go side by side."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(_digest, paths))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
