"""What `assay env check` concludes from files, results and loads, without a process."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from envs.tools import bounded_text, bytes_before_cut
from envs.types import CallRecord, Message, Step, ToolCall
from launch.env_files import Files, _noting, left_behind, watch
from launch.env_results import cut_result, lost_answers
from launch.env_tasks import same


def test_a_process_notes_what_it_makes(tmp_path: Path) -> None:
    there, new = tmp_path / "there", tmp_path / "new"
    there.touch()
    noted: list[bytes] = []
    hook = _noting(set(), noted.append)
    for event, *args in (
        ("open", str(there), "w", os.O_WRONLY),  # was there before
        ("open", str(new), "r", os.O_RDONLY),
        ("open", 3, "w", os.O_WRONLY),  # a descriptor
        ("import", "x"),
        ("open", str(tmp_path / "__pycache__" / "x.pyc"), "w", os.O_WRONLY),
    ):
        hook(str(event), tuple(args))
    assert noted == []
    hook("open", (new, None, os.O_RDWR))
    hook("open", (bytes(new), "w", os.O_WRONLY))  # noted once
    hook("os.rename", (str(there), str(tmp_path / "renamed"), -1, -1))
    assert noted == [bytes(new) + b"\0", bytes(tmp_path / "renamed") + b"\0"]


def test_files_are_watched_in_subfolders_and_by_their_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, shared, notes = tmp_path / "own", tmp_path / "shared", tmp_path / "notes"
    (temporary / "a" / "b").mkdir(parents=True)
    (shared / ".hidden").mkdir(parents=True)
    (shared / "sub").mkdir()
    notes.write_bytes(b"".join(bytes(tmp_path / n) + b"\0" for n in ("elsewhere", "gone")))
    (tmp_path / "elsewhere").touch()
    before = watch(temporary, [shared, shared], notes).files()
    for made in (temporary / "a/b/c", shared / "sub/d", shared / ".hidden/e"):
        made.touch()
    after = watch(temporary, [shared], notes).files()
    assert str(tmp_path / "elsewhere") in before.own
    assert str(tmp_path / "gone") not in before.own
    assert after.own - before.own == {str(temporary / "a/b/c")}
    assert after.shared - before.shared == {str(shared / "sub/d")}
    monkeypatch.setattr("launch.env_files.MAX_LISTED", 1)
    assert watch(temporary, [shared], notes).files().shared == {str(shared / "sub")}


def test_what_others_may_have_written_counts_only_when_it_keeps_growing() -> None:
    empty = Files(set(), set())
    assert left_behind(empty, empty, Files({"a"}, {"once"})) == ["a"]
    assert left_behind(empty, Files(set(), {"x"}), Files(set(), {"x"})) == []
    assert left_behind(empty, Files(set(), {"x"}), Files(set(), {"x", "y"})) == ["x", "y"]


def test_a_cut_result_is_named() -> None:
    whole, cut = bounded_text("x" * 50, 50), bounded_text("x" * 51, 50)
    assert (bytes_before_cut(whole), bytes_before_cut(cut)) == (0, 51)
    assert bytes_before_cut("[cut: 9 bytes in all] it says") == 0
    call = ToolCall("rate", {})
    assert cut_result([Step(calls=(CallRecord(call, whole),))]) == ""
    found = cut_result([Step(calls=(CallRecord(call, cut),))])
    assert found.startswith("a result of rate has 51 bytes, of which the policy reads 50;")
    assert cut_result([Step((Message("user", cut),))]).startswith("a message has 51 bytes")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("12.35", "12.3456"),
        ("12.3%", "0.12301"),
        ("1,234", '{"total": 1234.0}'),
        ("Closed", "the order is closed"),
        ("-3", "-3"),
    ],
)
def test_an_answer_that_a_result_has(answer: str, result: str) -> None:
    assert lost_answers([(answer, ["7", result])])[0] == ""


def test_answers_that_no_result_has() -> None:
    nonsense = [("12345.67", ["nonsense"])] * 3
    assert "of 3 of 4 tasks, such as '12345.67'" in lost_answers([*nonsense, ("1", ["1"])])[0]
    # Some are worked out from what is said, and where there is no answer nothing can be missed.
    assert lost_answers([("5", ["2", "3"]), ("1", ["1"])])[0] == ""
    assert lost_answers([("", ["done"])])[0] == ""
    assert "of 1 of 1 tasks" in lost_answers([("3", ["231"])])[0]


def test_copies_are_the_same() -> None:
    assert same({"a": float("nan")}, {"a": math.nan})
    assert not same({"a": 1.0}, {"a": 2.0})
