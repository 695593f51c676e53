"""Weights that travel between machines as objects of Ray: a folder as named arrays of bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ByteArray = NDArray[np.uint8]


def pack(directory: Path) -> dict[str, ByteArray]:
    """The files of a folder. Ray shares such arrays among the processes of a machine."""
    return {file.name: np.fromfile(file, np.uint8) for file in sorted(directory.iterdir())}


def unpack(files: Mapping[str, ByteArray], directory: Path) -> None:
    """Write what `pack` read."""
    for name, content in files.items():
        content.tofile(directory / name)
