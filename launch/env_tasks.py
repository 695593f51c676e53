"""The tasks of an environment, as this process loads them and as a fresh one does.

A fresh process has another seed of `hash`, on which the order of sets depends, too, and generators
that nobody seeded are elsewhere: what a resumed run, or another machine, would find.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.registry import ENVIRONMENTS, bind, resolve
from envs.types import Task, TaskSet

LOAD_S = 300.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Some tasks of each split. `others` are more of those for training, or the same again where
    there are no more."""

    fingerprints: tuple[str, str]
    tasks: list[Task]
    others: list[Task]
    held_out: list[Task]


def loader(name: str, args: Mapping[str, Any]) -> Callable[[str], TaskSet]:
    """What loads a split of an environment's tasks. Raises ConfigError."""
    target = bind(resolve(name, ENVIRONMENTS, "environment"), args, name, given=("split",))

    def load(split: str) -> TaskSet:
        tasks: TaskSet = target(split=split)
        return tasks

    return load


def sample(load: Callable[[str], TaskSet], count: int) -> Sample:
    """`count` tasks evenly over each split; all of a smaller one."""
    train, held_out = load("train"), load("heldout")
    tasks = _spread(train, count)
    known = {task.id for task in tasks}
    others = [task for task in _spread(train, 2 * count) if task.id not in known]
    fingerprints = train.fingerprint, held_out.fingerprint
    return Sample(fingerprints, tasks, others or tasks, _spread(held_out, count))


def sample_afresh(name: str, args: Mapping[str, Any], count: int) -> Sample:
    """The same in a process of its own. Raises ConfigError where it does not load there."""
    with tempfile.TemporaryDirectory(prefix="assay-tasks-") as folder:
        asked, told = Path(folder, "asked"), Path(folder, "told")
        asked.write_bytes(pickle.dumps((name, dict(args), count)))
        variables = {**os.environ, **other_hashes(), "PYTHONPATH": os.pathsep.join(sys.path)}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "launch.env_tasks", asked, told],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=LOAD_S,
            )
        except subprocess.TimeoutExpired as error:
            raise ConfigError(f"a fresh process loads no tasks within {LOAD_S:g} s") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise ConfigError(f"a fresh process cannot load and pickle the tasks: {said[:300]}")
        found: Sample = pickle.loads(told.read_bytes())
        return found


def other_hashes() -> dict[str, str]:
    """Variables of a process in which `hash` of a text is not what it is here."""
    return {"PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}


def same(one: object, other: object) -> bool:
    """Equal, or written alike: a NaN is not equal to the one it was copied from."""
    return one == other or repr(one) == repr(other)


def _spread(tasks: TaskSet, count: int) -> list[Task]:
    count = min(count, len(tasks))
    return [tasks[i * len(tasks) // count] for i in range(count)]


def main() -> None:
    """Entry point of the fresh process: where to read what is asked, and to write the sample."""
    name, args, count = pickle.loads(Path(sys.argv[1]).read_bytes())
    # By its full name: in __main__ the class would be another than the one that is unpickled.
    from launch import env_tasks

    found = env_tasks.sample(env_tasks.loader(name, args), count)
    Path(sys.argv[2]).write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main()
