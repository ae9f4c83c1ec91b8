"""Ranks and indicators of the whole book, computed again only where they are stale.

A contract is stale if its positions or its mark, or the wallet of an account with a position in it,
have changed since it was ranked; of a multi-asset account, any of its wallets, or the index price
of an asset in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.kernels import ParallelMap, kernels_for
from delever.core.messages import Side
from delever.core.risk.publication.ranking import (
    Member,
    RankedContract,
    RankedSide,
    RankingGroup,
    group_of,
    layout_of,
    rank_group,
)
from delever.core.rules import rule_sets_of
from delever.core.units import Ints
from delever.core.valuation.multi_asset import margin_rows


@dataclass(frozen=True)
class PublishedIndicators:
    """Ranks and indicators of all contracts with a mark, as of one sequence."""

    as_of: int
    time_ms: int
    contracts: dict[str, RankedContract]

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
    states = [state for state in book.contracts.values() if state.mark]
    ranked = rank_contracts(book, states, parallel_map)
    book.cache_publication(ranked)
    return PublishedIndicators(book.sequence, book.time_ms, ranked)


def rank_contracts(
    book: Book, states: Sequence[ContractState], parallel_map: ParallelMap = map
) -> dict[str, RankedContract]:
    """Return current ranks and indicators of contracts: cached ones where they are not stale."""
    ranked: dict[str, RankedContract] = {}
    stale: dict[RankingGroup, list[Member]] = {}
    assets = {state.terms.settle for state in states}
    wallets = {asset: margin_rows(book, asset) for asset in sorted(assets)}
    for state in states:
        cached: RankedContract | None = book.publication_cache.get(state.name)
        rules = book.pool_of(state).definition.rules
        own_wallets = wallets[state.terms.settle]
        if cached is not None and not _is_stale(book, state, cached, rules, own_wallets):
            ranked[state.name] = cached
            continue
        before = cached.layouts if cached else (None, None)
        layouts = list(map(layout_of, state.tables.values(), before))
        same_rules = cached is not None and cached.group.rules == rules
        group = cached.group if cached and same_rules else group_of(book, state, rules)
        stale.setdefault(group, []).append((state, layouts))
    copied = sum(map(len, stale.values())) < len(states)
    for group, members in stale.items():
        own_wallets = wallets[group.settle]
        by_name = rank_group(book, group, members, own_wallets, parallel_map, copied=copied)
        ranked.update(by_name)
    return {state.name: ranked[state.name] for state in states}


def _is_stale(
    book: Book, state: ContractState, cached: RankedContract, rules: str, wallets: Ints
) -> bool:
    """Return whether anything that the ranks depend on has changed since they were computed.

    `wallets` are the margin rows of the contract's settle asset.
    """
    long, short = state.tables.values()
    if long.changed_at > cached.as_of or short.changed_at > cached.as_of:
        return True
    if cached.group.rules != rules or rule_sets_of(book)[rules].ranking.timed:
        return True
    is_stale = kernels_for(book.accounts.size).is_stale
    accounts = long.account[: long.size], short.account[: short.size]
    return any(is_stale(column, wallets, cached.as_of) for column in accounts)
