"""A simulated market: prices of shares and interest rates, with time-value functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, partial
from typing import Any

from envs.draws import SPLITS, Draws, key_of, permute, split_of
from envs.simulated import time_value
from envs.simulated.calculator import calculate
from envs.simulated.tasks import Call, Cell, Draft, SimulatedTasks, call, open_tools
from envs.tools import TaskEnv
from envs.types import Env, Task

FIRST_DAY = date(2019, 1, 1)
NUM_DAYS = 1300  # Mondays to Fridays: five years
NUM_SHARES = 200
TENORS = (1, 2, 3, 5, 7, 10)
FIRST_CODE, NUM_CODES = 1000, 9000


@cache
def trading_days() -> tuple[date, ...]:
    days = (FIRST_DAY + timedelta(offset) for offset in range(7 * NUM_DAYS))
    return tuple([day for day in days if day.weekday() < 5][:NUM_DAYS])


def code(split: str, seed: int, number: int) -> str:
    """Share `number` of a market, four digits as in Tokyo and Hong Kong. No code of one split is
    one of the other."""
    rank = permute(number, NUM_CODES // len(SPLITS), key_of("codes", seed))
    return str(FIRST_CODE + rank * len(SPLITS) + SPLITS.index(split))


@cache
def closing_prices(split: str, seed: int, share: str) -> tuple[int, ...]:
    """Cents on each trading day: a walk of up to 4 % a day."""
    draws = Draws("prices", split, seed, share)
    cents = draws.between(1_000, 30_000)
    prices = []
    for _ in range(NUM_DAYS):
        cents = max(100, cents * draws.between(9600, 10404) // 10_000)
        prices.append(cents)
    return tuple(prices)


@dataclass(frozen=True)
class Market:
    """The market of a split and seed. Its public methods are tools."""

    split: str
    seed: int
    shares: tuple[str, ...]

    def price(self, share: str, date: str) -> str:
        """Closing price of a share on a day such as 2021-03-05."""
        if share not in self.shares:
            raise ValueError(
                f"no share {share[:20]!r}; codes have four digits, as {self.shares[0]}"
            )
        cents = closing_prices(self.split, self.seed, share)[_day_number(date)]
        return f"{cents / 100:.2f}"

    def rate(self, date: str, years: int) -> str:
        """Interest rate in percent for a number of years, on a day such as 2021-03-05."""
        if years not in TENORS:
            raise ValueError(f"there are rates for {', '.join(map(str, TENORS))} years")
        month = _day_number(date) // 21
        level = Draws("rates", self.split, self.seed, month).between(50, 500)
        return f"{(level + 12 * years) / 100:.2f}"


def _day_number(text: str) -> int:
    """Its place among the trading days. Raises ValueError for any other day."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError("dates are written like 2021-03-05") from None
    days = trading_days()
    if not days[0] <= day <= days[-1]:
        raise ValueError(f"there are prices from {days[0]} to {days[-1]}")
    if day.weekday() >= 5:
        raise ValueError(f"{day} is no trading day; the last before it is a Friday")
    weeks, rest = divmod((day - days[0]).days, 7)
    return weeks * 5 + sum((days[0] + timedelta(offset)).weekday() < 5 for offset in range(rest))


@cache
def market(split: str, seed: int) -> Market:
    return Market(split, seed, tuple(code(split, seed, n) for n in range(NUM_SHARES)))


def open_episode(task: Task) -> Env:
    world = market(task.metadata["split"], task.metadata["seed"])
    if task.labels["level"] == "1":  # one tool, so that a small model's prompt stays short
        return open_tools(task, [world.price])
    return open_tools(task, [world.price, world.rate, calculate, *time_value.TOOLS])


def environment() -> Env:
    """The environment that plays these tasks."""
    return TaskEnv(open_episode)


class MarketTasks(SimulatedTasks):
    """Questions about a simulated market (a `TaskSet`).

    Level 1: look a price up. Level 2: a return between two days. Level 3: a time value whose
    figures are all given. Level 4: a time value over prices or rates of the market. Shares, rates
    and the figures of level 3 belong to one split.
    """

    NAME = "market"
    CELLS = (
        Cell(1, "price"),
        Cell(2, "return"),
        Cell(3, "future_value"),
        Cell(3, "loan"),
        Cell(3, "project"),
        Cell(3, "bond"),
        Cell(4, "holding"),
        Cell(4, "claim"),
    )

    def draft(self, cell: Cell, draws: Draws) -> Draft:
        ask = FAMILIES[cell.family](market(self.split, self.seed), draws)
        metadata = {
            "split": self.split,
            "seed": self.seed,
            "unit": ask.unit,
            "percent_question": ask.unit == "percent",
            "fractions": False,
        }
        return Draft(ask.prompt, ask.answer, ask.gold_calls, metadata)


@dataclass(frozen=True, slots=True)
class Ask:
    prompt: str
    answer: str
    gold_calls: Sequence[Sequence[Call]]
    unit: str = ""


def _price(world: Market, draws: Draws) -> Ask:
    share, day = draws.choice(world.shares), _day(draws)
    prompt = f"What was the price of share {share} on {day}?"
    return Ask(prompt, world.price(share, day), [[call("price", share=share, date=day)]])


