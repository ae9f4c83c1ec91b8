"""Commands whose result could leave int64 are rejected; closed positions free their room."""

import pytest
from world import World

from delever.core import messages as m
from delever.core.accounting.invariants import audit
from delever.core.engine import step
from delever.core.messages import Reason, Side
from delever.core.units import COLUMN_LIMIT, MAX_RATIO_PPM
from delever.journal.record import decode_events, encode_events
from delever.journal.snapshot import decode_book, encode_book
from table import Row, cases

BILLION = 10**9
"""In USDT; the numeric range is 46 billion USDT, in units of 10^-8."""


def rejected(world: World, command: type[m.Command], **fields: object) -> tuple[str, str]:
    event = world.rejected(command(time_ms=world.time_ms, **fields))
    assert event.reason is Reason.EXCEEDS_NUMERIC_RANGE
    return event.field, event.value


def world_of(lots: int) -> World:
    """Return a world with a long of ann at 100, the mark."""
    world = World()
    world.contract("X")
    world.mark(X=100)
    world.long("ann", "X", lots, at=100)
    return world


def test_a_closed_position_allows_larger_marks_and_positions() -> None:
    world = world_of(BILLION // 5)  # value and cost of 20 billion each
    assert rejected(world, m.SetMarks, strict=True, marks={"X": 200}) == ("marks", "USDT")
    world.long("ann", "X", 0)
    world.mark(X=200)
    assert world.book.assets["USDT"].equity_bound < COLUMN_LIMIT
    again = world.row("ann", "X", Side.LONG, BILLION // 5, at=100)
    assert rejected(world, m.SetPositions, strict=True, version=9, positions=(again,)) == (
        "positions",
        "USDT",
    )
    world.long("ann", "X", BILLION // 10, at=100)


def test_a_withdrawn_balance_allows_larger_positions() -> None:
    world = world_of(0)
    world.wallets(bob=30 * BILLION)
    large = world.row("ann", "X", Side.LONG, BILLION // 5, at=100)
    assert rejected(world, m.SetPositions, strict=True, version=9, positions=(large,)) == (
        "positions",
        "USDT",
    )
    world.wallets(bob=1)
    world.positions(large)
    assert world.book.assets["USDT"].equity_bound > COLUMN_LIMIT  # reset at the next mark
    richest = m.BalanceRow(account="bob", asset="USDT", balance=7 * BILLION)
    assert rejected(world, m.SetBalances, strict=True, version=9, balances=(richest,)) == (
        "balances",
        "USDT",
    )
    world.mark(X=100)
    assert world.book.assets["USDT"].equity_bound < COLUMN_LIMIT


def test_a_mark_at_which_one_lot_leaves_the_range_is_rejected() -> None:
    """Even without positions: ratings and depth compute the value of lots, too."""
    world = World()
    world.contract("X", lot_size=100, multiplier=59_000)
    marks = {"X": 10_000}  # a lot is worth 59 billion
    assert rejected(world, m.SetMarks, strict=True, marks=marks) == ("marks.X", "10000")
    world.mark(X=5_000)
    world.submit(m.RefreshRatings)


@pytest.mark.parametrize("row", cases("large_funds.txt"))
def test_a_fund_may_use_the_whole_range_of_int64(row: Row) -> None:
    world = World()
    if row["decimals"] != "8":
        world.submit(m.DefineAsset, asset="BIG", cash_decimals=int(row["decimals"]))
    world.pool("big", asset="BIG")
    results = []
    for amount in row["funded"].split("+"):
        fund = m.FundPool(time_ms=0, pool="big", amount=amount, reason=m.FundingReason.CORRECTION)
        event = step(world.book, fund)[0]
        results.append(str(event.reason) if isinstance(event, m.Rejected) else "accepted")
    audit(world.book)
    world.submit(m.SetTime)
    assert decode_events(encode_events(world.last_events)) == world.last_events
    assert decode_book(encode_book(world.book)).pools["big"].balance == int(row["balance_cash"])
    assert "+".join(results) == row["result"]


def test_a_fund_of_fifty_billion_pays_for_adl() -> None:
    """1,000 lots taken over at 100 and sold at 99: 1,000 of 92,203,504,694.99632 are paid."""
    world = World(balance="92203504694.99632")
    world.contract("X")
    world.mark(X=100)
    world.inventory("X", Side.LONG, 1_000, 100)
    world.mark(X=99)
    world.submit(m.RefreshRatings)
    world.unwind("X", Side.LONG, 1_000, 99)
    assert world.book.pools["main"].balance == 9_220_350_369_499_632_000
    assert encode_book(decode_book(encode_book(world.book))) == encode_book(world.book)


LARGE = BILLION // 5
"""20 billion at a price of 100; the inventory of three such positions exceeds the pool limit."""


def test_a_takeover_beyond_the_pool_limit_is_rejected() -> None:
    world = World()
    world.contract("X", tick_size=1)
    world.mark(X=100)
    for name in ("ann", "bob", "cyd"):
        world.long(name, "X", LARGE, at=100)
    world.takeover("ann")
    world.takeover("bob")
    assert rejected(world, m.Takeover, account="cyd") == ("account", "cyd")
    world.long("cyd", "X", 0)
    assert rejected(world, m.SetMarks, strict=True, marks={"X": 150}) == ("marks", "USDT")
    world.unwind("X", Side.LONG, LARGE, 100)
    world.mark(X=150)


def test_a_managed_takeover_beyond_the_pool_limit_is_postponed() -> None:
    world = World(managed=True)
    world.contract("X", tick_size=1)
    world.mark(X=100)
    names = ("ann", "bob", "cyd")
    for name in names:
        world.account(name)
    world.positions(*(world.row(name, "X", Side.LONG, LARGE, at=100) for name in names))
    assert [event.account for event in world.events(m.TakenOver)] == ["ann", "bob"]
    assert world.lots("cyd", "X", Side.LONG) == LARGE
    world.unwind("X", Side.LONG, LARGE, 100)
    assert [event.account for event in world.events(m.TakenOver)] == ["cyd"]


def test_a_ratio_to_the_last_units_of_a_pool_is_clamped() -> None:
    world = World("gmx")
    world.contract("X")
    world.fund("0.00000002", reason=m.FundingReason.SEED)
    world.mark(X=100)
    world.inventory("X", Side.LONG, 1_000_000, 100)
    world.mark(X=50)
    (started,) = world.events(m.AdlStarted)
    assert started.numbers["ratio_ppm"] == MAX_RATIO_PPM
    assert decode_events(encode_events(world.last_events)) == world.last_events


def closed_by_adl(world: World, lots: int) -> int:
    """Take over a long of bob at a loss and close a short of ann against it; return the fill."""
    world.positions(
        world.row("ann", "X", Side.SHORT, lots, at=100),
        world.row("bob", "X", Side.LONG, lots, at=100),
    )
    world.wallets(ann=1, bob=0)
    world.mark(X=99)
    world.takeover("bob")
    world.submit(m.ForceAdl, contract="X", note="test")
    return world.book.last_fill


def test_a_fill_is_not_cancelled_at_a_mark_beyond_its_range() -> None:
    """CORE-22: 100 million lots are worth 10 billion at 100, and 100 billion at 1,000."""
    world = World(balance=BILLION)
    world.contract("X", tick_size=1)
    world.mark(X=100)
    fill = closed_by_adl(world, LARGE // 2)
    assert world.lots("ann", "X", Side.SHORT) == 0
    world.mark(X=1_000)
    assert rejected(world, m.CancelAdl, fill=fill, note="halted") == ("fill", str(fill))
    world.mark(X=100)
    world.mark(X=100)  # the pool limit counts the previous mark, too
    world.submit(m.CancelAdl, fill=fill, note="halted")
    assert world.lots("ann", "X", Side.SHORT) == LARGE // 2


def test_a_managed_pool_takes_no_bid_at_which_its_inventory_leaves_the_range() -> None:
    """CORE-22: 200 million lots sold at 1,000 are 200 billion; a level is also limited alone."""
    world = World(balance=1, managed=True)
    world.contract("X", tick_size=1)
    world.mark(X=100)
    world.positions(world.row("ann", "X", Side.LONG, LARGE, at=100))
    assert world.events(m.TakenOver)
    bids, high = ((1_000, 1),), ((10**6, LARGE),)
    assert rejected(world, m.SetDepth, contract="X", bids=bids) == ("bids[0].price", "1000")
    assert rejected(world, m.SetDepth, contract="X", asks=high) == ("asks[0].price", str(10**6))
    world.submit(m.SetDepth, contract="X", bids=((120, LARGE),))
    assert world.book.pools["main"].balance == (20 * LARGE + 1) * 10**8


def test_a_contract_is_not_moved_into_a_pool_that_its_inventory_takes_out_of_range() -> None:
    """CORE-22: 20 billion of inventory at cost and at twice the mark, beside 50 billion of cash."""
    world = World()
    world.pool("managed", managed=True, max_slippage="1")
    world.fund(50 * BILLION, pool="managed", reason=m.FundingReason.SEED)
    world.contract("X", tick_size=1)
    world.mark(X=100)
    world.inventory("X", Side.LONG, LARGE, 100)
    move = {"contract": "X", "pool": "managed", "note": "listed"}
    assert rejected(world, m.MoveContract, **move) == ("pool", "managed")
    world.fund(-50 * BILLION, pool="managed", reason=m.FundingReason.WITHDRAWAL)
    world.submit(m.MoveContract, **move)


def test_an_unwinding_is_rejected_that_takes_a_fund_out_of_range() -> None:
    """CORE-22: the gain of 80 billion counts in the balance and in the contract's PnL."""
    world = World()
    world.contract("X", tick_size=1)
    world.mark(X=100)
    world.inventory("X", Side.LONG, LARGE, 100)
    world.fund(50 * BILLION, reason=m.FundingReason.SEED)
    sold = {"contract": "X", "side": Side.LONG, "quantity": LARGE}
    assert rejected(world, m.UnwindFill, **sold, price=300) == ("price", "300")
    world.submit(m.UnwindFill, **sold, price=101)


def test_totals_of_wallets_and_funds_are_integers_without_bound() -> None:
    """CORE-22: five wallets and five funds of 40 billion each survive a snapshot."""
    world = World()
    names = ("ann", "bob", "cyd", "dan", "eve")
    world.wallets(**dict.fromkeys(names, 40 * BILLION))
    for name in names:
        world.pool(name)
        world.fund(40 * BILLION, pool=name, reason=m.FundingReason.SEED)
    world.contract("X", tick_size=1)
    world.mark(X=100)
    world.long("ann", "X", 1, at=100, open_orders=("o1",))
    restored = decode_book(encode_book(world.book)).assets["USDT"]
    assert restored.wallets.total == restored.pool_balance == 200 * BILLION * 10**8
    assert encode_book(decode_book(encode_book(world.book))) == encode_book(world.book)
