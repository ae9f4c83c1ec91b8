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
    Refusal,
    column_bytes,
    read_column,
    read_flags,
    read_names,
    refuse_first,
    refuse_repeats,
    refuse_unless,
)
from delever.core.messages import Event, Reason, Side
from delever.core.units import LIMIT, Bools, Ints, div_floor, exact_sum
from delever.core.valuation.numeric_range import Growth, LaneKey, check_range

SIDES = tuple(Side)
UNNUMBERED = -1
"""The row number of a position that is closed because its other side was told."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a command, or those of one lane; `number` says where each stands in it."""

    number: Ints
    account: Ints
    lane: Ints
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
        raise Refusal(field, "", Reason.NAME_MUST_NOT_BE_EMPTY)
    refuse_repeats("accounts", names)
    for field in ("hedge_mode", "adl_exempt"):
        read_flags(field, getattr(command, field), len(names))
    told = m.AccountsDefined(
        accounts=names, hedge_mode=command.hedge_mode, adl_exempt=command.adl_exempt
    )
    return [told] if names else []


def set_balance_columns(book: Book, command: m.SetBalanceColumns) -> list[Event]:
    """Return the balances as told, plus what outstanding fills have paid since."""
    check_told(book, command)
    refuse_unless(command.asset in book.assets, "asset", command.asset, Reason.ASSET_IS_UNKNOWN)
    account = _balance_accounts(book, command)
    cash = read_column("balances_cash", command.balances_cash, "<i8", len(account), None)
    outside = (cash <= -LIMIT) | (cash >= LIMIT)  # the least int64 has no absolute value
    refuse_first(outside, "balances_cash", cash, Reason.EXCEEDS_NUMERIC_RANGE)
    known = book.accounts.balances_version[account]
    kept = known <= command.version
    events = _ignored(np.flatnonzero(~kept), account, command.version, known)
    for row in np.flatnonzero(kept & _has_later(book, account)).tolist():
        name = book.accounts.names[int(account[row])]
        for fill in outstanding(book, name, command.last_fill):
            if book.contracts[fill.contract].terms.settle == command.asset:
                cash[row] += fill.realised_cash + fill.released_cash - fill.fee_cash
    account, cash = account[kept], cash[kept]
    check_range(book, {}, largest_wallet={command.asset: int(abs(cash).max(initial=0))})
    told = m.BalanceColumnsSet(
        version=command.version,
        last_fill=command.last_fill,
        asset=command.asset,
        account=column_bytes(account, "<i4"),
        balances_cash=column_bytes(cash, "<i8"),
    )
    return [*events, told] if len(account) else events


def _balance_accounts(book: Book, command: m.SetBalanceColumns) -> Ints:
    """Return the account of each balance, by name or by number, each once."""
    if not command.account:
        refuse_repeats("accounts", command.accounts)
        return _accounts(book, command.accounts)
    size = div_floor(len(command.account), 4)
    account = read_column("account", command.account, "<i4", size, None)
    outside = (account < 0) | (account >= len(command.accounts or book.accounts.names))
    refuse_first(outside, "account", account, Reason.NUMBER_MUST_BE_WITHIN_RANGE)
    if command.accounts:
        account = _accounts(book, command.accounts)[account]
    repeated = np.ones(size, bool)
    repeated[np.unique(account, return_index=True)[1]] = False
    refuse_first(repeated, "account", account, Reason.ROW_IS_REPEATED)
    return account


def _accounts(book: Book, names: Sequence[str]) -> Ints:
    """Return the numbers of accounts, or refuse a name that is not known."""
    found = book.accounts.names.find_all(names)
    return read_names("accounts", names, found, Reason.ACCOUNT_IS_UNKNOWN)


