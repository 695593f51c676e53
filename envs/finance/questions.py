"""What a question family yields, and how its gold answer is written."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from envs.finance.programs import Value, execute, parse

UNITS = ("number", "percent", "currency", "ratio", "years", "yes_no")

SIGNIFICANT_DIGITS = 4
DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Question:
    """One question before it becomes a task.

    `program` yields the gold; where `unit` is "percent" it yields a fraction (0.125 is "12.5%").
    `scale` is the scale word that the prompt asks the answer in ("" for plain numbers).
    """

    prompt: str
    program: str
    unit: str = "number"
    scale: str = ""

    def solve(self) -> tuple[str, bool]:
        """The gold answer as a person would put it into \\boxed{} ("-128", "12.5%", "yes"), and
        whether it is exact: one step with a whole result, so that nothing is left to round."""
        program = parse(self.program)
        value = execute(program)
        whole = isinstance(value, float) and value.is_integer()
        exact = whole and self.unit in ("number", "currency") and len(program.operations) == 1
        return write_value(value, self.unit), exact


def write_value(value: Value, unit: str) -> str:
    """Write an executed value: two decimals, or four significant digits where those are finer.

    Trailing zeros are dropped. Example: `write_value(0.125, "percent")` is "12.5%".
    """
    if isinstance(value, str):
        return value
    if unit == "percent":
        return f"{write_number(value * 100)}%"
    return write_number(value)


def write_number(value: float, significant_digits: int = SIGNIFICANT_DIGITS) -> str:
    """A plain decimal, never in exponent form. Example: `write_number(2 / 3)` is "0.6667"."""
    if value == int(value):
        return str(int(value))
    exact = Decimal(repr(value))
    decimals = max(DECIMALS, significant_digits - 1 - exact.adjusted())
    rounded = exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return f"{rounded:f}".rstrip("0").rstrip(".")
