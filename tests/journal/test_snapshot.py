"""A book restored from a snapshot equals the original, and continues as the original would."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sessions import crash, opening, sessions

from delever.core.book import Book
from delever.core.book.account_tables import Accounts, Table, VenueMargins, Wallets
from delever.core.book.contract_state import ContractState
from delever.core.book.outstanding import Outstanding
from delever.core.book.pool_state import AssetState, Inventory, PoolState
from delever.core.book.position_table import PositionTable
from delever.core.engine import step
from delever.core.market import mark_table
from delever.core.market.rolling_windows import RollingMean, RollingPeak, RollingVolatility
from delever.core.messages import Command, Event, Side
from delever.journal import snapshot
from delever.journal.snapshot import decode_book, encode_book

NOT_CHANGED = {"changed", "_changes", "changed_at", "layout_version"}
NOT_CHANGED |= {"changed_batches"}
"""Changes since the last hash, of which a snapshot has none, and the steps of those changes."""

DERIVED = {
    Book: {
        "has_managed_pools",
        "max_time_jump_ms",
        "superseded",
        "assumptions",
        "idle_rounds",
        "publication_cache",
        "registry",
        "revision",
        "marks",
        "_monitored",
        "_stale",
    },
    Outstanding: {"_fills_of"},
    Accounts: {"index", "any_exempt", "any_hedges", "any_multi_asset", "_capacity"}
    | {"_name_order"},
    VenueMargins: {"_capacity"},
    Wallets: {"sequence", "rows", "stale_changed", "_capacity"},
    PositionTable: {"index", "total_lots", "total_cost", "total_margin", "block", "number"},
    AssetState: {"collateral", "collateral_at", "exposure", "exposure_at_mark", "key"},
    ContractState: {"name", "definition_order", "terms", "limits", "is_observed", "exposure_bound"}
    | {"exposure_at_mark_bound", "key", "largest_holding", "mark_limits", "marks"},
    PoolState: {"name", "key", "asset", "limits", "max_slippage_ppm"},
    RollingPeak: set(),
    RollingMean: {"_closed_area"},
    RollingVolatility: set(),
}
"""Fields that a snapshot does not store, because they are derived from the stored ones."""

MARK_COLUMNS = {
    "mark": {"ticks", "fractions"},
    "previous_mark": {"previous_ticks", "previous_fractions"},
    "last_confirmed_mark": {"confirmed_ticks", "confirmed_fractions"},
    "mark_unconfirmed": {"is_unconfirmed"},
    "mark_rejected": {"is_rejected"},
    "marked_ms": {"marked_ms"},
}
"""Fields of a contract that a snapshot stores, and the columns of `MarkTable` that have them."""

DERIVED_MARK_COLUMNS = {"minutes", "lows", "highs", "redefined_at", "factors", "is_linear"}
DERIVED_MARK_COLUMNS |= {"max_ticks", "units", "decimals", "settles"}
DERIVED_MARK_COLUMNS |= {"max_moves_ppm", "max_ages_ms"}

RECORDS = {
    Book: snapshot.BookRecord,
    Outstanding: snapshot.OutstandingRecord,
    Accounts: snapshot.AccountsRecord,
    VenueMargins: snapshot.TableRecord,
    Wallets: snapshot.WalletsRecord,
    PositionTable: snapshot.PositionTableRecord,
    AssetState: snapshot.AssetRecord,
    ContractState: snapshot.ContractRecord,
    PoolState: snapshot.PoolRecord,
    RollingPeak: snapshot.RollingPeakRecord,
    RollingMean: snapshot.RollingMeanRecord,
    RollingVolatility: snapshot.RollingVolatilityRecord,
}


def run(book: Book, commands: list[Command]) -> list[tuple[tuple[Event, ...], bytes]]:
    """Return the events of each command, and the bytes of its changes."""
    return [(step(book, command), book.take_changes()) for command in commands]


def fields_of(item: object) -> set[str]:
    names = set(getattr(type(item), "__slots__", None) or vars(item))
    names = {
        name if name in DERIVED[type(item)] | NOT_CHANGED else name.removeprefix("_")
        for name in names
    }
    names |= set(MARK_COLUMNS) if isinstance(item, ContractState) else set()
    return names - {"start"}


def objects_in(book: Book) -> Iterator[object]:
    """Yield one object of every class that a book is made of."""
    asset, state = next(iter(book.assets.values())), next(iter(book.contracts.values()))
    pool = next(iter(book.pools.values()))
    yield from (
        book,
        book.outstanding,
        book.accounts,
        asset,
        asset.wallets,
        state,
        state.tables[Side.LONG],
        pool,
    )
    yield from (pool.balance_peak, pool.equity_mean, state.volatility, asset.wallets.margins)


def test_every_field_of_the_book_is_stored_or_derived() -> None:
    book = Book()
    run(book, opening())
    checked = set()
    for item in objects_in(book):
        kind = type(item)
        columns = set(kind.COLUMNS) if isinstance(item, Table) else set()
        stored = set(RECORDS[kind].__struct_fields__) - {"columns"}
        assert fields_of(item) - columns - NOT_CHANGED == stored | DERIVED[kind], kind
        checked.add(kind)
    assert checked == set(RECORDS)


def test_every_column_of_marks_is_stored_or_derived() -> None:
    assert set().union(*MARK_COLUMNS.values()) | DERIVED_MARK_COLUMNS == set(mark_table.COLUMNS)


def test_an_inventory_is_stored_as_its_tranches() -> None:
    stored = {"tranches", "total_lots", "total_cost"}
    assert set(Inventory.__slots__) - NOT_CHANGED == stored | {"_underwater"}, "derived"


@pytest.mark.parametrize("cut", range(len(crash())))
def test_a_book_restored_at_any_command_continues_as_the_original(cut: int) -> None:
    first = Book()
    run(first, crash()[:cut])
    restored = decode_book(encode_book(first))
    assert run(restored, crash()[cut:]) == run(first, crash()[cut:])
    assert encode_book(restored) == encode_book(first)


@given(sessions(), st.integers(0))
def test_any_session_continues_as_the_original_after_a_restore(
    session: list[Command], place: int
) -> None:
    cut = place % len(session)
    first = Book()
    run(first, session[:cut])
    restored = decode_book(encode_book(first))
    assert run(restored, session[cut:]) == run(first, session[cut:])
    assert encode_book(restored) == encode_book(first)


def test_bounds_that_outlive_closed_positions_are_restored() -> None:
    book = Book()
    run(book, crash())
    table, wallets = book.contracts["BTC"].tables[Side.LONG], book.assets["USDT"].wallets
    assert table.size == 0
    assert table.max_lots > 0
    restored = decode_book(encode_book(book))
    restored_table = restored.contracts["BTC"].tables[Side.LONG]
    assert restored_table.max_lots == table.max_lots
    assert restored_table.max_cost == table.max_cost
    assert restored_table.position_ids == table.position_ids == {0}
    assert restored.assets["USDT"].wallets.largest == wallets.largest


def test_a_peak_that_was_read_and_one_that_was_not_encode_equally() -> None:
    read, unread = Book(), Book()
    for book in (read, unread):
        run(book, opening())
        peak = book.pools["main"].balance_peak
        peak.observe(1, 500)
        peak.observe(2, 100)
        book.time_ms = 2 + 24 * 3_600_000
    read_peak = read.pools["main"].balance_peak
    read_peak.peak(read.time_ms)
    assert read_peak.entries() != unread.pools["main"].balance_peak.entries()
    assert encode_book(read) == encode_book(unread)
