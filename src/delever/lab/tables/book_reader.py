"""A book directory, or data frames, and the book that they make.

A *book directory* holds one table a file, `.csv` or `.parquet`: pools, contracts, accounts,
balances, positions and marks, and where wanted depth, margin_tiers (a contract without any keeps
0.5 %) and assets (smallest units other than 10^-8). It says where everybody stands, not how it came
to that: peaks and ADL states begin anew.

Tables become commands and go through the engine, positions last, so that whatever is wrong with
them is the engine's refusal, told with file, row, column and value.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Command, Event, Rejected
from delever.lab.errors import InputError, in_words, suggestion
from delever.lab.tables.book_writer import frames_of
from delever.lab.tables.defaults import complete
from delever.lab.tables.table import (
    SHAPES,
    DepthRow,
    MarkRow,
    PoolRow,
    Table,
    Tabular,
    TierRow,
    read_table,
    table_of,
)

SUFFIXES = (".csv", ".parquet")

Submit = Callable[[Command], Sequence[Event]]
Locate = Callable[[Rejected], InputError]
Tables = Mapping[str, Table]


def read_book(path: str | Path) -> Book:
    """Return the book of a book directory.

    Raises InputError, naming file, row, column and value, for anything that cannot be taken.
    """
    return _valued(read_tables(path))


def write_book(book: Book, path: str | Path, *, suffix: str = ".csv") -> None:
    """Write a book as a book directory; reading it gives equal tables, to the last digit.

    Raises InputError where the book holds what tables cannot carry: inventory, fills that the venue
    has not included yet, or ADL under way. A journal keeps those.
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
    contracts: Tabular | None = None,
    margin_tiers: Tabular | None = None,
    depth: Tabular | None = None,
    pools: Tabular | None = None,
    assets: Tabular | None = None,
    pool: m.Amount = 0,
    rules: str = "bybit",
    asset: str = "USDT",
    floats: str | None = None,
) -> Book:
    """Return the book of some tables; what is not given follows from what is.

    Tables are polars or pandas frames, Arrow tables, dicts of lists or lists of dicts; `marks` may
    be {contract: price}. Without `contracts` each is linear, settles in `asset`, and has the tick
    and lot of the finest price and quantity seen. Without `pools` each settle asset has a shared
    pool of its name that holds `pool` under `rules`. Without `balances` a position that has no
    `isolated_margin` gets entry value / leverage. An account that holds both sides of a contract is
    in hedge mode. `floats="round:8"` rounds columns of floats to 8 decimals; else they are rejected.

    Raises InputError, naming table, row, column and value, for anything that cannot be taken.
    """
    if isinstance(marks, Mapping) and "contract" not in marks:
        marks = {"contract": list(marks), "mark": _alike([*marks.values()])}
    given = {
        "positions": positions,
        "marks": marks,
        "balances": balances,
        "accounts": accounts,
        "contracts": contracts,
        "margin_tiers": margin_tiers,
        "depth": depth,
        "pools": pools,
        "assets": assets,
    }
    decimals = _float_decimals(floats)
    return _valued(complete(_tables(given, decimals), pool=str(pool), rules=rules, asset=asset))


def build(tables: Tables) -> Book:
    """Return the book that tables make; raises InputError."""
    book = Book()
    load(tables, partial(step, book))
    return book


def _valued(tables: Tables) -> Book:
    """Return the book that tables make; raises InputError for a position that has no mark, too."""
    book = build(tables)
    for name, state in book.contracts.items():
        if state.mark == 0 and any(table.size for table in state.tables.values()):
            row = tables["positions"].column("contract").index(name)
            raise tables["positions"].error(row, "contract", "has no mark: nothing says its worth")
    return book


def load(tables: Tables, submit: Submit) -> None:
    """Tell tables to an engine, as commands at time 0; raises InputError at the first refusal."""
    for command, locate in commands_of(tables):
        for event in submit(command):
            if isinstance(event, Rejected):
                raise locate(event)


# --- reading ---


def read_tables(path: str | Path) -> dict[str, Table]:
    """Return the tables of a book directory; raises InputError."""
    folder = Path(path)
    if not folder.is_dir():
        why = "is no directory; a book is a directory of tables" if folder.exists() else "not found"
        raise InputError(why, file=str(folder))
    found = {name: _file_of(folder, name) for name in SHAPES}
    _check_stray(folder, {name for name, file in found.items() if file is None})
    return {name: read_table(file, SHAPES[name]) for name, file in found.items() if file}


def _file_of(folder: Path, name: str) -> Path | None:
    """Return the file that holds a table, or None where an optional one is not there."""
    files = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    there = [file for file in files if file.is_file()]
    if len(there) == 2:
        raise InputError(f"is there as {files[1].name} too", file=str(files[0]))
    if not there and SHAPES[name].required:
        raise InputError(f"is missing (and so is {name}.parquet)", file=str(files[0]))
    return there[0] if there else None


def _check_stray(folder: Path, absent: set[str]) -> None:
    """Refuse a file that looks like a misspelt table."""
    for file in sorted(folder.iterdir()):
        if file.suffix in SUFFIXES and file.stem not in SHAPES:
            meant = suggestion(file.stem, absent)
            if meant.startswith("; did"):
                raise InputError(f"is no table of a book{meant}", file=str(file))


