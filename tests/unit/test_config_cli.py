"""What a user sees of `assay`: one line and an exit code for what they can mend."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import FaultBudgetSpent, Stopped
from launch import cli

Assay = Callable[..., tuple[int, str, str]]
SMALL = str(Path(__file__).parent / "small_run.yaml")
RL_TASKS = "stages.reasoning.tasks.finance"


@pytest.fixture
def assay(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Assay:
    """Run a command in this process: its exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["assay", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_dry_run_prints_the_plan(assay: Assay) -> None:
    code, out, err = assay("train", SMALL, "stages.sft.steps=7", "--dry-run")
    assert (code, err) == (0, "")
    for shown in ("stages.sft.steps=7", "852.9 k parameters", "896 sequences", "10,000,000"):
        assert shown in out
    assert "Nothing was started" in out


@pytest.mark.parametrize(
    "preset", ["quickstart", "tatqa_tiny", "finqa_qwen2.5_1.5b", "reasoning_qwen3_8b"]
)
def test_every_preset_passes_the_dry_run(preset: str, assay: Assay, assay_data: Path) -> None:
    code, out, err = assay("train", preset, "--dry-run")
    assert (code, err) == (0, "")
    assert ("to fetch" in out) == ("qwen" in preset)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["train", "quickstrat"], 2, "did you mean 'quickstart'?"),
        (["train", SMALL, "modle.dtype=x"], 2, "unknown key 'modle.dtype'"),
        (["train", SMALL, "model.path=/no/such"], 2, "there is no directory '/no/such'"),
        (["config", "show", SMALL, "x.y=1"], 2, "unknown key 'x.y'"),
        (["train", SMALL, f"{RL_TASKS}.args={{levelz: [1]}}"], 2, "did you mean 'levels'?"),
        (["train", SMALL, f"{RL_TASKS}.args={{levels: 1}}"], 2, f"{RL_TASKS}.args: "),
        (["train", SMALL, f"{RL_TASKS}.args={{split: train}}"], 2, "a key of its own"),
        (["train", SMALL, "reward.args={tolerence: 1}"], 2, "did you mean 'tolerance'?"),
        (
            ["train", SMALL, "stages.reasoning.algorithm.loss=no_such_pkg:f"],
            2,
            "cannot import 'no_such_pkg'",
        ),
        (["data", "check", "/no/such.jsonl"], 3, "/no/such.jsonl"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], code: int, expected: str, assay: Assay
) -> None:
    got, out, err = assay(*arguments)
    assert (got, out) == (code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert expected in err


def rows(tmp_path: Path, *lines: str) -> str:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return str(file)


GOOD = '{"prompt": "What is 2 + 2?", "answer": "4"}'
BAD = '{"prompt": "What is 2 + 2?"}'


def on_rows(file: str) -> list[str]:
    share = [f"{RL_TASKS}.held_out_share=0", f"{RL_TASKS}.args={{}}"]
    return ["train", SMALL, f"{RL_TASKS}.source=rows", f"{RL_TASKS}.path={file}", *share]


def test_a_bad_row_stops_the_run_or_is_skipped_and_counted(assay: Assay, tmp_path: Path) -> None:
    command = on_rows(rows(tmp_path, GOOD, BAD))
    code, out, err = assay(*command, "--dry-run")
    assert (code, out) == (3, "")
    assert "row 2, column 'answer'" in err
    code, out, err = assay(*command, "--dry-run", "--skip-bad-rows")
    assert (code, err) == (0, "")
    assert "finance 1 (1 rows skipped)" in out


def test_a_gold_that_its_verifier_rejects_stops_the_run(assay: Assay, tmp_path: Path) -> None:
    rejected = '{"prompt": "What is 2 + 2?", "answer": "an open { brace"}'
    code, _, err = assay(*on_rows(rows(tmp_path, rejected)), "--dry-run")
    assert code == 3
    assert "is rejected by the verifier" in err


def test_data_check_reports_and_tells_bad_from_good(assay: Assay, tmp_path: Path) -> None:
    code, out, _ = assay("data", "check", rows(tmp_path, GOOD))
    assert code == 0
    assert "1 of 1 rows usable" in out
    code, out, _ = assay("data", "check", rows(tmp_path, GOOD, BAD))
    assert code == 3
    assert "bad: 1 rows, answer: is missing" in out


def test_a_run_for_more_gpus_than_there_are_does_not_start(
    assay: Assay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    code, _, err = assay("train", SMALL, "rollout.gpus=8", "learner.gpus=1", "learner.ranks=99")
    assert code == 4
    assert "GPUs: the run needs 107" in err


@pytest.mark.parametrize(("error", "code"), [(FaultBudgetSpent, 5), (Stopped, 6)])
def test_exit_codes_of_a_run(
    error: type[Exception], code: int, assay: Assay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error("two\nlines")

    monkeypatch.setattr("configs.load.load", fail)
    assert assay("train", SMALL) == (code, "", "error: two lines\n")


def test_an_interrupt_ends_with_130(assay: Assay, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("configs.load.load", interrupt)
    assert assay("train", SMALL)[0] == 130


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("configs.load.load", fail)
    monkeypatch.setattr("sys.argv", ["assay", "train", SMALL])
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["config", "show", "quickstart"], ["train", "x"]]
)
def test_nothing_heavy_is_imported_for_help_and_mistakes(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom launch.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'ray', 'vllm', 'transformers', 'datasets', 'numpy'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
