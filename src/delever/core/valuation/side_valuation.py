"""The inputs of a ranking: valuation of all positions of a side, as columns in integer Cash.

The margin bucket of an isolated position is the position itself; the margin bucket of a cross
position is its account's wallet in the settle asset, with all of its cross positions. That of a
multi-asset account includes its other assets, without collateral haircut.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.position_table import PositionTable
from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import Side
from delever.core.units import Bools, Ints, Mark, div_floor, share_floor
from delever.core.valuation.multi_asset import bucket_columns, shared_maintenance
from delever.core.valuation.stale_rows import stale_rows


@dataclass(frozen=True, slots=True)
class SideValuation:
    """The positions of a side, valued at one mark; every column has one entry a position.

    `notional` and `entry_notional` are absolute values at the mark and at entry, `unrealized_pnl`,
    `maintenance` and `initial_margin` those of the position. `balance`, `equity`, `bucket_pnl` and
    `bucket_maintenance` belong to the margin bucket, whose equity is shared by the positions' parts
    of `shared_maintenance`: their sum, where the other is the venue's own. `joint_pnl` and
    `joint_notional` add the other side where an account in hedge mode has both sides cross; of such
    an account's lots, `net_lots` are those beyond the other side. `account_order` breaks ties;
    `book_accounts` is the number of accounts of the whole book.
    """

    terms: ContractTerms
    side: Side
    mark_ticks: Mark
    previous_mark_ticks: Mark
    as_of: int
    time_ms: int
    book_accounts: int
    account: Ints
    account_order: Ints
    position: Ints
    lots: Ints
    net_lots: Ints
    cost: Ints
    notional: Ints
    entry_notional: Ints
    unrealized_pnl: Ints
    margin: Ints
    isolated: Bools
    balance: Ints
    bucket_pnl: Ints
    equity: Ints
    maintenance: Ints
    bucket_maintenance: Ints
    shared_maintenance: Ints
    initial_margin: Ints
    joint_pnl: Ints
    joint_notional: Ints
    under_liquidation: Bools
    stale: Bools
    account_exempt: Bools

    @property
    def size(self) -> int:
        """The number of positions."""
        return len(self.lots)

    def with_rows(self, changes: Mapping[int, Mapping[str, int]]) -> "SideValuation":
        """Return a copy with numbers of some rows replaced, for a what-if."""
        names = {name for numbers in changes.values() for name in numbers}
        columns = {name: getattr(self, name).copy() for name in names}
        for row, numbers in changes.items():
            for name, number in numbers.items():
                columns[name][row] = number
        return replace(self, **columns)


def value_side(
    book: Book, state: ContractState, side: Side, *, net_exposure: bool = True
) -> SideValuation:
    """Return the valuation of a side at the contract's current mark and the book's sequence.

    Without `net_exposure`, for a ranking that does not use it, `net_lots` are the lots.
    """
    table = state.tables[side]
    n = table.size
    account, isolated = table.account[:n].astype(np.int64), table.isolated[:n]
    of_account = bucket_columns(book, state.terms.settle, account)
    shares = shared_maintenance(book, state.terms.settle, account, of_account[2])
    pnl, margin, maintenance = table.unrealized_pnl[:n], table.margin[:n], table.maintenance[:n]
    balance = np.where(isolated, margin, of_account[0])
    bucket_pnl = np.where(isolated, pnl, of_account[1])
    entry_notional = abs(table.cost[:n])
    notional = abs(table.cost[:n] + pnl)
    joint_pnl, joint_notional = _joint(book, state, side, pnl, notional)
    return SideValuation(
        terms=state.terms,
        side=side,
        mark_ticks=state.mark,
        previous_mark_ticks=state.previous_mark,
        as_of=book.sequence,
        time_ms=book.time_ms,
        book_accounts=book.accounts.size,
        account=account,
        account_order=book.accounts.name_order()[account].astype(np.int64),
        position=table.position[:n].astype(np.int64),
        lots=table.lots[:n].copy(),
        net_lots=_net_lots(book, state, side) if net_exposure else table.lots[:n].copy(),
        cost=table.cost[:n].copy(),
        notional=notional,
        entry_notional=entry_notional,
        unrealized_pnl=pnl.copy(),
        margin=margin.copy(),
        isolated=isolated.copy(),
        balance=balance,
        bucket_pnl=bucket_pnl,
        equity=balance + bucket_pnl,
        maintenance=maintenance.copy(),
        bucket_maintenance=np.where(isolated, maintenance, of_account[2]),
        shared_maintenance=np.where(isolated, maintenance, shares),
        initial_margin=initial_margin(entry_notional, table.leverage[:n]),
        joint_pnl=joint_pnl,
        joint_notional=joint_notional,
        under_liquidation=table.under_liquidation[:n].copy(),
        stale=stale_rows(book, state, side),
        account_exempt=book.accounts.adl_exempt[account],
    )


def _net_lots(book: Book, state: ContractState, side: Side) -> Ints:
    """Return lots, those of a cross hedge less its share of the other side's, rounded down."""
    own, other = state.tables[side], state.tables[side.opposite]
    account, isolated = own.account[: own.size], own.isolated[: own.size]
    lots: Ints = own.lots[: own.size].copy()
    if not book.accounts.any_hedges:
        return lots
    joins = book.accounts.hedge_mode[account] & ~isolated
    if not joins.any():
        return lots
    totals = np.zeros((2, book.accounts.size), np.int64)
    for total, table in zip(totals, (own, other), strict=True):
        cross = np.flatnonzero(~table.isolated[: table.size])
        np.add.at(total, table.account[cross], table.lots[cross])
    hedged = joins & (totals[1][account] > 0)
    alone = hedged & (totals[0][account] == lots)  # the account's only position of this side
    lots[alone] = np.maximum(lots[alone] - totals[1][account[alone]], 0)
    for row in np.flatnonzero(hedged & ~alone).tolist():
        same, opposite = totals[:, int(account[row])].tolist()
        lots[row] = share_floor(int(lots[row]), max(same - opposite, 0), same)
    return lots


