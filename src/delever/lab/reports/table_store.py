"""A table of the lab stored in a file of any format, recognized by its columns.

There are two kinds of comparison, read with the types of their columns: a stress test under several
rule sets (`delever.compare`), and the same positions ranked under them (`delever rank-all`). All
other tables are studies. A study of text (CSV, TSV, JSON) keeps its text, so that a report has the
digits of the file.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import polars as pl

from delever.formatting import count, significant
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


def is_comparison(frame: pl.DataFrame) -> bool:
    """Return whether a table has all columns of a comparison of either kind."""
    return not missing_columns(frame)


def missing_columns(frame: pl.DataFrame) -> list[str]:
    """Return the columns that a comparison has and a table lacks."""
    needed = _RANKING_COLUMNS if has_ranks(frame) else _STRESS_TEST_COLUMNS
    return [name for name in needed if name not in frame.columns]


def typed_comparison(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Return a comparison in the types of its columns; raises InputError for an invalid value."""
    return frame if path.suffix not in _READERS else _typed(frame, str(path))


def read_table(path: Path) -> pl.DataFrame:
    """Return a table stored as Parquet, or as CSV, TSV, JSON or JSON lines: columns of text.

    Raises InputError for an invalid file, naming the file.
    """
    read = _READERS.get(path.suffix, pl.read_parquet)
    try:
        return read(path)
    except OSError as error:
        why = error.strerror or "it does not exist"
        raise InputError(f"cannot be read: {why}", file=str(path)) from None
    except (pl.exceptions.PolarsError, msgspec.DecodeError, UnicodeDecodeError) as error:
        kind = path.suffix.removeprefix(".").upper() if path.suffix in _READERS else "Parquet"
        raise InputError(f"is no {kind} file: {error}", file=str(path)) from None


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


# --- studies ---


