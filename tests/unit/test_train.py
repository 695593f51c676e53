"""The frame of a run: what is refused, what is moved aside, and what a failed start leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.errors import ConfigError, LearnerLost
from configs.load import LoadedConfig, load
from launch import train
from launch.train import run


def quickstart(output: Path) -> LoadedConfig:
    """The quickstart with a model that cannot be loaded, so that a run ends where it begins."""
    model = output / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text("{}")
    changes = {"output": output, "name": "q", "model.path": model}
    return load("quickstart", [f"{key}={value}" for key, value in changes.items()])


def fail(loaded: LoadedConfig, **how: bool) -> str:
    with pytest.raises(ConfigError) as raised:
        run(loaded, **how)
    return str(raised.value)


def test_a_start_that_fails_can_be_begun_again(tmp_path: Path) -> None:
    assert "no tokenizer" in fail(quickstart(tmp_path), local=True)
    assert not (tmp_path / "q" / "events.jsonl").exists()
    assert "no tokenizer" in fail(quickstart(tmp_path), local=True)


@pytest.mark.parametrize("left", ["checkpoints/0001-sft-000020/state.json", "events.jsonl"])
def test_an_earlier_run_is_never_written_over(left: str, tmp_path: Path) -> None:
    file = tmp_path / "q" / left
    file.parent.mkdir(parents=True)
    file.write_text('{"kind": "run_end", "status": "done"}\n')
    message = fail(quickstart(tmp_path), local=True)
    assert "holds an earlier run: continue it with --resume, move it aside with --new" in message
    assert "no tokenizer" in fail(quickstart(tmp_path), local=True, new=True)
    assert "no tokenizer" in fail(quickstart(tmp_path), local=True, new=True)
    assert sorted(path.name for path in tmp_path.glob("q*")) == ["q", "q-1", "q-2"]
    assert (tmp_path / "q-1" / left).exists()


def test_a_run_is_either_continued_or_begun(tmp_path: Path) -> None:
    (tmp_path / "q").mkdir()
    assert "leave one of them out" in fail(quickstart(tmp_path), resume=True, new=True)
    assert (tmp_path / "q").exists()


def test_without_a_checkpoint_there_is_nothing_to_resume(tmp_path: Path) -> None:
    message = fail(quickstart(tmp_path), local=True, resume=True)
    assert "has no checkpoint to resume from; start without --resume" in message
    assert not (tmp_path / "q").exists()


LOST = LearnerLost("learner rank 0 died")


@pytest.mark.parametrize(
    ("attempts", "ends"),
    [
        ([(LOST, "a"), (None, "")], "done"),
        ([(LOST, "")], "lost"),  # there is no checkpoint to go on from
        ([(LOST, "a"), (LOST, "a"), (LOST, "a")], "lost"),  # none was made in between
        ([(LOST, "a"), (LOST, "b"), (LOST, "c"), (LOST, "d"), (None, "")], "done"),
        ([(LOST, "a"), (LOST, "a"), (LOST, "b"), (LOST, "b"), (LOST, "b")], "lost"),
    ],
)
def test_a_run_goes_on_after_a_lost_rank_while_that_brings_it_further(
    attempts: list[tuple[LearnerLost | None, str]],
    ends: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each attempt ends with an error or none, and leaves this as the latest checkpoint."""
    latest = ""
    resumed_from: list[str] = []

    def attempt(setup: Any, logs: Path, console: Any, local: bool, losses: Sequence[Any]) -> None:
        nonlocal latest
        error, latest = attempts[len(resumed_from) - 1]
        if error:
            raise error

    def prepare(loaded: LoadedConfig, run_dir: Path, checkpoint: Any) -> None:
        resumed_from.append(checkpoint.path if checkpoint else "")

    monkeypatch.setattr(train, "_attempt", attempt)
    monkeypatch.setattr(train, "prepare", prepare)
    monkeypatch.setattr(train, "_is_finished", lambda setup: False)
    monkeypatch.setattr(
        train, "latest_checkpoint", lambda _: SimpleNamespace(path=latest) if latest else None
    )
    loaded = load("quickstart", [f"output={tmp_path}", "learner.restarts=2"])
    try:
        assert train._train_to_the_end(loaded, tmp_path, None, local=True) is False
        ended = "done"
    except LearnerLost:
        ended = "lost"
    assert ended == ends
    assert resumed_from == ["", *(checkpoint for _, checkpoint in attempts[:-1])]
