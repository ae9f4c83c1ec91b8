"""Ranks and indicators of the whole book, computed again only where they are stale.

A contract is stale if its positions or its mark, or the wallet of an account with a position in it,
have changed since it was ranked; of a multi-asset account, any of its wallets, or the index price
of an asset in them. Also if it has moved to another group, and always if its score is timed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.kernels import ParallelMap, kernels_for
from delever.core.messages import Side
from delever.core.risk.publication.ranked_batch import (
    TABLES_PER_CONTRACT,
    RankedBatch,
    RankedContract,
    RankedContracts,
    RankedSide,
    merged,
)
from delever.core.risk.publication.ranking import (
    RankingGroup,
    group_of,
    layout_of,
    rank_batch,
    tables_of,
)
from delever.core.units import Bools, Ints
from delever.core.valuation.multi_asset import margin_rows

NEVER = -1

MAX_ROWS_RATIO = 2
"""Rows of batches in the cache, as a multiple of the rows that are ranked."""


@dataclass(slots=True)
class PublicationCache:
    """What was ranked of each contract, by order of definition or of some of them, and when.

    `batches` may have more rows than the book, since a batch is stored whole while one of its
    contracts is not stale: up to `MAX_ROWS_RATIO` times as many. `numbers` has a number for each of
    them, the newest of which is `last_number`. `group_of` is the index of a contract's group in
    `groups`, and `grouped_at` the sequence as of which it was found.
    """

    groups: list[RankingGroup]
    last_number: int
    group_of: Ints
    grouped_at: Ints
    as_of: Ints
    numbers: Ints
    batches: np.ndarray

    @classmethod
    def empty(cls, contracts: int) -> "PublicationCache":
        """Return the cache of contracts of which nothing was ranked."""
        nothing = np.empty(contracts, object)
        group_of, numbers = np.zeros((2, contracts), np.int64)
        grouped_at, as_of = np.full((2, contracts), NEVER)
        return cls([], 0, group_of, grouped_at, as_of, numbers, nothing)

    def part(self, orders: Ints) -> "PublicationCache":
        """Return a copy of the entries of some contracts."""
        entries = (column[orders] for column in self.columns())
        return PublicationCache(list(self.groups), self.last_number, *entries)

    def with_part(self, orders: Ints, part: "PublicationCache", size: int) -> "PublicationCache":
        """Return the cache of `size` contracts with the entries of a part, which may be all."""
        if len(orders) == size:
            return part
        columns = PublicationCache.empty(size).columns()
        for column, before, new in zip(columns, self.columns(), part.columns(), strict=True):
            column[: len(before)] = before
            column[orders] = new
        return PublicationCache(part.groups, part.last_number, *columns)

    def columns(self) -> tuple[np.ndarray, ...]:
        """Return the columns with an entry a contract."""
        return self.group_of, self.grouped_at, self.as_of, self.numbers, self.batches

    def set_group(self, at: int, group: RankingGroup, sequence: int) -> None:
        """Set the group of a contract that is new or was moved or amended; it is then stale."""
        if group not in self.groups:
            self.groups.append(group)
        self.group_of[at], self.grouped_at[at] = self.groups.index(group), sequence
        self.as_of[at] = NEVER

    def store(self, entries: Ints, batch: RankedBatch) -> None:
        """Store a batch for each of its contracts."""
        self.last_number += 1
        self.numbers[entries], self.batches[entries] = self.last_number, batch

    def stamp(self, entries: Ints, sequence: int) -> None:
        """Set the sequence as of which contracts are ranked."""
        self.as_of[entries] = sequence

    def bound_rows(self, orders: Ints, positions: int) -> None:
        """Replace all batches by one if most of their rows are not of these open positions.

        `orders` are the contracts of the entries.
        """
        _, firsts = np.unique(self.numbers, return_index=True)
        stored = sum(batch.layout.size for batch in self.batches[firsts])
        if stored > MAX_ROWS_RATIO * positions:
            owners = np.repeat(self.batches, TABLES_PER_CONTRACT)
            tables = tables_of(orders).tolist()
            self.store(np.arange(len(orders)), merged(list(zip(owners, tables, strict=True))))


@dataclass(frozen=True)
class PublishedIndicators:
    """Ranks and indicators of all contracts with a mark, as of one sequence."""

    as_of: int
    time_ms: int
    contracts: RankedContracts

    @cached_property
    def sides(self) -> dict[tuple[str, Side], RankedSide]:
        """Every side, by contract and side."""
        return {
            (name, side): ranked
            for name, contract in self.contracts.items()
            for side, ranked in contract.sides.items()
        }

    def indicator(self, contract: str, side: Side, account: int) -> int:
        """Return the indicator of an account (by index), the highest of its positions, or 0."""
        ranked = self.contracts.get(contract)
        if ranked is None:
            return 0
        positions = ranked.sides[side]
        first, last = np.searchsorted(positions.account, (account, account + 1))
        return int(positions.indicator[first:last].max(initial=0))


def publish(book: Book, parallel_map: ParallelMap = map) -> PublishedIndicators:
    """Return ranks and indicators of every contract with a mark, and store them in the cache.

    `parallel_map` is that of `step`.
    """
    marked = book.marks.ticks | book.marks.fractions > 0
    orders, before = np.flatnonzero(marked), _cache_of(book)
    refreshed = _refreshed(book, orders, before.part(orders), parallel_map)
    cache = before.with_part(orders, refreshed, len(marked))
    book.cache_publication(cache)
    ranked = RankedContracts(book.marks.rows, marked, cache.batches)
    return PublishedIndicators(book.sequence, book.time_ms, ranked)


def rank_contracts(
    book: Book, states: Sequence[ContractState], parallel_map: ParallelMap = map
) -> dict[str, RankedContract]:
    """Return current ranks and indicators of contracts: cached ones where they are not stale."""
    names = {state.definition_order: state.name for state in states}
    orders = np.array(sorted(names), np.int64)
    batches = _refreshed(book, orders, _cache_of(book).part(orders), parallel_map).batches
    return {
        names[order]: RankedContract(batch, order)
        for order, batch in zip(orders.tolist(), batches, strict=True)
    }


def _cache_of(book: Book) -> PublicationCache:
    """Return the cache of a book, with entries of all of its contracts."""
    cache: PublicationCache | None = book.publication_cache
    contracts = len(book.marks)
    if cache is None:
        return PublicationCache.empty(contracts)
    if len(cache.as_of) == contracts:
        return cache
    nothing = np.empty(0, np.int64)
    return cache.with_part(nothing, cache.part(nothing), contracts)


def _refreshed(
    book: Book, orders: Ints, cache: PublicationCache, parallel_map: ParallelMap
) -> PublicationCache:
    """Return the part of the cache of contracts, given in ascending order, with no stale entry."""
    _regroup(book, orders, cache)
    settles = sorted({cache.groups[group].settle for group in set(cache.group_of.tolist())})
    margins = {settle: margin_rows(book, settle) for settle in settles}
    stale = np.flatnonzero(_is_stale(book, orders, cache, margins))
    for group in sorted(set(cache.group_of[stale].tolist())):
        entries = stale[cache.group_of[stale] == group]
        key, members = cache.groups[group], orders[entries]
        layout = layout_of(book, members, cache.batches[entries])
        batch = rank_batch(book, key, members, layout, margins[key.settle], parallel_map)
        cache.store(entries, batch)
    cache.stamp(stale, book.sequence)
    if 0 < len(stale) < len(orders):
        cache.bound_rows(orders, int(book.positions.sizes.sum()))
    return cache


def _regroup(book: Book, orders: Ints, cache: PublicationCache) -> None:
    """Find the groups of contracts that are new, moved or amended."""
    redefined = np.flatnonzero(book.marks.redefined_at[orders] > cache.grouped_at)
    if len(redefined):
        states = list(book.contracts.values())
        for at in redefined.tolist():
            cache.set_group(at, group_of(book, states[orders[at]]), book.sequence)


def _is_stale(
    book: Book, orders: Ints, cache: PublicationCache, margins: Mapping[str, Ints]
) -> Bools:
    """Return whether anything that the ranks depend on has changed since they were computed.

    `margins` are the margin rows of each settle asset.
    """
    long_at, short_at = book.positions.changed_at.reshape(-1, TABLES_PER_CONTRACT)[orders].T
    stale: Bools = np.maximum(long_at, short_at) > cache.as_of
    if any(group.timed for group in cache.groups):
        stale |= np.array([group.timed for group in cache.groups], bool)[cache.group_of]
    if np.count_nonzero(stale) == len(stale):
        return stale
    ranges = book.positions.ranges_of(tables_of(orders)).reshape(-1, TABLES_PER_CONTRACT, 2)
    settles = np.array([group.settle for group in cache.groups], object)[cache.group_of]
    accounts = book.positions.kernel_columns.account
    for settle, wallets in margins.items():
        rest = np.flatnonzero(~stale & (settles == settle))
        if len(rest):
            is_stale = kernels_for(book.accounts.size).stale_ranges
            since = cache.as_of[rest]
            sides = (is_stale(accounts, ranges[rest, n], wallets, since) for n in range(2))
            stale[rest] = np.logical_or(*sides)
    return stale
