"""Presets, files, overrides, and what is said when they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from configs.errors import ConfigError
from configs.load import (
    PRESETS,
    LoadedConfig,
    compose,
    load,
    preset_names,
    save_unresolved,
    to_yaml,
)
from configs.schema import Reduction, StageKind

SMALL = str(Path(__file__).parent / "small_run.yaml")


def write(tmp_path: Path, text: str) -> str:
    file = tmp_path / "run.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def minimal(tmp_path: Path, *more: str) -> str:
    """A valid configuration file with some lines added."""
    stage = "stages: {sft: {kind: sft, tasks: {a: {source: finance}}}}"
    held_out = "evaluation: {tasks: {a: {source: finance, split: heldout}}}"
    return write(tmp_path, "\n".join([stage, *more, held_out]))


def message(preset: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(preset, overrides)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_valid(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSAY_DATA", str(tmp_path))
    for file in ("tatqa/tatqa_dataset_dev.json", "finqa_dev/finqa_dataset_dev.json"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert load(name).config.name == name


@pytest.mark.parametrize("name", preset_names(PRESETS / "algorithms"))
def test_algorithms_layer_over_a_preset(name: str) -> None:
    reference = yaml.safe_load((PRESETS / "algorithms" / f"{name}.yaml").read_text())
    algorithm = (
        load(SMALL, [f"stages.reasoning.algorithm={name}"]).config.stages["reasoning"].algorithm
    )
    assert {key: vars(algorithm)[key] for key in reference} == reference


def test_an_algorithm_replaces_the_section_and_later_keys_change_it() -> None:
    key = "stages.reasoning.algorithm"
    changes = [f"{key}.kl_coef=0.5", f"{key}=gspo", f"{key}.clip_low=0.1"]
    algorithm = load(SMALL, changes).config.stages["reasoning"].algorithm
    assert (algorithm.loss, algorithm.clip_low, algorithm.clip_high) == ("gspo", 0.1, 4e-4)
    assert algorithm.kl_coef == 0


def test_overrides_are_typed_and_later_ones_win() -> None:
    changes = ["learner.grad_clip=2", "stages.sft.steps=10", "stages.sft.steps=11", "name=x=y.z"]
    with pytest.raises(ConfigError, match="name"):
        load(SMALL, changes)
    config = load(SMALL, changes[:-1]).config
    assert isinstance(config.learner.grad_clip, float)
    assert config.stages["sft"].steps == 11
    assert config.stages["sft"].kind is StageKind.SFT


def test_naming_a_stage_makes_it() -> None:
    changes = ["stages.more.order=9", "stages.more.tasks.mine.weight=2"]
    stage = load(SMALL, changes).config.stages["more"]
    assert (stage.kind, stage.tasks["mine"].weight) == (StageKind.RL, 2.0)
    assert stage.algorithm.reduction is Reduction.TOKEN


@pytest.mark.parametrize("text", ["on", "12:30", "010", "1.10", "1_0", "true", "007.5"])
def test_text_stays_as_it_is_written(text: str, tmp_path: Path) -> None:
    assert load(SMALL, [f"tracking.wandb_project={text}"]).config.tracking.wandb_project == text
    file = minimal(tmp_path, f"tracking: {{wandb_project: {text}}}")
    assert load(file).config.tracking.wandb_project == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1e-3", 1e-3), ("true", True), ("on", "on"), ("010", 10), ("[1, x]", [1, "x"])],
)
def test_arguments_of_plugins_follow_yaml_1_2(text: str, value: Any) -> None:
    args = load(SMALL, [f"reward.args.x={text}"]).config.reward.args
    assert args == {"x": value}
    assert isinstance(args["x"], type(value))


def test_arguments_of_plugins_are_replaced_as_a_whole() -> None:
    loaded = load(SMALL, ["reward.args={a: 1, b: {c: 2}}", "reward.args={d: 3}"])
    assert loaded.config.reward.args == {"d": 3}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.max_lenght=1", "unknown key 'model.max_lenght'; did you mean 'model.max_length'?"),
        ("modle.max_length=1", "did you mean 'model'?"),
        ("max_length=64", "did you mean 'model.max_length'?"),
        ("stages.sft.stepz=1", "did you mean 'stages.sft.steps'?"),
        ("stages.sft.tasks.finance.wait=1", "did you mean 'stages.sft.tasks.finance.weight'?"),
        ("zzz=1", "unknown key 'zzz'; `assay config show PRESET` prints all keys"),
        ("model.max_length.x=1", "model.max_length is an integer"),
        ("model.max_length=abc", "model.max_length: expected an integer, got 'abc'"),
        ("model.max_length=1.5", "expected an integer, got '1.5'"),
        ("learner.grad_clip=much", "expected a number, got 'much'"),
        ("rollout.compile=maybe", "expected true or false, got 'maybe'"),
        ("stages.sft.kind=sftt", "expected one of sft, rl, got 'sftt'; did you mean 'sft'?"),
        ("model=3", "model: expected a section of keys"),
        ("stages.sft=null", "stages.sft: expected a section of keys"),
        ("stages.sft.algorithm=dappo", "unknown algorithm 'dappo'"),
        ("stages.sft.algorithm=dappo", "did you mean 'dapo'?"),
        ("foo", "'foo' is not of the form key=value"),
        ("=3", "'=3' is not of the form key=value"),
        ("reward.args={x: [1", "not YAML"),
        ("reward.args=!!python/name:os.system {}", "YAML tags"),
        ("reward.args={x: !!python/name:os.system ''}", "YAML tags"),
        ("model={path: &a x, revision: *a}", "aliases"),
        ("name=${nope}", "name: its ${...} cannot be resolved"),
        ("name=${nope", "name: expected text"),
    ],
)
def test_a_wrong_override_is_one_line_that_names_it(override: str, expected: str) -> None:
    text = message(SMALL, override)
    assert text.startswith("command line: ")
    assert expected in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model:\n  max_lenght: 3", "run.yaml:2: unknown key 'model.max_lenght'; did you mean"),
        ("model:\n  max_length: 3\n  max_length: 4", "run.yaml:3: duplicate key 'max_length'"),
        ("seed: x", "run.yaml:1: seed: expected an integer, got 'x'"),
        ("seed: [1]", "run.yaml:1: seed: expected an integer"),
        ("seed: null", "run.yaml:1: seed: expected an integer"),
        ("- 1", "expected a section of keys"),
        ("a: b: c", "run.yaml:1: not YAML"),
        ("name: !!python/object/apply:os.system [ls]", "YAML tags"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("? [a]\n: 3", "a key must be a word"),
    ],
)
def test_a_wrong_file_is_one_line_with_its_place(text: str, expected: str, tmp_path: Path) -> None:
    assert expected in message(write(tmp_path, text))


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    assert "No such file" in message(str(tmp_path / "none.yaml"))
    (tmp_path / "run.yaml").write_bytes(b"name: \xff")
    assert "not UTF-8" in message(str(tmp_path / "run.yaml"))


def test_an_unknown_preset_names_the_nearest() -> None:
    text = message("quickstrat")
    assert "did you mean 'quickstart'?" in text
    assert "tatqa_tiny" in text


def test_a_missing_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_DATA", raising=False)
    text = message("tatqa_tiny")
    assert "tatqa_tiny.yaml:" in text
    assert "environment variable ASSAY_DATA is not set" in text


def test_secrets_are_neither_saved_nor_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CANARY", "canary-4711")
    loaded = load(SMALL, ["tracking.wandb_project=${oc.env:CANARY}"])
    assert loaded.config.tracking.wandb_project == "canary-4711"
    save_unresolved(loaded, tmp_path / "config.yaml")
    saved = (tmp_path / "config.yaml").read_text()
    assert "${oc.env:CANARY}" in saved
    assert "canary-4711" not in saved
    assert "canary-4711" not in message(SMALL, "seed=${oc.env:CANARY}")


def reloaded(loaded: LoadedConfig, folder: Path) -> LoadedConfig:
    save_unresolved(loaded, folder / "again.yaml")
    return load(str(folder / "again.yaml"))


@settings(max_examples=12)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="$\\\0")))
@example(text="a\x85b")  # a line break to YAML 1.1
def test_any_text_survives_saving(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    loaded = load(SMALL, [f"tracking.wandb_project={text}"])
    again = reloaded(loaded, tmp_path_factory.mktemp("saved"))
    assert again.config == loaded.config
    assert again.config.tracking.wandb_project == text


def test_sources_say_where_each_key_was_set(tmp_path: Path) -> None:
    file = minimal(tmp_path, "seed: 3")
    sources = load(file, ["model.max_length=600"]).sources
    assert sources["seed"] == f"{file}:2"
    assert sources["model.max_length"] == "command line"
    assert "learner.ranks" not in sources


def test_showing_needs_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_DATA", raising=False)
    shown = to_yaml(compose("tatqa_tiny")[0])
    assert "${oc.env:ASSAY_DATA}/tatqa" in shown
    assert "kind: rl" in shown
