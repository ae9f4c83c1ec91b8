"""Sessions of commands for the journal's tests: a crash written by hand, and random ones."""

import functools
import itertools

import msgspec
import numpy as np
from hypothesis import strategies as st

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.intake.column_packing import position_columns
from delever.core.messages import Side
from delever.journal.snapshot import encode_book

ACCOUNTS = ("ann", "bob", "cyd", "dan", "eve")
CONTRACTS = ("BTC", "ETH")


def opening(*, managed: bool = False) -> list[m.Command]:
    """Return the definitions: a linear and an inverse contract, three pools, five accounts."""
    return [
        m.DefineAsset(time_ms=0, asset="USDT", cash_decimals=6),
        pool("main", "USDT", "bybit", managed=managed),
        pool("side", "USDT", "bitmart", managed=managed),
        pool("coin", "ETH", "bitmex", managed=managed),
        contract("BTC", m.ContractKind.LINEAR, "USDT", "main"),
        contract("ETH", m.ContractKind.INVERSE, "ETH", "coin"),
        *(m.DefineAccount(time_ms=0, account=name, hedge_mode=name > "c") for name in ACCOUNTS),
    ]


def pool(name: str, asset: str, rules: str, *, managed: bool = False) -> m.DefinePool:
    return m.DefinePool(
        time_ms=0, pool=name, kind=m.PoolKind.SHARED, asset=asset, rules=rules, managed=managed
    )


def contract(name: str, kind: m.ContractKind, settle: str, pool: str) -> m.DefineContract:
    return m.DefineContract(
        time_ms=0,
        contract=name,
        kind=kind,
        settle=settle,
        pool=pool,
        tick_size="0.5",
        lot_size="0.01" if kind is m.ContractKind.LINEAR else 1,
        multiplier=1 if kind is m.ContractKind.LINEAR else 10,
    )


def position(account: str, side: Side, quantity: float, **more: object) -> m.PositionRow:
    row = m.PositionRow(
        account=account, contract="BTC", side=side, quantity=quantity, entry_price=100
    )
    return msgspec.structs.replace(row, **more)


def balances(time_ms: int, **amounts: int) -> m.SetBalances:
    rows = (
        m.BalanceRow(account=account, asset="USDT", balance=amount)
        for account, amount in amounts.items()
    )
    return m.SetBalances(time_ms=time_ms, version=time_ms, balances=tuple(rows))


def crash(*, managed: bool = False) -> list[m.Command]:
    """Return a session in which a pool takes over, falls, runs ADL, recovers and is refilled."""
    rows = (
        position("ann", Side.LONG, 30, leverage=20),
        position("bob", Side.SHORT, -10, leverage=50, open_orders=("o-1", "o-2")),
        position("cyd", Side.SHORT, -15, isolated_margin=200, leverage=10),
        position("dan", Side.SHORT, -5, position=1),
    )
    fund = m.FundPool(time_ms=1, pool="main", amount=100, reason=m.FundingReason.SEED)
    return [
        *opening(managed=managed),
        fund,
        balances(1, ann=40, bob=300, cyd=50, dan=500, eve=20),
        m.SetMarks(time_ms=1, marks={"BTC": 100}),
        m.SetPositions(time_ms=2, version=2, positions=rows),
        m.SetMarks(time_ms=3, marks={"BTC": 99}),
        m.Takeover(time_ms=4, account="ann"),
        m.Takeover(time_ms=5, account="nobody"),
        m.SetDepth(time_ms=5, contract="BTC", bids=((98, 3), ("97.5", 1)), asks=((101, 2),)),
        m.UnwindFill(time_ms=6, contract="BTC", side=Side.LONG, quantity=2, price="98.5"),
        *(m.SetMarks(time_ms=10 + fall, marks={"BTC": str(99 - fall)}) for fall in range(0, 12, 2)),
        m.SetTime(time_ms=9),
        m.CancelAdl(time_ms=30, fill=3, note="venue could not apply"),
        m.SetMarks(time_ms=31, marks={"BTC": 90}),
        balances(32, bob=400),
        msgspec.structs.replace(fund, time_ms=33, reason=m.FundingReason.INJECTION, contract="BTC"),
        m.MoveContract(time_ms=34, contract="BTC", pool="side", note="ejected"),
        m.SetMarks(time_ms=35, marks={"BTC": 105}),
        m.SetTime(time_ms=9 * 3_600_000),
    ]


