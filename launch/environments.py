"""Which environment plays a task."""

from __future__ import annotations

from envs.types import Env, SingleTurn, Task


def make_env(task: Task) -> Env:
    """Every task so far is a plain question: one prompt, one answer."""
    return SingleTurn()
