"""A mistake costs seconds: one line that says what to do, the right code, nothing started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import Assay
from tests.integration.runs import TINY

RL = "stages.reasoning.tasks.finance"
GOOD = '{"prompt": "What is 2 + 2?", "answer": "4"}'
NO_ANSWER = '{"prompt": "What is 2 + 2?"}'
BAD_GOLD = '{"prompt": "What is 2 + 2?", "answer": "an open { brace"}'


def rows(folder: Path, *lines: str) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return file


def on_rows(file: Path) -> list[str]:
    source = [f"{RL}.source=rows", f"{RL}.path={file}", f"{RL}.args={{}}"]
    return [*source, f"{RL}.held_out_share=0", "reward.verifier=numeric"]


Refused = Callable[..., tuple[int, str]]


@pytest.fixture
def refused(assay: Assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Try to train with some changes: the code and the one line, when nothing was started."""

    def start(**_: object) -> None:
        pytest.fail("Ray was started")

    monkeypatch.setattr("launch.connection.ray.init", start)

    def attempt(*changes: str) -> tuple[int, str]:
        done = assay("train", str(TINY), f"output={tmp_path / 'runs'}", *changes)
        assert done.out == ""
        assert done.err.count("\n") == 1
        assert not (tmp_path / "runs").exists()
        return done.code, done.err.rstrip("\n")

    return attempt


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("stages.sft.stepz=3", "unknown key 'stages.sft.stepz'; did you mean 'stages.sft.steps'?"),
        ("stages.sft.steps=many", "stages.sft.steps: expected an integer, got 'many'"),
        ("stages.sft.steps=0", "stages.sft.steps: must be at least 1, is 0"),
        ("stages.sft.kind=ppo", "stages.sft.kind: expected one of sft, rl, got 'ppo'"),
        (
            "model.path=/no/such",
            "model.path: there is no directory '/no/such'; a hub id has the form org/name",
        ),
        (
            "stages.reasoning.algorithm=grop",
            "stages.reasoning.algorithm: unknown algorithm 'grop'; there are cispo, dapo, dr_grpo, "
            "grpo, gspo, reinforce_pp, rloo; did you mean 'grpo'?",
        ),
    ],
)
def test_a_mistake_in_the_configuration(change: str, message: str, refused: Refused) -> None:
    assert refused(change) == (2, f"error: command line: {message}")


def test_a_plug_in_that_cannot_be_imported(refused: Refused) -> None:
    assert refused("reward.verifier=no_such_package:check") == (
        2,
        "error: reward.verifier: cannot import 'no_such_package': No module named "
        "'no_such_package'; is its package installed?",
    )


def test_a_file_that_is_not_there(refused: Refused, tmp_path: Path) -> None:
    missing = tmp_path / "missing.jsonl"
    assert refused(*on_rows(missing)) == (
        3,
        f"error: command line: {RL}.path: there is no file '{missing}'",
    )


def test_a_bad_row(refused: Refused, tmp_path: Path) -> None:
    file = rows(tmp_path, GOOD, NO_ANSWER)
    code, message = refused(*on_rows(file))
    assert code == 3
    assert message.startswith(f"error: {file}, row 2, column 'answer'")


def test_a_gold_that_its_verifier_rejects(refused: Refused, tmp_path: Path) -> None:
    file = rows(tmp_path, GOOD, BAD_GOLD)
    code, message = refused(*on_rows(file))
    assert code == 3
    assert message.startswith(f"error: {file}, row 2, column 'answer'")
    assert "is rejected by the verifier" in message


def test_a_mistake_in_the_preset_names_its_line(assay: Assay, tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("name: mine\nlearner:\n  rank: 2\n")
    done = assay("train", str(preset))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {preset}:3: ")
    assert "unknown key 'learner.rank'" in done.err
    assert "did you mean 'learner.ranks'?" in done.err
    assert done.err.count("\n") == 1
