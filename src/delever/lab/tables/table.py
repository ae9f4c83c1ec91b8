"""One table, read as text: a CSV file, a Parquet file, or a data frame.

The columns of a table are the fields of the command or row that its rows become, under the same
names (docs/reference/commands.md); a field inside `limits` is the column `limits.start` and so on.
Numbers are text, whole numbers or exact decimals. A column of floats is rejected unless rounding is
asked for; an unknown column is rejected, because a misspelt one would change a result in silence.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import EnumType
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import msgspec
import polars as pl

from delever.core.messages import (
    Amount,
    BalanceRow,
    Command,
    DefineAccount,
    DefineAsset,
    DefineContract,
    DefinePool,
    PositionRow,
    TriggerLimits,
)
from delever.lab.errors import InputError, suggestion

Tabular = Any
"""A polars or pandas data frame, an Arrow table, a dict of lists, or a list of dicts."""


class PoolRow(DefinePool, tag="define_pool", frozen=True, kw_only=True):
    """A pool, with the money in it."""

    balance: Amount = "0"


class TierRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One margin tier of one contract."""

    contract: str
    notional_from: Amount
    maintenance_rate: Amount


class MarkRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A contract's mark, and the one before where it matters (Hyperliquid's price)."""

    contract: str
    mark: Amount
    previous_mark: Amount | None = None


class DepthRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One level of a contract's order book; levels of one side stand best first."""

    contract: str
    side: Literal["bid", "ask"]
    price: Amount
    quantity: Amount


@dataclass(frozen=True, slots=True)
class Shape:
    """What a table of a book holds: what a row becomes, and which columns tell two rows apart."""

    name: str
    row: type[msgspec.Struct]
    key: tuple[str, ...]
    required: bool = True

    def columns(self) -> dict[str, bool]:
        """Return the columns, with whether each must be there."""
        columns: dict[str, bool] = {}
        for info in msgspec.structs.fields(self.row):
            if info.type is TriggerLimits:
                columns |= {f"{info.name}.{name}": False for name in info.type.__struct_fields__}
            elif info.name not in _NOT_COLUMNS:
                columns[info.name] = info.required
        return columns


_NOT_COLUMNS = {*Command.__struct_fields__, "margin_tiers"}

SHAPES = {
    shape.name: shape
    for shape in (
        Shape("assets", DefineAsset, ("asset",), required=False),
        Shape("pools", PoolRow, ("pool",)),
        Shape("contracts", DefineContract, ("contract",)),
        Shape("margin_tiers", TierRow, ("contract", "notional_from"), required=False),
        Shape("accounts", DefineAccount, ("account",)),
        Shape("marks", MarkRow, ("contract",)),
        Shape("balances", BalanceRow, ("account", "asset")),
        Shape("depth", DepthRow, ("contract", "side", "price"), required=False),
        Shape("positions", PositionRow, ("account", "contract", "side", "position")),
    )
}
"""Every table of a book, in the order in which they are told to the engine."""

StructT = TypeVar("StructT", bound=msgspec.Struct)
Cells = dict[str, str]


@dataclass(slots=True)
class Table:
    """Rows of text; a cell without text is not there.

    `numbers` are the rows as counted in the source, from 1; `header_lines` is how many lines stand
    before them in a text file.
    """

    shape: Shape
    source: str
    rows: list[Cells]
    numbers: Sequence[int] = field(default=())
    header_lines: int | None = None

    def column(self, name: str) -> list[str]:
        """Return the cells of a column, where it has any."""
        return [row[name] for row in self.rows if name in row]

    def error(self, index: int, column: str, why: str, **more: Any) -> InputError:
        """Return the error about one cell."""
        number = self.numbers[index] if self.numbers else index + 1
        line = None if self.header_lines is None else number + self.header_lines
        value = more.pop("value", self.rows[index].get(column))
        return InputError(
            why, file=self.source, row=number, line=line, column=column, value=value, **more
        )

    def read(self, kind: type[StructT]) -> list[StructT]:
        """Return every row as a value; InputError names the first cell that cannot be one."""
        return [self._read_row(index, row, kind) for index, row in enumerate(self.rows)]

    def _read_row(self, index: int, row: Cells, kind: type[StructT]) -> StructT:
        try:
            return msgspec.convert(_nested(row, kind), kind, strict=False)
        except msgspec.ValidationError as error:
            text, _, path = str(error).partition(" - at ")
            missing = re.search(r"missing required field `(\w+)`", text)
            if missing:
                raise self.error(index, missing[1], "is empty") from None
            column = path.strip("`").removeprefix("$.").partition("[")[0]
            raise self.error(index, column, _expected(kind, column, text)) from None


def read_table(path: Path, shape: Shape) -> Table:
    """Return a CSV or Parquet file as a table."""
    try:
        if path.suffix == ".parquet":
            return table_of(pl.read_parquet(path), shape, str(path))
        frame = pl.read_csv(path, infer_schema=False)
    except pl.exceptions.NoDataError:
        raise InputError("is empty; a table has at least a header", file=str(path)) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        _check_ragged(path)
        raise InputError(f"cannot be read: {_first_line(error)}", file=str(path)) from None
    _check_header(frame.columns, path)
    return table_of(frame, shape, str(path), header_lines=1)


