"""Ranks and indicators of the whole book, computed again only where they are stale.

A contract is stale if its positions or its mark, or the wallet of an account with a position in it,
have changed since it was ranked; of a multi-asset account, any of its wallets, or the index price
of an asset in them. Also if it has moved to another group, and always if its score is timed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.kernels import ParallelMap, kernels_for
from delever.core.messages import Side
from delever.core.risk.publication.ranked_batch import (
    TABLES_PER_CONTRACT,
    BatchLayout,
    RankedBatch,
    RankedContracts,
    RankedSide,
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

GroupKey = tuple[str, object, object]
"""What a contract's group follows from: the name of its pool, its pool's definition, its terms."""


@dataclass(slots=True)
class PublicationCache:
    """What was ranked of each contract, by order of definition, and when; `groups` are all in use.

    `batches` may have more rows than the book, since a batch is stored whole while one of its
    contracts is not stale: up to `MAX_ROWS_RATIO` times as many.
    """

    keys: list[GroupKey]
    groups: list[RankingGroup]
    group_of: Ints
    as_of: Ints
    batches: np.ndarray


MAX_ROWS_RATIO = 2


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
    orders = {
        name: order for order, (name, state) in enumerate(book.contracts.items()) if state.mark
    }
    refreshed = _refreshed(book, orders.values(), parallel_map)
    book.cache_publication(refreshed)
    ranked = RankedContracts(orders, refreshed.batches)
    return PublishedIndicators(book.sequence, book.time_ms, ranked)


def rank_contracts(
    book: Book, states: Sequence[ContractState], parallel_map: ParallelMap = map
) -> RankedContracts:
    """Return current ranks and indicators of contracts: cached ones where they are not stale."""
    orders = {state.name: state.definition_order for state in states}
    refreshed = _refreshed(book, sorted(orders.values()), parallel_map)
    return RankedContracts(orders, refreshed.batches)


def _refreshed(book: Book, orders: Iterable[int], parallel_map: ParallelMap) -> PublicationCache:
    """Return a copy of the cache in which contracts, given in ascending order, are not stale."""
    chosen = np.fromiter(orders, np.int64)
    cache = _cache_for(book, chosen)
    used = np.unique(cache.group_of[chosen]).tolist()
    settles = sorted({cache.groups[group].settle for group in used})
    margins = {settle: margin_rows(book, settle) for settle in settles}
    stale = chosen[_is_stale(book, cache, chosen, margins)]
    for group in np.unique(cache.group_of[stale]).tolist():
        members = stale[cache.group_of[stale] == group]
        key = cache.groups[group]
        layout = layout_of(book, members, cache.batches[members])
        batch = rank_batch(book, key, members, layout, margins[key.settle], parallel_map)
        _store(cache.batches, members, batch)
    cache.as_of[stale] = book.sequence
    if 0 < len(stale) < len(chosen):
        _bound_rows(book, cache)
    return cache


def _cache_for(book: Book, chosen: Ints) -> PublicationCache:
    """Return a copy of the book's cache with current groups of some contracts."""
    before: PublicationCache | None = book.publication_cache
    states = list(book.contracts.values())
    if before is None:
        none = np.empty(0, np.int64)
        before = PublicationCache([], [], none, none, np.empty(0, object))
    missing = len(states) - len(before.keys)
    cache = PublicationCache(
        [*before.keys, *[("", None, None)] * missing],
        list(before.groups),
        np.concatenate([before.group_of, np.zeros(missing, np.int64)]),
        np.concatenate([before.as_of, np.full(missing, NEVER)]),
        np.concatenate([before.batches, np.empty(missing, object)]),
    )
    keys, pools = cache.keys, book.pools
    for order in chosen.tolist():
        state = states[order]
        pool = state.pool
        key = pool, pools[pool].definition, state.terms
        if key != keys[order]:
            keys[order] = key
            _set_group(book, cache, order, state)
    return cache


def _set_group(book: Book, cache: PublicationCache, order: int, state: ContractState) -> None:
    """Set the group of a contract that is new or was moved or amended; it is then stale."""
    group = group_of(book, state)
    if group not in cache.groups:
        cache.groups.append(group)
    cache.group_of[order] = cache.groups.index(group)
    cache.as_of[order] = NEVER


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


def _store(batches: np.ndarray, orders: Ints, batch: RankedBatch) -> None:
    """Store a batch for each of its contracts."""
    for order in orders.tolist():
        batches[order] = batch


def _bound_rows(book: Book, cache: PublicationCache) -> None:
    """Replace all batches by one if their contracts are a small part of them."""
    ranked = np.flatnonzero(cache.as_of != NEVER)
    stored = sum(batch.layout.size for batch in {id(b): b for b in cache.batches[ranked]}.values())
    tables = tables_of(ranked)
    if stored <= MAX_ROWS_RATIO * int(book.positions.sizes[tables].sum()):
        return
    sides = [cache.batches[table // 2].side(table) for table in tables.tolist()]
    columns = ("account", "position", "rank", "indicator")
    account, position, rank, indicator = (
        np.concatenate([getattr(side, name) for side in sides]) for name in columns
    )
    versions = np.concatenate([cache.batches[order].layout.versions_of(order) for order in ranked])
    ends = np.cumsum([len(side.account) for side in sides])
    layout = BatchLayout(tables, versions, ends, account, position)
    _store(cache.batches, ranked, RankedBatch(layout, rank, indicator))