def _return(world: Market, draws: Draws) -> Ask:
    share = draws.choice(world.shares)
    one, step = draws.below(NUM_DAYS), draws.between(1, NUM_DAYS - 1)
    first, last = sorted((_written(one), _written((one + step) % NUM_DAYS)))
    old, new = world.price(share, first), world.price(share, last)
    expression = f"round(({new} - {old}) / {old} * 100, 2)"
    prompt = f"By what percentage did the price of share {share} change from {first} to {last}?"
    looked_up = [call("price", share=share, date=day) for day in (first, last)]
    turns = [looked_up, [call("calculate", expression=expression)]]
    return Ask(prompt, f"{calculate(expression)}%", turns, "percent")


Given = tuple[str, Callable[..., str], dict[str, Any]]
"""A question whose figures are all given: prompt, the tool that answers it, its arguments."""


def _future_value(draws: Draws) -> Given:
    amount, rate, years = _principal(draws), _percent(draws), draws.between(2, 30)
    prompt = f"What do {amount} grow to in {years} years at {rate} % a year, compounded yearly?"
    figures = {"amount": amount, "rate_percent": rate, "years": years}
    return prompt, time_value.future_value, figures


def _loan(draws: Draws) -> Given:
    amount, rate = _principal(draws), draws.between(10, 90) / 100
    months = 12 * draws.between(1, 30)
    prompt = (
        f"A loan of {amount} is repaid in {months} equal payments, one at the end of each month, "
        f"at {rate} % a month. What is each payment?"
    )
    return (
        prompt,
        time_value.payment,
        {"principal": amount, "rate_percent": rate, "periods": months},
    )


def _project(draws: Draws) -> Given:
    cost, rate = _principal(draws), _percent(draws)
    flows = [cost * draws.between(10, 60) // 100 for _ in range(draws.between(3, 6))]
    prompt = (
        f"A project costs {cost} today and pays {', '.join(map(str, flows))} at the end of each of "
        f"the next {len(flows)} years. What is its net present value at {rate} % a year?"
    )
    return (
        prompt,
        time_value.net_present_value,
        {"rate_percent": rate, "cash_flows": [-cost, *flows]},
    )


def _bond(draws: Draws) -> Given:
    face, coupon, wanted = 100 * draws.between(1, 100), _percent(draws), _percent(draws)
    years = draws.between(2, 30)
    prompt = (
        f"A bond with a face value of {face} pays a coupon of {coupon} % at the end of each of the "
        f"next {years} years and is then repaid. What is its price at a yield of {wanted} %?"
    )
    figures = {"face": face, "coupon_percent": coupon, "yield_percent": wanted, "years": years}
    return prompt, time_value.bond_price, figures


def _given(draw: Callable[[Draws], Given], world: Market, draws: Draws) -> Ask:
    """Draw until the figures belong to the split."""
    while True:
        prompt, tool, figures = draw(draws)
        flows = figures.get("cash_flows", ())
        operands = [*flows, *(value for name, value in figures.items() if name != "cash_flows")]
        answer = tool(**figures)
        if split_of(operands) == world.split and abs(float(answer)) >= 1:
            return Ask(prompt, answer, [[call(tool.__name__, **figures)]])


def _holding(world: Market, draws: Draws) -> Ask:
    """What shares are worth after growing from their price at a given rate."""
    share, day = draws.choice(world.shares), _day(draws)
    count, growth, years = 10 * draws.between(1, 90), _percent(draws), draws.between(2, 12)
    price = world.price(share, day)
    cost = calculate(f"{count} * {price}")
    prompt = (
        f"{count} of share {share} were bought at the closing price of {day}. What are they worth "
        f"after {years} years if they gain {growth} % a year?"
    )
    grown: dict[str, Any] = {"amount": float(cost), "rate_percent": growth, "years": years}
    turns = [
        [call("price", share=share, date=day)],
        [call("calculate", expression=f"{count} * {price}")],
        [call("future_value", **grown)],
    ]
    return Ask(prompt, time_value.future_value(**grown), turns)


def _claim(world: Market, draws: Draws) -> Ask:
    """What a payment in some years is worth at the market's rate."""
    day, years, amount = _day(draws), draws.choice(TENORS[1:]), _principal(draws)
    rate = world.rate(day, years)
    prompt = (
        f"What was a payment of {amount}, due {years} years later, worth on {day} at that day's "
        f"interest rate for {years} years?"
    )
    figures: dict[str, Any] = {"amount": amount, "rate_percent": float(rate), "years": years}
    turns = [[call("rate", date=day, years=years)], [call("present_value", **figures)]]
    return Ask(prompt, time_value.present_value(**figures), turns)


FAMILIES: Mapping[str, Callable[[Market, Draws], Ask]] = {
    "price": _price,
    "return": _return,
    "future_value": partial(_given, _future_value),
    "loan": partial(_given, _loan),
    "project": partial(_given, _project),
    "bond": partial(_given, _bond),
    "holding": _holding,
    "claim": _claim,
}


def _day(draws: Draws) -> str:
    return _written(draws.below(NUM_DAYS))


def _written(day_number: int) -> str:
    return trading_days()[day_number].isoformat()


def _principal(draws: Draws) -> int:
    return 100 * draws.between(10, 9999)


def _percent(draws: Draws) -> float:
    return draws.between(4, 48) / 4
