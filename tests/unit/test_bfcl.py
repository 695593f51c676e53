"""BFCL: the official rule accepts the gold calls and nothing that differs from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError, DataError
from envs.bfcl import (
    CATEGORIES,
    MULTI_TURN,
    BfclTasks,
    calls_problem,
    environment,
    tool_spec,
    turns_problem,
)
from envs.tool_schema import make_tool
from envs.tools import gold_episode
from envs.types import Message, Step, Task, ToolCall

AREA = {
    "name": "area",
    "description": "Area of a shape.",
    "parameters": {
        "type": "dict",
        "properties": {
            "base": {"type": "integer"},
            "height": {"type": "float"},
            "unit": {"type": "string", "default": "cm"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "where": {"type": "dict", "properties": {"city": {"type": "string"}}},
            "round": {"type": "boolean"},
        },
        "required": ["base"],
    },
}
GOLD = {
    "area": {
        "base": [10],
        "height": [5, 5.5],
        "unit": ["cm", "centi-metre", ""],
        "tags": [["New York", "b"], ""],
        "where": [{"city": ["St. Louis", "STL"], "zip": ["", 1]}, ""],
        "round": [True, ""],
    }
}
RIGHT: dict[str, Any] = {"base": 10, "height": 5}


@cache
def tasks(path: Path, category: str) -> BfclTasks:
    return BfclTasks(str(path), categories=(category,))


def problem(arguments: dict[str, Any], name: str = "area") -> str:
    return calls_problem([ToolCall(name, arguments)], [GOLD], [AREA])


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"height": 5.5},
        {"height": 5.0},
        {"unit": "CM"},
        {"unit": "centi metre"},
        {"tags": ["new york", "B"]},
        {"where": {"city": "st louis"}},
        {"where": {"city": "STL", "zip": 1}},
        {"round": True},
    ],
)
def test_what_the_rule_accepts(more: dict[str, Any]) -> None:
    assert problem({**RIGHT, **more}) == ""


@pytest.mark.parametrize(
    "arguments",
    [
        {"base": 10},
        {"height": 5},
        {**RIGHT, "base": 11},
        {**RIGHT, "base": 10.0},
        {**RIGHT, "base": "10"},
        {**RIGHT, "height": "5"},
        {**RIGHT, "height": 6},
        {**RIGHT, "unit": "m"},
        {**RIGHT, "unit": None},
        {**RIGHT, "colour": "red"},
        {**RIGHT, "tags": ["b", "New York"]},
        {**RIGHT, "tags": ["New York"]},
        {**RIGHT, "tags": "New York"},
        {**RIGHT, "where": {"city": "Paris"}},
        {**RIGHT, "where": {"city": "STL", "street": "x"}},
        {**RIGHT, "where": {}},
        {**RIGHT, "round": False},
        {**RIGHT, "round": 1},
    ],
)
def test_what_it_does_not(arguments: dict[str, Any]) -> None:
    assert problem(arguments)


def test_names_and_numbers_of_calls_count() -> None:
    right = ToolCall("area", RIGHT)
    assert problem(RIGHT, "areas")
    assert calls_problem([], [GOLD], [AREA])
    assert calls_problem([right, right], [GOLD], [AREA])
    assert calls_problem([replace(right, error="no brace")], [GOLD], [AREA])
    other = {"area": {**GOLD["area"], "base": [20]}}
    both = [ToolCall("area", {**RIGHT, "base": 20}), right]
    assert calls_problem(both, [GOLD, other], [AREA]) == ""
    assert calls_problem([right, right], [GOLD, other], [AREA])


def test_turns_are_compared_with_defaults_and_in_order() -> None:
    gold = [["area(10, height=5)", "area(base=20)"], []]
    one, other = (
        ToolCall("area", {"base": 10, "height": 5, "unit": "cm"}),
        ToolCall("area", {"base": 20}),
    )
    assert turns_problem([[one, other], []], gold, [AREA]) == ""
    assert turns_problem([[other, one], []], gold, [AREA])
    assert turns_problem([[one, other], [one]], gold, [AREA])
    assert turns_problem([[one], []], gold, [AREA])


def mutations(calls: list[ToolCall]) -> Iterator[list[ToolCall]]:
    """The calls with one thing wrong, in several ways."""
    yield calls[:-1]
    yield [*calls, calls[-1]]
    first, rest = calls[0], calls[1:]
    yield [replace(first, name=f"{first.name}_x"), *rest]
    yield [replace(first, error="cut off"), *rest]
    yield [replace(first, arguments={**first.arguments, "invented": 1}), *rest]
    for name, value in first.arguments.items():
        yield [replace(first, arguments={**first.arguments, name: wrong(value)}), *rest]


def wrong(value: object) -> object:
    """A value that is certainly not the same."""
    if isinstance(value, bool):
        return f"{value}"  # some questions allow both
    if isinstance(value, int | float):
        return value + 17
    if isinstance(value, str):
        return f"{value} but not it"
    return [*value, "more"] if isinstance(value, list) else {"another": value}


def played(task: Task, episode: Sequence[Message]) -> Step:
    """The last reply to an episode."""
    env = environment()
    env.reset(task)
    for message in episode:
        step = env.step(message)
        if step.done:
            break
    env.close()
    return step


@pytest.mark.parametrize("category", CATEGORIES)
def test_gold_calls_score_1_and_mutated_ones_0(assay_data: Path, category: str) -> None:
    chosen = tasks(assay_data / "bfcl", category)
    assert len(chosen) == {"simple_python": 400}.get(category, 200)
    for index in range(len(chosen)):
        task = chosen[index]
        gold = list(gold_episode(task))
        step = played(task, gold)
        assert step.done
        assert step.reward == 1.0, (task.id, step.info)
        place = next(n for n, message in enumerate(gold) if message.tool_calls)
        for mutated in mutations(list(gold[place].tool_calls)):
            changed = replace(gold[place], tool_calls=tuple(mutated))
            step = played(task, [*gold[:place], changed, *gold[place + 1 :]])
            assert step.reward == 0.0, (task.id, mutated)


@pytest.mark.parametrize("category", CATEGORIES)
def test_functions_are_told_as_json_schemas(assay_data: Path, category: str) -> None:
    chosen = tasks(assay_data / "bfcl", category)
    every = [f for index in range(len(chosen)) for f in chosen[index].metadata["functions"]]
    for function in {function["name"]: function for function in every[::5]}.values():
        make_tool(tool_spec(function), print)


def test_it_is_an_evaluation(assay_data: Path, tmp_path: Path) -> None:
    folder = str(assay_data / "bfcl")
    with pytest.raises(ConfigError, match="evaluation"):
        BfclTasks(folder, split="train")
    with pytest.raises(ConfigError, match="no category"):
        BfclTasks(folder, categories=("java",))
    with pytest.raises(DataError, match="published files"):
        BfclTasks(str(tmp_path))
    chosen = tasks(assay_data / "bfcl", MULTI_TURN)
    assert chosen.fingerprint == tasks(assay_data / "bfcl", MULTI_TURN).fingerprint