def set_position_columns(book: Book, command: m.SetPositionColumns) -> list[Event]:
    """Return the positions as told, lane by lane, with outstanding fills taken off.

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
        lanes = told
    else:
        lanes = _lanes(states, _bear(book, command, states, rows[kept]))
    lanes = _with_closed(book, lanes, told)
    check_range(book, {}, growth={key: _growth(book, key, lanes[key]) for key in lanes})
    return [*events, *(_lane_event(command, key, lanes[key]) for key in sorted(lanes))]


def _contracts(book: Book, names: tuple[str, ...]) -> list[ContractState]:
    refuse_repeats("contracts", names)
    found = [0 if name in book.contracts else -1 for name in names]
    read_names("contracts", names, found, Reason.CONTRACT_IS_UNKNOWN)
    return [book.contracts[name] for name in names]


def _read_rows(book: Book, command: m.SetPositionColumns, states: list[ContractState]) -> Rows:
    """Return the rows in exact numbers, costs signed as values are; what is closed holds 0s."""
    size = div_floor(len(command.account), 4)

    def read(name: str, default: int | None = None) -> Ints:
        return read_column(name, getattr(command, name), POSITION_TYPES[name], size, default)

    def bounded(name: str, column: Ints, low: int, high: int) -> Ints:
        outside = (column < low) | (column > high)
        refuse_first(outside, name, column, Reason.NUMBER_MUST_BE_WITHIN_RANGE)
        return column

    known = command.accounts or book.accounts.names
    account = bounded("account", read("account"), 0, len(known) - 1)
    if command.accounts:
        account = _accounts(book, command.accounts)[account]
    contract = bounded("contract", read("contract"), 0, len(states) - 1)
    side = bounded("side", read("side"), 0, 1)
    lots = read("lots")
    most = np.array([div_floor(LIMIT - 1, state.terms.factor) for state in states], np.int64)
    refuse_first(lots < 0, "lots", lots, Reason.NUMBER_MUST_NOT_BE_NEGATIVE)
    if size:
        refuse_first(lots > most[contract], "lots", lots, Reason.EXCEEDS_NUMERIC_RANGE)
    is_open = lots > 0
    position = bounded("position", read("position", 0), 0, 2**31 - 1)
    cost, leverage = read("costs_cash") * is_open, read("leverages_hundredths", 100)
    refuse_first(is_open & (cost <= 0), "costs_cash", cost, Reason.NUMBER_MUST_BE_POSITIVE)
    refuse_first(cost >= LIMIT, "costs_cash", cost, Reason.EXCEEDS_NUMERIC_RANGE)
    bounded("leverages_hundredths", leverage, 1, MAX_LEVERAGE_HUNDREDTHS)
    initial_fits = cost <= div_floor(LIMIT, 100) * np.minimum(leverage, 100)
    refuse_first(~initial_fits, "leverages_hundredths", leverage, Reason.EXCEEDS_NUMERIC_RANGE)
    isolated = bounded("isolated", _where(is_open, read("isolated", 0), 0), 0, 1)
    margin = _where(is_open, read("margins_cash", 0), 0)
    refuse_first(margin < 0, "margins_cash", margin, Reason.NUMBER_MUST_NOT_BE_NEGATIVE)
    refuse_first(margin >= LIMIT, "margins_cash", margin, Reason.EXCEEDS_NUMERIC_RANGE)
    loose = (margin > 0) & (isolated == 0)
    refuse_first(loose, "margins_cash", margin, Reason.NUMBER_MUST_BE_WITHIN_RANGE)
    under = bounded("under_liquidation", read("under_liquidation", 0), 0, 1)
    signs = np.array([state.terms.cost_sign(Side.LONG) for state in states], np.int64)
    if size:
        cost = cost * signs[contract] * (1 - 2 * side)
    leverage, under = _where(is_open, leverage, 100), _where(is_open, under, 0)
    row, lane = np.arange(size), 2 * contract + side
    return Rows(row, account, lane, position, lots, cost, isolated, margin, leverage, under)


def _where(is_open: Bools, column: Ints, closed: int) -> Ints:
    """Return the column with what a closed position holds where one is closed."""
    if column.strides == (0,):  # all hold the default, which is what closed ones hold
        return column
    return np.where(is_open, column, closed)


def _by_contract(lanes: Mapping[LaneKey, Rows]) -> Iterator[Ints]:
    """Yield the accounts of each contract's rows, of both sides."""
    for (name, side), rows in lanes.items():
        other = lanes.get((name, side.opposite))
        if other is None:
            yield rows.account
        elif side is Side.LONG:
            yield np.concatenate((rows.account, other.account))


def _repeats(accounts: Ints) -> bool:
    ordered = np.sort(accounts)
    return bool((ordered[1:] == ordered[:-1]).any())


def _check_keys(book: Book, rows: Rows, lanes: Mapping[LaneKey, Rows]) -> None:
    """Refuse a repeated row, and two open sides of one position in one-way mode."""
    if rows.position.strides == (0,) and not any(map(_repeats, _by_contract(lanes))):
        return
    told = np.lexsort((rows.number, rows.lane & 1, rows.position, rows.account, rows.lane >> 1))
    same = np.ones(max(len(told) - 1, 0), bool)
    for column in (rows.lane >> 1, rows.account, rows.position):
        same &= column[told[1:]] == column[told[:-1]]
    again = same & (rows.lane[told[1:]] == rows.lane[told[:-1]])
    repeated = np.zeros(len(told), bool)
    repeated[told[1:][again]] = True
    refuse_first(repeated, "account", rows.account, Reason.ROW_IS_REPEATED)
    is_open = rows.lots > 0
    one_way = ~book.accounts.hedge_mode[rows.account]
    both = same & is_open[told[1:]] & is_open[told[:-1]] & one_way[told[1:]]
    against = np.zeros(len(told), bool)
    against[np.maximum(told[1:][both], told[:-1][both])] = True
    refuse_first(against, "side", rows.lane & 1, Reason.ONE_WAY_ACCOUNT_HOLDS_ONE_SIDE)


