"""Every parser of foreign bytes: a value or the parser's own error, for any bytes.

Tests try valid inputs with changed bytes; `benchmarks/fuzz.py` lets atheris search from them.
"""

import functools
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa

from delever.config import Config, ConfigError, load
from delever.core.book import Book
from delever.journal import JournalError, Recorder, SqliteJournal, verify
from delever.journal.record import (
    decode_command,
    decode_events,
    encode_command,
    encode_events,
    seal_snapshot,
)
from delever.journal.replay import snapshot_book
from delever.journal.snapshot import encode_book
from delever.lab.errors import InputError
from delever.lab.runs.scenario import read_scenario
from delever.lab.tables.book_reader import read_book
from delever.server.api import arrow
from delever.server.api.requests.decoding import commands_of
from delever.server.api.requests.errors import RequestError

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIG = b'[journal]\npath = "j.db"\n[[keys]]\nid = "a"\nroles = ["read"]\n'
HEADER = {"version": 1, "last_fill": 0, "strict": False, "id": ""}


@functools.cache
def folder() -> Path:
    """Return a folder for parsers that read files; it is deleted with the process."""
    place = tempfile.TemporaryDirectory()
    folder.place = place  # type: ignore[attr-defined]
    return Path(place.name)


@functools.cache
def recorded_crash() -> Recorder:
    """Return the journal of the example crash, with a snapshot at its end."""
    recorder = Recorder(SqliteJournal(":memory:"))
    recorder.submit(read_scenario(EXAMPLES / "crash.ndjson"))
    recorder.snapshot()
    return recorder


def ndjson_commands(content: bytes) -> None:
    """Lines of commands, as the API gets them; each can be stored and read again."""
    try:
        commands = commands_of(content)
    except RequestError:
        return
    for _, command in commands:
        try:
            body = encode_command(command)
        except OverflowError:
            continue
        assert encode_command(decode_command(body)) == body


def arrow_columns(content: bytes) -> None:
    """An Arrow stream of positions: columns in units of the engine."""
    try:
        arrow._columns(arrow._table(content), dict(HEADER))
    except RequestError:
        return


def arrow_rows(content: bytes) -> None:
    """An Arrow stream of positions: rows of text."""
    try:
        arrow._rows(arrow._table(content), arrow.PositionRow)
    except RequestError:
        return


def toml_config(content: bytes) -> None:
    """A configuration file."""
    path = folder() / "delever.toml"
    path.write_bytes(content)
    try:
        assert isinstance(load(path), Config)
    except ConfigError:
        return


def csv_positions(content: bytes) -> None:
    """A book directory whose table of positions is these bytes."""
    place = folder() / "book"
    if not place.exists():
        place.mkdir()
        for table in (EXAMPLES / "book").iterdir():
            (place / table.name).write_bytes(table.read_bytes())
    (place / "positions.csv").write_bytes(content)
    try:
        assert isinstance(read_book(place), Book)
    except InputError:
        return


def record_command(content: bytes) -> None:
    """The command of a journal record."""
    try:
        command = decode_command(content)
    except msgspec.MsgspecError:
        return
    encode_command(command)


def record_events(content: bytes) -> None:
    """The events of a journal record."""
    try:
        events = decode_events(content)
    except msgspec.MsgspecError:
        return
    assert decode_events(encode_events(events)) == events


def snapshot_body(content: bytes) -> None:
    """The body of a snapshot: a book that can be stored again, or none."""
    book = snapshot_book(seal_snapshot(recorded_crash().head, content))
    if book is not None:
        encode_book(book)


def journal_file(content: bytes) -> None:
    """The file of a journal: findings, never an exception."""
    path = folder() / "fuzzed.db"
    path.write_bytes(content)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    if verify(path).ok:
        with Recorder.open(path):
            return
    try:
        Recorder.open(path).close()
    except JournalError:
        return


PARSERS: dict[str, Callable[[bytes], None]] = {
    parser.__name__: parser
    for parser in (
        ndjson_commands,
        arrow_columns,
        arrow_rows,
        toml_config,
        csv_positions,
        record_command,
        record_events,
        snapshot_body,
        journal_file,
    )
}


def _stream(columns: dict[str, object]) -> bytes:
    table, sink = pa.table(columns), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _journal() -> bytes:
    path = folder() / "seed.db"
    if not path.exists():
        with Recorder.open(path) as recorder:
            recorder.submit(read_scenario(EXAMPLES / "crash.ndjson"))
    return path.read_bytes()


def seeds(name: str) -> list[bytes]:
    """Return valid inputs of a parser, from which a search begins."""
    names = {"account": ["ann", "bob"], "contract": ["BTC", "BTC"], "side": ["long", "short"]}
    records = list(recorded_crash().journal.records())
    valid: dict[str, Callable[[], list[bytes]]] = {
        "ndjson_commands": lambda: [(EXAMPLES / "crash.ndjson").read_bytes()],
        "arrow_columns": lambda: [_stream(names | {"lots": [1, 2], "cost_cash": [100, 200]})],
        "arrow_rows": lambda: [_stream(names | {"quantity": ["1", "-2"]})],
        "toml_config": lambda: [CONFIG],
        "csv_positions": lambda: [(EXAMPLES / "book" / "positions.csv").read_bytes()],
        "record_command": lambda: [record.command for record in records],
        "record_events": lambda: [record.events for record in records],
        "snapshot_body": lambda: [encode_book(recorded_crash().book)],
        "journal_file": lambda: [_journal()],
    }
    return valid[name]()
