"""Profiling a task set: counts, parts, and going on after an interruption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.virtual_time import simulate
from configs.errors import ConfigError, FaultBudgetSpent
from configs.schema import StageConfig
from envs.types import Task
from launch import profile
from launch.profile import MadeWith, Profiler, by_label, choose, finished, parts
from rl.curriculum import Mixture
from rl.profile import TaskProfile, read_profile
from rollout.types import RolloutRequest
from tests.fakes import Fate, NumberedTasks, World

MADE_WITH: MadeWith = {"model": "51aa", "samples": 4}
MIXTURE = Mixture({"a": NumberedTasks(30, "a"), "b": NumberedTasks(9, "b")}, {"a": 1.0, "b": 1.0})


def by_number(request: RolloutRequest) -> Fate:
    """Task NAME/n: n % 5 of the 4 answers are right at most, and a/7 has no verdict."""
    number = int(request.task.id.split("/")[1])
    if request.task.id == "a/7":
        return Fate([None] * 4)
    return Fate([float(index < number % 5) for index in range(4)], seconds=1.0 + number)


def profiler(folder: Path, world: World, say: Callable[[str], None] = print) -> Profiler:
    folder.mkdir(exist_ok=True)
    parts_ = world.parts()
    return Profiler(
        rollouts=parts_.rollouts,
        scorer=parts_.scorer,
        stage=StageConfig(),
        samples=4,
        seed=1,
        slots=8,
        folder=folder,
        made_with=MADE_WITH,
        say=say,
    )


def test_every_task_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "PART_TASKS", 10)
    folder, world = tmp_path / "parts", World(by_number)
    said: list[str] = []
    simulate(profiler(folder, world, said.append).run(choose(MIXTURE, 0)))
    assert len(parts(folder)) == 4
    assert [line.partition(",")[0] for line in said] == [f"{n} of 39 tasks" for n in (10, 20, 30)]
    done = finished(tmp_path / "out.parquet", folder, MADE_WITH)
    assert len(done) == len(world.requests) == 39
    for task_id, counted in done.items():
        expected = int(task_id.split("/")[1]) % 5 if task_id != "a/7" else 0
        assert counted.correct == min(expected, 4), task_id
        assert counted.samples == (0 if task_id == "a/7" else 4), task_id
        assert counted.task_set == task_id[0]


def test_an_interrupted_profile_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "PART_TASKS", 10)
    chosen, folder, out = choose(MIXTURE, 0), tmp_path / "parts", tmp_path / "out.parquet"

    def dies_on_the_way(request: RolloutRequest) -> Fate:
        dies = request.group_id == 25
        return replace(by_number(request), error=FaultBudgetSpent("gone") if dies else None)

    with pytest.raises(FaultBudgetSpent, match="gone"):
        simulate(profiler(folder, World(dies_on_the_way)).run(chosen))
    before = finished(out, folder, MADE_WITH)
    assert 10 < len(before) < 39

    world = World(by_number)
    todo = [(name, task) for name, task in chosen if task.id not in before]
    simulate(profiler(folder, world).run(todo))
    assert {request.task.id for request in world.requests}.isdisjoint(before)
    uninterrupted = tmp_path / "whole"
    simulate(profiler(uninterrupted, World(by_number)).run(chosen))
    assert finished(out, folder, MADE_WITH) == finished(out, uninterrupted, MADE_WITH)


def test_parts_of_another_profile_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    simulate(profiler(folder, World(by_number)).run(choose(MIXTURE, 4)))
    with pytest.raises(ConfigError, match=r"samples was 4, is 10; choose another --out"):
        finished(tmp_path / "out.parquet", folder, {**MADE_WITH, "samples": 10})
    assert read_profile(parts(folder)[0])[1] == MADE_WITH


def test_a_few_tasks_are_spread_over_the_sets() -> None:
    def names(chosen: list[tuple[str, Task]]) -> list[str]:
        assert len({task.id for _, task in chosen}) == len(chosen)
        return [name for name, _ in chosen]

    assert names(choose(MIXTURE, 5)) == ["a"] * 3 + ["b"] * 2
    assert names(choose(MIXTURE, 26)) == ["a"] * 13 + ["b"] * 9
    assert names(choose(MIXTURE, 0)) == ["a"] * 30 + ["b"] * 9


def test_the_table_tells_easy_from_hopeless() -> None:
    def task(number: int, level: str, correct: int, samples: int = 10) -> TaskProfile:
        labels = {"level": level}
        return TaskProfile(f"t/{number}", "set", labels, samples, correct, 0, 31 * samples, 1.0)

    profiles = [task(0, "1", 10), task(1, "1", 5), task(2, "2", 0), task(3, "2", 0, samples=0)]
    console = Console(width=120)
    with console.capture() as capture:
        console.print(by_label(profiles))
    lines = [line.split() for line in capture.get().splitlines()]
    assert lines[1:] == [
        ["all", "3", "50.0%", "66.7%", "33.3%", "33.3%", "31.0", "0.0%"],
        ["set", "set", "3", "50.0%", "66.7%", "33.3%", "33.3%", "31.0", "0.0%"],
        ["level", "1", "2", "75.0%", "100.0%", "50.0%", "0.0%", "31.0", "0.0%"],
        ["level", "2", "1", "0.0%", "0.0%", "0.0%", "100.0%", "31.0", "0.0%"],
    ]
    assert by_label([]).row_count == 0
