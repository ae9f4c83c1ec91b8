"""Ledger accounts and postings, and the totals that the book has for each ledger account.

Cash postings sum to zero in each settle asset, lot postings in each contract. Positions and
inventory are posted at cost with a negative sign: a position with a cost of 100 is posted as -100.
So is a pool's collateral, in the pool's asset; in its own asset it is posted as it is.
`OUTSIDE` is everything that delever does not manage: the market in which inventory is unwound, and
the venue's own books, which submit absolute balances and positions.
"""

from collections.abc import Callable
from enum import StrEnum

from delever.core.book import Book
from delever.core.messages import Side


class LedgerAccount(StrEnum):
    """The ledger accounts of money and lots."""

    WALLETS = "wallets"
    MARGINS = "margins"
    POSITIONS = "positions"
    INVENTORY = "inventory"
    POOL = "pool"
    COLLATERAL = "collateral"
    FEES = "fees"
    OUTSIDE = "outside"


# Names of their own: Python 3.11 looks a member of an enumeration up in Python code.
WALLETS, MARGINS, POSITIONS, INVENTORY, POOL, COLLATERAL, FEES, OUTSIDE = LedgerAccount

Posting = tuple[LedgerAccount, str, str, int]
"""One entry of a balanced movement: ledger account, owner, unit, amount.

The owner names what the total is of: an asset (wallets, fees), a contract (margins, positions,
inventory) or a pool (pool, collateral). The unit is a settle asset (Cash) or 'lots of CONTRACT'.
"""


def lots_unit(contract: str) -> str:
    """Return the unit of a contract's lot postings."""
    return f"lots of {contract}"


def _margins(book: Book, contract: str, _unit: str) -> int:
    tables = book.contracts[contract].tables
    return tables[Side.LONG].total_margin + tables[Side.SHORT].total_margin


def _positions(book: Book, contract: str, unit: str) -> int:
    state = book.contracts[contract]
    long, short = state.tables.values()
    if unit == state.terms.settle:
        return -long.total_cost - short.total_cost
    return long.total_lots - short.total_lots


def _inventory(book: Book, contract: str, unit: str) -> int:
    state = book.contracts[contract]
    long, short = state.inventory.values()
    if unit == state.terms.settle:
        return -long.total_cost - short.total_cost
    return long.total_lots - short.total_lots


def _collateral(book: Book, pool: str, unit: str) -> int:
    held = book.pools[pool].collateral
    if unit == book.pools[pool].asset:
        return -sum(each.cost for each in held.values())
    return held[unit].amount if unit in held else 0


BOOK_TOTALS: dict[LedgerAccount, Callable[[Book, str, str], int]] = {
    WALLETS: lambda book, asset, _unit: book.assets[asset].wallets.total,
    MARGINS: _margins,
    POSITIONS: _positions,
    INVENTORY: _inventory,
    POOL: lambda book, pool, _unit: book.pools[pool].balance,
    COLLATERAL: _collateral,
    FEES: lambda book, asset, _unit: book.assets[asset].fees,
}
"""The book's own total of a ledger account, by owner and unit. `OUTSIDE` has none."""
