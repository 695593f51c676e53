"""The ledger: every group ends in one of three ways, and the sum closes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import FaultBudgetSpent
from rl.curriculum import Draw
from rl.ledger import MAX_ATTEMPTS, Entry, Ledger
from rollout.types import Group
from tests.fakes import numbered_task


def ledger_of(count: int) -> Ledger:
    ledger = Ledger()
    for index in range(count):
        ledger.open(Draw(index, 0), policy_version=0)
    return ledger


def ids(entries: list[Entry]) -> list[int]:
    return [entry.group_id for entry in entries]


def delivery(group_id: int, attempt: int = 0) -> Group:
    return Group(group_id, numbered_task("task/0"), (), attempt=attempt)


def test_slots_are_held_until_the_weights_are_served() -> None:
    ledger = ledger_of(4)
    ledger.train(0)
    ledger.train(1)
    ledger.drop(2, "error")
    assert (ledger.num_owed, ledger.slots_taken) == (1, 3)
    ledger.release()
    assert ledger.slots_taken == 1


def test_the_window_counts_places_not_what_is_left() -> None:
    ledger = ledger_of(6)
    assert ids(ledger.window(3)) == [0, 1, 2]
    ledger.train(1)
    ledger.drop(2, "error")
    assert ids(ledger.window(3)) == [0]  # the oldest was overtaken twice, and that is all
    ledger.train(0)
    assert ids(ledger.window(3)) == [3, 4, 5]
    assert Ledger().window(3) == []


def test_only_the_delivery_that_was_asked_for_is_accepted() -> None:
    ledger = ledger_of(3)
    first, second, _ = ledger.owed
    assert ledger.accepts(first, delivery(0))
    assert not ledger.accepts(second, delivery(0)), "another group, though one that is owed"
    assert not ledger.accepts(second, delivery(1, attempt=1))
    ledger.train(0)
    assert not ledger.accepts(first, delivery(0)), "trained already"
    assert ledger.duplicates == 3


def test_a_group_that_is_asked_for_again_keeps_its_place() -> None:
    ledger = ledger_of(3)
    stale = ledger.owed[0]
    again = ledger.reissue(stale)
    assert ids(list(ledger.owed)) == [0, 1, 2]
    assert (again.attempt, again.draw) == (1, stale.draw)
    assert ledger.accepts(again, delivery(0, attempt=1))
    assert not ledger.accepts(stale, delivery(0, attempt=0)), "an answer to the first attempt"


def test_a_group_is_not_asked_for_without_end() -> None:
    ledger = ledger_of(1)
    for _ in range(MAX_ATTEMPTS - 1):
        ledger.reissue(ledger.owed[0])
    with pytest.raises(FaultBudgetSpent, match=f"group 0 was asked for {MAX_ATTEMPTS} times"):
        ledger.reissue(ledger.owed[0])


def test_a_lost_group_is_noticed() -> None:
    ledger = ledger_of(3)
    ledger.check_balance()
    ledger.trained += 1
    with pytest.raises(AssertionError, match="does not close"):
        ledger.check_balance()


def test_a_state_between_training_and_publishing_is_refused() -> None:
    ledger = ledger_of(2)
    ledger.train(0)
    with pytest.raises(AssertionError, match="not served"):
        ledger.state()


@given(seed=st.integers(0, 2**32), count=st.integers(0, 60))
def test_any_history_closes_and_is_restored(seed: int, count: int) -> None:
    luck, ledger = random.Random(seed), Ledger()
    for number in range(count):
        ledger.open(Draw(number % 7, number // 7), number)
        for entry in luck.sample(ledger.owed, luck.randrange(ledger.num_owed + 1)):
            ending = luck.choice(["train", "drop", "reissue", "wait"])
            if ending == "train":
                ledger.train(entry.group_id)
            elif ending == "drop":
                ledger.drop(entry.group_id, luck.choice(["error", "stale"]))
            elif ending == "reissue" and entry.attempt + 1 < MAX_ATTEMPTS:
                ledger.reissue(entry)
        ledger.release()
        ledger.check_balance()
    restored = Ledger.restore(ledger.state())
    assert restored == ledger
    assert ids(list(restored.owed)) == sorted(ids(list(ledger.owed)))
