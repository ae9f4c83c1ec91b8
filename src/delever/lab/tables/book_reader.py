"""Tables -> a book: a book directory, or data frames.

A *book directory* has one table per file, `.csv` or `.parquet`: pools, contracts, accounts,
balances, positions and marks, and optionally depth, margin_tiers (0.5 % for a contract without
tiers), account_margins (by the venue's own risk engine), assets (units other than 10^-8) and
collateral (one row a tier; every account is then in multi-asset mode, unless accounts has the
column multi_asset). It has the current state only: rolling peaks begin with it, and no ADL is on.

Tables become commands of the engine, positions last; many accounts, balances or positions do so in
columns, if no cell is unusual. An invalid table is rejected by the engine, and the rejection is
raised as an InputError with file, row, column and value.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Command, Event, Rejected
from delever.core.rules import RegisteredRules, RuleSet
from delever.formatting import rejection_text
from delever.lab.errors import InputError
from delever.lab.tables.book_writer import frames_of
from delever.lab.tables.column_commands import COLUMN_COMMANDS
from delever.lab.tables.defaults import INFERRED_TERMS, complete, contract_names, kinds_table
from delever.lab.tables.table import (
    SCHEMAS,
    CollateralRow,
    DepthRow,
    MarginRow,
    MarkRow,
    PoolRow,
    Tabular,
    TextTable,
    TierRow,
    read_table,
    table_of,
)
from delever.rule_registry import own_registry, registry
from delever.suggestions import suggestion

SUFFIXES = (".csv", ".parquet")

MIN_COLUMN_ROWS = 500
"""Rows from which a table is set in columns; below, a command a row takes less than 0.1 s."""

Registry = Mapping[str, RegisteredRules]
Submit = Callable[[Command], Sequence[Event]]
Locate = Callable[[Rejected], InputError]
Tables = Mapping[str, TextTable]


def read_book(path: str | Path, *, rule_sets: Iterable[RuleSet] = ()) -> Book:
    """Return the book of a book directory; its pools may name `rule_sets` besides the venues'.

    Raises InputError, naming file, row, column and value, for an invalid table.

        >>> import delever
        >>> book = delever.read_book("examples/book")
        >>> list(book.contracts)
        ['BTCUSDT', 'ETHUSDT', 'BTCUSD']
    """
    return _valued(read_tables(path), registry(rule_sets))


def write_book(book: Book, path: str | Path, *, suffix: str = ".csv") -> None:
    """Write a book as a book directory; reading it gives equal tables, to the last digit.

    Raises InputError for a book with inventory, with fills that the venue has not included, or
    with ADL on: tables cannot express these, a journal can.

        >>> import delever
        >>> book = delever.read_book("examples/book")
        >>> delever.write_book(book, folder / "copy")
        >>> sorted(path.name for path in (folder / "copy").iterdir())[:3]
        ['accounts.csv', 'balances.csv', 'contracts.csv']
    """
    folder = Path(path)
    frames = frames_of(book)
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        for other in SUFFIXES:
            (folder / f"{name}{other}").unlink(missing_ok=True)
        target = folder / f"{name}{suffix}"
        frame.write_parquet(target) if suffix == ".parquet" else frame.write_csv(target)


def book_of(
    positions: Tabular,
    marks: Tabular | Mapping[str, m.Amount],
    *,
    balances: Tabular | None = None,
    accounts: Tabular | None = None,
    contracts: Tabular | str | Mapping[str, str] | None = None,
    margin_tiers: Tabular | None = None,
    collateral: Tabular | None = None,
    depth: Tabular | None = None,
    account_margins: Tabular | None = None,
    pools: Tabular | None = None,
    assets: Tabular | None = None,
    pool: m.Amount | Mapping[str, m.Amount] = 0,
    rules: str | RuleSet = "bybit",
    asset: str = "USDT",
    floats: str | None = None,
) -> Book:
    """Return the book of some tables; missing tables are inferred.

    Tables are polars or pandas frames, Arrow tables, dicts of lists or lists of dicts; `marks` may
    be {contract: price}. `contracts` is a table, a kind ("linear") or a kind by contract. What its
    rows lack is inferred, and stands in the book's repr: a settle asset is `asset`, tick and lot
    are the decimals written of marks, order book and quantities ("3.00": a tick of 0.01). Without
    `pools`, each settle asset has a shared pool of its name under `rules`, with the balance `pool`
    (by settle asset where there are several). Without `balances`, a position without
    `isolated_margin` gets entry notional / leverage. `account_margins` are equity and maintenance
    margin by the venue's own risk engine, which replace those of the engine. An account with both
    sides of a contract is in hedge mode. Sides may be written as venues do (LONG, Buy).
    `floats="round:8"` rounds columns of floats to 8 decimals; otherwise they are rejected.

    Raises InputError, naming table, row, column and value, for an invalid table.

        >>> import delever
        >>> positions = [
        ...     {"account": "ann", "contract": "BTC", "side": "long", "quantity": 2,
        ...      "entry_price": 60000, "leverage": 10},
        ...     {"account": "bob", "contract": "BTC", "side": "short", "quantity": 2,
        ...      "entry_price": 60000, "leverage": 5},
        ... ]
        >>> book = delever.book_of(positions, {"BTC": 58000}, contracts="linear", pool=1000)
        >>> book
        <Book: 1 contract, 2 accounts, 1 pool; BTC: settle USDT, tick_size 1, lot_size 1 (inferred)>
        >>> delever.rank(book, "BTC", "short")["account"].to_list()
        ['bob']
    """
    if isinstance(marks, Mapping) and "contract" not in marks:
        marks = {"contract": list(marks), "mark": _as_column([*marks.values()])}
    decimals = _float_decimals(floats)
    given = {
        "positions": positions,
        "marks": marks,
        "balances": balances,
        "accounts": accounts,
        "contracts": contracts,
        "margin_tiers": margin_tiers,
        "collateral": collateral,
        "depth": depth,
        "account_margins": account_margins,
        "pools": pools,
        "assets": assets,
    }
    own = own_registry([rules] if isinstance(rules, RuleSet) else [])
    name = rules.name if isinstance(rules, RuleSet) else rules
    tables, inferred = complete(_tables(given, decimals), pool=pool, rules=name, asset=asset)
    book = _valued(tables, own)
    book.use_assumptions(f"{line} (inferred)" for line in inferred)
    return book


def build(tables: Tables, own: Registry | None = None) -> Book:
    """Return the book of tables, with a registry of rule sets of one's own; raises InputError."""
    book = Book(own)
    tables = _in_multi_asset_mode(tables)
    for name, commands in _commands_by_table(tables):
        if not _is_set_in_columns(book, tables, name):
            _submit_each(commands, partial(step, book))
    return book


