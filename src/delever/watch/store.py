"""What is kept: history, rules that hold, and deliveries of alerts, in one SQLite file.

A number is kept when it changes, and once in a while when it does not, so that a plot shows what
was known when. Rules that hold are kept too, so that neither a restart nor a watch that cron starts
once a minute tells the same thing twice.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from delever.watch.reading import Drawdown, Fill, IndicatorReading, Pool, Reading, Risk
from delever.watch.rules import Active, Actives, Alert
from delever.watch.state import Situation

KEEP_EVERY_MS = 10 * 60_000
"""A number that does not change is kept again after so long."""

POOL_STEP = 0.001
"""A pool's balance is kept when it has changed by this part of it: real ones never stand still."""

DAY_MS = 24 * 3_600_000

_TABLES = """
create table if not exists history (
    at_ms integer not null, of_ms integer not null, venue text not null, name text not null,
    what text not null, side text not null, value real, raw text not null
);
create index if not exists history_by_time on history (at_ms);
create index if not exists history_by_name on history (name, at_ms);
create index if not exists fills on history (of_ms) where what = 'fill';
create table if not exists active (
    rule text not null, about text not null, body blob not null, primary key (rule, about)
);
create table if not exists situations (
    venue text not null, contract text not null, body blob not null,
    primary key (venue, contract)
);
create table if not exists deliveries (
    id integer primary key, made_ms integer not null, channel text not null, state text not null,
    attempts integer not null, due_ms integer not null, error text not null, alert blob not null
);
create index if not exists deliveries_by_state on deliveries (state, due_ms);
"""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One alert on its way to one channel."""

    id: int
    made_ms: int
    channel: str
    state: str  # waiting, sent or failed
    attempts: int
    due_ms: int
    error: str
    alert: Alert


class Store:
    """The SQLite file of one watch. Raises sqlite3.Error where the file cannot be used."""

    def __init__(self, path: str | Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = normal")
        self._db.executescript(_TABLES)
        self._kept: dict[tuple[str, ...], tuple[_Line, int]] = {}
        self._remembered: dict[tuple[str, str], Situation] = {}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # --- history ---

    def keep(self, readings: Sequence[Reading], now_ms: int) -> None:
        """Keep what has changed, and what has not been kept for a while."""
        lines = [line for reading in readings for line in _lines(reading)]
        self._write([line for line in lines if self._is_news(line, now_ms)], now_ms)

    def keep_situations(self, situations: Sequence[Situation], now_ms: int) -> None:
        """Keep states that have changed, and what is remembered with them."""
        changed = [s for s in situations if self._remembered.get((s.venue, s.contract)) != s]
        lines = [
            _Line(s.venue, s.contract, "state", "", None, s.state, s.since_ms) for s in changed
        ]
        self._write([line for line in lines if self._is_news(line, now_ms)], now_ms)
        rows = [(s.venue, s.contract, msgspec.msgpack.encode(s)) for s in changed]
        if rows:
            self._db.execute("begin")
            self._db.executemany("insert or replace into situations values (?, ?, ?)", rows)
            self._db.execute("commit")
        self._remembered |= {(s.venue, s.contract): s for s in changed}

    def _is_news(self, line: "_Line", now_ms: int) -> bool:
        if line.what == "fill":
            return not self._has_fill(line)
        key = (line.venue, line.name, line.what, line.side)
        kept, at_ms = self._kept.get(key, (None, 0))
        if kept is not None and kept.like(line) and now_ms - at_ms < KEEP_EVERY_MS:
            return False
        self._kept[key] = (line, now_ms)
        return True

    def _has_fill(self, line: "_Line") -> bool:
        query = (
            "select 1 from history where what = 'fill' and (of_ms, venue, name, side, raw) = "
            "(?, ?, ?, ?, ?)"
        )
        wanted = (line.of_ms, line.venue, line.name, line.side, line.raw)
        return self._db.execute(query, wanted).fetchone() is not None

    def _write(self, lines: Sequence["_Line"], now_ms: int) -> None:
        rows = [
            (now_ms, line.of_ms, line.venue, line.name, line.what, line.side, line.value, line.raw)
            for line in lines
        ]
        if rows:
            self._db.execute("begin")
            self._db.executemany("insert into history values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._db.execute("commit")

    def forget(self, days: int, now_ms: int) -> None:
        """Delete history and finished deliveries older than so many days."""
        before = now_ms - days * DAY_MS
        self._db.execute("delete from history where at_ms < ?", (before,))
        self._db.execute(
            "delete from deliveries where made_ms < ? and state != 'waiting'", (before,)
        )

    def peaks(self, since_ms: int) -> dict[tuple[str, ...], list[tuple[int, Decimal]]]:
        """Return the balances of pools since a time, by their readings' key."""
        found: dict[tuple[str, ...], list[tuple[int, Decimal]]] = {}
        query = (
            "select at_ms, venue, name, side, raw from history where what = 'pool' and at_ms >= ?"
        )
        for at_ms, venue, name, asset, raw in self._db.execute(query, (since_ms,)):
            found.setdefault(("Pool", venue, name, asset), []).append((at_ms, Decimal(raw)))
        return found

    # --- what is remembered ---

    def situations(self) -> dict[tuple[str, str], Situation]:
        """Return the situations of the last run: an ADL that was on stays on until it is read."""
        rows = self._db.execute("select venue, contract, body from situations")
        return {(v, c): msgspec.msgpack.decode(body, type=Situation) for v, c, body in rows}

    def active(self) -> Actives:
        """Return the rules that held at the end of the last run."""
        rows = self._db.execute("select rule, about, body from active")
        return {(r, a): msgspec.msgpack.decode(body, type=Active) for r, a, body in rows}

    def tell(
        self, active: Actives, alerts: Sequence[Alert], channels: Sequence[str], now_ms: int
    ) -> None:
        """Keep which rules hold, and put alerts on their way; both or neither."""
        self._db.execute("begin immediate")
        self._db.execute("delete from active")
        rows = [(r, a, msgspec.msgpack.encode(held)) for (r, a), held in active.items()]
        self._db.executemany("insert into active values (?, ?, ?)", rows)
        for alert in alerts:
            for channel in channels:
                if not alert.send or channel in alert.send:
                    self._db.execute(
                        "insert into deliveries (made_ms, channel, state, attempts, due_ms, error,"
                        " alert) values (?, ?, 'waiting', 0, ?, '', ?)",
                        (now_ms, channel, now_ms, msgspec.msgpack.encode(alert)),
                    )
        self._db.execute("commit")

    # --- deliveries ---

    def due(self, now_ms: int) -> list[Delivery]:
        """Return the deliveries that are to be tried now, oldest first."""
        return self._deliveries("where state = 'waiting' and due_ms <= ? order by id", (now_ms,))

    def deliveries(self, limit: int) -> list[Delivery]:
        """Return the newest deliveries, newest first."""
        return self._deliveries("order by id desc limit ?", (limit,))

    def waiting(self) -> int:
        """Return how many deliveries have not arrived yet."""
        (count,) = self._db.execute(
            "select count(*) from deliveries where state = 'waiting'"
        ).fetchone()
        return int(count)

    def settle(self, delivery: Delivery, state: str, due_ms: int, error: str) -> None:
        """Note how an attempt went."""
        self._db.execute(
            "update deliveries set state = ?, attempts = attempts + 1, due_ms = ?, error = ? "
            "where id = ?",
            (state, due_ms, error, delivery.id),
        )

    def _deliveries(self, where: str, values: tuple[Any, ...]) -> list[Delivery]:
        return _read_deliveries(self._db, where, values)


