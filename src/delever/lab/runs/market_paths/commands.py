"""A scenario and a book -> commands of the engine, one step after the other.

Shocked prices are rounded to the nearest tick, at least one; levels of an order book move with
their mark, and those that share a tick are merged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import (
    Amount,
    BalanceRow,
    Command,
    SetBalances,
    SetDepth,
    SetMarks,
    SetTime,
    Takeover,
)
from delever.core.units import Mark, div_nearest, format_scaled
from delever.core.valuation.bankruptcy import open_positions
from delever.formatting import ContractFormatter
from delever.lab.errors import InputError, unknown
from delever.lab.runs.market_paths.path import MarketStep, Scenario, Withdrawal, exact_fraction

PAUSE_MS = 60_000
"""Time between the last step and the end of a simulation, in which waits of triggers end."""

ROUNDING_LIMIT = Fraction(5, 10_000)
"""A shocked price that a tick rounds by more than this part is reported."""

Levels = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class StartingContract:
    """Mark and order book of a contract at the start of a scenario."""

    mark: Mark
    bids: Levels
    asks: Levels
    depth_known: bool


@dataclass(frozen=True, slots=True)
class StartingMarket:
    """The market that the steps of a scenario are relative to."""

    contracts: Mapping[str, StartingContract]

    @classmethod
    def of(cls, book: Book) -> "StartingMarket":
        """Return the market of a book."""
        return cls(
            {
                name: StartingContract(state.mark, state.bids, state.asks, state.depth_known)
                for name, state in book.contracts.items()
            }
        )


def check_scenario(book: Book, scenario: Scenario) -> None:
    """Raise UnknownNameError or InputError for what a scenario names and the book has not."""
    for name in scenario.contracts:
        if name not in book.contracts:
            raise unknown("contract", name, book.contracts)
        if book.contracts[name].mark == 0:
            raise InputError("has no mark to move", column=name)
    for step in scenario.steps:
        for name in (*(row.account for row in step.withdrawals), *step.liquidated):
            if name not in book.accounts.index:
                raise unknown("account", name, book.accounts.index)
        for row in step.withdrawals:
            if row.asset not in book.assets:
                raise unknown("asset", row.asset, book.assets)
            if exact_fraction(row.amount, "withdrawals") < 0:
                raise InputError("is negative", column="withdrawals", value=row.amount)


def scenario_commands(
    book: Book, market: StartingMarket, scenario: Scenario
) -> Iterator[tuple[int, Command]]:
    """Yield (number of the step, command) of a scenario on the book that the commands change.

    The minute after the last step has its number.
    """
    before = MarketStep()
    for number, step in enumerate(scenario.steps):
        time_ms = book.time_ms + step.after_ms
        merged = {**before.ratios, **step.ratios}
        for name, start in market.contracts.items():
            moved = merged.get(name) != before.ratios.get(name) or step.depth != before.depth
            if start.depth_known and moved:
                state = book.contracts[name]
                yield (
                    number,
                    _depth(book, state, start, merged.get(name, Fraction(1)), step, time_ms),
                )
        for withdrawal in step.withdrawals:
            yield number, _withdrawal(book, withdrawal, time_ms)
        if step.ratios:
            yield number, SetMarks(time_ms=time_ms, marks=_marks(book, market, step), strict=True)
        for account in step.liquidated:
            if open_positions(book, book.accounts.index[account]):
                yield number, Takeover(time_ms=time_ms, account=account)
        if book.time_ms < time_ms:
            yield number, SetTime(time_ms=time_ms)
        before = MarketStep(merged, step.depth)
    yield len(scenario.steps) - 1, SetTime(time_ms=book.time_ms + PAUSE_MS)


def rounding_notes(book: Book, market: StartingMarket, scenario: Scenario) -> list[str]:
    """Return a line for each contract that has a shocked price rounded by more than 5 bp."""
    notes = []
    for name in scenario.contracts:
        mark = market.contracts[name].mark
        exact = [mark * step.ratios[name] for step in scenario.steps if name in step.ratios]
        worst = max(abs(moved_ticks(price, Fraction(1)) - price) / price for price in exact)
        if worst > ROUNDING_LIMIT:
            tick = book.contracts[name].terms.tick
            notes.append(
                f"{name}: a shocked price is rounded by {float(worst) * 10_000:.0f} bp to its tick "
                f"of {format_scaled(*tick)}: give a finer tick_size."
            )
    return notes


def moved_ticks(ticks: Mark, ratio: Fraction) -> int:
    """Return a moved price, to the nearest tick, at least one tick."""
    return max(div_nearest(ticks * ratio.numerator, ratio.denominator), 1)


def _marks(book: Book, market: StartingMarket, step: MarketStep) -> dict[str, Amount]:
    return {
        name: ContractFormatter.of(book, book.contracts[name]).price(
            moved_ticks(market.contracts[name].mark, ratio)
        )
        for name, ratio in step.ratios.items()
    }


def _depth(
    book: Book,
    state: ContractState,
    start: StartingContract,
    ratio: Fraction,
    step: MarketStep,
    time_ms: int,
) -> SetDepth:
    """Return the order book at its new prices, with the part of its quantities that is left."""
    formatter = ContractFormatter.of(book, state)

    def moved_levels(levels: Levels) -> tuple[tuple[str, str], ...]:
        lots_at: dict[int, int] = {}
        for ticks, lots in levels:
            price = moved_ticks(ticks, ratio)
            lots_at[price] = lots_at.get(price, 0) + int(lots * step.depth)
        return tuple(
            (formatter.price(t), formatter.quantity(lots)) for t, lots in lots_at.items() if lots
        )

    bids, asks = moved_levels(start.bids), moved_levels(start.asks)
    return SetDepth(time_ms=time_ms, contract=state.name, bids=bids, asks=asks)


def _withdrawal(book: Book, withdrawal: Withdrawal, time_ms: int) -> SetBalances:
    """Return the new balance: less the amount, at most what maintenance margin leaves free."""
    asset, row = book.assets[withdrawal.asset], book.accounts.index[withdrawal.account]
    wallets, unit = asset.wallets, 10**asset.cash_decimals
    balance = wallets.balance.item(row)
    equity = balance + wallets.unrealized_pnl.item(row)
    free = min(balance, equity - wallets.maintenance.item(row) - 1)
    wanted = int(exact_fraction(withdrawal.amount, "withdrawals") * unit)
    left = balance - max(min(wanted, free), 0)
    version = max(book.accounts.balances_version.item(row) + 1, 0)
    text = format_scaled(left, asset.cash_decimals)
    new = BalanceRow(account=withdrawal.account, asset=withdrawal.asset, balance=text)
    return SetBalances(
        time_ms=time_ms, version=version, last_fill=book.last_fill, balances=(new,), strict=True
    )
