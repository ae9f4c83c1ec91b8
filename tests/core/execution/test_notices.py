"""The alarm of fund money that no contract can use."""

import pytest
from world import World

from delever.core import messages as m
from delever.core.messages import NoticeKind, Side


def after_an_expiry(*, rolled: bool) -> World:
    """Return the market of 2 April 2019: XBTH19 has expired, and shorts of XBTM19 are bankrupt.

    Each contract has a fund of its own; `rolled`: the money of the expired one was moved.
    """
    world = World("bitmex", asset="XBT")
    inverse = {"kind": m.ContractKind.INVERSE, "settle": "XBT", "tick_size": "0.5"}
    for name in ("XBTH19", "XBTM19"):
        world.pool(name, rules="bitmex", asset="XBT", kind=m.PoolKind.ISOLATED)
        world.contract(name, pool=name, **inverse)
    world.fund(300, pool="XBTH19", reason=m.FundingReason.SEED)
    if rolled:
        world.fund(-300, pool="XBTH19", reason=m.FundingReason.WITHDRAWAL)
        world.fund(300, pool="XBTM19", reason=m.FundingReason.SEED)
    world.mark(XBTH19=4100, XBTM19="4900")
    world.long("winner", "XBTM19", 1_000_000, at=4100, margin=1000)
    world.inventory("XBTM19", Side.SHORT, 1_000_000, 4900)
    world.mark(XBTM19="5079.5")
    return world


@pytest.mark.parametrize(("rolled", "closed"), [(False, 1_000_000), (True, 0)])
def test_money_of_an_expired_contract_is_an_alarm_while_others_are_deleveraged(
    *, rolled: bool, closed: int
) -> None:
    """CORE-31: the fund of 300 lies idle, and the loss of 7.2 XBT is the winner's."""
    world = after_an_expiry(rolled=rolled)
    alarms = [e for e in world.events(m.Notice) if e.kind is NoticeKind.FUND_UNALLOCATED]
    assert sum(world.filled().values()) == closed
    assert [(e.subject, e.contract, e.numbers) for e in alarms] == (
        [] if rolled else [("XBTH19", "XBTM19", {"balance_cash": 300 * 10**8})]
    )


def test_a_fund_with_positions_or_without_money_is_no_alarm() -> None:
    """CORE-31."""
    world = World("binance")
    world.pool("used", rules="binance")
    world.pool("empty", rules="binance")
    world.pool("other", rules="binance", asset="USDC")
    world.contract("X")
    world.contract("Y", pool="used")
    world.fund(5, pool="used")
    world.fund(5, pool="other")
    world.mark(X=90, Y=90)
    world.long("holder", "Y", 1, at=90, margin=10)
    world.inventory("X", Side.LONG, 1, 100)
    kinds = {event.kind for event in world.events(m.Notice)}
    assert NoticeKind.ADL_STARTED in kinds
    assert NoticeKind.FUND_UNALLOCATED not in kinds
