"""Rows as a table, TSV, CSV, JSON or Parquet: on a terminal for eyes, elsewhere for programs."""

import csv
import io
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from delever.cli import UsageError

if TYPE_CHECKING:
    import polars as pl

Format = Literal["table", "tsv", "csv", "json", "jsonl", "parquet"]
Row = Mapping[str, Any]
Progress = Callable[[int, int], None]

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".tsv": "tsv",
}


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """Where rows go, and in which form."""

    format: Format | None = None
    """Form of the rows; a table on a terminal, TSV elsewhere, or what the file's name says."""

    json: Annotated[bool, Parameter(negative="")] = False
    """The same as --format json."""

    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None
    """Write to this file instead of standard output."""

    @property
    def form(self) -> Format:
        """The form asked for, or the one that suits where the rows go."""
        if self.json and self.format not in (None, "json"):
            raise UsageError(f"--json and --format {self.format} do not go together")
        asked = "json" if self.json else self.format
        if asked is not None:
            return asked
        if self.output is not None:
            if self.output.suffix not in _SUFFIXES:
                raise UsageError(f"{self.output}: say --format, the name does not")
            return _SUFFIXES[self.output.suffix]
        return "table" if sys.stdout.isatty() else "tsv"


TO_STDOUT = Output()


def show(
    rows: "pl.DataFrame | Sequence[Row]",
    out: Output,
    *,
    schema: str,
    about: Mapping[str, object] | None = None,
    top: int | None = None,
) -> None:
    """Write rows in the form asked for; JSON carries `schema` and what the rows are about."""
    form = out.form
    if form == "parquet":
        if out.output is None and sys.stdout.isatty():
            raise UsageError("Parquet is not for a terminal: say -o FILE")
        _write(_parquet(rows if top is None else rows[:top]), out)
        return
    names = None if isinstance(rows, Sequence) else rows.columns
    listed: Sequence[Row] = rows if isinstance(rows, Sequence) else rows.to_dicts()
    listed = listed[:top]
    match form:
        case "json":
            text = json_text({"schema": schema, **(about or {}), "rows": listed})
        case "jsonl":
            text = "".join(json_text(row, indent=0) for row in listed)
        case "table":
            text = table(listed)
        case "csv":
            text = separated(listed, ",", names)
        case _:
            text = separated(listed, "\t", names)
    _write(text.encode(), out)


def show_sections(
    sections: Mapping[str, Sequence[Row]], *, json: bool, schema: str, about: Mapping[str, object]
) -> None:
    """Write several tables, each under its title; sections without rows only as JSON."""
    if json:
        _write(json_text({"schema": schema, **about, **sections}).encode(), TO_STDOUT)
        return
    form = table if sys.stdout.isatty() else partial(separated, delimiter="\t")
    texts = [f"# {title}\n{form(rows)}" for title, rows in sections.items() if rows]
    _write("\n".join(texts).encode(), TO_STDOUT)


def say(text: str) -> None:
    """Write talk, which is no data."""
    sys.stderr.write(f"{text}\n")


def tell(text: str) -> None:
    """Write data that is text already."""
    sys.stdout.write(f"{text}\n")


def _write(body: bytes, out: Output) -> None:
    if out.output is not None:
        out.output.write_bytes(body)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()


# --- forms ---


def json_text(value: object, *, indent: int = 2) -> str:
    """Return JSON and a line's end; exact decimals become text, so that no reader rounds them."""
    encoded = msgspec.json.encode(_plain(value))
    return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode() + "\n"


def _plain(value: object) -> object:
    match value:
        case Decimal():
            return cell(value)
        case Mapping():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case msgspec.Struct():
            return _plain(msgspec.structs.asdict(value))
    return value


def cell(value: object) -> str:
    """Return a value as plain text, to the last digit."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case Decimal():
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
    return str(value)


def separated(rows: Sequence[Row], delimiter: str, names: Sequence[str] | None = None) -> str:
    """Return rows with a header, parted by a delimiter; `names` are told without a row, too."""
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, lineterminator="\n")
    header = [*rows[0]] if rows else names
    if header:
        writer.writerow(header)
    writer.writerows([cell(value) for value in row.values()] for row in rows)
    return written.getvalue()


def table(rows: Sequence[Row]) -> str:
    """Return rows as a table for a terminal; columns that say nothing are left out.

    Sentences are wrapped where the terminal is narrow. Numbers and names never are, so that each
    can be copied: a table that needs more than the terminal has is as wide as it must be.
    """
    from rich import box  # noqa: PLC0415 - not before somebody looks
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    if not rows:
        return "no rows\n"
    names = [name for name in rows[0] if any(row[name] not in _SILENT for row in rows)]
    columns = [[name.replace("_", "\n"), *(_glance(row[name]) for row in rows)] for name in names]
    widths = _widths([*map(_needs, columns)], shutil.get_terminal_size().columns)
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name, (heading, *_), width in zip(names, columns, widths, strict=True):
        numbers = all(_is_number(row[name]) for row in rows)
        shown.add_column(Text(heading), justify="right" if numbers else "left", width=width)
    for cells in zip(*(cells for _, *cells in columns), strict=True):
        shown.add_row(*map(Text, cells))
    written = io.StringIO()
    console = Console(file=written, width=sum(widths) + GAP * len(widths))
    console.print(shown, highlight=False)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"


GAP = 2
"""Blanks between two columns of a table."""


def _needs(texts: Sequence[str]) -> tuple[int, int]:
    """Return the least and the most width of a heading and its cells; only sentences wrap."""
    from rich.cells import cell_len  # noqa: PLC0415 - not before somebody looks

    most = max(cell_len(line) for text in texts for line in text.splitlines() or [""])
    least = max(cell_len(word) for text in texts for word in text.split() or [""])
    return least, most


def _widths(needs: Sequence[tuple[int, int]], room: int) -> list[int]:
    """Return the widths of columns: the least of each, and of the room left its part of the rest.

    They may be wider than the room, but never less than what can be read.
    """
    spare = max(room - sum(least + GAP for least, _ in needs), 0)
    wanted = sum(most - least for least, most in needs)
    given = min(spare, wanted)
    return [least + (most - least) * given // max(wanted, 1) for least, most in needs]


_SILENT: tuple[object, ...] = (None, "")
_NUMBER = re.compile(r"-?[\d,]+(\.\d+)?")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal | None) or bool(_NUMBER.fullmatch(str(value)))


def _glance(value: object) -> str:
    """Return a value as it is shown to eyes: six digits of a score, all of money."""
    return f"{value:.6g}" if isinstance(value, float) else cell(value)


def _parquet(rows: "pl.DataFrame | Sequence[Row]") -> bytes:
    import polars as pl  # noqa: PLC0415 - heavy

    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(list(rows))
    written = io.BytesIO()
    frame.write_parquet(written)
    return written.getvalue()


@contextmanager
def progress(what: str) -> Iterator[Progress | None]:
    """Give what is to be told how far the work is; None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - not before somebody looks
    from rich.progress import Progress as Bar  # noqa: PLC0415

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def tell_bar(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell_bar
