"""Check a data file before a run: what it holds, and every kind of bad row with its first place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from configs.errors import DataError
from envs.datasets import GoldCheck, checked, prompt_chars, read_drafts
from envs.rows import RowError, read_rows


@dataclass(frozen=True, slots=True)
class BadRows:
    """Rows with the same mistake: how many, and the number of the first."""

    column: str
    reason: str
    count: int
    first_row: int


@dataclass(frozen=True, slots=True)
class FileReport:
    """What `assay data check` prints. `prompt_chars` is (shortest, median, longest)."""

    path: str
    source: str
    rows: int
    usable: int
    bad: tuple[BadRows, ...]
    documents: int
    duplicates: int
    prompt_chars: tuple[int, int, int]
    labels: Mapping[str, Mapping[str, int]]

    def lines(self) -> list[str]:
        """The report as lines of text."""
        shortest, middle, longest = self.prompt_chars
        lines = [
            f"{self.path}: read as '{self.source}', {self.usable:,} of {self.rows:,} rows usable",
            f"  documents {self.documents:,}, repeated prompts {self.duplicates:,}",
            f"  prompt characters: {shortest:,} to {longest:,}, median {middle:,}",
        ]
        for name, counts in self.labels.items():
            shown = ", ".join(f"{value} {count:,}" for value, count in counts.items())
            lines.append(f"  {name}: {shown}")
        for bad in self.bad:
            lines.append(
                f"  bad: {bad.count:,} rows, {bad.column or 'row'}: {bad.reason} "
                f"(first: row {bad.first_row})"
            )
        return lines


def check_file(path: str, source: str = "", check_gold: GoldCheck | None = None) -> FileReport:
    """Read a whole file and report on it; bad rows are counted, not raised.

    `source` "" is found from the first row. `check_gold` is a verifier's. Raises DataError when the
    file as a whole cannot be read or is empty.
    """
    source = source or detect_source(path)
    num_rows, seen, prompts, documents = 0, set[str](), Counter[str](), set[str]()
    bad: dict[tuple[str, str], list[int]] = {}
    lengths: list[int] = []
    labels: dict[str, Counter[str]] = {}
    for row, draft in read_drafts(source, Path(path)):
        num_rows += 1
        try:
            task, document, *_ = checked(draft, seen, check_gold)
        except RowError as error:
            bad.setdefault((error.column, error.reason), []).append(row.number)
            continue
        documents.add(document)
        prompts["\n".join(message.content for message in task.prompt)] += 1
        lengths.append(prompt_chars(task))
        for name, value in task.labels.items():
            labels.setdefault(name, Counter())[value] += 1
    if not num_rows:
        raise DataError(f"{path}: holds no row")
    return FileReport(
        path=path,
        source=source,
        rows=num_rows,
        usable=len(lengths),
        bad=tuple(BadRows(*key, len(rows), rows[0]) for key, rows in bad.items()),
        documents=len(documents),
        duplicates=len(lengths) - len(prompts),
        prompt_chars=(min(lengths), int(median(lengths)), max(lengths)) if lengths else (0, 0, 0),
        labels={name: dict(counts.most_common()) for name, counts in sorted(labels.items())},
    )


def detect_source(path: str) -> str:
    """Which loader a file is for, by the columns of its first row; "rows" for everything else."""
    first = next(read_rows(Path(path)), None)
    row = first.content if first else None
    columns = set(row) if isinstance(row, dict) else set()
    if {"table", "paragraphs", "questions"} <= columns:
        return "tatqa"
    if {"user_prompt", "resp"} <= columns:
        return "finqa"
    if {"questions", "programs", "table", "text"} <= columns:
        return "convfinqa"
    if {"question", "answer"} <= columns and not {"prompt", "messages"} & columns:
        return "gsm8k"
    return "rows"
