"""Commands in columns: many accounts, balances or positions at once, checked a column at a time.

What they mean is what `positions` says of rows; only the numbers come as integers, so that a batch
of an Arrow table is a command without a loop over its rows. `packing` makes one.
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
    Standing,
    check_told,
    not_included,
    outstanding,
)
from delever.core.market.validation import (
    Rejection,
    column_bytes,
    read_column,
    read_flags,
    read_names,
    reject_duplicates,
    reject_first,
    reject_unless,
)
from delever.core.messages import Event, Reason, Side
from delever.core.units import LIMIT, Bools, Ints, div_floor, exact_sum
from delever.core.valuation.numeric_range import ContractSide, Growth, check_range

SIDES = tuple(Side)
UNNUMBERED = -1
"""The row number of a position that is closed because its other side was told."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a command, or those of one table; `number` says where each stands in it."""

    number: Ints
    account: Ints
    table: Ints
    position: Ints
    lots: Ints
    cost: Ints
    isolated: Ints
    margin: Ints
    leverage: Ints
    under_liquidation: Ints

    def __getitem__(self, chosen: Any) -> "Rows":
        """Return some of the rows; a column that holds one number for all stays one."""
        size = len(self.number[chosen])
        columns = (getattr(self, name) for name in self.__slots__)
        return Rows(*(c[:size] if c.strides == (0,) else c[chosen] for c in columns))


def define_accounts(_book: Book, command: m.DefineAccounts) -> list[Event]:
    """Return the accounts as told."""
    names = command.accounts
    if "" in names:
        field = f"accounts[{names.index('')}]"
        raise Rejection(field, "", Reason.EMPTY_NAME)
    reject_duplicates("accounts", names)
    for field in ("hedge_mode", "adl_exempt"):
        read_flags(field, getattr(command, field), len(names))
    told = m.AccountsDefined(
        accounts=names, hedge_mode=command.hedge_mode, adl_exempt=command.adl_exempt
    )
    return [told] if names else []


def set_balance_columns(book: Book, command: m.SetBalanceColumns) -> list[Event]:
    """Return the balances as told, plus what outstanding fills have paid since."""
    check_told(book, command)
    reject_unless(command.asset in book.assets, "asset", command.asset, Reason.UNKNOWN_ASSET)
    account = _balance_accounts(book, command)
    cash = read_column("balance_cash", command.balance_cash, "<i8", len(account), None)
    outside = (cash <= -LIMIT) | (cash >= LIMIT)  # the least int64 has no absolute value
    reject_first(outside, "balance_cash", cash, Reason.EXCEEDS_NUMERIC_RANGE)
    known = book.accounts.balances_version[account]
    kept = known <= command.version
    events = _ignored(np.flatnonzero(~kept), account, command.version, known)
    for row in np.flatnonzero(kept & _has_later(book, account)).tolist():
        name = book.accounts.names[int(account[row])]
        for fill in outstanding(book, name, command.last_fill):
            if book.contracts[fill.contract].terms.settle == command.asset:
                cash[row] += fill.realized_pnl_cash + fill.margin_returned_cash - fill.fee_cash
    account, cash = account[kept], cash[kept]
    check_range(book, {}, largest_wallet={command.asset: int(abs(cash).max(initial=0))})
    told = m.BalanceColumnsSet(
        version=command.version,
        last_fill=command.last_fill,
        asset=command.asset,
        account=column_bytes(account, "<i4"),
        balance_cash=column_bytes(cash, "<i8"),
    )
    return [*events, told] if len(account) else events


def _balance_accounts(book: Book, command: m.SetBalanceColumns) -> Ints:
    """Return the account of each balance, by name or by number, each once."""
    if not command.account:
        reject_duplicates("accounts", command.accounts)
        return _accounts(book, command.accounts)
    size = div_floor(len(command.account), 4)
    account = read_column("account", command.account, "<i4", size, None)
    outside = (account < 0) | (account >= len(command.accounts or book.accounts.names))
    reject_first(outside, "account", account, Reason.OUT_OF_RANGE)
    if command.accounts:
        account = _accounts(book, command.accounts)[account]
    repeated = np.ones(size, bool)
    repeated[np.unique(account, return_index=True)[1]] = False
    reject_first(repeated, "account", account, Reason.DUPLICATE_ROW)
    return account


def _accounts(book: Book, names: Sequence[str]) -> Ints:
    """Return the numbers of accounts, or refuse a name that is not known."""
    found = book.accounts.names.find_all(names)
    return read_names("accounts", names, found, Reason.UNKNOWN_ACCOUNT)


def set_position_columns(book: Book, command: m.SetPositionColumns) -> list[Event]:
    """Return the positions as told, table by table, with outstanding fills taken off.

    In one-way mode an account's other side is closed with it.
    """
    check_told(book, command)
    states = _contracts(book, command.contracts)
    rows = _read_rows(book, command, states)
    told = _lanes(states, rows)
    _check_keys(book, rows, told)
    known = book.accounts.positions_version[rows.account]
    kept = known <= command.version
    events = _ignored(np.flatnonzero(~kept), rows.account, command.version, known)
    later = _has_later(book, rows.account)
    if kept.all() and not later.any():
        tables = told
    else:
        tables = _lanes(states, _bear(book, command, states, rows[kept]))
    tables = _with_closed(book, tables, told)
    check_range(book, {}, growth={key: _growth(book, key, tables[key]) for key in tables})
    return [*events, *(_lane_event(command, key, tables[key]) for key in sorted(tables))]


