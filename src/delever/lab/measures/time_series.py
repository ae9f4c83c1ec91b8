"""Pools and contracts over a run, at every moment at which a pool was observed.

An observation is made for each `pool_observed` event, thus also between a fall of the mark and the
round of ADL that answers it; its peaks and ADL levels are those after the command. Numbers are
integers as in the book; `pools_frame` and `contracts_frame` turn them into exact decimals.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import Event, PoolObserved, Side
from delever.core.rules import rule_set_of
from delever.core.rules.triggers.contract import ContractDrawdown
from delever.core.units import PPM, div_floor
from delever.formatting import PERCENT_DECIMALS, ContractFormatter, exact_decimal


@dataclass(frozen=True, slots=True)
class ObservedContract:
    """A contract at a moment; `adl_levels_cash` are the contract PnL that start and stop ADL."""

    contract: str
    asset: str
    mark: Decimal
    inventory: Decimal
    cash_decimals: int
    contract_pnl_cash: int
    contract_pnl_peak_cash: int
    pnl_ratio_ppm: int | None
    adl_levels_cash: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class ObservedPool:
    """A pool at a moment, with its contracts."""

    sequence: int
    time_ms: int
    pool: str
    asset: str
    cash_decimals: int
    balance_cash: int
    equity_cash: int
    balance_peak_cash: int
    contracts: tuple[ObservedContract, ...]


def observations(book: Book, events: Iterable[Event]) -> Iterator[ObservedPool]:
    """Yield each observation of a pool among a command's events; `book` is the one after them."""
    for event in events:
        if isinstance(event, PoolObserved):
            yield _pool_observation(book, event)


def _pool_observation(book: Book, event: PoolObserved) -> ObservedPool:
    pool = book.pools[event.pool]
    members = zip(event.contracts, event.contract_pnl_cash, strict=True)
    return ObservedPool(
        sequence=book.sequence,
        time_ms=book.time_ms,
        pool=event.pool,
        asset=pool.asset,
        cash_decimals=book.cash_decimals(pool.asset),
        balance_cash=event.balance_cash,
        equity_cash=event.equity_cash,
        balance_peak_cash=pool.balance_peak.peak(book.time_ms, pool.balance),
        contracts=tuple(
            _contract_observation(book, book.contracts[name], pnl_cash)
            for name, pnl_cash in members
        ),
    )


def _contract_observation(
    book: Book, state: ContractState, contract_pnl_cash: int
) -> ObservedContract:
    peak_cash = state.contract_pnl_peak.peak(book.time_ms, contract_pnl_cash)
    numbers = _drawdown_numbers(book, state)
    balance_peak = numbers.get("balance_peak_cash", 0)
    levels = ratio_ppm = None
    if balance_peak > 0:
        start, stop = (
            peak_cash + div_floor(numbers[limit] * balance_peak, PPM)
            for limit in ("start_ppm", "stop_ppm")
        )
        levels = start, stop
        ratio_ppm = div_floor((contract_pnl_cash - peak_cash) * PPM, balance_peak)
    formatter = ContractFormatter.of(book, state)
    inventory_lots = sum(state.inventory[side].total_lots for side in Side)
    return ObservedContract(
        contract=state.name,
        asset=state.terms.settle,
        mark=formatter.exact_price(state.mark),
        inventory=formatter.exact_quantity(inventory_lots),
        cash_decimals=formatter.cash_decimals,
        contract_pnl_cash=contract_pnl_cash,
        contract_pnl_peak_cash=peak_cash,
        pnl_ratio_ppm=ratio_ppm,
        adl_levels_cash=levels,
    )


def _drawdown_numbers(book: Book, state: ContractState) -> dict[str, int]:
    """Return the numbers of the contract drawdown trigger; empty for a rule set without it."""
    for case in rule_set_of(book, state).cases:
        if isinstance(case.trigger, ContractDrawdown) and state.mark:
            return case.trigger.evaluate(book, state).numbers
    return {}


# --- as frames ---


def pools_frame(observed: Sequence[ObservedPool]) -> pl.DataFrame:
    """Return a row for each observation of each pool; money is exact decimals."""
    money = ("balance", "equity", "balance_peak")
    rows = [
        {
            "sequence": pool.sequence,
            "time_ms": pool.time_ms,
            "pool": pool.pool,
            "asset": pool.asset,
            **{
                name: exact_decimal(getattr(pool, f"{name}_cash"), pool.cash_decimals)
                for name in money
            },
        }
        for pool in observed
    ]
    named = {"sequence": pl.Int64, "time_ms": pl.Int64, "pool": pl.String, "asset": pl.String}
    return _frame(rows, named, money)


def contracts_frame(observed: Sequence[ObservedPool]) -> pl.DataFrame:
    """Return a row for each observation of each contract; `pnl_ratio` is in percent.

    `adl_start_pnl` and `adl_stop_pnl` are the contract PnL at which the drawdown trigger would
    start and stop ADL; they are empty for rule sets without that trigger.
    """
    exacts = (
        "mark",
        "inventory",
        "contract_pnl",
        "contract_pnl_peak",
        "pnl_ratio",
        "adl_start_pnl",
        "adl_stop_pnl",
    )
    rows = [
        {
            "sequence": pool.sequence,
            "time_ms": pool.time_ms,
            "pool": pool.pool,
            **_contract_row(contract),
        }
        for pool in observed
        for contract in pool.contracts
    ]
    named = {"sequence": pl.Int64, "time_ms": pl.Int64, "pool": pl.String}
    return _frame(rows, named | {"contract": pl.String, "asset": pl.String}, exacts)


def _contract_row(contract: ObservedContract) -> dict[str, Any]:
    start, stop = contract.adl_levels_cash or (None, None)
    money = {
        "contract_pnl": contract.contract_pnl_cash,
        "contract_pnl_peak": contract.contract_pnl_peak_cash,
        "adl_start_pnl": start,
        "adl_stop_pnl": stop,
    }
    ratio_ppm = contract.pnl_ratio_ppm
    return {
        "contract": contract.contract,
        "asset": contract.asset,
        "mark": contract.mark,
        "inventory": contract.inventory,
        "pnl_ratio": None if ratio_ppm is None else exact_decimal(ratio_ppm, PERCENT_DECIMALS),
        **{
            name: None if cash is None else exact_decimal(cash, contract.cash_decimals)
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
