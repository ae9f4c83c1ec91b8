"""Margin from the venue's own risk engine: what it replaces, what changes it, how it ends."""

import numpy as np
import pytest
from world import World

from delever.core import messages as m
from delever.core.kernels import compiled
from delever.core.messages import Amount, Reason, Side
from delever.core.risk.publication.cache import rank_contracts
from delever.core.rules import rule_set_of
from delever.core.rules.ranking import rank_side
from delever.core.valuation.bankruptcy import open_positions
from delever.core.valuation.side_valuation import value_side
from delever.journal.snapshot import decode_book, encode_book
from table import Row, cases

UNIT = 10**8


def open_world(rules: str = "bybit", **pool: object) -> World:
    """Return a world with ann and bob each 10 long of X at 100, wallet 1,000, and dan short."""
    world = World(rules, 10_000, **pool)
    for name in ("X", "Y"):
        world.contract(name, rate="0.01")
    world.wallets(ann=1000, bob=1000, dan=5000)
    for name in ("ann", "bob"):
        world.long(name, "X", 10, at=100)
    world.short("dan", "X", 20, at=100)
    world.mark(X=100, Y=100)
    return world


def submit(world: World, account: str, equity: Amount | None, maintenance: Amount | None) -> None:
    world.version += 1
    fields = {"account": account, "equity": equity, "maintenance": maintenance}
    world.submit(m.SetAccountMargin, asset="USDT", version=world.version, **fields)


def margin_of(world: World, account: str) -> tuple[int, int]:
    return world.book.asset("USDT").wallets.margin_of(world.book.accounts.index[account])


