"""The time value of money as tools: present and future values, annuities, bonds, internal rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from envs.finance.questions import write_number

LARGEST = 1e15  # of an amount
MAX_PERIODS = 1200
MAX_FLOWS = 120
RATES = (-0.99, 10.0)  # between which an internal rate is searched


def future_value(amount: float, rate_percent: float, years: int) -> str:
    """What an amount grows to at an annual rate, compounded yearly."""
    return _money(_amount(amount) * _growth(rate_percent, years))


def present_value(amount: float, rate_percent: float, years: int) -> str:
    """What an amount due in some years is worth today, discounted yearly."""
    return _money(_amount(amount) / _growth(rate_percent, years))


def net_present_value(rate_percent: float, cash_flows: list[float]) -> str:
    """Value today of yearly cash flows, the first of them paid today."""
    return _money(_present(_flows(cash_flows), _rate(rate_percent)))


def internal_rate(cash_flows: list[float]) -> str:
    """The annual rate in percent at which yearly cash flows, the first of them paid today, are
    worth nothing. They change sign once."""
    flows = _flows(cash_flows)
    signs = [flow > 0 for flow in flows if flow]
    if sum(one != other for one, other in pairwise(signs)) != 1:
        raise ValueError("cash flows must change sign exactly once to have one internal rate")
    low, high = RATES
    if (_present(flows, low) > 0) == (_present(flows, high) > 0):
        raise ValueError(f"the internal rate is not between {low:.0%} and {high:.0%}")
    for _ in range(100):
        middle = (low + high) / 2
        same = (_present(flows, middle) > 0) == (_present(flows, low) > 0)
        low, high = (middle, high) if same else (low, middle)
    return write_number(round(100 * low, 6))


def payment(principal: float, rate_percent: float, periods: int) -> str:
    """The equal payment at the end of each period that repays a loan, at a rate per period."""
    rate, amount = _rate(rate_percent), _amount(principal)
    if not 1 <= periods <= MAX_PERIODS:
        raise ValueError(f"periods must be from 1 to {MAX_PERIODS}")
    if rate == 0:
        return _money(amount / periods)
    return _money(amount * rate / -math.expm1(-periods * math.log1p(rate)))


def bond_price(face: float, coupon_percent: float, yield_percent: float, years: int) -> str:
    """The price of a bond with yearly coupons, the next of them in one year."""
    coupon = _amount(face) * _rate(coupon_percent)
    if not 1 <= years <= MAX_FLOWS:
        raise ValueError(f"years must be from 1 to {MAX_FLOWS}")
    flows = [0.0] + [coupon] * (years - 1) + [coupon + face]
    return _money(_present(flows, _rate(yield_percent)))


TOOLS = (future_value, present_value, net_present_value, internal_rate, payment, bond_price)


def _money(value: float) -> str:
    if not math.isfinite(value) or abs(value) > LARGEST**2:
        raise OverflowError("the result is out of range")
    return write_number(round(value, 2))


def _amount(amount: float) -> float:
    if abs(amount) > LARGEST:
        raise ValueError(f"amounts must be at most {LARGEST:g}")
    return amount


def _rate(percent: float) -> float:
    if not -99 <= percent <= 1000:
        raise ValueError("rates must be from -99 to 1000 percent")
    return percent / 100


def _growth(rate_percent: float, years: int) -> float:
    if not 0 <= years <= MAX_PERIODS:
        raise ValueError(f"years must be from 0 to {MAX_PERIODS}")
    growth: float = (1 + _rate(rate_percent)) ** years
    return growth


def _flows(cash_flows: Sequence[float]) -> list[float]:
    if not 1 <= len(cash_flows) <= MAX_FLOWS:
        raise ValueError(f"there must be from 1 to {MAX_FLOWS} cash flows")
    return [_amount(flow) for flow in cash_flows]


def _present(flows: Sequence[float], rate: float) -> float:
    return math.fsum(flow / (1 + rate) ** year for year, flow in enumerate(flows))