def _check_header(columns: Sequence[str], path: Path) -> None:
    """Say so where a spreadsheet has written something else than commas and UTF-8."""
    if any("\0" in name for name in columns):
        raise InputError("is not UTF-8 text", file=str(path))
    for mark, parted in ((";", "semicolons"), ("\t", "tabs")):
        if len(columns) == 1 and mark in columns[0]:
            raise InputError(f"is parted by {parted}; a table is parted by commas", file=str(path))


def _check_ragged(path: Path) -> None:
    """Name the first row with more cells than the header, where that is what is wrong."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        lines = csv.reader(file)
        width = len(next(lines, []))
        for number, cells in enumerate(lines, start=1):
            if len(cells) > width:
                why = f"has {len(cells)} cells under {width} columns"
                raise InputError(why, file=str(path), row=number, line=number + 1)


def table_of(
    data: Tabular,
    shape: Shape,
    source: str,
    *,
    floats: int | None = None,
    header_lines: int | None = None,
    without: str = "",
) -> Table:
    """Return data as a table; `floats` is the decimals to which columns of floats are rounded.

    `without` names a column that may be missing although the shape needs it.
    """
    frame = _frame(data, source)
    _check_columns(frame.columns, shape, source, without)
    cells = {name: _texts(frame[name], source, floats) for name in frame.columns}
    rows = [
        {name: cell for name, cell in zip(cells, row, strict=True) if cell is not None}
        for row in zip(*cells.values(), strict=True)
    ]
    numbers = [number for number, row in enumerate(rows, start=1) if row]
    table = Table(shape, source, [row for row in rows if row], numbers, header_lines)
    _check_repeated(table)
    return table


def _frame(data: Tabular, source: str) -> pl.DataFrame:
    """Return data as a data frame."""
    if isinstance(data, pl.DataFrame):
        return data
    try:
        return pl.DataFrame(data)
    except (pl.exceptions.PolarsError, ImportError, TypeError, ValueError) as error:
        raise InputError(f"is not a table: {_first_line(error)}", file=source) from None


def _check_columns(columns: Sequence[str], shape: Shape, source: str, without: str) -> None:
    """Refuse columns that a table does not have, and miss those it must have."""
    known = shape.columns()
    for name in columns:
        if name in known:
            continue
        original, _, copy = name.rpartition("_duplicated_")
        if original in known and copy.isdecimal():
            raise InputError("the column stands there twice", file=source, column=original)
        raise InputError(
            f"unknown column{suggestion(name, known)}", file=source, column="", value=name
        )
    for name, needed in known.items():
        if needed and name not in (*columns, without):
            raise InputError("the column is missing", file=source, column=name)


def _texts(column: pl.Series, source: str, floats: int | None) -> list[str | None]:
    """Return a column's cells as exact text."""
    dtype = column.dtype
    if dtype.is_float():
        if floats is None:
            raise InputError(
                "holds floats, which are not exact: give text, decimals or whole numbers",
                file=source,
                column=column.name,
            )
        return [None if cell is None else _rounded(cell, floats) for cell in column.to_list()]
    if dtype == pl.List(pl.String) and column.name == "open_orders":
        column = column.list.join(" ")
    elif not (dtype.is_integer() or dtype.is_decimal() or dtype in _TEXT):
        raise InputError(
            f"holds {dtype}, which is no text or number", file=source, column=column.name
        )
    return column.cast(pl.String).to_list()


_TEXT = (pl.String, pl.Boolean, pl.Categorical, pl.Enum, pl.Null)


def _rounded(cell: float, decimals: int) -> str:
    """Return a float rounded to decimals, without trailing zeros; NaN and infinity stay words."""
    text = f"{cell:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _check_repeated(table: Table) -> None:
    """Refuse two rows about the same thing."""
    seen: dict[tuple[str | None, ...], int] = {}
    for index, row in enumerate(table.rows):
        key = tuple(row.get(name) for name in table.shape.key)
        if key in seen:
            why = f"duplicate row: row {table.numbers[seen[key]]} is about the same"
            raise table.error(index, table.shape.key[0], why)
        seen[key] = index


def _nested(row: Cells, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return cells as fields of a value; dots open an inner one, blanks part orders."""
    fields: dict[str, Any] = {"time_ms": 0} if issubclass(kind, Command) else {}
    for name, cell in row.items():
        outer, _, inner = name.partition(".")
        if inner:
            fields.setdefault(outer, {})[inner] = cell
        else:
            fields[name] = cell.split() if name == "open_orders" else cell
    return fields


def _expected(kind: type[msgspec.Struct], column: str, message: str) -> str:
    """Return what a cell should have been."""
    wanted = {info.name: info.type for info in msgspec.structs.fields(kind)}.get(column)
    choices = list(wanted) if isinstance(wanted, EnumType) else get_args(wanted)
    if "Invalid enum value" in message:
        return f"must be one of {', '.join(map(str, choices))}"
    if wanted is bool:
        return "must be true or false"
    return "must be a whole number" if "`int" in message else message


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
