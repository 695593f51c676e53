"""What a benchmark measures, and the bounds that it is held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Figure = float | str | None
Figures = dict[str, Figure]
"""Figures by name, in the order in which they are shown. None: it could not be measured."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit on one figure. Example: `Bound(">=", 1.2)`."""

    relation: str  # ">=", "<=" or "<"
    limit: float

    def holds(self, figure: Figure) -> bool:
        """Whether a figure keeps to the limit; one that is missing, NaN or no number does not."""
        if not isinstance(figure, (int, float)):
            return False
        if self.relation == ">=":
            return figure >= self.limit
        return figure < self.limit or (self.relation == "<=" and figure == self.limit)

    def __str__(self) -> str:
        return f"{self.relation} {self.limit:g}"


Target = Mapping[str, Bound]
"""Bounds by the name of the figure that they are on."""


def meets(figures: Figures, target: Target) -> bool:
    """Whether every bound of the target holds."""
    return all(bound.holds(figures.get(name)) for name, bound in target.items())
