"""The cluster that a file of tests shares. Some of these tests run always (`make test`), one or
more of each family: those marked `brief`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("brief") is None:
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    from tests.faults.trials import small_cluster  # not before a test has set how Ray is reached

    with small_cluster():
        yield
