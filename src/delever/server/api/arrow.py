"""Routes in: positions and balances as an Arrow IPC stream, one command per stream.

Columns have the names of a row's fields; amounts are text, decimals or integers, never floats, and
nulls are left out. Positions may also be in units of the engine: a stream with the column `lots` is
the command `set_position_columns`, whose columns are used as they are, a million rows a second.
"""

import asyncio
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from litestar import post
from litestar.params import FromQuery, QueryParameter

from delever.api_types.market import RowsResponse
from delever.core.intake.column_packing import position_columns
from delever.core.messages import (
    BalanceRow,
    Event,
    PositionRow,
    RowIgnored,
    RowRejected,
    RowsIgnored,
    SetBalances,
    SetPositionColumns,
    SetPositions,
    Side,
    rejected_parts,
)
from delever.field_errors import find_field_error
from delever.server.api.commands import rejected_line, submit_one
from delever.server.api.requests.authorization import submits
from delever.server.api.requests.dependencies import Services
from delever.server.api.requests.errors import AnyRequest, invalid_request
from delever.server.engine.runner import NOW, Outcome

SIDES = list(Side)
"""Sides by their number in columns: 0 long, 1 short."""

REQUIRED_COLUMNS = ("account", "contract", "side", "lots", "cost_cash")
"""Columns without a default."""

RowT = TypeVar("RowT", PositionRow, BalanceRow)

Count = Annotated[int, QueryParameter(ge=0, le=2**53)]


@post("/v1/positions/arrow", status_code=200, guards=[submits], tags=["commands"])
async def positions(
    request: AnyRequest,
    services: Services,
    version: Count,
    last_fill: Count = 0,
    strict: FromQuery[bool] = False,
    id: FromQuery[str] = "",  # noqa: A002 - the name of the command's field
) -> RowsResponse:
    """Run set_positions with the rows of an Arrow stream.

    A row that cannot be taken is rejected alone; `strict` rejects all rows instead.

    A stream with a column `lots` runs set_position_columns, in units of the engine: `account`,
    `contract` and `side` are text (best dictionary-encoded), all other columns are integers.
    """
    table = await asyncio.to_thread(_table, await request.body())
    header: dict[str, Any] = {
        "version": version,
        "last_fill": last_fill,
        "strict": strict,
        "id": id,
    }
    if "lots" in table.column_names:
        columns = await asyncio.to_thread(_columns, table, header)
        return _response(await submit_one(request, services, columns), table.num_rows)
    rows = await asyncio.to_thread(_rows, table, PositionRow)
    command = SetPositions(time_ms=NOW, positions=tuple(rows), **header)
    return _response(await submit_one(request, services, command), table.num_rows)


@post("/v1/balances/arrow", status_code=200, guards=[submits], tags=["commands"])
async def balances(
    request: AnyRequest,
    services: Services,
    version: Count,
    last_fill: Count = 0,
    strict: FromQuery[bool] = False,
    id: FromQuery[str] = "",  # noqa: A002 - the name of the command's field
) -> RowsResponse:
    """Run set_balances with the rows of an Arrow stream; see `/v1/positions/arrow`."""
    table = await asyncio.to_thread(_table, await request.body())
    rows = await asyncio.to_thread(_rows, table, BalanceRow)
    header: dict[str, Any] = {"version": version, "last_fill": last_fill, "strict": strict}
    command = SetBalances(time_ms=NOW, id=id, balances=tuple(rows), **header)
    return _response(await submit_one(request, services, command), table.num_rows)


def _table(body: bytes) -> pa.Table:
    """Return the table of a stream; raise RequestError where the body is not a stream."""
    try:
        with pa.ipc.open_stream(body) as stream:
            table = stream.read_all()
        if table.num_rows > len(body):  # no columns, or of a type that needs no bytes for a row
            raise invalid_request("body", str(table.num_rows), "has more rows than bytes")
        table.validate(full=True)  # offsets beyond a buffer would be read as memory
        names = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise invalid_request("body", "", f"is not an Arrow IPC stream: {error}") from None
    if len(set(names)) < len(names):
        raise invalid_request("columns", "", "two columns have the same name")
    return table


