"""Case files, and `assay verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError
from launch import cli
from rewards.cases import read_cases, score_cases, tally
from rewards.numeric import NumericVerifier

GOOD = {"id": "a", "gold": 61.5, "prediction": "$61.5 million", "expected": True, "unit": "million"}


def write(path: Path, *rows: dict[str, Any] | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_cases_are_counted_by_tier_and_kind_of_mistake(tmp_path: Path) -> None:
    file = write(
        tmp_path / "cases.jsonl",
        GOOD | {"category": "scale"},
        GOOD | {"id": "b", "prediction": "61.5 thousand"},
        GOOD | {"id": "c", "expected": False},
        GOOD | {"id": "d", "prediction": "64", "tolerance": 0.05, "tier": "policy"},
        {"gold": ["x", "y"], "prediction": "y; x", "expected": True, "tier": "policy"},
        {"gold": None, "prediction": "None", "expected": False, "tier": "policy"},
        {"gold": "7.5 million", "prediction": "7.5", "expected": False, "tier": "official:tatqa"},
    )
    verdicts = score_cases(read_cases(file), NumericVerifier())
    tiers = tally(verdicts, lambda case: case.tier)
    assert [(n, t.n, t.false_accepts, t.false_rejects) for n, t in tiers.items()] == [
        ("core", 3, 1, 1),
        ("policy", 3, 0, 0),
        ("official:tatqa", 1, 0, 0),
    ]
    assert tiers["core"].accuracy == pytest.approx(1 / 3)
    assert [v.case.id for v in verdicts if not v.is_right] == ["b", "c"]
    assert [v.case.id for v in verdicts][4:] == ["line 5", "line 6", "line 7"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{", "line 2: is not valid JSON"),
        ("[1]", "line 2: is no object"),
        ({"gold": "1", "prediction": "1"}, "line 2: lacks 'expected'"),
        (GOOD | {"id": "b", "prediction": 1}, "line 2: 'prediction' must be text and 'expected'"),
        (GOOD | {"id": "b", "expected": 1}, "line 2: 'prediction' must be text and 'expected'"),
        (
            GOOD | {"id": "b", "tolerance": "1%"},
            "line 2: 'tolerance' must be a number",
        ),
        (GOOD | {"id": "b", "unit": 6}, "line 2: 'unit' must be str"),
        (GOOD | {"id": "b", "tolerance": float("nan")}, "line 2: 'tolerance' must be from 0 to 1"),
        (GOOD | {"id": "b", "table": ["a"]}, "line 2: 'table' must be a list of rows"),
        ('{"gold": ' + "9" * 5_000 + "}", "line 2: is not valid JSON: Exceeds the limit"),
        (GOOD | {"id": 7}, "line 2: 'id' must be text"),
        (GOOD, "line 2: the id 'a' is taken"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, row: dict[str, Any] | str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_cases(write(tmp_path / "cases.jsonl", GOOD, row))


def test_a_file_without_cases_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no case"):
        read_cases(write(tmp_path / "cases.jsonl", ""))
    with pytest.raises(DataError, match="cannot be read"):
        read_cases(tmp_path / "none.jsonl")


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["assay", "verify", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_verify_prints_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = GOOD | {"id": "b", "expected": False, "tier": "official:other"}
    file = str(write(tmp_path / "cases.jsonl", GOOD, wrong))
    code, out, err = run(monkeypatch, capsys, "--cases", file, "--json")
    assert code == 0, "the verdicts do not matter"
    assert json.loads(out) == {
        "tiers": {
            "core": {"n": 1, "accuracy": 1.0, "false_accepts": 0, "false_rejects": 0},
            "official:other": {"n": 1, "accuracy": 0.0, "false_accepts": 1, "false_rejects": 0},
        },
        "failed": ["b"],
    }
    assert err == "no scorer for official:other: scored by the default policy\n"
    code, out, _ = run(monkeypatch, capsys, "--cases", file)
    assert code == 0
    assert "100.00%" in out
    assert "false accept b: gold '61.5', reply '$61.5 million'" in out


def test_verify_of_a_bad_file_ends_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "cases.jsonl", "{")
    code, out, err = run(monkeypatch, capsys, "--cases", str(file), "--json")
    assert (code, out) == (3, "")
    assert err.startswith(f"error: {file}, line 1: is not valid JSON")


def test_published_cases(assay_data: Path) -> None:
    file = assay_data.parent / "cases" / "answer_cases.jsonl"
    if not file.exists():
        pytest.skip("needs ../cases/answer_cases.jsonl beside ASSAY_DATA")
    verdicts = score_cases(read_cases(file), NumericVerifier())
    assert [verdict.case.id for verdict in verdicts if not verdict.is_right] == []
