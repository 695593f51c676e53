"""A small bank: clients, accounts, orders, and rules that its tools do not enforce.

Whoever works here may do what the tools allow, and should do what the rules allow: so the final
state tells whether the rules were kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from envs.draws import SPLITS, Draws
from envs.finance.names import num_short_names, short_name

NUM_CLIENTS = 12
CLIENT_KINDS = ("Traders", "Stores", "Works", "Farms", "Mills", "Yards")
SHARES = {"KORA": "high", "BELU": "low", "TIMO": "medium", "SAFE": "low", "VARO": "high"}
"""Each share's risk class."""
RISKS = ("low", "medium", "high")

Rule = Literal[
    "over_limit",
    "frozen_account",
    "identity_expired",
    "insufficient_funds",
    "unsuitable",
    "not_held",
]


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    client: str
    kind: str  # current, savings or trading
    balance: int
    frozen: bool


@dataclass(frozen=True, slots=True)
class Order:
    id: str
    account: str
    side: str  # buy or sell
    share: str
    quantity: int
    status: str  # open or cancelled


@dataclass(frozen=True, slots=True)
class Client:
    name: str
    identity: str  # valid or expired
    risk: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """A request to move money."""

    source: str
    target: str
    amount: int


@dataclass(frozen=True, slots=True)
class Deal:
    """A request to buy or sell."""

    account: str
    side: str
    share: str
    quantity: int