def _columns(table: pa.Table, header: dict[str, Any]) -> SetPositionColumns:
    """Return the command of a table in units of the engine; raise RequestError if it is invalid."""
    for name in REQUIRED_COLUMNS:
        if name not in table.column_names:
            raise invalid_request(f"columns.{name}", "", "is missing")
    names: dict[str, list[str]] = {}
    columns: dict[str, Any] = {}
    for name in table.column_names:
        chunks, is_text = table.column(name), name in {"account", "contract", "side"}
        if not (_is_text(chunks.type) if is_text else _is_integer(chunks.type)):
            wanted = "is not text" if is_text else "is not of integers"
            raise invalid_request(f"columns.{name}", str(chunks.type), wanted)
        column = chunks.combine_chunks()  # not implemented for some of the other types
        if column.null_count:
            raise invalid_request(f"columns.{name}", "null", "every row needs a value")
        if is_text:
            names[name], column = _encoded(column)
        columns[name] = column.to_numpy(zero_copy_only=False)
    try:
        sides = np.array([SIDES.index(Side(side)) for side in names["side"]], np.uint8)
        columns["side"] = sides[columns["side"]] if len(sides) else columns["side"]
        accounts, contracts = names["account"], names["contract"]
        return position_columns(
            time_ms=NOW, accounts=accounts, contracts=contracts, columns=columns, **header
        )
    except ValueError as error:
        raise invalid_request("columns", "", str(error)) from None


def _is_integer(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _is_text(kind: pa.DataType) -> bool:
    """Return whether a column is of text, dictionary-encoded or not."""
    text = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(text) or pa.types.is_large_string(text))


def _encoded(column: Any) -> tuple[list[str], Any]:
    """Return the distinct names of a text column, and the index of each row's name."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column.dictionary.to_pylist(), column.indices


PLAIN_TYPES = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_null,
)


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether a row may have a value of a type; pyarrow cannot return those of all types."""
    has_values = pa.types.is_dictionary, pa.types.is_list, pa.types.is_large_list
    if any(is_type(kind) for is_type in has_values):
        return _is_plain(kind.value_type)
    return any(is_type(kind) for is_type in PLAIN_TYPES)


def _rows(table: pa.Table, kind: type[RowT]) -> list[RowT]:
    """Return the rows of a table; raise RequestError for the first invalid one."""
    for column in table.schema:
        if not _is_plain(column.type):
            raise invalid_request(
                f"columns.{column.name}", str(column.type), "is not a type of rows"
            )
    rows = list(map(_without_nulls, table.to_pylist()))
    try:
        return msgspec.convert(rows, list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        found = find_field_error(rows, list[kind])  # type: ignore[valid-type]
        if found is None:
            raise invalid_request("rows", "", f"rows are invalid: {error}") from None
        value = "" if found.value is None else found.value
        raise invalid_request(f"rows{found.path}", value, f"rows{found}") from None


def _without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row without nulls, with decimals as text."""
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in row.items()
        if value is not None
    }


def _response(outcome: Outcome, rows: int) -> RowsResponse:
    committed = outcome.committed
    rejections = tuple(
        rejected_line(part.row, part)
        for part in rejected_parts(committed.events)
        if isinstance(part, RowRejected)
    )
    return RowsResponse(
        sequence=committed.sequence,
        time_ms=committed.time_ms,
        repeated=outcome.repeated,
        rows=rows,
        ignored=sum(map(_ignored, committed.events)),
        rejected=len(rejections),
        rejections=rejections,
    )


def _ignored(event: Event) -> int:
    """Return how many rows were older than those in the book."""
    if isinstance(event, RowsIgnored):
        return len(np.frombuffer(event.rows, "<i4"))
    return int(isinstance(event, RowIgnored))


ROUTES = [positions, balances]
