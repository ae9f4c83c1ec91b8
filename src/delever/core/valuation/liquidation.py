"""Managed pools: the accounts that the engine itself takes over.

An account is taken over when its equity is at or below its maintenance margin, or the share of it
that the rule set names: an isolated position alone, a cross account with all positions in contracts
of managed pools; none with a stale row. The order is by account name, then by position id, so the
result does not depend on the order of rows.
"""

from collections.abc import Container, Iterator, Mapping

import numpy as np

from delever.core.book import Book
from delever.core.book.pool_state import AssetState
from delever.core.messages import Event, Reason, Side
from delever.core.units import Bools, Ints, div_floor
from delever.core.valuation.bankruptcy import OpenPosition, cross_positions, take_over
from delever.core.valuation.multi_asset import margin_of_all, pooled_accounts, trigger_columns
from delever.core.valuation.netting import net_legs, settle_netted
from delever.core.valuation.numeric_range import takeover_fits
from delever.core.valuation.stale_rows import are_stale

Share = tuple[int, int]
"""Numerator and denominator of the share of maintenance margin at which a pool takes over."""


def liquidate_isolated(book: Book, managed: Mapping[str, Share]) -> Iterator[Event]:
    """Yield the takeover of isolated positions at or below their share of maintenance margin."""
    for name, share in managed.items():
        state = book.contracts[name]
        for side in Side:
            table = state.tables[side]
            rows = np.flatnonzero(table.isolated[: table.size])
            if not rows.size:
                continue
            equity = table.margin[rows] + table.unrealized_pnl[rows]
            rows = rows[equity <= share_of(table.maintenance[rows], share)]
            for account, position in _in_order(book, table.account[rows], table.position[rows]):
                one = [OpenPosition(state, side, account, position)]
                if not are_stale(book, one):
                    yield from _take_over(book, one)


def liquidate_cross(
    book: Book, managed: Mapping[str, Share], nets: Container[str]
) -> Iterator[Event]:
    """Yield the takeover of cross positions of accounts at or below their share of maintenance.

    In the contracts that net an account's opposite positions are netted first; an account that is
    then above its share is not taken over.
    """
    settled = {name: book.contracts[name].terms.settle for name in managed}
    pooled = {asset.name for asset in book.pooled_assets()}
    for asset in book.assets.values():
        shares = {share for name, share in managed.items() if settled[name] == asset.name}
        for share in sorted(shares):
            theirs = {name for name, each in managed.items() if each == share}
            for account in _below_maintenance(book, asset, share):
                yield from _liquidate(book, asset, account, share, theirs, nets)
    for share in sorted({share for name, share in managed.items() if settled[name] in pooled}):
        theirs = {name for name, each in managed.items() if each == share}
        currency = book.asset(book.margin_currency)
        for account in _pooled_below_maintenance(book, share):
            yield from _liquidate(book, currency, account, share, theirs, nets)


def _liquidate(
    book: Book,
    asset: AssetState,
    account: int,
    share: Share,
    contracts: Container[str],
    nets: Container[str],
) -> Iterator[Event]:
    """Yield the netting and the takeover of a cross account; each is applied before the next.

    An account with a stale row, or with a position at an unconfirmed mark, waits: its equity is not
    known.
    """
    cross = cross_positions(book, account, asset.name)
    if any(each.state.mark_unconfirmed for each in cross):
        return
    positions = [each for each in cross if each.state.name in contracts]
    if book.has_stale_rows and are_stale(book, positions):
        return
    netted = list(net_legs(book, positions, nets))
    yield from netted
    if netted:
        equity, maintenance = trigger_columns(book, asset.name, np.array([account]))
        if not _is_below(maintenance, equity, share).any():
            return
        cross = cross_positions(book, account, asset.name)
        positions = [each for each in cross if each.state.name in contracts]
    if positions:
        yield from _take_over(book, positions)
    for name in dict.fromkeys(event.contract for event in netted):
        yield from settle_netted(book, account, book.contracts[name])


def _take_over(book: Book, positions: list[OpenPosition]) -> list[Event]:
    """Return the takeover, or nothing where it would exceed the pool limit."""
    taken = take_over(book, positions, None, Reason.EQUITY_BELOW_MAINTENANCE)
    return taken if takeover_fits(book, taken) else []


def share_of(maintenance: Ints, share: Share) -> Ints:
    """Return the share of each maintenance margin in Cash, rounded down."""
    part, whole = share
    if part == whole:
        return maintenance
    quotient = div_floor(maintenance, whole)  # split, so that no product leaves int64
    return quotient * part + div_floor((maintenance - quotient * whole) * part, whole)


def _below_maintenance(book: Book, asset: AssetState, share: Share) -> list[int]:
    """Return the accounts at or below their share of maintenance margin, by name.

    Accounts with pooled margin in the asset are left out.
    """
    wallets, pooled = asset.wallets, pooled_accounts(book, asset.name)
    if len(pooled) == wallets.size:
        return []
    is_below = _is_below(*_margins(asset, slice(wallets.size)), share)
    is_below[pooled] = False
    return sorted(np.flatnonzero(is_below).tolist(), key=book.accounts.names.__getitem__)


def _pooled_below_maintenance(book: Book, share: Share) -> list[int]:
    """Return the multi-asset accounts at or below their share of maintenance margin, by name."""
    accounts = pooled_accounts(book, book.margin_currency)
    margin = margin_of_all(book, accounts, book.margin_currency, haircut=True)
    below = accounts[_is_below(margin.maintenance, margin.equity, share)]
    return sorted(below.tolist(), key=book.accounts.names.__getitem__)


def _margins(asset: AssetState, accounts: slice) -> tuple[Ints, Ints]:
    """Return maintenance margin and equity of accounts in one asset."""
    balance, pnl, maintenance = asset.wallets.margin_columns(accounts)
    return maintenance, balance + pnl


def _is_below(maintenance: Ints, equity: Ints, share: Share) -> Bools:
    exposed = (maintenance > 0) | (equity < 0)  # a tier may ask for no maintenance at all
    return exposed & (equity <= share_of(maintenance, share))


def _in_order(book: Book, accounts: np.ndarray, positions: np.ndarray) -> list[tuple[int, int]]:
    keys = zip(accounts.tolist(), positions.tolist(), strict=True)
    return sorted(keys, key=lambda key: (book.accounts.names[key[0]], key[1]))
