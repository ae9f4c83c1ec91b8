"""Outcomes of a round: exhausted queues, partial fills, cancelled orders, skips and notices."""

import pytest
from world import World, cash_text

from delever.core import messages as m
from delever.core.messages import NoticeKind, Reason, Side
from table import Row, cases, grouped_cases


@pytest.mark.parametrize("row", cases("order_cancels.txt"))
def test_orders_to_cancel(row: Row) -> None:
    world = World(row["rules"])
    for name in ("X", "Y"):
        world.contract(name)
    world.mark(X=90, Y=90)
    world.short("ann", "X", 5, at=100, margin=100, open_orders=("x1", "x2"))
    world.short("ann", "Y", 5, at=100, margin=100, open_orders=("y1",))
    world.short("bob", "X", 1, at=100, margin=900, open_orders=("z1",))
    world.inventory("X", Side.LONG, 5, 100)
    (fill,) = world.events(m.AdlFilled)
    assert fill.account == "ann"
    cancelled = ",".join(fill.cancel_orders)
    assert row.expected == {"cancelled": cancelled, "fee": cash_text(fill.fee_cash)}


@pytest.mark.parametrize("rows", grouped_cases("ineligible.txt", by="case"))
def test_no_counterparty_is_eligible(rows: list[Row]) -> None:
    first = rows[0]
    world = World(first["rules"])
    world.contract("X", adl_exempt=first["flag"] == "contract")
    world.mark(X=90)
    for row in [row for row in rows if row["account"]]:
        world.account(row["account"], adl_exempt=row["flag"] == "account")
        going = row["flag"] == "liquidation"
        margin = row["margin"]
        world.short(row["account"], "X", 9, at=row["entry"], margin=margin, under_liquidation=going)
    world.inventory("X", Side.LONG, 5, 100)
    (closed,) = world.events(m.RoundClosed)
    (exhausted,) = world.events(m.AdlExhausted)
    assert (closed.wanted_lots, closed.filled_lots, closed.counterparties) == (5, 0, 0)
    counted = len([row for row in rows if row["account"]])
    for row in rows:
        assert row.expected == {
            "counted": "".join(closed.ineligible),
            "left": str(exhausted.remaining_lots),
            "why": exhausted.reason,
        }
    assert sum(closed.ineligible.values()) == counted


def test_an_exhausted_queue_is_reported_once_and_tried_again() -> None:
    """CORE-08: reported once while nothing changes; a new counterparty is used at the next step."""
    world = World("bybit")
    world.contract("X")
    world.mark(X=99)
    world.inventory("X", Side.LONG, 10, 100)
    assert [e.remaining_lots for e in world.events(m.AdlExhausted)] == [10]
    for price in (99, 98, 98):
        world.mark(X=price)
        assert not world.events(m.AdlExhausted) + world.events(m.RoundClosed)
    world.short("ann", "X", 4, at=110, margin=100)
    assert world.filled() == {"ann": 4}
    assert [e.remaining_lots for e in world.events(m.AdlExhausted)] == [6]
    world.mark(X=97)
    assert not world.events(m.AdlExhausted)
    world.short("bob", "X", 9, at=110, margin=100)
    assert (world.filled(), world.events(m.AdlExhausted)) == ({"bob": 6}, [])
    assert world.state("X").exhausted == {}


def test_an_exhausted_queue_is_reported_again_with_more_inventory() -> None:
    """CORE-08: reported again because the quantity has changed."""
    world = World("bybit")
    world.contract("X")
    world.mark(X=99)
    world.inventory("X", Side.LONG, 10, 100)
    world.inventory("X", Side.LONG, 5, 100, account="second")
    (exhausted,) = world.events(m.AdlExhausted)
    assert (exhausted.remaining_lots, exhausted.reason) == (15, Reason.NO_OPEN_POSITIONS)
    notices = [n.numbers for n in world.events(m.Notice) if n.kind is NoticeKind.ADL_EXHAUSTED]
    assert notices == [{"remaining_lots": 15}]


