"""Rank and indicator of every position of many contracts, in the order in which they are published.

Contracts that share a ranking are ranked in one pass over all of their columns.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.position_table import KernelColumns, PositionTable
from delever.core.kernels import ParallelMap, TableRange, kernels_for
from delever.core.messages import Side
from delever.core.rules import rule_sets_of
from delever.core.rules.ranking import ProductScore, Ranking, rank_side
from delever.core.valuation.side_valuation import joint_columns, value_side
from delever.core.valuation.stale_rows import has_stale_rows, stale_rows

# --- the order of publication ---


@dataclass(frozen=True, slots=True)
class SideLayout:
    """The positions of a side in the order of publication: by account index, then position id.

    The table's column `place` maps a row to its index in that order. A layout is valid until a
    position is opened or closed.
    """

    layout_version: int
    account: np.ndarray
    position: np.ndarray

    @property
    def size(self) -> int:
        """The number of positions."""
        return len(self.account)


def layout_of(table: PositionTable, before: SideLayout | None) -> SideLayout:
    """Return the layout of a side, and fill in `place`; the layout before if it is still valid."""
    if before is not None and before.layout_version == table.layout_version:
        return before
    size = table.size
    account, position = table.account[:size], table.position[:size]
    order = table.arrange()
    only_zero = table.position_ids <= {0}  # then one broadcast number is enough
    positions = np.broadcast_to(np.int32(0), size) if only_zero else position[order]
    return SideLayout(table.layout_version, account[order], positions)


# --- the result ---


@dataclass(slots=True)
class RankedSide:
    """Rank and indicator of each position of a side, 0 where it is not ranked."""

    account: np.ndarray
    position: np.ndarray
    rank: np.ndarray
    indicator: np.ndarray
    _digest: str = ""

    def digest(self) -> str:
        """Return the BLAKE2b-256 of all columns, in hexadecimal; computed once."""
        if not self._digest:
            digest = hashlib.blake2b(digest_size=32)
            for column in (self.account, self.position, self.rank, self.indicator):
                digest.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)
            self._digest = digest.hexdigest()
        return self._digest


class RankingGroup(NamedTuple):
    """Contracts that can be ranked together share a rule set and wallets.

    `one_pass` says that a kernel can rank them all in one pass.
    """

    rules: str
    settle: str
    one_pass: bool


@dataclass
class RankedContract:
    """Rank and indicator of both sides of a contract as of one sequence, longs before shorts.

    Sides are split when they are first read: there are many contracts, and few are read.
    """

    as_of: int
    group: RankingGroup
    layouts: list[SideLayout]
    rank: np.ndarray
    indicator: np.ndarray

    @cached_property
    def sides(self) -> dict[Side, RankedSide]:
        """Both sides, each with its own columns."""
        longs = self.layouts[0].size
        parts = slice(longs), slice(longs, None)
        return {
            side: RankedSide(layout.account, layout.position, self.rank[part], self.indicator[part])
            for side, layout, part in zip(Side, self.layouts, parts, strict=True)
        }


# --- ranking ---

Member = tuple[ContractState, list[SideLayout]]


def group_of(book: Book, state: ContractState, rules: str) -> RankingGroup:
    """Return the group of contracts that a contract can be ranked with."""
    ranking = rule_sets_of(book)[rules].ranking
    closes = ranking.closes and not state.terms.adl_exempt and not ranking.exempts(state.terms)
    in_kernel = isinstance(ranking.score, ProductScore) and not ranking.net_exposure
    one_pass = closes and in_kernel
    return RankingGroup(rules, state.terms.settle, one_pass)


def rank_group(
    book: Book,
    group: RankingGroup,
    members: list[Member],
    parallel_map: ParallelMap,
    *,
    copied: bool,
) -> Iterator[tuple[str, RankedContract]]:
    """Yield each member's name with its ranks and indicators.

    All members share two arrays. If `copied`, each gets arrays of its own, so that one contract in
    the cache does not keep the memory of all others alive.
    """
    ranking = rule_sets_of(book)[group.rules].ranking
    size = sum([layout.size for _, layouts in members for layout in layouts])
    rank, indicator = np.empty(size, np.int32), np.empty(size, np.int8)
    ranked, end = [], 0
    for _, layouts in members:  # made before ranking, which uses all of the processor's cache
        first, end = end, end + layouts[0].size + layouts[1].size
        own = rank[first:end], indicator[first:end]
        ranked.append(RankedContract(book.sequence, group, layouts, *own))
    rank_members = _rank_in_one_pass if group.one_pass else _rank_side_by_side
    rank_members(book, members, ranking, parallel_map, rank, indicator)
    if ranking.joint and book.accounts.any_hedges:
        pairs = zip(members, ranked, strict=True)
        ranked = [replace(one, indicator=_joint_indicator(book, s, one)) for (s, _), one in pairs]
    if copied:
        ranked = [
            replace(one, rank=one.rank.copy(), indicator=one.indicator.copy()) for one in ranked
        ]
    return zip([state.name for state, _ in members], ranked, strict=True)


def _rank_in_one_pass(
    book: Book,
    members: list[Member],
    ranking: Ranking,
    parallel_map: ParallelMap,
    rank: np.ndarray,
    indicator: np.ndarray,
) -> None:
    """Fill in rank and indicator of all members by one call of the kernel."""
    sides: list[TableRange] = [table for state, _ in members for table in state.tables.values()]
    hedging = members if book.accounts.any_hedges else []
    hedged = ((state, side) for state, _ in hedging for side in Side)
    joint = list(parallel_map(lambda side: joint_columns(book, *side), hedged))
    score = cast("ProductScore", ranking.score)
    options = ranking.profitable_only, ranking.levels, ranking.weighting == "count"
    wallets, accounts = book.asset_of(members[0][0]).wallets, book.accounts
    exempt = accounts.adl_exempt if accounts.any_exempt else accounts.adl_exempt[:0]
    rows = wallets.margin_rows(shares="cover" in {name for each in score for name in each})
    of_accounts = rows, exempt, accounts.name_order()
    tables = _kernel_columns(book, members), sides
    kernels_for(accounts.size).rank_sides(
        *tables,
        joint,
        *of_accounts,
        *score.column_indices(),
        *options,
        rank,
        indicator,
        parallel_map,
    )


def _kernel_columns(book: Book, members: list[Member]) -> KernelColumns:
    """Return the columns of all positions; the kernel ranks a stale one like one in liquidation."""
    columns = book.positions.kernel_columns
    behind = [state for state, _ in members if has_stale_rows(book, state)]
    if not behind:
        return columns
    unranked = columns.under_liquidation.copy()
    for state in behind:
        for side, table in state.tables.items():
            unranked[table.start : table.start + table.size] |= stale_rows(book, state, side)
    return columns._replace(under_liquidation=unranked)


def _rank_side_by_side(
    book: Book,
    members: list[Member],
    ranking: Ranking,
    parallel_map: ParallelMap,
    rank: np.ndarray,
    indicator: np.ndarray,
) -> None:
    """Fill in rank and indicator side by side: the score is code, or nobody is deleveraged."""

    def ranked(side: tuple[ContractState, Side, SideLayout]) -> tuple[np.ndarray, np.ndarray]:
        state, which, layout = side
        queue, size = rank_side(value_side(book, state, which), ranking), layout.size
        place = state.tables[which].place[:size]
        own_rank, own_indicator = np.empty(size, np.int32), np.empty(size, np.int8)
        own_rank[place], own_indicator[place] = queue.rank, queue.indicator
        return own_rank, own_indicator

    sides = [
        (state, side, layout)
        for state, layouts in members
        for side, layout in zip(Side, layouts, strict=True)
    ]
    ranks, indicators = zip(*parallel_map(ranked, sides), strict=True)
    np.concatenate(ranks, out=rank)
    np.concatenate(indicators, out=indicator)


def _joint_indicator(book: Book, state: ContractState, ranked: RankedContract) -> np.ndarray:
    """Return indicators in which accounts with a cross hedge have the higher one on both sides."""
    long, short = (_cross_hedgers(book, table) for table in state.tables.values())
    hedged = np.intersect1d(long, short, assume_unique=True)
    if not len(hedged):
        return ranked.indicator
    account = np.concatenate([layout.account for layout in ranked.layouts])
    found = np.searchsorted(hedged, account)
    found[found == len(hedged)] = 0
    own = hedged[found] == account
    highest = np.zeros(len(hedged), np.int8)
    np.maximum.at(highest, found[own], ranked.indicator[own])
    return np.where(own, highest[found], ranked.indicator)


def _cross_hedgers(book: Book, table: PositionTable) -> np.ndarray:
    """Return the accounts in hedge mode with positions on a side, none of them isolated."""
    account, isolated = table.account[: table.size], table.isolated[: table.size]
    hedging = np.unique(account[book.accounts.hedge_mode[account]])
    return np.setdiff1d(hedging, account[isolated], assume_unique=False)
