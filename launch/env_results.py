"""What the results of tools in perfect episodes tell of an environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from envs.tools import CUT, bytes_before_cut
from envs.types import Step

FIGURE = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d{1,3})?")
NEAR = 0.005
"""By which share a figure may differ from the one it was rounded from."""


def cut_result(steps: Iterable[Step]) -> str:
    """Which tool's result was cut before the policy reads it, or ""."""
    for step in steps:
        told = [(f"a result of {record.call.name}", record.result) for record in step.calls]
        told += [("a message", message.content) for message in step.messages]
        for what, text in told:
            if num_bytes := bytes_before_cut(text):
                kept = len(CUT.sub("", text).encode())
                return (
                    f"{what} has {num_bytes} bytes, of which the policy reads {kept}; "
                    "return less, or let Limits(result_bytes=...) be more"
                )
    return ""


def lost_answers(golds: Sequence[tuple[str, Sequence[str]]]) -> tuple[str, str]:
    """A doubt, or "", and what was found: whether most gold answers appear in a result of their
    gold calls, as text or as a figure. Gold answers are given, so that a perfect episode is right
    whatever the tools say, nonsense too.

    It is a doubt only: answers may be worked out from what tools say, and a few always are.
    """
    asked = [(answer, results) for answer, results in golds if answer.strip()]
    if not asked:
        return "", "no task has gold calls and an answer"
    lost = [answer for answer, results in asked if not _appears(answer, results)]
    if 2 * len(lost) <= len(asked):
        return "", f"{len(asked) - len(lost)} of {len(asked)} gold answers appear in one"
    return (
        f"the gold answers of {len(lost)} of {len(asked)} tasks, such as {lost[0]!r:.60}, "
        "appear in no result of their gold calls: is that meant?"
    ), ""


def _appears(answer: str, results: Iterable[str]) -> bool:
    """As text, or as a figure: rounded, or in percent where it is a ratio there."""
    text = answer.strip().casefold()
    is_text = not FIGURE.fullmatch(text.rstrip("% "))  # "3" is in "231", and not told by it
    wanteds = _figures(answer)[:1]
    for result in results:
        if is_text and text in result.casefold():
            return True
        for figure in _figures(result):
            scaled = (figure, figure * 100, figure / 100)
            if any(abs(x - wanted) <= NEAR * abs(wanted) for x in scaled for wanted in wanteds):
                return True
    return False


def _figures(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in FIGURE.findall(text)]
