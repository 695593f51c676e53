"""Untrusted text on its way to a log or a terminal."""

from __future__ import annotations

import re
import unicodedata

UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
"""Fillers and selectors: Unicode has them for printable, but nothing is seen of them."""


def loggable(text: str, limit: int = 200) -> str:
    """One line that cannot steer a terminal: what is not printable or not seen is escaped, and of
    a long text the rest is counted."""
    shown = text[:limit]
    if not shown.isascii() or not shown.isprintable():
        shown = "".join(
            char if _is_seen(char) else char.encode("unicode_escape", "surrogatepass").decode()
            for char in shown
        )
    return shown if len(text) <= limit else f"{shown}... ({len(text) - limit} more characters)"


def _is_seen(char: str) -> bool:
    is_space = unicodedata.category(char) == "Zs"  # Chinese and French have others than " "
    return (char.isprintable() or is_space) and not UNSEEN.match(char)