@pytest.mark.parametrize("row", cases("venue_margins.txt"))
def test_scores_triggers_and_takeover_prices_use_the_submitted_margin(row: Row) -> None:
    """CORE-39"""
    world = open_world(managed=row["managed"] == "yes")
    world.mark(X=row["mark"])
    if row["equity"]:
        submit(world, "ann", row["equity"], row["maintenance"])
    state = world.state("X")
    taken = [event for event in world.last_events if isinstance(event, m.TakenOver)]
    found = {"score": "", "bucket": "", "price": ""}
    if not taken:
        valuation = value_side(world.book, state, Side.LONG)
        queue = rank_side(valuation, rule_set_of(world.book, state).ranking)
        found["score"] = f"{queue.score.value[0]:.6f}"
        found["bucket"] = str(int(valuation.equity[0]) // UNIT)
        taken = [e for e in world.takeover("ann") if isinstance(e, m.TakenOver)]
    found["price"] = world.price(taken[0])
    found["taken"] = "engine" if taken[0].reason is Reason.EQUITY_BELOW_MAINTENANCE else "venue"
    assert row.expected == found
    assert (taken[0].equity_cash, taken[0].maintenance_cash) == (
        (int(row["equity"]) * UNIT, int(row["maintenance"]) * UNIT)
        if row["equity"]
        else (taken[0].equity_cash, taken[0].maintenance_cash)
    )
    assert margin_of(world, "ann")[1] == 0


def test_marks_balances_and_positions_leave_the_submitted_margin_as_it_is() -> None:
    world = open_world()
    submit(world, "ann", 400, 50)
    world.mark(X=90)
    world.wallets(ann=2000)
    world.long("ann", "Y", 1, at=100)
    assert margin_of(world, "ann") == (400 * UNIT, 50 * UNIT)
    assert margin_of(world, "bob") == (900 * UNIT, 9 * UNIT)


def test_a_newer_margin_replaces_it_an_older_one_is_ignored_and_null_ends_it() -> None:
    world = open_world()
    submit(world, "ann", 400, 50)
    old = m.SetAccountMargin(
        time_ms=0, version=0, account="ann", asset="USDT", equity=1, maintenance=1
    )
    ignored = world.run(old)[1]
    assert isinstance(ignored, m.RowIgnored)
    assert margin_of(world, "ann") == (400 * UNIT, 50 * UNIT)
    submit(world, "ann", -7, 0)
    assert margin_of(world, "ann") == (-7 * UNIT, 0)
    submit(world, "ann", None, None)
    assert margin_of(world, "ann") == (1000 * UNIT, 10 * UNIT)
    assert isinstance(world.run(old)[1], m.RowIgnored)


def test_an_adl_fill_changes_the_equity_by_its_loss_against_the_mark() -> None:
    """CORE-39: ann gives up 2 x 10 against the mark; a cancelled fill restores it."""
    world = open_world("bitmex")
    world.mark(X=120)
    submit(world, "ann", 700, 50)
    world.inventory("X", Side.SHORT, 2, 110)
    world.submit(m.ForceAdl, contract="X", note="")
    (fill,) = world.events(m.AdlFilled)
    assert fill.account == "ann"
    assert margin_of(world, "ann") == (680 * UNIT, 50 * UNIT)
    world.submit(m.CancelAdl, fill=fill.fill, note="")
    assert margin_of(world, "ann") == (700 * UNIT, 50 * UNIT)


def test_a_takeover_takes_its_share_by_the_margin_tiers_of_the_contracts() -> None:
    """CORE-39: 10 X and 30 Y share equity 400 as 1 to 3; closing X at 90 leaves 300."""
    world = open_world()
    world.long("ann", "Y", 30, at=100)
    submit(world, "ann", 400, 1)
    (taken,) = [e for e in world.takeover("ann", contract="X") if isinstance(e, m.TakenOver)]
    assert world.price(taken) == "90"
    assert margin_of(world, "ann") == (300 * UNIT, UNIT)
    world.takeover("ann")
    assert margin_of(world, "ann") == (0, 0)


def test_collateral_that_only_the_venue_counts_covers_a_negative_wallet() -> None:
    """CORE-39: equity 100 beyond an empty wallet; the fund neither pays nor gets it."""
    world = open_world()
    world.wallets(ann=-900)
    submit(world, "ann", 100, 10)
    events = world.takeover("ann")
    assert [event for event in events if isinstance(event, m.WalletSettled)] == []
    assert world.book.asset("USDT").wallets.balance[0] == -1000 * UNIT
    assert margin_of(world, "ann") == (0, 0)


@pytest.mark.parametrize("rules", ["bybit", "binance", "bitmex"])
def test_published_ranks_use_the_submitted_margin(
    rules: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CORE-39: by the compiled kernels as by the plain ones; ann has the least equity."""
    for kernels in (None, compiled):
        if kernels is not None:
            monkeypatch.setattr(
                "delever.core.risk.publication.ranking.kernels_for", lambda _size: compiled
            )
        world = open_world(rules)
        world.mark(X=120)
        ranks = []
        for equity in (None, 300, 5000):
            submit(world, "ann", equity, None if equity is None else 10)
            world.submit(m.RefreshIndicators)
            ranked = rank_contracts(world.book, [world.state("X")])["X"]
            ranks.append(ranked.sides[Side.LONG].rank.tolist())
        assert ranks == [[1, 2], [1, 2], [2, 1]]


def test_a_submitted_margin_survives_a_snapshot_and_a_copy() -> None:
    world = open_world()
    submit(world, "bob", 300, 20)
    submit(world, "ann", None, None)
    for book in (decode_book(encode_book(world.book)), world.book.copy()):
        margins = book.asset("USDT").wallets.margins
        assert margins.margin_of(1) == (300 * UNIT, 20 * UNIT)
        assert margins.version_of(0) == world.version
        assert encode_book(book) == encode_book(world.book)
    assert len(open_positions(world.book, 1)) == 1
    rows = world.book.asset("USDT").wallets.margin_rows()
    assert np.array_equal(rows[:, :3].sum(axis=1)[:2], np.array([1010, 320]) * UNIT)
