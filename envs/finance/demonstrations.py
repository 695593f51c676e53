"""Worked answers for SFT in several strategies, so that RL has something to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configs.errors import ConfigError, DataError
from envs.draws import Draws, key_of
from envs.finance.arithmetic import worked_difference, worked_sum
from envs.finance.generator import FinanceTasks
from envs.finance.programs import Operation, Program, Value, parse, run
from envs.finance.questions import write_number
from envs.types import Demonstration, Task, TaskSet

LARGEST_IN_COLUMNS = 999
WORKING_DIGITS = 6  # of intermediate results, so that rounding does not reach the answer
SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "exp": "^", "greater": ">"}


class FinanceDemonstrations:
    """One demonstration per task (a `DemonstrationSet`), a pure function of seed and index.

    A share `step_share` is "steps": the working, then the answer in a box. In thinking mode the
    working is the reasoning and the reply is the box alone; otherwise the reply holds both. The
    rest is "straight": the box alone. A share `thinking_share`, drawn independently, is in thinking
    mode.

    `tasks` is any task set whose tasks carry a program in their metadata, or the keyword arguments
    of `FinanceTasks`. Raises ConfigError for a share outside [0, 1].
    """

    def __init__(
        self,
        tasks: TaskSet | Mapping[str, Any],
        thinking_share: float = 0.5,
        step_share: float = 0.4,
        seed: int = 0,
    ) -> None:
        for name, share in (("thinking_share", thinking_share), ("step_share", step_share)):
            if not 0 <= share <= 1:
                raise ConfigError(f"demonstrations: {name} is {share}; it is a share from 0 to 1")
        self.tasks: TaskSet = FinanceTasks(**tasks) if isinstance(tasks, Mapping) else tasks
        self.thinking_share, self.step_share, self.seed = thinking_share, step_share, seed

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, index: int) -> Demonstration:
        task = self.tasks[index]
        draws = Draws("demonstration", self.seed, index)
        thinking = draws.below(10**6) < self.thinking_share * 10**6
        box = f"\\boxed{{{task.answer}}}"
        if draws.below(10**6) >= self.step_share * 10**6:
            return Demonstration(task, thinking, "", box, "straight")
        working = worked(task)
        if thinking:
            return Demonstration(task, True, working, box, "steps")
        return Demonstration(task, False, "", f"{working}\n{box}", "steps")

    @property
    def fingerprint(self) -> str:
        first = self[0]
        own = (self.thinking_share, self.step_share, self.seed, worked(first.task))
        return f"{key_of(self.tasks.fingerprint, *own):016x}"


def worked(task: Task) -> str:
    """The working of a task from its program, without the box.

    A single sum or difference of whole numbers up to three digits is worked in digit columns,
    anything else in one line per step: "5829 - 5735 = 94\\n94 / 5735 = 0.0163906\\n0.0163906 =
    1.639%". Raises DataError where the task carries no program.
    """
    if "program" not in task.metadata:
        raise DataError(
            f"task {task.id} has no program in its metadata, so no working can be written"
        )
    program = parse(str(task.metadata["program"]))
    return _columns(program) or _walk(program, task)


def _columns(program: Program) -> str:
    """Digit columns of a single sum or difference of small whole numbers, "" for anything else."""
    operation, *more = program.operations
    operands = program.operands()
    if more or operation.name not in ("add", "subtract") or len(operands) != 2:
        return ""
    if not all(x == int(x) and 0 <= x <= LARGEST_IN_COLUMNS for x in operands):
        return ""
    a, b = map(int, operands)
    return worked_sum(a, b) if operation.name == "add" else worked_difference(a, b)


def _walk(program: Program, task: Task) -> str:
    results = run(program)
    lines = [
        f"{_written(step, results)} = {_shown(result)}"
        for step, result in zip(program.operations, results, strict=True)
    ]
    if task.metadata.get("unit") == "percent":
        lines.append(f"{_shown(results[-1])} = {task.answer}")
    return "\n".join(lines)


def _written(step: Operation, results: list[Value]) -> str:
    a, b = (_argument(argument, results) for argument in step.arguments)
    return f"{a} {SIGNS[step.name]} {b}"


def _argument(argument: str, results: list[Value]) -> str:
    """An argument as it stands in a line: negative ones in parentheses, constants as numbers."""
    if argument.startswith("#"):
        text = _shown(results[int(argument[1:])])
    else:
        text = argument.removeprefix("const_").replace("m", "-")
    return f"({text})" if text.startswith("-") else text


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else write_number(value, WORKING_DIGITS)
