"""Untrusted text on its way to a log or a terminal."""

from __future__ import annotations

from itertools import chain

_UNSEEN = frozenset(
    chain(
        "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0",
        map(chr, range(0xFE00, 0xFE10)),
        map(chr, range(0xE0100, 0xE01F0)),
    )
)
"""Fillers and selectors: Unicode has them for printable, but nothing is seen of them."""


def loggable(text: str, limit: int = 200) -> str:
    """One line that cannot steer a terminal: what is not printable or not seen is escaped, and of
    a long text the rest is counted."""
    shown = text[:limit]
    if not shown.isascii() or not shown.isprintable():
        shown = "".join(
            char
            if char.isprintable() and char not in _UNSEEN
            else char.encode("unicode_escape", "surrogatepass").decode()
            for char in shown
        )
    return shown if len(text) <= limit else f"{shown}... ({len(text) - limit} more characters)"
