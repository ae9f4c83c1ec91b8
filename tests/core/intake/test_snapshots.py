"""Snapshots that come late, twice or without the latest fills; and cancelled fills."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World, cash, cash_text

from delever.core import messages as m
from delever.core.messages import Reason, Side
from table import Row, cases


@pytest.mark.parametrize("row", cases("versions.txt"))
def test_versions(row: Row) -> None:
    world = World("binance")
    world.contract("X")
    world.mark(X=100)
    world.version = 4
    world.wallets(ann=100)
    world.version = 4
    world.long("ann", "X", 100, at=100)
    world.account("bob")
    world.version = int(row["version"]) - 1
    if row["kind"] == "balances":
        world.wallets(ann=7, bob=7)
        now = {"ann": world.wallet("ann"), "bob": world.wallet("bob")}
    else:
        rows = [world.row(name, "X", Side.LONG, 7, at=100) for name in ("ann", "bob")]
        world.positions(*rows)
        now = {name: str(world.lots(name, "X", Side.LONG)) for name in ("ann", "bob")}
    ignored = world.events(m.RowIgnored)
    rows = [f"{e.account}:{e.version}<{e.known_version}" for e in ignored]
    assert {**now, "ignored": ",".join(rows)} == row.expected
    assert {event.reason for event in ignored} <= {Reason.STALE_VERSION}
    assert [event.row for event in ignored] == list(range(len(ignored)))


def deleveraged() -> World:
    """Return a world in which fill 1 has closed 4 of ann's 10 lots at 102."""
    world = World("binance")
    world.contract("X")
    world.mark(X=100)
    world.wallets(ann=100)
    world.short("ann", "X", 10, at=110)
    world.inventory("X", Side.LONG, 4, 102)
    assert (world.lots("ann", "X", Side.SHORT), world.wallet("ann")) == (6, "132")
    return world


@pytest.mark.parametrize("row", cases("outstanding.txt"))
def test_outstanding_fills(row: Row) -> None:
    world = deleveraged()
    for text in row["steps"].split(";"):
        word, _, value = text.partition(":")
        amount, _, fill = value.partition("@")
        if word == "pos":
            held = world.row("ann", "X", Side.SHORT, amount, at=110)
            world.positions(held, last_fill=int(fill))
        else:
            world.wallets(ann=amount, last_fill=int(fill))
    assert row.expected == {
        "lots": str(world.lots("ann", "X", Side.SHORT)),
        "wallet": world.wallet("ann"),
        "open": str(len(world.book.outstanding.fills)),
    }


@pytest.mark.parametrize("row", cases("large_fills.txt"))
def test_a_fill_larger_than_the_position_closes_what_is_there(row: Row) -> None:
    word, _, value = row["step"].partition(":")
    if word == "unwind":
        world = World("binance", balance=100)
        world.contract("X")
        world.mark(X=102)
        world.inventory("X", Side.LONG, 4, 102)
        events = world.unwind("X", Side.LONG, value, 101)
        lots = world.state("X").inventory[Side.LONG].total_lots
    else:
        world = deleveraged()
        amount, _, fill = value.partition("@")
        events = world.positions(
            world.row("ann", "X", Side.SHORT, amount, at=110), last_fill=int(fill)
        )
        lots = world.lots("ann", "X", Side.SHORT)
    kind = m.NoticeKind.FILL_EXCEEDS_POSITION
    found = [e for e in events if isinstance(e, m.Notice) and e.kind is kind]
    pairs = [(e.numbers["reported_lots"], e.numbers["position_lots"]) for e in found]
    notices = "+".join(f"{reported}:{position}" for reported, position in pairs)
    assert {"lots": str(lots), "notice": notices} == row.expected


def test_a_fill_does_not_apply_to_other_positions_and_assets() -> None:
    """CORE-18: a fill applies to its own contract, side and position, and to its settle asset."""
    world = deleveraged()
    world.contract("Y")
    world.pool("coin", asset="COIN")
    world.contract("Z", settle="COIN", pool="coin")
    world.mark(Y=100, Z=100)
    world.short("ann", "Y", 10, at=110)
    world.wallets(asset="COIN", ann=100)
    assert world.lots("ann", "Y", Side.SHORT) == 10
    assert world.wallet("ann", "COIN") == "100"
    world.short("bob", "X", 9, at=120, margin=900)
    assert world.lots("bob", "X", Side.SHORT) == 9


def position_of(world: World, account: str, side: Side) -> tuple[object, ...]:
    table = world.state("X").tables[side]
    row = table.find(world.book.accounts.index[account], 0)
    return () if row is None else (*table.row_values(row), int(table.unrealized_pnl[row]))