def _tables(given: Mapping[str, Tabular | None], floats: int | None) -> dict[str, Table]:
    """Return the data that are given as tables; contracts need no pool where there are none."""
    without = "pool" if given["pools"] is None else ""
    return {
        name: table_of(data, SHAPES[name], name, floats=floats, without=without)
        for name, data in given.items()
        if data is not None or name in ("positions", "marks")
    }


def _alike(amounts: list[m.Amount | float]) -> list[str] | list[m.Amount | float]:
    """Return amounts as a column can hold them: as text, unless there are floats among them."""
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


def commands_of(tables: Tables) -> Iterator[tuple[Command, Locate]]:
    """Yield the commands of tables, each with what turns its refusal into an error of a table."""
    yield from _one_a_row(tables, "assets", m.DefineAsset)
    yield from _pools(tables["pools"])
    yield from _contracts(tables)
    yield from _one_a_row(tables, "accounts", m.DefineAccount)
    yield from _marks(tables["marks"])
    yield from _balances(tables["balances"])
    if "depth" in tables:
        yield from _depth(tables["depth"])
    yield from _positions(tables["positions"])


def _one_a_row(
    tables: Tables, name: str, kind: type[m.DefineAsset | m.DefineAccount]
) -> Iterator[tuple[Command, Locate]]:
    if name in tables:
        for index, command in enumerate(tables[name].read(kind)):
            yield command, partial(_at_row, tables[name], index)


def _pools(table: Table) -> Iterator[tuple[Command, Locate]]:
    """Yield pools, and the money in them; a pool in debt is a correction, for seeds are money."""
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
            told = msgspec.structs.replace(command, margin_tiers=own)
            yield told, partial(_at_contract, table, index, tiers)
        else:
            yield command, partial(_at_row, table, index)


def _marks(table: Table) -> Iterator[tuple[Command, Locate]]:
    rows = table.read(MarkRow)
    where = {row.contract: index for index, row in enumerate(rows)}
    previous = {row.contract: row.previous_mark for row in rows if row.previous_mark is not None}
    for column, marks in (
        ("previous_mark", previous),
        ("mark", {row.contract: row.mark for row in rows}),
    ):
        if marks:
            yield m.SetMarks(time_ms=0, marks=marks), partial(_at_mark, table, where, column)


def _balances(table: Table) -> Iterator[tuple[Command, Locate]]:
    if rows := table.read(m.BalanceRow):
        command = m.SetBalances(time_ms=0, version=0, balances=tuple(rows))
        yield command, partial(_at_place, table)


def _positions(table: Table) -> Iterator[tuple[Command, Locate]]:
    if rows := table.read(m.PositionRow):
        command = m.SetPositions(time_ms=0, version=0, positions=tuple(rows))
        yield command, partial(_at_place, table)


def _depth(table: Table) -> Iterator[tuple[Command, Locate]]:
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


# --- refusals -> errors of a table ---


def _at_row(table: Table, index: int, rejected: Rejected, *, column: str = "") -> InputError:
    return table.error(
        index,
        column or rejected.field,
        in_words(rejected.reason),
        reason=rejected.reason,
        value=rejected.value,
    )


def _at_contract(table: Table, index: int, tiers: Table | None, rejected: Rejected) -> InputError:
    """Return the error of a contract, or of one of its tiers: `margin_tiers[1].notional_from`."""
    place = re.match(r"margin_tiers\[(\d+)\](?:\.(\w+))?", rejected.field)
    if place is None or tiers is None:
        return _at_row(table, index, rejected)
    name = table.rows[index]["contract"]
    own = [place for place, row in enumerate(tiers.rows) if row["contract"] == name]
    return _at_row(tiers, own[int(place[1])], rejected, column=place[2] or "notional_from")


def _at_mark(table: Table, where: Mapping[str, int], column: str, rejected: Rejected) -> InputError:
    """Return the error of one mark; a mark too large for the book names no single one."""
    name = rejected.field.removeprefix("marks.")
    index = where.get(name, where.get(rejected.value, 0))
    named = "contract" if rejected.reason is m.Reason.UNKNOWN_CONTRACT else column
    return table.error(index, named, in_words(rejected.reason), reason=rejected.reason)


def _at_place(table: Table, rejected: Rejected) -> InputError:
    """Return the error of `positions[3].quantity`, or of the table where no row is named."""
    place = re.match(r"\w+\[(\d+)\](?:\.(\w+))?", rejected.field)
    if place is None:
        return InputError(
            in_words(rejected.reason),
            file=table.source,
            value=rejected.value,
            reason=rejected.reason,
        )
    column = place[2] or table.shape.key[0]
    return _at_row(table, int(place[1]), rejected, column=column)


def _at_level(table: Table, where: Mapping[str, list[int]], rejected: Rejected) -> InputError:
    """Return the error of `bids[2].price`, or of the contract's first level."""
    place = re.match(r"(bids|asks)\[(\d+)\]\.(\w+)", rejected.field)
    if place:
        return _at_row(table, where[place[1]][int(place[2])], rejected, column=place[3])
    return _at_row(table, min(index for rows in where.values() for index in rows), rejected)
