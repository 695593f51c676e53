"""Settings that all tests share."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

import launch  # noqa: F401  sets what Ray reads when it is imported

settings.register_profile("assay", deadline=None)  # a busy machine is no failure
settings.load_profile("assay")

UNIT = Path(__file__).parent / "unit"

UNIT_WARNINGS = ("error",)
"""In unit tests a warning is an error. A third party's that cannot be avoided is added here by
name, as "ignore:message:category"; later entries win over earlier ones."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """What collecting makes, modules above all, stays: looking for garbage in it costs seconds."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if UNIT in item.path.parents:
            for line in UNIT_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(line))


@pytest.fixture
def assay_data() -> Path:
    """The folder of real data; tests that need it skip without it."""
    if "ASSAY_DATA" not in os.environ:
        pytest.skip("needs real data: set ASSAY_DATA to its folder")
    return Path(os.environ["ASSAY_DATA"])
