"""Append-only logs: one strict JSON object a line, in ASCII.

Control characters and half surrogates, which a model's text may hold, are escaped, so a log is safe
to print. A number that is not finite is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from configs.errors import DataError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def encode_line(fields: Mapping[str, Any]) -> bytes:
    """The fields as one line, its newline included. What JSON has no form for becomes text."""
    return (json.dumps(_plain(fields), allow_nan=False) + "\n").encode("ascii")


def read_log(path: Path) -> list[dict[str, Any]]:
    """All lines of a log, [] where there is none. A last line without its newline was being written
    when the process died and is left out; any other unreadable line raises DataError."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            raise DataError(
                f"{path}:{number}: not a JSON line ({error}); delete or mend it"
            ) from None
    return records


def _plain(value: Any) -> Json:
    """The value as strict JSON: numpy scalars unwrapped, non-finite numbers null, the rest text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)
