"""One table, read as text: a CSV file, a Parquet file, or a data frame.

The columns of a table are the fields of the command or row that its rows become, under the same
names (docs/reference/commands.md); a field of `limits` is a column such as `limits.start`. Numbers
are text, integers or exact decimals. A column of floats is rejected unless rounding is requested;
an unknown column is rejected, because a misspelled one would silently change a result.
"""

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import polars as pl
from polars import selectors

from delever.core.messages import (
    Amount,
    BalanceRow,
    CollateralTier,
    Command,
    DefineAccount,
    DefineAsset,
    DefineContract,
    DefinePool,
    PositionRow,
    TriggerLimits,
)
from delever.field_errors import FieldProblem, find_field_error
from delever.lab.errors import InputError
from delever.suggestions import suggestion

Tabular = Any
"""A polars or pandas data frame, an Arrow table, a dict of lists, or a list of dicts."""


class PoolRow(DefinePool, tag="define_pool", frozen=True, kw_only=True):
    """A pool with its balance."""

    balance: Amount = "0"


class TierRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One margin tier of one contract."""

    contract: str
    notional_from: Amount
    maintenance_rate: Amount


class CollateralRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One collateral tier of one asset; the asset's terms are those of its first row."""

    asset: str
    index_price: Amount | None = None
    margin_currency: str = ""
    bid_buffer: Amount = 0
    ask_buffer: Amount = 0
    quantity_from: Amount | None = None
    value_from: Amount | None = None
    rate: Amount = 1
    conversion_haircut: Amount = 0
    cap: Amount | None = None

    @property
    def tier(self) -> CollateralTier:
        """The tier of the row; without a start it begins at 0."""
        quantity, value = self.quantity_from, self.value_from
        start = 0 if quantity is None and value is None else quantity
        return CollateralTier(quantity_from=start, value_from=value, rate=self.rate)


class MarkRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A contract's mark, and the previous one, which Hyperliquid's ADL price needs."""

    contract: str
    mark: Amount
    previous_mark: Amount | None = None


class MarginRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cross margin of an account in an asset by the venue's own risk engine."""

    account: str
    asset: str
    equity: Amount
    maintenance: Amount


class DepthRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One level of a contract's order book; the best level of a side comes first."""

    contract: str
    side: Literal["bid", "ask"]
    price: Amount
    quantity: Amount


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The schema of a table: the type of its rows, and the columns that identify a row."""

    name: str
    row: type[msgspec.Struct]
    key: tuple[str, ...]
    required: bool = True

    def columns(self) -> dict[str, bool]:
        """Return the columns, each with whether it is required."""
        columns: dict[str, bool] = {}
        for info in msgspec.structs.fields(self.row):
            if info.type is TriggerLimits:
                columns |= {f"{info.name}.{name}": False for name in info.type.__struct_fields__}
            elif info.name not in _NOT_COLUMNS:
                columns[info.name] = info.required
        return columns


_NOT_COLUMNS = {*Command.__struct_fields__, "margin_tiers"}

SCHEMAS = {
    schema.name: schema
    for schema in (
        TableSchema("assets", DefineAsset, ("asset",), required=False),
        TableSchema("pools", PoolRow, ("pool",)),
        TableSchema("contracts", DefineContract, ("contract",)),
        TableSchema("margin_tiers", TierRow, ("contract", "notional_from"), required=False),
        TableSchema(
            "collateral", CollateralRow, ("asset", "quantity_from", "value_from"), required=False
        ),
        TableSchema("accounts", DefineAccount, ("account",)),
        TableSchema("marks", MarkRow, ("contract",)),
        TableSchema("balances", BalanceRow, ("account", "asset")),
        TableSchema("account_margins", MarginRow, ("account", "asset"), required=False),
        TableSchema("depth", DepthRow, ("contract", "side", "price"), required=False),
        TableSchema("positions", PositionRow, ("account", "contract", "side", "position")),
    )
}
"""Every table of a book, in the order in which they are submitted to the engine."""

StructT = TypeVar("StructT", bound=msgspec.Struct)
Cells = dict[str, str]


@dataclass(slots=True)
class TextTable:
    """Rows of text; an empty cell is missing from its row.

    `numbers` are the numbers of the rows in the source, from 1; `header_lines` counts the lines
    before them in a text file.
    """

    schema: TableSchema
    source: str
    rows: list[Cells]
    numbers: Sequence[int] = field(default=())
    header_lines: int | None = None

    def column(self, name: str) -> list[str]:
        """Return the cells of a column that are not empty."""
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
        """Return every row as a value; raises InputError for the first invalid cell."""
        return [self._read_row(index, row, kind) for index, row in enumerate(self.rows)]

    def _read_row(self, index: int, row: Cells, kind: type[StructT]) -> StructT:
        fields = _nested(row, kind)
        try:
            return msgspec.convert(fields, kind, strict=False)
        except msgspec.ValidationError as error:
            wrong = find_field_error(fields, kind, strict=False)
            if wrong is None:
                raise self.error(index, "", f"is not valid: {error}") from None
            if wrong.problem is FieldProblem.MISSING:
                raise self.error(index, wrong.name, "is empty") from None
            raise self.error(index, wrong.path.partition("[")[0], wrong.why) from None


def read_table(path: Path, schema: TableSchema) -> TextTable:
    """Return a CSV or Parquet file as a table."""
    try:
        if path.suffix == ".parquet":
            return table_of(pl.read_parquet(path), schema, str(path))
        frame = pl.read_csv(path, infer_schema=False)
    except pl.exceptions.NoDataError:
        raise InputError("is empty; a table has at least a header", file=str(path)) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        _check_ragged(path)
        raise InputError(f"cannot be read: {_first_line(error)}", file=str(path)) from None
    _check_header(frame.columns, path)
    return table_of(frame, schema, str(path), header_lines=1)


def _check_header(columns: Sequence[str], path: Path) -> None:
    """Raise InputError for a file without commas or UTF-8, as spreadsheets may write one."""
    if any("\0" in name for name in columns):
        raise InputError("is not UTF-8 text", file=str(path))
    for mark, separators in ((";", "semicolons"), ("\t", "tabs")):
        if len(columns) == 1 and mark in columns[0]:
            raise InputError(
                f"is separated by {separators}; a table is separated by commas", file=str(path)
            )


def _check_ragged(path: Path) -> None:
    """Raise InputError for the first row with more cells than the header, if there is one."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        lines = csv.reader(file)
        width = len(next(lines, []))
        for number, cells in enumerate(lines, start=1):
            if len(cells) > width:
                why = f"has {len(cells)} cells under {width} columns"
                raise InputError(why, file=str(path), row=number, line=number + 1)


