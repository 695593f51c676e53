"""Levels 3 to 5: a question family put to a drawn company, in a sentence, a table or statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from envs.draws import SPLITS, Draws, key_of, permute, split_of
from envs.finance.companies import Company, Layout, draw_company
from envs.finance.families import SHARED_FAMILIES, Ask, Family
from envs.finance.names import long_name, num_long_names
from envs.finance.programs import Program, ProgramError, Value, parse, read_number, run
from envs.finance.questions import Question
from envs.finance.scenes import LAYOUTS, OWN_FAMILIES
from envs.finance.tables import full_statements, sentence, small_table

ASKS_PER_COMPANY = 4
MAX_COMPANIES = 200
LARGEST_FRACTION = 10.0  # percentages stay within 1,000 %
SMALLEST_FRACTION = 0.001


@dataclass(frozen=True, slots=True)
class StatementCell:
    """The questions of one family in one scene and presentation."""

    asked: Family
    layout: Layout
    level: int

    @property
    def scene(self) -> str:
        return self.layout.scene

    @property
    def family(self) -> str:
        return self.asked.name

    def capacity(self, split: str) -> int:
        """As many questions as there are company names in a split: each company has its own."""
        return num_long_names(self.layout.suffixes) // len(SPLITS)

    def question(self, split: str, key: int, number: int) -> Question:
        """Question `number` of the stream that `key` (of seed and split) names.

        Companies and asks are drawn until the operands belong to the split. The company's name is
        a permutation of the number, train and held-out names being disjoint.
        """
        layout = self.layout
        order = key_of(key, self.scene, self.family, self.level)
        rank = permute(number, self.capacity(split), order)
        name = long_name(rank * len(SPLITS) + SPLITS.index(split), layout.suffixes)
        for attempt in range(MAX_COMPANIES):
            company = draw_company(layout, name, Draws(key, self.scene, rank, attempt))
            draws = Draws(order, number, attempt)
            for _ in range(ASKS_PER_COMPANY):
                ask = self.asked.ask(draws, company)
                if ask is not None and _fits(ask, split):
                    return self._present(ask, company, draws)
        raise AssertionError(
            f"{self.family} of {layout.scene}: no question in {MAX_COMPANIES} tries"
        )

    def _present(self, ask: Ask, company: Company, draws: Draws) -> Question:
        text = f"{ask.text[:-1]}, in {company.money}?" if ask.in_scale else ask.text
        if self.level == 3:
            prompt = f"{sentence(company, ask.rows, ask.years)} {text}"
        elif self.level == 4:
            prompt = f"{small_table(company, ask.rows, draws)}\n\n{text}"
        else:
            prompt = f"{full_statements(company, draws)}\n\n{text}"
        scale = company.scale if ask.in_scale else ""
        return Question(prompt, ask.program, ask.unit, scale)


STATEMENT_CELLS = tuple(
    StatementCell(family, layout, level)
    for scene, layout in LAYOUTS.items()
    for family in (*SHARED_FAMILIES, *OWN_FAMILIES[scene])
    for level in family.levels
)


def _fits(ask: Ask, split: str) -> bool:
    """Whether the question is of this split and a sensible one."""
    program = parse(ask.program)
    operands = program.operands()
    if 0.0 in operands or split_of(operands) != split:
        return False
    try:
        results = run(program)
    except ProgramError:  # a growth rate of a negative number and the like has no value
        return False
    return _sensible(program, results, ask.unit)


def _sensible(program: Program, results: Sequence[Value], unit: str) -> bool:
    """No division by what is not positive, and an answer that is neither tiny nor huge."""
    for step in program.operations:
        if step.name == "divide":
            below = step.arguments[1]
            value = results[int(below[1:])] if below.startswith("#") else read_number(below)
            if isinstance(value, str) or value <= 0:
                return False
    answer = results[-1]
    if isinstance(answer, str):
        return True
    if unit in ("percent", "ratio"):
        limit = LARGEST_FRACTION * (100 if unit == "ratio" else 1)
        return SMALLEST_FRACTION <= abs(answer) <= limit
    return abs(answer) >= SMALLEST_FRACTION
