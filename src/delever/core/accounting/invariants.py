"""The invariants of every step; `StepCheck` verifies them, in production too.

1. The step's cash postings sum to zero in each asset, its lot postings in each contract: longs
   equal shorts plus inventory, except for what the venue submitted.
2. Each total of the book changed by exactly what was posted: ledger equals book.
3. No position or tranche is negative: nothing was closed beyond its size.
4. A price at the pool's limit leaves the pool no worse than its limit.

`audit` recomputes a whole book from its columns. It takes a pass over everything, so it runs for
snapshots, in tests and on request.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from delever.core.accounting.ledger import BOOK_TOTALS, OUTSIDE, LedgerAccount, Posting
from delever.core.accounting.postings import postings, postings_of_fills
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import AssetState
from delever.core.messages import AdlFilled, Event, FillCancelled, RoundClosed, Side, TakenOver
from delever.core.messages.fill_batch import FillBatch
from delever.core.units import COLUMN_LIMIT, exact_sum

TotalKey = tuple[LedgerAccount, str, str]
"""Ledger account, owner and unit of a total."""


class InvariantBrokenError(Exception):
    """An invariant does not hold: a defect of the engine. The step must not be acknowledged."""


def broken(invariant: str, *values: object) -> InvariantBrokenError:
    """Return the error for an invariant, with the values that break it."""
    return InvariantBrokenError(f"{invariant}: {', '.join(map(str, values))}")


def ensure(condition: bool, invariant: str, *values: object) -> None:
    """Raise InvariantBrokenError unless the condition holds."""
    if not condition:
        raise broken(invariant, *values)


class StepCheck:
    """Checks one step: call `before(event)` ahead of each application, and `close()` at the end.

    The fills of a round are posted as a batch, and then the whole side is checked that they closed:
    the side has just been ranked, which took longer.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._expected: dict[TotalKey, int] = {}
        self._unit_sums: defaultdict[str, int] = defaultdict(int)
        self._reduced: list[TakenOver | AdlFilled] = []
        self._sides: set[tuple[str, Side]] = set()
        self._tranches: set[tuple[str, int]] = set()

    def before(self, event: Event) -> None:
        """Record the postings of an event that is about to be applied."""
        if moved := postings(self._book, event):
            self._post(moved)
            if type(event) is TakenOver:
                self._record_reduced(event)
            elif type(event) is FillCancelled:
                self._record_reduced(event.fill)
        elif type(event) is RoundClosed:
            ensure(event.rounding_residual_cash >= 0, "the pool is beyond its limit", event)

    def before_fills(self, fills: FillBatch) -> None:
        """Record the postings of the fills of a round, which are about to be applied."""
        self._post(postings_of_fills(self._book, fills))
        contract = fills.first.contract
        self._sides.add((contract, fills.first.side))
        self._tranches.update((contract, takeover) for takeover in set(fills.columns["takeover"]))

    def _record_reduced(self, event: TakenOver | AdlFilled) -> None:
        self._reduced.append(event)
        self._tranches.add((event.contract, event.takeover))

    def _post(self, moved: Iterable[Posting]) -> None:
        """Add postings to the totals expected at the end of the step."""
        expected, unit_sums = self._expected, self._unit_sums
        for ledger, owner, unit, amount in moved:
            unit_sums[unit] += amount
            if ledger is not OUTSIDE:
                key = ledger, owner, unit
                if key not in expected:
                    expected[key] = BOOK_TOTALS[ledger](self._book, owner, unit)
                expected[key] += amount

    def close(self) -> None:
        """Raise InvariantBrokenError unless every invariant holds after the step."""
        for unit, amount in self._unit_sums.items():
            if amount:
                raise broken("postings do not sum to zero", unit, amount)
        for (ledger, owner, unit), expected in self._expected.items():
            total = BOOK_TOTALS[ledger](self._book, owner, unit)
            if total != expected:
                raise broken("ledger and book differ", ledger, owner, unit, total, expected)
        for event in self._reduced:
            self._check_position(event)
        for contract, side in self._sides:
            self._check_side(contract, side)
        for contract, takeover in self._tranches:
            self._check_tranche(contract, takeover)

    def _check_position(self, event: TakenOver | AdlFilled) -> None:
        table = self._book.contracts[event.contract].tables[event.side]
        row = table.find(self._book.accounts.index[event.account], event.position)
        if row is not None:
            ensure(table.lots.item(row) > 0, "a position was closed beyond its size", event)
            ensure(table.margin.item(row) >= 0, "a margin is negative", event)

    def _check_side(self, contract: str, side: Side) -> None:
        table = self._book.contracts[contract].tables[side]
        lots, margin = table.lots[: table.size], table.margin[: table.size]
        ensure(lots.min(initial=1) > 0, "a position was closed beyond its size", contract, side)
        ensure(margin.min(initial=0) >= 0, "a margin is negative", contract, side)

    def _check_tranche(self, contract: str, takeover: int) -> None:
        for inventory in self._book.contracts[contract].inventory.values():
            tranche = inventory.tranches.get(takeover)
            valid = tranche is None or tranche.lots > 0
            ensure(valid, "inventory was closed beyond its size", contract, takeover)


