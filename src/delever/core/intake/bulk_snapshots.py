"""Absolute balances and positions in columns: many rows at once, validated a column at a time.

They mean what the rows of `snapshots` mean, with exact integers instead of decimal text, so that a
batch of an Arrow table is one command without a loop over its rows. `column_packing` makes one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.intake.column_packing import POSITION_TYPES
from delever.core.intake.snapshots import (
    MAX_LEVERAGE_HUNDREDTHS,
    SubmittedPosition,
    check_version,
    exceeding_notice,
    growth_reason,
    outstanding_changes,
    outstanding_fills,
)
from delever.core.market.validation import (
    Rejection,
    pack_column,
    read_column,
    read_flags,
    read_names,
    reject_duplicates,
    reject_first,
    reject_unless,
)
from delever.core.messages import Event, Reason, Side
from delever.core.units import COLUMN_LIMIT, Bools, Ints, div_floor, exact_sum
from delever.core.valuation.numeric_range import ContractSide, Growth, check_range

SIDES = tuple(Side)
NO_ROW = -1
"""The row index of a position that is closed because a row opens its other side."""


@dataclass(frozen=True, slots=True)
class SnapshotRows:
    """The rows of a command, or those of one side; `row` is their index in the command.

    `side` counts the sides of all contracts: 2 * contract for longs, and one more for shorts.
    """

    row: Ints
    account: Ints
    side: Ints
    position: Ints
    lots: Ints
    cost: Ints
    isolated: Ints
    margin: Ints
    leverage: Ints
    under_liquidation: Ints

    def __getitem__(self, chosen: Any) -> "SnapshotRows":
        """Return some of the rows; a column of one broadcast number stays broadcast."""
        size = len(self.row[chosen])
        columns = (getattr(self, name) for name in self.__slots__)
        return SnapshotRows(*(c[:size] if c.strides == (0,) else c[chosen] for c in columns))


def define_accounts(_book: Book, command: m.DefineAccounts) -> list[Event]:
    """Return the accounts submitted."""
    names = command.accounts
    if "" in names:
        field = f"accounts[{names.index('')}]"
        raise Rejection(field, "", Reason.EMPTY_NAME)
    reject_duplicates("accounts", names)
    for field in ("hedge_mode", "adl_exempt"):
        read_flags(field, getattr(command, field), len(names))
    defined = m.AccountsDefined(
        accounts=names, hedge_mode=command.hedge_mode, adl_exempt=command.adl_exempt
    )
    return [defined] if names else []


def set_balance_columns(book: Book, command: m.SetBalanceColumns) -> list[Event]:
    """Return the balances submitted, plus what outstanding fills have paid since."""
    check_version(book, command)
    reject_unless(command.asset in book.assets, "asset", command.asset, Reason.UNKNOWN_ASSET)
    account = _balance_accounts(book, command)
    cash = read_column("balance_cash", command.balance_cash, "<i8", len(account), None)
    outside = (cash <= -COLUMN_LIMIT) | (
        cash >= COLUMN_LIMIT
    )  # int64's minimum has no absolute value
    reject_first(outside, "balance_cash", cash, Reason.EXCEEDS_NUMERIC_RANGE)
    known = book.accounts.balances_version[account]
    current = known <= command.version
    events = _ignored(np.flatnonzero(~current), account, command.version, known)
    for row in np.flatnonzero(current & _has_outstanding(book, account)).tolist():
        name = book.accounts.names[int(account[row])]
        for fill in outstanding_fills(book, name, command.last_fill):
            if book.contracts[fill.contract].terms.settle == command.asset:
                cash[row] += fill.realized_pnl_cash + fill.margin_returned_cash - fill.fee_cash
    account, cash = account[current], cash[current]
    check_range(book, {}, max_balance={command.asset: int(abs(cash).max(initial=0))})
    balances = m.BalanceColumnsSet(
        version=command.version,
        last_fill=command.last_fill,
        asset=command.asset,
        account=pack_column(account, "<i4"),
        balance_cash=pack_column(cash, "<i8"),
    )
    return [*events, balances] if len(account) else events


def _balance_accounts(book: Book, command: m.SetBalanceColumns) -> Ints:
    """Return the account index of each balance, from names or indices; duplicates are rejected."""
    if not command.account:
        reject_duplicates("accounts", command.accounts)
        return _accounts(book, command.accounts)
    size = div_floor(len(command.account), 4)
    account = read_column("account", command.account, "<i4", size, None)
    outside = (account < 0) | (account >= len(command.accounts or book.accounts.names))
    reject_first(outside, "account", account, Reason.OUT_OF_RANGE)
    if command.accounts:
        account = _accounts(book, command.accounts)[account]
    duplicate = np.ones(size, bool)
    duplicate[np.unique(account, return_index=True)[1]] = False
    reject_first(duplicate, "account", account, Reason.DUPLICATE_ROW)
    return account


def _accounts(book: Book, names: Sequence[str]) -> Ints:
    """Return the indices of accounts; rejected if a name is unknown."""
    found = book.accounts.names.find_all(names)
    return read_names("accounts", names, found, Reason.UNKNOWN_ACCOUNT)


def set_position_columns(book: Book, command: m.SetPositionColumns) -> list[Event]:
    """Return the positions submitted, side by side, with outstanding fills and losses applied.

    In one-way mode a new position closes the account's position on the other side.
    """
    check_version(book, command)
    states = _contracts(book, command.contracts)
    rows = _read_rows(book, command, states)
    submitted = _by_side(states, rows)
    _check_keys(book, rows, submitted)
    known = book.accounts.positions_version[rows.account]
    current = known <= command.version
    events = _ignored(np.flatnonzero(~current), rows.account, command.version, known)
    if current.all() and not _has_outstanding(book, rows.account).any():
        sides = submitted
    else:
        applied, notices = _apply_outstanding(book, command, states, rows[current])
        sides = _by_side(states, applied)
        events += notices
    for (name, side), of_side in sides.items():
        _check_growth(book.contracts[name], side, of_side)
    sides = _with_closed(book, sides, submitted)
    check_range(book, {}, growth={key: _growth(book, key, sides[key]) for key in sides})
    return [*events, *(_columns_set(command, key, sides[key]) for key in sorted(sides))]


def _contracts(book: Book, names: tuple[str, ...]) -> list[ContractState]:
    reject_duplicates("contracts", names)
    found = [0 if name in book.contracts else -1 for name in names]
    read_names("contracts", names, found, Reason.UNKNOWN_CONTRACT)
    return [book.contracts[name] for name in names]


def _read_rows(
    book: Book, command: m.SetPositionColumns, states: list[ContractState]
) -> SnapshotRows:
    """Return the validated rows; costs have the sign of values, closed positions are all 0."""
    size = div_floor(len(command.account), 4)

    def read(name: str, default: int | None = None) -> Ints:
        return read_column(name, getattr(command, name), POSITION_TYPES[name], size, default)

    def bounded(name: str, column: Ints, low: int, high: int) -> Ints:
        outside = (column < low) | (column > high)
        reject_first(outside, name, column, Reason.OUT_OF_RANGE)
        return column

    known = command.accounts or book.accounts.names
    account = bounded("account", read("account"), 0, len(known) - 1)
    if command.accounts:
        account = _accounts(book, command.accounts)[account]
    contract = bounded("contract", read("contract"), 0, len(states) - 1)
    side = bounded("side", read("side"), 0, 1)
    lots = read("lots")
    max_lots = np.array(
        [div_floor(COLUMN_LIMIT - 1, state.terms.factor) for state in states], np.int64
    )
    reject_first(lots < 0, "lots", lots, Reason.NEGATIVE_NOT_ALLOWED)
    if size:
        reject_first(lots > max_lots[contract], "lots", lots, Reason.EXCEEDS_NUMERIC_RANGE)
    is_open = lots > 0
    position = bounded("position", read("position", 0), 0, 2**31 - 1)
    cost, leverage = read("cost_cash") * is_open, read("leverage_hundredths", 100)
    reject_first(is_open & (cost <= 0), "cost_cash", cost, Reason.NOT_POSITIVE)
    reject_first(cost >= COLUMN_LIMIT, "cost_cash", cost, Reason.EXCEEDS_NUMERIC_RANGE)
    bounded("leverage_hundredths", leverage, 1, MAX_LEVERAGE_HUNDREDTHS)
    initial_fits = cost <= div_floor(COLUMN_LIMIT, 100) * np.minimum(leverage, 100)
    reject_first(~initial_fits, "leverage_hundredths", leverage, Reason.EXCEEDS_NUMERIC_RANGE)
    isolated = bounded("isolated", _where(is_open, read("isolated", 0), 0), 0, 1)
    margin = _where(is_open, read("margin_cash", 0), 0)
    reject_first(margin < 0, "margin_cash", margin, Reason.NEGATIVE_NOT_ALLOWED)
    reject_first(margin >= COLUMN_LIMIT, "margin_cash", margin, Reason.EXCEEDS_NUMERIC_RANGE)
    not_isolated = (margin > 0) & (isolated == 0)
    reject_first(not_isolated, "margin_cash", margin, Reason.OUT_OF_RANGE)
    under = bounded("under_liquidation", read("under_liquidation", 0), 0, 1)
    signs = np.array([state.terms.cost_sign(Side.LONG) for state in states], np.int64)
    if size:
        cost = cost * signs[contract] * (1 - 2 * side)
    leverage, under = _where(is_open, leverage, 100), _where(is_open, under, 0)
    row, side_index = np.arange(size), 2 * contract + side
    return SnapshotRows(
        row, account, side_index, position, lots, cost, isolated, margin, leverage, under
    )


def _where(is_open: Bools, column: Ints, closed: int) -> Ints:
    """Return the column with the value of closed positions where one is closed."""
    if column.strides == (0,):  # the default for all rows, which is that of closed positions
        return column
    return np.where(is_open, column, closed)


def _by_contract(sides: Mapping[ContractSide, SnapshotRows]) -> Iterator[Ints]:
    """Yield the accounts of each contract's rows, of both sides."""
    for (name, side), rows in sides.items():
        other = sides.get((name, side.opposite))
        if other is None:
            yield rows.account
        elif side is Side.LONG:
            yield np.concatenate((rows.account, other.account))


