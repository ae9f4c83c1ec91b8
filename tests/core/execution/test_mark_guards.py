"""Guards: nothing is done at a mark beyond its contract's limits until it is confirmed."""

from typing import Any

import pytest
from world import World

from delever.core import messages as m
from delever.core.messages import NoticeKind, Reason, Side
from delever.journal.snapshot import decode_book, encode_book
from table import Row, cases


@pytest.mark.parametrize("row", cases("mark_guards.txt"))
def test_a_mark_beyond_its_limits_waits_for_confirmation(row: Row) -> None:
    world = guarded(max_move=row["max_move"] or None)
    for price in row["marks"].split(","):
        world.mark(X=price)
    state = world.state("X")
    assert row.expected == {
        "unconfirmed": "yes" if state.mark_unconfirmed else "no",
        "before": str(state.confirmed_mark // 100),
        "taken": str(sum(state.inventory[side].total_lots for side in Side)),
    }


def guarded(**limits: Any) -> World:
    """Return a managed market at 100: a long at 100 with 9.55 of margin, and its counterparty."""
    world = World("binance", balance=1000, managed=True)
    world.contract("X", mark_limits=m.MarkLimits(**limits))
    world.mark(X=100)
    world.wallets(bust="9.55", winner=10_000)
    world.long("bust", "X", 1, at=100)
    world.short("winner", "X", 1, at=100)
    return world


def notices(world: World) -> list[tuple[str, str]]:
    return [(event.kind, event.subject) for event in world.events(m.Notice)]


def test_an_operator_confirms_a_mark_and_everything_resumes() -> None:
    """CORE-33: the long is taken over, and its loss is the fund's."""
    world = guarded(max_move="0.1")
    world.mark(X=80)
    alarm = (NoticeKind.MARK_UNCONFIRMED, Reason.MARK_MOVED_TOO_FAR)
    assert notices(world) == [alarm]
    world.mark(X=60)
    assert (notices(world), world.events(m.TakenOver)) == ([], [])
    world.submit(m.ConfirmMark, contract="X", note="the index is right")
    (confirmed,) = world.events(m.MarkConfirmed)
    assert (confirmed.mark_ticks, confirmed.note) == (6000, "the index is right")
    assert [event.account for event in world.events(m.TakenOver)] == ["bust"]
    assert (NoticeKind.MARK_CONFIRMED, "") in notices(world)


def test_a_mark_grows_too_old() -> None:
    """CORE-33: exactly 5 seconds are allowed; the next mark confirms the price."""
    world = guarded(max_age_ms=5_000)
    world.wait(5_000)
    assert notices(world) == []
    world.wait(1)
    assert notices(world) == [(NoticeKind.MARK_UNCONFIRMED, Reason.MARK_TOO_OLD)]
    world.mark(X=80)
    assert [event.account for event in world.events(m.TakenOver)] == ["bust"]


def test_a_confirmed_mark_is_new_again() -> None:
    """CORE-33: an operator's confirmation lasts as long as a mark."""
    world = guarded(max_age_ms=5_000)
    world.wait(5_001)
    world.submit(m.ConfirmMark, contract="X", note="the market is closed")
    world.wait(5_000)
    assert not world.state("X").mark_unconfirmed
    world.wait(1)
    assert world.state("X").mark_unconfirmed


def test_inventory_counts_at_the_last_confirmed_mark_and_adl_waits() -> None:
    """CORE-33: at 50 the fund would be empty, and ADL would start in both contracts."""
    world = World("binance", balance=10)
    world.contract("X", mark_limits=m.MarkLimits(max_move="0.1"))
    world.contract("Y")
    world.mark(X=100, Y=100)
    world.short("winner", "X", 1, at=100, margin=1000)
    world.short("other", "Y", 1, at=100, margin=1000)
    world.inventory("X", Side.LONG, 1, 100)
    world.inventory("Y", Side.LONG, 1, 101, account="small")
    world.mark(X=50)
    observed = world.book.pools["main"].observed
    assert observed is not None
    assert (observed.equity_cash, world.on("X"), world.on("Y")) == (9 * 10**8, "", "")
    world.submit(m.ConfirmMark, contract="X", note="real")
    assert world.filled() == {"winner": 1}


def test_a_cross_account_waits_for_a_mark_of_any_of_its_positions() -> None:
    """CORE-33: at 50 its equity would be -39; its position in Y is not taken over either."""
    world = World("binance", balance=1000, managed=True)
    world.contract("X", mark_limits=m.MarkLimits(max_move="0.1"))
    world.contract("Y")
    world.mark(X=100, Y=100)
    world.wallets(both=11)
    world.long("both", "X", 1, at=100)
    world.long("both", "Y", 1, at=100)
    world.mark(X=50)
    assert world.events(m.TakenOver) == []
    world.mark(X=51)
    assert [event.contract for event in world.events(m.TakenOver)] == ["X", "Y"]


def test_nothing_is_unwound_meanwhile() -> None:
    """CORE-33: the bid at the mark stays until the mark is confirmed."""
    world = guarded(max_move="0.1")
    world.mark(X="90.02")
    assert [event.lots for event in world.events(m.TakenOver)] == [1]
    world.mark(X=60)
    world.submit(m.SetDepth, contract="X", bids=(("60", 1),), asks=())
    assert world.events(m.Unwound) == []
    world.mark(X="60.5")
    assert [event.lots for event in world.events(m.Unwound)] == [1]


def test_a_settled_contract_has_no_mark_that_ages_even_if_restored_or_amended() -> None:
    world = guarded(max_age_ms=5_000)
    world.submit(m.DelistContract, contract="X", note="ends")
    world.submit(m.SettleContract, contract="X", price=100, note="ended")
    world.book = decode_book(encode_book(world.book))
    world.wait(60_000)
    assert notices(world) == []
    world.submit(m.AmendContract, contract="X", mark_limits=m.MarkLimits(max_age_ms=1), note="late")
    assert notices(world) == []
