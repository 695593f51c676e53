"""What a host's tools do a second: calculator calls, indexed look-ups, aggregations of a table.

Each call goes through `ToolEnv`, as the policy's do: checked against its schema, recorded, bounded.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import count

from benchmarks.figures import Bound, Figures, Target
from envs.draws import Draws
from envs.simulated.calculator import calculate
from envs.simulated.sql import sql_tool
from envs.simulated.statements import statements
from envs.tool_schema import Tool
from envs.tools import Limits, ToolEnv
from envs.types import Message, ToolCall

TARGET: Target = {
    "calculator_per_s": Bound(">=", 2_000),
    "look_ups_per_s": Bound(">=", 1_500),
    "aggregations_per_s": Bound(">=", 100),
}

ROUNDS = 5
ROUND_S = 0.4
NO_LIMIT = Limits(calls_per_episode=10**9)
AGGREGATION = (
    "SELECT scene, count(*), sum(value), avg(value) FROM figures WHERE value > {least} "
    "GROUP BY scene"
)


def run() -> Figures:
    """Rates of one caller, and how many rows an aggregation goes through."""
    tool = sql_tool("train", 0)
    rows = int(tool.query("SELECT count(*) FROM figures"))
    try:
        return {
            "calculator_per_s": per_second(calculate, calculations()),
            "look_ups_per_s": per_second(tool.tool, look_ups()),
            "aggregations_per_s": per_second(tool.tool, aggregations()),
            "rows_per_aggregation": rows,
        }
    finally:
        tool.close()


def calculations() -> Iterator[ToolCall]:
    """Divisions, no two of them alike."""
    draws = Draws("tool speed")
    while True:
        a, b = draws.between(100, 9999), draws.between(11, 99)
        yield ToolCall("calculate", {"expression": f"round({a} / {b}, 2)"})


def look_ups() -> Iterator[ToolCall]:
    """Single figures of single companies, found by the index."""
    world, draws = statements("train", 0), Draws("tool speed")
    while True:
        company = draws.choice(world.companies)
        item, year = draws.choice(world.items[company]), draws.choice(world.years[company])
        sql = (
            f"SELECT value FROM figures WHERE company = '{company}' AND item = '{item}' "
            f"AND year = {year}"
        )
        yield ToolCall("query", {"sql": sql})


def aggregations() -> Iterator[ToolCall]:
    """Groups over the whole table; the bound differs, so that no statement is met twice."""
    for number in count():
        yield ToolCall("query", {"sql": AGGREGATION.format(least=-(10**9) - number)})


def per_second(tool: Tool | Callable[..., str], calls: Iterator[ToolCall]) -> float:
    """Median over rounds of calls per second."""
    env = ToolEnv([tool], NO_LIMIT)
    rates = []
    for _ in range(ROUNDS):
        began, num_calls = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - began) < ROUND_S:
            [record] = env.step(Message("assistant", "", (next(calls),))).calls
            assert not record.error, record
            num_calls += 1
        rates.append(num_calls / elapsed)
    return statistics.median(rates)
