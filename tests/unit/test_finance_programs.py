"""The program language against worked examples, wrong input and noise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.finance.programs import ProgramError, Value, execute, parse, read_number
from envs.finance.questions import write_number, write_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("subtract(5829, 5735)", 94.0),
        ("subtract(5829, 5735), divide(#0, 5735)", 94 / 5735),
        ("add(1, 2), multiply(#0, const_m1), exp(#1, const_2)", 9.0),
        ("multiply(2100, 12.5%)", 262.5),
        ("greater(3, 2)", "yes"),
        ("greater(2, 3)", "no"),
        ("greater(-.5, const_m1)", "yes"),
        ("table_sum(total fees, none)", 60.0),
        ("table_average(total fees (net, in millions), none), divide(#0, const_100)", 0.05),
        ("table_max(total fees, none), table_min(total fees, none), subtract(#0, #1)", 20.0),
        ("divide( 9413 , 20.01 )", 9413 / 20.01),
    ],
)
def test_values(text: str, value: Value) -> None:
    table = {"total fees": [10.0, 20.0, 30.0], "total fees (net, in millions)": [4.0, 6.0]}
    assert execute(parse(text), table) == pytest.approx(value)


def test_text_of_a_program_reads_back() -> None:
    text = "table_max(fees (net), none), divide(#0, const_100), add(#1, 5.5%)"
    assert str(parse(text)) == text
    assert parse("subtract(512, 384), divide(#0, 384), add(#1, const_1)").operands() == (
        512,
        384,
        384,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "add",
        "add(1, 2",
        "add(1, 2))",
        "add(1, 2) and more",
        "add(1)",
        "add(1, 2, 3)",
        "power(1, 2)",
        "add(#0, 1)",
        "add(1, 2), add(#1, 1)",
        "add(nan, 1)",
        "add(inf, 1)",
        "add(1e400, 1)",
        "add(1_000, 1)",
        "add(٣, 1)",
        "__import__('os')(1, 2)",
    ],
)
def test_what_is_no_program_is_refused(text: str) -> None:
    with pytest.raises(ProgramError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "divide(1, 0)",
        "exp(-8, .5)",
        "exp(9, 9), exp(#0, 999)",
        "greater(1, 2), add(#0, 1)",
        "table_sum(absent, none)",
        f"add({'9' * 400}, 1)",
    ],
)
def test_programs_without_a_value_say_so(text: str) -> None:
    with pytest.raises(ProgramError):
        execute(parse(text))


@given(st.text(alphabet="addivexp_tblsum()#,.%-0123456789 const_m", max_size=60))
def test_noise_raises_nothing_else(text: str) -> None:
    try:
        execute(parse(text))
    except ProgramError:
        return


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6))
def test_numbers_are_written_to_half_a_per_mille(numerator: int, denominator: int) -> None:
    value = numerator / denominator
    text = write_number(value)
    assert read_number(text) == pytest.approx(value, rel=5e-4)
    assert "e" not in text
    assert not text.endswith(".")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (-128.0, "number", "-128"),
        (0.125, "percent", "12.5%"),
        (0.123456, "percent", "12.35%"),
        (-0.00045678, "percent", "-0.04568%"),
        (1577.3333, "currency", "1577.33"),
        (2.5, "years", "2.5"),
        (2 / 3, "ratio", "0.6667"),
        (1000.0, "number", "1000"),
        ("yes", "yes_no", "yes"),
    ],
)
def test_answers_are_written_as_people_do(value: Value, unit: str, text: str) -> None:
    assert write_value(value, unit) == text