def _valued(tables: Tables, own: Registry) -> Book:
    """Return the book of tables; raises InputError, also for a position without a mark."""
    book = build(tables, own)
    for name, state in book.contracts.items():
        if state.mark == 0 and any(table.size for table in state.tables.values()):
            row = tables["positions"].column("contract").index(name)
            raise tables["positions"].error(
                row, "contract", "has no mark, so its positions have no value"
            )
    return book


def load(tables: Tables, submit: Submit) -> None:
    """Submit tables as commands at time 0, row by row; raises InputError at a rejection."""
    for _, commands in _commands_by_table(_in_multi_asset_mode(tables)):
        _submit_each(commands, submit)


def _submit_each(commands: Iterable[tuple[Command, Locate]], submit: Submit) -> None:
    for command, locate in commands:
        for event in submit(command):
            if isinstance(event, Rejected):
                raise locate(event)


def _is_set_in_columns(book: Book, tables: Tables, name: str) -> bool:
    """Return whether a large table has been set by commands in columns: valid cells allow that."""
    if name not in COLUMN_COMMANDS or name not in tables:
        return False
    if len(tables[name].rows) < MIN_COLUMN_ROWS:
        return False
    commands = COLUMN_COMMANDS[name](book, tables[name])
    if commands is None:
        return False
    events = (event for command in commands for event in step(book, command))
    return not any(isinstance(event, Rejected) for event in events)


# --- reading ---