@dataclass
class Bank:
    """The state of one episode. Its tools are `rules`, `client`, `transfer`, `place_order`,
    `cancel_order` and `refuse`."""

    limit: int
    clients: dict[str, Client]
    accounts: dict[str, Account]
    holdings: dict[tuple[str, str], int]  # (account, share) to quantity
    orders: dict[str, Order]
    refusals: list[tuple[str, str]] = field(default_factory=list)  # client, reason

    def rules(self) -> str:
        """The rules that requests of clients must keep."""
        risks = ", ".join(f"{share} {risk}" for share, risk in SHARES.items())
        return (
            f"over_limit: one transfer moves at most {self.limit}.\n"
            "frozen_account: no transfer from or to a frozen account.\n"
            "identity_expired: no transfer and no order for a client whose identity has expired.\n"
            "insufficient_funds: no transfer of more than the account holds.\n"
            "unsuitable: no purchase of a share whose risk is above the client's risk class "
            f"({risks}).\n"
            "not_held: no sale of more shares than the account holds.\n"
            "A request that breaks a rule is refused by the name of the rule."
        )

    def client(self, name: str) -> dict[str, Any]:
        """A client's identity, risk class, accounts, holdings and orders."""
        if name not in self.clients:
            raise ValueError(f"no client {name[:60]!r}")
        accounts = [account for account in self.accounts.values() if account.client == name]
        ids = {account.id for account in accounts}
        return {
            "identity": self.clients[name].identity,
            "risk": self.clients[name].risk,
            "accounts": {
                account.id: f"{account.kind}, {account.balance}{', frozen' * account.frozen}"
                for account in accounts
            },
            "holdings": {
                f"{account} {share}": quantity
                for (account, share), quantity in self.holdings.items()
                if account in ids
            },
            "orders": {
                order.id: f"{order.side} {order.quantity} {order.share}, {order.status}"
                for order in self.orders.values()
                if order.account in ids
            },
        }

    def transfer(self, source: str, target: str, amount: int) -> str:
        """Move a whole amount of money from one account to another."""
        one, other = self._account(source), self._account(target)
        if amount < 1 or source == target:
            raise ValueError("a transfer moves at least 1 between two accounts")
        self.accounts[source] = replace(one, balance=one.balance - amount)
        self.accounts[target] = replace(other, balance=other.balance + amount)
        return f"{source} now holds {one.balance - amount}, {target} {other.balance + amount}"

    def place_order(
        self, account: str, side: Literal["buy", "sell"], share: str, quantity: int
    ) -> str:
        """Place an order for shares from a trading account."""
        if self._account(account).kind != "trading":
            raise ValueError(f"{account} is no trading account")
        if share not in SHARES or quantity < 1:
            raise ValueError(f"an order is for 1 or more of {', '.join(SHARES)}")
        order = Order(f"O{len(self.orders) + 1:02}", account, side, share, quantity, "open")
        self.orders[order.id] = order
        return f"order {order.id} placed"

    def cancel_order(self, order: str) -> str:
        """Cancel an open order."""
        if order not in self.orders or self.orders[order].status != "open":
            raise ValueError(f"no open order {order[:20]!r}")
        self.orders[order] = replace(self.orders[order], status="cancelled")
        return f"order {order} cancelled"

    def refuse(self, client: str, reason: Rule) -> str:
        """Refuse a client's request by the name of the rule that it breaks."""
        if client not in self.clients:
            raise ValueError(f"no client {client[:60]!r}")
        self.refusals.append((client, reason))
        return "refused"

    def _account(self, account: str) -> Account:
        if account not in self.accounts:
            raise ValueError(f"no account {account[:20]!r}")
        return self.accounts[account]

    def snapshot(self) -> tuple[object, ...]:
        """The state, whatever the order in which things were done."""
        orders = (
            (order.account, order.side, order.share, order.quantity, order.status)
            for order in self.orders.values()
        )
        return (
            tuple(sorted((account.id, account.balance) for account in self.accounts.values())),
            tuple(sorted(orders)),
            tuple(sorted(self.refusals)),
        )

    def account_of(self, client: str, kind: str) -> Account:
        [found] = [a for a in self.accounts.values() if (a.client, a.kind) == (client, kind)]
        return found

    def open_orders(self, client: str) -> list[Order]:
        """The client's open orders."""
        account = self.account_of(client, "trading").id
        return [o for o in self.orders.values() if (o.account, o.status) == (account, "open")]

    def broken_rules(self, request: Transfer | Deal) -> list[Rule]:
        """The rules that a request breaks, in the state as it is now."""
        if isinstance(request, Transfer):
            source, target = self._account(request.source), self._account(request.target)
            broken: Iterable[tuple[Rule, bool]] = (
                ("over_limit", request.amount > self.limit),
                ("frozen_account", source.frozen or target.frozen),
                ("identity_expired", self.clients[source.client].identity == "expired"),
                ("insufficient_funds", request.amount > source.balance),
            )
        else:
            client = self.clients[self._account(request.account).client]
            risk, held = SHARES[request.share], self.holdings.get((request.account, request.share))
            buys = request.side == "buy"
            broken = (
                ("identity_expired", client.identity == "expired"),
                ("unsuitable", buys and RISKS.index(risk) > RISKS.index(client.risk)),
                ("not_held", not buys and request.quantity > (held or 0)),
            )
        return [rule for rule, is_broken in broken if is_broken]


def draw_bank(split: str, draws: Draws) -> Bank:
    """A bank with a dozen clients, whose names belong to the split."""
    names = num_short_names(CLIENT_KINDS) // len(SPLITS)
    bank = Bank(1000 * draws.between(3, 12), {}, {}, {}, {})
    while len(bank.clients) < NUM_CLIENTS:
        rank = draws.below(names) * len(SPLITS) + SPLITS.index(split)
        name = short_name(rank, CLIENT_KINDS)
        if name in bank.clients:
            continue
        identity = "expired" if draws.below(4) == 0 else "valid"
        bank.clients[name] = Client(name, identity, draws.choice(RISKS))
        for kind in ("current", "savings", "trading"):
            account = f"A{100 + len(bank.accounts)}"
            frozen = kind != "trading" and draws.below(5) == 0
            balance = draws.between(10, 2000) * 10
            bank.accounts[account] = Account(account, name, kind, balance, frozen)
        for share in SHARES:
            if draws.below(2):
                bank.holdings[account, share] = draws.between(1, 20) * 5
        for _ in range(draws.below(4)):
            order = Order(
                f"O{len(bank.orders) + 1:02}",
                account,
                draws.choice(("buy", "sell")),
                draws.choice(tuple(SHARES)),
                draws.between(1, 10) * 5,
                "open",
            )
            bank.orders[order.id] = order
    return bank
