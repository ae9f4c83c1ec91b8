"""What the ADL of a run did to each position: quantity, marks, haircut, PnL kept.

Amounts are exact until they are divided; averages are rounded to 10 decimals.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl

from delever.core.book import Book
from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import (
    Accepted,
    AdlFilled,
    ContractAmended,
    Event,
    FillCancelled,
    LossSocialized,
    MarksSet,
    Side,
)
from delever.core.units import Mark
from delever.formatting import ContractFormatter
from delever.lab.measures.contract_totals import EventTotals

AVERAGE_DECIMALS = 10

PositionKey = tuple[str, str, Side, int]
"""Account, contract, side and id of a position."""


@dataclass(slots=True)
class PositionOutcome:
    """What ADL and socialized losses did to one position; sums over its fills.

    Cash is signed like the position: `value_cash` is that of the closed lots at the fill prices,
    `mark_cash` at the marks of the fills, `cost_cash` at entry. `socialized_cash` is the position's
    share of socialized losses.
    """

    lots: int = 0
    value_cash: int = 0
    mark_cash: int = 0
    cost_cash: int = 0
    fees_cash: int = 0
    socialized_cash: int = 0

    @property
    def haircut_cash(self) -> int:
        """What the position lost against the mark, and in socialized losses."""
        return self.mark_cash - self.value_cash + self.socialized_cash

    def add(self, fill: AdlFilled, haircut_cash: int, direction: int) -> None:
        """Add a fill, or subtract a cancelled one."""
        self.lots += direction * fill.lots
        self.value_cash += direction * fill.value_cash
        self.mark_cash += direction * (fill.value_cash + haircut_cash)
        self.cost_cash += direction * fill.cost_cash
        self.fees_cash += direction * fill.fee_cash


def position_outcomes(
    book: Book, events: Iterable[Event], marks: Mapping[str, Mark]
) -> dict[PositionKey, PositionOutcome]:
    """Return the outcome of each position with ADL or a socialized loss, in order of the first.

    `book` is as after the events, `marks` as before them, in Ticks.
    """
    totals = EventTotals(book, marks)
    haircuts_cash: dict[int, int] = {}
    found: defaultdict[PositionKey, PositionOutcome] = defaultdict(PositionOutcome)
    for event in events:
        if isinstance(event, AdlFilled):
            haircut_cash = haircuts_cash[event.fill] = totals.haircut_cash(event)
            found[_key(event)].add(event, haircut_cash, 1)
        elif isinstance(event, FillCancelled):
            fill = event.fill
            if fill.fill in haircuts_cash:
                found[_key(fill)].add(fill, haircuts_cash[fill.fill], -1)
        elif isinstance(event, LossSocialized):
            columns = event.accounts, event.sides, event.positions, event.amount_cash
            for account, side, position, amount in zip(*columns, strict=True):
                found[account, event.contract, side, position].socialized_cash += amount
        elif isinstance(event, Accepted | MarksSet | ContractAmended):
            totals.add(event)
    return dict(found)


def _key(fill: AdlFilled) -> PositionKey:
    return fill.account, fill.contract, fill.side, fill.position


_EXACT = ("quantity", "notional_closed", "mark", "price", "entry_price", "haircut", "pnl_kept")


def accounts_frame(book: Book, events: Iterable[Event], marks: Mapping[str, Mark]) -> pl.DataFrame:
    """Return a row for each position with ADL or a socialized loss.

    `quantity` is what ADL closed, `notional_closed` its value at the marks of the fills. `mark` and
    `price` are the averages of the fills, of their prices and never of rounded cash: by quantity
    for a linear contract, harmonic for an inverse one. `entry_price` is the price on the tick that
    has the entry cost of the fills, or else their average. `haircut` is what the counterparty lost
    against the mark, `pnl_kept` its realized PnL: PnL at the mark less the haircut, without fees.
    `haircut_ratio` is the haircut in percent of the PnL at the mark, None where that is not
    positive. `closed` is true if nothing of the position is left.
    """
    listed = list(events)
    closings = _closings(book, listed, marks)
    found = position_outcomes(book, listed, marks)
    rows = [_row(book, key, outcome, closings[key]) for key, outcome in found.items()]
    places = {
        name: max(
            (-row[name].as_tuple().exponent for row in rows if row[name] is not None), default=0
        )
        for name in _EXACT
    }
    named: dict[str, Any] = {"account": pl.String, "contract": pl.String, "side": pl.String}
    exact = {name: pl.Decimal(38, max(places[name], 0)) for name in _EXACT}
    rest = {"haircut_ratio": pl.Float64, "closed": pl.Boolean}
    return pl.DataFrame(rows, schema={**named, "position": pl.Int64, **exact, **rest})


@dataclass(slots=True)
class Closings:
    """The lots that ADL closed of one position by price and by mark, and how many fills closed."""

    by_price: Counter[Decimal] = field(default_factory=Counter)
    by_mark: Counter[Decimal] = field(default_factory=Counter)
    fills: int = 0


def _closings(
    book: Book, events: Iterable[Event], marks: Mapping[str, Mark]
) -> defaultdict[PositionKey, Closings]:
    """Return the closings of each position, without cancelled fills."""
    totals = EventTotals(book, marks)
    marks_of: dict[int, Decimal | None] = {}
    found: defaultdict[PositionKey, Closings] = defaultdict(Closings)
    for event in events:
        if isinstance(event, AdlFilled | FillCancelled):
            is_new = isinstance(event, AdlFilled)
            fill = event if isinstance(event, AdlFilled) else event.fill
            price, mark = totals.price_and_mark(fill)
            mark = marks_of.setdefault(fill.fill, mark)
            lots, closings = fill.lots if is_new else -fill.lots, found[_key(fill)]
            closings.fills += 1 if is_new else -1
            closings.by_price[price] += lots
            if mark is not None:
                closings.by_mark[mark] += lots
        elif isinstance(event, Accepted | MarksSet | ContractAmended):
            totals.add(event)
    return found


def _row(
    book: Book, key: PositionKey, outcome: PositionOutcome, closings: Closings
) -> dict[str, Any]:
    account, contract, side, position = key
    state = book.contracts[contract]
    formatter = ContractFormatter.of(book, state)
    realized = outcome.value_cash - outcome.cost_cash - outcome.socialized_cash
    at_mark = realized + outcome.haircut_cash
    table = state.tables[side]
    return {
        "account": account,
        "contract": contract,
        "side": str(side),
        "position": position,
        "quantity": formatter.exact_quantity(outcome.lots),
        "notional_closed": formatter.exact_cash(abs(outcome.mark_cash)),
        "mark": _average(closings.by_mark, linear=state.terms.linear),
        "price": _average(closings.by_price, linear=state.terms.linear),
        "entry_price": _entry_price(state.terms, outcome, closings.fills),
        "haircut": formatter.exact_cash(outcome.haircut_cash),
        "pnl_kept": formatter.exact_cash(realized),
        "haircut_ratio": 100 * outcome.haircut_cash / at_mark if at_mark > 0 else None,
        "closed": table.find(book.accounts.index[account], position) is None,
    }


def _average(lots_at: Counter[Decimal], *, linear: bool) -> Decimal | None:
    """Return the average price of lots, harmonic where a lot is worth 1 / price; None without."""
    lots = lots_at.total()
    if not lots:
        return None
    if linear:
        worth = sum((Fraction(price) * n for price, n in lots_at.items()), Fraction(0))
        return _rounded(worth / lots)
    coins = sum((n / Fraction(price) for price, n in lots_at.items()), Fraction(0))
    return _rounded(lots / coins)


def _entry_price(terms: ContractTerms, outcome: PositionOutcome, fills: int) -> Decimal | None:
    """Return the entry price: on the tick, where one on the tick has the cost of the fills.

    The cost of a position is rounded once, and that of each fill is a floored part of it.
    """
    size, cost = abs(outcome.lots * terms.factor), abs(outcome.cost_cash)
    if not size or not cost:
        return None
    ticks = Fraction(cost, size) if terms.linear else Fraction(size, cost)
    nearest = max(round(ticks), 1)
    exact = Fraction(nearest * size) if terms.linear else Fraction(size, nearest)
    on_tick = abs(exact - cost) <= fills + Fraction(1, 2)
    price = Fraction(nearest) if on_tick else ticks
    return _rounded(price * Fraction(terms.tick[0], 10 ** terms.tick[1]))


def _rounded(price: Fraction) -> Decimal:
    return Decimal(round(price * 10**AVERAGE_DECIMALS)).scaleb(-AVERAGE_DECIMALS).normalize()