def audit(book: Book) -> None:
    """Raise InvariantBrokenError unless all totals and derived columns follow from the columns."""
    for state in book.contracts.values():
        for side in Side:
            _audit_positions(book, state, side)
            _audit_inventory(state, side)
    for asset in book.assets.values():
        _audit_wallets(book, asset)
        balances = sum(pool.balance for pool in book.pools.values() if pool.asset == asset.name)
        ensure(asset.pool_balance == balances, "pool balances", asset.name)


def _audit_positions(book: Book, state: ContractState, side: Side) -> None:
    table = state.tables[side]
    n = table.size
    ensure(bool(np.all(table.lots[:n] > 0)), "an empty position is open", state.name, side)
    ensure(table.total_lots == exact_sum(table.lots[:n]), "lots", state.name, side)
    ensure(table.total_cost == exact_sum(table.cost[:n]), "costs", state.name, side)
    ensure(table.total_margin == exact_sum(table.margin[:n]), "margins", state.name, side)
    ensure(table.total_lots < COLUMN_LIMIT, "lots exceed the numeric range", state.name, side)
    pnl, maintenance = state.pnl_and_maintenance(side, table.lots[:n], table.cost[:n])
    ensure(np.array_equal(pnl, table.unrealized_pnl[:n]), "unrealized PnL", state.name, side)
    ensure(np.array_equal(maintenance, table.maintenance[:n]), "maintenance", state.name, side)
    rows = table.find_all(table.account[:n], table.position[:n])
    ensure(np.array_equal(rows, np.arange(n)), "rows", state.name, side)
    ensure(int(table.account[:n].max(initial=-1)) < book.accounts.size, "accounts", state.name)


def _audit_inventory(state: ContractState, side: Side) -> None:
    inventory = state.inventory[side]
    tranches = inventory.tranches.values()
    lots, cost = sum(t.lots for t in tranches), sum(t.cost for t in tranches)
    ensure(inventory.total_lots == lots, "inventory lots", state.name)
    ensure(inventory.total_cost == cost, "inventory cost", state.name)


def _audit_wallets(book: Book, asset: AssetState) -> None:
    wallets = asset.wallets
    n = wallets.size
    ensure(wallets.total == exact_sum(wallets.balance[:n]), "wallets", asset.name)
    states = [state for state in book.contracts.values() if state.terms.settle == asset.name]
    pnl, maintenance = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for table in (state.tables[side] for state in states for side in Side):
        size = table.size
        cross = ~table.isolated[:size]
        owner = table.account[:size][cross]
        np.add.at(pnl, owner, table.unrealized_pnl[:size][cross])
        np.add.at(maintenance, owner, table.maintenance[:size][cross])
    ensure(np.array_equal(pnl, wallets.unrealized_pnl[:n]), "cross unrealized PnL", asset.name)
    ensure(np.array_equal(maintenance, wallets.maintenance[:n]), "cross margin", asset.name)