def read_tables(path: str | Path) -> dict[str, TextTable]:
    """Return the tables of a book directory; raises InputError."""
    folder = Path(path)
    if not folder.is_dir():
        why = "is no directory; a book is a directory of tables" if folder.exists() else "not found"
        raise InputError(why, file=str(folder))
    found = {name: _file_of(folder, name) for name in SCHEMAS}
    _check_stray(folder, {name for name, file in found.items() if file is None})
    return {name: read_table(file, SCHEMAS[name]) for name, file in found.items() if file}


def _file_of(folder: Path, name: str) -> Path | None:
    """Return the file of a table, or None for a missing optional one."""
    files = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    there = [file for file in files if file.is_file()]
    if len(there) == 2:
        raise InputError(f"exists as {files[1].name} too", file=str(files[0]))
    if not there and SCHEMAS[name].required:
        raise InputError(f"is missing (and so is {name}.parquet)", file=str(files[0]))
    return there[0] if there else None


def _check_stray(folder: Path, absent: set[str]) -> None:
    """Raise InputError for a file that looks like a misspelled table."""
    for file in sorted(folder.iterdir()):
        if file.suffix in SUFFIXES and file.stem not in SCHEMAS:
            meant = suggestion(file.stem, absent)
            if meant.startswith("; did"):
                raise InputError(f"is no table of a book{meant}", file=str(file))


def _tables(given: Mapping[str, Tabular | None], floats: int | None) -> dict[str, TextTable]:
    """Return the given data as tables; what rows of contracts lack is inferred later."""
    without = {"contracts": INFERRED_TERMS if given["pools"] is None else INFERRED_TERMS[1:]}
    positions, marks = (
        table_of(given[name], SCHEMAS[name], name, floats=floats) for name in ("positions", "marks")
    )
    contracts: Any = given["contracts"]
    if isinstance(contracts, str) or _is_kinds(contracts):
        given = {**given, "contracts": kinds_table(contracts, contract_names([positions, marks]))}
    others = {
        name: table_of(data, SCHEMAS[name], name, floats=floats, without=without.get(name, ()))
        for name, data in given.items()
        if data is not None and name not in {"positions", "marks"}
    }
    return {"positions": positions, "marks": marks, **others}


def _is_kinds(contracts: Tabular) -> bool:
    """Return whether contracts are given as {name: kind}."""
    values = contracts.values() if isinstance(contracts, Mapping) else ()
    return bool(values) and all(isinstance(kind, str) for kind in values)


def _as_column(amounts: list[m.Amount | float]) -> list[str] | list[m.Amount | float]:
    """Return amounts of one type, as a column needs them: as text, unless there are floats."""
    floats = any(isinstance(amount, float) for amount in amounts)
    return amounts if floats else [str(amount) for amount in amounts]


def _float_decimals(floats: str | None) -> int | None:
    """Return N of 'round:N'."""
    if floats is None:
        return None
    match = re.fullmatch(r"round:(\d{1,2})", floats)
    if match is None:
        raise ValueError(f"floats must be 'round:N', with N decimals, not {floats!r}")
    return int(match[1])


# --- tables -> commands ---


def _commands_by_table(tables: Tables) -> Iterator[tuple[str, Iterator[tuple[Command, Locate]]]]:
    """Yield each table's name and commands, each with a function that locates its rejection."""
    yield "assets", _one_a_row(tables, "assets", m.DefineAsset)
    yield "pools", _pools(tables["pools"])
    yield "contracts", _contracts(tables)
    yield "collateral", _collateral(tables)
    yield "accounts", _one_a_row(tables, "accounts", m.DefineAccount)
    yield "marks", _marks(tables["marks"])
    yield "balances", _balances(tables["balances"])
    if "depth" in tables:
        yield "depth", depth_commands(tables["depth"])
    yield "positions", _positions(tables["positions"])
    if "account_margins" in tables:
        yield "account_margins", _account_margins(tables["account_margins"])


def _one_a_row(
    tables: Tables, name: str, kind: type[m.DefineAsset | m.DefineAccount]
) -> Iterator[tuple[Command, Locate]]:
    if name in tables:
        for index, command in enumerate(tables[name].read(kind)):
            yield command, partial(_at_row, tables[name], index)


