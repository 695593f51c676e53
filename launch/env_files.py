"""Which files an environment leaves behind.

Folders that are its own are listed. In those that are shared, such as /tmp, nobody can tell who
made a file; so the process that plays notes itself what it makes, wherever that is (an audit hook,
which sees Python's own calls, in all threads). `python -m launch.env_files DESCRIPTOR` is such a
process, otherwise the one of `envs.cell`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs import cell

NOTES = "ASSAY_CHECK_NOTES"
"""Environment variable: the file in which a process notes what it makes."""
MAX_NOTES = 100_000
MAX_LISTED = 20_000
"""Of a folder with more files and folders than that only the top is watched."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PLACES = {
    "open": 0,
    "os.mkdir": 0,
    "sqlite3.connect": 0,
    "os.rename": 1,
    "os.link": 1,
    "os.symlink": 1,
}
"""Audit events that may make a file or folder, and which of their arguments is its path."""


@dataclass(frozen=True, slots=True)
class Files:
    """What there is at one time: `own` is the environment's, `shared` perhaps another's."""

    own: set[str]
    shared: set[str]


@dataclass(frozen=True, slots=True)
class Watch:
    """Of a temporary folder that nobody else has, of what stands in the notes, and of folders that
    others may write to, some of them watched `deep`ly."""

    temporary: Path
    notes: Path
    folders: tuple[Path, ...]
    deep: frozenset[Path]

    def files(self) -> Files:
        noted = self.notes.read_text(errors="surrogateescape").split("\0")[:-1]
        made = {path for path in noted if os.path.isfile(path) or os.path.isdir(path)}
        listed = {path for f in self.folders for path in _listed(f, f in self.deep)}
        return Files(made.union(_listed(self.temporary, True)), listed)


def watch(temporary: Path, folders: Iterable[Path], notes: Path) -> Watch:
    """Begin to watch: finds how deep each folder can be listed in a short time."""
    found = tuple({folder.resolve(): None for folder in folders})
    return Watch(temporary, notes, found, frozenset(f for f in found if _is_small(f)))


def left_behind(before: Files, between: Files, after: Files) -> list[str]:
    """What is new after two rounds of episodes; of shared folders, only if each round brought some:
    what another process writes there is seldom so regular."""
    new = after.own - before.own
    if between.shared - before.shared and after.shared - between.shared:
        new |= after.shared - before.shared
    return sorted(new)


def _is_small(folder: Path) -> bool:
    return all(number < MAX_LISTED for number, _ in enumerate(_listed(folder, True)))


def _listed(folder: Path, deep: bool) -> Iterator[str]:
    """Files, and folders, too; without what is hidden, and what the interpreter keeps."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "." and name != "__pycache__"]
        yield from (os.path.join(place, name) for name in (*folders, *files))
        if not deep:
            return


def note_what_is_made(descriptor: int) -> None:
    """From now on write the path of everything that this process makes, each followed by NUL."""
    noted: set[str] = set()
    sys.addaudithook(_noting(noted, lambda path: os.write(descriptor, path)))


def _noting(noted: set[str], write: Callable[[bytes], Any]) -> Callable[[str, Any], None]:
    def hook(event: str, args: tuple[Any, ...]) -> None:
        place = PLACES.get(event)
        if place is None or (event == "open" and not args[2] & WRITES):
            return
        if not isinstance(args[place], str | bytes | os.PathLike):
            return  # a descriptor
        path = os.path.abspath(os.fsdecode(args[place]))
        is_kept = "/__pycache__/" in path or path in noted or len(noted) >= MAX_NOTES
        if not is_kept and not os.path.lexists(path):
            noted.add(path)
            write(os.fsencode(path) + b"\0")

    return hook


def main() -> None:
    """Entry point."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    note_what_is_made(os.open(os.environ.pop(NOTES), flags, 0o600))
    cell.main()


if __name__ == "__main__":
    main()
