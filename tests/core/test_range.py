"""What could leave int64 is refused; what has gone takes no room from what comes."""

from world import World

from delever.core import messages as m
from delever.core.messages import Reason, Side
from delever.core.units import LIMIT

BILLION = 10**9
"""Of USDT; 46 of them are the range, in units of 10^-8."""


def refused(world: World, command: type[m.Command], **fields: object) -> tuple[str, str]:
    event = world.refused(command(time_ms=world.time_ms, **fields))
    assert event.reason is Reason.EXCEEDS_NUMERIC_RANGE
    return event.field, event.value


def world_of(lots: int) -> World:
    """Return a world in which ann is long so many at 100, the mark."""
    world = World()
    world.contract("X")
    world.mark(X=100)
    world.long("ann", "X", lots, at=100)
    return world


def test_a_position_that_is_closed_makes_room_for_marks_and_positions() -> None:
    world = world_of(BILLION // 5)  # worth 20 billion, which cost as much
    assert refused(world, m.SetMarks, marks={"X": 200}) == ("marks", "USDT")
    world.long("ann", "X", 0)
    world.mark(X=200)
    assert world.book.assets["USDT"].bound < LIMIT
    again = world.row("ann", "X", Side.LONG, BILLION // 5, at=100)
    assert refused(world, m.SetPositions, version=9, positions=(again,)) == ("positions", "USDT")
    world.long("ann", "X", BILLION // 10, at=100)


def test_a_balance_that_has_left_makes_room_for_positions() -> None:
    world = world_of(0)
    world.wallets(bob=30 * BILLION)
    large = world.row("ann", "X", Side.LONG, BILLION // 5, at=100)
    assert refused(world, m.SetPositions, version=9, positions=(large,)) == ("positions", "USDT")
    world.wallets(bob=1)
    world.positions(large)
    assert world.book.assets["USDT"].bound > LIMIT  # of bob's balance, until the next mark
    richest = m.BalanceRow(account="bob", asset="USDT", balance=7 * BILLION)
    assert refused(world, m.SetBalances, version=9, balances=(richest,)) == ("balances", "USDT")
    world.mark(X=100)
    assert world.book.assets["USDT"].bound < LIMIT
