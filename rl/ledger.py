"""Who owes what: every dispatched group is trained once, dropped with a reason, or still owed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rl.curriculum import Draw


@dataclass(frozen=True, slots=True)
class Entry:
    """A dispatched group that is still owed, and the weights it was admitted under."""

    group_id: int
    draw: Draw
    policy_version: int
    attempt: int = 0


@dataclass(slots=True)
class Ledger:
    """Counts every group once. Ids rise in order of admission, which is the order of consumption.

    A slot is held from admission until the weights that the group helped to make are served (or
    until the group is dropped), so the number of slots bounds staleness.
    """

    next_id: int = 0
    trained: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    _owed: dict[int, Entry] = field(default_factory=dict)
    _unreleased: int = 0

    def open(self, draw: Draw, policy_version: int) -> Entry:
        """Admit a group and reserve its slot."""
        entry = Entry(self.next_id, draw, policy_version)
        self._owed[entry.group_id] = entry
        self.next_id += 1
        return entry

    def accepts(self, group_id: int, attempt: int) -> bool:
        """Whether a delivery counts: the first one of the current attempt does, a later one is a
        duplicate and only counted."""
        entry = self._owed.get(group_id)
        if entry is None or entry.attempt != attempt:
            self.duplicates += 1
            return False
        return True

    def train(self, group_ids: list[int]) -> None:
        """The groups go into a batch; their slots stay taken until `release`."""
        for group_id in group_ids:
            del self._owed[group_id]
        self.trained += len(group_ids)
        self._unreleased += len(group_ids)

    def release(self) -> None:
        """The weights made from the trained groups are served: free their slots."""
        self._unreleased = 0

    def drop(self, group_id: int, reason: str) -> None:
        """The group is not trained; its slot is free at once."""
        del self._owed[group_id]
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    @property
    def owed(self) -> tuple[Entry, ...]:
        """Groups that are still owed, oldest first."""
        return tuple(self._owed.values())

    @property
    def slots_taken(self) -> int:
        return len(self._owed) + self._unreleased

    @property
    def dispatched(self) -> int:
        return self.next_id

    def check_balance(self) -> None:
        """Assert that the sum closes: dispatched = trained + dropped + owed."""
        ended = self.trained + sum(self.dropped.values()) + len(self._owed)
        assert ended == self.dispatched, f"ledger does not close: {self}"

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds. Owed groups are issued again, with the same seeds, on resume."""
        return {
            "next_id": self.next_id,
            "trained": self.trained,
            "dropped": dict(self.dropped),
            "duplicates": self.duplicates,
            "owed": [
                [e.group_id, e.draw.index, e.draw.visit, e.policy_version, e.attempt]
                for e in self._owed.values()
            ],
        }

    @staticmethod
    def restore(state: Mapping[str, Any]) -> Ledger:
        ledger = Ledger(
            next_id=state["next_id"],
            trained=state["trained"],
            dropped=dict(state["dropped"]),
            duplicates=state["duplicates"],
        )
        for group_id, index, visit, version, attempt in state["owed"]:
            ledger._owed[group_id] = Entry(group_id, Draw(index, visit), version, attempt)
        return ledger