def amended() -> list[m.Command]:
    """Return the session of a crash, whose contract and pool are amended in its middle."""
    session = crash()
    place = next(i for i, command in enumerate(session) if isinstance(command, m.UnwindFill))
    amendments: list[m.Command] = [
        m.AmendContract(time_ms=6, contract="BTC", note="finer", tick_size="0.1", lot_size="0.5"),
        m.AmendContract(
            time_ms=6, contract="BTC", note="odd", lot_size=3, odd_lots=m.OddLots.CLOSE_AT_MARK
        ),
        m.AmendPool(time_ms=6, pool="main", note="wider", max_slippage="0.1"),
    ]
    return [*session[: place + 1], *amendments, *session[place + 1 :]]


LARGE_CONTRACTS = ["BTC", "SOL", "XRP"]


@functools.cache
def large() -> bytes:
    """Three contracts of two rule sets, large enough to be divided among threads."""
    rng = np.random.default_rng(5)
    book, count = Book(), 50_000
    more = [contract(name, m.ContractKind.LINEAR, "USDT", "side") for name in LARGE_CONTRACTS[1:]]
    for command in (*opening(), *more):
        step(book, command)
    accounts = tuple(f"n{number:05d}" for number in range(count))
    step(book, m.DefineAccounts(time_ms=1, accounts=accounts))
    cash = rng.integers(1, 10**12, count)
    numbers = np.arange(5, 5 + count, dtype="<i4")
    command = m.SetBalanceColumns(
        time_ms=1, version=1, asset="USDT", account=numbers.tobytes(), balance_cash=cash.tobytes()
    )
    step(book, command)
    columns = {
        "account": np.tile(numbers, 3),
        "contract": np.repeat(np.arange(3), count),
        "side": rng.integers(0, 2, 3 * count),
        "lots": rng.integers(1, 9, 3 * count),
        "cost_cash": rng.integers(1, 10**6, 3 * count),
    }
    step(book, position_columns(time_ms=1, version=1, contracts=LARGE_CONTRACTS, columns=columns))
    step(book, m.SetMarks(time_ms=1, marks=dict.fromkeys(LARGE_CONTRACTS, 100)))
    return encode_book(book)


names = st.sampled_from([*ACCOUNTS * 8, "nobody"])
contracts = st.sampled_from(["BTC", "BTC", "BTC", *CONTRACTS * 4, "DOGE"])
pools = st.sampled_from(["main", "side", "coin", "none"])
sides = st.sampled_from(Side)
prices = st.integers(120, 280).map(lambda halves: f"{halves / 2}")
amounts = st.integers(-50, 1000) | st.sampled_from(["0.5", "-0.000001", "1e3", "", 10**30])

