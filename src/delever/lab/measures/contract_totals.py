"""Totals of a run by contract, added up from its events."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from delever.core.book import Book
from delever.core.messages import (
    Accepted,
    AdlFilled,
    ContractAmended,
    ContractSettled,
    Event,
    FillCancelled,
    InventoryClosed,
    LossSocialized,
    MarksSet,
    PositionsClosed,
    Rejected,
    RoundClosed,
    SettlementLossShared,
    Side,
    TakenOver,
    Unwound,
    WalletSettled,
)
from delever.core.units import Mark, ratio_of, scale_mark
from delever.formatting import ContractFormatter, decimal_text


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
    """Quantities and Cash of one contract."""

    taken_over: Decimal = Decimal(0)
    unwound: Decimal = Decimal(0)
    closed: Decimal = Decimal(0)
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
        self._sequence = book.sequence
        self._formatters: dict[str, ContractFormatter] = {}
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
                self._sums[event.contract].taken_over += self._quantity(
                    event.contract, event.lots, self._sequence
                )
                self._sums[event.contract].pool_pnl += event.to_pool_cash
            case WalletSettled():
                self._sums[event.contract].pool_pnl += event.amount_cash
            case Unwound():
                self._sums[event.contract].unwound += self._quantity(
                    event.contract, event.lots, self._sequence
                )
                self._sums[event.contract].pool_pnl += event.realized_pnl_cash
            case AdlFilled():
                self.haircuts_cash[event.fill] = self.haircut_cash(event)
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
            case _:
                self._add_end_of_terms(event)

    def _add_end_of_terms(self, event: Event) -> None:
        """Add what an amendment or a settlement has closed; express the mark in the new unit."""
        match event:
            case Accepted():
                self._sequence = event.sequence
            case ContractAmended():
                self._rescale_mark(event.contract)
            case PositionsClosed():
                self._sums[event.contract].pool_pnl += sum(event.to_pool_cash)
            case InventoryClosed():
                unwound = self._quantity(event.contract, sum(event.lots), self._sequence - 1)
                self._sums[event.contract].unwound += unwound
                self._sums[event.contract].pool_pnl += sum(event.realized_pnl_cash)
            case ContractSettled():
                self._sums[event.contract].pool_pnl += event.rounding_cash
            case SettlementLossShared():
                self._sums[event.contract].pool_pnl += sum(event.amount_cash)
                self._sums[event.contract].haircut += sum(event.amount_cash)
                self._sums[event.contract].accounts.update(event.accounts)

    def _formatter(self, contract: str) -> ContractFormatter:
        formatter = self._formatters.get(contract)
        if formatter is None:
            formatter = ContractFormatter.of(self._book, self._book.contracts[contract])
            self._formatters[contract] = formatter
        return formatter

    def _quantity(self, contract: str, lots: int, sequence: int) -> Decimal:
        """Return lots of the events of a sequence as a quantity."""
        return self._formatter(contract).at(sequence).exact_quantity(lots)

    def _rescale_mark(self, contract: str) -> None:
        terms = self._book.contracts[contract].terms
        before, after = terms.at(self._sequence - 1), terms.at(self._sequence)
        mark = self._marks.get(contract, 0)
        self._marks[contract] = scale_mark(mark, ratio_of(before.tick, after.tick))

    def _set_marks(self, event: MarksSet) -> None:
        for name, ticks, fraction in event.rows():
            terms = self._book.contracts[name].terms.at(self._sequence)
            self._marks[name] = terms.join_mark(ticks, fraction)

    def haircut_cash(self, fill: AdlFilled) -> int:
        """Return the loss of a fill's counterparty against the mark; 0 without a mark."""
        mark = self._marks.get(fill.contract, 0)
        terms = self._formatter(fill.contract).terms.at(self._sequence)
        return terms.trade_cash(fill.side.sign * fill.lots, mark) - fill.value_cash if mark else 0

    def price_and_mark(self, fill: AdlFilled) -> tuple[Decimal, Decimal | None]:
        """Return the price of a fill and the mark of its moment, None without a mark."""
        formatter = self._formatter(fill.contract).at(self._sequence)
        return formatter.exact_price(fill.price_ticks), self.mark_price(fill.contract)

    def mark_price(self, contract: str) -> Decimal | None:
        """Return the mark of a contract after the events so far, None without one."""
        formatter = self._formatter(contract).at(self._sequence)
        mark = self._marks.get(contract, 0)
        return formatter.exact_price(mark) if mark else None

    def _add_fill(self, fill: AdlFilled, direction: int) -> None:
        """Add a fill, or subtract a cancelled one."""
        sums = self._sums[fill.contract]
        self.fills += direction
        sums.accounts[fill.account] += direction
        sums.closed += direction * self._quantity(fill.contract, fill.lots, self._sequence)
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
        formatter = self._formatter(name)
        return ContractTotal(
            contract=name,
            asset=state.terms.settle,
            taken_over=decimal_text(sums.taken_over),
            unwound=decimal_text(sums.unwound),
            closed=decimal_text(sums.closed),
            inventory=formatter.quantity(sum(state.inventory[side].total_lots for side in Side)),
            accounts=len(+sums.accounts),
            realized_pnl=formatter.cash(sums.realized_pnl),
            haircut=formatter.cash(sums.haircut),
            pool_pnl=formatter.cash(sums.pool_pnl + state.unrealized_pnl),
            unfunded=formatter.cash(sums.unfunded),
        )