def _in_multi_asset_mode(tables: Tables) -> Tables:
    """Return tables, with collateral and no column for it all accounts in multi-asset mode."""
    accounts = tables["accounts"]
    if "collateral" not in tables or accounts.column("multi_asset"):
        return tables
    rows = [{**row, "multi_asset": "true"} for row in accounts.rows]
    return {**tables, "accounts": replace(accounts, rows=rows)}


def _collateral(tables: Tables) -> Iterator[tuple[Command, Locate]]:
    """Yield each asset's terms, from its first row, with a tier of each of its rows."""
    if "collateral" not in tables:
        return
    table = tables["collateral"]
    rows = list(enumerate(table.read(CollateralRow)))
    currency = _margin_currency(tables, {row.asset for _, row in rows})
    for asset in dict.fromkeys(row.asset for _, row in rows):
        own = [(index, row) for index, row in rows if row.asset == asset]
        first, terms = own[0]
        if terms.index_price is None:
            raise table.error(first, "index_price", "is empty")
        command = m.DefineCollateral(
            time_ms=0,
            asset=asset,
            index_price=terms.index_price,
            margin_currency=terms.margin_currency or currency,
            bid_buffer=terms.bid_buffer,
            ask_buffer=terms.ask_buffer,
            tiers=tuple(row.tier for _, row in own),
            conversion_haircut=terms.conversion_haircut,
            cap=terms.cap,
        )
        yield command, partial(_at_collateral, table, [index for index, _ in own])


def _margin_currency(tables: Tables, collateral: set[str]) -> str:
    """Return the settle asset without a row, if there is one: what the others are priced in."""
    others = set(tables["contracts"].column("settle")) - collateral
    return others.pop() if len(others) == 1 else ""


def _pools(table: TextTable) -> Iterator[tuple[Command, Locate]]:
    """Yield pools and their balances; a negative balance is a correction, as seeds are positive."""
    for index, row in enumerate(table.read(PoolRow)):
        fields = {name: getattr(row, name) for name in m.DefinePool.__struct_fields__}
        yield m.DefinePool(**fields), partial(_at_row, table, index)
        balance = str(row.balance)
        if balance.strip("+-0.") or not balance:
            debt = balance.startswith("-")
            reason = m.FundingReason.CORRECTION if debt else m.FundingReason.SEED
            fund = m.FundPool(time_ms=0, pool=row.pool, amount=balance, reason=reason)
            yield fund, partial(_at_row, table, index, column="balance")


def _contracts(tables: Tables) -> Iterator[tuple[Command, Locate]]:
    table, tiers = tables["contracts"], tables.get("margin_tiers")
    rows = tiers.read(TierRow) if tiers else []
    contracts = table.read(m.DefineContract)
    names = {command.contract for command in contracts}
    for index, row in enumerate(rows):
        if tiers and row.contract not in names:
            raise tiers.error(index, "contract", "unknown contract")
    for index, command in enumerate(contracts):
        own = tuple(
            m.MarginTier(notional_from=row.notional_from, maintenance_rate=row.maintenance_rate)
            for row in rows
            if row.contract == command.contract
        )
        if own:
            tiered = msgspec.structs.replace(command, margin_tiers=own)
            yield tiered, partial(_at_contract, table, index, tiers)
        else:
            yield command, partial(_at_row, table, index)


def _marks(table: TextTable) -> Iterator[tuple[Command, Locate]]:
    rows = table.read(MarkRow)
    where = {row.contract: index for index, row in enumerate(rows)}
    previous = {row.contract: row.previous_mark for row in rows if row.previous_mark is not None}
    for column, marks in (
        ("previous_mark", previous),
        ("mark", {row.contract: row.mark for row in rows}),
    ):
        if marks:
            yield (
                m.SetMarks(time_ms=0, marks=marks, strict=True),
                partial(_at_mark, table, where, column),
            )


def _balances(table: TextTable) -> Iterator[tuple[Command, Locate]]:
    if rows := table.read(m.BalanceRow):
        command = m.SetBalances(time_ms=0, version=0, balances=tuple(rows), strict=True)
        yield command, partial(_at_field, table)


