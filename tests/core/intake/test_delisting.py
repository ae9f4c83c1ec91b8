"""The end of a contract: close only, without the fund, settled at a price; sums are zero."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World, cash_text

from delever.core import messages as m
from delever.core.market.mark_table import COLUMN_THRESHOLD
from delever.core.messages import Reason, Side, TradingStatus
from delever.core.valuation.bankruptcy import open_positions
from delever.journal.snapshot import decode_book, encode_book
from table import Row, cases


def delist(world: World, **fields: Any) -> tuple[m.Event, ...]:
    return world.submit(m.DelistContract, contract="BTC", note="announced", **fields)


def settle(world: World, price: m.Amount) -> tuple[m.Event, ...]:
    return world.submit(m.SettleContract, contract="BTC", price=price, note="mean of the index")


@pytest.mark.parametrize("row", cases("settled.txt"))
def test_settled(row: Row) -> None:
    world = World(rules=row["rules"])
    world.contract("BTC", tick_size="0.5", rate=0)
    if row["fund"] != "0":
        world.fund(row["fund"], reason=m.FundingReason.SEED)
    world.mark(BTC=100)
    world.wallets(ann=row["ann"], cyd=row["cyd"])
    margin = {"margin": row["margin"]} if row["margin"] else {}
    world.long("ann", "BTC", 10, at=100, **margin)
    world.short("cyd", "BTC", 10, at=100)
    delist(world)
    delist(world, status=TradingStatus.SETTLING)
    settle(world, row["price"])
    shared = [sum(event.amount_cash) for event in world.events(m.SettlementLossShared)]
    unfunded = [event.unfunded_cash for event in world.events(m.SettlementLossShared)]
    assert row.expected == {
        "wallet_ann": world.wallet("ann"),
        "wallet_cyd": world.wallet("cyd"),
        "pool": world.balance(),
        "shared": cash_text(sum(shared)),
        "open": cash_text(sum(unfunded)),
    }
    state = world.state("BTC")
    assert (state.status, state.settlement_price) == (TradingStatus.SETTLED, row["price"])
    assert not any(table.size for table in state.tables.values())
    assert encode_book(decode_book(encode_book(world.book))) == encode_book(world.book)


@pytest.mark.parametrize("contracts", [1, COLUMN_THRESHOLD], ids=["one by one", "in columns"])
def test_a_mark_of_a_settled_contract_is_rejected_alone(contracts: int) -> None:
    """Nobody is noticed: the feed goes on, and nothing depends on its marks any more."""
    world = World()
    others = [f"C{number}" for number in range(contracts)]
    for name in ("BTC", *others):
        world.contract(name)
    world.mark(BTC=0)
    delist(world)
    settle(world, 100)
    assert not world.state("BTC").mark_rejected
    world.book = decode_book(encode_book(world.book))
    _, *events = world.mark(BTC=90, **dict.fromkeys(others, 50))
    assert [type(event) for event in events] == [m.MarkRejected, m.MarksSet]
    assert events[0].reason is Reason.CONTRACT_SETTLED
    assert not world.state("BTC").mark_rejected
    assert world.state("BTC").mark == 0
    assert {world.state(name).mark for name in others} == {5_000}
    strict = m.SetMarks(time_ms=0, marks={"BTC": 90}, strict=True)
    assert world.rejected(strict).reason is Reason.CONTRACT_SETTLED


def test_inventory_is_settled_and_adl_stops() -> None:
    world = World(rules="binance", balance=10)
    world.contract("BTC", tick_size=1)
    world.mark(BTC=100)
    world.inventory("BTC", Side.LONG, 20, 100)
    world.mark(BTC=90)
    assert world.on("BTC") == "pool_equity"
    settle(world, "95.25")
    (stopped,) = world.events(m.AdlStopped)
    (closed,) = world.events(m.InventoryClosed)
    assert (stopped.reason, cash_text(sum(closed.realized_pnl_cash))) == (
        Reason.CONTRACT_SETTLED,
        "-95",
    )
    assert (world.balance(), world.on("BTC")) == ("-85", "")
    world.wait(1)
    assert not world.events(m.AdlStarted)
    (observed,) = world.events(m.PoolObserved) or [world.book.pools["main"].observed]
    assert observed is not None
    assert observed.contracts == ()


def test_without_the_fund_adl_closes_what_is_taken_over_at_once() -> None:
    """Binance's last hour: the fund keeps its money, the counterparty gets the takeover price."""
    world = World(rules="binance", balance=10_000, managed=True)
    world.contract("BTC", tick_size=1)
    world.mark(BTC=100)
    world.wallets(ann=100, cyd=5_000)
    world.short("cyd", "BTC", 50, at=100)
    world.long("ann", "BTC", 50, at=100)
    world.submit(m.SetDepth, contract="BTC", bids=((97, 100),))
    delist(world, status=TradingStatus.SETTLING, fund_pays=False)
    world.mark(BTC=98)
    (taken,) = world.events(m.TakenOver)
    (fill,) = world.events(m.AdlFilled)
    assert (fill.account, fill.lots, fill.price_ticks) == ("cyd", 50, taken.price_ticks)
    assert not world.events(m.Unwound)
    assert (world.balance(), world.on("BTC")) == ("10000", "")