def _read_deliveries(db: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> list[Delivery]:
    rows = db.execute(f"select * from deliveries {where}", values)  # noqa: S608
    names = [column for (column, *_) in rows.description]
    return [
        Delivery(**{**told, "alert": msgspec.msgpack.decode(told["alert"], type=Alert)})
        for told in (dict(zip(names, row, strict=True)) for row in rows)
    ]


class _Line(NamedTuple):
    """One number of the history; `of_ms` is the venue's time."""

    venue: str
    name: str
    what: str
    side: str
    value: float | None
    raw: str
    of_ms: int

    def like(self, other: "_Line") -> bool:
        """Return whether another line of the same number says nothing new."""
        if self.what != "pool" or self.value is None or other.value is None:
            return self.raw == other.raw
        return abs(other.value - self.value) <= POOL_STEP * abs(self.value)


def _lines(reading: Reading) -> Iterator[_Line]:
    """Yield what is kept of a reading: one line a number."""
    what = (reading.venue, reading.name)
    match reading:
        case IndicatorReading():
            yield _Line(
                *what, "indicator", reading.side, reading.indicator, reading.raw, reading.of_ms
            )
        case Risk():
            yield _Line(*what, "risk", "", reading.level, reading.raw, reading.of_ms)
        case Drawdown():
            for name in ("pnl_ratio", "start_ratio", "stop_ratio"):
                ratio = getattr(reading, name)
                yield _Line(*what, name, "", float(ratio), str(ratio), reading.of_ms)
        case Pool():
            money = reading.balance
            yield _Line(*what, "pool", reading.asset, float(money), str(money), reading.of_ms)
        case Fill():
            size = reading.quantity
            yield _Line(*what, "fill", reading.side, float(size), str(size), reading.of_ms)


class Kept(NamedTuple):
    """One line of the history, as it is exported."""

    at_ms: int
    of_ms: int
    venue: str
    name: str
    what: str
    side: str
    value: float | None
    raw: str


def history(path: str | Path, *, since_ms: int = 0, name: str | None = None) -> list[Kept]:
    """Return the history in a file, oldest first, without changing it; of one contract if named.

    Raises sqlite3.Error where the file is not there or is no history of a watch.
    """
    query = "select * from history where at_ms >= ? and (? is null or name = ?) order by at_ms"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return [Kept(*row) for row in db.execute(query, (since_ms, name, name))]


def delivery_log(path: str | Path, *, since_ms: int = 0) -> list[Delivery]:
    """Return the deliveries in a file, oldest first, without changing it.

    Raises sqlite3.Error where the file is not there or is no history of a watch.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return _read_deliveries(db, "where made_ms >= ? order by id", (since_ms,))


def thinned(kept: Sequence[Kept], most: int) -> list[Kept]:
    """Return about `most` lines of each number at most: of each stretch the extremes and the last.

    Times stay in order, so that a step drawn through them holds what was known when.
    """
    numbers: dict[tuple[str, ...], list[Kept]] = {}
    for line in kept:
        numbers.setdefault((line.venue, line.name, line.what, line.side), []).append(line)
    found = [line for lines in numbers.values() for line in _extremes(lines, most)]
    return sorted(found, key=lambda line: line.at_ms)


def _extremes(lines: Sequence[Kept], most: int) -> Iterator[Kept]:
    """Yield the lowest, the highest and the last of each of `most / 3` stretches, in order."""
    if len(lines) <= most:
        yield from lines
        return
    size = -(-3 * len(lines) // most)
    for begin in range(0, len(lines), size):
        places = range(begin, min(begin + size, len(lines)))
        lowest = min(places, key=lambda place: lines[place].value or 0.0)
        highest = max(places, key=lambda place: lines[place].value or 0.0)
        yield from (lines[place] for place in sorted({lowest, highest, places[-1]}))
