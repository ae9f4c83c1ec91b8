"""Column commands have the effect of the same rows, and name row and field when rejected."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from msgspec.structs import replace
from sessions import crash, opening, sessions

from delever.core import messages as m
from delever.core.accounting.invariants import audit
from delever.core.book import Book
from delever.core.engine import step
from delever.core.intake.column_packing import position_columns
from delever.core.intake.snapshots import _read_row
from delever.core.market.validation import Rejection, read_cash
from delever.core.messages import Event, Reason, Side
from delever.journal import Recorder, replay_commands, replay_events
from delever.journal.snapshot import encode_book


def in_columns(book: Book, command: m.Command) -> m.Command | None:
    """Return the command in columns, or None if columns cannot express it."""
    try:
        match command:
            case m.DefineAccount():
                flags = "hedge_mode", "adl_exempt", "multi_asset"
                columns = {name: bytes([getattr(command, name)]) for name in flags}
                owners = (command.owner,) if command.owner else ()
                return m.DefineAccounts(
                    time_ms=command.time_ms, accounts=(command.account,), owners=owners, **columns
                )
            case m.SetBalances(balances=rows) if len({row.asset for row in rows}) == 1:
                asset = book.assets[rows[0].asset]
                cash = [read_cash("", row.balance, asset.cash_decimals) for row in rows]
                return m.SetBalanceColumns(
                    time_ms=command.time_ms,
                    version=command.version,
                    last_fill=command.last_fill,
                    asset=asset.name,
                    accounts=tuple(row.account for row in rows),
                    balance_cash=np.array(cash, "<i8").tobytes(),
                )
            case m.SetPositions():
                return positions_in_columns(book, command)
            case _:
                return None
    except (Rejection, KeyError):
        return None


def positions_in_columns(book: Book, command: m.SetPositions) -> m.Command:
    rows = command.positions
    held = [_read_row(book, row) for row in rows]
    accounts, contracts = ([*dict.fromkeys(names)] for names in zip(*map(key, rows), strict=True))
    columns: dict[str, Any] = {
        "account": [accounts.index(row.account) for row in rows],
        "contract": [contracts.index(row.contract) for row in rows],
        "side": [list(Side).index(row.side) for row in rows],
        "lots": [position.lots for position in held],
        "cost_cash": [abs(position.cost_cash) for position in held],
        "position": [row.position for row in rows],
        "isolated": [position.isolated for position in held],
        "margin_cash": [position.margin_cash for position in held],
        "leverage_hundredths": [position.leverage_hundredths for position in held],
        "under_liquidation": [position.under_liquidation for position in held],
    }
    return position_columns(
        time_ms=command.time_ms,
        version=command.version,
        last_fill=command.last_fill,
        accounts=accounts,
        contracts=contracts,
        columns={
            name: column for name, column in columns.items() if any(column) or name in REQUIRED
        },
    )


REQUIRED = {"account", "contract", "side", "lots", "cost_cash", "leverage_hundredths"}


def key(row: m.PositionRow) -> tuple[str, str]:
    return row.account, row.contract


def in_rows(book: Book, event: Event) -> Iterator[Event]:
    """Return an event of columns as the equivalent events of rows."""
    names = book.accounts.names

    def column(body: bytes, kind: str, size: int = 0, default: int = 0) -> list[int]:
        return np.frombuffer(body, kind).tolist() if body else [default] * size

    match event:
        case m.AccountsDefined():
            owners = event.owners or [""] * len(event.accounts)
            columns = event.hedge_mode, event.adl_exempt, event.multi_asset
            for name, hedge, exempt, pooled, owner in zip(
                event.accounts, *columns, owners, strict=True
            ):
                yield m.AccountDefined(
                    account=name,
                    hedge_mode=bool(hedge),
                    adl_exempt=bool(exempt),
                    multi_asset=bool(pooled),
                    owner=owner,
                )
        case m.RowsIgnored():
            kinds = zip((event.rows, event.account, event.known_versions), "448", strict=True)
            for row, account, known in zip(*(column(c, f"<i{k}") for c, k in kinds), strict=True):
                yield m.RowIgnored(
                    row=row, account=names[account], version=event.version, known_version=known
                )
        case m.RowsRejected():
            rows = column(event.rows, "<i4")
            positions = column(event.positions, "<i4", len(rows))
            for row, name, position in zip(rows, event.accounts, positions, strict=True):
                yield m.RowRejected(
                    command=event.command,
                    row=row,
                    account=name,
                    contract=event.contract,
                    side=event.side,
                    position=position,
                    asset=event.asset,
                    reason=event.reason,
                    field=event.field,
                    value="",
                )
        case m.BalanceColumnsSet():
            accounts = column(event.account, "<i4")
            yield m.BalancesSet(
                version=event.version,
                last_fill=event.last_fill,
                accounts=tuple(names[account] for account in accounts),
                assets=(event.asset,) * len(accounts),
                balance_cash=tuple(column(event.balance_cash, "<i8")),
            )
        case m.PositionColumnsSet():
            accounts = column(event.account, "<i4")
            n = len(accounts)
            yield m.PositionsSet(
                version=event.version,
                last_fill=event.last_fill,
                contract=event.contract,
                side=event.side,
                accounts=tuple(names[account] for account in accounts),
                positions=tuple(column(event.position, "<i4", n)),
                lots=tuple(column(event.lots, "<i8")),
                cost_cash=tuple(column(event.cost_cash, "<i8")),
                isolated=tuple(map(bool, column(event.isolated, "<i1", n))),
                margin_cash=tuple(column(event.margin_cash, "<i8", n)),
                leverage_hundredths=tuple(column(event.leverage_hundredths, "<i4", n, 100)),
                under_liquidation=tuple(map(bool, column(event.under_liquidation, "<i1", n))),
            )
        case _:
            yield event


def without_orders(command: m.Command) -> m.Command:
    if not isinstance(command, m.SetPositions):
        return command
    rows = (msgspec.structs.replace(row, open_orders=()) for row in command.positions)
    return msgspec.structs.replace(command, positions=tuple(rows))


@given(sessions())
def test_columns_have_the_effect_of_rows(commands: list[m.Command]) -> None:
    book, other = Book(), Book()
    for command in map(without_orders, commands):
        converted = in_columns(book, command) or command
        events, others = step(book, command), step(other, converted)
        if isinstance(events[0], m.Rejected) and converted is not command:
            assert isinstance(others[0], m.Rejected)
        else:
            in_row_form = [row for event in others for row in in_rows(other, event)]
            assert without_fields(in_row_form) == without_fields(events)
        book.take_changes()
        audit(other)
    assert encode_book(book) == encode_book(other)


def without_fields(events: Iterable[Event]) -> list[Event]:
    """Return the events, rejected rows in order, without what rows and columns name differently."""
    rejected = [event for event in events if isinstance(event, m.RowRejected)]
    plain = [replace(event, command="", field="", value="") for event in rejected]
    others = [event for event in events if not isinstance(event, m.RowRejected)]
    return [*others, *sorted(plain, key=lambda event: event.row)]


def crashed_book() -> Book:
    """Return the book after a crash, with fills that the venue has not acknowledged."""
    book = Book()
    for command in crash():
        step(book, command)
    return book


def one_row(**columns: Any) -> dict[str, Any]:
    names = ("account", "contract", "side", "lots", "cost_cash")
    return {**dict(zip(names, ([0], [0], [0], [1], [100]), strict=True)), **columns}


TWICE = {name: column * 2 for name, column in one_row().items()}

REJECTED = [
    (one_row(), ["nobody"], Reason.UNKNOWN_ACCOUNT, "accounts[0]"),
    (one_row(account=[1]), ["ann"], Reason.OUT_OF_RANGE, "account[0]"),
    (one_row(account=[99]), [], Reason.OUT_OF_RANGE, "account[0]"),
    (one_row(contract=[-1]), ["ann"], Reason.OUT_OF_RANGE, "contract[0]"),
    (one_row(side=[2]), ["ann"], Reason.OUT_OF_RANGE, "side[0]"),
    (one_row(lots=[-1]), ["ann"], Reason.NEGATIVE_NOT_ALLOWED, "lots[0]"),
    (one_row(lots=[2**62]), ["ann"], Reason.EXCEEDS_NUMERIC_RANGE, "lots[0]"),
    (one_row(lots=[1, 2]), ["ann"], Reason.COLUMN_LENGTH_MISMATCH, "lots"),
    (one_row(cost_cash=[0]), ["ann"], Reason.NOT_POSITIVE, "cost_cash[0]"),
    (one_row(cost_cash=[2**62]), ["ann"], Reason.EXCEEDS_NUMERIC_RANGE, "cost_cash[0]"),
    (one_row(position=[-1]), ["ann"], Reason.OUT_OF_RANGE, "position[0]"),
    (one_row(isolated=[2]), ["ann"], Reason.OUT_OF_RANGE, "isolated[0]"),
    (one_row(margin_cash=[1]), ["ann"], Reason.OUT_OF_RANGE, "margin_cash[0]"),
    (
        one_row(isolated=[1], margin_cash=[-1]),
        ["ann"],
        Reason.NEGATIVE_NOT_ALLOWED,
        "margin_cash[0]",
    ),
    (one_row(leverage_hundredths=[0]), ["ann"], Reason.OUT_OF_RANGE, "leverage_hundredths[0]"),
    (
        one_row(cost_cash=[2**61], leverage_hundredths=[1]),
        ["ann"],
        Reason.EXCEEDS_NUMERIC_RANGE,
        "leverage_hundredths[0]",
    ),
    (TWICE, ["ann"], Reason.DUPLICATE_ROW, "account[1]"),
    ({**TWICE, "side": [0, 1]}, ["ann"], Reason.HEDGE_MODE_REQUIRED, "side[1]"),
    ({**TWICE, "lots": [1, -1]}, ["ann"], Reason.NEGATIVE_NOT_ALLOWED, "lots[1]"),
]


@pytest.mark.parametrize(("columns", "accounts", "reason", "field"), REJECTED)
def test_an_invalid_row_rejects_the_whole_command(
    columns: dict[str, Any], accounts: list[str], reason: Reason, field: str
) -> None:
    """CORE-14: a strict bulk command is rejected whole, with the row and the field."""
    book = crashed_book()
    before = encode_book(book)
    common = {"accounts": accounts, "contracts": ["BTC"], "columns": columns}
    command = position_columns(time_ms=10**9, version=99, strict=True, **common)
    (rejected,) = step(book, command)
    assert isinstance(rejected, m.Rejected)
    assert (rejected.reason, rejected.field) == (reason, field)
    book.sequence -= 1
    assert encode_book(book) == before


@pytest.mark.parametrize(
    ("columns", "accounts", "reason", "field"),
    [
        each
        for each in REJECTED
        if each[2] is not Reason.COLUMN_LENGTH_MISMATCH and each[0]["account"] != [1]
    ],
)
def test_an_invalid_row_of_columns_is_rejected_alone(
    columns: dict[str, Any], accounts: list[str], reason: Reason, field: str
) -> None:
    """CORE-37: an event has the row; a valid row beside it is taken."""
    book = crashed_book()
    more = {name: [*column, column[0]] for name, column in columns.items()}
    more |= {name: [*columns[name], number] for name, number in (("lots", 7), ("cost_cash", 700))}
    more["account"], more["side"] = [*columns["account"], len(accounts)], [*columns["side"], 0]
    more["contract"] = [*columns["contract"], 0]
    valid = {"isolated": 0, "margin_cash": 0, "position": 0, "leverage_hundredths": 100}
    more |= {name: [*columns[name], valid[name]] for name in valid.keys() & columns.keys()}
    names = [*(accounts or book.accounts.names[:99]), "dan"][-99:]
    more["account"] = [*columns["account"], len(names) - 1]
    command = position_columns(
        time_ms=10**9, version=99, accounts=names, contracts=["BTC"], columns=more
    )
    events = step(book, command)
    (rejected,) = [event for event in events if isinstance(event, m.RowsRejected)]
    name, _, row = field.removesuffix("]").partition("[")
    assert (rejected.reason, rejected.field) == (reason, name)
    assert np.frombuffer(rejected.rows, "<i4").tolist() == [int(row)]
    table = book.contracts["BTC"].tables[Side.LONG]
    assert table.lots[table.row_of(book.accounts.index["dan"], 0)] == 7


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (one_row(lots=[1.5]), "columns.lots: float64 is not a column of whole numbers"),
        (one_row(side=[300]), "columns.side: does not fit into 8 bits"),
        (one_row(price=[1]), "columns: price: no such column"),
        (one_row(lots=[[1]]), "columns.lots: int64 is not a column of whole numbers"),
    ],
)
def test_an_invalid_column_is_not_packed(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        position_columns(time_ms=1, version=1, contracts=["BTC"], columns=columns)


def bulk(count: int, version: int) -> list[m.Command]:
    """Return accounts, balances and positions of both sides, as a venue's first snapshot."""
    rng = np.random.default_rng(version)
    names = tuple(f"n{number:05d}" for number in range(count))
    cash = rng.integers(1, 10**12, count)
    lots, side = rng.integers(0, 50, count), rng.integers(0, 2, count)
    exempt = rng.integers(0, 2, count, np.int8)
    columns = {
        "account": rng.permutation(count) + 5,
        "contract": rng.integers(0, 2, count),
        "side": side,
        "lots": lots,
        "cost_cash": lots * rng.integers(90, 110, count) * 10**8 + 1,
    }
    time_ms = 10 * version
    return [
        m.DefineAccounts(time_ms=time_ms, accounts=names, adl_exempt=exempt.tobytes()),
        m.SetBalanceColumns(
            time_ms=time_ms,
            version=version,
            asset="USDT",
            account=np.arange(5, 5 + count, dtype="<i4").tobytes(),
            balance_cash=cash.tobytes(),
        ),
        position_columns(
            time_ms=time_ms, version=version, contracts=["BTC", "ETH"], columns=columns
        ),
        m.SetMarks(time_ms=time_ms, marks={"BTC": 100 + version}),
        m.RefreshIndicators(time_ms=time_ms),
    ]


def test_bulk_snapshots_replay_and_a_stale_one_is_ignored() -> None:
    """Large enough for the compiled kernels: both kinds of replay give the same book."""
    count = 30_000
    with Recorder.open(":memory:") as recorder:
        recorder.submit(opening())
        for version in (1, 2, 3):
            for events in recorder.submit(bulk(count, version)):
                assert isinstance(events[0], m.Accepted), events[0]
        audit(recorder.book)
        tables = [
            table for state in recorder.book.contracts.values() for table in state.tables.values()
        ]
        assert count * 0.9 < sum(table.size for table in tables) < 2 * count
        for replay in (replay_events, replay_commands):
            replayed = replay(recorder.journal)
            assert replayed.finding is None
            assert encode_book(replayed.book) == encode_book(recorder.book)
        stale = bulk(count, 2)[2]
        late = msgspec.structs.replace(stale, time_ms=30)
        before = encode_book(recorder.book)
        ((accepted, ignored),) = recorder.submit([late])
        assert isinstance(ignored, m.RowsIgnored)
        assert len(ignored.rows) == 4 * count
        assert isinstance(accepted, m.Accepted)
        recorder.book.sequence -= 1
        assert encode_book(recorder.book) == before
