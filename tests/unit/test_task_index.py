"""Tasks by label, and the order in which they are explored."""

from __future__ import annotations

import numpy as np
import pytest

from configs.errors import ConfigError
from envs.finance import FinanceTasks
from envs.types import Task
from rl.task_index import TaskIndex, hash_of, label_name
from tests.fakes import NumberedTasks


class Listed:
    """Tasks without a cycle of labels, so that they are read."""

    fingerprint = "listed"

    def __init__(self, tasks: FinanceTasks) -> None:
        self.tasks = [tasks[i] for i in range(len(tasks))]

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, index: int) -> Task:
        return self.tasks[index]


def test_finance_tasks_say_labels_and_ids_without_being_made() -> None:
    tasks = FinanceTasks(size=500, levels=(1, 2, 5))
    known, read = TaskIndex("main", tasks, 3), TaskIndex("main", Listed(tasks), 3)
    assert known.names == read.names
    assert (known.labels == read.labels).all()
    assert (known.order == read.order).all()
    assert (known.id_hashes() == read.id_hashes()).all()
    assert known.names[known.labels[7]] == label_name(tasks[7].labels)


def test_each_label_is_explored_in_a_random_order_of_its_own() -> None:
    tasks = FinanceTasks(size=2000, levels=(1,))
    index, other = TaskIndex("main", tasks, 3), TaskIndex("main", tasks, 4)
    assert sorted(index.order) == list(range(2000))
    for label, (start, end) in enumerate(zip(index.starts[:-1], index.starts[1:], strict=True)):
        stretch = index.order[start:end]
        assert (index.labels[stretch] == label).all()
        assert list(stretch) != sorted(stretch)
        assert list(stretch) != list(other.order[start:end])


def test_tasks_are_found_by_id() -> None:
    index = TaskIndex("main", NumberedTasks(50, "a"), 0)
    wanted = ["a/49", "b/1", "a/0"]
    found = index.find(np.array([hash_of(name) for name in wanted], np.uint64))
    assert found.tolist() == [49, -1, 0]


def test_an_empty_set_has_a_message() -> None:
    with pytest.raises(ConfigError, match="task set main has 0 tasks"):
        TaskIndex("main", NumberedTasks(0), 0)
