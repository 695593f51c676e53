"""The FinQA program language: parsed by hand, executed without eval.

A program is a list of steps such as `subtract(5829, 5735), divide(#0, 5735)`. An argument is a
number (`5735`, `-3.5`, `12.5%`), a constant (`const_100`, `const_m1`) or the result of an earlier
step (`#0`). The table operations take the name of a table row: `table_sum(total fees, none)`.
Source: Chen et al. 2021, "FinQA", section 3.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from configs.errors import DataError

Value = float | str  # a number, or "yes" / "no"

ARITHMETIC: Mapping[str, Callable[[float, float], Value]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "exp": lambda a, b: math.pow(a, b),
    "greater": lambda a, b: "yes" if a > b else "no",
}
TABLE: Mapping[str, Callable[[Sequence[float]], float]] = {
    "table_sum": math.fsum,
    "table_average": lambda row: math.fsum(row) / len(row),
    "table_max": max,
    "table_min": min,
}

_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)%?", re.ASCII)
_CONSTANT = re.compile(r"const_(m?)(\d{1,15})", re.ASCII)
_REFERENCE = re.compile(r"#(\d{1,3})", re.ASCII)


class ProgramError(DataError):
    """A program that cannot be parsed or has no value."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One step. Example: `Operation("divide", ("#0", "5735"))`."""

    name: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.arguments)})"


@dataclass(frozen=True, slots=True)
class Program:
    """The steps in order; the value of the program is the value of the last."""

    operations: tuple[Operation, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.operations))

    def operands(self) -> tuple[float, ...]:
        """The numbers written in the program, constants left out, in order of appearance."""
        arguments = (
            a for step in self.operations if step.name in ARITHMETIC for a in step.arguments
        )
        return tuple(read_number(a) for a in arguments if _NUMBER.fullmatch(a))


def parse(text: str) -> Program:
    """Read a program. Raises ProgramError on an unknown operation or argument."""
    operations: list[Operation] = []
    for name, body in _calls(text):
        if name in TABLE:
            row = body.removesuffix("none").rstrip().removesuffix(",").strip()
            operations.append(Operation(name, (row, "none")))
            continue
        arguments = tuple(part.strip() for part in body.split(","))
        if name not in ARITHMETIC or len(arguments) != 2:
            raise ProgramError(
                f"program {text!r}: no operation {name} of {len(arguments)} arguments"
            )
        for argument in arguments:
            _check_argument(argument, len(operations), text)
        operations.append(Operation(name, arguments))
    if not operations:
        raise ProgramError(f"program {text!r} has no step; write e.g. subtract(12, 5)")
    return Program(tuple(operations))


def execute(program: Program, table: Mapping[str, Sequence[float]] | None = None) -> Value:
    """The value of the last step: a finite number, or "yes" / "no" from `greater`.

    `table` maps row names to their numbers, for the table operations. Raises ProgramError where
    there is no value: division by zero, overflow, an unknown row, arithmetic on "yes".
    """
    return run(program, table)[-1]


def run(program: Program, table: Mapping[str, Sequence[float]] | None = None) -> list[Value]:
    """The values of all steps in order. Raises as `execute` does."""
    results: list[Value] = []
    for step in program.operations:
        try:
            if step.name in TABLE:
                value: Value = TABLE[step.name]((table or {})[step.arguments[0]])
            else:
                a, b = (_resolve(argument, results) for argument in step.arguments)
                value = ARITHMETIC[step.name](a, b)
        except (ArithmeticError, ValueError, KeyError) as error:
            raise ProgramError(f"program {program}: {step} has no value ({error!r})") from error
        if isinstance(value, float) and not math.isfinite(value):
            raise ProgramError(f"program {program}: {step} is not finite")
        results.append(value)
    return results


def read_number(text: str) -> float:
    """The value of a number or constant: "12.5%" is 0.125, "const_m1" is -1."""
    if match := _CONSTANT.fullmatch(text):
        return -float(match[2]) if match[1] else float(match[2])
    if not _NUMBER.fullmatch(text):
        raise ProgramError(f"{text!r} is no number; write e.g. 5735, -3.5, 12.5% or const_100")
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _calls(text: str) -> list[tuple[str, str]]:
    """Split `f(x), g(y)` into (name, body) pairs; parentheses inside a body must be balanced."""
    calls: list[tuple[str, str]] = []
    start = opened = depth = 0
    for position, character in enumerate(text):
        if character == "(":
            if depth == 0:
                opened = position
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                name = text[start:opened].strip().removeprefix(",").strip()
                calls.append((name, text[opened + 1 : position].strip()))
                start = position + 1
        if depth < 0:
            break
    if depth != 0 or text[start:].strip():
        raise ProgramError(f"program {text!r}: unbalanced parentheses or text outside of a step")
    return calls


def _check_argument(argument: str, num_before: int, text: str) -> None:
    if match := _REFERENCE.fullmatch(argument):
        if int(match[1]) >= num_before:
            raise ProgramError(
                f"program {text!r}: {argument} refers to a step that is not before it"
            )
    else:
        read_number(argument)


def _resolve(argument: str, results: Sequence[Value]) -> float:
    if not argument.startswith("#"):
        return read_number(argument)
    value = results[int(argument[1:])]
    if isinstance(value, str):
        raise ValueError(f"{argument} is {value}, not a number")
    return value
