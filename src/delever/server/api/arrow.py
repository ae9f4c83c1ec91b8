"""In: positions and balances as an Arrow IPC stream, one command a stream.

Columns are named as the fields of a row; amounts are text, decimals or whole numbers, never floats.
What is null is left out. Positions also come in the engine's own units: a stream with the column
`lots` is `set_position_columns`, whose columns are taken as they are, a million rows a second.
"""

import asyncio
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from litestar import post
from litestar.params import FromQuery, QueryParameter

from delever.api_types.market import Told
from delever.core.intake.column_packing import position_columns
from delever.core.messages import (
    BalanceRow,
    Event,
    PositionRow,
    RowIgnored,
    RowsIgnored,
    SetBalances,
    SetPositionColumns,
    SetPositions,
    Side,
)
from delever.server.api.authorization import submits
from delever.server.api.commands import submitted
from delever.server.api.dependencies import PartsOf
from delever.server.api.errors import AnyRequest, malformed
from delever.server.engine.service import NOW, Outcome

SIDES = list(Side)
"""Their places are the numbers of sides in columns: 0 long, 1 short."""

NEEDED = ("account", "contract", "side", "lots", "cost_cash")
"""Columns without a default."""

RowT = TypeVar("RowT", PositionRow, BalanceRow)

Count = Annotated[int, QueryParameter(ge=0, le=2**53)]


@post("/v1/positions/arrow", status_code=200, guards=[submits], tags=["commands"])
async def positions(
    request: AnyRequest,
    parts: PartsOf,
    version: Count,
    last_fill: Count = 0,
    id: FromQuery[str] = "",  # noqa: A002 - the command's own word
) -> Told:
    """Run set_positions with the rows of an Arrow stream; all of them, or none.

    With a column `lots` it is set_position_columns, in the engine's own units: `account`,
    `contract` and `side` are text (best dictionary-encoded), all else whole numbers.
    """
    table = await asyncio.to_thread(_table, await request.body())
    told: dict[str, Any] = {"version": version, "last_fill": last_fill, "id": id}
    if "lots" in table.column_names:
        command = await asyncio.to_thread(_columns, table, told)
        return _told(await submitted(parts, command), table.num_rows)
    rows = await asyncio.to_thread(_rows, table, PositionRow)
    held = SetPositions(time_ms=NOW, positions=tuple(rows), **told)
    return _told(await submitted(parts, held), table.num_rows)


@post("/v1/balances/arrow", status_code=200, guards=[submits], tags=["commands"])
async def balances(
    request: AnyRequest,
    parts: PartsOf,
    version: Count,
    last_fill: Count = 0,
    id: FromQuery[str] = "",  # noqa: A002 - the command's own word
) -> Told:
    """Run set_balances with the rows of an Arrow stream; all of them, or none."""
    table = await asyncio.to_thread(_table, await request.body())
    rows = await asyncio.to_thread(_rows, table, BalanceRow)
    command = SetBalances(
        time_ms=NOW, id=id, version=version, last_fill=last_fill, balances=tuple(rows)
    )
    return _told(await submitted(parts, command), table.num_rows)


def _table(body: bytes) -> pa.Table:
    """Return what a stream holds; Problem where it is none."""
    try:
        with pa.ipc.open_stream(body) as stream:
            return stream.read_all()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise malformed("body", "", f"is no Arrow IPC stream: {error}") from None


def _columns(table: pa.Table, told: dict[str, Any]) -> SetPositionColumns:
    """Return the command of a table in the engine's own units; Problem where it is none."""
    for name in NEEDED:
        if name not in table.column_names:
            raise malformed(f"columns.{name}", "", "is missing")
    names: dict[str, list[str]] = {}
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if column.null_count:
            raise malformed(f"columns.{name}", "null", "every row needs a value")
        if name in {"account", "contract", "side"}:
            names[name], column = _encoded(name, column)
        columns[name] = column.to_numpy(zero_copy_only=False)
    try:
        sides = np.array([SIDES.index(Side(side)) for side in names["side"]], np.uint8)
        columns["side"] = sides[columns["side"]] if len(sides) else columns["side"]
        accounts, contracts = names["account"], names["contract"]
        return position_columns(
            time_ms=NOW, accounts=accounts, contracts=contracts, columns=columns, **told
        )
    except ValueError as error:
        raise malformed("columns", "", str(error)) from None


def _encoded(name: str, column: Any) -> tuple[list[str], Any]:
    """Return the names of a column and the places in them; Problem where it is not text."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    if not (
        pa.types.is_string(column.type.value_type) or column.type.value_type == pa.large_utf8()
    ):
        raise malformed(f"columns.{name}", str(column.type), "is not text")
    return column.dictionary.to_pylist(), column.indices


def _rows(table: pa.Table, kind: type[RowT]) -> list[RowT]:
    """Return the rows of a table; Problem where a row cannot be one."""
    try:
        return msgspec.convert(list(map(_given, table.to_pylist())), list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        why, _, path = str(error).partition(" - at ")
        field = path.strip("`").removeprefix("$")
        raise malformed(f"rows{field}", "", why) from None


def _given(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row without nulls, decimals as text."""
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in row.items()
        if value is not None
    }


def _told(outcome: Outcome, rows: int) -> Told:
    committed = outcome.committed
    return Told(
        sequence=committed.sequence,
        time_ms=committed.time_ms,
        repeated=outcome.repeated,
        rows=rows,
        ignored=sum(map(_ignored, committed.events)),
    )


def _ignored(event: Event) -> int:
    """Return how many rows were older than what the book holds."""
    if isinstance(event, RowsIgnored):
        return len(np.frombuffer(event.rows, "<i4"))
    return int(isinstance(event, RowIgnored))


ROUTES = [positions, balances]