@dataclass(frozen=True, slots=True)
class StudyKind:
    """A kind of table: the columns that it always has, its title, and a sentence about its rows.

    `figure` names its pictures (`fund`, `interval`), if it has any.
    """

    title: str
    columns: tuple[str, ...]
    sentence: Callable[[pl.DataFrame], str]
    figure: str = ""


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A table of a known kind; a report has those of `more` after it, under their titles."""

    kind: StudyKind
    frame: pl.DataFrame
    more: Mapping[str, pl.DataFrame]


def study_of(
    frame: pl.DataFrame, more: Mapping[str, pl.DataFrame] = MappingProxyType({})
) -> StoredStudy | None:
    """Return a table with its kind, or None if it is of no known kind.

    >>> study = study_of(pl.DataFrame({"fund": [0], "adl": [1.0], "cost": [9.0]}))
    >>> study.kind.title, study.kind.sentence(study.frame)
    ('Fund size', 'Of 1 size the fund of 0 has the lowest expected cost, 9.')
    """
    names = set(frame.columns)
    kind = next((kind for kind in STUDY_KINDS if names.issuperset(kind.columns)), None)
    return None if kind is None else StoredStudy(kind, frame, more)


def floats(frame: pl.DataFrame, column: str) -> list[float]:
    """Return a column as floats, 0 where there is no number."""
    return frame[column].cast(pl.Float64, strict=False).fill_null(0).to_list()


def _different(frame: pl.DataFrame, column: str, noun: str) -> str:
    return count(frame[column].n_unique(), noun)


def _fund(frame: pl.DataFrame) -> str:
    costs = floats(frame, "cost")
    best = costs.index(min(costs))
    sizes = count(frame.height, "size")
    fund = significant(floats(frame, "fund")[best])
    return (
        f"Of {sizes} the fund of {fund} has the lowest expected cost, {significant(costs[best])}."
    )


def _intervals(frame: pl.DataFrame) -> str:
    groups = frame.unique(["rules", "fund"]).height
    return (
        f"{_different(frame, 'measure', 'measure')} of {count(groups, 'variant')}, each with its "
        "mean and 95 % interval."
    )


def _runs(frame: pl.DataFrame) -> str:
    scenarios = _different(frame, "scenario", "scenario")
    return (
        f"{count(frame.height, 'run')}: {scenarios} under {_different(frame, 'rules', 'variant')}."
    )


def _simulation(frame: pl.DataFrame) -> str:
    haircut, notional = (sum(floats(frame, name)) for name in ("haircut", "notional_closed"))
    accounts = _different(frame, "account", "account")
    return (
        f"ADL closes {count(frame.height, 'position')} of {accounts}: notional {notional:,.0f}, "
        f"haircut {haircut:,.0f}."
    )


def _odds(frame: pl.DataFrame) -> str:
    return (
        f"{count(frame.height, 'row')}: how likely ADL is to close a position under "
        f"{_different(frame, 'rules', 'rule set')}."
    )


def _allocation(frame: pl.DataFrame) -> str:
    policies = frame["policy"].unique(maintain_order=True)
    return (
        f"One quantity over {_different(frame, 'account', 'account')} under {', '.join(policies)}."
    )


def _positions(frame: pl.DataFrame) -> str:
    return f"{count(frame.height, 'position')}, the next to be closed first."


def _coins(frame: pl.DataFrame) -> str:
    coins, rules = _different(frame, "coin", "coin"), _different(frame, "rules", "rule set")
    return f"{coins}: what Hyperliquid closed, and what {rules} would have closed."


def _rules(frame: pl.DataFrame) -> str:
    return f"What Hyperliquid closed, and what {count(frame.height, 'rule set')} would have closed."


def _formulas(frame: pl.DataFrame) -> str:
    return f"{count(frame.height, 'formula')} of the ranking, against what Hyperliquid closed."


def _marks(frame: pl.DataFrame) -> str:
    return f"The marks that {count(frame.height, 'queue')} of Hyperliquid imply."


def _reproduction(frame: pl.DataFrame) -> str:
    holds = frame.filter(pl.col("verdict") == "holds").height
    return f"Of {count(frame.height, 'published figure')}, {holds} hold as they were published."


def _whole_book(frame: pl.DataFrame) -> str:
    policies = frame.filter(pl.col("policy") != "venue").height
    return f"Whom the venue closed, and whom {count(policies, 'other choice')} would have closed."


def _instances(frame: pl.DataFrame) -> str:
    instances = frame.filter(pl.col("instance") != "all")["instance"].n_unique()
    return f"Policies on {count(instances, 'instance')}: each measure, and its mean over all."


STUDY_KINDS: Sequence[StudyKind] = (
    StudyKind("Fund size", ("fund", "adl", "cost"), _fund, "fund"),
    StudyKind("Sweep", ("rules", "fund", "measure", "mean", "low", "high"), _intervals, "interval"),
    StudyKind("Runs of a sweep", ("task", "scenario", "rules", "haircut_total"), _runs, "runs"),
    StudyKind(
        "Deleveraged positions", ("account", "notional_closed", "haircut", "pnl_kept"), _simulation
    ),
    StudyKind("Odds of an account", ("rules", "contract", "part_at_risk"), _odds),
    StudyKind("Allocation", ("policy", "account", "reduced"), _allocation),
    StudyKind("ADL queue", ("rank", "account", "quantity", "score"), _positions),
    StudyKind("Replay by coin", ("coin", "rules", "real_quantity"), _coins),
    StudyKind("Replay by rule set", ("rules", "unexplained", "rank_correlation"), _rules),
    StudyKind("Replay by formula", ("formula", "correlation", "above_published"), _formulas),
    StudyKind("Marks of the replay", ("coin", "closed_at", "valued_at"), _marks),
    StudyKind("Published figures", ("published", "computed", "verdict"), _reproduction),
    StudyKind("Policies on a whole book", ("policy", "touched", "newly_touched"), _whole_book),
    StudyKind("Policies on instances", ("policy", "instance", "unfilled"), _instances),
)
"""Kinds of tables, in the order in which a table is compared with them."""