def _contracts(book: Book, names: tuple[str, ...]) -> list[ContractState]:
    reject_duplicates("contracts", names)
    found = [0 if name in book.contracts else -1 for name in names]
    read_names("contracts", names, found, Reason.UNKNOWN_CONTRACT)
    return [book.contracts[name] for name in names]


def _read_rows(book: Book, command: m.SetPositionColumns, states: list[ContractState]) -> Rows:
    """Return the rows in exact numbers, costs signed as values are; what is closed holds 0s."""
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
    most = np.array([div_floor(LIMIT - 1, state.terms.factor) for state in states], np.int64)
    reject_first(lots < 0, "lots", lots, Reason.NEGATIVE_NOT_ALLOWED)
    if size:
        reject_first(lots > most[contract], "lots", lots, Reason.EXCEEDS_NUMERIC_RANGE)
    is_open = lots > 0
    position = bounded("position", read("position", 0), 0, 2**31 - 1)
    cost, leverage = read("cost_cash") * is_open, read("leverage_hundredths", 100)
    reject_first(is_open & (cost <= 0), "cost_cash", cost, Reason.NOT_POSITIVE)
    reject_first(cost >= LIMIT, "cost_cash", cost, Reason.EXCEEDS_NUMERIC_RANGE)
    bounded("leverage_hundredths", leverage, 1, MAX_LEVERAGE_HUNDREDTHS)
    initial_fits = cost <= div_floor(LIMIT, 100) * np.minimum(leverage, 100)
    reject_first(~initial_fits, "leverage_hundredths", leverage, Reason.EXCEEDS_NUMERIC_RANGE)
    isolated = bounded("isolated", _where(is_open, read("isolated", 0), 0), 0, 1)
    margin = _where(is_open, read("margin_cash", 0), 0)
    reject_first(margin < 0, "margin_cash", margin, Reason.NEGATIVE_NOT_ALLOWED)
    reject_first(margin >= LIMIT, "margin_cash", margin, Reason.EXCEEDS_NUMERIC_RANGE)
    loose = (margin > 0) & (isolated == 0)
    reject_first(loose, "margin_cash", margin, Reason.OUT_OF_RANGE)
    under = bounded("under_liquidation", read("under_liquidation", 0), 0, 1)
    signs = np.array([state.terms.cost_sign(Side.LONG) for state in states], np.int64)
    if size:
        cost = cost * signs[contract] * (1 - 2 * side)
    leverage, under = _where(is_open, leverage, 100), _where(is_open, under, 0)
    row, table = np.arange(size), 2 * contract + side
    return Rows(row, account, table, position, lots, cost, isolated, margin, leverage, under)


def _where(is_open: Bools, column: Ints, closed: int) -> Ints:
    """Return the column with what a closed position holds where one is closed."""
    if column.strides == (0,):  # all hold the default, which is what closed ones hold
        return column
    return np.where(is_open, column, closed)


def _by_contract(tables: Mapping[ContractSide, Rows]) -> Iterator[Ints]:
    """Yield the accounts of each contract's rows, of both sides."""
    for (name, side), rows in tables.items():
        other = tables.get((name, side.opposite))
        if other is None:
            yield rows.account
        elif side is Side.LONG:
            yield np.concatenate((rows.account, other.account))


def _repeats(accounts: Ints) -> bool:
    ordered = np.sort(accounts)
    return bool((ordered[1:] == ordered[:-1]).any())


def _check_keys(book: Book, rows: Rows, tables: Mapping[ContractSide, Rows]) -> None:
    """Refuse a repeated row, and two open sides of one position in one-way mode."""
    if rows.position.strides == (0,) and not any(map(_repeats, _by_contract(tables))):
        return
    told = np.lexsort((rows.number, rows.table & 1, rows.position, rows.account, rows.table >> 1))
    same = np.ones(max(len(told) - 1, 0), bool)
    for column in (rows.table >> 1, rows.account, rows.position):
        same &= column[told[1:]] == column[told[:-1]]
    again = same & (rows.table[told[1:]] == rows.table[told[:-1]])
    repeated = np.zeros(len(told), bool)
    repeated[told[1:][again]] = True
    reject_first(repeated, "account", rows.account, Reason.DUPLICATE_ROW)
    is_open = rows.lots > 0
    one_way = ~book.accounts.hedge_mode[rows.account]
    both = same & is_open[told[1:]] & is_open[told[:-1]] & one_way[told[1:]]
    against = np.zeros(len(told), bool)
    against[np.maximum(told[1:][both], told[:-1][both])] = True
    reject_first(against, "side", rows.table & 1, Reason.HEDGE_MODE_REQUIRED)


