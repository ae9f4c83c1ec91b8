"""A comparison stored in a file of any format, read with the types of its columns.

There are two kinds: a stress test under several rule sets (`delever.compare`), and the same
positions ranked under them (`delever rank-all`).
"""

import io
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from delever.lab.errors import InputError
from delever.lab.queries.rule_comparison import COMPARISON_SCHEMA
from delever.lab.runs.stress_test import COMPARED_EXACT, COMPARED_SCHEMA

_STRESS_TEST_COLUMNS = ("rules", "contract", "haircut", "pool_pnl")
"""Columns that a stress test always has."""

_RANKING_COLUMNS = (
    "rules",
    "contract",
    "side",
    "account",
    "quantity",
    "rank",
    "ranked",
    "indicator",
    "trigger",
)
"""Columns that ranked positions always have."""


def has_ranks(comparison: pl.DataFrame) -> bool:
    """Return whether a comparison has ranked positions, not the results of a stress test."""
    return "rank" in comparison.columns


def read_comparison(path: Path) -> pl.DataFrame:
    """Return a comparison stored as Parquet, CSV, TSV, JSON or JSON lines.

    Raises InputError for an invalid file, naming the file, and the column or the value.
    """
    read = _READERS.get(path.suffix, pl.read_parquet)
    try:
        frame = read(path)
    except OSError as error:
        why = error.strerror or "it does not exist"
        raise InputError(f"cannot be read: {why}", file=str(path)) from None
    except (pl.exceptions.PolarsError, msgspec.DecodeError, UnicodeDecodeError) as error:
        kind = path.suffix.removeprefix(".").upper() if path.suffix in _READERS else "Parquet"
        raise InputError(f"is no {kind} file: {error}", file=str(path)) from None
    needed = _RANKING_COLUMNS if has_ranks(frame) else _STRESS_TEST_COLUMNS
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise InputError(f"is no comparison: there is no column {missing[0]}", file=str(path))
    return frame if path.suffix not in _READERS else _typed(frame, str(path))


# --- formats ---


def _separated(separator: str) -> Callable[[Path], pl.DataFrame]:
    def read(path: Path) -> pl.DataFrame:
        return pl.read_csv(path.read_bytes(), separator=separator, infer_schema=False)

    return read


def _json(path: Path) -> pl.DataFrame:
    document = msgspec.json.decode(path.read_bytes())
    rows = document.get("rows") if isinstance(document, dict) else None
    return _of_rows(rows if isinstance(rows, list) else [])


def _lines(path: Path) -> pl.DataFrame:
    lines = io.BytesIO(path.read_bytes())
    return _of_rows([msgspec.json.decode(line) for line in lines if line.strip()])


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return rows as a frame of text."""
    names = list(rows[0]) if rows else []
    text = [{name: _text(row.get(name)) for name in names} for row in rows]
    return pl.DataFrame(text, schema=dict.fromkeys(names, pl.String))


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else str(value)


_READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".json": _json,
    ".jsonl": _lines,
    ".ndjson": _lines,
}


# --- types ---


def _typed(frame: pl.DataFrame, file: str) -> pl.DataFrame:
    """Return columns of text in their types."""
    schema = COMPARISON_SCHEMA if has_ranks(frame) else COMPARED_SCHEMA
    exact: set[str] = set() if has_ranks(frame) else set(COMPARED_EXACT)
    columns = [
        _column(frame[name], pl.Decimal if name in exact else schema[name], file)
        for name in frame.columns
        if name in schema
    ]
    return pl.DataFrame(columns)


def _column(text: pl.Series, kind: Any, file: str) -> pl.Series:
    if kind == pl.String:
        return text
    if kind == pl.Boolean:
        return text == "yes"
    number: Callable[[str], Any] = {pl.Int64: int, pl.Float64: float}.get(kind, Decimal)
    values: list[Any] = []
    for row, cell in enumerate(text, start=1):
        try:
            values.append(None if cell is None else number(cell))
        except (ValueError, InvalidOperation):
            raise InputError(
                "is no number", file=file, row=row, column=text.name, value=cell
            ) from None
    if number is not Decimal:
        return pl.Series(text.name, values, dtype=kind)
    places = max((-int(value.as_tuple().exponent) for value in values if value), default=0)
    return pl.Series(text.name, values, dtype=pl.Decimal(38, max(places, 0)))
