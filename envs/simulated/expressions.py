"""Arithmetic on text that an adversary wrote: never more than milliseconds, never a side effect.

The text must be made of numbers, + - * / // ** and comparisons, parentheses, commas and the
functions of `FUNCTIONS`: a closed set of words, checked before Python's parser sees them. Then
simpleeval walks the tree with operators that refuse a result over 200 bits before they compute it.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

from simpleeval import InvalidExpression, SimpleEval

MAX_CHARS = 300
MAX_TOKENS = 150  # each can nest a level deeper, and each level takes two of Python's frames
MAX_BITS = 200  # of a whole number; floats stop at 1.8e308 by themselves
SIGNIFICANT_DIGITS = 12
OUT_OF_RANGE = "a result is out of range: too large, or too close to zero"
ADVICE = {
    "Tuple": "a comma stands only between what a function is given; write 1234, not 1,234",
    "Lambda": "a number or parenthesis is no function; write * between factors, such as 2 * (3)",
}
"""By a word of simpleeval's messages."""

Number = int | float

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
      | (?P<name>[A-Za-z_]\w*)
      | (?P<sign>\*\*|//|<=|>=|==|!=|[-+*/(),]|[<>](?![<>]))
    )""",
    re.VERBOSE | re.ASCII,
)


def evaluate(expression: str) -> str:
    """The value of an expression as text: up to 12 significant digits; yes or no of a comparison.

    Example: `evaluate("round(384 / 57, 2)")` is "6.74". Raises ValueError or ArithmeticError for
    whatever has no value or is not allowed: other characters ("%", "$", thousands separators),
    over 300 characters, a whole number over 200 bits, overflow, underflow, division by zero.
    """
    _check(expression)
    try:
        # Without spaces: a leading one would be an indented block to Python.
        value = _evaluator().eval(expression.strip())
    except InvalidExpression as error:
        raise ValueError(_advice(str(error))) from error
    except SyntaxError as error:
        raise ValueError("not a complete expression") from error
    except (TypeError, AttributeError) as error:  # such as abs() or 2(3)
        raise ValueError(f"not a calculation: {error}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return _written(value)


def _advice(problem: str) -> str:
    """What to do about what simpleeval refuses; its own words speak of Python."""
    for part, advice in ADVICE.items():
        if part in problem:
            return advice
    return "not a calculation"


def _check(expression: str) -> None:
    """Raise ValueError unless the text is made of known tokens."""
    if len(expression) > MAX_CHARS:
        raise ValueError(f"longer than {MAX_CHARS} characters")
    position, num_tokens, text = 0, 0, expression.strip(" ")
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or "\n" in match[0] or "\r" in match[0]:
            found = text[position : position + 12].strip(" ")
            hint = "; for 5 % write 5/100" if "%" in found else ""
            raise ValueError(f"cannot read {found!a}: numbers, + - * / ** ( ) and functions{hint}")
        if match["name"] and match["name"] not in FUNCTIONS:
            raise ValueError(
                f"unknown name {match['name'][:40]!r}; there are {', '.join(FUNCTIONS)}"
            )
        if match["number"]:
            _check_number(match["number"])
        position, num_tokens = match.end(), num_tokens + 1
    if not num_tokens:
        raise ValueError("nothing to calculate")
    if num_tokens > MAX_TOKENS:
        raise ValueError(f"more than {MAX_TOKENS} numbers and signs")


def _check_number(text: str) -> None:
    """Raise ValueError for a number that is too long, or that a float cannot hold."""
    if text.isdecimal() and text[0] == "0" != text:
        raise ValueError(f"{text:.40} begins with 0; write 7 for 007, 1234 for 1,234")
    value, digits = float(text), text.lower().partition("e")[0]
    too_long = text.isdecimal() and int(text).bit_length() > MAX_BITS
    if too_long or not math.isfinite(value) or (value == 0 and digits.strip("0.")):
        raise ValueError(f"{text:.40} is out of range")


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        raise ValueError("not a calculation")
    if isinstance(value, int):
        return str(value)
    text = f"{value + 0.0:.{SIGNIFICANT_DIGITS}g}"  # -0.0 + 0.0 is 0.0
    return f"{Decimal(text):f}" if 1e-9 <= abs(value) < 1e21 else text


def _bounded(function: Callable[..., Number]) -> Callable[..., Number]:
    """The function, whose operands and result must be numbers of a sensible size."""

    def call(*operands: Number) -> Number:
        for operand in operands:
            if isinstance(operand, bool):
                raise ValueError("a comparison is no number")
        try:
            result = function(*operands)
        except OverflowError as error:
            raise OverflowError(OUT_OF_RANGE) from error
        if isinstance(result, complex):
            raise ValueError("the result is not a real number")
        if isinstance(result, int):
            if result.bit_length() > MAX_BITS:
                raise OverflowError(OUT_OF_RANGE)
        elif not math.isfinite(result):
            raise OverflowError(OUT_OF_RANGE)
        return result

    return call


def _comparing(function: Callable[[Number, Number], bool]) -> Callable[[Number, Number], bool]:
    """The comparison, whose sides must be numbers: no functions, no comparisons."""

    def call(left: Number, right: Number) -> bool:
        for side in (left, right):
            if isinstance(side, bool) or not isinstance(side, int | float):
                raise ValueError("only numbers are compared")
        return function(left, right)

    return call


def _power(base: Number, exponent: Number) -> Number:
    """base ** exponent, refused before it is computed where it would be long."""
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if abs(base) > 1 and (abs(base).bit_length() - 1) * exponent > MAX_BITS:
            raise OverflowError
        result: Number = base**exponent
        return result
    result = float(base) ** float(exponent)
    if result == 0 and base != 0:
        raise OverflowError
    return result


def _product(a: Number, b: Number) -> Number:
    result = a * b
    if result == 0 and a != 0 and b != 0:
        raise OverflowError
    return result


def _quotient(a: Number, b: Number) -> Number:
    result = a / b
    if result == 0 and a != 0:
        raise OverflowError
    return result


def _exponential(x: Number) -> Number:
    return _power(math.e, x)


def _rounded(value: Number, places: Number = 0) -> Number:
    """Half away from zero, as money is rounded: round(2.5) is 3, not 2."""
    if not isinstance(places, int) or not 0 <= places <= SIGNIFICANT_DIGITS:
        raise ValueError(f"round to between 0 and {SIGNIFICANT_DIGITS} places")
    if isinstance(value, int):
        return value
    whole = Decimal(repr(value)).scaleb(places).to_integral_value(ROUND_HALF_UP)
    return float(whole.scaleb(-places)) if places else int(whole)


_PLAIN: dict[str, Callable[..., Number]] = {
    "abs": abs,
    "exp": _exponential,
    "log": math.log,
    "max": max,
    "min": min,
    "pow": _power,
    "round": _rounded,
    "sqrt": math.sqrt,
}
FUNCTIONS: dict[str, Callable[..., Number]] = {
    name: _bounded(function) for name, function in _PLAIN.items()
}
"""What an expression may call."""

OPERATORS: dict[type[ast.AST], Callable[..., object]] = {
    ast.Add: _bounded(operator.add),
    ast.Sub: _bounded(operator.sub),
    ast.Mult: _bounded(_product),
    ast.Div: _bounded(_quotient),
    ast.FloorDiv: _bounded(operator.floordiv),
    ast.Pow: _bounded(_power),
    ast.USub: _bounded(operator.neg),
    ast.UAdd: _bounded(operator.pos),
    ast.Eq: _comparing(operator.eq),
    ast.NotEq: _comparing(operator.ne),
    ast.Gt: _comparing(operator.gt),
    ast.GtE: _comparing(operator.ge),
    ast.Lt: _comparing(operator.lt),
    ast.LtE: _comparing(operator.le),
}
NODES = (ast.Expr, ast.UnaryOp, ast.BinOp, ast.Compare, ast.Call, ast.Name, ast.Constant)


@cache
def _evaluator() -> SimpleEval:
    evaluator = SimpleEval(operators=OPERATORS, functions=FUNCTIONS, names={})
    evaluator.nodes = {node: evaluator.nodes[node] for node in NODES}
    return evaluator