def _positions(table: TextTable) -> Iterator[tuple[Command, Locate]]:
    if rows := table.read(m.PositionRow):
        command = m.SetPositions(time_ms=0, version=0, positions=tuple(rows), strict=True)
        yield command, partial(_at_field, table)


def _account_margins(table: TextTable) -> Iterator[tuple[Command, Locate]]:
    for index, row in enumerate(table.read(MarginRow)):
        fields = msgspec.structs.asdict(row)
        yield m.SetAccountMargin(time_ms=0, version=0, **fields), partial(_at_row, table, index)


def depth_commands(table: TextTable) -> Iterator[tuple[Command, Locate]]:
    """Yield the commands of a depth table, each with a function that locates its rejection."""
    rows = list(enumerate(table.read(DepthRow)))
    for name in dict.fromkeys(row.contract for _, row in rows):
        sides: dict[str, list[tuple[int, DepthRow]]] = {"bid": [], "ask": []}
        for index, row in rows:
            if row.contract == name:
                sides[row.side].append((index, row))
        levels = {
            side: tuple((row.price, row.quantity) for _, row in sides[side]) for side in sides
        }
        command = m.SetDepth(time_ms=0, contract=name, bids=levels["bid"], asks=levels["ask"])
        where = {f"{side}s": [index for index, _ in sides[side]] for side in sides}
        yield command, partial(_at_level, table, where)


# --- rejections -> errors of a table ---


def _at_row(table: TextTable, index: int, rejected: Rejected, *, column: str = "") -> InputError:
    return table.error(
        index,
        column or rejected.field,
        rejection_text(rejected.reason),
        reason=rejected.reason,
        value=rejected.value,
    )


def _at_contract(
    table: TextTable, index: int, tiers: TextTable | None, rejected: Rejected
) -> InputError:
    """Return the error of a contract, or of one of its tiers: `margin_tiers[1].notional_from`."""
    place = re.match(r"margin_tiers\[(\d+)\](?:\.(\w+))?", rejected.field)
    if place is None or tiers is None:
        return _at_row(table, index, rejected)
    name = table.rows[index]["contract"]
    own = [place for place, row in enumerate(tiers.rows) if row["contract"] == name]
    return _at_row(tiers, own[int(place[1])], rejected, column=place[2] or "notional_from")


def _at_collateral(table: TextTable, rows: Sequence[int], rejected: Rejected) -> InputError:
    """Return the error of an asset's terms, or of one of its tiers: `tiers[1].rate`."""
    place = re.match(r"tiers\[(\d+)\](?:\.(\w+))?", rejected.field)
    if place is None:
        return _at_row(table, rows[0], rejected)
    return _at_row(table, rows[int(place[1])], rejected, column=place[2] or "quantity_from")


def _at_mark(
    table: TextTable, where: Mapping[str, int], column: str, rejected: Rejected
) -> InputError:
    """Return the error of one mark; the rejection of a mark too large for the book names none."""
    name = rejected.field.removeprefix("marks.")
    index = where.get(name, where.get(rejected.value, 0))
    named = "contract" if rejected.reason is m.Reason.UNKNOWN_CONTRACT else column
    return table.error(index, named, rejection_text(rejected.reason), reason=rejected.reason)


def _at_field(table: TextTable, rejected: Rejected) -> InputError:
    """Return the error of a field such as `positions[3].quantity`, or of the whole table."""
    place = re.match(r"\w+\[(\d+)\](?:\.(\w+))?", rejected.field)
    if place is None:
        return InputError(
            rejection_text(rejected.reason),
            file=table.source,
            value=rejected.value,
            reason=rejected.reason,
        )
    column = place[2] or table.schema.key[0]
    return _at_row(table, int(place[1]), rejected, column=column)


def _at_level(table: TextTable, where: Mapping[str, list[int]], rejected: Rejected) -> InputError:
    """Return the error of a field such as `bids[2].price`, or of the contract's first level."""
    place = re.match(r"(bids|asks)\[(\d+)\]\.(\w+)", rejected.field)
    if place:
        return _at_row(table, where[place[1]][int(place[2])], rejected, column=place[3])
    return _at_row(table, min(index for rows in where.values() for index in rows), rejected)
