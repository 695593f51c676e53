"""The self-test of the finance environment: can a right answer win, and an empty one not?"""

from __future__ import annotations

from collections.abc import Callable

from configs.errors import DataError
from envs.draws import SPLITS
from envs.finance.generator import CELLS, LEVELS, FinanceTasks
from envs.types import Task

Verify = Callable[
    [Task, str], float | None
]  # the reward of a reply, None where there is no verdict


def check(verify: Verify, per_cell: int = 2, best: float = 1.0) -> int:
    """Try `per_cell` tasks of every scene, family and level in both splits; return how many.

    Raises DataError for the first task whose gold answer does not score `best`, or whose empty
    reply does.
    """
    num_checked = 0
    for split in SPLITS:
        tasks = FinanceTasks(split, size=per_cell * len(CELLS), levels=LEVELS)
        for index in range(len(tasks)):
            task = tasks[index]
            reward = verify(task, f"\\boxed{{{task.answer}}}")
            if reward != best:
                raise DataError(
                    f"task {task.id}: its gold answer {task.answer!r} scores {reward}, not {best}; "
                    f"verifier and task disagree on the unit {task.metadata['unit']!r}"
                )
            if verify(task, "") == best:
                raise DataError(f"task {task.id}: an empty reply scores {best}; mend the verifier")
            num_checked += 1
    return num_checked
