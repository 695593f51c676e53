"""SQL over companies' statements: a table too large to read, and questions that it answers."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from statistics import fmean

from configs.errors import DataError
from envs.draws import Draws
from envs.finance.questions import write_number
from envs.finance.scenes import LAYOUTS
from envs.killable import HelperPool
from envs.simulated.statements import MONEY, Statements, sealed_database, statements
from envs.simulated.tasks import Cell, Draft, SimulatedTasks, call, open_tools
from envs.tool_schema import Tool, tool_of
from envs.tools import TaskEnv
from envs.types import Env, Task

HELPER = "envs.simulated.sql_helper"
QUERY_S = 1.0  # within SQLite
KILL_S = 2.0  # for the helper in all, should SQLite not stop by itself
LEAST_QUERY_S = 0.25  # what is left to an episode whose queries take too long
ABOUT = "It has one table, figures(company, scene, item, year, value)."

ITEMS = (
    *("total income", "total expenses", "profit before tax", "income tax", "net income", "cash"),
    *("total assets", "borrowings", "total liabilities", "retained earnings", "total equity"),
    *("depreciation", "other investments"),
)
"""What questions over many companies ask about: every company has them."""
YEARS = (2016, 2022)
"""Of which many companies of every scene report."""


class SqlTool:
    """Queries over one SQLite file in helper processes.

    `path` is of a file that nobody changes meanwhile, or "fd:5" for one of the open files `fds`;
    `tables` are those that may be read; `about` tells the policy what they hold. Raises DataError
    where there is no such file.
    """

    def __init__(
        self, path: str, tables: Sequence[str], fds: Sequence[int] = (), about: str = ""
    ) -> None:
        if not fds and not os.path.isfile(path):
            raise DataError(f"{path}: no such file; give the path of an SQLite database")
        where = path if fds else os.path.abspath(path)  # helpers work in another folder
        self._pool = HelperPool(HELPER, (where, *tables), fds)
        plain = tool_of(self.query)
        description = f"{plain.spec.description} {about}".strip()
        self.tool = replace(plain, spec=replace(plain.spec, description=description))
        atexit.register(self._pool.close)

    def query(self, sql: str) -> str:
        """Query the database with one SELECT of SQLite."""
        result: str = self._pool.call([sql, QUERY_S], KILL_S)
        return result

    def for_episode(self) -> Tool:
        """The tool for one episode: each of its queries that takes too long halves the time of
        those that follow, so that it keeps the helpers from other episodes less."""
        left = QUERY_S

        def query(sql: str) -> str:
            nonlocal left
            try:
                result: str = self._pool.call([sql, left], left * KILL_S / QUERY_S)
            except TimeoutError:
                left = max(left / 2, LEAST_QUERY_S)
                raise
            return result

        return replace(self.tool, function=query)

    def close(self) -> None:
        self._pool.close()
        atexit.unregister(self._pool.close)


@cache
def sql_tool(split: str, seed: int) -> SqlTool:
    """The tool over the statements of a split and seed, one for all episodes of this process."""
    descriptor = sealed_database(split, seed)
    return SqlTool(f"fd:{descriptor}", ("figures",), (descriptor,), ABOUT)


def open_episode(task: Task) -> Env:
    return open_tools(task, [sql_tool(task.metadata["split"], task.metadata["seed"]).for_episode()])


def environment() -> Env:
    """The environment that plays these tasks."""
    return TaskEnv(open_episode)


class SqlTasks(SimulatedTasks):
    """Questions about the statements of 160 companies (a `TaskSet`).

    Level 1: look one figure up. Level 2: an aggregate over all companies of a scene. Level 3: a
    change or a ratio of one company. Level 4: a condition on two items over all companies of a
    scene. Companies belong to one split.
    """

    NAME = "sql"
    CELLS = (
        Cell(1, "look_up"),
        Cell(2, "average"),
        Cell(2, "largest"),
        Cell(2, "count"),
        Cell(3, "growth"),
        Cell(3, "ratio"),
        Cell(4, "screening"),
    )

    def draft(self, cell: Cell, draws: Draws) -> Draft:
        world = statements(self.split, self.seed)
        prompt, answer, sql, unit = FAMILIES[cell.family](world, draws)
        metadata = {
            "split": self.split,
            "seed": self.seed,
            "unit": unit,
            "percent_question": unit == "percent",
            "fractions": False,
        }
        return Draft(prompt, answer, [[call("query", sql=sql)]], metadata)


Ask = tuple[str, str, str, str]
"""Prompt, answer, query, unit."""


def _look_up(world: Statements, draws: Draws) -> Ask:
    company = draws.choice(world.companies)
    item, year = draws.choice(world.items[company]), draws.choice(world.years[company])
    value = world.figures[item, year][company]
    prompt = f"What was {item} of {company} in {year}?"
    return prompt, str(value), _figure("value", company, item, year), ""


def _average(world: Statements, draws: Draws) -> Ask:
    scene, item, year = _drawn(world, draws)
    average = write_number(round(fmean(_of_scene(world, scene, item, year)), 2))
    prompt = f"What was the average {item} of all {scene} companies in {year}, in {MONEY}?"
    return prompt, average, _over_scene("round(avg(value), 2)", scene, item, year), ""


def _largest(world: Statements, draws: Draws) -> Ask:
    scene, item, year = _drawn(world, draws)
    largest = max(_of_scene(world, scene, item, year))
    prompt = f"What was the largest {item} of any {scene} company in {year}, in {MONEY}?"
    return prompt, str(largest), _over_scene("max(value)", scene, item, year), ""


def _count(world: Statements, draws: Draws) -> Ask:
    scene, item, year = _drawn(world, draws)
    values = sorted(_of_scene(world, scene, item, year))
    limit = values[draws.below(len(values))] // 10 * 10
    prompt = f"How many {scene} companies had {item} over {limit} {MONEY} in {year}?"
    sql = f"{_over_scene('count(*)', scene, item, year)} AND value > {limit}"
    return prompt, str(sum(value > limit for value in values)), sql, ""


def _growth(world: Statements, draws: Draws) -> Ask:
    company, item = draws.choice(world.companies), draws.choice(ITEMS)
    last = draws.between(1, len(world.years[company]) - 1)
    first, last = world.years[company][draws.below(last)], world.years[company][last]
    old, new = (world.figures[item, year][company] for year in (first, last))
    if old <= 0:
        return _growth(world, draws)
    prompt = f"By what percentage did {item} of {company} change from {first} to {last}?"
    sql = (
        "SELECT round((b.value - a.value) * 100.0 / a.value, 2) FROM figures a JOIN figures b "
        f"USING (company, item) WHERE company = '{company}' AND item = '{item}' "
        f"AND a.year = {first} AND b.year = {last}"
    )
    return prompt, f"{write_number(round((new - old) / old * 100, 2))}%", sql, "percent"


def _ratio(world: Statements, draws: Draws) -> Ask:
    company = draws.choice(world.companies)
    item = draws.choice(("total liabilities", "borrowings"))
    year = draws.choice(world.years[company])
    part, whole = world.figures[item, year][company], world.figures["total equity", year][company]
    if part <= 0 or whole <= 0:
        return _ratio(world, draws)
    prompt = f"What was the ratio of {item} to total equity of {company} in {year}?"
    sql = (
        "SELECT round(a.value * 1.0 / b.value, 4) FROM figures a JOIN figures b "
        f"USING (company, year) WHERE company = '{company}' AND year = {year} "
        f"AND a.item = '{item}' AND b.item = 'total equity'"
    )
    return prompt, write_number(round(part / whole, 4), 6), sql, "ratio"


def _screening(world: Statements, draws: Draws) -> Ask:
    scene, _, year = _drawn(world, draws)
    percent = draws.between(2, 40)
    income, result = (
        _of_scene(world, scene, item, year) for item in ("total income", "net income")
    )
    num = sum(100 * a > percent * b for a, b in zip(result, income, strict=True))
    prompt = (
        f"How many {scene} companies had a net income of more than {percent} % of their total "
        f"income in {year}?"
    )
    sql = (
        "SELECT count(*) FROM figures a JOIN figures b USING (company, year) WHERE "
        f"a.scene = '{scene}' AND year = {year} AND a.item = 'net income' AND "
        f"b.item = 'total income' AND a.value * 100 > b.value * {percent}"
    )
    return prompt, str(num), sql, ""


FAMILIES: dict[str, Callable[[Statements, Draws], Ask]] = {
    "look_up": _look_up,
    "average": _average,
    "largest": _largest,
    "count": _count,
    "growth": _growth,
    "ratio": _ratio,
    "screening": _screening,
}


def _drawn(world: Statements, draws: Draws) -> tuple[str, str, int]:
    """A scene, an item and a year of which its companies report."""
    while True:
        scene, item = draws.choice(tuple(LAYOUTS)), draws.choice(ITEMS)
        year = draws.between(*YEARS)
        if _of_scene(world, scene, item, year):
            return scene, item, year


def _of_scene(world: Statements, scene: str, item: str, year: int) -> list[int]:
    values = world.figures[item, year]
    return [value for company, value in values.items() if world.scenes[company] == scene]


def _figure(value: str, company: str, item: str, year: int) -> str:
    return (
        f"SELECT {value} FROM figures WHERE company = '{company}' AND item = '{item}' "
        f"AND year = {year}"
    )


def _over_scene(value: str, scene: str, item: str, year: int) -> str:
    return (
        f"SELECT {value} FROM figures WHERE scene = '{scene}' AND item = '{item}' AND year = {year}"
    )