def test_a_round_that_closed_nothing_is_not_run_again_until_something_changes() -> None:
    """CORE-08: commands that change nothing cost no walk over the inventory."""
    world = World("binance")
    world.contract("X")
    world.contract("Y")
    world.mark(X=99, Y=1)
    for number in range(20):
        world.inventory("X", Side.LONG, 1, 100, account=f"a{number}")
    world.wait(1)
    key = world.book.idle_rounds["X", Side.LONG]
    world.wait(1)
    world.account("ann")
    keys = [world.book.idle_rounds["X", Side.LONG]]
    world.mark(Y=2)
    keys.append(world.book.idle_rounds["X", Side.LONG])
    assert keys[0] is not key, "an account was defined"
    world.wait(1)
    assert world.book.idle_rounds["X", Side.LONG] is keys[1]
    world.short("ann", "X", 4, at=110, margin=100)
    assert world.filled() == {"ann": 4}
    assert world.book.copy().idle_rounds == {}


def test_one_counterparty_is_closed_against_several_takeovers_in_order() -> None:
    """CORE-04: the lower equity / maintenance (-4, -2) goes first, each at its own price."""
    world = World("binance")
    world.contract("X")
    world.mark(X=100)
    world.inventory("X", Side.LONG, 3, 101, account="first")
    world.inventory("X", Side.LONG, 4, 102, account="second")
    world.short("ann", "X", 5, at=130, margin=100)
    world.short("bob", "X", 9, at=120, margin=100)
    fills = [(f.account, f.liquidated_account, f.lots, world.price(f)) for f in _all_fills(world)]
    assert fills == [("ann", "second", 4, "102"), ("ann", "first", 1, "101")]
    world.mark(X=100)
    assert world.lots("bob", "X", Side.SHORT) == 7


def _all_fills(world: World) -> list[m.AdlFilled]:
    return [fill for fill in world.book.outstanding.fills.values() if fill.account == "ann"]


def test_inventory_of_each_side_is_closed_against_the_other_side() -> None:
    """BIN-01: longs are closed with shorts, and shorts with longs; never the same side."""
    world = World("binance")
    world.contract("X")
    world.mark(X=100)
    world.long("ann", "X", 7, at=90, margin=100)
    world.short("bob", "X", 8, at=110, margin=100)
    world.inventory("X", Side.LONG, 2, 101, account="one")
    assert world.filled() == {"bob": 2}
    world.inventory("X", Side.SHORT, 3, 99, account="two")
    assert world.filled() == {"ann": 3}


def test_a_partial_fill_divides_cost_and_margin_to_the_last_unit() -> None:
    """CORE-04: a fill's part is rounded down, the rest stays, and nothing is lost."""
    world = World("binance")
    world.contract("X")
    world.mark(X=99)
    world.short("ann", "X", 7, cost="700.00000001", margin="100.00000003")
    world.inventory("X", Side.LONG, 3, 100)
    (fill,) = world.events(m.AdlFilled)
    table = world.state("X").tables[Side.SHORT]
    assert (fill.cost_cash, fill.margin_returned_cash) == (-30000000001, 4285714287)
    assert fill.cost_cash + table.total_cost == -70000000001
    assert fill.margin_returned_cash + table.total_margin == 10000000003
    assert world.wallet("ann") == cash_text(fill.realized_pnl_cash + fill.margin_returned_cash)


def test_unknown_or_empty_depth_absorbs_nothing() -> None:
    """BMT-03: without depth nothing is unwound, and ADL starts after its waiting time."""
    world = World("bitmart", balance=1_000_000, managed=True)
    world.contract("X")
    world.mark(X=100)
    world.long("bust", "X", 10, at=100, margin=0)
    assert world.events(m.TakenOver)[0].reason is Reason.EQUITY_BELOW_MAINTENANCE
    assert (world.events(m.Unwound), world.state("X").inventory[Side.LONG].total_lots) == ([], 10)
    world.submit(m.SetDepth, contract="X")
    assert not world.events(m.DepthSufficiencySet)[0].sufficient
    world.wait(60_000)
    assert world.on("X") == "illiquidity"
    assert world.state("X").inventory[Side.LONG].total_lots == 10


