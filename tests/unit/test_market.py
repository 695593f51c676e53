"""The simulated market and the time value of money."""

from __future__ import annotations

from typing import Any

import pytest

from envs.simulated import time_value
from envs.simulated.market import (
    NUM_DAYS,
    MarketTasks,
    closing_prices,
    code,
    market,
    trading_days,
)
from envs.tool_demonstrations import play
from envs.tools import CallError
from envs.types import Message, ToolCall


@pytest.mark.parametrize(
    ("tool", "arguments", "value"),
    [
        ("future_value", {"amount": 1000, "rate_percent": 5, "years": 10}, "1628.89"),
        ("present_value", {"amount": 1000, "rate_percent": 5, "years": 10}, "613.91"),
        ("net_present_value", {"rate_percent": 10, "cash_flows": [-100, 60, 60]}, "4.13"),
        ("internal_rate", {"cash_flows": [-100, 60, 60]}, "13.07"),
        ("internal_rate", {"cash_flows": [-100, 0, 121]}, "10"),
        ("payment", {"principal": 10_000, "rate_percent": 0.5, "periods": 60}, "193.33"),
        ("payment", {"principal": 1200, "rate_percent": 0, "periods": 12}, "100"),
        (
            "bond_price",
            {"face": 1000, "coupon_percent": 5, "yield_percent": 4, "years": 10},
            "1081.11",
        ),
    ],
)
def test_time_values_as_the_textbook_has_them(
    tool: str, arguments: dict[str, Any], value: str
) -> None:
    [function] = [function for function in time_value.TOOLS if function.__name__ == tool]
    assert function(**arguments) == value


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (time_value.future_value, {"amount": 1e16, "rate_percent": 5, "years": 10}),
        (time_value.future_value, {"amount": 1, "rate_percent": 1000, "years": 1200}),
        (time_value.future_value, {"amount": 1, "rate_percent": -100, "years": 1}),
        (time_value.present_value, {"amount": 1, "rate_percent": -99, "years": 1200}),
        (time_value.present_value, {"amount": 1, "rate_percent": 5, "years": -1}),
        (time_value.internal_rate, {"cash_flows": [1, 2, 3]}),
        (time_value.internal_rate, {"cash_flows": [-1, 3, -1]}),
        (time_value.internal_rate, {"cash_flows": [-1, 1e9]}),
        (time_value.net_present_value, {"rate_percent": 1, "cash_flows": []}),
        (time_value.net_present_value, {"rate_percent": 1, "cash_flows": [1.0] * 1000}),
        (time_value.payment, {"principal": 1, "rate_percent": -99, "periods": 1200}),
        (time_value.payment, {"principal": 1, "rate_percent": 1, "periods": 0}),
        (
            time_value.bond_price,
            {"face": 1e15, "coupon_percent": 1000, "yield_percent": -99, "years": 120},
        ),
    ],
)
def test_what_has_no_value_is_refused(tool: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        tool(**arguments)


def test_the_market_is_the_same_for_ever_and_its_splits_share_nothing() -> None:
    world = market("train", 0)
    assert len(set(world.shares)) == len(world.shares)
    assert len({*trading_days()}) == NUM_DAYS
    assert not set(world.shares) & set(market("heldout", 5).shares)
    assert code("train", 0, 0) == world.shares[0]
    share, days = world.shares[3], trading_days()
    shown = [world.price(share, day.isoformat()) for day in days[::97]]
    cents = closing_prices("train", 0, share)[::97]
    assert shown == [f"{price / 100:.2f}" for price in cents]
    assert 0 < float(world.rate("2021-03-05", 10)) < 10


@pytest.mark.parametrize(
    "arguments",
    [
        {"share": "XXXX", "date": "2021-03-05"},
        {"share": "../../etc/passwd", "date": "2021-03-05"},
        {"share": "?", "date": "2021-03-06"},
        {"share": "?", "date": "1990-01-01"},
        {"share": "?", "date": "2021-02-31"},
        {"share": "?", "date": "yesterday"},
    ],
)
def test_a_wrong_look_up_says_what_is_wrong(arguments: dict[str, str]) -> None:
    task = MarketTasks()[0]
    share = market("train", 0).shares[0]
    arguments = {name: value.replace("?", share) for name, value in arguments.items()}
    step = play(task, [Message("assistant", "", (ToolCall("price", arguments),))])[1]
    assert step.calls[0].error == CallError.REFUSED
