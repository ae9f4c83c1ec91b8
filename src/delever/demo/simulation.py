"""A crash from beginning to end, played through the engine and kept in a journal.

One seed, one crash: contracts behind four insurance pools under Bybit's rules, many accounts, and
what follows when marks fall: liquidations, takeovers, a book too thin to unwind into, drawdown
triggers, ADL, an operator who puts money in, recovery, and the end of it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.engine import rules_of
from delever.core.explain.explanation import trigger_states
from delever.core.messages import (
    BalanceRow,
    Command,
    ContractKind,
    DefineAccount,
    DefineContract,
    DefinePool,
    Event,
    FundingReason,
    FundPool,
    MarginTier,
    PoolKind,
    PositionRow,
    Rejected,
    SetBalances,
    SetDepth,
    SetMarks,
    SetPositions,
    Side,
)
from delever.core.units import PPM, format_scaled
from delever.core.valuation.insurance import pool_equity
from delever.demo.summary import Outcome, Tally, look_back
from delever.demo.synthetic_market import (
    CASH_PER_LOT_TICK,
    UNIT,
    Holdings,
    Listing,
    Schedule,
    holdings,
    levels,
    listings,
    schedule,
)
from delever.journal import JournalError, Recorder

ASSET = "USDT"
BEGINS_MS = 1_760_130_000_000
RULES = "bybit"

POOLS = {
    "main": PoolKind.SHARED,
    "portfolio": PoolKind.PORTFOLIO,
    "new": PoolKind.NEW_LISTING,
    "alone": PoolKind.ISOLATED,
}

FUNDS_PPM = {"main": 3_000, "portfolio": 3_000, "new": 20_000, "alone": 30_000}
"""Assumed: what a pool begins with, of the longs' value behind which it stands."""

DEPTH_PPM = 12_000
"""Assumed: what a calm order book offers within reach on each side, of the longs' value."""

DEPTH_EVERY_S = 3
"""Each contract's order book is told every so many seconds, a third of them each second."""

TIERS = (
    MarginTier(notional_from=0, maintenance_rate="0.01"),
    MarginTier(notional_from=1_000_000, maintenance_rate="0.02"),
)

ROWS = 5_000
"""Rows of one bulk command, and commands of one commit while the book is told."""

FEWEST_CONTRACTS, FEWEST_ACCOUNTS = 4, 100

RESCUES = {15: 270_000, 45: 240_000}
"""Seconds after the marks turn -> the contract drawdown (ppm) that the operator pays it down to.

The first stays inside the hysteresis, so that ADL stays on; the second ends it.
"""

Progress = Callable[[int, int], None]
"""Is told (steps done, steps in all)."""


@dataclass(frozen=True, slots=True)
class Crash:
    """Everything that is drawn before the first command."""

    contracts: tuple[Listing, ...]
    held: Holdings
    path: Schedule
    long_cash: tuple[int, ...]

    def pool(self, contract: int) -> str:
        """Return the pool behind a contract, by its place."""
        last = len(self.contracts) - 1
        if contract == last:
            return "alone"
        if contract == last - 1 or (last >= 8 and contract == last - 2):
            return "new"
        return "portfolio" if contract % 5 == 1 else "main"

    def account(self, index: int) -> str:
        """Return the name of an account; the last is the market maker."""
        return "maker" if index == len(self.held.wallet_cash) - 1 else f"a{index:06}"


def draw(seed: int, accounts: int, contracts: int) -> Crash:
    """Return the crash of a seed; ValueError for a market too small to crash, or a seed below 0."""
    if seed < 0:
        raise ValueError(f"seed {seed}: must be at least 0")
    if accounts < FEWEST_ACCOUNTS or contracts < FEWEST_CONTRACTS:
        raise ValueError(f"needs {FEWEST_ACCOUNTS} accounts and {FEWEST_CONTRACTS} contracts")
    generator = np.random.default_rng(seed)
    listed = listings(generator, contracts)
    held = holdings(generator, listed, accounts)
    path = schedule(generator, listed)
    long = np.zeros(contracts, np.int64)
    np.add.at(long, held.contract, np.maximum(held.lots, 0))
    values = [
        lots * each.start_ticks * CASH_PER_LOT_TICK
        for lots, each in zip(long.tolist(), listed, strict=True)
    ]
    return Crash(listed, held, path, tuple(values))