def test_depth_absorbs_best_first_and_within_the_slippage() -> None:
    """CORE-16: a managed pool unwinds into depth no further from the mark than allowed."""
    world = World("bybit", balance=1_000_000, managed=True)
    world.contract("X")
    world.mark(X=100)
    world.long("bust", "X", 10, at=100, margin=0)
    world.submit(m.SetDepth, contract="X", bids=((99, 4), ("97.5", 4), ("97.49", 9)))
    assert [(u.lots, world.price(u)) for u in world.events(m.Unwound)] == [(4, "99"), (4, "97.5")]
    assert world.state("X").bids == ((9749, 9),)
    assert world.balance() == "999986"
    world.mark(X="99.9")
    assert [(u.lots, world.price(u)) for u in world.events(m.Unwound)] == [(2, "97.49")]
    assert world.state("X").bids == ((9749, 7),)


@pytest.mark.parametrize(("mark", "taken"), [("90.46", 0), ("90.45", 10)])
@pytest.mark.parametrize("margin", [{"margin": 100}, {}])
def test_a_managed_pool_takes_over_at_maintenance_and_not_above(
    mark: str, taken: int, margin: dict[str, int]
) -> None:
    """CORE-16: equity 4.5225 at 90.45 is maintenance exactly (0.5 % of 904.5)."""
    world = World("bybit", balance=1000, managed=True)
    world.contract("X")
    world.mark(X=100)
    world.wallets(ann="100.0225")
    if margin:
        world.wallets(ann=0)
        margin = {"margin": "100.0225"}
    world.long("ann", "X", 10, at=100, **margin)
    world.mark(X=mark)
    assert sum(event.lots for event in world.events(m.TakenOver)) == taken
    assert [world.price(event) for event in world.events(m.TakenOver)] == ["90"] * bool(taken)


def test_a_pool_without_contracts_only_has_a_balance() -> None:
    world = World(balance=500)
    world.fund(-500, reason=m.FundingReason.WITHDRAWAL)
    assert [type(event) for event in world.last_events] == [
        m.Accepted,
        m.PoolFunded,
        m.PoolObserved,
    ]
    world.wait(10**9)
    assert world.balance() == "0"


def test_an_account_gets_one_notice_for_all_its_fills() -> None:
    world = World("binance")
    world.contract("X")
    world.mark(X=100)
    world.short("ann", "X", 5, at=130, margin=100, open_orders=("x1",))
    world.inventory("X", Side.LONG, 3, 101, account="first")
    (notice,) = [n for n in world.events(m.Notice) if n.account]
    (fill,) = world.events(m.AdlFilled)
    assert notice == m.Notice(
        kind=NoticeKind.POSITION_DELEVERAGED,
        subject="bankruptcy_price",
        account="ann",
        contract="X",
        numbers={
            "first_fill": 1,
            "last_fill": 1,
            "lots": 3,
            "value_cash": 303 * 10**8,
            "realized_pnl_cash": fill.realized_pnl_cash,
            "rank": 1,
            "orders_to_cancel": 1,
        },
    )


def test_only_skips_that_moved_a_counterparty_forward_are_reported() -> None:
    """CORE-07: ann, at -0.5 after a fill at 98, ranks behind the last fill."""
    world = World("binance")
    world.contract("X")
    world.mark(X=100)
    world.wallets(ann=1, cyd=-9)
    world.long("ann", "X", 1, at="99.5")
    world.long("bob", "X", 1, at=90, margin=5)
    world.long("cyd", "X", 1, at=90)
    world.inventory("X", Side.SHORT, 1, 98)
    assert world.filled() == {"bob": 1}
    (skip,) = world.events(m.CounterpartySkipped)
    assert (skip.account, skip.rank, skip.numbers) == ("cyd", 1, {"equity_after_cash": -(10**8)})
    world.inventory("X", Side.SHORT, 1, 98, account="second")
    assert [(s.account, s.rank) for s in world.events(m.CounterpartySkipped)] == [
        ("cyd", 1),
        ("ann", 2),
    ]
    assert world.events(m.AdlExhausted)[0].remaining_lots == 1
