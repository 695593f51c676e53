"""All levels: gold answers recomputed, facts sufficient, splits disjoint, every label reachable."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b

import pytest

from configs.errors import DataError
from envs.draws import SPLITS, Draws, split_of
from envs.finance import FinanceDemonstrations, FinanceTasks, check
from envs.finance.companies import AMOUNT, Company, draw_company
from envs.finance.demonstrations import worked
from envs.finance.families import SHARED_FAMILIES, Ask, Family
from envs.finance.generator import CELLS, FAMILIES, LEVELS
from envs.finance.programs import execute, parse
from envs.finance.questions import UNITS
from envs.finance.scenes import LAYOUTS, OWN_FAMILIES
from envs.types import Task

EVERYTHING = {split: FinanceTasks(split, levels=LEVELS) for split in SPLITS}
ROUND = range(len(CELLS))  # one task of every cell
YEAR = re.compile(r"\b20[012]\d\b")


class Facts:
    """A company as the reference formulas see it: plain floats, and what the question names."""

    def __init__(self, company: Company, text: str) -> None:
        self.company, self.text = company, text
        self.years = [int(year) for year in YEAR.findall(text)]
        labels = sorted(company.layout.rows, key=lambda key: -len(company.said(key)))
        self.named = [key for key in labels if company.said(key) in text]

    def __call__(self, key: str, year: int) -> float:
        """Amounts as they are, prices in the currency, rates as fractions."""
        value = self.company.values[key][self.company.years.index(year)]
        unit = self.company.layout.rows[key].unit
        return value / {AMOUNT: 1, "per_share": 100, "rate": 10_000}[unit]

    def margin(self, year: int) -> float:
        return self("net_income", year) / self("total_revenue", year)

    def drawdown(self) -> float:
        prices, worst, peak = self.company.values["price"], 0.0, 0
        for price in prices:
            peak = max(peak, price)
            worst = max(worst, 1 - price / peak)
        return worst

    def interest(self) -> float:
        rate = re.search(r"At ([\d.]+)%", self.text)
        months = re.search(r"over (\d+) months", self.text)
        assert rate is not None
        assert months is not None
        principal = self(self.named[0], self.years[0])
        return principal * float(rate[1]) / 100 * int(months[1]) / 12


def weighted(f: Facts, year: int, *pairs: tuple[str, str]) -> float:
    total = sum(f(weight, year) for weight, _ in pairs)
    return sum(f(weight, year) / total * f(rate, year) for weight, rate in pairs)


def per_year(formula: Callable[[Facts, int], float]) -> Callable[[Facts], float]:
    return lambda f: formula(f, f.years[0])


REFERENCE: dict[str, Callable[[Facts], float | str]] = {
    "change": lambda f: f(f.named[0], f.years[1]) - f(f.named[0], f.years[0]),
    "total": lambda f: f(f.named[0], f.years[1]) + f(f.named[0], f.years[0]),
    "growth": lambda f: f(f.named[0], f.years[1]) / f(f.named[0], f.years[0]) - 1,
    "margin": per_year(lambda f, y: f("pretax", y) / f("total_revenue", y)),
    "margin_change": lambda f: f.margin(f.years[1]) - f.margin(f.years[0]),
    "average": lambda f: sum(f(f.named[0], f.years[0] + i) for i in range(3)) / 3,
    "weighted_average": per_year(
        lambda f, y: weighted(f, y, ("part_one", "rate_one"), ("part_two", "rate_two"))
    ),
    "earnings_per_share": per_year(
        lambda f, y: (f("net_income", y) - f("preferred", y)) / f("shares", y)
    ),
    "cagr": lambda f: (
        (f(f.named[0], f.years[1]) / f(f.named[0], f.years[0])) ** (1 / (f.years[1] - f.years[0]))
        - 1
    ),
    "comparison": lambda f: "yes" if f.margin(f.years[0]) > f.margin(f.years[1]) else "no",
    "interest": lambda f: f.interest(),
    "net_interest_margin": per_year(
        lambda f, y: (f("interest_income", y) - f("interest_expense", y)) / f("earning_assets", y)
    ),
    "total_return": lambda f: (
        (f("price", f.years[1]) + f("dividend_per_share", f.years[1])) / f("price", f.years[0]) - 1
    ),
    "price_earnings": per_year(lambda f, y: f("price", y) * f("shares", y) / f("net_income", y)),
    "weighted_cost": per_year(
        lambda f, y: weighted(
            f, y, ("total_equity", "cost_of_equity"), ("borrowings", "cost_of_debt")
        )
    ),
    "loss_ratio": per_year(
        lambda f, y: (f("claims", y) + f("claims_handling", y)) / f("premiums", y)
    ),
    "combined_ratio": per_year(
        lambda f, y: (f("total_costs", y) - f("depreciation", y)) / f("premiums", y)
    ),
    "distribution": per_year(
        lambda f, y: (f("net_income", y) + f("depreciation", y)) / f("shares", y)
    ),
    "trustee_fee": lambda f: (
        (f("total_assets", f.years[0]) + f("total_assets", f.years[0] - 1))
        / 2
        * f("trustee_rate", f.years[0])
    ),
    "repayment": per_year(
        lambda f, y: f("borrowings", y) / (f("net_income", y) + f("depreciation", y))
    ),
    "net_asset_value": per_year(lambda f, y: f("total_equity", y) / f("shares", y)),
    "fee_ratio": per_year(
        lambda f, y: (f("management_fees", y) + f("custody_fees", y)) / f("total_assets", y)
    ),
    "drawdown": lambda f: f.drawdown(),
}


def asks_of(family: Family, scene: str) -> list[tuple[Company, Ask]]:
    layout, found = LAYOUTS[scene], []
    for seed in range(40):
        company = draw_company(layout, "Test", Draws("questions", scene, seed))
        ask = family.ask(Draws("ask", seed), company)
        if ask is not None and 0.0 not in parse(ask.program).operands():
            found.append((company, ask))
    return found


FAMILY_SCENES = [
    (family, scene) for scene in LAYOUTS for family in (*SHARED_FAMILIES, *OWN_FAMILIES[scene])
]


@pytest.mark.parametrize(("family", "scene"), FAMILY_SCENES, ids=lambda x: getattr(x, "name", x))
def test_programs_agree_with_reference_formulas(family: Family, scene: str) -> None:
    asks = asks_of(family, scene)
    assert len(asks) >= 20
    for company, ask in asks:
        assert ask.text.endswith("?")
        assert ask.unit in UNITS
        facts = Facts(company, ask.text)
        if family.name in ("ratio", "share"):
            expected = one_division(facts)
        else:
            expected = REFERENCE[family.name](facts)
        if not isinstance(expected, str):
            expected = pytest.approx(expected, rel=1e-9)
        assert execute(parse(ask.program)) == expected, ask


def one_division(f: Facts) -> float:
    """Ratio: X to total equity. Share: what percentage of W was P."""
    said = {f.company.said(key): key for key in f.named}
    ratio = re.search(r"ratio of (.+) to (.+) at the end", f.text)
    share = re.search(r"percentage of (.+) was (.+) in", f.text)
    if ratio:
        part, whole = ratio[1], ratio[2]
    else:
        assert share is not None
        whole, part = share[1], share[2]
    return f(said[part], f.years[0]) / f(said[whole], f.years[0])


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("product", lambda a, b: str(a * b)),
        ("quotient", lambda a, b: str(max(a, b) // min(a, b))),
        ("share", lambda a, b: f"{100 * min(a, b) / max(a, b):.4g}%"),
    ],
)
def test_level_two_answers_are_right(family: str, expected: Callable[[int, int], str]) -> None:
    tasks = FinanceTasks(levels=[2], families=[family], size=500)
    for i in range(500):
        text = tasks[i].prompt[0].content
        a, b = (int(n) for n in re.findall(r"(?<!In )(?<!in )\b\d+", text))
        wanted = float(expected(a, b).rstrip("%"))
        assert float(tasks[i].answer.rstrip("%")) == pytest.approx(wanted, rel=5e-4), text


def tasks_of(split: str, rounds: int) -> list[Task]:
    return [EVERYTHING[split][i] for i in range(rounds * len(CELLS))]


def test_every_label_is_reachable() -> None:
    labels = [EVERYTHING["train"][i].labels for i in ROUND]
    cells = {(cell.scene, cell.family, str(cell.level)) for cell in CELLS}
    assert {(each["scene"], each["task"], each["level"]) for each in labels} == cells
    assert len(cells) == len(CELLS)
    assert {cell.scene for cell in CELLS} == set(LAYOUTS)
    assert {cell.level for cell in CELLS} == {1, 2, 3, 4, 5}
    assert set(REFERENCE) | {"ratio", "share", "product", "quotient"} == set(FAMILIES)


@pytest.mark.parametrize("split", SPLITS)
def test_the_operands_decide_the_split_at_every_level(split: str) -> None:
    for task in tasks_of(split, 4):
        assert split_of(parse(task.metadata["program"]).operands()) == split, task.id


def test_splits_share_neither_content_nor_company() -> None:
    contents, names = [], []
    for split in SPLITS:
        tasks = [task for task in tasks_of(split, 5) if int(task.labels["level"]) >= 3]
        programs = [parse(task.metadata["program"]) for task in tasks]
        contents.append({frozenset(program.operands()) for program in programs})
        names.append({re.split(r"[:(]", task.prompt[0].content)[0].strip() for task in tasks})
    assert not contents[0] & contents[1]
    assert not names[0] & names[1]


@pytest.mark.parametrize("split", SPLITS)
def test_prompts_are_distinct(split: str) -> None:
    tasks = tasks_of(split, 15)
    assert len({task.prompt[0].content for task in tasks}) == len(tasks)
    assert len({task.id for task in tasks}) == len(tasks)


def test_each_company_of_a_cell_has_its_own_name() -> None:
    tasks = FinanceTasks(levels=[3], families=["drawdown"], size=10_000_000)
    names = [tasks[i].prompt[0].content.split(" (")[0] for i in range(0, 10_000_000, 10_007)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: f"{c.scene}-{c.family}-{c.level}")
def test_each_cell_alone_holds_ten_million(cell: object) -> None:
    assert min(cell.capacity(split) for split in SPLITS) >= 10_000_000  # type: ignore[attr-defined]


def test_the_prompt_holds_every_operand() -> None:
    for task in tasks_of("train", 4):
        text = task.prompt[0].content.replace(",", "")
        for step in parse(task.metadata["program"]).operations:
            for argument in step.arguments:
                if not argument.startswith(("#", "const_")):
                    assert argument.lstrip("-") in text, task


def test_exact_answers_bear_no_tolerance() -> None:
    for task in tasks_of("train", 2):
        exact = task.labels["task"] in ("change", "total", "product", "quotient")
        assert (task.metadata.get("tolerance") == 0.0) == exact
        assert task.metadata["fractions"] is False
        assert task.metadata.get("percent_question", False) == (task.metadata["unit"] == "percent")


def test_golds_are_parseable_and_sensible() -> None:
    pattern = {"percent": r"-?\d+(\.\d+)?%", "yes_no": "yes|no"}
    for task in tasks_of("train", 4) + tasks_of("heldout", 1):
        unit = task.metadata["unit"]
        assert re.fullmatch(pattern.get(unit, r"-?\d+(\.\d+)?"), task.answer), task
        assert unit in UNITS
        assert task.metadata["scale"] in ("", "thousand", "million")
        assert unit == "yes_no" or float(task.answer.rstrip("%")) != 0


def test_yes_and_no_are_balanced() -> None:
    tasks = FinanceTasks(levels=[3], families=["comparison"], size=600)
    answers = Counter(tasks[i].answer for i in range(600))
    assert 0.4 < answers["yes"] / 600 < 0.6


def test_the_money_unit_is_asked_for() -> None:
    task = next(t for t in tasks_of("train", 1) if t.labels["task"] == "trustee_fee")
    assert re.search(r", in \S+ (thousand|million)s\? Put the answer in", task.prompt[0].content)
    assert task.metadata["scale"] in task.prompt[0].content


def test_only_level_one_says_nothing_of_the_box() -> None:
    for task in tasks_of("train", 1):
        assert task.prompt[0].content.endswith("\\boxed{}.") == (task.labels["level"] != "1")
        assert [message.role for message in task.prompt] == ["user"]


def test_the_same_tasks_for_ever() -> None:
    tasks = [EVERYTHING["train"][i] for i in ROUND]
    text = "\n".join(f"{task.id} {task.prompt[0].content} {task.answer}" for task in tasks)
    assert blake2b(text.encode(), digest_size=8).hexdigest() == "cffe5cdf4f3c3b97"


def test_workings_end_in_the_answer() -> None:
    demonstrations = FinanceDemonstrations(EVERYTHING["train"], step_share=1, thinking_share=0)
    for i in ROUND:
        task = demonstrations[i].task
        last_line = worked(task).split("\n")[-1]
        if len(parse(task.metadata["program"]).operations) == 1:
            continue
        shown = last_line.split(" = ")[-1]
        if task.metadata["unit"] == "yes_no" or task.metadata["unit"] == "percent":
            assert shown == task.answer
        else:
            assert float(shown) == pytest.approx(float(task.answer), rel=5e-4)


def test_a_working_reads_like_this() -> None:
    task = Task("t", "finance", (), "1.639%", {}, {"program": GROWTH, "unit": "percent"})
    assert worked(task) == "5829 - 5735 = 94\n94 / 5735 = 0.0163906\n0.0163906 = 1.639%"
    task = Task("t", "finance", (), "-3", {}, {"program": "add(-5, const_2)", "unit": "number"})
    assert worked(task) == "(-5) + 2 = -3"
    with pytest.raises(DataError, match="no program"):
        worked(Task("t", "finance", (), "1"))


GROWTH = "subtract(5829, 5735), divide(#0, 5735)"


def exact(task: Task, reply: str) -> float:
    return float(reply == f"\\boxed{{{task.answer}}}")


def test_check_passes_with_a_sound_verifier() -> None:
    assert check(exact, per_cell=1) == 2 * len(CELLS)


def test_check_names_a_gold_that_its_verifier_rejects() -> None:
    with pytest.raises(DataError, match=r"quotient-2.*scores 0\.0"):
        check(lambda task, reply: exact(task, reply) * (task.labels["task"] != "quotient"))
    with pytest.raises(DataError, match="scores None"):
        check(lambda task, reply: None)


def test_check_notices_that_an_empty_reply_wins() -> None:
    with pytest.raises(DataError, match="empty reply"):
        check(lambda task, reply: 1.0)
