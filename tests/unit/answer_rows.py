"""The form in which tests of answers are written: golds, with replies that state them or do not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

from rewards.numeric import Question, verify

UNKNOWN = Question()
MILLION = Question(unit="million")
YES_NO = Question(gold_type="yes_no")


class Row(NamedTuple):
    """A gold, and replies that state it or do not, parted by " | "; "//" is a new line."""

    gold: str | list[str]
    question: Question
    accepted: str
    refused: str
    name: str = ""

    def check(self, reply: str, accepted: bool) -> None:
        assert (verify(self.gold, reply, self.question) == "equal") is accepted


def replies_of(rows: Iterable[Row]) -> list[Any]:
    """(row, reply, whether it states the gold), each a case of its own."""
    return [
        pytest.param(
            row, reply.replace("//", "\n"), accepted, id=f"{row.name or row.gold}: {reply[-60:]}"
        )
        for row in rows
        for replies, accepted in ((row.accepted, True), (row.refused, False))
        for reply in replies.split(" | ")
        if reply
    ]
