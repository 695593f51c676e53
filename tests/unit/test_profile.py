"""The file format of profiles."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from configs.errors import DataError
from rl.profile import TaskProfile, read_profile, write_profile

TASKS = [
    TaskProfile(
        "finance/train/0/banking-change-1/7", "finance", {"level": "1"}, 10, 4, 0, 310, 2.5
    ),
    TaskProfile("rows/zürich", "own", {}, 0, 0, 0, 0, 0.0),
]
MADE_WITH = {"model": "51aa", "samples": 10, "temperature": 1.0}


def test_a_profile_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "profile.parquet"
    write_profile(path, TASKS, MADE_WITH)
    assert read_profile(path) == (TASKS, MADE_WITH)
    assert [file.name for file in tmp_path.iterdir()] == ["profile.parquet"]


def test_an_empty_profile_is_one(tmp_path: Path) -> None:
    write_profile(tmp_path / "empty.parquet", [], {})
    assert read_profile(tmp_path / "empty.parquet") == ([], {})


def test_anything_else_is_refused_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text.parquet"
    text.write_text("not Parquet")
    other = tmp_path / "other.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"task_id": ["a"]}), other)
    for path, message in (
        (tmp_path / "absent.parquet", "cannot read the profile .*absent"),
        (text, "cannot read the profile"),
        (other, "not a profile: no column task_set; make one with"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            read_profile(path)
        assert "\n" not in str(caught.value)


def test_impossible_counts_are_ours() -> None:
    with pytest.raises(AssertionError, match="impossible"):
        TaskProfile("a", "s", {}, samples=2, correct=3, truncated=0, tokens=1, seconds=0.0)
