"""The frame of a run: what is refused, what is moved aside, and what a failed start leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.load import LoadedConfig, load
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
