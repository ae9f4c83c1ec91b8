"""A finished run stored in a directory, and read again.

The directory has `summary.json`, `fills.parquet`, `pools.parquet` and `contracts.parquet` (the
observations), and `events.ndjson`. A comparison or study is a single file; see `table_store`.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from delever.lab.errors import InputError
from delever.lab.reports.table_store import (
    STUDY_KINDS,
    StoredStudy,
    is_comparison,
    missing_columns,
    read_table,
    study_of,
    typed_comparison,
)
from delever.lab.runs.run import RunResult, RunSummary

SWEEP_ROWS = "sweep.parquet"
"""Rows of all runs in a sweep's directory."""

_FRAMES = ("fills", "pools", "contracts")


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A finished run: its summary, every fill, and the observations of pools and contracts."""

    summary: RunSummary
    fills: pl.DataFrame
    pools: pl.DataFrame
    contracts: pl.DataFrame


def stored_run(result: RunResult) -> StoredRun:
    """Return what is stored of a run."""
    return StoredRun(result.summary, result.fills, result.pools, result.contracts)


def write_run(result: RunResult, directory: Path) -> None:
    """Write a run into a directory, which is created if it does not exist."""
    directory.mkdir(parents=True, exist_ok=True)
    run = stored_run(result)
    events = b"".join(msgspec.json.encode(event) + b"\n" for event in result.events)
    (directory / "events.ndjson").write_bytes(events)
    for name in _FRAMES:
        getattr(run, name).write_parquet(directory / f"{name}.parquet")
    summary = msgspec.json.encode(run.summary)
    (directory / "summary.json").write_bytes(msgspec.json.format(summary) + b"\n")


def read_result(path: Path) -> StoredRun | StoredStudy | pl.DataFrame:
    """Return the run stored in a directory, or the comparison or study stored in a file.

    A sweep's directory is the study of its rows. Raises InputError, naming the file, for others.
    """
    if path.is_dir():
        rows = path / SWEEP_ROWS
        return _study(read_table(rows), rows) if rows.exists() else _read_run(path)
    frame = read_table(path)
    return typed_comparison(frame, path) if is_comparison(frame) else _study(frame, path)


def _study(frame: pl.DataFrame, path: Path) -> StoredStudy:
    study = study_of(frame)
    if study is not None:
        return study
    kinds = ", ".join(f"{kind.title} ({', '.join(kind.columns)})" for kind in STUDY_KINDS)
    raise InputError(
        f"is no comparison: there is no column {missing_columns(frame)[0]}; nor is it a table of "
        f"another kind, by columns: {kinds}",
        file=str(path),
    )


def _read_run(path: Path) -> StoredRun:
    file = path / "summary.json"
    try:
        summary = msgspec.json.decode(file.read_bytes(), type=RunSummary)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(file)) from None
    except msgspec.DecodeError as error:
        raise InputError(f"is no summary of a run: {error}", file=str(file)) from None
    return StoredRun(summary, *(_read_frame(path / f"{name}.parquet") for name in _FRAMES))


def _read_frame(file: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(file)
    except OSError as error:
        why = error.strerror or "it does not exist"
        raise InputError(f"cannot be read: {why}", file=str(file)) from None
    except pl.exceptions.PolarsError as error:
        raise InputError(f"is no Parquet file: {error}", file=str(file)) from None
