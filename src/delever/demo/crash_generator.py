"""The commands of a synthetic crash: one seed, one crash.

Contracts behind four insurance funds under Bybit's rules, many accounts, and a crash: marks fall,
positions are liquidated, the funds take them over, order books are too thin to unwind, drawdown
triggers start ADL, an operator injects money, marks recover, and ADL stops.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.explain.explanation import trigger_states
from delever.core.messages import (
    Amount,
    BalanceRow,
    Command,
    ContractKind,
    DefineAccount,
    DefineContract,
    DefinePool,
    FundingReason,
    FundPool,
    MarginTier,
    PoolKind,
    PositionRow,
    SetBalances,
    SetDepth,
    SetMarks,
    SetPositions,
    Side,
)
from delever.core.rules import rule_set_of
from delever.core.units import PPM, format_scaled
from delever.core.valuation.insurance import pool_equity
from delever.demo.synthetic_market import (
    CASH_PER_LOT_TICK,
    UNIT,
    CrashPath,
    SyntheticContract,
    SyntheticPositions,
    draw_contracts,
    draw_depth,
    draw_path,
    draw_positions,
)

ASSET = "USDT"
START_MS = 1_760_130_000_000
RULES = "bybit"

POOLS = {
    "main": PoolKind.SHARED,
    "portfolio": PoolKind.PORTFOLIO,
    "new": PoolKind.NEW_LISTING,
    "alone": PoolKind.ISOLATED,
}

FUNDS_PPM = {"main": 3_000, "portfolio": 3_000, "new": 20_000, "alone": 30_000}
"""Assumed: opening balance of each fund, as a part of the notional of its contracts' longs."""

DEPTH_PPM = 12_000
"""Assumed: depth of a calm order book on each side, as a part of the longs' notional."""

DEPTH_INTERVAL_S = 5
"""Seconds between two updates of a contract's order book; a fifth of them is due each second."""

TIERS = (
    MarginTier(notional_from=0, maintenance_rate="0.01"),
    MarginTier(notional_from=1_000_000, maintenance_rate="0.02"),
)

ROWS_PER_COMMAND = 5_000

MIN_CONTRACTS, MIN_ACCOUNTS = 4, 100

INJECTIONS_PPM = {15: 270_000, 45: 240_000}
"""Seconds after the low -> the drawdown, as a part of the peak balance, left by an injection.

The first is above the stop of the trigger, so that ADL stays on; the second stops it.
"""


@dataclass(frozen=True, slots=True)
class Crash:
    """Everything that is drawn before the first command.

    `long_notional_cash` is that of the longs of each contract at its start price.
    """

    contracts: tuple[SyntheticContract, ...]
    positions: SyntheticPositions
    path: CrashPath
    long_notional_cash: tuple[int, ...]

    def pool(self, contract: int) -> str:
        """Return the pool of a contract, by its index."""
        last = len(self.contracts) - 1
        if contract == last:
            return "alone"
        if contract == last - 1 or (last >= 8 and contract == last - 2):
            return "new"
        return "portfolio" if contract % 5 == 1 else "main"

    def account(self, index: int) -> str:
        """Return the name of an account; the last one is the market maker."""
        last = len(self.positions.wallet_cash) - 1
        return "maker" if index == last else f"a{index:06}"


def draw_crash(seed: int, accounts: int, contracts: int) -> Crash:
    """Return the crash of a seed; raises ValueError for too small a market or a negative seed."""
    if seed < 0:
        raise ValueError(f"seed {seed}: must be at least 0")
    if accounts < MIN_ACCOUNTS:
        raise ValueError(f"accounts {accounts}: must be at least {MIN_ACCOUNTS}")
    if contracts < MIN_CONTRACTS:
        raise ValueError(f"contracts {contracts}: must be at least {MIN_CONTRACTS}")
    generator = np.random.default_rng(seed)
    listed = draw_contracts(generator, contracts)
    positions = draw_positions(generator, listed, accounts)
    path = draw_path(generator, listed)
    long_lots = np.zeros(contracts, np.int64)
    np.add.at(long_lots, positions.contract, np.maximum(positions.lots, 0))
    notionals = [
        lots * contract.start_ticks * CASH_PER_LOT_TICK
        for lots, contract in zip(long_lots.tolist(), listed, strict=True)
    ]
    return Crash(listed, positions, path, tuple(notionals))


def depth_generator(seed: int) -> np.random.Generator:
    """Return the random generator of the order books of a crash."""
    return np.random.default_rng([seed, 1])


# --- before the crash ---


