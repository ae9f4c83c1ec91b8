"""Managed pools: the engine itself finds the accounts that must be taken over.

An account is taken over when its equity is at or below its maintenance margin: an isolated position
alone, a cross account with all positions that stand behind managed pools. In order of account name,
then of position, so that the result does not depend on where rows happen to stand.
"""

from collections.abc import Iterator

import numpy as np

from delever.core.bankruptcy import Holding, cross_holdings, take_over
from delever.core.book import Book
from delever.core.holdings import AssetState, ContractState
from delever.core.messages import Event, Reason, Side


def liquidate_isolated(book: Book, managed: list[ContractState]) -> Iterator[Event]:
    """Yield the takeover of isolated positions whose equity is at or below maintenance."""
    for state in managed:
        for side in Side:
            lane = state.lanes[side]
            n = lane.size
            equity = lane.margin[:n] + lane.profit[:n]
            below = lane.isolated[:n] & (equity <= lane.maintenance[:n])
            for account, position in _in_order(
                book, lane.account[:n][below], lane.position[:n][below]
            ):
                holding = Holding(state, side, account, position)
                yield from take_over(book, [holding], None, Reason.EQUITY_IS_BELOW_MAINTENANCE)


def liquidate_cross(book: Book, managed: list[ContractState]) -> Iterator[Event]:
    """Yield the takeover of all managed cross positions of accounts at or below maintenance."""
    for asset in book.assets.values():
        if any(state.terms.settle == asset.name for state in managed):
            for account in _below_maintenance(book, asset):
                holdings = [
                    holding
                    for holding in cross_holdings(book, account, asset.name)
                    if holding.state in managed
                ]
                if holdings:
                    reason = Reason.EQUITY_IS_BELOW_MAINTENANCE
                    yield from take_over(book, holdings, None, reason)


def _below_maintenance(book: Book, asset: AssetState) -> list[int]:
    wallets = asset.wallets
    maintenance = wallets.maintenance[: wallets.size]
    equity = wallets.equity()
    exposed = (maintenance > 0) | (equity < 0)  # a tier may ask for no maintenance at all
    below = np.flatnonzero(exposed & (equity <= maintenance))
    return sorted(below.tolist(), key=book.accounts.names.__getitem__)


def _in_order(book: Book, accounts: np.ndarray, positions: np.ndarray) -> list[tuple[int, int]]:
    keys = zip(accounts.tolist(), positions.tolist(), strict=True)
    return sorted(keys, key=lambda key: (book.accounts.names[key[0]], key[1]))
