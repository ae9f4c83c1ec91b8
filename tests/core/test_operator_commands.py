"""Operator commands: paused rounds, and a forced round."""

from world import World

from delever.core import messages as m
from delever.core.messages import Side


def world_with_inventory() -> World:
    """Return a world whose pool has inventory and is not yet in ADL."""
    world = World(balance=1000)
    world.contract("BTC", tick_size="0.5", lot_size="0.01")
    world.mark(BTC=100)
    world.wallets(cyd=500, dan=500)
    world.short("cyd", "BTC", 3, at=120)
    world.short("dan", "BTC", 3, at=110)
    world.inventory("BTC", Side.LONG, 4, 100)
    return world


def test_paused_rounds_wait_until_resumed() -> None:
    world = world_with_inventory()
    world.submit(m.PauseAdl, contract="BTC", paused=True, note="feed is broken")
    assert world.events(m.AdlPaused) == [
        m.AdlPaused(contract="BTC", paused=True, note="feed is broken")
    ]
    world.fund(-1000, reason=m.FundingReason.WITHDRAWAL)
    assert world.events(m.AdlStarted), "triggers are read"
    assert [n.kind for n in world.events(m.Notice)] == [m.NoticeKind.ADL_STARTED]
    assert not world.events(m.RoundClosed)
    world.mark(BTC=89)
    assert not world.events(m.RoundClosed)
    world.submit(m.PauseAdl, contract="BTC", paused=False, note="feed is back")
    assert [(fill.account, fill.lots) for fill in world.events(m.AdlFilled)] == [
        ("cyd", 300),
        ("dan", 100),
    ]


def test_a_forced_round_runs_once_without_a_trigger() -> None:
    world = world_with_inventory()
    world.submit(m.ForceAdl, contract="BTC", note="delisted at noon")
    assert not world.events(m.AdlStarted)
    assert [e.note for e in world.events(m.AdlForced)] == ["delisted at noon"]
    (closed,) = world.events(m.RoundClosed)
    assert (closed.trigger, closed.price_rule) == ("pool_equity", "deficit_share")
    assert (closed.wanted_lots, closed.filled_lots) == (400, 400)
    assert {fill.price_ticks for fill in world.events(m.AdlFilled)} == {200}, (
        "equity is there: mark"
    )
    rejected = world.rejected(m.ForceAdl(time_ms=0, contract="BTC", note="again"))
    assert rejected.reason is m.Reason.NO_INVENTORY_TO_CLOSE


def test_a_forced_round_runs_in_a_paused_contract() -> None:
    world = world_with_inventory()
    world.submit(m.PauseAdl, contract="BTC", paused=True, note="halted")
    world.submit(m.ForceAdl, contract="BTC", note="this once")
    assert len(world.events(m.RoundClosed)) == 1
    assert world.state("BTC").paused


def test_inventory_left_by_a_forced_round_is_reported_and_not_tried_again() -> None:
    world = world_with_inventory()
    world.inventory("BTC", Side.LONG, 5, 100, account="gus")
    world.submit(m.ForceAdl, contract="BTC", note="at once")
    (left,) = world.events(m.AdlExhausted)
    assert left.remaining_lots == 300
    world.short("eve", "BTC", 3, at=100)
    assert not world.events(m.RoundClosed)
