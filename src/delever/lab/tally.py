"""Adds up a run's events, contract by contract."""

from collections import defaultdict
from dataclasses import dataclass, field

import msgspec

from delever.core.book import Book
from delever.core.messages import (
    AdlFilled,
    Event,
    FillCancelled,
    LossSocialised,
    MarksSet,
    Refused,
    Side,
    TakenOver,
    Unwound,
    WalletSettled,
)
from delever.lab.figures import Figures


class ContractTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one contract in a run; exact text in its quantity and its settle asset.

    `taken_over`, `unwound` in the market, `closed` by ADL and `left` with the pool are quantities
    of inventory. `realised` is the profit of the candidates on what was closed, `borne` what they
    would have had more at the mark, with what open positions gave up to a socialised loss,
    `pool_profit` what takeovers, unwinding, ADL and socialising brought the pool, with what is left
    valued at the mark.
    """

    contract: str
    asset: str
    taken_over: str
    unwound: str
    closed: str
    left: str
    accounts: int
    realised: str
    borne: str
    pool_profit: str


@dataclass(slots=True)
class _Sums:
    """Lots and Cash of one contract."""

    taken_over: int = 0
    unwound: int = 0
    closed: int = 0
    realised: int = 0
    borne: int = 0
    pool_profit: int = 0
    accounts: set[str] = field(default_factory=set)


class Tally:
    """Adds events up; `book` (as it is after them) gives the contracts' terms and what is left."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._sums: defaultdict[str, _Sums] = defaultdict(_Sums)
        self._marks: dict[str, int] = {}
        self.refused = 0
        self.takeovers = 0
        self.fills = 0
        self.accounts: set[str] = set()

    def add(self, event: Event) -> None:
        """Add one event."""
        match event:
            case MarksSet():
                self._marks |= zip(event.contracts, event.marks_ticks, strict=True)
            case Refused():
                self.refused += 1
            case TakenOver():
                self.takeovers += 1
                self._sums[event.contract].taken_over += event.lots
                self._sums[event.contract].pool_profit += event.to_pool_cash
            case WalletSettled():
                self._sums[event.contract].pool_profit += event.amount_cash
            case Unwound():
                self._sums[event.contract].unwound += event.lots
                self._sums[event.contract].pool_profit += event.realised_cash
            case AdlFilled():
                self._fill(event, 1)
            case FillCancelled():
                self._fill(event.fill, -1)
            case LossSocialised():
                paid = sum(event.amounts_cash)
                self._sums[event.contract].borne += paid
                self._sums[event.contract].pool_profit += paid
                self._sums[event.contract].accounts.update(event.accounts)
                self.accounts.update(event.accounts)

    def _fill(self, fill: AdlFilled, direction: int) -> None:
        """Add a fill, or take it out again."""
        sums = self._sums[fill.contract]
        state = self._book.contracts[fill.contract]
        mark = self._marks.get(fill.contract, state.mark)
        at_mark = state.terms.trade_cash(fill.side.sign * fill.lots, mark)
        self.fills += direction
        self.accounts.add(fill.account)
        sums.accounts.add(fill.account)
        sums.closed += direction * fill.lots
        sums.realised += direction * fill.realised_cash
        sums.borne += direction * (at_mark - fill.value_cash)
        sums.pool_profit += direction * fill.pool_realised_cash

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
            accounts=len(sums.accounts),
            realised=figures.cash(sums.realised),
            borne=figures.cash(sums.borne),
            pool_profit=figures.cash(sums.pool_profit + state.unrealised),
        )
