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
from delever.core.intake.row_rejections import RowChecks, fewest_too_large, with_notices
from delever.core.intake.snapshots import (
    MAX_LEVERAGE_HUNDREDTHS,
    SubmittedPosition,
    check_version,
    exceeding_notice,
    growth_reason,
    outstanding_changes,
    paid_since,
)
from delever.core.market.validation import (
    Rejection,
    pack_column,
    read_column,
    read_flags,
    read_names,
    reject_duplicates,
    reject_unless,
    unpack_column,
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
    for field in ("hedge_mode", "adl_exempt", "multi_asset"):
        read_flags(field, getattr(command, field), len(names))
    fits = len(command.owners) in {0, len(names)}
    reject_unless(fits, "owners", f"{len(command.owners)} names", Reason.COLUMN_LENGTH_MISMATCH)
    defined = m.AccountsDefined(
        accounts=names,
        hedge_mode=command.hedge_mode,
        adl_exempt=command.adl_exempt,
        multi_asset=command.multi_asset,
        owners=command.owners,
    )
    return [defined] if names else []


def set_balance_columns(book: Book, command: m.SetBalanceColumns) -> list[Event]:
    """Return the balances submitted, plus what fills and compensations have paid since."""
    check_version(book, command)
    reject_unless(command.asset in book.assets, "asset", command.asset, Reason.UNKNOWN_ASSET)
    size = div_floor(len(command.account), 4) if command.account else len(command.accounts)
    checks = RowChecks(size, strict=command.strict)
    account = _account_indices(book, command, checks)
    cash = read_column("balance_cash", command.balance_cash, "<i8", size, None)
    duplicate = np.ones(size, bool)
    duplicate[np.unique(account, return_index=True)[1]] = False
    checks.check(duplicate & (account >= 0), "account", account, Reason.DUPLICATE_ROW)
    outside = (cash <= -COLUMN_LIMIT) | (
        cash >= COLUMN_LIMIT
    )  # int64's minimum has no absolute value
    checks.check(outside, "balance_cash", cash, Reason.EXCEEDS_NUMERIC_RANGE)
    known = _known_versions(book.accounts.balances_version, account)
    current = known <= command.version
    events = _ignored(np.flatnonzero(~current), account, command.version, known)
    current &= ~checks.failed
    for row in np.flatnonzero(current & _has_outstanding(book, account)).tolist():
        name = book.accounts.names[int(account[row])]
        cash[row] += paid_since(book, name, command.asset, command.last_fill)
    rows = np.flatnonzero(current)

    def check(taken: Any) -> None:
        most = int(abs(cash[rows[taken]]).max(initial=0))
        check_range(book, {}, max_balance={command.asset: most})

    try:
        check(slice(None))
    except Rejection:
        if command.strict:
            raise
        large = rows[fewest_too_large(abs(cash[rows]).astype(np.float64), check)]
        checks.add(large, "balance_cash", cash, Reason.EXCEEDS_NUMERIC_RANGE)
        rows = np.flatnonzero(current & ~checks.failed)
    if len(rows):
        events.append(
            m.BalanceColumnsSet(
                version=command.version,
                last_fill=command.last_fill,
                asset=command.asset,
                account=pack_column(account[rows], "<i4"),
                balance_cash=pack_column(cash[rows], "<i8"),
            )
        )
    return [*events, *with_notices(book, _balances_rejected(book, command, checks, known))]


def _account_indices(
    book: Book, command: m.SetBalanceColumns | m.SetPositionColumns, checks: RowChecks
) -> Ints:
    """Return the account index of each row, from names or indices; -1 where there is none."""
    found = np.empty(0, np.int64)
    if command.accounts and checks.strict:
        found = _accounts(book, command.accounts)
    elif command.accounts:
        found = np.array(book.accounts.names.find_all(command.accounts), np.int64)
    if command.account or isinstance(command, m.SetPositionColumns):
        account = read_column("account", command.account, "<i4", len(checks.failed), None)
        known = len(command.accounts or book.accounts.names)
        checks.check((account < 0) | (account >= known), "account", account, Reason.OUT_OF_RANGE)
        if checks.failed.any():
            account[checks.failed] = -1
        if not command.accounts:
            return account
        found = np.append(found, -1)[account]  # the last, -1, is that of an unknown account
    elif checks.strict:
        reject_duplicates("accounts", command.accounts)
    unknown = (found < 0) & ~checks.failed
    if unknown.any():
        checks.check(unknown, "accounts", np.arange(len(found)), Reason.UNKNOWN_ACCOUNT)
    return found


def _accounts(book: Book, names: Sequence[str]) -> Ints:
    """Return the indices of accounts; rejected if a name is unknown."""
    found = book.accounts.names.find_all(names)
    return read_names("accounts", names, found, Reason.UNKNOWN_ACCOUNT)


def _known_versions(versions: Ints, account: Ints) -> Ints:
    """Return the version of each account's newest snapshot, -1 without one."""
    known = versions[account]
    known[account < 0] = -1
    return known


def _names(
    book: Book, command: m.SetBalanceColumns | m.SetPositionColumns, rows: Ints
) -> tuple[str, ...]:
    """Return the account of each row as the command names it, "" where it does not."""
    names = command.accounts or book.accounts.names
    if not command.account:
        return tuple(names[row] for row in rows.tolist())
    indices = np.frombuffer(command.account, "<i4")[rows].tolist()
    return tuple(names[index] if 0 <= index < len(names) else "" for index in indices)


def _balances_rejected(
    book: Book, command: m.SetBalanceColumns, checks: RowChecks, known: Ints
) -> list[m.RowsRejected]:
    """Return the rejection of the rows that failed, except those older than their account's."""
    return [
        m.RowsRejected(
            command="set_balance_columns",
            asset=command.asset,
            reason=reason,
            field=field,
            rows=pack_column(rows[newest], "<i4"),
            accounts=_names(book, command, rows[newest]),
            values=pack_column(values[newest], "<i8"),
        )
        for rows, field, values, reason in checks.failures
        if (newest := known[rows] <= command.version).any()
    ]


def set_position_columns(book: Book, command: m.SetPositionColumns) -> list[Event]:
    """Return the positions submitted, side by side, with outstanding fills and losses applied.

    In one-way mode a new position closes the account's position on the other side. A row that
    cannot be taken is rejected alone, or with the command if that is strict.
    """
    check_version(book, command)
    checks = RowChecks(div_floor(len(command.account), 4), strict=command.strict)
    states, contracts = _contracts(book, command)
    every = _read_rows(book, command, states, contracts, checks)
    rows, submitted = _checked_keys(book, states, every, checks)
    known = _known_versions(book.accounts.positions_version, every.account)
    current = known <= command.version
    events = _ignored(np.flatnonzero(~current), every.account, command.version, known)
    sides = submitted
    if not current.all() or _has_outstanding(book, rows.account).any():
        rows, notices = _apply_outstanding(book, command, states, rows[current[rows.row]])
        sides = _by_side(states, rows)
        events += notices
    if any(state.is_delisted for state in states):
        rows = _not_grown(states, rows, checks)
        sides = _by_side(states, rows)
        submitted = _by_side(states, _passed(every, checks))
    sides = _with_closed(book, sides, submitted)
    try:
        check_range(book, {}, growth=_growths(book, sides))
    except Rejection:
        if command.strict:
            raise
        rows = _fitting(book, states, rows, checks)
        submitted = _by_side(states, _passed(every, checks))
        sides = _with_closed(book, _by_side(states, rows), submitted)
    events += [_columns_set(command, key, sides[key]) for key in sorted(sides)]
    return [*events, *with_notices(book, _positions_rejected(book, command, checks, known))]


def _passed(rows: SnapshotRows, checks: RowChecks) -> SnapshotRows:
    """Return the rows of a command that have not failed."""
    return rows[~checks.failed] if checks.failures else rows


def _fitting(
    book: Book, states: list[ContractState], rows: SnapshotRows, checks: RowChecks
) -> SnapshotRows:
    """Return the rows that fit the numeric range together; the largest of the others fail."""

    def check(taken: Bools) -> None:
        check_range(book, {}, growth=_growths(book, _by_side(states, rows[taken])))

    lot_values = np.array([state.terms.max_lot_value(state.mark) for state in states], np.float64)
    sizes = rows.lots * lot_values[rows.side >> 1] + abs(rows.cost) + rows.margin
    large = fewest_too_large(sizes, check)
    taken = np.ones(len(rows.row), bool)
    taken[large] = False
    lots = np.zeros(len(checks.failed), np.int64)
    lots[rows.row] = rows.lots
    checks.add(rows.row[large], "lots", lots, Reason.EXCEEDS_NUMERIC_RANGE)
    return rows[taken]


def _growths(book: Book, sides: Mapping[ContractSide, SnapshotRows]) -> dict[ContractSide, Growth]:
    return {key: _growth(book, key, rows) for key, rows in sides.items()}


def _positions_rejected(
    book: Book, command: m.SetPositionColumns, checks: RowChecks, known: Ints
) -> list[m.RowsRejected]:
    """Return the rejections of the rows that failed, by side, without those that are too old."""
    rejected: list[m.RowsRejected] = []
    for rows, field, values, reason in checks.failures:
        newest = known[rows] <= command.version
        sides = _named_sides(command, rows)
        for number in np.unique(sides[newest]).tolist():
            chosen = newest & (sides == number)
            which = {} if number < 0 else _name_of_side(command, number)
            rejected.append(
                m.RowsRejected(
                    command="set_position_columns",
                    reason=reason,
                    field=field,
                    rows=pack_column(rows[chosen], "<i4"),
                    accounts=_names(book, command, rows[chosen]),
                    positions=_chosen_bytes(command.position, rows[chosen]),
                    values=pack_column(values[chosen], "<i8"),
                    **which,
                )
            )
    return rejected


def _named_sides(command: m.SetPositionColumns, rows: Ints) -> Ints:
    """Return 2 * contract + side of rows by the command's names; -1 of what names no position."""
    contract, side = (
        np.frombuffer(column, kind)[rows].astype(np.int64)
        for column, kind in ((command.contract, "<i4"), (command.side, "<i1"))
    )
    position = unpack_column(command.position, "<i4", len(command.side))[rows]
    named = (contract >= 0) & (contract < len(command.contracts)) & (position >= 0)
    named &= (side >= 0) & (side <= 1)
    return np.where(named, 2 * contract + side, -1)


def _name_of_side(command: m.SetPositionColumns, number: int) -> dict[str, Any]:
    return {"contract": command.contracts[number >> 1], "side": SIDES[number & 1]}


def _chosen_bytes(positions: bytes, rows: Ints) -> bytes:
    """Return the position ids of rows; the default, id 0 in every row, stays empty."""
    return np.frombuffer(positions, "<i4")[rows].tobytes() if positions else b""


def _contracts(book: Book, command: m.SetPositionColumns) -> tuple[list[ContractState], Ints]:
    """Return the known contracts, and the index among them of each name; -1 of an unknown one."""
    names = command.contracts
    reject_duplicates("contracts", names)
    known = [name for name in names if name in book.contracts]
    places = {name: place for place, name in enumerate(known)}
    found = [places.get(name, -1) for name in names]
    if command.strict:
        read_names("contracts", names, found, Reason.UNKNOWN_CONTRACT)
    return [book.contracts[name] for name in known], np.array(found, np.int64)


def _read_rows(
    book: Book,
    command: m.SetPositionColumns,
    states: list[ContractState],
    contracts: Ints,
    checks: RowChecks,
) -> SnapshotRows:
    """Return the rows; costs have the sign of values, closed positions are all 0.

    A row that fails a check has any content, with the indices of an account and a contract.
    """
    size = len(checks.failed)

    def read(name: str, default: int | None = None) -> Ints:
        return read_column(name, getattr(command, name), POSITION_TYPES[name], size, default)

    def bounded(name: str, column: Ints, low: int, high: int) -> Ints:
        checks.check((column < low) | (column > high), name, column, Reason.OUT_OF_RANGE)
        return column

    account = _account_indices(book, command, checks)
    contract = bounded("contract", read("contract"), 0, len(contracts) - 1)
    side = bounded("side", read("side"), 0, 1)
    if checks.failures or len(states) < len(contracts):
        known = np.append(contracts, -1)[np.where(checks.failed, -1, contract)]
        checks.check((known < 0) & ~checks.failed, "contract", contract, Reason.UNKNOWN_CONTRACT)
        contract, side = np.maximum(known, 0), np.where(checks.failed, 0, side)
    lots = read("lots")
    max_lots = np.array(
        [div_floor(COLUMN_LIMIT - 1, state.terms.factor) for state in states], np.int64
    )
    checks.check(lots < 0, "lots", lots, Reason.NEGATIVE_NOT_ALLOWED)
    if states and size:
        too_many = lots > max_lots[contract]
        checks.check(too_many, "lots", lots, Reason.EXCEEDS_NUMERIC_RANGE)
    is_open = lots > 0
    position = bounded("position", read("position", 0), 0, 2**31 - 1)
    cost, leverage = read("cost_cash") * is_open, read("leverage_hundredths", 100)
    checks.check(is_open & (cost <= 0), "cost_cash", cost, Reason.NOT_POSITIVE)
    checks.check(cost >= COLUMN_LIMIT, "cost_cash", cost, Reason.EXCEEDS_NUMERIC_RANGE)
    bounded("leverage_hundredths", leverage, 1, MAX_LEVERAGE_HUNDREDTHS)
    unfit = cost > div_floor(COLUMN_LIMIT, 100) * np.clip(leverage, 0, 100)
    checks.check(unfit, "leverage_hundredths", leverage, Reason.EXCEEDS_NUMERIC_RANGE)
    isolated = bounded("isolated", _where(is_open, read("isolated", 0), 0), 0, 1)
    margin = _where(is_open, read("margin_cash", 0), 0)
    checks.check(margin < 0, "margin_cash", margin, Reason.NEGATIVE_NOT_ALLOWED)
    checks.check(margin >= COLUMN_LIMIT, "margin_cash", margin, Reason.EXCEEDS_NUMERIC_RANGE)
    not_isolated = (margin > 0) & (isolated == 0)
    checks.check(not_isolated, "margin_cash", margin, Reason.OUT_OF_RANGE)
    under = bounded("under_liquidation", read("under_liquidation", 0), 0, 1)
    signs = np.array([state.terms.cost_sign(Side.LONG) for state in states], np.int64)
    if states and size:
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


def _checked_keys(
    book: Book, states: list[ContractState], every: SnapshotRows, checks: RowChecks
) -> tuple[SnapshotRows, dict[ContractSide, SnapshotRows]]:
    """Return the rows with unique keys, also by side; a row may fail once another one has."""
    rows = _passed(every, checks)
    while True:
        submitted, failures = _by_side(states, rows), len(checks.failures)
        _check_keys(book, rows, submitted, checks)
        if len(checks.failures) == failures:
            return rows, submitted
        rows = _passed(every, checks)


def _check_keys(
    book: Book, rows: SnapshotRows, sides: Mapping[ContractSide, SnapshotRows], checks: RowChecks
) -> None:
    """Check for duplicate rows, and two open sides of one position in one-way mode."""
    if rows.position.strides == (0,) and not any(map(_has_duplicates, _by_contract(sides))):
        return
    contract, side = rows.side >> 1, rows.side & 1
    order = np.lexsort((rows.row, side, rows.position, rows.account, contract))
    first, second = order[:-1], order[1:]  # each row and the next one
    same = np.ones(max(len(order) - 1, 0), bool)
    for column in (contract, rows.account, rows.position):
        same &= column[second] == column[first]
    size = len(checks.failed)
    duplicate = np.zeros(size, bool)
    duplicate[rows.row[second[same & (side[second] == side[first])]]] = True
    accounts, sides_of_rows = np.zeros((2, size), np.int64)
    accounts[rows.row], sides_of_rows[rows.row] = rows.account, side
    checks.check(duplicate, "account", accounts, Reason.DUPLICATE_ROW)
    is_open = rows.lots > 0
    one_way = ~book.accounts.hedge_mode[rows.account]
    both_open = same & is_open[second] & is_open[first] & one_way[second]
    hedged = np.zeros(size, bool)
    hedged[rows.row[np.maximum(second[both_open], first[both_open])]] = True
    checks.check(hedged & ~duplicate, "side", sides_of_rows, Reason.HEDGE_MODE_REQUIRED)


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
    names = book.outstanding.accounts()
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


def _not_grown(states: list[ContractState], rows: SnapshotRows, checks: RowChecks) -> SnapshotRows:
    """Return the rows without those that are new or larger in a delisted contract, which fail."""
    for (name, side), of_side in _by_side(states, rows).items():
        state = next(state for state in states if state.name == name)
        if not state.is_delisted:
            continue
        table = state.tables[side]
        found = table.find_all(of_side.account, of_side.position)
        known = np.zeros(len(found), np.int64)
        known[found >= 0] = table.lots[found[found >= 0]]
        grown = of_side.lots > known
        fails, lots = np.zeros(len(checks.failed), bool), np.zeros(len(checks.failed), np.int64)
        fails[of_side.row[grown]] = True
        lots[of_side.row] = of_side.lots
        checks.check(fails, "lots", lots, growth_reason(state))
    return rows[~checks.failed[rows.row]]


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
