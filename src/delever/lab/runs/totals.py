"""Adds up a run's events, contract by contract."""

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
    Side,
    TakenOver,
    Unwound,
    WalletSettled,
)
from delever.formatting import Figures


class ContractTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one contract in a run; exact text in its quantity and its settle asset.

    `taken_over`, `unwound` in the market, `closed` by ADL and `left` with the pool are quantities
    of inventory. `accounts` were closed, or gave up something to a socialized loss; `realized` is
    the profit of the counterparties on what was closed, `borne` what they would have had more at the
    mark of that moment, with what open positions gave up to a socialized loss, `pool_profit` what
    takeovers, unwinding, ADL and socializing brought the pool, with what is left valued at the
    mark.
    """

    contract: str
    asset: str
    taken_over: str
    unwound: str
    closed: str
    left: str
    accounts: int
    realized: str
    borne: str
    pool_profit: str


@dataclass(slots=True)
class _Sums:
    """Lots and Cash of one contract."""

    taken_over: int = 0
    unwound: int = 0
    closed: int = 0
    realized: int = 0
    borne: int = 0
    pool_profit: int = 0
    accounts: Counter[str] = field(default_factory=Counter)


class Tally:
    """Adds events up; `book` (as it is after them) gives the contracts' terms and what is left.

    `marks` are those before the first event, in ticks.
    """

    def __init__(self, book: Book, marks: Mapping[str, int]) -> None:
        self._book = book
        self._sums: defaultdict[str, _Sums] = defaultdict(_Sums)
        self._marks = dict(marks)
        self._borne: dict[int, int] = {}
        self.rejected = 0
        self.takeovers = 0
        self.fills = 0

    @property
    def accounts(self) -> int:
        """How many accounts were closed, or gave up something to a socialized loss."""
        return len(+sum((sums.accounts for sums in self._sums.values()), Counter[str]()))

    def add(self, event: Event) -> None:
        """Add one event."""
        match event:
            case MarksSet():
                self._marks |= zip(event.contracts, event.mark_ticks, strict=True)
            case Rejected():
                self.rejected += 1
            case TakenOver():
                self.takeovers += 1
                self._sums[event.contract].taken_over += event.lots
                self._sums[event.contract].pool_profit += event.to_pool_cash
            case WalletSettled():
                self._sums[event.contract].pool_profit += event.amount_cash
            case Unwound():
                self._sums[event.contract].unwound += event.lots
                self._sums[event.contract].pool_profit += event.realized_pnl_cash
            case AdlFilled():
                self._borne[event.fill] = self._borne_by(event)
                self._fill(event, 1)
            case FillCancelled():
                self._fill(event.fill, -1)
            case LossSocialized():
                paid = sum(event.amount_cash)
                self._sums[event.contract].borne += paid
                self._sums[event.contract].pool_profit += paid
                self._sums[event.contract].accounts.update(event.accounts)

    def _borne_by(self, fill: AdlFilled) -> int:
        """Return what a counterparty would have had more at the mark; 0 where there is none."""
        mark = self._marks.get(fill.contract, 0)
        terms = self._book.contracts[fill.contract].terms
        return terms.trade_cash(fill.side.sign * fill.lots, mark) - fill.value_cash if mark else 0

    def _fill(self, fill: AdlFilled, direction: int) -> None:
        """Add a fill, or take it out again."""
        sums = self._sums[fill.contract]
        self.fills += direction
        sums.accounts[fill.account] += direction
        sums.closed += direction * fill.lots
        sums.realized += direction * fill.realized_pnl_cash
        sums.borne += direction * self._borne.get(fill.fill, 0)
        sums.pool_profit += direction * fill.pool_realized_pnl_cash

    def contracts(self) -> tuple[ContractTotal, ...]:
        """Return the total of each contract of which anything was taken over or closed."""
        return tuple(
            self._total(name, self._sums[name])
            for name in self._book.contracts
            if name in self._sums
        )

    def _total(self, name: str, sums: _Sums) -> ContractTotal:
        state = self._book.contracts[name]
        figures = Figures.of(self._book, state)
        return ContractTotal(
            contract=name,
            asset=state.terms.settle,
            taken_over=figures.quantity(sums.taken_over),
            unwound=figures.quantity(sums.unwound),
            closed=figures.quantity(sums.closed),
            left=figures.quantity(sum(state.inventory[side].total_lots for side in Side)),
            accounts=len(+sums.accounts),
            realized=figures.cash(sums.realized),
            borne=figures.cash(sums.borne),
            pool_profit=figures.cash(sums.pool_profit + state.unrealized),
        )
