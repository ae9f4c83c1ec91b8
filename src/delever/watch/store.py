"""The watch's SQLite file: history, contract statuses, active alerts and deliveries.

A value is recorded when it changes, and at intervals when it does not, so that a plot shows what
was known when. Active alerts are stored so that neither a restart nor a watch that cron starts once
a minute repeats an alert.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from delever.server.notifications import outbox
from delever.server.notifications.outbox import DeliveryState, Notification, Outbox
from delever.watch.alerts.alert_rules import ActiveAlert, ActiveAlerts, Alert
from delever.watch.alerts.contract_status import ContractStatus
from delever.watch.market_data.observations import (
    DrawdownObservation,
    FillObservation,
    IndicatorObservation,
    Observation,
    PoolObservation,
    RiskObservation,
)

RECORD_INTERVAL_MS = 10 * 60_000
"""A value that does not change is recorded again after this time."""

POOL_STEP = 0.001
"""A pool's balance is recorded when it has changed by this ratio: real ones always change."""

DAY_MS = 24 * 3_600_000

_TABLES = """
create table if not exists history (
    at_ms integer not null, venue_time_ms integer not null, venue text not null,
    name text not null, metric text not null, side text not null, value real, raw text not null
);
create index if not exists history_by_time on history (at_ms);
create index if not exists history_by_name on history (name, at_ms);
create index if not exists fills on history (venue_time_ms) where metric = 'fill';
create table if not exists active_alerts (
    rule text not null, subject text not null, body blob not null, primary key (rule, subject)
);
create table if not exists contract_statuses (
    venue text not null, contract text not null, body blob not null,
    primary key (venue, contract)
);
"""


_DELIVERIES = (
    "select id, created_ms, channel, state, attempts, next_try_ms, last_error, body "
    "from notice_deliveries"
)

MAX_DELETED_ROWS = 10_000
"""Finished deliveries deleted at one time."""

ResultT = TypeVar("ResultT")


class AlertPayload(msgspec.Struct, frozen=True):
    """The body of an alert's notification."""

    type: str
    data: Alert


class AlertDelivery(NamedTuple):
    """The delivery of one alert to one channel."""

    id: int
    created_ms: int
    channel: str
    state: str  # waiting, sent or failed
    attempts: int
    next_try_ms: int
    error: str
    alert: Alert


