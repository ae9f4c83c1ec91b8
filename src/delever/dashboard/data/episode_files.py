"""An ADL event as files: all of it as JSON, its fills as CSV, Parquet and a workbook."""

import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
from xlsxwriter import Workbook

from delever.api_types.history import FillResponse, Waterfall

_DECIMALS = {"quantity", "price", "mark", "notional", "haircut", "fee", "quantity_ahead"} | {
    "realized_pnl",
    "pool_realized_pnl",
}
"""Fields of a fill that are decimals, written exactly."""


def fills_of(episode: Waterfall) -> list[FillResponse]:
    """Return the fills of all rounds, oldest first."""
    return [fill for adl_round in episode.rounds for fill in adl_round.fills]


def json_file(episode: Waterfall) -> bytes:
    """Return the whole event."""
    return msgspec.json.format(msgspec.json.encode(episode))


def csv_file(episode: Waterfall) -> bytes:
    """Return the fills as text, exact."""
    rows = [msgspec.structs.asdict(fill) for fill in fills_of(episode)]
    texts = [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in rows
    ]
    return pl.DataFrame(texts).write_csv().encode()


def parquet_file(episode: Waterfall) -> bytes:
    """Return the fills, one row a fill; money, prices and quantities are exact decimals."""
    file = io.BytesIO()
    pl.DataFrame(_fill_rows(episode), infer_schema_length=None).write_parquet(file)
    return file.getvalue()


def workbook_file(episode: Waterfall, accounts: Sequence[dict[str, Any]]) -> bytes:
    """Return a workbook with the sheets `accounts` and `fills`.

    Amounts are numbers of the spreadsheet, with 15 digits; the CSV is exact.
    """
    file = io.BytesIO()
    sheets = {"accounts": accounts, "fills": _fill_rows(episode)}
    # A name such as "=1+1" is text, whatever a spreadsheet would make of it.
    with Workbook(file, {"in_memory": True, "strings_to_formulas": False}) as workbook:
        bold = workbook.add_format({"bold": True})
        for name, rows in sheets.items():
            sheet = workbook.add_worksheet(name)
            sheet.freeze_panes(1, 1)
            sheet.write_row(0, 0, _headings(rows), bold)
            for place, row in enumerate(rows, start=1):
                sheet.write_row(place, 0, [_cell(value) for value in row.values()])
            sheet.autofit()
    return file.getvalue()


def _headings(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(next(iter(rows), {}))


def _cell(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _fill_rows(episode: Waterfall) -> list[dict[str, Any]]:
    """Return the fills as rows with exact decimals."""
    return [
        {
            name: Decimal(value) if name in _DECIMALS and value is not None else _plain(value)
            for name, value in msgspec.structs.asdict(fill).items()
        }
        for fill in fills_of(episode)
    ]


def _plain(value: Any) -> Any:
    """Return an enum member as plain text; other values unchanged."""
    return str(value) if isinstance(value, str) else value
