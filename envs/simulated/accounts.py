"""Account servicing: requests to carry out, or to refuse by the rules, in a bank with state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from envs.draws import Draws
from envs.simulated.bank import SHARES, Bank, Deal, Transfer, draw_bank
from envs.simulated.tasks import Call, Cell, Draft, SimulatedTasks, call, open_tools
from envs.tools import TaskEnv
from envs.types import Env, Task

KEEP_THE_RULES = " Carry it out if the rules allow it, or else refuse it."


def open_episode(task: Task) -> Env:
    """A bank of its own for each episode. The world's verdict is 1 where its state is what the gold
    calls lead to: so a request that was not carried out, or a question that changed something,
    scores 0 whatever is answered."""
    bank, gold = _bank_of(task.metadata), _bank_of(task.metadata)
    run(gold, task.metadata["gold_calls"])
    wanted = gold.snapshot()
    return open_tools(task, tools_of(bank), score=lambda: float(bank.snapshot() == wanted))


def environment() -> Env:
    """The environment that plays these tasks."""
    return TaskEnv(open_episode)


def tools_of(bank: Bank) -> list[Callable[..., Any]]:
    return [
        *(bank.rules, bank.client, bank.transfer),
        *(bank.place_order, bank.cancel_order, bank.refuse),
    ]


def run(bank: Bank, turns: Sequence[Sequence[Call]]) -> None:
    """Carry calls out."""
    tools = {tool.__name__: tool for tool in tools_of(bank)}
    for turn in turns:
        for made in turn:
            tools[made["name"]](**made["arguments"])


def _bank_of(metadata: Mapping[str, Any]) -> Bank:
    split, world = metadata["split"], metadata["world"]
    return draw_bank(split, Draws("bank", split, world))


class AccountTasks(SimulatedTasks):
    """Requests of a bank's clients (a `TaskSet`); the final state of the bank is checked.

    Level 1: a question, nothing may change. Level 2: a request that keeps the rules: a transfer, an
    order, a cancellation. Level 3: one that keeps them or breaks one, and is then to be refused.
    Level 4: several requests of a client at once, some to be refused. Clients belong to one split.
    """

    NAME = "accounts"
    CELLS = (
        Cell(1, "balance"),
        Cell(2, "transfer"),
        Cell(2, "order"),
        Cell(2, "cancellation"),
        Cell(3, "transfer"),
        Cell(3, "order"),
        Cell(4, "several"),
    )

    def draft(self, cell: Cell, draws: Draws) -> Draft:
        metadata = {"split": self.split, "world": draws.below(1 << 62)}
        bank = _bank_of(metadata)
        prompt, calls, answer = FAMILIES[cell.family, cell.level](bank, draws)
        run(bank, calls)
        # The answer is a number that only the final state tells.
        return Draft(prompt, str(answer()), calls, {**metadata, "tolerance": 0.0})


Ask = tuple[str, list[list[Call]], Callable[[], int]]
"""Prompt, gold calls, and what tells the answer once they have been carried out."""

Request = Transfer | Deal


def _balance(bank: Bank, draws: Draws) -> Ask:
    client, kind = draws.choice(list(bank.clients)), draws.choice(("current", "savings", "trading"))
    prompt = f"What is the balance of the {kind} account of {client}?"
    return prompt, [[call("client", name=client)]], lambda: bank.account_of(client, kind).balance


def _allowed(draw: Draw, bank: Bank, draws: Draws) -> Ask:
    """A request that keeps all rules."""
    client, request = _with_broken(0, draw, bank, draws)
    calls = [[call("client", name=client)], [_carried_out(request)]]
    prompt = f"{client} asks to {_said(bank, request)}."
    return _asked(bank, client, request, prompt, calls)


def _judged(draw: Draw, bank: Bank, draws: Draws) -> Ask:
    """A request that keeps the rules or breaks a single one, which is equally likely."""
    client, request = _with_broken(draws.below(2), draw, bank, draws)
    reads = [call("rules"), call("client", name=client)]
    calls = [reads, [_decided(bank, client, request)]]
    prompt = f"{client} asks to {_said(bank, request)}.{KEEP_THE_RULES}"
    return _asked(bank, client, request, prompt, calls)


def _cancellation(bank: Bank, draws: Draws) -> Ask:
    order = draws.choice([order for client in bank.clients for order in bank.open_orders(client)])
    client = bank.accounts[order.account].client
    prompt = (
        f"{client} asks to cancel its order to {order.side} {order.quantity} {order.share}. How "
        "many open orders does it have then?"
    )
    calls = [[call("client", name=client)], [call("cancel_order", order=order.id)]]
    return prompt, calls, lambda: len(bank.open_orders(client))


def _several(bank: Bank, draws: Draws) -> Ask:
    """Cancel everything, then a transfer and a deal, of which some may break a rule."""
    while True:
        client, transfer = _with_broken(draws.below(2), _draw_transfer, bank, draws)
        other, deal = _draw_deal(bank, draws)
        if client == other and len(bank.broken_rules(deal)) <= 1:
            break
    cancelled = [call("cancel_order", order=order.id) for order in bank.open_orders(client)]
    decided = [_decided(bank, client, request) for request in (transfer, deal)]
    prompt = (
        f"{client} asks to cancel all its open orders, then to {_said(bank, transfer)}, and to "
        f"{_said(bank, deal)}. Carry out what the rules allow and refuse the rest."
    )
    calls = [[call("rules"), call("client", name=client)], [*cancelled, *decided]]
    return _asked(bank, client, transfer, prompt, calls)


Draw = Callable[[Bank, Draws], tuple[str, Request]]
"""Draws a client and what it asks for."""


def _draw_transfer(bank: Bank, draws: Draws) -> tuple[str, Request]:
    client = draws.choice(list(bank.clients))
    kinds = draws.choice((("current", "savings"), ("savings", "current")))
    source, target = (bank.account_of(client, kind).id for kind in kinds)
    return client, Transfer(source, target, 10 * draws.between(1, 2500))


def _draw_deal(bank: Bank, draws: Draws) -> tuple[str, Request]:
    client = draws.choice(list(bank.clients))
    account = bank.account_of(client, "trading").id
    side, share = draws.choice(("buy", "sell")), draws.choice(tuple(SHARES))
    return client, Deal(account, side, share, 5 * draws.between(1, 20))


def _with_broken(num: int, draw: Draw, bank: Bank, draws: Draws) -> tuple[str, Request]:
    """Draw until a request breaks `num` rules."""
    while True:
        client, request = draw(bank, draws)
        if len(bank.broken_rules(request)) == num:
            return client, request


def _said(bank: Bank, request: Request) -> str:
    if isinstance(request, Deal):
        return f"{request.side} {request.quantity} {request.share}"
    source, target = (bank.accounts[account].kind for account in (request.source, request.target))
    return f"move {request.amount} from its {source} to its {target} account"


def _asked(bank: Bank, client: str, request: Request, prompt: str, calls: list[list[Call]]) -> Ask:
    """The prompt ends with a question that the final state answers."""
    if isinstance(request, Deal):
        question = "How many open orders does it have then?"
        return f"{prompt} {question}", calls, lambda: len(bank.open_orders(client))
    question = "What is the balance of its current account then?"
    return f"{prompt} {question}", calls, lambda: bank.account_of(client, "current").balance


def _carried_out(request: Request) -> Call:
    if isinstance(request, Deal):
        return call("place_order", **asdict(request))
    return call("transfer", **asdict(request))


def _decided(bank: Bank, client: str, request: Request) -> Call:
    """Carried out, or refused by the one rule that it breaks."""
    broken = bank.broken_rules(request)
    if not broken:
        return _carried_out(request)
    [reason] = broken
    return call("refuse", client=client, reason=reason)


FAMILIES: Mapping[tuple[str, int], Callable[[Bank, Draws], Ask]] = {
    ("balance", 1): _balance,
    ("transfer", 2): partial(_allowed, _draw_transfer),
    ("order", 2): partial(_allowed, _draw_deal),
    ("cancellation", 2): _cancellation,
    ("transfer", 3): partial(_judged, _draw_transfer),
    ("order", 3): partial(_judged, _draw_deal),
    ("several", 4): _several,
}
