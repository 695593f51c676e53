"""The calculator on hostile and on honest text."""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.simulated.expressions import MAX_CHARS, MAX_TOKENS, evaluate

LIMIT_S = 0.05  # the slowest takes 0.3 ms here; the rest is for a busy machine


def outcome(expression: str) -> str:
    """The value, or the name of the error; fails when it takes too long."""
    gc.disable()  # looking through all that other tests have left takes longer than any expression
    started = time.thread_time()
    try:
        return evaluate(expression)
    except (ValueError, ArithmeticError) as error:
        return type(error).__name__
    finally:
        seconds = time.thread_time() - started
        gc.enable()
        assert seconds < LIMIT_S, f"{expression[:40]} took too long"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("384 / 57", "6.73684210526"),
        ("round(384 / 57, 2)", "6.74"),
        (" (5829 - 5735) / 5735 * 100", "1.63905841325"),
        ("round(2.5)", "3"),
        ("round(-0.001, 2)", "0"),
        ("round(-2.5)", "-3"),
        ("round(1.005, 2)", "1.01"),
        ("round(12, 3)", "12"),
        ("2**0.5", "1.41421356237"),
        ("-2 ** 2", "-4"),
        ("10**15 / 3", "333333333333000"),
        ("7 // 2", "3"),
        ("1.5e3 + .5", "1500.5"),
        ("1 < 2", "yes"),
        ("12.5 >= 13", "no"),
        ("max(1, 2.5, min(7, 3))", "3"),
        ("pow(2, 10) + sqrt(16) + abs(-1)", "1029"),
        ("round(log(100, 10) + exp(0), 9)", "3"),
        ("2**199", str(2**199)),
    ],
)
def test_values(expression: str, value: str) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "  ",
        "5%",
        "$3.50 * 2",
        "1,234 + 5",
        "(1, 2)",
        "1_000 + 1",
        "0x10",
        "007 + 1",
        "00",
        "0 + 00",
        "1 2",
        "1; 2",
        "1\n2",
        "1 #2",
        "1 << 3",
        "1 <> 2",
        "2 ^ 3",
        "a = 1",
        "2(3)",
        "abs",
        "abs()",
        "abs(1)(2)",
        "min()",
        "max(1 < 2, 3)",
        "(1 < 2) + 1",
        "1 if 2 else 3",
        "not 1",
        "True + True",
        "rand()",
        "lambda: 1",
        "abs.__class__",
        "'a' * 3",
        "[1][0]",
        "f'{1}'",
        "1\x00",
        "１２ + ３",
        "sqrt(-1)",
        "(-8) ** (1 / 3)",
        "1 / 0",
        "0 ** -1",
        "1e999",
        "1e-999",
        "1e308 * 10",
        "1e-300 * 1e-300",
        "1e-320 / 1e10",
        "10 ** -400",
        "exp(1000)",
        "exp(-1000)",
        "round(1, 1e9)",
        "round(1.5, 10**9)",
        "9" * 61,
        "9**9**9",
        "((9**9)**9999)**9999",
        "pow(2, 10**9)",
        "2**201",
        "*".join(["999999999999"] * 20),
        "1" + "+1" * MAX_TOKENS,
        "1" + " " * MAX_CHARS + "+ 1",
        "(" * 149 + "1" + ")" * 149,
    ],
)
def test_what_has_no_value(expression: str) -> None:
    assert outcome(expression).endswith("Error")


@pytest.mark.parametrize(
    ("expression", "advice"),
    [
        ("1,234+1", "write 1234, not 1,234"),
        ("(1,234)", "write 1234, not 1,234"),
        ("2(3)", r"write \* between factors"),
        ("(1 + 2)(3)", r"write \* between factors"),
        ("00", "00 begins with 0"),
        ("01", "01 begins with 0"),
        ("100,000 * 2", "000 begins with 0; write 7 for 007, 1234 for 1,234"),
        ("max(*2)", "not a calculation"),
        ("5 %", "write 5/100"),
        ("x" * 60, f"unknown name '{'x' * 40}'; there are abs"),
    ],
)
def test_what_is_refused_says_what_to_write(expression: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        evaluate(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "-" * (MAX_TOKENS - 1) + "1",
        "(" * 74 + "1" + ")" * 74,
        "2**" * 60 + "2",
        "*".join(["1.0001"] * 40),
        "/".join(["7"] * 75),
        "abs(" * 40 + "1" + ")" * 40,
        "max(" + ",".join("1" * 70) + ")",
    ],
)
def test_deep_and_long_ones_are_quick(expression: str) -> None:
    assert outcome(expression)


def test_a_deep_stack_is_no_fault() -> None:
    def under(frames: int) -> str:
        return outcome("-" * 149 + "1") if frames == 0 else under(frames - 1)

    room = sys.getrecursionlimit() - 200
    assert under(room - len_of_stack()) in ("-1", "ValueError")


def len_of_stack() -> int:
    depth, frame = 0, sys._getframe()
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    return depth


ALPHABET = [*"0123456789+-*/()., <>=!e", "**", "//", "abs", "round", "pow", "log", "e9", "\n", "%"]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(ALPHABET), max_size=60).map("".join))
def test_any_text_has_a_value_or_a_named_error(expression: str) -> None:
    outcome(expression)


def attack_strings(data: Path, tool: str) -> list[dict[str, str]]:
    path = data.parent / "cases" / "attack_strings.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["tool"] == tool]


def test_the_attack_strings(assay_data: Path) -> None:
    rows = attack_strings(assay_data, "calculator")
    assert len(rows) > 30
    for row in rows:
        result = outcome(row["payload"])
        if row["expect"].startswith("typed error"):
            assert result.endswith("Error"), row["id"]