BUILDERS = {
    m.DefineAsset: {"asset": st.sampled_from(["USDT", "NEW"])},
    m.DefinePool: {
        "pool": st.sampled_from(["main", "spare"]),
        "kind": st.sampled_from(m.PoolKind),
        "asset": st.sampled_from(["USDT", "NEW", ""]),
        "rules": st.sampled_from(["bybit", "hyperliquid", "unknown"]),
        "limits": st.builds(m.TriggerLimits, trigger_threshold=amounts),
    },
    m.DefineAccount: {
        "account": names,
        "hedge_mode": st.booleans(),
        "adl_exempt": st.booleans(),
        "multi_asset": st.booleans(),
    },
    m.DefineCollateral: {
        "asset": st.sampled_from(["USDT", "ETH", "NEW"]),
        "margin_currency": st.sampled_from(["USDT", "USDT", ""]),
        "index_price": st.sampled_from([1, "3.25", "0.0000000001", 10**12]),
        "bid_buffer": st.sampled_from([0, "0.025"]),
        "tiers": st.sampled_from(["1", "0.333333", "2"]).map(
            lambda rate: (m.CollateralTier(rate=rate, quantity_from=0),)
        ),
        "conversion_haircut": st.sampled_from([0, "0.5"]),
        "cap": st.none() | st.integers(-1, 3),
    },
    m.SetIndexPrices: {
        "prices": st.dictionaries(
            st.sampled_from(["ETH", "NEW", "USDT"]), st.sampled_from([1, "7.5", 0]), max_size=2
        ),
        "strict": st.booleans(),
    },
    m.ConvertCollateral: {
        "pool": pools,
        "asset": st.sampled_from(["ETH", "NEW"]),
        "quantity": st.sampled_from(["0.000001", 1, -1]),
        "proceeds": amounts,
    },
    m.SetAccountMargin: {
        "version": st.integers(0, 9),
        "account": names,
        "asset": st.sampled_from(["USDT", "USDT", "ETH", "NEW"]),
        "equity": st.none() | amounts,
        "maintenance": st.none() | amounts,
    },
    m.SetBalances: {
        "version": st.integers(0, 9),
        "last_fill": st.sampled_from([0, 0, 0, 1]),
        "balances": st.lists(
            st.builds(
                m.BalanceRow,
                account=names,
                asset=st.sampled_from(["USDT", "USDT", "ETH", "NEW"]),
                balance=amounts,
            ),
            max_size=3,
        ).map(tuple),
    },
    m.SetPositions: {
        "version": st.integers(0, 9),
        "last_fill": st.sampled_from([0, 0, 0, 1]),
        "positions": st.lists(
            st.builds(
                m.PositionRow,
                account=names,
                contract=contracts,
                side=sides,
                quantity=st.integers(0, 40),
                entry_price=prices,
                isolated_margin=st.none() | st.integers(0, 200),
                leverage=st.integers(1, 100),
                position=st.integers(0, 1),
                open_orders=st.lists(st.text(max_size=3), max_size=2).map(tuple),
            ),
            min_size=1,
            max_size=6,
        ).map(tuple),
    },
    m.SetMarks: {
        "marks": st.dictionaries(contracts, prices | st.just("0.1"), max_size=2),
        "strict": st.booleans(),
    },
    m.SetDepth: {
        "contract": contracts,
        "bids": st.tuples(st.tuples(prices, st.integers(1, 9))),
        "asks": st.tuples(st.tuples(prices, st.integers(1, 9))),
    },
    m.Takeover: {"account": names, "contract": st.none() | contracts},
    m.UnwindFill: {
        "contract": contracts,
        "side": sides,
        "quantity": st.integers(0, 9),
        "price": prices,
    },
    m.FundPool: {
        "pool": pools,
        "amount": amounts,
        "reason": st.sampled_from(m.FundingReason),
        "contract": st.none() | contracts,
    },
    m.MoveContract: {"contract": contracts, "pool": pools, "note": st.text(max_size=5)},
    m.AmendContract: {
        "contract": contracts,
        "note": st.just("announced"),
        "tick_size": st.none() | st.sampled_from(["0.1", "0.5", 1, 3, "0.001"]),
        "lot_size": st.none() | st.sampled_from(["0.5", 1, 2, 7]),
        "adl_exempt": st.none() | st.booleans(),
        "odd_lots": st.sampled_from(m.OddLots),
    },
    m.AmendPool: {
        "pool": pools,
        "note": st.just("announced"),
        "rules": st.none() | st.sampled_from(["bybit", "binance", "drift", "unknown"]),
        "limits": st.none() | st.builds(m.TriggerLimits, trigger_threshold=amounts),
        "peak_window_ms": st.none() | st.sampled_from([0, 60_000, 8 * 3_600_000]),
    },
    m.DelistContract: {
        "contract": contracts,
        "note": st.just("delisted"),
        "status": st.sampled_from(m.TradingStatus),
        "fund_pays": st.booleans(),
    },
    m.SettleContract: {"contract": contracts, "note": st.just("settled"), "price": prices},
    m.CancelAdl: {"fill": st.integers(1, 9), "note": st.just("late")},
    m.PauseAdl: {"contract": contracts, "paused": st.booleans(), "note": st.just("halted")},
    m.Compensate: {
        "account": names,
        "contract": contracts,
        "fill": st.integers(1, 9),
        "amount": amounts,
        "note": st.just("owed"),
    },
    m.ConfirmMark: {"contract": contracts, "note": st.just("checked")},
    m.ForceAdl: {"contract": contracts, "note": st.just("at once")},
    m.RefreshRatings: {"contracts": st.lists(contracts, max_size=2).map(tuple)},
    m.RefreshIndicators: {},
    m.SetTime: {},
}


def timed(commands: list[m.Command], start_ms: int, pauses_ms: list[int]) -> list[m.Command]:
    """Return the commands with times, each one pause after the previous."""
    times_ms = itertools.accumulate(pauses_ms, initial=start_ms)
    return [
        msgspec.structs.replace(command, time_ms=time_ms)
        for command, time_ms in zip(commands, times_ms, strict=False)
    ]


any_command = st.one_of(
    *(st.builds(kind, time_ms=st.just(0), **fields) for kind, fields in BUILDERS.items())
)


@st.composite
def sessions(draw: st.DrawFn, size: int = 25) -> list[m.Command]:
    """Draw a session: a part of the crash, then commands of every kind, valid or not."""
    start = crash(managed=draw(st.booleans()))
    start = start[: draw(st.integers(len(opening()), len(start)))]
    later = draw(st.lists(any_command, min_size=5, max_size=size))
    pause_ms = st.sampled_from([0, 1, 60_000, 4 * 3_600_000, -1])
    pauses_ms = draw(st.lists(pause_ms, min_size=len(later), max_size=len(later)))
    return [*start, *timed(later, start[-1].time_ms, pauses_ms)]
