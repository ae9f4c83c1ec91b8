"""Rows as a terminal table, TSV, CSV, JSON or Parquet; log lines and progress on stderr.

The default is a table (rich) on a terminal and TSV (polars) elsewhere. TSV, CSV and JSON carry
every digit; a table rounds floats to six digits.
"""

import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from delever.cli import UsageError
from delever.formatting import decimal_text, significant

if TYPE_CHECKING:
    import polars as pl

Format = Literal["table", "tsv", "csv", "json", "jsonl", "parquet"]
Row = Mapping[str, Any]
Progress = Callable[[int, int], None]

_FORMATS_BY_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".tsv": "tsv",
}

_SEPARATORS = {"csv": ",", "tsv": "\t"}


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """Destination and format of rows."""

    format: Format | None = None
    """Format of the rows. Default: table on a terminal, TSV elsewhere, or by the file's suffix."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Short for --format json."""

    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None
    """Write to this file instead of standard output."""

    @property
    def resolved_format(self) -> Format:
        """The requested format, or the default of the destination."""
        if self.json and self.format not in (None, "json"):
            raise UsageError(f"--json and --format {self.format} contradict each other")
        requested = "json" if self.json else self.format
        if requested is not None:
            return requested
        if self.output is not None:
            if self.output.suffix not in _FORMATS_BY_SUFFIX:
                raise UsageError(f"{self.output}: unknown suffix; add --format")
            return _FORMATS_BY_SUFFIX[self.output.suffix]
        return "table" if sys.stdout.isatty() else "tsv"


TO_STDOUT = Output()


def write_rows(
    rows: "pl.DataFrame | Sequence[Row]",
    out: Output,
    *,
    schema: str,
    metadata: Mapping[str, object] | None = None,
    top: int | None = None,
) -> None:
    """Write rows in the resolved format; JSON also carries `schema` and `metadata`.

    `top` limits the number of rows.
    """
    resolved = out.resolved_format
    if resolved == "parquet" and out.output is None and sys.stdout.isatty():
        raise UsageError("Parquet cannot be written to a terminal; add -o FILE")
    names = [*rows[0]] if isinstance(rows, Sequence) and rows else getattr(rows, "columns", [])
    rows = rows if top is None else rows[:top]
    if resolved == "parquet":
        _write_bytes(_parquet(rows), out)
        return
    listed: Sequence[Row] = rows if isinstance(rows, Sequence) else rows.to_dicts()
    match resolved:
        case "json":
            text = json_text({"schema": schema, **(metadata or {}), "rows": listed})
        case "jsonl":
            text = "".join(json_text(row, indent=0) for row in listed)
        case "table":
            text = table(listed)
        case _:
            text = delimited(listed, _SEPARATORS[resolved], names)
    _write_bytes(text.encode(), out)


def write_sections(
    sections: Mapping[str, Sequence[Row]],
    *,
    json: bool,
    schema: str,
    metadata: Mapping[str, object],
) -> None:
    """Write several tables to standard output, each under its title; JSON is one object.

    A section without rows is written in JSON only.
    """
    if json:
        write(json_text({"schema": schema, **metadata, **sections}).rstrip())
        return
    on_terminal = sys.stdout.isatty()
    for number, (title, rows) in enumerate((t, r) for t, r in sections.items() if r):
        text = table(rows) if on_terminal else delimited(rows, "\t", [*rows[0]])
        write(("\n" if number else "") + f"# {title}\n{text}".rstrip("\n"))


def log(text: str) -> None:
    """Write a line to standard error: anything but data."""
    sys.stderr.write(f"{text}\n")


def write(text: str) -> None:
    """Write a line of data to standard output."""
    sys.stdout.write(f"{text}\n")


def _write_bytes(body: bytes, out: Output) -> None:
    if out.output is not None:
        out.output.write_bytes(body)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()


# --- formats ---


def json_text(value: object, *, indent: int = 2) -> str:
    """Return JSON with a final newline; decimals become strings, so that no reader rounds them."""
    encoded = msgspec.json.encode(_without_decimals(value))
    return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode() + "\n"


def _without_decimals(value: object) -> object:
    match value:
        case Decimal():
            return cell(value)
        case Mapping():
            return {name: _without_decimals(entry) for name, entry in value.items()}
        case list() | tuple():
            return [_without_decimals(entry) for entry in value]
        case msgspec.Struct():
            return _without_decimals(msgspec.structs.asdict(value))
    return value


def cell(value: object) -> str:
    """Return a value as plain text with every digit; None is empty, a bool is yes or no."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return decimal_text(value)
    return str(value)


def delimited(rows: Sequence[Row], separator: str, names: Sequence[str]) -> str:
    """Return rows as CSV or TSV under a header of `names`; without names, the empty string."""
    import polars as pl  # noqa: PLC0415 - slow to import

    if not names:
        return ""
    columns = {name: [cell(row[name]) or None for row in rows] for name in names}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))
    return frame.write_csv(separator=separator)


def table(rows: Sequence[Row]) -> str:
    """Return rows as a terminal table without the columns that are empty in every row.

    Text wraps between words where the terminal is narrow. No word or number is cut: a table whose
    longest words do not fit is wider than the terminal.
    """
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - slow to import
    from rich.cells import cell_len  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    if not rows:
        return "no rows\n"
    grid = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    console = Console(file=io.StringIO(), highlight=False)
    columns = []
    for name in rows[0]:
        values = [listed[name] for listed in rows]
        if any(value not in (None, "") for value in values):
            texts = [name.replace("_", "\n"), *map(_short, values)]
            longest_word = max(cell_len(word) for text in texts for word in text.split() or [""])
            heading, *cells = map(Text, texts)
            grid.add_column(
                heading,
                justify="right" if all(map(_is_number, values)) else "left",
                min_width=longest_word,
            )
            columns.append(cells)
    for row in zip(*columns, strict=True):
        grid.add_row(*row)
    with console.capture() as captured:
        console.print(grid, crop=False)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _short(value: object) -> str:
    """Return a value as a table displays it: six digits of a float, every digit of money."""
    return significant(value) if isinstance(value, float) else cell(value)


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return value.replace(",", "").replace(".", "").removeprefix("-").isdigit()
    return isinstance(value, int | float | Decimal | None)


def _parquet(rows: "pl.DataFrame | Sequence[Row]") -> bytes:
    import polars as pl  # noqa: PLC0415 - slow to import

    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(list(rows))
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@contextmanager
def progress(task_name: str) -> Iterator[Progress | None]:
    """Yield a callback (done, total) that draws a progress bar, or None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.progress import Progress as Bar  # noqa: PLC0415

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(task_name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
