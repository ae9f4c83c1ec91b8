"""Totals of a run by contract, added up from its events."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from delever.core.book import Book
from delever.core.messages import (
    AdlFilled,
    Event,
    FillCancelled,
    LossSocialized,
    MarksSet,
    Rejected,
    RoundClosed,
    Side,
    TakenOver,
    Unwound,
    WalletSettled,
)
from delever.core.units import Mark
from delever.formatting import ContractFormatter


class ContractTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one contract in a run; numbers are exact text.

    `taken_over`, `unwound` (in the market), `closed` (by ADL) and `inventory` (still with the pool)
    are quantities. `accounts` counts those deleveraged or charged for a socialized loss. In the
    settle asset: `realized_pnl` is that of the counterparties on the quantity closed; `haircut` is
    what they lost against the mark of the moment, with socialized losses; `pool_pnl` is that of
    the pool from takeovers, unwinding, ADL and loss socialization, with its inventory at the mark;
    `unfunded` is the part of the losses of ADL rounds and socialized losses that nobody paid.
    """

    contract: str
    asset: str
    taken_over: str
    unwound: str
    closed: str
    inventory: str
    accounts: int
    realized_pnl: str
    haircut: str
    pool_pnl: str
    unfunded: str


@dataclass(slots=True)
class _Sums:
    """Lots and Cash of one contract."""

    taken_over: int = 0
    unwound: int = 0
    closed: int = 0
    realized_pnl: int = 0
    haircut: int = 0
    pool_pnl: int = 0
    unfunded: int = 0
    accounts: Counter[str] = field(default_factory=Counter)


class EventTotals:
    """Adds up events. `book`, as it is after them, gives the terms and the inventory of contracts.

    `marks` are those before the first event, in Ticks; `haircuts_cash` is the haircut of each fill.
    """

    def __init__(self, book: Book, marks: Mapping[str, Mark]) -> None:
        self._book = book
        self._sums: defaultdict[str, _Sums] = defaultdict(_Sums)
        self._marks = dict(marks)
        self.haircuts_cash: dict[int, int] = {}
        self.rejected = 0
        self.takeovers = 0
        self.fills = 0

    @property
    def accounts(self) -> int:
        """How many accounts were deleveraged, or charged for a socialized loss."""
        return len(+sum((sums.accounts for sums in self._sums.values()), Counter[str]()))

    def add(self, event: Event) -> None:
        """Add one event."""
        match event:
            case MarksSet():
                self._set_marks(event)
            case Rejected():
                self.rejected += 1
            case TakenOver():
                self.takeovers += 1
                self._sums[event.contract].taken_over += event.lots
                self._sums[event.contract].pool_pnl += event.to_pool_cash
            case WalletSettled():
                self._sums[event.contract].pool_pnl += event.amount_cash
            case Unwound():
                self._sums[event.contract].unwound += event.lots
                self._sums[event.contract].pool_pnl += event.realized_pnl_cash
            case AdlFilled():
                self.haircuts_cash[event.fill] = self._haircut_cash(event)
                self._add_fill(event, 1)
            case RoundClosed():
                self._sums[event.contract].unfunded += event.unfunded_cash
            case FillCancelled():
                self._add_fill(event.fill, -1)
            case LossSocialized():
                paid = sum(event.amount_cash)
                self._sums[event.contract].haircut += paid
                self._sums[event.contract].pool_pnl += paid
                self._sums[event.contract].unfunded += event.unfunded_cash
                self._sums[event.contract].accounts.update(event.accounts)

    def _set_marks(self, event: MarksSet) -> None:
        for name, ticks, fraction in event.rows():
            self._marks[name] = self._book.contracts[name].terms.join_mark(ticks, fraction)

    def _haircut_cash(self, fill: AdlFilled) -> int:
        """Return the loss of a fill's counterparty against the mark; 0 without a mark."""
        mark = self._marks.get(fill.contract, 0)
        terms = self._book.contracts[fill.contract].terms
        return terms.trade_cash(fill.side.sign * fill.lots, mark) - fill.value_cash if mark else 0

    def _add_fill(self, fill: AdlFilled, direction: int) -> None:
        """Add a fill, or subtract a cancelled one."""
        sums = self._sums[fill.contract]
        self.fills += direction
        sums.accounts[fill.account] += direction
        sums.closed += direction * fill.lots
        sums.realized_pnl += direction * fill.realized_pnl_cash
        sums.haircut += direction * self.haircuts_cash.get(fill.fill, 0)
        sums.pool_pnl += direction * fill.pool_realized_pnl_cash

    def contracts(self) -> tuple[ContractTotal, ...]:
        """Return the totals of contracts with a takeover, an unwind, ADL or a socialized loss."""
        return tuple(
            self._total(name, self._sums[name])
            for name in self._book.contracts
            if name in self._sums
        )

    def _total(self, name: str, sums: _Sums) -> ContractTotal:
        state = self._book.contracts[name]
        formatter = ContractFormatter.of(self._book, state)
        return ContractTotal(
            contract=name,
            asset=state.terms.settle,
            taken_over=formatter.quantity(sums.taken_over),
            unwound=formatter.quantity(sums.unwound),
            closed=formatter.quantity(sums.closed),
            inventory=formatter.quantity(sum(state.inventory[side].total_lots for side in Side)),
            accounts=len(+sums.accounts),
            realized_pnl=formatter.cash(sums.realized_pnl),
            haircut=formatter.cash(sums.haircut),
            pool_pnl=formatter.cash(sums.pool_pnl + state.unrealized_pnl),
            unfunded=formatter.cash(sums.unfunded),
        )
