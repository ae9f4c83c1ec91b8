"""What is published of the whole book at once, now and then: ratings, and indicators.

Both are asked for by commands, so that they stand in the journal and replay; `due` says which ones
are due, and whoever holds the clock sends them. A rating is small and kept in the book. Indicators are
as many as there are positions: `publish` computes them from the book, the event carries a digest of
each table, and whoever shows them calls `publish` again after the step, from the same book.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.position_table import KernelColumns
from delever.core.book.position_table import PositionTable as Positions
from delever.core.kernels import ParallelMap, Shown, kernels_for, where_of
from delever.core.messages import (
    Command,
    Event,
    IndicatorsPublished,
    RatingsSet,
    RefreshIndicators,
    RefreshRatings,
    Side,
    SideIndicators,
)
from delever.core.risk.rating import rate_all
from delever.core.rules import RULE_SETS
from delever.core.rules.ranking import Product, Ranking, rank_side
from delever.core.valuation.side_valuation import joint_columns, value_side

PositionTable = tuple[str, Side]


class RankingGroup(NamedTuple):
    """What contracts share that are ranked in one go: rules, wallets, and that they can be."""

    rules: str
    settle: str
    at_once: bool


@dataclass(slots=True)
class PublishedSide:
    """What one table shows, by account number, then position; rank and indicator 0: not in line."""

    account: np.ndarray
    position: np.ndarray
    rank: np.ndarray
    indicator: np.ndarray
    _digest: str = ""

    def digest(self) -> str:
        """Return the BLAKE2b-256 of all of it, in hexadecimal; computed once."""
        if not self._digest:
            shown = hashlib.blake2b(digest_size=32)
            for column in (self.account, self.position, self.rank, self.indicator):
                shown.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)
            self._digest = shown.hexdigest()
        return self._digest


@dataclass(frozen=True, slots=True)
class SideLayout:
    """A table's positions in the order in which they are shown, and how the kernels take the table.

    `place` says where each row stands in that order. It holds until a position is opened or closed.
    """

    opened_or_closed: int
    account: np.ndarray
    position: np.ndarray
    place: np.ndarray
    columns: KernelColumns
    where: bytes


Arrangement = tuple[ContractState, list[SideLayout]]


@dataclass
class PublishedContract:
    """What both tables of a contract show as of one sequence: rank and indicator, one after the other.

    A table is put together when it is first asked for: there are many contracts, and few are read.
    """

    as_of: int
    alike: RankingGroup
    arranged: list[SideLayout]
    rank: np.ndarray
    indicator: np.ndarray

    @cached_property
    def tables(self) -> dict[Side, PublishedSide]:
        """What each table shows."""
        middle = len(self.arranged[0].place)
        parts = slice(middle), slice(middle, None)
        return {
            side: PublishedSide(table.account, table.position, self.rank[part], self.indicator[part])
            for side, table, part in zip(Side, self.arranged, parts, strict=True)
        }


@dataclass(frozen=True)
class Published:
    """The indicators and ranks of all contracts with a mark, as of one sequence."""

    as_of: int
    time_ms: int
    contracts: dict[str, PublishedContract]

    @cached_property
    def tables(self) -> dict[PositionTable, PublishedSide]:
        """What each table shows."""
        return {
            (name, side): table
            for name, shown in self.contracts.items()
            for side, table in shown.tables.items()
        }

    def indicator(self, contract: str, side: Side, account: int) -> int:
        """Return the indicator of an account (by number), the highest of several positions, or 0."""
        shown = self.contracts.get(contract)
        if shown is None:
            return 0
        table = shown.tables[side]
        first, last = np.searchsorted(table.account, (account, account + 1))
        return int(table.indicator[first:last].max(initial=0))


def published(book: Book, command: Command, parallel_map: ParallelMap) -> Iterator[Event]:
    """Yield what a refresh publishes, from the book as the step leaves it."""
    match command:
        case RefreshRatings(contracts=contracts):
            yield RatingsSet(ratings=rate_all(book, contracts))
        case RefreshIndicators():
            shown = publish(book, parallel_map)
            tables = tuple(_summary(key, table) for key, table in shown.tables.items())
            yield IndicatorsPublished(as_of=shown.as_of, time_ms=shown.time_ms, tables=tables)
        case _:
            return


def due(
    book: Book, time_ms: int, *, ratings_interval_ms: int, indicators_interval_ms: int
) -> tuple[Command, ...]:
    """Return the refreshes that are due at a time: what its period has passed since, or never was.

    Before the first mark there is nothing to publish. A contract whose first mark came after the
    last ratings is rated with the next ones.
    """
    if not any(state.mark for state in book.contracts.values()):
        return ()
    rated = [state.rating.time_ms for state in book.contracts.values() if state.rating]
    commands: list[Command] = []
    if not rated or time_ms - max(rated) >= ratings_interval_ms:
        commands.append(RefreshRatings(time_ms=time_ms))
    if book.indicators is None or time_ms - book.indicators.time_ms >= indicators_interval_ms:
        commands.append(RefreshIndicators(time_ms=time_ms))
    return tuple(commands)


def publish(book: Book, parallel_map: ParallelMap = map) -> Published:
    """Return the indicators and ranks of every table of a contract with a mark.

    A contract is ranked again only where its positions, its mark, or the wallet of somebody who
    holds it has changed since it was last published. `parallel_map` is as of a step.
    """
    shown = show(book, [state for state in book.contracts.values() if state.mark], parallel_map)
    book.remember(shown)
    return Published(book.sequence, book.time_ms, shown)


def show(
    book: Book, states: Sequence[ContractState], parallel_map: ParallelMap = map
) -> dict[str, PublishedContract]:
    """Return what both tables of contracts show now: what they showed, where that still holds."""
    shown: dict[str, PublishedContract] = {}
    anew: dict[RankingGroup, list[Arrangement]] = {}
    for state in states:
        before: PublishedContract | None = book.shown.get(state.name)
        rules = book.pool_of(state).definition.rules
        if before is not None and not _is_stale(book, state, before, rules):
            shown[state.name] = before
            continue
        kept = before.arranged if before else (None, None)
        arranged = list(map(_arranged, state.tables.values(), kept))
        same = before is not None and before.alike.rules == rules
        alike = before.alike if before and same else _alike(state, rules)
        anew.setdefault(alike, []).append((state, arranged))
    alone = sum(map(len, anew.values())) < len(states)
    for alike, members in anew.items():
        shown.update(_show(book, alike, members, parallel_map, alone=alone))
    return {state.name: shown[state.name] for state in states}


def _alike(state: ContractState, rules: str) -> RankingGroup:
    ranking = RULE_SETS[rules].ranking
    closes = ranking.closes and not state.terms.adl_exempt and not ranking.exempts(state.terms)
    return RankingGroup(rules, state.terms.settle, closes and isinstance(ranking.score, Product))


def _show(
    book: Book,
    alike: RankingGroup,
    members: list[Arrangement],
    parallel_map: ParallelMap,
    *,
    alone: bool,
) -> Iterator[tuple[str, PublishedContract]]:
    """Return what contracts that are ranked alike show now, by name.

    What they show lies one after the other. Where others are not shown anew it is copied apart, so
    that a contract which then stays as it is does not keep alive what all others showed.
    """
    ranking = RULE_SETS[alike.rules].ranking
    size = sum([len(table.place) for _, arranged in members for table in arranged])
    rank, indicator = np.empty(size, np.int32), np.empty(size, np.int8)
    shown, end = [], 0
    for _, arranged in members:  # made before they are ranked, which needs all of the cache
        first, end = end, end + len(arranged[0].place) + len(arranged[1].place)
        own = rank[first:end], indicator[first:end]
        shown.append(PublishedContract(book.sequence, alike, arranged, *own))
    (_at_once if alike.at_once else _one_by_one)(
        book, members, ranking, parallel_map, rank, indicator
    )
    if ranking.joint and book.accounts.any_hedges:
        pairs = zip(members, shown, strict=True)
        shown = [replace(one, indicator=_joined(book, state, one)) for (state, _), one in pairs]
    if alone:
        shown = [
            replace(one, rank=one.rank.copy(), indicator=one.indicator.copy()) for one in shown
        ]
    return zip([state.name for state, _ in members], shown, strict=True)


def _is_stale(book: Book, state: ContractState, shown: PublishedContract, rules: str) -> bool:
    """Whether anything that the ranks depend on has changed since."""
    long, short = state.tables.values()
    if long.changed_at > shown.as_of or short.changed_at > shown.as_of:
        return True
    if shown.alike.rules != rules or RULE_SETS[rules].ranking.timed:
        return True
    wallets = book.asset_of(state).wallets
    is_stale = kernels_for(wallets.size).is_stale
    accounts = long.columns().account, short.columns().account
    return any(is_stale(column, wallets.rows, shown.as_of) for column in accounts)


def _arranged(table: Positions, before: SideLayout | None) -> SideLayout:
    if before is not None and before.opened_or_closed == table.opened_or_closed:
        return before
    account, position = table.account[: table.size], table.position[: table.size]
    order = np.lexsort((position, account))
    place = np.empty(table.size, np.int32)
    place[order] = np.arange(table.size)
    one_number = table.labels <= {0}  # then one stands for all
    numbers = np.broadcast_to(np.int32(0), table.size) if one_number else position[order]
    where = table.where() + where_of(place)
    return SideLayout(
        table.opened_or_closed, account[order], numbers, place, table.columns(), where
    )


def _at_once(
    book: Book,
    members: list[Arrangement],
    ranking: Ranking,
    parallel_map: ParallelMap,
    rank: np.ndarray,
    indicator: np.ndarray,
) -> None:
    """Fill in rank and indicator of all positions, in the order in which they are shown."""
    tables: list[Shown] = [table for _, arranged in members for table in arranged]
    hedging = members if book.accounts.any_hedges else []
    hedged = ((state, side) for state, _ in hedging for side in Side)
    joint = list(parallel_map(lambda table: joint_columns(book, *table), hedged))
    score = cast("Product", ranking.score)
    line = ranking.profitable_only, ranking.levels, ranking.weighting == "count"
    wallets, accounts = book.asset_of(members[0][0]).wallets, book.accounts
    exempt = accounts.adl_exempt if accounts.any_exempt else accounts.adl_exempt[:0]
    around = wallets.rows, exempt, accounts.order()
    kernels_for(accounts.size).rank_sides(
        tables, joint, *around, *score.places(), *line, rank, indicator, parallel_map
    )


def _one_by_one(
    book: Book,
    members: list[Arrangement],
    ranking: Ranking,
    parallel_map: ParallelMap,
    rank: np.ndarray,
    indicator: np.ndarray,
) -> None:
    """Do the same where a score is programmed rather than told, or nobody is closed."""

    def ranked(table: tuple[ContractState, Side, SideLayout]) -> tuple[np.ndarray, np.ndarray]:
        state, side, arranged = table
        queue, size = rank_side(value_side(book, state, side), ranking), len(arranged.place)
        own_rank, own_indicator = np.empty(size, np.int32), np.empty(size, np.int8)
        own_rank[arranged.place], own_indicator[arranged.place] = queue.rank, queue.indicator
        return own_rank, own_indicator

    tables = [
        (state, side, table)
        for state, arranged in members
        for side, table in zip(Side, arranged, strict=True)
    ]
    ranks, indicators = zip(*parallel_map(ranked, tables), strict=True)
    np.concatenate(ranks, out=rank)
    np.concatenate(indicators, out=indicator)


def _joined(book: Book, state: ContractState, shown: PublishedContract) -> np.ndarray:
    """Return indicators with the higher one of both tables where an account hedges across both."""
    long, short = (_hedging(book, table) for table in state.tables.values())
    joint = np.intersect1d(long, short, assume_unique=True)
    if not len(joint):
        return shown.indicator
    account = np.concatenate([table.account for table in shown.arranged])
    found = np.searchsorted(joint, account)
    found[found == len(joint)] = 0
    own = joint[found] == account
    highest = np.zeros(len(joint), np.int8)
    np.maximum.at(highest, found[own], shown.indicator[own])
    return np.where(own, highest[found], shown.indicator)


def _hedging(book: Book, table: Positions) -> np.ndarray:
    """Return the accounts in hedge mode that hold positions in a table, and none isolated."""
    account, isolated = table.account[: table.size], table.isolated[: table.size]
    held = np.unique(account[book.accounts.hedge_mode[account]])
    return np.setdiff1d(held, account[isolated], assume_unique=False)


def _summary(key: PositionTable, table: PublishedSide) -> SideIndicators:
    return SideIndicators(
        contract=key[0],
        side=key[1],
        positions=len(table.account),
        ranked=int(np.count_nonzero(table.rank)),
        digest=table.digest(),
    )
