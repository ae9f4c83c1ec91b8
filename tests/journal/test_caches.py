"""Every cache of a book says what a fresh copy of the book computes, after every command.

A cache follows from the rest of the book, so a snapshot omits it. Each is read from the book that
ran all commands and from one restored a moment ago; a fault planted in any of them is seen.
"""

from collections.abc import Callable

import pytest
from hypothesis import given
from sessions import ACCOUNTS, crash, sessions

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.market import mark_table
from delever.core.messages import Command, Side
from delever.core.risk.publication.cache import publish
from delever.core.valuation.insurance import observed_equity, pool_equity
from delever.journal.snapshot import decode_book, encode_book


def published_ranks(book: Book) -> object:
    """Ranks are cached until positions, mark or wallets change (`PublicationCache`)."""
    return {
        key: (side.digest(), side.rank.tolist(), side.indicator.tolist())
        for key, side in publish(book).sides.items()
    }


def monitored_contracts(book: Book) -> object:
    """The contracts that each step observes, sorted once until one is added or removed."""
    assert {state.name for state in book.monitored()} == {
        state.name for state in book.contracts.values() if state.is_monitored
    }
    return [state.name for state in book.monitored()]


def equity_of_pools(book: Book) -> object:
    """Triggers read the equity as last observed."""
    for pool in book.pools.values():
        if pool.observed:
            assert observed_equity(book, pool) == pool_equity(book, pool)
    return [pool_equity(book, pool) for pool in book.pools.values()]


def order_of_names(book: Book) -> object:
    """The alphabetical order of accounts, which breaks ties, is extended by new names."""
    order = book.accounts.name_order()
    assert sorted(book.accounts.names) == [
        name for _, name in sorted(zip(order.tolist(), book.accounts.names, strict=True))
    ]
    return order.tolist()


def found_accounts(book: Book) -> object:
    """Recent lookups of names are remembered."""
    return [book.accounts.index.get(name) for name in (*ACCOUNTS, "nobody", "stranger")]


def found_positions(book: Book) -> object:
    """A table remembers its last lookup."""
    tables = [table for state in book.contracts.values() for table in state.tables.values()]
    accounts = range(book.accounts.size + 1)
    for table in tables:
        keys = table.keys()
        for account in accounts:
            for position in (0, 1):
                row = table.find(account, position)
                assert (row is not None) == ((account, position) in keys)
                assert row is None or keys[row] == (account, position)
    return [sorted(table.keys()) for table in tables]


def bounds_on_equity(book: Book) -> object:
    """The exposure of contracts is added up by differences."""
    exposures = [state.exposure_bound for state in book.contracts.values()]
    assert sum(exposures) == sum(asset.exposure for asset in book.assets.values())
    return exposures, [state.largest_holding for state in book.contracts.values()]


def columns_of_marks(book: Book) -> object:
    """Columns of the table of marks follow from terms, limits and marks."""
    names = [name for name in mark_table.COLUMNS if name != "redefined_at"]
    columns = {name: getattr(book.marks, name).tolist() for name in names}
    volatility = [state.volatility.entries() for state in book.contracts.values()]
    return columns, book.marks.has_ages, volatility


def outstanding_fills(book: Book) -> object:
    """Outstanding fills are indexed by account."""
    return {name: book.outstanding.fills_of(name) for name in book.accounts.names}


def flags_of_books(book: Book) -> object:
    """Flags say that some work can be skipped for all accounts or pools."""
    accounts, n = book.accounts, book.accounts.size
    assert accounts.any_hedges >= accounts.hedge_mode[:n].any()
    assert accounts.any_exempt >= accounts.adl_exempt[:n].any()
    return book.has_managed_pools


CACHES = [
    published_ranks,
    monitored_contracts,
    equity_of_pools,
    order_of_names,
    found_accounts,
    found_positions,
    bounds_on_equity,
    columns_of_marks,
    outstanding_fills,
    flags_of_books,
]


@given(sessions())
def test_every_cache_equals_that_of_a_fresh_copy_after_every_command(
    commands: list[Command],
) -> None:
    book = Book()
    for command in commands:
        step(book, command)
        fresh = decode_book(encode_book(book))
        for cache in CACHES:
            assert cache(book) == cache(fresh), cache.__doc__


@pytest.mark.parametrize("managed", [False, True])
def test_every_cache_equals_that_of_a_fresh_copy_through_a_crash(managed: bool) -> None:
    book = Book()
    for command in crash(managed=managed):
        step(book, command)
        fresh = decode_book(encode_book(book))
        for cache in CACHES:
            assert cache(book) == cache(fresh), cache.__doc__


# --- planted faults ---


def during_adl() -> Book:
    """Return a book in ADL, with cached ranks, inventory and outstanding fills."""
    book = Book()
    for command in crash():
        step(book, command)
        publish(book)
        if book.outstanding.fills:
            break
    published_ranks(book)
    return book


def move_a_wallet_without_its_stamp(book: Book) -> None:
    table = book.contracts["BTC"].tables[Side.SHORT]
    (account, *_) = table.account[: table.size][~table.isolated[: table.size]].tolist()
    book.assets["USDT"].wallets.balance[account] -= 10**15


def change_a_position_without_its_stamp(book: Book) -> None:
    book.contracts["BTC"].tables[Side.SHORT].under_liquidation[0] = True


def leave_out_a_monitored_contract(book: Book) -> None:
    book._monitored._in_order = []


def reverse_the_order_of_names(book: Book) -> None:
    book.accounts._name_order = book.accounts._name_order[::-1].copy()


def remember_another_account(book: Book) -> None:
    book.accounts.names._recent["ann"] = 3


def remember_another_row(book: Book) -> None:
    table = book.contracts["BTC"].tables[Side.SHORT]
    table.index._last_lookup = (0, 0, 1)


def forget_a_fill(book: Book) -> None:
    next(fills for fills in book.outstanding._fills_of.values() if fills).clear()


def lower_an_exposure(book: Book) -> None:
    book.contracts["BTC"].exposure_bound -= 1


def move_a_mark_out_of_its_band(book: Book) -> None:
    book.contracts["BTC"].mark *= 4


def observe_another_equity(book: Book) -> None:
    pool = book.pools["main"]
    assert pool.observed
    pool.balance += 1


FAULTS: dict[Callable[[Book], None], Callable[[Book], object]] = {
    move_a_wallet_without_its_stamp: published_ranks,
    change_a_position_without_its_stamp: published_ranks,
    leave_out_a_monitored_contract: monitored_contracts,
    reverse_the_order_of_names: order_of_names,
    remember_another_account: found_accounts,
    remember_another_row: found_positions,
    forget_a_fill: outstanding_fills,
    lower_an_exposure: bounds_on_equity,
    move_a_mark_out_of_its_band: columns_of_marks,
    observe_another_equity: equity_of_pools,
}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: Callable[[Book], None]) -> None:
    book, cache = during_adl(), FAULTS[plant]
    order = book.accounts.name_order()
    assert len(order) == len(ACCOUNTS)
    assert cache(book) == cache(decode_book(encode_book(book)))
    plant(book)
    with pytest.raises(AssertionError):
        assert cache(book) == cache(decode_book(encode_book(book)))


def test_a_cache_is_used_where_nothing_changed() -> None:
    book = during_adl()
    before = publish(book)
    step(book, m.SetTime(time_ms=book.time_ms))
    after = publish(book)
    for key, side in before.sides.items():
        assert after.sides[key].rank.base is side.rank.base
