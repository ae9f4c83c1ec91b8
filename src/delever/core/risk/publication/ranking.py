"""Rank and indicator of every position of many contracts, in the order in which they are published.

Contracts that share a ranking are ranked in one pass over all of their columns.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.position_table import KernelColumns, PositionTable
from delever.core.kernels import ParallelMap, kernels_for
from delever.core.messages import Side
from delever.core.risk.publication.ranked_batch import TABLES_PER_CONTRACT, BatchLayout, RankedBatch
from delever.core.rules import rule_sets_of
from delever.core.rules.ranking import ProductScore, Ranking, rank_side
from delever.core.units import Ints
from delever.core.valuation.multi_asset import margin_rows
from delever.core.valuation.side_valuation import joint_columns, value_side
from delever.core.valuation.stale_rows import has_stale_rows, stale_rows

SIDES = np.arange(TABLES_PER_CONTRACT)


class RankingGroup(NamedTuple):
    """Contracts that can be ranked together share a rule set and wallets.

    `one_pass` says that a kernel can rank them all in one pass, `timed` that a score depends on the
    engine's time.
    """

    rules: str
    settle: str
    one_pass: bool
    timed: bool


def group_of(book: Book, state: ContractState) -> RankingGroup:
    """Return the group of contracts that a contract can be ranked with."""
    rules = book.pool_of(state).definition.rules
    ranking = rule_sets_of(book)[rules].ranking
    closes = ranking.closes and not state.terms.adl_exempt and not ranking.exempts(state.terms)
    in_kernel = isinstance(ranking.score, ProductScore) and ranking.closes_whole
    one_pass = closes and in_kernel
    return RankingGroup(rules, state.terms.settle, one_pass, ranking.timed)


# --- the order of publication ---


def tables_of(orders: Ints) -> Ints:
    """Return the numbers of the tables of contracts, which are given by order of definition."""
    tables: Ints = (orders[:, None] * TABLES_PER_CONTRACT + SIDES).ravel()
    return tables


def layout_of(book: Book, orders: Ints, before: Sequence[RankedBatch | None]) -> BatchLayout:
    """Return the layout of contracts; the layout before, or its parts, where they are valid.

    `before` are the contracts' batches of before.
    """
    tables, block = tables_of(orders), book.positions
    versions = block.versions[tables]
    known = before[0].layout.part(tables, versions) if before[0] else None
    if known is not None:
        return known
    states = list(book.contracts.values())
    columns = [
        _side_columns(table, batch)
        for order, batch in zip(orders.tolist(), before, strict=True)
        for table in states[order].tables.values()
    ]
    account, position = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    if not position.any():
        position = np.broadcast_to(np.int32(0), len(position))  # one number is enough
    return BatchLayout(tables, versions, np.cumsum(block.sizes[tables]), account, position)


def _side_columns(
    table: PositionTable, before: RankedBatch | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return account and position of a table in order of publication, and fill in its `place`."""
    if before is not None:
        layout = before.layout
        if layout.version_of(table.number) == table.layout_version:
            rows = layout.rows_of(table.number)
            return layout.account[rows], layout.position[rows]
    order = table.arrange()
    return table.account[order], table.position[order]


# --- ranking ---


def rank_batch(
    book: Book,
    group: RankingGroup,
    orders: Ints,
    layout: BatchLayout,
    wallets: Ints,
    parallel_map: ParallelMap,
) -> RankedBatch:
    """Return ranks and indicators of the contracts of a group, given by order of definition.

    `wallets` are the margin rows of the group's settle asset.
    """
    ranking = rule_sets_of(book)[group.rules].ranking
    rank, indicator = np.empty(layout.size, np.int32), np.empty(layout.size, np.int8)
    batch = RankedBatch(layout, rank, indicator)
    if group.one_pass and book.asset(group.settle).wallets.margins.size and _reads_cover(ranking):
        wallets = margin_rows(book, group.settle, shares=True)
    if group.one_pass and not (ranking.joint and book.accounts.any_hedges):
        _rank_in_one_pass(book, batch, [], ranking, wallets, parallel_map)
        return batch
    states = list(book.contracts.values())
    members = [states[order] for order in orders.tolist()]
    if group.one_pass:
        _rank_in_one_pass(book, batch, members, ranking, wallets, parallel_map)
    else:
        _rank_side_by_side(book, batch, members, ranking, parallel_map)
    if ranking.joint and book.accounts.any_hedges:
        for state in members:
            _set_joint_indicator(book, state, batch)
    return batch


