"""Managed pools: the engine itself finds the accounts that must be taken over.

An account is taken over when its equity is at or below its maintenance margin, or the part of it
that the venue's rules name: an isolated position alone, a cross account with all positions that
stand behind managed pools. In order of account name, then of position, so that the result does not
depend on where rows happen to stand.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from delever.core.book import Book
from delever.core.book.pool_state import AssetState
from delever.core.messages import Event, Reason, Side
from delever.core.units import Ints, div_floor
from delever.core.valuation.bankruptcy import Holding, cross_holdings, take_over
from delever.core.valuation.numeric_range import takeover_fits

Share = tuple[int, int]
"""Numerator and denominator of the part of maintenance margin at which a pool takes over."""


def liquidate_isolated(book: Book, managed: Mapping[str, Share]) -> Iterator[Event]:
    """Yield the takeover of isolated positions at or below their share of maintenance."""
    for name, share in managed.items():
        state = book.contracts[name]
        for side in Side:
            table = state.tables[side]
            n = table.size
            equity = table.margin[:n] + table.unrealized_pnl[:n]
            below = table.isolated[:n] & (equity <= part_of(table.maintenance[:n], share))
            for account, position in _in_order(
                book, table.account[:n][below], table.position[:n][below]
            ):
                yield from _take_over(book, [Holding(state, side, account, position)])


def liquidate_cross(book: Book, managed: Mapping[str, Share]) -> Iterator[Event]:
    """Yield the takeover of managed cross positions of accounts at or below their share."""
    settled = {name: book.contracts[name].terms.settle for name in managed}
    for asset in book.assets.values():
        shares = {share for name, share in managed.items() if settled[name] == asset.name}
        for share in sorted(shares):
            for account in _below_maintenance(book, asset, share):
                holdings = [
                    holding
                    for holding in cross_holdings(book, account, asset.name)
                    if managed.get(holding.state.name) == share
                ]
                if holdings:
                    yield from _take_over(book, holdings)


def _take_over(book: Book, holdings: list[Holding]) -> list[Event]:
    """Return the takeover; an account whose positions no pool has room for stands as it is."""
    taken = take_over(book, holdings, None, Reason.EQUITY_BELOW_MAINTENANCE)
    return taken if takeover_fits(book, taken) else []


def part_of(maintenance: Ints, share: Share) -> Ints:
    """Return the share of each maintenance margin in Cash, rounded down."""
    part, whole = share
    times = div_floor(maintenance, whole)
    return times * part + div_floor((maintenance - times * whole) * part, whole)


def _below_maintenance(book: Book, asset: AssetState, share: Share) -> list[int]:
    wallets = asset.wallets
    maintenance = wallets.maintenance[: wallets.size]
    equity = wallets.equity()
    exposed = (maintenance > 0) | (equity < 0)  # a tier may ask for no maintenance at all
    below = np.flatnonzero(exposed & (equity <= part_of(maintenance, share)))
    return sorted(below.tolist(), key=book.accounts.names.__getitem__)


def _in_order(book: Book, accounts: np.ndarray, positions: np.ndarray) -> list[tuple[int, int]]:
    keys = zip(accounts.tolist(), positions.tolist(), strict=True)
    return sorted(keys, key=lambda key: (book.accounts.names[key[0]], key[1]))
