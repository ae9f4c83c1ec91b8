"""The path of a run: pools and contracts at every moment at which they were observed.

A point is taken at each `pool_observed`, so also between a fall and the round that answers it; its
peaks and levels are those that the step left. Numbers are integers as in the book; `pools_frame`
and `contracts_frame` make exact decimals of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.engine import rules_of
from delever.core.messages import Event, PoolObserved, Side
from delever.core.rules.triggers.contract import ContractDrawdown
from delever.core.units import PPM, div_floor
from delever.formatting import PERCENT_DECIMALS, exact


@dataclass(frozen=True, slots=True)
class ContractPoint:
    """A contract at a moment; `levels_cash` are the profits at which ADL would start and stop."""

    contract: str
    asset: str
    mark: Decimal
    inventory: Decimal
    cash_decimals: int
    profit_cash: int
    profit_peak_cash: int
    pnl_ratio_ppm: int | None
    levels_cash: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class PoolPoint:
    """A pool at a moment, with the contracts that it had something to do with."""

    sequence: int
    time_ms: int
    pool: str
    asset: str
    cash_decimals: int
    balance_cash: int
    equity_cash: int
    balance_peak_cash: int
    contracts: tuple[ContractPoint, ...]


def points_after(book: Book, events: Iterable[Event]) -> Iterator[PoolPoint]:
    """Yield a point for each time that a step has observed a pool; `book` is the one after it."""
    for event in events:
        if isinstance(event, PoolObserved):
            yield _pool_point(book, event)


def _pool_point(book: Book, seen: PoolObserved) -> PoolPoint:
    pool = book.pools[seen.pool]
    members = zip(seen.contracts, seen.contract_pnl_cash, strict=True)
    return PoolPoint(
        sequence=book.sequence,
        time_ms=book.time_ms,
        pool=seen.pool,
        asset=pool.asset,
        cash_decimals=book.cash_decimals(pool.asset),
        balance_cash=seen.balance_cash,
        equity_cash=seen.equity_cash,
        balance_peak_cash=pool.balance_peak.peak(book.time_ms, pool.balance),
        contracts=tuple(
            _contract_point(book, book.contracts[name], profit_cash)
            for name, profit_cash in members
        ),
    )


def _contract_point(book: Book, state: ContractState, profit_cash: int) -> ContractPoint:
    peak_cash = state.contract_pnl_peak.peak(book.time_ms, profit_cash)
    numbers = _drawdown_numbers(book, state)
    balance_peak = numbers.get("balance_peak_cash", 0)
    levels = None
    if balance_peak > 0:
        start, stop = (
            peak_cash + div_floor(numbers[limit] * balance_peak, PPM)
            for limit in ("start_ppm", "stop_ppm")
        )
        levels = start, stop
    held = sum(state.inventory[side].total_lots for side in Side)
    return ContractPoint(
        contract=state.name,
        asset=state.terms.settle,
        mark=exact(state.mark * state.terms.tick[0], state.terms.tick[1]),
        inventory=exact(held * state.terms.lot[0], state.terms.lot[1]),
        cash_decimals=book.asset_of(state).cash_decimals,
        profit_cash=profit_cash,
        profit_peak_cash=peak_cash,
        pnl_ratio_ppm=div_floor((profit_cash - peak_cash) * PPM, balance_peak) if levels else None,
        levels_cash=levels,
    )


def _drawdown_numbers(book: Book, state: ContractState) -> dict[str, int]:
    """Return what the drawdown trigger compares, or nothing where the rule set has none."""
    for case in rules_of(book, state).cases:
        if isinstance(case.trigger, ContractDrawdown) and state.mark:
            return case.trigger.read(book, state).numbers
    return {}


# --- as frames ---


def pools_frame(points: Sequence[PoolPoint]) -> pl.DataFrame:
    """Return a row for each point of each pool; money as exact decimals."""
    money = ("balance", "equity", "balance_peak")
    rows = [
        {
            "sequence": point.sequence,
            "time_ms": point.time_ms,
            "pool": point.pool,
            "asset": point.asset,
            **{name: exact(getattr(point, f"{name}_cash"), point.cash_decimals) for name in money},
        }
        for point in points
    ]
    named = {"sequence": pl.Int64, "time_ms": pl.Int64, "pool": pl.String, "asset": pl.String}
    return _frame(rows, named, money)


def contracts_frame(points: Sequence[PoolPoint]) -> pl.DataFrame:
    """Return a row for each point of each contract; `pnl_ratio` is in percent.

    `starts_at` and `stops_at` are the profits at which the contract's drawdown would start and stop
    ADL; they are empty under rule sets without that trigger.
    """
    exacts = (
        "mark",
        "inventory",
        "profit",
        "contract_pnl_peak",
        "pnl_ratio",
        "starts_at",
        "stops_at",
    )
    rows = [
        {"sequence": point.sequence, "time_ms": point.time_ms, "pool": point.pool, **_row(member)}
        for point in points
        for member in point.contracts
    ]
    named = {"sequence": pl.Int64, "time_ms": pl.Int64, "pool": pl.String}
    return _frame(rows, named | {"contract": pl.String, "asset": pl.String}, exacts)


def _row(point: ContractPoint) -> dict[str, Any]:
    start, stop = point.levels_cash or (None, None)
    money = {
        "profit": point.profit_cash,
        "contract_pnl_peak": point.profit_peak_cash,
        "starts_at": start,
        "stops_at": stop,
    }
    ratio = point.pnl_ratio_ppm
    return {
        "contract": point.contract,
        "asset": point.asset,
        "mark": point.mark,
        "inventory": point.inventory,
        "pnl_ratio": None if ratio is None else exact(ratio, PERCENT_DECIMALS),
        **{
            name: None if cash is None else exact(cash, point.cash_decimals)
            for name, cash in money.items()
        },
    }


def _frame(
    rows: Sequence[dict[str, Any]], named: dict[str, Any], exacts: Sequence[str]
) -> pl.DataFrame:
    """Return rows as a frame whose exact columns have as many decimals as they need."""
    places = {
        name: max((-int(row[name].as_tuple().exponent) for row in rows if row[name]), default=0)
        for name in exacts
    }
    exact_types = {name: pl.Decimal(38, max(places[name], 0)) for name in exacts}
    return pl.DataFrame(rows, schema=named | exact_types)
