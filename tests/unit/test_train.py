"""The frame of a run: what is refused, what is moved aside, and what a failed start leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.load import LoadedConfig, load
from launch.train import run
from rl.jsonl import read_log


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


def test_a_start_that_fails_says_why_and_leaves_a_report(tmp_path: Path) -> None:
    assert "has no tokenizer" in fail(quickstart(tmp_path), local=True)
    [end] = [e for e in read_log(tmp_path / "q" / "events.jsonl") if e["kind"] == "run_end"]
    assert end["status"] == "ConfigError"
    assert "ConfigError" in (tmp_path / "q" / "report.md").read_text()


def test_an_earlier_run_is_never_written_over(tmp_path: Path) -> None:
    fail(quickstart(tmp_path), local=True)
    message = fail(quickstart(tmp_path), local=True)
    assert "holds an earlier run: continue it with --resume, move it aside with --new" in message
    assert "has no tokenizer" in fail(quickstart(tmp_path), local=True, new=True)
    assert "has no tokenizer" in fail(quickstart(tmp_path), local=True, new=True)
    assert sorted(path.name for path in tmp_path.glob("q*")) == ["q", "q-1", "q-2"]
    assert len(read_log(tmp_path / "q-1" / "events.jsonl")) > 0


def test_without_a_checkpoint_there_is_nothing_to_resume(tmp_path: Path) -> None:
    message = fail(quickstart(tmp_path), local=True, resume=True)
    assert "has no checkpoint to resume from; start without --resume" in message
    assert not (tmp_path / "q").exists()