def play(
    seed: int = 10,
    accounts: int = 50_000,
    contracts: int = 20,
    journal: str | Path = ":memory:",
    progress: Progress | None = None,
) -> Outcome:
    """Play the crash of a seed into a new journal, and return what came of it.

    The journal is verified by its chain of hashes and by replaying all of its events. Raises
    ValueError for a market too small to crash, JournalError where the journal is not new.
    """
    crash = draw(seed, accounts, contracts)
    tally = Tally(tuple(POOLS))
    depth = np.random.default_rng([seed, 1])
    told = list(_batches(opening(crash)))
    steps = len(told) + crash.path.seconds
    with Recorder.open(journal) as recorder:
        if recorder.head.sequence:
            raise JournalError(f"{journal}: the demonstration needs a journal of its own")
        for done, batch in enumerate(told, start=1):
            _submit(recorder, batch, tally, None)
            _tell(progress, done, 2 * steps)
        for second in range(crash.path.seconds):
            batch = [*market(crash, second, depth), *operator(recorder.book, crash, second)]
            _submit(recorder, batch, tally, second)
            _tell(progress, len(told) + second + 1, 2 * steps)
        head = recorder.head

        def looking(done: int, records: int) -> None:
            _tell(progress, steps + steps * done // records, 2 * steps)

        return look_back(recorder, tally, head, looking)


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def _submit(
    recorder: Recorder, commands: Sequence[Command], tally: Tally, second: int | None
) -> None:
    """Run one commit's commands, and count what happened."""
    first = recorder.head.sequence + 1
    for sequence, events in enumerate(recorder.submit(commands), start=first):
        _accepted(events)
        tally.add(sequence, second, events)
    if second is not None:
        tally.close_second(recorder.book, second)


def _accepted(events: tuple[Event, ...]) -> None:
    if isinstance(events[0], Rejected):
        raise TypeError(f"the crash was drawn wrongly: {events[0]}")


# --- before the crash ---


def opening(crash: Crash) -> Iterator[Command]:
    """Yield what defines the market and tells who holds what."""
    time_ms, held = BEGINS_MS, crash.held
    for index in range(len(held.wallet_cash)):
        name = crash.account(index)
        yield DefineAccount(time_ms=time_ms, account=name, adl_exempt=name == "maker")
    yield from _definitions(crash)
    yield SetMarks(
        time_ms=time_ms, marks={each.name: each.price(each.start_ticks) for each in crash.contracts}
    )
    wallets = [
        BalanceRow(account=crash.account(index), asset=ASSET, balance=format_scaled(cash, 8))
        for index, cash in enumerate(held.wallet_cash.tolist())
    ]
    for begin in range(0, len(wallets), ROWS):
        rows = tuple(wallets[begin : begin + ROWS])
        yield SetBalances(time_ms=time_ms, version=1, balances=rows)
    positions = list(_positions(crash))
    for begin in range(0, len(positions), ROWS):
        held_rows = tuple(positions[begin : begin + ROWS])
        yield SetPositions(time_ms=time_ms, version=1, positions=held_rows)


def _definitions(crash: Crash) -> Iterator[Command]:
    """Yield pools with their funds, and contracts."""
    time_ms = BEGINS_MS
    for pool, kind in POOLS.items():
        yield DefinePool(
            time_ms=time_ms, pool=pool, kind=kind, asset=ASSET, rules=RULES, managed=True
        )
    for place, each in enumerate(crash.contracts):
        yield DefineContract(
            time_ms=time_ms,
            contract=each.name,
            kind=ContractKind.LINEAR,
            settle=ASSET,
            pool=crash.pool(place),
            tick_size=each.price(1),
            lot_size=each.quantity(1),
            margin_tiers=TIERS,
        )
    for pool, part_ppm in FUNDS_PPM.items():
        behind = [cash for place, cash in enumerate(crash.long_cash) if crash.pool(place) == pool]
        amount = format_scaled(sum(behind) * part_ppm // PPM + 100 * UNIT, 8)
        yield FundPool(time_ms=time_ms, pool=pool, amount=amount, reason=FundingReason.SEED)


def _positions(crash: Crash) -> Iterator[PositionRow]:
    held = crash.held
    columns = (held.account, held.contract, held.lots, held.entry_ticks, held.margin_cash)
    for account, contract, lots, entry, margin in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        listing = crash.contracts[contract]
        yield PositionRow(
            account=crash.account(account),
            contract=listing.name,
            side=Side.LONG if lots > 0 else Side.SHORT,
            quantity=listing.quantity(lots),
            entry_price=listing.price(entry),
            isolated_margin=None if margin < 0 else format_scaled(margin, 8),
        )


def _batches(commands: Iterator[Command]) -> Iterator[list[Command]]:
    batch: list[Command] = []
    for command in commands:
        batch.append(command)
        if len(batch) == ROWS:
            yield batch
            batch = []
    yield batch


# --- second by second ---


def market(crash: Crash, second: int, generator: np.random.Generator) -> Iterator[Command]:
    """Yield the marks of a second, and the order books told in it."""
    time_ms = BEGINS_MS + 1000 * second
    marks = crash.path.marks[second].tolist()
    for place, each in enumerate(crash.contracts):
        if (second + place) % DEPTH_EVERY_S == 0:
            usd = crash.long_cash[place] * DEPTH_PPM / PPM / UNIT
            bids, asks = levels(marks[place], usd * crash.path.liquidity[second], generator)
            yield SetDepth(
                time_ms=time_ms,
                contract=each.name,
                bids=tuple((each.price(ticks), each.quantity(lots)) for ticks, lots in bids),
                asks=tuple((each.price(ticks), each.quantity(lots)) for ticks, lots in asks),
            )
    told = zip(crash.contracts, marks, strict=True)
    yield SetMarks(time_ms=time_ms, marks={each.name: each.price(mark) for each, mark in told})


def operator(book: Book, crash: Crash, second: int) -> Iterator[Command]:
    """Yield the money that the operator puts in after the marks have turned."""
    to_ppm = RESCUES.get(second - crash.path.recovers)
    if to_ppm is None:
        return
    time_ms = BEGINS_MS + 1000 * second
    for state in book.contracts.values():
        if "contract_drawdown" in state.active:
            yield from _injection(time_ms, state.pool, state.name, _missing(book, state, to_ppm))
    for pool in book.pools.values():
        missing = -pool_equity(book, pool)
        yield from _injection(time_ms, pool.name, None, missing + 1 if missing >= 0 else 0)


def _missing(book: Book, state: ContractState, to_ppm: int) -> int:
    """Return the Cash that brings a contract's drawdown to a part of its pool's peak balance."""
    states = trigger_states(book, state, rules_of(book, state))
    numbers = next(each.numbers for each in states if each.trigger == "contract_drawdown")
    drawdown = numbers["profit_peak_cash"] - numbers["profit_cash"]
    return drawdown - numbers["balance_peak_cash"] * to_ppm // PPM


def _injection(
    time_ms: int, pool: str, contract: str | None, amount_cash: int
) -> Iterator[FundPool]:
    if amount_cash > 0:
        yield FundPool(
            time_ms=time_ms,
            pool=pool,
            contract=contract,
            amount=format_scaled(amount_cash, 8),
            reason=FundingReason.INJECTION,
            note="after the crash",
        )
