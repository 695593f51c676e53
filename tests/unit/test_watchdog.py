"""A run in which nothing happens any more ends by itself."""

from __future__ import annotations

import asyncio

import pytest

from configs.errors import FaultBudgetSpent
from configs.load import changed_keys
from launch.watchdog import watched


def test_work_that_goes_on_is_left_alone() -> None:
    async def work() -> str:
        await asyncio.sleep(0.05)
        return "done"

    assert asyncio.run(watched(work(), lambda: 0.0, 0.02)) == "done"


def test_work_that_hangs_is_ended_and_cancelled() -> None:
    cancelled = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    with pytest.raises(FaultBudgetSpent, match="watchdog_s"):
        asyncio.run(watched(hang(), lambda: 100.0, 0.02))
    assert cancelled


def test_an_error_of_the_work_is_its_own() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(watched(fail(), lambda: 0.0, 1.0))


def test_changed_keys_name_both_values() -> None:
    before = "learner:\n  ranks: 1\n  cpus: 2\nname: a\n"
    now = "learner:\n  ranks: 2\n  cpus: 2\nname: a\nseed: 3\n"
    assert changed_keys(before, now) == ["learner.ranks was 1, is 2", "seed was not set, is 3"]
    assert changed_keys(now, now) == []