def _has_duplicates(accounts: Ints) -> bool:
    ordered = np.sort(accounts)
    return bool((ordered[1:] == ordered[:-1]).any())


def _check_keys(book: Book, rows: SnapshotRows, sides: Mapping[ContractSide, SnapshotRows]) -> None:
    """Reject a duplicate row, and two open sides of one position in one-way mode."""
    if rows.position.strides == (0,) and not any(map(_has_duplicates, _by_contract(sides))):
        return
    contract, side = rows.side >> 1, rows.side & 1
    order = np.lexsort((rows.row, side, rows.position, rows.account, contract))
    first, second = order[:-1], order[1:]  # each row and the next one
    same = np.ones(max(len(order) - 1, 0), bool)
    for column in (contract, rows.account, rows.position):
        same &= column[second] == column[first]
    duplicate = np.zeros(len(order), bool)
    duplicate[second[same & (side[second] == side[first])]] = True
    reject_first(duplicate, "account", rows.account, Reason.DUPLICATE_ROW)
    is_open = rows.lots > 0
    one_way = ~book.accounts.hedge_mode[rows.account]
    both_open = same & is_open[second] & is_open[first] & one_way[second]
    hedged = np.zeros(len(order), bool)
    hedged[np.maximum(second[both_open], first[both_open])] = True
    reject_first(hedged, "side", side, Reason.HEDGE_MODE_REQUIRED)


