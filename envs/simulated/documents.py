"""Retrieval: questions whose figures stand in one report among hundreds, or in a definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from envs.draws import Draws
from envs.simulated.calculator import calculate
from envs.simulated.library import HOUSE_RATIOS, NOTES, house_ratios, library, report_id
from envs.simulated.statements import MONEY, Statements, statements
from envs.simulated.tasks import Call, Cell, Draft, SimulatedTasks, call, open_tools
from envs.tools import TaskEnv
from envs.types import Env, Task

PARTS_OF_INCOME = ("net income", "income tax", "total expenses", "profit before tax")


def open_episode(task: Task) -> Env:
    shelf = library(task.metadata["split"], task.metadata["seed"])
    return open_tools(task, [shelf.search, shelf.read, calculate])


def environment() -> Env:
    """The environment that plays these tasks."""
    return TaskEnv(open_episode)


class DocumentTasks(SimulatedTasks):
    """Questions over the annual reports of 160 companies and a few notes (a `TaskSet`).

    Level 1: a figure of one report. Level 2: a percentage of two figures of one report. Level 3: a
    change between two reports. Level 4: a ratio that only a note of this library defines. Companies
    belong to one split.
    """

    NAME = "documents"
    CELLS = (Cell(1, "figure"), Cell(2, "share"), Cell(3, "change"), Cell(4, "definition"))

    def draft(self, cell: Cell, draws: Draws) -> Draft:
        world = statements(self.split, self.seed)
        prompt, answer, calls = FAMILIES[cell.family](self, world, draws)
        percent = cell.level in (2, 4)
        metadata = {
            "split": self.split,
            "seed": self.seed,
            "unit": "percent" if percent else "",
            "percent_question": percent,
            "fractions": False,
        }
        return Draft(prompt, f"{answer}%" if percent else answer, calls, metadata)

    def find(self, company: str, *years: int) -> list[list[Call]]:
        """Search for the reports of a company, then read them: two turns, parallel calls."""
        searches = [call("search", query=f"annual report {year} {company}") for year in years]
        ids = [report_id(self.split, self.seed, company, year) for year in years]
        return [searches, [call("read", document=document) for document in ids]]


Ask = tuple[str, str, list[list[Call]]]
"""Prompt, answer, gold calls."""


def _figure(tasks: DocumentTasks, world: Statements, draws: Draws) -> Ask:
    company = draws.choice(world.companies)
    item, year = draws.choice(world.items[company]), draws.choice(world.years[company])
    prompt = f"What was {item} of {company} in {year}, in {MONEY}?"
    answer = str(world.figures[item, year][company])
    return prompt, answer, tasks.find(company, year)


def _share(tasks: DocumentTasks, world: Statements, draws: Draws) -> Ask:
    company, part = draws.choice(world.companies), draws.choice(PARTS_OF_INCOME)
    year = draws.choice(world.years[company])
    above, below = (world.figures[item, year][company] for item in (part, "total income"))
    prompt = f"What percentage of total income was {part} of {company} in {year}?"
    expression = f"round({above} / {below} * 100, 2)"
    calls = [*tasks.find(company, year), [call("calculate", expression=expression)]]
    return prompt, calculate(expression), calls


def _change(tasks: DocumentTasks, world: Statements, draws: Draws) -> Ask:
    company = draws.choice(world.companies)
    item, last = draws.choice(world.items[company]), draws.between(1, len(world.years[company]) - 1)
    first, last = world.years[company][draws.below(last)], world.years[company][last]
    old, new = (world.figures[item, year][company] for year in (first, last))
    prompt = f"What was the change in {item} of {company} from {first} to {last}, in {MONEY}?"
    expression = f"{new} - {old}"
    calls = [*tasks.find(company, first, last), [call("calculate", expression=expression)]]
    return prompt, calculate(expression), calls


def _definition(tasks: DocumentTasks, world: Statements, draws: Draws) -> Ask:
    ratio = draws.choice(house_ratios(tasks.split, tasks.seed))
    company = draws.choice(world.companies)
    year = draws.choice(world.years[company])
    one, other, whole = (
        world.figures[item, year][company] for item in (ratio.one, ratio.other, ratio.whole)
    )
    prompt = f"What was the {ratio.name} of {company} in {year}, in percent?"
    expression = f"round(({one} {ratio.sign} {other}) / {whole} * 100, 2)"
    note = f"k{len(NOTES) + HOUSE_RATIOS.index(ratio.name):02}"
    searches, reads = tasks.find(company, year)
    calls = [
        [call("search", query=f"definition of {ratio.name}"), *searches],
        [call("read", document=note), *reads],
        [call("calculate", expression=expression)],
    ]
    return prompt, calculate(expression), calls


FAMILIES: Mapping[str, Callable[[DocumentTasks, Statements, Draws], Ask]] = {
    "figure": _figure,
    "share": _share,
    "change": _change,
    "definition": _definition,
}