def _rank_in_one_pass(
    book: Book,
    batch: RankedBatch,
    hedging: list[ContractState],
    ranking: Ranking,
    wallets: Ints,
    parallel_map: ParallelMap,
) -> None:
    """Fill in a batch by one call of the kernel; joint columns are those of hedging contracts."""
    hedged = ((state, side) for state in hedging for side in Side)
    joint = list(parallel_map(lambda side: joint_columns(book, *side), hedged))
    score = cast("ProductScore", ranking.score)
    options = ranking.profitable_only, ranking.levels, ranking.weighting == "count"
    accounts = book.accounts
    exempt = accounts.adl_exempt if accounts.any_exempt else accounts.adl_exempt[:0]
    of_accounts = wallets, exempt, accounts.name_order()
    ranges = book.positions.ranges_of(batch.layout.tables)
    kernels_for(accounts.size).rank_sides(
        _kernel_columns(book),
        ranges,
        joint,
        *of_accounts,
        *score.column_indices(),
        *options,
        batch.rank,
        batch.indicator,
        parallel_map,
    )


def _reads_cover(ranking: Ranking) -> bool:
    """Return whether a product score reads a position's share of its account's equity."""
    score = cast("ProductScore", ranking.score)
    return "cover" in {name for each in score for name in each}


def _kernel_columns(book: Book) -> KernelColumns:
    """Return the columns of all positions; the kernel ranks a stale one like one in liquidation."""
    columns = book.positions.kernel_columns
    if not book.has_stale_rows:
        return columns
    behind = [state for state in book.contracts.values() if has_stale_rows(book, state)]
    if not behind:
        return columns
    unranked = columns.under_liquidation.copy()
    for state in behind:
        for side, table in state.tables.items():
            unranked[table.start : table.start + table.size] |= stale_rows(book, state, side)
    return columns._replace(under_liquidation=unranked)


def _rank_side_by_side(
    book: Book,
    batch: RankedBatch,
    members: list[ContractState],
    ranking: Ranking,
    parallel_map: ParallelMap,
) -> None:
    """Fill in a batch side by side: the score is code, or nobody is deleveraged."""

    def fill(side: tuple[ContractState, Side]) -> None:
        state, which = side
        valuation = value_side(book, state, which, net_exposure=ranking.closes_net_lots)
        queue, table = rank_side(valuation, ranking), state.tables[which]
        place = table.place[: table.size]
        batch.set_side(table.number, place, queue.rank, queue.indicator)

    for _ in parallel_map(fill, [(state, side) for state in members for side in Side]):
        pass


def _set_joint_indicator(book: Book, state: ContractState, batch: RankedBatch) -> None:
    """Set the indicators of accounts with a cross hedge to the higher one of both sides."""
    long, short = (_cross_hedgers(book, table) for table in state.tables.values())
    hedged = np.intersect1d(long, short, assume_unique=True)
    if not len(hedged):
        return
    parts = [batch.layout.rows_of(table.number) for table in state.tables.values()]
    rows = slice(parts[0].start, parts[-1].stop)
    account, indicator = batch.layout.account[rows], batch.indicator[rows]
    found = np.searchsorted(hedged, account)
    found[found == len(hedged)] = 0
    own = hedged[found] == account
    highest = np.zeros(len(hedged), np.int8)
    np.maximum.at(highest, found[own], indicator[own])
    indicator[own] = highest[found[own]]


def _cross_hedgers(book: Book, table: PositionTable) -> np.ndarray:
    """Return the accounts in hedge mode with positions on a side, none of them isolated."""
    account, isolated = table.account[: table.size], table.isolated[: table.size]
    hedging = np.unique(account[book.accounts.hedge_mode[account]])
    return np.setdiff1d(hedging, account[isolated], assume_unique=False)