def joint_columns(book: Book, state: ContractState, side: Side) -> tuple[Ints, Ints]:
    """Return joint PnL and joint notional of a side, as in its valuation."""
    table = state.tables[side]
    pnl = table.unrealized_pnl[: table.size]
    return _joint(book, state, side, pnl, abs(table.cost[: table.size] + pnl))


def initial_margin(entry_notional_cash: Ints, leverage_hundredths: Ints) -> Ints:
    """Return entry notional / leverage in Cash, rounded down; leverage is in hundredths."""
    leverage = leverage_hundredths.astype(np.int64)
    whole = div_floor(entry_notional_cash, leverage)
    rest = entry_notional_cash - whole * leverage
    return whole * 100 + div_floor(rest * 100, leverage)


def _joint(
    book: Book, state: ContractState, side: Side, pnl: Ints, notional: Ints
) -> tuple[Ints, Ints]:
    """Return PnL and notional, with those of the other side where an account hedges cross.

    All cross positions of such an account, on either side, have the same sums.
    """
    own, other = state.tables[side], state.tables[side.opposite]
    account = own.account[: own.size]
    joins = book.accounts.hedge_mode[account] & ~own.isolated[: own.size]
    if not joins.any():
        return pnl.copy(), notional
    rows = np.flatnonzero(joins)
    own_pnl, own_notional = _of_accounts(own, account[rows])
    other_pnl, other_notional = _of_accounts(other, account[rows])
    both = other_notional > 0
    rows, joint_pnl, joint_notional = rows[both], pnl.copy(), notional.copy()
    joint_pnl[rows] = (own_pnl + other_pnl)[both]
    joint_notional[rows] = (own_notional + other_notional)[both]
    return joint_pnl, joint_notional


LOOKUP_MAX_POSITION_IDS = 8
"""Position ids up to which rows are looked up by account; with more, the table is summed."""


def _of_accounts(table: PositionTable, accounts: Ints) -> tuple[Ints, Ints]:
    """Return PnL and notional of a table's cross positions, summed for each of the accounts."""
    if len(table.position_ids) > LOOKUP_MAX_POSITION_IDS:
        pnl, notional = _by_account(table, int(accounts.max(initial=0)) + 1)
        return pnl[accounts], notional[accounts]
    pnl, notional = np.zeros((2, len(accounts)), np.int64)
    for position in sorted(table.position_ids):
        rows = table.find_all(accounts, np.full(len(accounts), position))
        found = np.flatnonzero((rows >= 0) & ~table.isolated[rows])
        rows = rows[found]
        pnl[found] += table.unrealized_pnl[rows]
        notional[found] += abs(table.cost[rows] + table.unrealized_pnl[rows])
    return pnl, notional


def _by_account(table: PositionTable, accounts: int) -> tuple[Ints, Ints]:
    """Return PnL and notional of a table's cross positions, summed for accounts 0..n-1."""
    pnl, notional = np.zeros((2, accounts), np.int64)
    chosen = ~table.isolated[: table.size] & (table.account[: table.size] < accounts)
    account, rows = table.account[: table.size][chosen], np.flatnonzero(chosen)
    np.add.at(pnl, account, table.unrealized_pnl[rows])
    np.add.at(notional, account, abs(table.cost[rows] + table.unrealized_pnl[rows]))
    return pnl, notional
