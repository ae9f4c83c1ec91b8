"""Bankruptcy prices, the remainder of a takeover, and counterparties closed at such prices."""

from dataclasses import replace

import pytest
from world import World, cash_text

from delever.core import messages as m
from delever.core.messages import ContractKind, Side
from delever.core.rules import RULE_SETS
from table import Row, cases, grouped_cases


@pytest.mark.parametrize("rows", grouped_cases("bankruptcy.txt", by="account"))
def test_a_takeover_at_the_bankruptcy_price_leaves_nothing(
    rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under rules that net no opposite positions, so that both are taken over."""
    rules = replace(RULE_SETS["binance"], nets_hedged_legs=False)
    monkeypatch.setitem(RULE_SETS, "binance", rules)
    world, name = World("binance"), rows[0]["account"]
    world.account(name, hedge_mode=True)
    for row in rows:
        if row["contract"] not in world.book.contracts:
            kind, tick = ContractKind(row["kind"]), row["tick"]
            world.contract(
                row["contract"], kind=kind, tick_size=tick, lot_size="0.001", rate=row["rate"]
            )
            world.mark(**{row["contract"]: row["mark"]})
        side, margin = Side(row["side"]), row["margin"] or None
        position = world.row(
            name, row["contract"], side, row["quantity"], at=row["entry"], margin=margin
        )
        world.positions(position)
    world.wallets(**{name: rows[0]["wallet"] or 0})
    world.takeover(name)
    taken = {(e.contract, e.side): e for e in world.events(m.TakenOver)}
    assert {event.reason for event in taken.values()} == {m.Reason.VENUE_TAKEOVER}
    settled = sum(event.amount_cash for event in world.events(m.WalletSettled))
    for row in rows:
        assert row.expected == {
            "price": world.price(taken[row["contract"], Side(row["side"])]),
            "pool": cash_text(settled + sum(event.to_pool_cash for event in taken.values())),
            "left": world.wallet(name),
        }


@pytest.mark.parametrize("row", cases("fund_flow.txt"))
def test_the_pool_gets_the_difference_to_the_bankruptcy_price(row: Row) -> None:
    world, side = World("binance", balance=1000), Side(row["side"])
    world.contract("X", kind=ContractKind(row["kind"]))
    world.mark(X=row["bankruptcy"])
    position = world.row("bust", "X", side, row["quantity"], at=row["bankruptcy"], margin=0)
    world.positions(position)
    if row["how"] == "takeover":
        world.takeover("bust", contract="X", price=row["fill"])
    else:
        world.takeover("bust")
        world.unwind("X", side, row["quantity"], row["fill"])
        assert world.state("X").inventory[side].total_lots == 0
    assert cash_text(world.book.pools["main"].balance - 1000 * 10**8) == row["pool"]
    assert cash_text(world.state("X").realized_pnl) == row["pool"]


@pytest.mark.parametrize("rows", grouped_cases("offsets.txt", by="case"))
def test_a_counterparty_that_the_fill_would_bankrupt_is_skipped(rows: list[Row]) -> None:
    world, first = World("binance"), rows[0]
    side = Side(first["side"])
    world.contract("X")
    world.mark(X=first["mark"])
    for row in rows:
        world.account(row["account"], hedge_mode=True)
        world.wallets(**{row["account"]: row["wallet"]})
        margin = row["margin"] or None
        position = world.row(
            row["account"], "X", side, row["quantity"], at=row["entry"], margin=margin
        )
        world.positions(position)
    world.account("bust", hedge_mode=True)
    world.inventory("X", side.opposite, 1, first["price"])
    skipped = {skip.account: str(skip.reason) for skip in world.events(m.CounterpartySkipped)}
    (closed,) = [e for e in world.events(m.RoundClosed) if e.filled_lots]
    for row in rows:
        not_ranked = "".join(closed.ineligible) if row["reason"] in closed.ineligible else ""
        assert row.expected == {
            "closed": str(world.filled().get(row["account"], 0)),
            "reason": skipped.get(row["account"], not_ranked),
            "after": world.wallet(row["account"]),
        }


def test_a_cross_deficit_at_a_given_price_stays_until_the_last_position() -> None:
    """CORE-03: then the pool pays it."""
    world = World("binance", balance=1000)
    for name in ("X", "Y"):
        world.contract(name)
    world.mark(X=100, Y=100)
    world.wallets(ann=50)
    world.long("ann", "X", 10, at=100)
    world.long("ann", "Y", 10, at=100)
    world.takeover("ann", contract="X", price=92)
    assert (world.wallet("ann"), world.balance()) == ("-30", "1000")
    world.takeover("ann", contract="Y", price=93)
    assert (world.wallet("ann"), world.balance()) == ("0", "900")


def test_a_cross_surplus_at_a_given_price_stays_in_the_wallet() -> None:
    """CORE-03: the pool gets the surplus of isolated positions only."""
    world = World("binance", balance=1000)
    world.contract("X")
    world.mark(X=100)
    world.wallets(ann=50)
    world.long("ann", "X", 10, at=100)
    world.takeover("ann", contract="X", price=97)
    assert (world.wallet("ann"), world.balance()) == ("20", "1000")