def _bear(
    book: Book, command: m.SetPositionColumns, states: list[ContractState], rows: Rows
) -> Rows:
    """Return the rows with the fills and losses on top that they do not include."""
    later = np.flatnonzero(_has_later(book, rows.account)).tolist()
    if not later:
        return rows
    lots, cost, margin = rows.lots.copy(), rows.cost.copy(), rows.margin.copy()
    for row in later:
        account, table = book.accounts.names[int(rows.account[row])], int(rows.table[row])
        key = states[table >> 1].name, SIDES[table & 1], int(rows.position[row])
        held = int(lots[row]), int(cost[row])
        standing = Standing(account, key[2], *held, margin_cash=int(margin[row]))
        for change in not_included(book, account, command.last_fill):
            if (change.contract, change.side, change.position) == key:
                standing.bear(change)
        lots[row], cost[row] = standing.lots, standing.cost_cash
        margin[row] = standing.margin_cash
    return replace(rows, lots=lots, cost=cost, margin=margin)


def _has_later(book: Book, accounts: Ints) -> Bools:
    """Return which accounts have fills or losses that the venue's numbers may not include."""
    names = book.with_outstanding()
    return np.isin(accounts, [book.accounts.index[name] for name in names])


def _lanes(states: list[ContractState], rows: Rows) -> dict[ContractSide, Rows]:
    """Return the rows by table, in the order told."""
    if not len(rows.table):
        return {}
    small = np.uint16 if len(states) < 2**15 else np.int64  # which sorts faster
    if np.any(rows.table[1:] < rows.table[:-1]):
        rows = rows[np.argsort(rows.table.astype(small), kind="stable")]
    starts = np.flatnonzero(np.diff(rows.table, prepend=-1))
    tables = rows.table[starts].tolist()
    ends = [*starts[1:].tolist(), len(rows.table)]
    return {
        (states[table >> 1].name, SIDES[table & 1]): rows[start:end]
        for table, start, end in zip(tables, starts.tolist(), ends, strict=True)
    }


def _with_closed(
    book: Book, tables: Mapping[ContractSide, Rows], told: Mapping[ContractSide, Rows]
) -> dict[ContractSide, Rows]:
    """Return the rows by table with what a one-way account held on the side that is replaced."""
    closing: dict[ContractSide, Rows] = {}
    for (name, side), rows in tables.items():
        table = book.contracts[name].tables[side.opposite]
        if table.size == 0:
            continue
        flips = (rows.lots > 0) & ~book.accounts.hedge_mode[rows.account]
        flips &= table.index.find_all(rows.account, rows.position) >= 0
        if flips.any() and (name, side.opposite) in told:
            flips &= ~np.isin(_key(rows), _key(told[name, side.opposite]))
        if flips.any():
            closing[name, side.opposite] = _closed(rows[flips])
    joined = {k: _joined(tables[k], rows) if k in tables else rows for k, rows in closing.items()}
    return {**tables, **joined}


def _key(rows: Rows) -> Ints:
    return rows.account << 32 | rows.position


def _closed(rows: Rows) -> Rows:
    none = np.zeros(len(rows.account), np.int64)
    number, table = none + UNNUMBERED, rows.table ^ 1
    held = none, none, none, none, none + 100, none
    return Rows(number, rows.account, table, rows.position, *held)


def _joined(first: Rows, second: Rows) -> Rows:
    names = Rows.__slots__
    return Rows(*(np.concatenate((getattr(first, n), getattr(second, n))) for n in names))


def _growth(book: Book, key: ContractSide, rows: Rows) -> Growth:
    constant = rows.position.strides == (0,)
    labels = [0] if constant else np.unique(rows.position).tolist()
    return Growth(
        total_lots=exact_sum(rows.lots),
        largest_lots=int(rows.lots.max(initial=0)),
        largest_cost=int((abs(rows.cost) + rows.margin).max(initial=0)),
        numbers=len(book.contracts[key[0]].tables[key[1]].labels.union(labels)),
    )


def _ignored(rows: Ints, account: Ints, version: int, known: Ints) -> list[Event]:
    """Return the event that names rows older than what is known of their accounts."""
    if not len(rows):
        return []
    return [
        m.RowsIgnored(
            rows=column_bytes(rows, "<i4"),
            account=column_bytes(account[rows], "<i4"),
            version=version,
            known_versions=column_bytes(known[rows], "<i8"),
        )
    ]


def _lane_event(
    command: m.SetPositionColumns, key: ContractSide, rows: Rows
) -> m.PositionColumnsSet:
    return m.PositionColumnsSet(
        version=command.version,
        last_fill=command.last_fill,
        contract=key[0],
        side=key[1],
        account=column_bytes(rows.account, "<i4"),
        position=column_bytes(rows.position, "<i4", 0),
        lots=column_bytes(rows.lots, "<i8"),
        cost_cash=column_bytes(rows.cost, "<i8"),
        isolated=column_bytes(rows.isolated, "<i1", 0),
        margin_cash=column_bytes(rows.margin, "<i8", 0),
        leverage_hundredths=column_bytes(rows.leverage, "<i4", 100),
        under_liquidation=column_bytes(rows.under_liquidation, "<i1", 0),
    )
