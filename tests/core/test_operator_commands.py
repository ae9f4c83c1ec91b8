"""Operator commands: paused rounds, a forced round, and a compensation."""

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


def compensated(amount: int) -> World:
    """Return the world after a forced round whose first fill, of cyd, is compensated."""
    world = world_with_inventory()
    world.submit(m.ForceAdl, contract="BTC", note="by mistake")
    world.submit(
        m.Compensate, account="cyd", contract="BTC", fill=1, amount=amount, note="best price"
    )
    return world


def test_a_compensation_goes_from_the_pool_to_the_account() -> None:
    """CORE-34: cyd has 500 and 60 of profit; position and inventory stay closed."""
    world = compensated(90)
    (paid,) = world.events(m.Compensated)
    assert (paid.compensation, paid.fill, paid.pool, paid.note) == (3, 1, "main", "best price")
    assert (world.wallet("cyd"), world.balance()) == ("650", "910")
    assert world.lots("cyd", "BTC", Side.SHORT) == 0
    (notice,) = world.events(m.Notice)
    assert (notice.kind, notice.account) == (m.NoticeKind.ACCOUNT_COMPENSATED, "cyd")
    assert notice.numbers == {"fill": 1, "amount_cash": 90 * 10**8}


def test_a_compensation_is_no_drawdown() -> None:
    """CORE-34: 900 of 1,000 are paid, and no trigger starts."""
    world = compensated(900)
    world.mark(BTC=100)
    pool = world.book.pools["main"]
    assert pool.equity_peak.peak(world.time_ms) == 100 * 10**8
    assert world.on("BTC") == ""


def test_balances_that_do_not_include_a_compensation_are_corrected() -> None:
    """CORE-34: balances of before the compensation keep it, later ones include it."""
    world = compensated(90)
    world.wallets(cyd=560, last_fill=2)
    assert world.wallet("cyd") == "650"
    world.wallets(cyd=650, last_fill=3)
    assert world.wallet("cyd") == "650"
    world.wallets(cyd=10, last_fill=3)
    assert world.wallet("cyd") == "10"
    assert world.book.outstanding.compensations == {}


def test_a_fill_that_the_venue_has_read_can_be_compensated() -> None:
    """CORE-34: `cancel_adl` cannot reverse it any more."""
    world = compensated(1)
    world.wallets(cyd=561, last_fill=3)
    world.positions(world.row("cyd", "BTC", Side.SHORT, 0, at=120), last_fill=3)
    rejected = world.rejected(m.CancelAdl(time_ms=0, fill=1, note="too late"))
    assert rejected.reason is m.Reason.FILL_NOT_OUTSTANDING
    world.submit(m.Compensate, account="cyd", contract="BTC", fill=1, amount=2, note="the rest")
    assert world.wallet("cyd") == "563"


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