def test_without_the_fund_winners_pay_all_that_accounts_lack() -> None:
    world = World(rules="binance", balance=1_000)
    world.contract("BTC", tick_size=1, rate=0)
    world.mark(BTC=100)
    world.wallets(ann=40, cyd=500)
    world.long("ann", "BTC", 10, at=100)
    world.short("cyd", "BTC", 10, at=100)
    delist(world, fund_pays=False)
    settle(world, 90)
    assert (world.wallet("cyd"), world.balance()) == ("540", "1000")


def test_calling_a_delisting_off_gives_the_fund_its_part_back() -> None:
    world = World(rules="binance", balance=1_000)
    world.contract("BTC", tick_size=1)
    delist(world, fund_pays=False)
    delist(world, status=TradingStatus.TRADING, fund_pays=False)
    assert world.state("BTC").fund_pays
    world.long("ann", "BTC", 10, at=100)
    assert world.lots("ann", "BTC", Side.LONG) == 10


def grown(world: World, rows: dict[str, int], *, columns: bool) -> list[Reason]:
    """Submit long positions, as rows or as columns; return the reasons of the rejected rows."""
    names = tuple(rows)
    if not columns:
        positions = tuple(world.row(n, "BTC", Side.LONG, lots, at=100) for n, lots in rows.items())
        command: m.Command = m.SetPositions(
            time_ms=world.time_ms, version=99, last_fill=0, positions=positions
        )
    else:
        size = len(rows)
        command = m.SetPositionColumns(
            time_ms=world.time_ms,
            version=99,
            accounts=names,
            contracts=("BTC",),
            account=np.arange(size, dtype="<i4").tobytes(),
            contract=np.zeros(size, "<i4").tobytes(),
            side=bytes(size),
            lots=np.array(list(rows.values()), "<i8").tobytes(),
            cost_cash=np.array([max(n, 1) * 10**10 for n in rows.values()], "<i8").tobytes(),
        )
    rejected = m.RowRejected | m.RowsRejected
    return [event.reason for event in world.run(command) if isinstance(event, rejected)]


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ({"ann": 10, "cyd": 5}, []),
        ({"ann": 4, "cyd": 0}, []),
        ({"cyd": 1, "ann": 11}, [Reason.CLOSE_ONLY]),
        ({"eve": 1}, [Reason.CLOSE_ONLY]),
    ],
)
def test_positions_of_a_delisted_contract_only_shrink(
    rows: dict[str, int], reason: list[Reason], columns: bool
) -> None:
    world = World(rules="binance", balance=1_000)
    world.contract("BTC", tick_size=1)
    world.mark(BTC=100)
    world.wallets(ann=500, cyd=500, eve=500)
    world.positions(*(world.row(n, "BTC", Side.LONG, 10, at=100) for n in ("ann", "cyd")))
    delist(world)
    assert grown(world, rows, columns=columns) == reason
    assert world.lots("ann", "BTC", Side.LONG) in {4, 10}
    assert world.lots("cyd", "BTC", Side.LONG) == rows.get("cyd", 10)
    world.submit(m.SettleContract, contract="BTC", price=100, note="")
    assert grown(world, {"ann": 1}, columns=columns) == [Reason.CONTRACT_SETTLED]
    assert grown(world, {"ann": 0, "eve": 0}, columns=columns) == []


def test_a_fill_that_a_snapshot_lacks_is_no_growth() -> None:
    world = World(rules="binance", balance=0)
    world.contract("BTC", tick_size=1)
    world.mark(BTC=100)
    world.wallets(cyd=5_000)
    world.short("cyd", "BTC", 50, at=100)
    world.inventory("BTC", Side.LONG, 20, 100)
    world.mark(BTC=99)
    assert world.filled() == {"cyd": 20}
    delist(world)
    world.positions(world.row("cyd", "BTC", Side.SHORT, 50, at=100), last_fill=0)
    assert world.lots("cyd", "BTC", Side.SHORT) == 30


@given(
    st.sampled_from(m.ContractKind),
    st.lists(st.tuples(st.integers(1, 999), st.integers(50, 200), st.integers(0, 900)), min_size=1),
    st.integers(1, 999_999),
)
def test_sums_are_zero_at_any_price(
    kind: m.ContractKind, pairs: list[tuple[int, int, int]], thousandths: int
) -> None:
    """Each pair is long and short the same quantity at the same price."""
    settle_asset = "USDT" if kind is m.ContractKind.LINEAR else "COIN"
    world = World(balance=1)
    world.pool("own", asset=settle_asset, rules="okx")
    world.contract("BTC", kind=kind, settle=settle_asset, pool="own", tick_size="0.1")
    world.mark(BTC=100)
    rows, balances = [], {}
    for number, (quantity, price, wallet) in enumerate(pairs):
        for side in Side:
            name = f"{side}{number}"
            rows.append(world.row(name, "BTC", side, quantity, cost=quantity * price))
            balances[name] = wallet
    world.wallets(asset=settle_asset, **balances)
    world.positions(*rows)
    wallets, pool = world.book.asset(settle_asset).wallets, world.book.pools["own"]
    before = wallets.total + pool.balance
    world.submit(
        m.SettleContract,
        contract="BTC",
        price=f"{Fraction(thousandths, 1) // 1000 + 1}.{thousandths % 1000:03d}",
        note="",
    )
    assert wallets.total + pool.balance == before
    assert (wallets.equity() >= 0).all()
    assert pool.balance == 0 or not world.events(m.SettlementLossShared)[0].unfunded_cash
    for account in range(world.book.accounts.size):
        assert not open_positions(world.book, account)