def _apply_outstanding(
    book: Book, command: m.SetPositionColumns, states: list[ContractState], rows: SnapshotRows
) -> tuple[SnapshotRows, list[Event]]:
    """Return the rows with the fills and losses applied that the command does not include.

    The notices are of fills that are larger than the position submitted.
    """
    notices: list[Event] = []
    with_outstanding = np.flatnonzero(_has_outstanding(book, rows.account)).tolist()
    if not with_outstanding:
        return rows, []
    lots, cost, margin = rows.lots.copy(), rows.cost.copy(), rows.margin.copy()
    for row in with_outstanding:
        account, side = book.accounts.names[int(rows.account[row])], int(rows.side[row])
        key = states[side >> 1].name, SIDES[side & 1], int(rows.position[row])
        amounts = int(lots[row]), int(cost[row])
        position = SubmittedPosition(account, key[2], *amounts, margin_cash=int(margin[row]))
        for change in outstanding_changes(book, account, command.last_fill):
            if (change.contract, change.side, change.position) == key:
                notices += exceeding_notice(change, position)
                position.apply_outstanding(change)
        lots[row], cost[row] = position.lots, position.cost_cash
        margin[row] = position.margin_cash
    return replace(rows, lots=lots, cost=cost, margin=margin), notices


def _has_outstanding(book: Book, accounts: Ints) -> Bools:
    """Return which accounts have fills or losses that the venue may not have included yet."""
    names = book.accounts_with_outstanding()
    return np.isin(accounts, [book.accounts.index[name] for name in names])


def _by_side(states: list[ContractState], rows: SnapshotRows) -> dict[ContractSide, SnapshotRows]:
    """Return the rows by side, in the order of the command."""
    if not len(rows.side):
        return {}
    narrow = np.uint16 if len(states) < 2**15 else np.int64  # sorts faster
    if np.any(rows.side[1:] < rows.side[:-1]):
        rows = rows[np.argsort(rows.side.astype(narrow), kind="stable")]
    starts = np.flatnonzero(np.diff(rows.side, prepend=-1))
    sides = rows.side[starts].tolist()
    ends = [*starts[1:].tolist(), len(rows.side)]
    return {
        (states[side >> 1].name, SIDES[side & 1]): rows[start:end]
        for side, start, end in zip(sides, starts.tolist(), ends, strict=True)
    }


