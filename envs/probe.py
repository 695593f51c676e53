"""The smallest environment, with which it is tried whether any can be played."""

from __future__ import annotations

from envs.types import Message, Step, Task


class Probe:
    """Says nothing and is over."""

    def reset(self, task: Task) -> Step:
        return Step()

    def step(self, reply: Message) -> Step:
        return Step()

    def close(self) -> None:
        return None
