"""The bank: its final state tells who carried out what, and who kept the rules."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from envs.draws import Draws
from envs.simulated.accounts import AccountTasks
from envs.simulated.bank import SHARES, Deal, Transfer, draw_bank
from envs.tool_demonstrations import play
from envs.tools import CallError, gold_episode
from envs.types import Message, Task, ToolCall

LEVELS = (1, 2, 3, 4)


def tasks_of(family: str, level: int, num: int = 40) -> list[Task]:
    tasks = AccountTasks(levels=(level,), size=num * len(LEVELS))
    every = [tasks[index] for index in range(len(tasks))]
    return [task for task in every if task.labels["task"] == family][:num]


def state_reward(task: Task, *turns: tuple[ToolCall, ...]) -> float | None:
    answer = Message("assistant", f"\\boxed{{{task.answer}}}")
    steps = play(task, [*(Message("assistant", "", calls) for calls in turns), answer])
    return steps[-1].reward


def gold_calls(task: Task) -> list[ToolCall]:
    return [call for message in gold_episode(task) for call in message.tool_calls]


def reads(task: Task) -> tuple[ToolCall, ...]:
    return tuple(call for call in gold_calls(task) if call.name in ("rules", "client"))


def writes(task: Task) -> tuple[ToolCall, ...]:
    return tuple(call for call in gold_calls(task) if call.name not in ("rules", "client"))


@pytest.mark.parametrize("level", [2, 3, 4])
def test_doing_nothing_or_only_reading_scores_nothing(level: int) -> None:
    tasks = AccountTasks(levels=(level,), size=30)
    for index in range(len(tasks)):
        task = tasks[index]
        assert writes(task)
        assert state_reward(task, reads(task), writes(task)) == 1.0
        assert state_reward(task) == 0.0
        assert state_reward(task, reads(task)) == 0.0


def test_a_question_scores_only_while_nothing_is_changed() -> None:
    for task in tasks_of("balance", 1, 10):
        client = task.metadata["gold_calls"][0][0]["arguments"]["name"]
        assert state_reward(task, reads(task)) == 1.0
        refusal = ToolCall("refuse", {"client": client, "reason": "over_limit"})
        assert state_reward(task, reads(task), (refusal,)) == 0.0


def test_doing_it_twice_or_otherwise_scores_nothing() -> None:
    for task in tasks_of("transfer", 2, 10):
        [transfer] = writes(task)
        assert state_reward(task, (transfer,)) == 1.0
        assert state_reward(task, (transfer, transfer)) == 0.0
        more = {**transfer.arguments, "amount": transfer.arguments["amount"] + 1}
        assert state_reward(task, (ToolCall("transfer", more),)) == 0.0


def test_rules_decide_between_doing_and_refusing() -> None:
    reasons: Counter[str] = Counter()
    for family in ("transfer", "order"):
        for task in tasks_of(family, 3):
            [decided] = writes(task)
            reasons[str(decided.arguments.get("reason", "done"))] += 1
    assert reasons["done"] > 20
    assert set(reasons) == {
        *("done", "over_limit", "frozen_account", "identity_expired"),
        *("insufficient_funds", "unsuitable", "not_held"),
    }


def test_a_request_to_refuse_can_be_carried_out_and_then_scores_nothing() -> None:
    refused = 0
    for task in tasks_of("order", 3):
        [decided] = writes(task)
        if decided.name != "refuse":
            continue
        refused += 1
        request = task.prompt[0].content.split(" asks to ")[1].split(".")[0]
        side, quantity, share = request.split()
        client = play(task, [Message("assistant", "", reads(task))])[1].calls[1].result
        [account] = [
            name
            for name, about in json.loads(client)["accounts"].items()
            if about.startswith("trading")
        ]
        order: dict[str, Any] = {"account": account, "side": side, "share": share}
        done = ToolCall("place_order", {**order, "quantity": int(quantity)})
        assert state_reward(task, (done,)) == 0.0
        assert state_reward(task, (decided,)) == 1.0
    assert refused > 5


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("transfer", {"source": "A100", "target": "A100", "amount": 5}),
        ("transfer", {"source": "A100", "target": "A101", "amount": -5}),
        ("transfer", {"source": "A100", "target": "/etc/passwd", "amount": 5}),
        ("place_order", {"account": "A100", "side": "buy", "share": "KORA", "quantity": 5}),
        ("place_order", {"account": "A102", "side": "buy", "share": "NONE", "quantity": 5}),
        ("cancel_order", {"order": "O99"}),
        ("client", {"name": "Nobody"}),
    ],
)
def test_what_the_bank_cannot_do_is_refused(tool: str, arguments: dict[str, Any]) -> None:
    [task] = tasks_of("balance", 1, 1)
    call = Message("assistant", "", (ToolCall(tool, arguments),))
    _, refused, end = play(task, [call, Message("assistant", "")])
    assert refused.calls[0].error == CallError.REFUSED
    assert end.reward == 1.0  # nothing has changed


def test_every_rule_is_found_out() -> None:
    bank = draw_bank("train", Draws("bank"))
    client = next(iter(bank.clients))
    current, savings, trading = (
        bank.account_of(client, kind).id for kind in ("current", "savings", "trading")
    )
    held = bank.holdings.get((trading, "KORA"), 0)
    assert "over_limit" in bank.broken_rules(Transfer(current, savings, bank.limit + 1))
    assert "over_limit" not in bank.broken_rules(Transfer(current, savings, bank.limit))
    assert "insufficient_funds" in bank.broken_rules(Transfer(current, savings, 10**9))
    assert "not_held" in bank.broken_rules(Deal(trading, "sell", "KORA", held + 1))
    assert "not_held" not in bank.broken_rules(Deal(trading, "buy", "KORA", held + 1))
    for name, about in bank.clients.items():
        account = bank.account_of(name, "trading").id
        unsuitable = [
            share
            for share in SHARES
            if "unsuitable" in bank.broken_rules(Deal(account, "buy", share, 1))
        ]
        wanted = {"low": 3, "medium": 2, "high": 0}[about.risk]
        assert len(unsuitable) == wanted
        expired = "identity_expired" in bank.broken_rules(Deal(account, "sell", "SAFE", 1))
        assert expired == (about.identity == "expired")
