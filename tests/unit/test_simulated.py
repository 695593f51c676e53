"""What holds for every simulated world that needs no process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from configs.registry import DEMONSTRATION_SOURCES, SIMULATED, TASK_SOURCES, resolve
from configs.schema import TasksConfig
from envs.draws import key_of
from envs.finance.generator import ASK_FOR_BOX
from envs.simulated.calculator import CalculatorTasks
from envs.simulated.faults import OTHER_FORM, Faults, InjectedCrash
from envs.simulated.tasks import SimulatedTasks
from envs.tool_demonstrations import ToolDemonstrations, play
from envs.tools import CallError, gold_episode
from envs.types import Message, Step, Task, TaskSet, ToolCall
from launch.tasks import load_demonstrations, load_tasks
from rewards.numeric import NumericVerifier
from rollout.types import StopReason, Trajectory

IN_PROCESS = ("accounts", "calculator", "documents", "market")


def source(name: str) -> type[SimulatedTasks]:
    tasks: type[SimulatedTasks] = resolve(name, TASK_SOURCES, "test")
    return tasks


def levels_of(name: str) -> list[int]:
    return sorted({cell.level for cell in source(name).CELLS})


def sample(name: str, split: str = "train", each: int = 3) -> list[Task]:
    """Some tasks of every cell."""
    tasks = source(name)(split, levels=levels_of(name), size=each * len(source(name).CELLS))
    return [tasks[index] for index in range(len(tasks))]


def reward(task: Task, messages: list[Message], steps: list[Step]) -> float:
    """What the answer scores, times what the world says of its state."""
    trajectory = Trajectory(task, 0, (), (*task.prompt, *messages), StopReason.STOP)
    answer = NumericVerifier()(trajectory).reward
    assert answer is not None
    state = steps[-1].reward
    return answer * (1.0 if state is None else state)


@pytest.mark.parametrize("name", SIMULATED)
def test_every_environment_has_tasks_and_demonstrations(name: str) -> None:
    assert name == source(name).NAME
    assert DEMONSTRATION_SOURCES[name] == "envs.tool_demonstrations:ToolDemonstrations"
    assert len(levels_of(name)) >= 3
    assert len(SIMULATED) == 6


@pytest.mark.parametrize("name", IN_PROCESS)
@pytest.mark.parametrize("split", ["train", "heldout"])
def test_gold_scores_the_maximum_and_an_empty_answer_nothing(name: str, split: str) -> None:
    for task in sample(name, split):
        gold = list(gold_episode(task))
        steps = play(task, gold)
        assert [record.error for step in steps for record in step.calls if record.error] == []
        assert reward(task, gold, steps) == 1.0, task.id
        empty = [Message("assistant", "")]
        assert reward(task, empty, play(task, empty)) == 0.0, task.id
        NumericVerifier().check_gold(task)


@pytest.mark.parametrize("name", IN_PROCESS)
def test_the_same_index_is_the_same_task_and_the_same_world(name: str) -> None:
    once, again = sample(name), sample(name)
    assert once == again
    assert len({task.id for task in once}) == len(once)
    assert json.loads(json.dumps([dict(task.metadata) for task in once]))
    for task in once:
        results = [
            [record.result for step in play(task, gold_episode(task)) for record in step.calls]
            for _ in range(2)
        ]
        assert results[0] == results[1]


@pytest.mark.parametrize("name", IN_PROCESS)
def test_splits_and_seeds_differ(name: str) -> None:
    tasks, levels = source(name), levels_of(name)
    chosen = [tasks("train", levels=levels), tasks("heldout", levels=levels), tasks(seed=1)]
    assert len({each.fingerprint for each in chosen}) == 3
    assert chosen[0].fingerprint == tasks("train", levels=levels).fingerprint
    train, held_out = (
        {task.prompt[0].content for task in sample(name, split, each=20)}
        for split in ("train", "heldout")
    )
    assert not train & held_out
    owners = {key_of(name, p.removesuffix(ASK_FOR_BOX)) % 4 == 0 for p in held_out}
    assert owners == {True}, "whatever the seed, a text belongs to one split"
    assert chosen[0].label_cycle[0] == dict(chosen[0][0].labels)


def test_wrong_arguments_are_named() -> None:
    for wrong in ({"split": "test"}, {"levels": [9]}, {"levels": []}, {"size": 0}):
        with pytest.raises(ConfigError, match="calculator"):
            CalculatorTasks(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="probability"):
        CalculatorTasks(faults={"error": 2})
    with pytest.raises(ConfigError, match="unknown fault 'errors'"):
        CalculatorTasks(faults={"errors": 1})
    with pytest.raises(ConfigError, match="percentile"):
        CalculatorTasks(faults={"latency_s": 1, "latency_p99_s": 0.5})
    with pytest.raises(ConfigError, match="tool_share"):
        ToolDemonstrations(CalculatorTasks(), tool_share=2)


@pytest.mark.parametrize("name", IN_PROCESS)
def test_demonstrations_mix_tools_and_guesses(name: str) -> None:
    tasks = source(name)(levels=levels_of(name), faults={"error": 1.0})
    made = ToolDemonstrations(tasks, tool_share=0.5)
    for index in range(12):
        shown = made[index]
        assert shown == made[index]
        assert shown.tools
        assert shown.reply == f"\\boxed{{{shown.task.answer}}}"
        assert bool(shown.turns) == (shown.strategy == "tools")
        calls = sum(len(message.tool_calls) for message in shown.turns)
        assert calls == sum(message.role == "tool" for message in shown.turns)
    assert {made[index].strategy for index in range(12)} == {"tools", "straight"}


def test_ordered_faults_happen() -> None:
    def first_records(**faults: float) -> list[str]:
        tasks = CalculatorTasks(faults=faults, size=200)
        steps = [play(tasks[index], gold_episode(tasks[index])[:1])[1] for index in range(200)]
        return [step.calls[0].error or step.calls[0].result for step in steps]

    errors = first_records(error=0.25)
    assert errors == first_records(error=0.25)
    assert 20 < errors.count(CallError.FAILED) < 80
    assert first_records(wrong_schema=1.0) == [OTHER_FORM] * 200
    with pytest.raises(InjectedCrash):
        first_records(crash=0.05)


def test_a_call_tried_again_may_succeed() -> None:
    tasks = CalculatorTasks(faults={"error": 0.5}, size=50)
    asking = gold_episode(tasks[0])[0]
    steps = play(tasks[0], [asking] * 8)[1:]
    assert {step.calls[0].error for step in steps} == {"", CallError.FAILED}


def test_latency_has_the_median_and_the_percentile_that_were_ordered() -> None:
    faults = Faults(latency_s=0.05, latency_p99_s=2.0)
    assert faults.latency(0.5) == pytest.approx(0.05)
    assert faults.latency(0.99) == pytest.approx(2.0)
    assert Faults(latency_s=0.05).latency(0.99) == 0.05


def test_paths_are_refused_wherever_a_name_is_asked_for(assay_data: Path) -> None:
    path = assay_data.parent / "cases" / "attack_strings.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    payloads = [row["payload"] for row in rows if row["tool"] == "path_argument"]
    assert len(payloads) > 4
    asked = {
        "documents": ("read", "document", {}),
        "market": ("price", "share", {"date": "2021-03-05"}),
        "accounts": ("client", "name", {}),
    }
    for name, (tool, argument, more) in asked.items():
        task = sample(name, each=1)[0]
        for payload in payloads:
            calling = Message("assistant", "", (ToolCall(tool, {argument: payload, **more}),))
            [record] = play(task, [calling])[1].calls
            assert record.error in (CallError.REFUSED, CallError.TOO_LARGE), (name, payload[:40])
            assert str(Path.cwd()) not in record.result


def test_a_long_name_is_cut_within_its_quotes() -> None:
    task = sample("documents", each=1)[0]
    calls = (
        ToolCall("read", {"document": "..%c0%af" * 9}),
        ToolCall("x" * 99, {}),
        ToolCall("read", {"y" * 99: 1}),
    )
    records = play(task, [Message("assistant", "", calls)])[1].calls
    cut = ("no document '..%c0%af..%c0%af..%c'; search", f"no tool '{'x' * 60}';", f"'{'y' * 60}';")
    for record, expected in zip(records, cut, strict=True):
        assert expected in record.result


def test_a_configuration_names_them_as_any_source() -> None:
    def load(check_gold: Callable[[Task], None], **args: Any) -> TaskSet:
        config = TasksConfig(source="calculator", split="heldout", args=args)
        return load_tasks("evaluation.tasks.tools", config, False, check_gold, max_turns=2)

    check_gold = NumericVerifier().check_gold
    assert load(check_gold, levels=[2], faults={"error": 0.1})[0].labels["level"] == "2"
    with pytest.raises(ConfigError, match="level"):
        load(check_gold, level=2)
    config = TasksConfig(source="calculator", args={"levels": [1], "tool_share": 1.0})
    shown = load_demonstrations("stages.sft.tasks.tools", config, 0.0, False, check_gold)[0]
    assert shown.strategy == "tools"
    assert not shown.thinking
