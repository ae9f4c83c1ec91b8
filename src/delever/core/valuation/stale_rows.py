"""Stale rows: positions and balances whose newest row was rejected, so that the book is behind.

A stale position is no counterparty of ADL; with a stale balance, all cross positions of its account
are stale. A margin bucket with a stale row in it is not taken over, as its equity is not known.
"""

from collections.abc import Sequence

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import Side
from delever.core.units import Bools
from delever.core.valuation.bankruptcy import OpenPosition
from delever.core.valuation.multi_asset import is_pooled, pooled_accounts


def has_stale_rows(book: Book, state: ContractState) -> bool:
    """Return whether any position of a contract may be stale: few books have one."""
    return bool(state.stale or _stale_balances(book, state.terms.settle))


def _stale_balances(book: Book, settle: str) -> set[str]:
    """Return the accounts whose margin in an asset rests on a stale balance."""
    stale = set(book.asset(settle).wallets.stale)
    if len(pooled_accounts(book, settle)):
        index = book.accounts.index
        for asset in book.pooled_assets():
            names = asset.wallets.stale
            stale |= {n for n in names if n in index and is_pooled(book, index[n], settle)}
    return stale


def stale_rows(book: Book, state: ContractState, side: Side) -> Bools:
    """Return which rows of a side are stale."""
    table, index = state.tables[side], book.accounts.index
    stale = np.zeros(table.size, bool)
    keys = [
        (index[name], position)
        for each, name, position in state.stale
        if each is side and name in index
    ]
    for account in [index[n] for n in _stale_balances(book, state.terms.settle) if n in index]:
        ids = table.positions_of(account)
        keys += [(account, i) for i in ids if not table.isolated[table.row_of(account, i)]]
    if keys:
        rows = table.find_all(*np.array(keys, np.int64).T.copy())
        stale[rows[rows >= 0]] = True
    return stale


def is_incomplete(book: Book, state: ContractState) -> bool:
    """Return whether a position of a contract is stale, or missing because its row was rejected."""
    if state.stale or not has_stale_rows(book, state):
        return bool(state.stale)
    return any(bool(stale_rows(book, state, side).any()) for side in Side)


def are_stale(book: Book, positions: Sequence[OpenPosition]) -> bool:
    """Return whether one account's positions, or rows in the same margin bucket, are stale."""
    if not (book.has_stale_rows and positions):
        return False
    account = positions[0].account
    name = book.accounts.names[account]
    if any((p.side, name, p.position) in p.state.stale for p in positions):
        return True
    wallets = {p.state.terms.settle for p in positions if not p.isolated}
    if any(name in _stale_balances(book, asset) for asset in wallets):
        return True
    if any(is_pooled(book, account, asset) for asset in wallets):
        wallets |= {asset.name for asset in book.pooled_assets()}
    return any(
        _is_cross(state, side, account, position)
        for state in book.contracts.values()
        if state.terms.settle in wallets
        for side, other, position in state.stale
        if other == name
    )


def _is_cross(state: ContractState, side: Side, account: int, position: int) -> bool:
    """Return whether a position is cross, or not in the book, so that it may be."""
    row = state.tables[side].find(account, position)
    return row is None or not state.tables[side].isolated[row]
