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


class PublicationCache:
    """What was ranked of each contract, by order of definition, and when.

    `batches` may have more rows than the book, since a batch is stored whole while one of its
    contracts is not stale: up to `MAX_ROWS_RATIO` times as many. `numbers` has a number for each of
    them. `group_of` is the index of a contract's group in `groups`, and `grouped_at` the sequence
    as of which it was found.
    """

    def __init__(self, contracts: int, before: "PublicationCache | None") -> None:
        """Copy the cache before, and extend it to a number of contracts."""
        known = len(before.as_of) if before else 0
        self.groups: list[RankingGroup] = list(before.groups) if before else []
        self.group_of: Ints = np.zeros(contracts, np.int64)
        self.grouped_at: Ints = np.full(contracts, NEVER)
        self.as_of: Ints = np.full(contracts, NEVER)
        self.numbers: Ints = np.zeros(contracts, np.int64)
        self.batches: np.ndarray = np.empty(contracts, object)
        if before:
            self.group_of[:known], self.as_of[:known] = before.group_of, before.as_of
            self.grouped_at[:known] = before.grouped_at
            self.numbers[:known], self.batches[:known] = before.numbers, before.batches

    def set_group(self, order: int, group: RankingGroup, sequence: int) -> None:
        """Set the group of a contract that is new or was moved or amended; it is then stale."""
        if group not in self.groups:
            self.groups.append(group)
        self.group_of[order], self.grouped_at[order] = self.groups.index(group), sequence
        self.as_of[order] = NEVER

    def store(self, orders: Ints, batch: RankedBatch) -> None:
        """Store a batch for each of its contracts."""
        self.numbers[orders] = self.numbers.max(initial=0) + 1
        for order in orders.tolist():
            self.batches[order] = batch

    def stamp(self, orders: Ints, sequence: int) -> None:
        """Set the sequence as of which contracts are ranked."""
        self.as_of[orders] = sequence

    def bound_rows(self, positions: int) -> None:
        """Replace all batches by one if most of their rows are not of these open positions."""
        ranked = np.flatnonzero(self.as_of != NEVER)
        _, firsts = np.unique(self.numbers[ranked], return_index=True)
        stored = sum(batch.layout.size for batch in self.batches[ranked[firsts]])
        if stored > MAX_ROWS_RATIO * positions:
            owners = np.repeat(self.batches[ranked], TABLES_PER_CONTRACT)
            self.store(ranked, merged(list(zip(owners, tables_of(ranked).tolist(), strict=True))))


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
    refreshed = _refreshed(book, np.flatnonzero(marked), parallel_map)
    book.cache_publication(refreshed)
    ranked = RankedContracts(book.marks.rows, marked, refreshed.batches)
    return PublishedIndicators(book.sequence, book.time_ms, ranked)


def rank_contracts(
    book: Book, states: Sequence[ContractState], parallel_map: ParallelMap = map
) -> RankedContracts:
    """Return current ranks and indicators of contracts: cached ones where they are not stale."""
    chosen = np.array(sorted(state.definition_order for state in states), np.int64)
    refreshed = _refreshed(book, chosen, parallel_map)
    is_chosen = np.zeros(len(book.marks), bool)
    is_chosen[chosen] = True
    return RankedContracts(book.marks.rows, is_chosen, refreshed.batches)


def _refreshed(book: Book, chosen: Ints, parallel_map: ParallelMap) -> PublicationCache:
    """Return a copy of the cache in which contracts, given in ascending order, are not stale."""
    cache = _cache_for(book, chosen)
    used = set(cache.group_of[chosen].tolist())
    settles = sorted({cache.groups[group].settle for group in used})
    margins = {settle: margin_rows(book, settle) for settle in settles}
    stale = chosen[_is_stale(book, cache, chosen, margins)]
    for group in sorted(set(cache.group_of[stale].tolist())):
        members = stale[cache.group_of[stale] == group]
        key = cache.groups[group]
        layout = layout_of(book, members, cache.batches[members])
        batch = rank_batch(book, key, members, layout, margins[key.settle], parallel_map)
        cache.store(members, batch)
    cache.stamp(stale, book.sequence)
    if 0 < len(stale) < len(chosen):
        cache.bound_rows(int(book.positions.sizes.sum()))
    return cache


def _cache_for(book: Book, chosen: Ints) -> PublicationCache:
    """Return a copy of the book's cache with current groups of some contracts."""
    cache = PublicationCache(len(book.marks), book.publication_cache)
    redefined = chosen[book.marks.redefined_at[chosen] > cache.grouped_at[chosen]].tolist()
    if redefined:
        states = list(book.contracts.values())
        for order in redefined:
            cache.set_group(order, group_of(book, states[order]), book.sequence)
    return cache


def _is_stale(
    book: Book, cache: PublicationCache, chosen: Ints, margins: Mapping[str, Ints]
) -> Bools:
    """Return whether anything that the ranks depend on has changed since they were computed.

    `margins` are the margin rows of each settle asset.
    """
    as_of, group_of_chosen = cache.as_of[chosen], cache.group_of[chosen]
    tables = tables_of(chosen)
    changed = book.positions.changed_at[tables].reshape(-1, TABLES_PER_CONTRACT)
    timed = np.array([group.timed for group in cache.groups], bool)
    stale: Bools = (changed > as_of[:, None]).any(axis=1) | timed[group_of_chosen]
    if stale.all():
        return stale
    ranges = book.positions.ranges_of(tables).reshape(-1, TABLES_PER_CONTRACT, 2)
    settles = np.array([group.settle for group in cache.groups], object)[group_of_chosen]
    accounts = book.positions.kernel_columns.account
    for settle, wallets in margins.items():
        rest = np.flatnonzero(~stale & (settles == settle))
        if len(rest):
            is_stale = kernels_for(book.accounts.size).stale_ranges
            sides = (is_stale(accounts, ranges[rest, n], wallets, as_of[rest]) for n in range(2))
            stale[rest] = np.logical_or(*sides)
    return stale
