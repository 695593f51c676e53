"""Who owes what: every dispatched group is trained once, dropped with a reason, or still owed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from configs.errors import FaultBudgetSpent
from rl.curriculum import Draw
from rollout.types import Group

MAX_ATTEMPTS = 5


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
    until the group is dropped), so the number of slots bounds staleness. `generated_tokens` are
    those of all groups that were trained or dropped.
    """

    next_id: int = 0
    trained: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    generated_tokens: int = 0
    _owed: dict[int, Entry] = field(default_factory=dict)
    _unreleased: int = 0

    def open(self, draw: Draw, policy_version: int) -> Entry:
        """Admit a group and reserve its slot."""
        entry = Entry(self.next_id, draw, policy_version)
        self._owed[entry.group_id] = entry
        self.next_id += 1
        return entry

    def window(self, size: int) -> list[Entry]:
        """The groups that may be consumed now, oldest first: the oldest one that is owed, and
        whichever of the `size` - 1 admitted next after it are owed as well.

        Counted by place of admission, not by what is left: so a straggler is overtaken by at most
        `size` - 1 groups, however long it takes.
        """
        oldest = next(iter(self._owed), 0)
        places = range(oldest, oldest + size)
        return [self._owed[place] for place in places if place in self._owed]

    def accepts(self, entry: Entry, group: Group) -> bool:
        """Whether a delivery is the one asked for: this group, in its present attempt. Any other,
        such as a duplicate of an earlier one, is counted and must be dropped."""
        present = self._owed.get(group.id) == entry
        if present and group.attempt == entry.attempt:
            return True
        self.duplicates += 1
        return False

    def late(self) -> None:
        """Count an answer that nobody waits for any more; it is dropped."""
        self.duplicates += 1

    def reissue(self, entry: Entry) -> Entry:
        """Ask for an owed group once more; it keeps its place and its slot.

        Raises:
            FaultBudgetSpent: it was asked for MAX_ATTEMPTS times.
        """
        if entry.attempt + 1 >= MAX_ATTEMPTS:
            raise FaultBudgetSpent(
                f"group {entry.group_id} was asked for {MAX_ATTEMPTS} times and did not come; "
                "the rollout workers' logs say more"
            )
        again = replace(entry, attempt=entry.attempt + 1)
        self._owed[entry.group_id] = again
        return again

    def train(self, group_id: int) -> None:
        """The group goes into the batch; its slot stays taken until `release`."""
        del self._owed[group_id]
        self.trained += 1
        self._unreleased += 1

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
    def num_owed(self) -> int:
        return len(self._owed)

    @property
    def slots_taken(self) -> int:
        return len(self._owed) + self._unreleased

    @property
    def dispatched(self) -> int:
        return self.next_id

    def counts(self) -> dict[str, int]:
        """Where all groups are: dispatched = trained + dropped + owed."""
        return {
            "dispatched": self.dispatched,
            "trained": self.trained,
            "dropped": sum(self.dropped.values()),
            "owed": self.num_owed,
            "duplicates": self.duplicates,
        }

    def check_balance(self) -> None:
        """Assert that the sum closes: dispatched = trained + dropped + owed."""
        ended = self.trained + sum(self.dropped.values()) + len(self._owed)
        assert ended == self.dispatched, f"ledger does not close: {self}"

    def state(self) -> dict[str, Any]:
        """What a checkpoint between two steps holds. Owed groups are issued again, with the same
        seeds, on resume."""
        assert not self._unreleased, "trained groups whose weights are not served yet"
        return {
            "next_id": self.next_id,
            "trained": self.trained,
            "dropped": dict(self.dropped),
            "duplicates": self.duplicates,
            "generated_tokens": self.generated_tokens,
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
            generated_tokens=state["generated_tokens"],
        )
        for group_id, index, visit, version, attempt in state["owed"]:
            ledger._owed[group_id] = Entry(group_id, Draw(index, visit), version, attempt)
        return ledger
