"""A book restored from a snapshot is the same book, and goes on as the same book."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sessions import crash, opening, sessions

from delever.core.book import Book
from delever.core.book.account_tables import Accounts, Table, Wallets
from delever.core.book.contract_state import ContractState
from delever.core.book.inventory import Inventory
from delever.core.book.pool_state import AssetState, PoolState
from delever.core.book.position_table import PositionTable
from delever.core.engine import step
from delever.core.market.rolling_windows import RollingMean, RollingPeak, RollingVolatility
from delever.core.messages import Command, Event, Side
from delever.journal import snapshot
from delever.journal.snapshot import decode_book, encode_book

NOT_CHANGED = {"changed", "_changed", "_changed_lanes", "changed_at", "opened_or_closed"}
NOT_CHANGED |= {"changed_together"}
"""What has changed since the last hash (nothing, when a snapshot is made), and at which step."""

FOLLOWS = {
    Book: {"managed", "shown", "_engaged", "_fills_of"},
    Accounts: {"index", "any_exempt", "any_hedges", "_by_name", "_order", "_capacity"},
    Wallets: {"sequence", "rows", "_capacity"},
    PositionTable: {
        "index",
        "total_lots",
        "total_cost",
        "total_margin",
        "_capacity",
        "_columns",
        "_where",
    },
    AssetState: {"exposure"},
    ContractState: {"name", "number", "terms", "limits", "counted", "measured_exposure"}
    | {"key", "most_held"},
    PoolState: {"name", "asset", "limits", "max_slippage_ppm"},
    RollingPeak: set(),
    RollingMean: {"_closed_area"},
    RollingVolatility: set(),
}
"""Fields that a snapshot does not keep, because they follow from those that it keeps."""

KEPT = {
    Book: snapshot.KeptBook,
    Accounts: snapshot.KeptAccounts,
    Wallets: snapshot.KeptWallets,
    PositionTable: snapshot.KeptLane,
    AssetState: snapshot.KeptAsset,
    ContractState: snapshot.KeptContract,
    PoolState: snapshot.KeptPool,
    RollingPeak: snapshot.KeptPeak,
    RollingMean: snapshot.KeptMean,
    RollingVolatility: snapshot.KeptVolatility,
}


def run(book: Book, commands: list[Command]) -> list[tuple[tuple[Event, ...], bytes]]:
    """Return what each command causes: its events, and the bytes of what changed."""
    return [(step(book, command), book.take_changes()) for command in commands]


def fields_of(thing: object) -> set[str]:
    names = getattr(type(thing), "__slots__", None) or vars(thing)
    return {name.replace("_entries", "entries") for name in names}


def things_in(book: Book) -> Iterator[object]:
    """Yield one object of every class that a book is made of."""
    asset, state = next(iter(book.assets.values())), next(iter(book.contracts.values()))
    pool = next(iter(book.pools.values()))
    yield from (book, book.accounts, asset, asset.wallets, state, state.tables[Side.LONG], pool)
    yield from (pool.balance_peak, pool.equity_mean, state.marks)


def test_every_field_of_the_book_is_kept_or_follows() -> None:
    book = Book()
    run(book, opening())
    seen = set()
    for thing in things_in(book):
        kind = type(thing)
        columns = set(kind.COLUMNS) if isinstance(thing, Table) else set()
        kept = set(KEPT[kind].__struct_fields__) - {"columns"}
        assert fields_of(thing) - columns - NOT_CHANGED == kept | FOLLOWS[kind], kind
        seen.add(kind)
    assert seen == set(KEPT)


def test_an_inventory_is_its_parcels() -> None:
    assert set(Inventory.__slots__) - NOT_CHANGED == {"tranches", "total_lots", "total_cost"}


@pytest.mark.parametrize("cut", range(len(crash())))
def test_a_restored_book_goes_on_as_the_first(cut: int) -> None:
    first = Book()
    run(first, crash()[:cut])
    restored = decode_book(encode_book(first))
    assert run(restored, crash()[cut:]) == run(first, crash()[cut:])
    assert encode_book(restored) == encode_book(first)


@given(sessions(), st.integers(0))
def test_any_book_can_be_restored_anywhere(session: list[Command], place: int) -> None:
    cut = place % len(session)
    first = Book()
    run(first, session[:cut])
    restored = decode_book(encode_book(first))
    assert run(restored, session[cut:]) == run(first, session[cut:])
    assert encode_book(restored) == encode_book(first)


def test_what_is_no_longer_held_but_bounds_what_may_come_is_restored() -> None:
    book = Book()
    run(book, crash())
    table, wallets = book.contracts["BTC"].tables[Side.LONG], book.assets["USDT"].wallets
    assert table.size == 0
    assert table.largest_lots > 0
    restored = decode_book(encode_book(book))
    restored_lane = restored.contracts["BTC"].tables[Side.LONG]
    assert restored_lane.largest_lots == table.largest_lots
    assert restored_lane.largest_cost == table.largest_cost
    assert restored_lane.labels == table.labels == {0}
    assert restored.assets["USDT"].wallets.largest == wallets.largest


def test_a_peak_that_was_asked_and_one_that_was_not_give_the_same_bytes() -> None:
    asked, not_asked = Book(), Book()
    for book in (asked, not_asked):
        run(book, opening())
        peak = book.pools["main"].balance_peak
        peak.observe(1, 500)
        peak.observe(2, 100)
        book.time_ms = 2 + 24 * 3_600_000
    asked_peak = asked.pools["main"].balance_peak
    asked_peak.peak(asked.time_ms)
    assert asked_peak.entries() != not_asked.pools["main"].balance_peak.entries()
    assert encode_book(asked) == encode_book(not_asked)