def _bear(
    book: Book, command: m.SetPositionColumns, states: list[ContractState], rows: Rows
) -> Rows:
    """Return the rows with the fills and losses on top that they do not include."""
    later = np.flatnonzero(_has_later(book, rows.account)).tolist()
    if not later:
        return rows
    lots, cost, margin = rows.lots.copy(), rows.cost.copy(), rows.margin.copy()
    for row in later:
        account, lane = book.accounts.names[int(rows.account[row])], int(rows.lane[row])
        key = states[lane >> 1].name, SIDES[lane & 1], int(rows.position[row])
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


def _lanes(states: list[ContractState], rows: Rows) -> dict[LaneKey, Rows]:
    """Return the rows by lane, in the order told."""
    if not len(rows.lane):
        return {}
    small = np.uint16 if len(states) < 2**15 else np.int64  # which sorts faster
    if np.any(rows.lane[1:] < rows.lane[:-1]):
        rows = rows[np.argsort(rows.lane.astype(small), kind="stable")]
    starts = np.flatnonzero(np.diff(rows.lane, prepend=-1))
    lanes = rows.lane[starts].tolist()
    ends = [*starts[1:].tolist(), len(rows.lane)]
    return {
        (states[lane >> 1].name, SIDES[lane & 1]): rows[start:end]
        for lane, start, end in zip(lanes, starts.tolist(), ends, strict=True)
    }


def _with_closed(
    book: Book, lanes: Mapping[LaneKey, Rows], told: Mapping[LaneKey, Rows]
) -> dict[LaneKey, Rows]:
    """Return the rows by lane with what a one-way account held on the side that is replaced."""
    closing: dict[LaneKey, Rows] = {}
    for (name, side), rows in lanes.items():
        lane = book.contracts[name].lanes[side.opposite]
        if lane.size == 0:
            continue
        flips = (rows.lots > 0) & ~book.accounts.hedge_mode[rows.account]
        flips &= lane.index.find_all(rows.account, rows.position) >= 0
        if flips.any() and (name, side.opposite) in told:
            flips &= ~np.isin(_key(rows), _key(told[name, side.opposite]))
        if flips.any():
            closing[name, side.opposite] = _closed(rows[flips])
    joined = {k: _joined(lanes[k], rows) if k in lanes else rows for k, rows in closing.items()}
    return {**lanes, **joined}


def _key(rows: Rows) -> Ints:
    return rows.account << 32 | rows.position


def _closed(rows: Rows) -> Rows:
    none = np.zeros(len(rows.account), np.int64)
    number, lane = none + UNNUMBERED, rows.lane ^ 1
    held = none, none, none, none, none + 100, none
    return Rows(number, rows.account, lane, rows.position, *held)


def _joined(first: Rows, second: Rows) -> Rows:
    names = Rows.__slots__
    return Rows(*(np.concatenate((getattr(first, n), getattr(second, n))) for n in names))


def _growth(book: Book, key: LaneKey, rows: Rows) -> Growth:
    constant = rows.position.strides == (0,)
    labels = [0] if constant else np.unique(rows.position).tolist()
    return Growth(
        total_lots=exact_sum(rows.lots),
        largest_lots=int(rows.lots.max(initial=0)),
        largest_cost=int((abs(rows.cost) + rows.margin).max(initial=0)),
        numbers=len(book.contracts[key[0]].lanes[key[1]].labels.union(labels)),
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


def _lane_event(command: m.SetPositionColumns, key: LaneKey, rows: Rows) -> m.PositionColumnsSet:
    return m.PositionColumnsSet(
        version=command.version,
        last_fill=command.last_fill,
        contract=key[0],
        side=key[1],
        account=column_bytes(rows.account, "<i4"),
        position=column_bytes(rows.position, "<i4", 0),
        lots=column_bytes(rows.lots, "<i8"),
        costs_cash=column_bytes(rows.cost, "<i8"),
        isolated=column_bytes(rows.isolated, "<i1", 0),
        margins_cash=column_bytes(rows.margin, "<i8", 0),
        leverages_hundredths=column_bytes(rows.leverage, "<i4", 100),
        under_liquidation=column_bytes(rows.under_liquidation, "<i1", 0),
    )
