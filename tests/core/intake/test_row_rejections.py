"""Rows that cannot be taken: rejected alone, stale until a right row comes."""

import json

import numpy as np
import pytest
from world import World

from delever.core import messages as m
from delever.core.engine import step
from delever.core.intake.column_packing import position_columns
from delever.core.intake.row_rejections import fewest_too_large
from delever.core.kernels import compiled
from delever.core.market.validation import Rejection
from delever.core.messages import Reason, Side
from delever.core.rules import rule_set_of
from delever.core.rules.ranking import rank_side
from delever.core.valuation.side_valuation import value_side
from delever.core.valuation.stale_rows import is_incomplete
from delever.journal.snapshot import decode_book, encode_book
from table import Row, cases


def open_world(rules: str = "bybit", **pool: object) -> World:
    """Return a world with ann long and bob short 2 BTC, cross, both in profit or not at 110."""
    world = World(rules, 1000, **pool)
    for name in ("BTC", "ETH"):
        world.contract(name, lot_size="0.01", tick_size="0.5")
    world.wallets(ann=100, bob=100, cyd=100)
    world.long("ann", "BTC", 2, at=100)
    world.short("bob", "BTC", 2, at=100)
    world.mark(BTC=110, ETH=110)
    return world


def is_ranked(world: World, account: str, side: Side = Side.LONG) -> bool:
    state = world.state("BTC")
    ranking = rule_set_of(world.book, state).ranking
    queue = rank_side(value_side(world.book, state, side), ranking)
    row = state.tables[side].row_of(world.book.accounts.index[account], 0)
    assert (row in queue.ineligible.get(Reason.STALE_ROW, ())) == (queue.rank[row] == 0)
    return bool(queue.rank[row])


def incomplete(world: World) -> str:
    states = world.book.contracts.values()
    return "+".join(state.name for state in states if is_incomplete(world.book, state))


@pytest.mark.parametrize("row", cases("rejected_rows.txt"))
def test_a_bad_row_is_rejected_alone(row: Row) -> None:
    world, own = open_world(), json.loads(row["row"])
    if row["command"] == "set_positions":
        bad = {"account": "ann", "contract": "BTC", "side": "long", "entry_price": 100, **own}
        good = world.row("cyd", "BTC", Side.SHORT, 1, at=100)
        rows = {"positions": (m.PositionRow(**bad | {"side": Side.LONG}), good)}
        kind: type[m.Command] = m.SetPositions
    else:
        good_row = m.BalanceRow(account="cyd", asset="USDT", balance=77)
        rows = {"balances": (m.BalanceRow(**{"account": "ann", "asset": "USDT", **own}), good_row)}
        kind = m.SetBalances
    before = world.state("BTC").tables[Side.LONG].row_values(0)
    events = world.submit(kind, version=99, **rows)
    (rejected,) = [event for event in events if isinstance(event, m.RowRejected)]
    notices = [event.contract for event in events if isinstance(event, m.Notice)]
    assert row.expected == {
        "reason": rejected.reason,
        "stale": "no" if is_ranked(world, "ann") else "yes",
        "incomplete": incomplete(world),
        "notices": "+".join(notices),
    }
    assert (rejected.row, rejected.account) == (0, own.get("account", "ann"))
    assert world.state("BTC").tables[Side.LONG].row_values(0) == before
    if kind is m.SetPositions:
        assert world.state("BTC").tables[Side.SHORT].total_lots == 300
    else:
        assert world.book.asset("USDT").wallets.balance[2] == 77 * 10**8
    strict = kind(time_ms=0, version=100, strict=True, **rows)
    assert world.rejected(strict).reason == rejected.reason


def test_a_stale_row_is_announced_once_and_ends_with_a_right_row() -> None:
    """CORE-38: also in a copy of the book and in a snapshot of it."""
    world = open_world()
    kinds = []
    for quantity in ("1.001", "1.001", "3", "1.001"):
        events = world.positions(world.row("ann", "BTC", Side.LONG, quantity, at=100))
        kinds.append([event.kind for event in events if isinstance(event, m.Notice)])
        assert is_ranked(world, "ann") == (quantity == "3")
        restored = decode_book(encode_book(world.book))
        for book in (restored, world.book.copy()):
            assert book.contracts["BTC"].stale == world.state("BTC").stale
            assert book.has_stale_rows == (quantity != "3")
    assert kinds == [["row_rejected"], [], [], ["row_rejected"]]


def test_a_stale_balance_ends_with_a_right_one() -> None:
    """CORE-38: cross positions are stale with it, isolated ones are not."""
    world = open_world()
    world.short("cyd", "BTC", 1, at=100, margin=50)
    world.wallets(bob="0.000000001", cyd="0.000000001")
    assert [is_ranked(world, name, Side.SHORT) for name in ("bob", "cyd")] == [False, True]
    assert decode_book(encode_book(world.book)).asset("USDT").wallets.stale == {"bob", "cyd"}
    world.wallets(bob=100, cyd=100)
    assert is_ranked(world, "bob", Side.SHORT)
    assert not world.book.has_stale_rows


