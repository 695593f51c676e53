"""Which of these tests run always (`make test`): one or more of each family, marked `brief`."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("brief") is None:
            item.add_marker(pytest.mark.long)
