"""How often a model solves each task of a set: a Parquet file that seeds a curriculum.

One row a task; the file's metadata holds what it was made with, so that a file is only ever
continued under the same circumstances.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow
import pyarrow.parquet

from configs.errors import DataError

MADE_WITH = b"assay.made_with"

_SCHEMA = pyarrow.schema(
    [
        ("task_id", pyarrow.string()),
        ("task_set", pyarrow.string()),
        ("labels", pyarrow.map_(pyarrow.string(), pyarrow.string())),
        ("samples", pyarrow.int32()),
        ("correct", pyarrow.int32()),
        ("truncated", pyarrow.int32()),
        ("tokens", pyarrow.int64()),
        ("seconds", pyarrow.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class TaskProfile:
    """How a model fared on one task: `correct` of `samples` answers, `truncated` of which the token
    limit cut off. Only answers with a verdict count; 0 samples mean that faults left none.

    `tokens` and `seconds` are sums over the samples.

    Example: `TaskProfile("finance/train/0/banking-change-1/7", "finance", {"level": "1"}, 10, 4, 0,
    310, 2.5)`.
    """

    task_id: str
    task_set: str
    labels: Mapping[str, str]
    samples: int
    correct: int
    truncated: int
    tokens: int
    seconds: float

    def __post_init__(self) -> None:
        assert 0 <= self.correct <= self.samples, f"impossible counts: {self}"
        assert 0 <= self.truncated <= self.samples, f"impossible counts: {self}"


def write_profile(
    path: Path, tasks: Sequence[TaskProfile], made_with: Mapping[str, str | int | float]
) -> None:
    """Write a profile; the file is there completely or not at all."""
    table = pyarrow.Table.from_pylist([asdict(task) for task in tasks], schema=_SCHEMA)
    table = table.replace_schema_metadata({MADE_WITH: json.dumps(made_with)})
    partial = path.with_name(f"{path.name}.partial")
    pyarrow.parquet.write_table(table, partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.rename(path)


def read_profile(path: Path) -> tuple[list[TaskProfile], dict[str, str | int | float]]:
    """The tasks of a profile, in the file's order, and what it was made with.

    Raises:
        DataError: there is no such file, or it is not a profile.
    """
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise DataError(f"cannot read the profile {path}: {_one_line(error)}") from error
    missing = [field.name for field in fields(TaskProfile) if field.name not in table.column_names]
    if missing or MADE_WITH not in (table.schema.metadata or {}):
        what = f"no column {missing[0]}" if missing else "nothing says what it was made with"
        raise DataError(
            f"{path} is not a profile: {what}; make one with `assay curriculum profile`"
        )
    rows = table.select([field.name for field in fields(TaskProfile)]).to_pylist()
    tasks = [TaskProfile(**{**row, "labels": dict(row["labels"])}) for row in rows]
    return tasks, json.loads(table.schema.metadata[MADE_WITH])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
