"""What holds after every step, in production too: checked on what the step has touched.

1. The step's cash postings sum to zero in each asset, its lot postings in each contract: longs
   equal shorts plus inventory, but for what the outside has told.
2. The book holds what it held before plus what was posted: ledger equals book.
3. No position or tranche is below zero: nobody is closed beyond their size or onto the other side.
4. A pool-level price leaves the pool no worse than its limit.

`audit` recomputes a whole book from its columns; it costs a pass over everything, so it runs at
snapshots, in tests and on request.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from delever.core.accounting.ledger import TOTALS, Part, Posting, postings, postings_of_fills
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import AdlFilled, Event, FillCancelled, RoundClosed, Side, TakenOver
from delever.core.messages.fill_batch import Fills
from delever.core.units import LIMIT

Key = tuple[Part, str, str]


class InvariantBrokenError(Exception):
    """The engine has done what it must never do; the step must not be acknowledged."""


def broken(what: str, *values: object) -> InvariantBrokenError:
    """Return the error that says what does not hold, and where."""
    return InvariantBrokenError(f"{what}: {', '.join(map(str, values))}")


def ensure(holds: bool, what: str, *values: object) -> None:
    """Raise InvariantBrokenError unless the condition holds."""
    if not holds:
        raise broken(what, *values)


class StepCheck:
    """Follows one step: `before(event)` ahead of each application, `close()` at the end.

    Fills of a round are noted together, and then the whole table is looked at that they were cut
    from: it has just been ranked, which took longer.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._due: dict[Key, int] = {}
        self._units: defaultdict[str, int] = defaultdict(int)
        self._reduced: list[TakenOver | AdlFilled] = []
        self._lanes: set[tuple[str, Side]] = set()
        self._parcels: set[tuple[str, int]] = set()

    def before(self, event: Event) -> None:
        """Note what the event is about to move."""
        if moved := postings(self._book, event):
            self._note(moved)
            if isinstance(event, TakenOver):
                self._note_closing(event)
            elif isinstance(event, FillCancelled):
                self._note_closing(event.fill)
        elif isinstance(event, RoundClosed):
            ensure(event.rounding_residual_cash >= 0, "the pool is beyond its limit", event)

    def before_fills(self, fills: Fills) -> None:
        """Note what the fills of one round are about to move."""
        self._note(postings_of_fills(self._book, fills))
        contract = fills.first.contract
        self._lanes.add((contract, fills.first.side))
        self._parcels.update((contract, each) for each in set(fills.columns["takeover"]))

    def _note_closing(self, event: TakenOver | AdlFilled) -> None:
        self._reduced.append(event)
        self._parcels.add((event.contract, event.takeover))

    def _note(self, moved: Iterable[Posting]) -> None:
        """Add what is posted to what each part held: what it is to hold in the end."""
        due, units, book = self._due, self._units, self._book
        for posting in moved:
            part, of, unit, amount = posting.part, posting.of, posting.unit, posting.amount
            units[unit] += amount
            total = TOTALS.get(part)
            if total is None:  # of the outside nothing is kept
                continue
            key = part, of, unit
            if key not in due:
                due[key] = total(book, of, unit)
            due[key] += amount

    def close(self) -> None:
        """Raise unless everything holds after the step."""
        for unit, amount in self._units.items():
            if amount:
                raise broken("postings do not sum to zero", unit, amount)
        for (part, of, unit), due in self._due.items():
            now = TOTALS[part](self._book, of, unit)
            if now != due:
                raise broken("ledger and book differ", part, of, unit, now, due)
        for event in self._reduced:
            self._check_position(event)
        for contract, side in self._lanes:
            table = self._book.contracts[contract].tables[side]
            least = (
                table.lots[: table.size].min(initial=1),
                table.margin[: table.size].min(initial=0),
            )
            ensure(least[0] > 0, "a position was closed beyond its size", contract, side)
            ensure(least[1] >= 0, "a margin is negative", contract, side)
        for contract, takeover in self._parcels:
            for inventory in self._book.contracts[contract].inventory.values():
                tranche = inventory.tranches.get(takeover)
                closed = tranche is None or tranche.lots > 0
                ensure(closed, "inventory was closed beyond its size", contract, takeover)

    def _check_position(self, event: TakenOver | AdlFilled) -> None:
        table = self._book.contracts[event.contract].tables[event.side]
        row = table.find(self._book.accounts.index[event.account], event.position)
        if row is not None:
            ensure(table.lots.item(row) > 0, "a position was closed beyond its size", event)
            ensure(table.margin.item(row) >= 0, "a margin is negative", event)


def audit(book: Book) -> None:
    """Raise unless every total and every derived column equals what the columns say."""
    for state in book.contracts.values():
        for side in Side:
            _audit_lane(book, state, side)
            inventory = state.inventory[side]
            tranches = inventory.tranches.values()
            ensure(
                inventory.total_lots == sum(p.lots for p in tranches), "inventory lots", state.name
            )
            ensure(
                inventory.total_cost == sum(p.cost for p in tranches), "inventory cost", state.name
            )
    for asset in book.assets.values():
        wallets = asset.wallets
        n = wallets.size
        ensure(wallets.total == sum(wallets.balance[:n].tolist()), "wallets", asset.name)
        states = [s for s in book.contracts.values() if s.terms.settle == asset.name]
        unrealized_pnl, maintenance = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for table in (state.tables[side] for state in states for side in Side):
            cross = ~table.isolated[: table.size]
            np.add.at(
                unrealized_pnl,
                table.account[: table.size][cross],
                table.unrealized_pnl[: table.size][cross],
            )
            np.add.at(
                maintenance,
                table.account[: table.size][cross],
                table.maintenance[: table.size][cross],
            )
        ensure(
            np.array_equal(unrealized_pnl, wallets.unrealized_pnl[:n]), "cross profit", asset.name
        )
        ensure(np.array_equal(maintenance, wallets.maintenance[:n]), "cross margin", asset.name)
        ensure(
            asset.pool_balance
            == sum(p.balance for p in book.pools.values() if p.asset == asset.name),
            "pool balances",
            asset.name,
        )


def _audit_lane(book: Book, state: ContractState, side: Side) -> None:
    table = state.tables[side]
    n = table.size
    ensure(bool(np.all(table.lots[:n] > 0)), "an empty position is kept", state.name, side)
    ensure(table.total_lots == sum(table.lots[:n].tolist()), "lots", state.name, side)
    ensure(table.total_cost == sum(table.cost[:n].tolist()), "costs", state.name, side)
    ensure(table.total_margin == sum(table.margin[:n].tolist()), "margins", state.name, side)
    ensure(table.total_lots < LIMIT, "lots exceed the numeric range", state.name, side)
    unrealized_pnl, maintenance = state.valued(side, table.lots[:n], table.cost[:n])
    ensure(
        np.array_equal(unrealized_pnl, table.unrealized_pnl[:n]), "unrealized_pnl", state.name, side
    )
    ensure(np.array_equal(maintenance, table.maintenance[:n]), "maintenance", state.name, side)
    rows = table.index.find_all(table.account[:n], table.position[:n])
    ensure(np.array_equal(rows, np.arange(n)), "rows", state.name, side)
    ensure(int(table.account[:n].max(initial=-1)) < book.accounts.size, "accounts", state.name)
