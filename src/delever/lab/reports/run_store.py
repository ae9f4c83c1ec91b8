"""A finished run in a directory, or a comparison in a file: written, and read again.

A run is `summary.json`, `fills.parquet`, `pools.parquet`, `contracts.parquet` (its path) and
`events.ndjson`; a comparison is one of those in `compared`.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from delever.lab.errors import InputError
from delever.lab.reports.comparison_store import read_compared
from delever.lab.runs.run import Result, Summary

_FRAMES = ("fills", "pools", "contracts")


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished run: what it came to, every fill, and the path of pools and contracts."""

    summary: Summary
    fills: pl.DataFrame
    pools: pl.DataFrame
    contracts: pl.DataFrame


def kept_of(result: Result) -> Kept:
    """Return what is kept of a run."""
    return Kept(result.summary, result.fills, result.pools, result.contracts)


def keep(result: Result, out: Path) -> None:
    """Write a run into a directory, which is made where it is not there."""
    out.mkdir(parents=True, exist_ok=True)
    kept = kept_of(result)
    events = b"".join(msgspec.json.encode(event) + b"\n" for event in result.events)
    (out / "events.ndjson").write_bytes(events)
    for name in _FRAMES:
        getattr(kept, name).write_parquet(out / f"{name}.parquet")
    summary = msgspec.json.encode(kept.summary)
    (out / "summary.json").write_bytes(msgspec.json.format(summary) + b"\n")


def read_kept(path: Path) -> Kept | pl.DataFrame:
    """Return the run kept in a directory, or the comparison kept in a file (see `compared`).

    Raises InputError where it is neither, naming the file.
    """
    return _run(path) if path.is_dir() else read_compared(path)


def _run(path: Path) -> Kept:
    file = path / "summary.json"
    try:
        summary = msgspec.json.decode(file.read_bytes(), type=Summary)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(file)) from None
    except msgspec.DecodeError as error:
        raise InputError(f"is no summary of a run: {error}", file=str(file)) from None
    return Kept(summary, *(_frame(path / f"{name}.parquet") for name in _FRAMES))


def _frame(file: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(file)
    except OSError as error:
        why = error.strerror or "it is not there"
        raise InputError(f"cannot be read: {why}", file=str(file)) from None
    except pl.exceptions.PolarsError as error:
        raise InputError(f"is no Parquet file: {error}", file=str(file)) from None
