"""The calculator: questions whose arithmetic is too much to do in one's head."""

from __future__ import annotations

from functools import cache

from envs.draws import Draws, split_of
from envs.finance.generator import ASK_FOR_BOX, FinanceTasks
from envs.finance.programs import Program, parse
from envs.simulated.expressions import evaluate
from envs.simulated.tasks import Cell, Draft, SimulatedTasks, call, open_tools
from envs.tools import TaskEnv
from envs.types import Env, Task

SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "exp": "**", "greater": ">"}
FINANCE_LEVELS = {3: 2, 4: 3}  # which questions of the finance generator a level asks
FINANCE_SIZE = 10_000_000

DIVISIONS = (
    "Fees of {a} came from {b} clients. What is the fee per client?",
    "Premiums of {a} came from {b} policies. What is the premium per policy?",
    "Interest of {a} came from {b} loans. What is the interest per loan?",
    "Costs of {a} fell on {b} funds. What is the cost per fund?",
)
GROWTHS = (
    "Income went from {a} to {b}. What is the change in percent?",
    "Deposits went from {a} to {b}. What is the change in percent?",
    "Premiums went from {a} to {b}. What is the change in percent?",
    "The price went from {a} to {b}. What is the change in percent?",
)


def calculate(expression: str) -> str:
    """Work out a calculation with + - * / ** ( ) abs exp log max min pow round sqrt."""
    return evaluate(expression)


def environment() -> Env:
    """The environment that plays these tasks."""
    return TaskEnv(lambda task: open_tools(task, [calculate]))


class CalculatorTasks(SimulatedTasks):
    """Questions for the calculator (a `TaskSet`).

    Level 1: one division in one short sentence. Level 2: a percentage change. Levels 3 and 4: those
    of the finance generator's levels 2 and 3, one to five operations. The operands alone decide
    the split, as they do there.
    """

    NAME = "calculator"
    CELLS = (Cell(1, "division"), Cell(2, "growth"), Cell(3, "finance"), Cell(4, "finance"))

    def draft(self, cell: Cell, draws: Draws) -> Draft:
        if cell.level in FINANCE_LEVELS:
            source = _finance_tasks(self.split, self.seed, FINANCE_LEVELS[cell.level])
            return _from_finance(source[draws.below(len(source))])
        return _short(self.split, cell, draws)


def _short(split: str, cell: Cell, draws: Draws) -> Draft:
    while True:
        a, b = draws.between(101, 999), draws.between(11, 99)
        if cell.level == 2:
            b = draws.between(101, 999)
        if a % b and split_of((a, b)) == split:
            break
    if cell.level == 1:
        prompt, expression, unit = draws.choice(DIVISIONS), f"{a} / {b}", ""
    else:
        prompt, expression, unit = draws.choice(GROWTHS), f"({b} - {a}) / {a} * 100", "percent"
    calculation = f"round({expression}, 2)"
    return Draft(
        prompt.format(a=a, b=b),
        evaluate(calculation) + "%" * (unit == "percent"),
        [[call("calculate", expression=calculation)]],
        {"unit": unit, "percent_question": unit == "percent", "fractions": False},
    )


@cache
def _finance_tasks(split: str, seed: int, level: int) -> FinanceTasks:
    largest = FinanceTasks(split, seed, size=1, levels=(level,)).capacity
    return FinanceTasks(split, seed, size=min(FINANCE_SIZE, largest), levels=(level,))


def _from_finance(task: Task) -> Draft:
    """A finance question with the calculation that answers it."""
    program = parse(str(task.metadata["program"]))
    expression = written(program)
    if task.metadata.get("unit") == "percent":
        expression = f"({expression}) * 100"
    if program.operations[-1].name != "greater":
        _, _, decimals = task.answer.rstrip("%").partition(".")
        expression = f"round({expression}, {len(decimals)})"
    prompt = task.prompt[0].content.removesuffix(ASK_FOR_BOX)
    return Draft(prompt, task.answer, [[call("calculate", expression=expression)]], task.metadata)


def written(program: Program) -> str:
    """A program as one expression. Example: subtract(9, 5), divide(#0, 5) is "(9 - 5) / 5"."""
    texts: list[str] = []
    for step in program.operations:
        a, b = (_operand(argument, texts) for argument in step.arguments)
        texts.append(f"{a} {SIGNS[step.name]} {b}")
    return texts[-1]


def _operand(argument: str, texts: list[str]) -> str:
    if argument.startswith("#"):
        return f"({texts[int(argument[1:])]})"
    text = argument.removeprefix("const_").replace("m", "-")
    if text.endswith("%"):
        text = f"({text[:-1]} / 100)"
    return f"({text})" if text.startswith("-") else text