@given(
    st.integers(1, 50),
    st.integers(1, 60),
    st.integers(0, 10**12),
    st.integers(-(10**6), 10**9),
    st.booleans(),
    st.sampled_from(list(m.ContractKind)),
)
def test_a_cancelled_fill_leaves_no_trace(
    lots: int, wanted: int, margin: int, odd_cash: int, isolated: bool, kind: m.ContractKind
) -> None:
    """CORE-19: position, wallet, inventory and pool are as before, to the last unit."""
    world = World("binance")
    world.contract("X", kind=kind)
    world.mark(X=100)
    world.wallets(ann=10**6, bob=0)
    cost = cash_text(
        lots * (90 * 10**8 if kind is m.ContractKind.LINEAR else 10**6) + odd_cash // 7
    )
    more = {"margin": cash_text(10**12 + margin)} if isolated else {}
    world.long("ann", "X", lots, cost=cost, leverage="12.5", open_orders=("o",), **more)
    world.fund(10**9)
    world.inventory("X", Side.SHORT, wanted, 100)
    world.mark(X=101)
    before = position_of(world, "ann", Side.LONG)
    wallet, inventory = world.wallet("ann"), world.state("X").inventory[Side.SHORT]
    held = (inventory.total_lots, inventory.total_cost)
    world.fund(-(10**9), reason=m.FundingReason.WITHDRAWAL)
    assert sum(fill.lots for fill in world.events(m.AdlFilled)) == min(lots, wanted)
    world.fund(10**9)
    world.submit(m.CancelAdl, fill=1, note="the venue could not apply it")
    assert [event.fill.fill for event in world.events(m.FillCancelled)] == [1]
    assert position_of(world, "ann", Side.LONG) == before
    assert (world.wallet("ann"), world.balance()) == (wallet, str(10**9))
    assert (inventory.total_lots, inventory.total_cost) == held
    assert world.book.outstanding.fills == {}
    assert world.rejected(m.CancelAdl(time_ms=0, fill=1, note="")).value == "1"


def test_a_cancelled_fill_is_tried_again_while_adl_is_on() -> None:
    """CORE-19: the inventory is back and is closed again; the fill has a new number."""
    world = deleveraged()
    world.submit(m.CancelAdl, fill=1, note="the venue could not apply it")
    (fill,) = world.events(m.AdlFilled)
    assert (fill.fill, fill.account, fill.lots) == (2, "ann", 4)


def test_a_one_way_account_that_flips_has_only_the_new_side() -> None:
    """CORE-20: absolute positions replace each other; in hedge mode both sides stay."""
    world = World("binance", balance=1)
    world.contract("X")
    world.account("two", hedge_mode=True)
    for name in ("one", "two"):
        world.long(name, "X", 5, at=100)
        world.short(name, "X", 3, at=100)
    sides = {name: [world.lots(name, "X", side) for side in Side] for name in ("one", "two")}
    assert sides == {"one": [0, 3], "two": [5, 3]}


def test_quantities_may_have_the_sign_of_their_side() -> None:
    world = World("binance", balance=1)
    world.contract("X", lot_size="0.001")
    for number, (side, text) in enumerate(
        [(Side.SHORT, "-0.5"), (Side.SHORT, "0.500"), (Side.LONG, "+0.5"), (Side.LONG, "0.5")]
    ):
        world.positions(world.row(f"a{number}", "X", side, text, at=1))
        assert world.lots(f"a{number}", "X", side) == 500


def test_entry_cost_is_exact_or_from_a_price_of_any_precision() -> None:
    """CORE-20: the cost of an entry price of any precision is rounded to nearest."""
    world = World("binance", balance=1)
    world.contract("X")
    world.contract("I", kind=m.ContractKind.INVERSE)
    costs = {}
    for name, contract, side, entry in [
        ("a", "X", Side.LONG, {"at": "33.333333333333333333"}),
        ("b", "X", Side.SHORT, {"at": "33.333333335"}),
        ("c", "X", Side.SHORT, {"cost": "100.00000001"}),
        ("d", "I", Side.LONG, {"at": "7"}),
        ("e", "I", Side.SHORT, {"at": "7"}),
    ]:
        world.positions(world.row(name, contract, side, 3, **entry))
        table = world.state(contract).tables[side]
        row = table.find(world.book.accounts.index[name], 0)
        assert row is not None
        costs[name] = int(table.cost[row])
    assert costs == {
        "a": 10**10,
        "b": -10000000001,
        "c": -cash("100.00000001"),
        "d": -42857143,
        "e": 42857143,
    }