def test_a_row_of_the_other_side_ends_staleness_in_one_way_mode_only() -> None:
    for hedge_mode in (False, True):
        world = open_world()
        world.account("ann", hedge_mode=hedge_mode)
        world.long("ann", "BTC", "1.001", at=100)
        world.short("ann", "BTC", 1, at=100)
        assert (incomplete(world) == "BTC") == hedge_mode


@pytest.mark.parametrize("rules", ["bybit", "bybit+net_exposure", "binance"])
def test_published_ranks_leave_out_stale_rows(rules: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CORE-38: by the compiled kernels as by the plain ones."""
    found = []
    for kernels in (None, compiled):
        if kernels is not None:
            monkeypatch.setattr(
                "delever.core.risk.publication.ranking.kernels_for", lambda _size: compiled
            )
        world = open_world(rules)
        world.positions(*(world.row(f"c{n}", "BTC", Side.SHORT, 1, at=100) for n in range(5)))
        world.wallets(**{f"c{n}": 100 + n for n in range(5)})
        world.short("c2", "BTC", "1.001", at=100)
        world.wallets(c4="0.000000001")
        world.submit(m.RefreshIndicators)
        side = world.book.publication_cache["BTC"].sides[Side.SHORT]
        names = [world.book.accounts.names[account] for account in side.account.tolist()]
        found.append(dict(zip(names, side.rank.tolist(), strict=True)))
    assert found[0] == found[1]
    assert {name for name, rank in found[0].items() if rank == 0} == {"c2", "c4"}


def test_the_engine_takes_over_no_account_with_a_stale_row() -> None:
    """CORE-38: at 50 ann has no equity left; her bucket waits for the right row."""
    world = open_world(managed=True)
    world.long("ann", "ETH", "0.001", at=100)
    assert world.mark(BTC=50)[-1].__struct_config__.tag != "taken_over"
    assert world.state("BTC").inventory[Side.LONG].total_lots == 0
    refused = world.rejected(m.Takeover(time_ms=0, account="ann"))
    assert (refused.reason, refused.field) == (Reason.STALE_ROW, "account")
    world.long("ann", "ETH", 0)
    assert world.state("BTC").inventory[Side.LONG].total_lots == 200


def test_a_round_counts_stale_rows_as_ineligible() -> None:
    world = open_world()
    world.short("bob", "BTC", "1.001", at=100)
    world.inventory("BTC", Side.LONG, 1, 120)
    world.submit(m.ForceAdl, contract="BTC", note="")
    (closed,) = world.events(m.RoundClosed)
    assert closed.ineligible == {"stale_row": 1}
    assert closed.filled_lots == 0


def test_a_row_older_than_the_newest_snapshot_is_ignored_however_bad() -> None:
    world = open_world()
    row = world.row("ann", "BTC", Side.LONG, "1.001", at=100)
    events = world.submit(m.SetPositions, version=0, positions=(row,))
    assert [type(event) for event in events] == [m.Accepted, m.RowIgnored]
    assert not world.book.has_stale_rows


def test_rejected_rows_of_columns_are_expanded_one_by_one() -> None:
    world = open_world()
    columns = {
        "account": [0, 1, 2],
        "contract": [0, 1, 0],
        "side": [0, 0, 1],
        "lots": [100, 100, -5],
        "cost_cash": [10**10] * 3,
    }
    command = position_columns(
        time_ms=0,
        version=99,
        accounts=["ann", "bob", "nobody"],
        contracts=["BTC", "NONE"],
        columns=columns,
    )
    events = step(world.book, command)
    parts = [(p.account, p.contract, p.reason, p.value) for p in m.rejected_parts(events)]
    assert parts == [
        ("nobody", "BTC", "unknown_account", "nobody"),
        ("bob", "NONE", "unknown_contract", "1"),
    ]
    assert world.state("BTC").stale == {(Side.SHORT, "nobody", 0)}


def test_the_fewest_of_the_largest_rows_are_too_large() -> None:
    sizes = np.array([5.0, 1.0, 9.0, 5.0])

    def check(taken: np.ndarray) -> None:
        if sizes[taken].sum() > 6:
            raise Rejection("positions", "", Reason.EXCEEDS_NUMERIC_RANGE)

    assert fewest_too_large(sizes, check) == [0, 2]


def test_a_position_too_large_for_the_book_is_rejected_alone() -> None:
    """CORE-37: value and cost of ann's position are beyond int64; cyd's fits."""
    world = open_world()
    rows = [
        world.row(name, "BTC", Side.LONG, quantity, at=100)
        for name, quantity in (("ann", 230_000_000), ("cyd", 150_000_000))
    ]
    world.positions(*rows)
    (rejected,) = world.events(m.RowRejected)
    assert (rejected.account, rejected.reason) == ("ann", Reason.EXCEEDS_NUMERIC_RANGE)
    assert world.state("BTC").tables[Side.LONG].max_lots == 15_000_000_000
