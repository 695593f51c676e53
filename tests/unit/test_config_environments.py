"""`envs.NAME`: which stages play an environment, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.environments import needs_hosts
from configs.errors import ConfigError
from configs.load import load, save_unresolved

SMALL = str(Path(__file__).parent / "small_run.yaml")
TURNS = "stages.reasoning.max_turns=3"
HELD_OUT = "evaluation.max_turns=2"


def test_an_environment_is_a_task_set_of_what_has_turns() -> None:
    config = load(SMALL, [TURNS, HELD_OUT, "envs.calculator.levels=[2]"]).config
    train = config.stages["reasoning"].tasks["calculator"]
    assert (train.source, train.split, train.args) == ("calculator", "train", {"levels": [2]})
    held_out = config.evaluation.tasks["calculator"]
    assert (held_out.split, held_out.args) == ("heldout", {"levels": [2]})
    assert "calculator" not in config.stages["sft"].tasks
    assert needs_hosts(config)


def test_an_environment_without_arguments() -> None:
    config = load(SMALL, [TURNS, "envs.sql={}"]).config
    assert config.stages["reasoning"].tasks["sql"].args == {}
    assert "sql" not in config.evaluation.tasks, "its evaluation has one turn"


def test_a_task_set_of_that_name_stays_as_it_is() -> None:
    own = [
        "stages.reasoning.tasks.calculator.source=calculator",
        "stages.reasoning.tasks.calculator.weight=3",
    ]
    config = load(SMALL, [TURNS, *own, "envs.calculator.levels=[2]"]).config
    assert config.stages["reasoning"].tasks["calculator"].weight == 3
    assert config.stages["reasoning"].tasks["calculator"].args == {}


def test_a_saved_configuration_says_the_same(tmp_path: Path) -> None:
    loaded = load(SMALL, [TURNS, "envs.calculator.levels=[2]"])
    save_unresolved(loaded, tmp_path / "saved.yaml")
    assert load(str(tmp_path / "saved.yaml")).config == loaded.config


def test_plain_runs_need_no_hosts() -> None:
    assert not needs_hosts(load(SMALL).config)
    assert not needs_hosts(load(SMALL, [TURNS, "stages.reasoning.enabled=false"]).config)
    assert needs_hosts(load(SMALL, [HELD_OUT]).config)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([TURNS, "envs.calculater={}"], "envs.calculater: there are .*did you mean 'calculator'"),
        (["envs.calculator={}"], "envs.calculator: .* none would play it"),
        (["envs.calculator=3"], "expected a section"),
        ([TURNS, "hosts.tool_limits={a: 0}"], "hosts.tool_limits.a: must be a whole number"),
        ([TURNS, "hosts.tool_limits={a: 1.5}"], "hosts.tool_limits.a: must be a whole number"),
        (["stages.reasoning.max_turns=0"], "max_turns: must be at least 1"),
        (["hosts.workers=0"], "hosts.workers: must be at least 1"),
    ],
)
def test_what_is_wrong_is_named(changes: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load(SMALL, changes)
