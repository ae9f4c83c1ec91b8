"""Markouts: what counterparties would have had at a mark some time after their fills."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import numpy as np

from delever.core.book import Book
from delever.core.messages import (
    Accepted,
    AdlFilled,
    ContractAmended,
    Event,
    FillCancelled,
    LossSocialized,
    MarksSet,
)
from delever.core.units import Floats, Mark
from delever.lab.measures.contract_totals import EventTotals


@dataclass(slots=True)
class MarkHistory:
    """The marks of one contract as prices, each with the time from which it is in force."""

    times_ms: list[int] = field(default_factory=list)
    prices: list[Decimal] = field(default_factory=list)

    def add(self, time_ms: int, price: Decimal) -> None:
        """Append a mark; time never decreases."""
        self.times_ms.append(time_ms)
        self.prices.append(price)

    def at(self, time_ms: int) -> Decimal | None:
        """Return the mark in force at a time, the last one after the end; None before the first."""
        place = bisect_right(self.times_ms, time_ms)
        return self.prices[place - 1] if place else None


def markouts(
    book: Book, events: Iterable[Event], marks: Mapping[str, Mark], delay_ms: int, asset: str
) -> Floats:
    """Return by account what its fills cost at the marks `delay_ms` later, in Cash.

    The value of the lots closed at the mark in force then, less the value that they were closed
    for; with socialized losses. Fills near the end of the run are marked out at its last mark.
    """
    histories, fills, found = _history(book, events, marks, asset)
    for time_ms, sequence, fill in fills.values():
        terms = book.contracts[fill.contract].terms.at(sequence)
        price = histories[fill.contract].at(time_ms + delay_ms)
        if price is not None:
            mark = Fraction(price) * 10 ** terms.tick[1] / terms.tick[0]
            ticks = mark.numerator if mark.denominator == 1 else mark
            value = terms.trade_cash(fill.side.sign * fill.lots, ticks)
            found[book.accounts.index[fill.account]] += value - fill.value_cash
    return found


TimedFill = tuple[int, int, AdlFilled]
"""Time in ms, sequence and fill."""


def _history(
    book: Book, events: Iterable[Event], marks: Mapping[str, Mark], asset: str
) -> tuple[defaultdict[str, MarkHistory], dict[int, TimedFill], Floats]:
    """Return marks over time, fills that stand by id, and socialized losses by account."""
    totals, time_ms, sequence = EventTotals(book, marks), 0, 0
    histories: defaultdict[str, MarkHistory] = defaultdict(MarkHistory)
    fills: dict[int, TimedFill] = {}
    socialized = np.zeros(book.accounts.size)
    settled = {name for name, state in book.contracts.items() if state.terms.settle == asset}
    for event in events:
        match event:
            case Accepted():
                time_ms, sequence = event.time_ms, event.sequence
                totals.add(event)
            case MarksSet() | ContractAmended():
                totals.add(event)
                names = event.contracts if isinstance(event, MarksSet) else ()
                for name in settled.intersection(names):
                    price = totals.mark_price(name)
                    if price is not None:
                        histories[name].add(time_ms, price)
            case AdlFilled() if event.contract in settled:
                _start(histories[event.contract], totals.mark_price(event.contract))
                fills[event.fill] = time_ms, sequence, event
            case FillCancelled():
                fills.pop(event.fill.fill, None)
            case LossSocialized() if event.contract in settled:
                for account, amount in zip(event.accounts, event.amount_cash, strict=True):
                    socialized[book.accounts.index[account]] += amount
            case _:
                pass
    return histories, fills, socialized


def _start(history: MarkHistory, price: Decimal | None) -> None:
    """Begin a history with the mark from before the run, where the run has set none yet."""
    if not history.times_ms and price is not None:
        history.add(0, price)