def _with_closed(
    book: Book,
    sides: Mapping[ContractSide, SnapshotRows],
    submitted: Mapping[ContractSide, SnapshotRows],
) -> dict[ContractSide, SnapshotRows]:
    """Return the rows, and the closing of positions that one-way accounts replace by others."""
    closing: dict[ContractSide, SnapshotRows] = {}
    for (name, side), rows in sides.items():
        table = book.contracts[name].tables[side.opposite]
        if table.size == 0:
            continue
        flips = (rows.lots > 0) & ~book.accounts.hedge_mode[rows.account]
        flips &= table.find_all(rows.account, rows.position) >= 0
        if flips.any() and (name, side.opposite) in submitted:
            flips &= ~np.isin(_key(rows), _key(submitted[name, side.opposite]))
        if flips.any():
            closing[name, side.opposite] = _closed(rows[flips])
    joined = {
        key: _concatenated(sides[key], rows) if key in sides else rows
        for key, rows in closing.items()
    }
    return {**sides, **joined}


def _check_growth(state: ContractState, side: Side, rows: SnapshotRows) -> None:
    """Reject the first position of a delisted contract that is new or larger than the one known."""
    if not state.is_delisted or not rows.lots.any():
        return
    table = state.tables[side]
    found = table.find_all(rows.account, rows.position)
    known = np.zeros(len(found), np.int64)
    known[found >= 0] = table.lots[found[found >= 0]]
    grown = np.flatnonzero(rows.lots > known).tolist()
    if grown:
        row, lots = int(rows.row[grown[0]]), int(rows.lots[grown[0]])
        raise Rejection(f"lots[{row}]", lots, growth_reason(state))


def _key(rows: SnapshotRows) -> Ints:
    """Return account and position as one number a row."""
    return rows.account << 32 | rows.position


def _closed(rows: SnapshotRows) -> SnapshotRows:
    """Return rows that close the positions with the same keys on the other side."""
    zero = np.zeros(len(rows.account), np.int64)
    row, side = zero + NO_ROW, rows.side ^ 1
    amounts = zero, zero, zero, zero, zero + 100, zero
    return SnapshotRows(row, rows.account, side, rows.position, *amounts)


def _concatenated(first: SnapshotRows, second: SnapshotRows) -> SnapshotRows:
    names = SnapshotRows.__slots__
    return SnapshotRows(*(np.concatenate((getattr(first, n), getattr(second, n))) for n in names))


def _growth(book: Book, key: ContractSide, rows: SnapshotRows) -> Growth:
    broadcast = rows.position.strides == (0,)
    new_ids = [0] if broadcast else np.unique(rows.position).tolist()
    known_ids = book.contracts[key[0]].tables[key[1]].position_ids
    return Growth(
        total_lots=exact_sum(rows.lots),
        max_lots=int(rows.lots.max(initial=0)),
        max_cost=int((abs(rows.cost) + rows.margin).max(initial=0)),
        position_ids=len(known_ids.union(new_ids)),
    )


def _ignored(rows: Ints, account: Ints, version: int, known: Ints) -> list[Event]:
    """Return the event of rows older than the known version of their accounts."""
    if not len(rows):
        return []
    return [
        m.RowsIgnored(
            rows=pack_column(rows, "<i4"),
            account=pack_column(account[rows], "<i4"),
            version=version,
            known_versions=pack_column(known[rows], "<i8"),
        )
    ]


def _columns_set(
    command: m.SetPositionColumns, key: ContractSide, rows: SnapshotRows
) -> m.PositionColumnsSet:
    return m.PositionColumnsSet(
        version=command.version,
        last_fill=command.last_fill,
        contract=key[0],
        side=key[1],
        account=pack_column(rows.account, "<i4"),
        position=pack_column(rows.position, "<i4", 0),
        lots=pack_column(rows.lots, "<i8"),
        cost_cash=pack_column(rows.cost, "<i8"),
        isolated=pack_column(rows.isolated, "<i1", 0),
        margin_cash=pack_column(rows.margin, "<i8", 0),
        leverage_hundredths=pack_column(rows.leverage, "<i4", 100),
        under_liquidation=pack_column(rows.under_liquidation, "<i1", 0),
    )