def table_of(
    data: Tabular,
    schema: TableSchema,
    source: str,
    *,
    floats: int | None = None,
    header_lines: int | None = None,
    without: Collection[str] = (),
) -> TextTable:
    """Return data as a table; columns of floats are rounded to `floats` decimals.

    `without` names required columns that may be missing. Sides may have the names that venues send,
    as in `SIDE_ALIASES`.
    """
    frame = _frame(data, source)
    _check_columns(frame.columns, schema, source, without)
    cells = {name: _texts(frame[name], source, floats) for name in frame.columns}
    if schema.row is PositionRow and "side" in cells:
        cells["side"] = [_side(text) for text in cells["side"]]
    rows = [
        {name: cell for name, cell in zip(cells, row, strict=True) if cell is not None}
        for row in zip(*cells.values(), strict=True)
    ]
    numbers = [number for number, row in enumerate(rows, start=1) if row]
    table = TextTable(schema, source, [row for row in rows if row], numbers, header_lines)
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


def _check_columns(
    columns: Sequence[str], schema: TableSchema, source: str, without: Collection[str]
) -> None:
    """Raise InputError for an unknown column, a repeated one, or a missing one."""
    known = schema.columns()
    for name in columns:
        if name in known:
            continue
        original, _, copy = name.rpartition("_duplicated_")
        if original in known and copy.isdecimal():
            raise InputError("the column is there twice", file=source, column=original)
        raise InputError(
            f"unknown column{suggestion(name, known)}", file=source, column="", value=name
        )
    for name, needed in known.items():
        if needed and name not in (*columns, *without):
            raise InputError("the column is missing", file=source, column=name)


def _texts(column: pl.Series, source: str, floats: int | None) -> list[str | None]:
    """Return a column's cells as exact text."""
    dtype = column.dtype
    if dtype.is_float():
        if floats is None:
            raise InputError(
                "holds floats, which are not exact: give text, decimals or whole numbers, or "
                'floats="round:8" to book_of',
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


SIDE_ALIASES = {"long": "long", "buy": "long", "short": "short", "sell": "short"}
"""Sides of positions as venues send them, in any case (Binance LONG, Bybit Buy), and delever's."""


def _side(text: str | None) -> str | None:
    """Return the side that a venue's name means; other text is left for the engine to reject."""
    return None if text is None else side_name(text)


def side_name(text: str) -> str:
    """Return the side that a venue's name means, by the one mapping; other text as it is.

    >>> side_name("LONG"), side_name("Sell"), side_name("up")
    ('long', 'short', 'up')
    """
    return SIDE_ALIASES.get(text.casefold(), text)


def _rounded(cell: float, decimals: int) -> str:
    """Return a float rounded to decimals, without trailing zeros; NaN and infinity stay text."""
    text = f"{cell:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _check_repeated(table: TextTable) -> None:
    """Raise InputError for two rows with the same key."""
    first: dict[tuple[str | None, ...], int] = {}
    for index, row in enumerate(table.rows):
        key = tuple(row.get(name) for name in table.schema.key)
        if key in first:
            why = f"duplicate row: row {table.numbers[first[key]]} is about the same"
            raise table.error(index, table.schema.key[0], why)
        first[key] = index


def _nested(row: Cells, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return cells as fields of a value; a dot separates inner fields, blanks separate orders."""
    fields: dict[str, Any] = {"time_ms": 0} if issubclass(kind, Command) else {}
    for name, cell in row.items():
        outer, _, inner = name.partition(".")
        if inner:
            fields.setdefault(outer, {})[inner] = cell
        else:
            fields[name] = cell.split() if name == "open_orders" else cell
    return fields


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def as_floats(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with exact decimals as float64, for plots and statistics.

    >>> from decimal import Decimal
    >>> as_floats(pl.DataFrame({"haircut": [Decimal("2.50")], "fills": [3]})).row(0)
    (2.5, 3)
    """
    return frame.with_columns(selectors.decimal().cast(pl.Float64))