def opening_commands(crash: Crash) -> Iterator[Command]:
    """Yield the commands that define the market, and set marks, balances and positions."""
    time_ms = START_MS
    for index in range(len(crash.positions.wallet_cash)):
        name = crash.account(index)
        yield DefineAccount(time_ms=time_ms, account=name, adl_exempt=name == "maker")
    yield from _definitions(crash)
    yield SetMarks(
        time_ms=time_ms,
        marks={contract.name: contract.price(contract.start_ticks) for contract in crash.contracts},
    )
    balances = [
        BalanceRow(account=crash.account(index), asset=ASSET, balance=format_scaled(cash, 8))
        for index, cash in enumerate(crash.positions.wallet_cash.tolist())
    ]
    for begin in range(0, len(balances), ROWS_PER_COMMAND):
        rows = tuple(balances[begin : begin + ROWS_PER_COMMAND])
        yield SetBalances(time_ms=time_ms, version=1, balances=rows)
    positions = list(_position_rows(crash))
    for begin in range(0, len(positions), ROWS_PER_COMMAND):
        position_rows = tuple(positions[begin : begin + ROWS_PER_COMMAND])
        yield SetPositions(time_ms=time_ms, version=1, positions=position_rows)


def _definitions(crash: Crash) -> Iterator[Command]:
    """Yield pools with their balances, and contracts."""
    time_ms = START_MS
    for pool, kind in POOLS.items():
        yield DefinePool(
            time_ms=time_ms, pool=pool, kind=kind, asset=ASSET, rules=RULES, managed=True
        )
    for index, contract in enumerate(crash.contracts):
        yield DefineContract(
            time_ms=time_ms,
            contract=contract.name,
            kind=ContractKind.LINEAR,
            settle=ASSET,
            pool=crash.pool(index),
            tick_size=contract.price(1),
            lot_size=contract.quantity(1),
            margin_tiers=TIERS,
        )
    for pool, part_ppm in FUNDS_PPM.items():
        notionals = enumerate(crash.long_notional_cash)
        notional = sum(cash for index, cash in notionals if crash.pool(index) == pool)
        amount = format_scaled(notional * part_ppm // PPM + 100 * UNIT, 8)
        yield FundPool(time_ms=time_ms, pool=pool, amount=amount, reason=FundingReason.SEED)


def _position_rows(crash: Crash) -> Iterator[PositionRow]:
    drawn = crash.positions
    columns = (drawn.account, drawn.contract, drawn.lots, drawn.entry_ticks, drawn.margin_cash)
    for account, index, lots, entry, margin in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        contract = crash.contracts[index]
        yield PositionRow(
            account=crash.account(account),
            contract=contract.name,
            side=Side.LONG if lots > 0 else Side.SHORT,
            quantity=contract.quantity(lots),
            entry_price=contract.price(entry),
            isolated_margin=None if margin < 0 else format_scaled(margin, 8),
        )


# --- second by second ---


def market_commands(crash: Crash, second: int, generator: np.random.Generator) -> Iterator[Command]:
    """Yield the order books that are due in a second, then its marks."""
    time_ms = START_MS + 1000 * second
    marks = crash.path.marks[second].tolist()
    for index, contract in enumerate(crash.contracts):
        if (second + index) % DEPTH_INTERVAL_S == 0:
            usd = crash.long_notional_cash[index] * DEPTH_PPM / PPM / UNIT
            liquidity = crash.path.liquidity[second]
            bids, asks = draw_depth(marks[index], usd * liquidity, generator)
            yield SetDepth(
                time_ms=time_ms,
                contract=contract.name,
                bids=tuple((contract.price(t), contract.quantity(lots)) for t, lots in bids),
                asks=tuple((contract.price(t), contract.quantity(lots)) for t, lots in asks),
            )
    prices: dict[str, Amount] = {
        contract.name: contract.price(mark)
        for contract, mark in zip(crash.contracts, marks, strict=True)
    }
    yield SetMarks(time_ms=time_ms, marks=prices)


def operator_commands(book: Book, crash: Crash, second: int) -> Iterator[Command]:
    """Yield the operator's injections that are due in a second after the low."""
    to_ppm = INJECTIONS_PPM.get(second - crash.path.recovery_second)
    if to_ppm is None:
        return
    time_ms = START_MS + 1000 * second
    for state in book.contracts.values():
        if "contract_drawdown" in state.active:
            amount_cash = _cash_to_drawdown(book, state, to_ppm)
            yield from _injection(time_ms, state.pool, state.name, amount_cash)
    for pool in book.pools.values():
        deficit = -pool_equity(book, pool)
        yield from _injection(time_ms, pool.name, None, deficit + 1 if deficit >= 0 else 0)


def _cash_to_drawdown(book: Book, state: ContractState, to_ppm: int) -> int:
    """Return the Cash that reduces a contract's drawdown to a part of its pool's peak balance."""
    states = trigger_states(book, state, rule_set_of(book, state))
    numbers = next(each.numbers for each in states if each.trigger == "contract_drawdown")
    drawdown = numbers["contract_pnl_peak_cash"] - numbers["contract_pnl_cash"]
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
