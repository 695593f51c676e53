"""`assay evaluate`: how good a model is on held-out tasks, and what an answer costs."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from configs.errors import FaultBudgetSpent
from configs.schema import RunConfig
from envs.types import Task
from launch.console import printable, quiet_output
from launch.figures import Accuracy, StageFigures, stage_figures
from launch.memory import RUN_ID_VARIABLE, new_run_id
from launch.models import Models, prepare_models
from launch.tasks import load_held_out
from launch.tiny_judge import with_judge
from rl.evaluate import Evaluator
from rl.provenance import package_versions
from rl.tracking import EvaluationRecord

STAGE = "evaluation"


def evaluate_model(config: RunConfig, json_file: Path | None = None) -> None:
    """Evaluate the model at `config.model.path` and print a table; `json_file` gets all figures.

    Raises:
        ConfigError: the model or a task set cannot be used.
        DataError: a data file cannot be used.
        FaultBudgetSpent: an engine failed; the message says where its log is.
    """
    tasks = load_held_out(config)
    record = evaluate_directory(config, tasks)
    figures = stage_figures((), (record,), config.seed)
    _print(config, len(tasks), record, figures, Console(highlight=False))
    if json_file is not None:
        text = json.dumps(_as_dict(config, len(tasks), record, figures), indent=2)
        json_file.write_text(f"{text}\n", encoding="utf-8")


def evaluate_directory(config: RunConfig, tasks: list[Task] | None = None) -> EvaluationRecord:
    """The model at `config.model.path` on the held-out tasks. Raises as `evaluate_model` does."""
    tasks = tasks or load_held_out(config)
    folder = Path(tempfile.mkdtemp(prefix="assay-evaluate-"))
    failed = False
    try:
        with quiet_output(folder / "driver.log"):
            config, _ = with_judge(config, folder / "judge")
            models = prepare_models(config, folder)
            record = asyncio.run(_evaluate(config, models, tasks, folder))
    except FaultBudgetSpent as error:
        failed = True
        raise FaultBudgetSpent(f"{error}; logs are in {folder}") from error
    finally:
        if not failed:
            shutil.rmtree(folder)
    return record


async def _evaluate(
    config: RunConfig, models: Models, tasks: list[Task], logs: Path
) -> EvaluationRecord:
    from launch.cluster import start_rewards, start_rollouts, stop_engines
    from launch.connection import connected

    run_id = os.environ.setdefault(RUN_ID_VARIABLE, new_run_id())
    with connected(config):
        rollouts, rewards = await asyncio.gather(
            start_rollouts(config, models, logs, run_id), start_rewards(config, logs, run_id)
        )
        evaluator = Evaluator(
            tasks=tasks,
            config=config.evaluation,
            rollouts=rollouts,
            scorer=rewards,
            seed=config.seed,
            slots=config.rollout.workers * config.rollout.max_num_seqs,
        )
        record = await evaluator.run(STAGE, policy_version=0)
        await asyncio.gather(rewards.close(), stop_engines(rollouts))
    return record


def _print(
    config: RunConfig,
    num_tasks: int,
    record: EvaluationRecord,
    figures: StageFigures,
    console: Console,
) -> None:
    evaluation = config.evaluation
    columns = ("tasks", "pass@1", "95 % interval", "pass@10", "greedy", "tokens", "seconds")
    table = Table(Column("", no_wrap=True), *columns, box=None)
    for name, accuracy in _rows(figures):
        table.add_row(printable(name), *_cells(accuracy))
    console.print(f"model      {printable(config.model.path)}", markup=False, soft_wrap=True)
    console.print(
        f"sampling   {evaluation.samples} samples a task at temperature 1 "
        f"and one greedy, at most {evaluation.max_tokens} tokens; "
        f"{record.seconds:.1f} s in all",
        soft_wrap=True,
    )
    if left_out := num_tasks - len(record.results):
        long = record.prompts_too_long
        console.print(
            f"left out   {left_out} of {num_tasks} tasks: {long} prompts too long for "
            f"model.max_length, {left_out - long} without a verdict after faults"
        )
    console.print(table)
    console.print("tokens and seconds are those of one sampled answer, from submission to its end")


def _rows(figures: StageFigures) -> Iterator[tuple[str, Accuracy]]:
    yield "all", figures.accuracy
    for mode, accuracy in figures.by_mode.items():
        yield mode.replace("_", "-"), accuracy
    for level, accuracy in figures.by_level.items():
        yield f"level {level}", accuracy
    for label, slices in figures.by_label.items():
        for value, accuracy in slices.items():
            yield f"{label} {value}", accuracy


def _cells(accuracy: Accuracy) -> tuple[str, ...]:
    def percent(share: float | None) -> str:
        return "-" if share is None else f"{share:.1%}"

    return (
        str(accuracy.tasks),
        percent(accuracy.pass_at_1),
        f"{percent(accuracy.ci_low)} to {percent(accuracy.ci_high)}",
        percent(accuracy.pass_at_10),
        percent(accuracy.greedy),
        "-" if accuracy.tokens is None else f"{accuracy.tokens:.1f}",
        "-" if accuracy.seconds_per_answer is None else f"{accuracy.seconds_per_answer:.2f}",
    )


def _as_dict(
    config: RunConfig, num_tasks: int, record: EvaluationRecord, figures: StageFigures
) -> dict[str, Any]:
    of_training = ("seconds", "steps", "generated_tokens", "trained_tokens", "generation")
    measured = {n: value for n, value in figures.as_dict().items() if n not in of_training}
    return {
        "model": config.model.path,
        "seed": config.seed,
        "versions": package_versions(),
        "evaluation": dataclasses.asdict(config.evaluation),
        "left_out": num_tasks - len(record.results),
        "prompts_too_long": record.prompts_too_long,
        **measured,
        "results": [dataclasses.asdict(result) for result in record.results],
    }