class WatchStore:
    """The SQLite file of one watch. Raises sqlite3.Error if the file cannot be used."""

    def __init__(self, path: str | Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = normal")
        self._db.executescript(_TABLES)
        self._engine = sa.create_engine("sqlite://", creator=lambda: self._db, poolclass=StaticPool)
        sa.event.listen(self._engine, "begin", _begin)
        with self._transaction() as connection:
            outbox.deliveries.create(connection, checkfirst=True)
        self._last: dict[tuple[str, ...], tuple[_Metric, int]] = {}
        self._last_statuses: dict[tuple[str, str], ContractStatus] = {}

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        """Run a block in one transaction; raise sqlite3.Error if the file cannot be used."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            if isinstance(error.orig, sqlite3.Error):
                raise error.orig from error
            raise

    async def _transact(self, work: Callable[[sa.Connection], ResultT]) -> ResultT:
        with self._transaction() as connection:
            return work(connection)

    def outbox(self, now_ms: Callable[[], int]) -> Outbox:
        """Return the outbox of alerts."""
        return Outbox(self._transact, now_ms)

    # --- history ---

    def record(self, observations: Sequence[Observation], now_ms: int) -> None:
        """Record the values that have changed or are due for a record."""
        metrics = [metric for observation in observations for metric in _metrics(observation)]
        self._write([metric for metric in metrics if self._is_due(metric, now_ms)], now_ms)

    def record_statuses(self, statuses: Sequence[ContractStatus], now_ms: int) -> None:
        """Record the states that have changed, and store the statuses."""
        changed = [s for s in statuses if self._last_statuses.get((s.venue, s.contract)) != s]
        metrics = [
            _Metric(s.venue, s.contract, "state", "", None, s.state, s.since_ms) for s in changed
        ]
        self._write([metric for metric in metrics if self._is_due(metric, now_ms)], now_ms)
        rows = [(s.venue, s.contract, msgspec.msgpack.encode(s)) for s in changed]
        if rows:
            self._db.execute("begin")
            self._db.executemany("insert or replace into contract_statuses values (?, ?, ?)", rows)
            self._db.execute("commit")
        self._last_statuses |= {(s.venue, s.contract): s for s in changed}

    def _is_due(self, metric: "_Metric", now_ms: int) -> bool:
        if metric.metric == "fill":
            return not self._has_fill(metric)
        key = (metric.venue, metric.name, metric.metric, metric.side)
        last, at_ms = self._last.get(key, (None, 0))
        if last is not None and last.is_close_to(metric) and now_ms - at_ms < RECORD_INTERVAL_MS:
            return False
        self._last[key] = (metric, now_ms)
        return True

    def _has_fill(self, fill: "_Metric") -> bool:
        query = (
            "select 1 from history where metric = 'fill' and "
            "(venue_time_ms, venue, name, side, raw) = (?, ?, ?, ?, ?)"
        )
        values = (fill.venue_time_ms, fill.venue, fill.name, fill.side, fill.raw)
        return self._db.execute(query, values).fetchone() is not None

    def _write(self, metrics: Sequence["_Metric"], now_ms: int) -> None:
        rows = [
            (now_ms, m.venue_time_ms, m.venue, m.name, m.metric, m.side, m.value, m.raw)
            for m in metrics
        ]
        if rows:
            self._db.execute("begin")
            self._db.executemany("insert into history values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._db.execute("commit")

    def delete_old(self, days: int, now_ms: int) -> None:
        """Delete history and finished deliveries older than so many days."""
        before = now_ms - days * DAY_MS
        with self._transaction() as connection:
            self._db.execute("delete from history where at_ms < ?", (before,))
            outbox.delete_ended(connection, before, MAX_DELETED_ROWS)

    def pool_balances(self, since_ms: int) -> dict[tuple[str, ...], list[tuple[int, Decimal]]]:
        """Return (time, balance) of pools since a time, by their observations' key."""
        found: dict[tuple[str, ...], list[tuple[int, Decimal]]] = {}
        query = (
            "select at_ms, venue, name, side, raw from history where metric = 'pool' and at_ms >= ?"
        )
        for at_ms, venue, name, asset, raw in self._db.execute(query, (since_ms,)):
            found.setdefault(("pool", venue, name, asset), []).append((at_ms, Decimal(raw)))
        return found

    # --- statuses and active alerts ---

    def statuses(self) -> dict[tuple[str, str], ContractStatus]:
        """Return the statuses of the last run: active ADL stays active until the next reading."""
        rows = self._db.execute("select venue, contract, body from contract_statuses")
        return {(v, c): msgspec.msgpack.decode(body, type=ContractStatus) for v, c, body in rows}

    def active_alerts(self) -> ActiveAlerts:
        """Return the active alerts at the end of the last run."""
        rows = self._db.execute("select rule, subject, body from active_alerts")
        return {(r, s): msgspec.msgpack.decode(body, type=ActiveAlert) for r, s, body in rows}

    def save_alerts(
        self, active: ActiveAlerts, alerts: Sequence[Alert], channels: Sequence[str], now_ms: int
    ) -> None:
        """Store the active alerts and queue new alerts for delivery, in one transaction."""
        rows = [(r, s, msgspec.msgpack.encode(alert)) for (r, s), alert in active.items()]
        addressed = [
            (alert, channel)
            for alert in alerts
            for channel in channels
            if not alert.channels or channel in alert.channels
        ]
        with self._transaction() as connection:
            self._db.execute("delete from active_alerts")
            self._db.executemany("insert into active_alerts values (?, ?, ?)", rows)
            last = connection.execute(sa.select(sa.func.max(outbox.deliveries.c.id))).scalar() or 0
            notifications = [
                notification_of(alert, channel, f"delever-{now_ms}-{number}")
                for number, (alert, channel) in enumerate(addressed, start=last + 1)
            ]
            outbox.add(connection, notifications, now_ms)

    # --- deliveries ---

    def deliveries(self, limit: int) -> list[AlertDelivery]:
        """Return the newest deliveries, newest first."""
        rows = self._db.execute(f"{_DELIVERIES} order by id desc limit ?", (limit,))
        return list(map(_delivery, rows))

    def waiting(self) -> int:
        """Return the number of deliveries that have not arrived yet."""
        return sum(self.waiting_by_channel().values())

    def waiting_by_channel(self) -> dict[str, int]:
        """Return the number of deliveries that have not arrived yet, by channel."""
        query = "select channel, count(*) from notice_deliveries where state = ? group by channel"
        return dict(self._db.execute(query, (DeliveryState.WAITING,)).fetchall())


def notification_of(alert: Alert, channel: str, message_id: str) -> Notification:
    """Return the notification of an alert; its address is that of the channel's settings."""
    payload = AlertPayload("delever.watch.alert", alert)
    return Notification(
        notice=message_id,
        sequence=0,
        kind=alert.kind,
        account="",
        contract=alert.subject,
        channel=channel,
        address="",
        body=msgspec.json.encode(payload).decode(),
    )


def alert_of(body: str) -> Alert:
    """Return the alert of a notification's body."""
    return msgspec.json.decode(body, type=AlertPayload).data


def _delivery(row: tuple[int, int, str, str, int, int, str, str]) -> AlertDelivery:
    *fields, body = row
    return AlertDelivery(*fields, alert_of(body))  # type: ignore[call-arg, arg-type]


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("begin immediate")


class _Metric(NamedTuple):
    """One value to record; `raw` is the venue's text."""

    venue: str
    name: str
    metric: str
    side: str
    value: float | None
    raw: str
    venue_time_ms: int

    def is_close_to(self, other: "_Metric") -> bool:
        """Return whether another value of the same metric needs no record."""
        if self.metric != "pool" or self.value is None or other.value is None:
            return self.raw == other.raw
        return abs(other.value - self.value) <= POOL_STEP * abs(self.value)


def _metrics(observation: Observation) -> Iterator[_Metric]:
    """Yield the values of an observation that the history records."""
    at, name = observation.venue_time_ms, (observation.venue, observation.name)
    match observation:
        case IndicatorObservation(side=side, indicator=indicator, raw=raw):
            yield _Metric(*name, "indicator", side, indicator, raw, at)
        case RiskObservation(level=level, raw=raw):
            yield _Metric(*name, "risk", "", level, raw, at)
        case DrawdownObservation():
            for metric in ("pnl_ratio", "start_ratio", "stop_ratio"):
                ratio = getattr(observation, metric)
                if ratio is not None:
                    yield _Metric(*name, metric, "", float(ratio), str(ratio), at)
        case PoolObservation(asset=asset, balance=balance):
            yield _Metric(*name, "pool", asset, float(balance), str(balance), at)
        case FillObservation(side=side, quantity=quantity):
            yield _Metric(*name, "fill", side, float(quantity), str(quantity), at)


class HistoryRecord(NamedTuple):
    """One record of the history, as exported."""

    at_ms: int
    venue_time_ms: int
    venue: str
    name: str
    metric: str
    side: str
    value: float | None
    raw: str


def read_history(
    path: str | Path, *, since_ms: int = 0, name: str | None = None
) -> list[HistoryRecord]:
    """Return a file's history, oldest first, optionally of one contract or pool only.

    Raises sqlite3.Error if the file is missing or is no history of a watch.
    """
    query = "select * from history where at_ms >= ? and (? is null or name = ?) order by at_ms"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return [HistoryRecord(*row) for row in db.execute(query, (since_ms, name, name))]


def read_deliveries(path: str | Path, *, since_ms: int = 0) -> list[AlertDelivery]:
    """Return a file's deliveries, oldest first.

    Raises sqlite3.Error if the file is missing or is no history of a watch.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        rows = db.execute(f"{_DELIVERIES} where created_ms >= ? order by id", (since_ms,))
        return list(map(_delivery, rows))


def downsample(records: Sequence[HistoryRecord], max_points: int) -> list[HistoryRecord]:
    """Return about `max_points` records a metric: the extremes and the last of each stretch.

    Times stay in order, so that a step chart of the records shows what was known when.
    """
    by_metric: dict[tuple[str, ...], list[HistoryRecord]] = {}
    for record in records:
        key = (record.venue, record.name, record.metric, record.side)
        by_metric.setdefault(key, []).append(record)
    found = [record for own in by_metric.values() for record in _extremes(own, max_points)]
    return sorted(found, key=lambda record: record.at_ms)


def _extremes(records: Sequence[HistoryRecord], max_points: int) -> Iterator[HistoryRecord]:
    """Yield the lowest, highest and last record of each of `max_points / 3` stretches."""
    if len(records) <= max_points:
        yield from records
        return
    size = -(-3 * len(records) // max_points)
    for begin in range(0, len(records), size):
        places = range(begin, min(begin + size, len(records)))
        lowest = min(places, key=lambda place: records[place].value or 0.0)
        highest = max(places, key=lambda place: records[place].value or 0.0)
        yield from (records[place] for place in sorted({lowest, highest, places[-1]}))
