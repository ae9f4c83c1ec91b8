"""Small test worlds: one book, and a short method for each frequent command.

Amounts and prices are decimal text or integers, as in commands. Every step is audited. A rejected
command fails the test, except through `World.rejected`.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from delever.core import messages as m
from delever.core.accounting.invariants import audit
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.engine import step
from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import Amount, Side
from delever.core.rules import RULE_SETS
from delever.core.units import format_scaled, parse_decimal, scaled

HOUR_MS = 3_600_000
E = TypeVar("E", bound=m.Event)


class World:
    """A book with one pool, `main`, in USDT."""

    def __init__(self, rules: str = "bybit", balance: Amount = 0, **pool: Any) -> None:
        self.book = Book()
        self.time_ms = 0
        self.version = 0
        self.last_events: tuple[m.Event, ...] = ()
        self.pool("main", rules=rules, **pool)
        if str(balance) != "0":
            self.fund(balance, reason=m.FundingReason.SEED)

    # --- commands ---

    def run(self, command: m.Command) -> tuple[m.Event, ...]:
        """Run a command that must be accepted; return its events."""
        self.last_events = step(self.book, command)
        audit(self.book)
        assert not isinstance(self.last_events[0], m.Rejected), self.last_events[0]
        return self.last_events

    def submit(self, command: type[m.Command], /, **fields: Any) -> tuple[m.Event, ...]:
        """Run a command of a type, at the world's time; return its events."""
        return self.run(command(time_ms=self.time_ms, **fields))

    def rejected(self, command: m.Command) -> m.Rejected:
        """Run a command that must be rejected; return its rejection."""
        (event,) = step(self.book, command)
        audit(self.book)
        assert isinstance(event, m.Rejected), event
        return event

    def pool(self, name: str, *, rules: str = "bybit", asset: str = "USDT", **more: Any) -> None:
        kind = more.pop("kind", m.PoolKind.SHARED)
        self.submit(m.DefinePool, pool=name, kind=kind, asset=asset, rules=rules, **more)

    def contract(self, name: str, *, rate: Amount = "0.005", **more: Any) -> ContractTerms:
        """Define a contract; by default linear, with tick 0.01 and lot 1."""
        fields = {"kind": m.ContractKind.LINEAR, "settle": "USDT", "pool": "main"}
        steps = {"tick_size": "0.01", "lot_size": 1}
        tiers = (m.MarginTier(notional_from=0, maintenance_rate=rate),)
        self.submit(
            m.DefineContract, contract=name, **{**fields, **steps, "margin_tiers": tiers, **more}
        )
        return self.state(name).terms

    def account(self, name: str, **more: Any) -> None:
        self.submit(m.DefineAccount, account=name, **more)

    def wallets(self, *, asset: str = "USDT", last_fill: int = 0, **amounts: Amount) -> None:
        self._define_accounts(amounts)
        rows = tuple(m.BalanceRow(account=a, asset=asset, balance=v) for a, v in amounts.items())
        self.submit(m.SetBalances, version=self._next_version(), last_fill=last_fill, balances=rows)

    def long(self, account: str, contract: str, quantity: Amount, **more: Any) -> None:
        self.positions(self.row(account, contract, Side.LONG, quantity, **more))

    def short(self, account: str, contract: str, quantity: Amount, **more: Any) -> None:
        self.positions(self.row(account, contract, Side.SHORT, quantity, **more))

    def row(
        self, account: str, contract: str, side: Side, quantity: Amount, **more: Any
    ) -> m.PositionRow:
        """Return a position row; `at` is its entry price, `margin` makes it isolated."""
        names = {"at": "entry_price", "margin": "isolated_margin", "cost": "entry_cost"}
        fields = {names.get(name, name): value for name, value in more.items()}
        return m.PositionRow(
            account=account, contract=contract, side=side, quantity=quantity, **fields
        )

    def positions(self, *rows: m.PositionRow, last_fill: int = 0) -> tuple[m.Event, ...]:
        self._define_accounts(row.account for row in rows)
        return self.submit(
            m.SetPositions, version=self._next_version(), last_fill=last_fill, positions=tuple(rows)
        )

    def mark(self, **prices: Amount) -> tuple[m.Event, ...]:
        return self.submit(m.SetMarks, marks=prices)

    def takeover(self, account: str, **more: Any) -> tuple[m.Event, ...]:
        return self.submit(m.Takeover, account=account, **more)

    def inventory(
        self, contract: str, side: Side, quantity: Amount, price: Amount, account: str = "bust"
    ) -> tuple[m.Event, ...]:
        """Have the pool take over a position whose bankruptcy price is exactly this price."""
        row = self.row(account, contract, side, quantity, at=price, margin=0)
        self.positions(row)
        return self.takeover(account, contract=contract, side=side)

    def unwind(
        self, contract: str, side: Side, quantity: Amount, price: Amount
    ) -> tuple[m.Event, ...]:
        return self.submit(
            m.UnwindFill, contract=contract, side=side, quantity=quantity, price=price
        )

    def fund(self, amount: Amount, **more: Any) -> tuple[m.Event, ...]:
        fields = {"pool": "main", "reason": m.FundingReason.INJECTION, **more}
        return self.submit(m.FundPool, amount=amount, **fields)

    def wait(self, ms: int) -> tuple[m.Event, ...]:
        self.time_ms += ms
        return self.submit(m.SetTime)

    # --- the book, and the events of the last step ---

    def state(self, contract: str) -> ContractState:
        return self.book.contracts[contract]

    def on(self, contract: str) -> str:
        """Return the active triggers in the order of the rule set, joined by a plus."""
        state = self.state(contract)
        rules = RULE_SETS[self.book.pool_of(state).definition.rules]
        names = (case.trigger.name for case in rules.cases)
        return "+".join(name for name in names if name in state.active)

    def events(self, kind: type[E]) -> list[E]:
        """Return the events of one type in the last step."""
        return [event for event in self.last_events if isinstance(event, kind)]

    def filled(self) -> dict[str, int]:
        """Return the lots that ADL closed in the last step, by account, in order."""
        lots: dict[str, int] = {}
        for fill in self.events(m.AdlFilled):
            lots[fill.account] = lots.get(fill.account, 0) + fill.lots
        return lots

    def price(self, event: m.AdlFilled | m.TakenOver | m.Unwound) -> str:
        """Return the price of an event as decimal text."""
        mantissa, decimals = self.state(event.contract).terms.tick
        return format_scaled(event.price_ticks * mantissa, decimals)

    def balance(self, pool: str = "main") -> str:
        return cash_text(self.book.pools[pool].balance)

    def wallet(self, account: str, asset: str = "USDT") -> str:
        row = self.book.accounts.index[account]
        return cash_text(int(self.book.asset(asset).wallets.balance[row]))

    def lots(self, account: str, contract: str, side: Side, position: int = 0) -> int:
        table = self.state(contract).tables[side]
        row = table.find(self.book.accounts.index[account], position)
        return 0 if row is None else int(table.lots[row])

    def _next_version(self) -> int:
        self.version += 1
        return self.version

    def _define_accounts(self, accounts: Iterable[str]) -> None:
        """Define the accounts that the book does not have yet."""
        for account in dict.fromkeys(accounts):
            if account not in self.book.accounts.index:
                self.account(account)


def cash(amount: Amount, decimals: int = 8) -> int:
    """Return an amount in Cash."""
    number = parse_decimal(amount)
    exact = None if number is None else scaled(number, decimals)
    assert exact is not None, amount
    return exact


def cash_text(amount: int, decimals: int = 8) -> str:
    """Return Cash as decimal text."""
    return format_scaled(amount, decimals)
