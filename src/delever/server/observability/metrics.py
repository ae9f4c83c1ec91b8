"""Prometheus metrics of a server: one registry, fed by listeners and read at /metrics.

Counters and histograms are bound to their labels once. Gauges of the market are sampled from the
market snapshot on request, so that a removed contract leaves no series behind. Labels are
contracts, pools, triggers, reasons and parts of paths; never accounts.
"""

import functools
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from shutil import disk_usage

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from delever.core.messages import (
    AdlExhausted,
    AdlFilled,
    PartRejected,
    Reason,
    RefreshIndicators,
    RefreshRatings,
    Rejected,
    RowsRejected,
    TakenOver,
)
from delever.server.engine.market_snapshot import MarketSnapshot
from delever.server.engine.runner import Committed, Runner
from delever.server.notifications.delivery_worker import DeliveryResult
from delever.server.notifications.notifier import Notifier
from delever.server.notifications.outbox import OutboxBacklog
from delever.server.observability.adl_amounts import AdlAmounts
from delever.server.observability.market_collector import MarketCollector
from delever.server.storage.projector import HistoryProjector
from delever.server.transport.asgi import Asgi, Message, Receive, Scope, Send, first_part
from delever.server.transport.websockets import DROPPED

OTHER = "other"
"""The label of all unknown paths, so that requests cannot create labels."""

CHANNELS, OUTCOMES = ("mail", "webhook"), ("sent", "failed", "rejected")
"""Channels of notices, and outcomes of an attempt to deliver."""

APIS = ("binance", "bybit", "okx", "v1")

ERROR_PLACES = ("listener", "publication", "snapshot", "step", "tick")
"""Places of errors that the engine survives."""

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_COMMANDS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000)

_COUNTED = {AdlFilled: "fills", TakenOver: "takeovers", AdlExhausted: "exhausted"}
"""Counters of events by contract, by the counter's name."""


class Metrics:
    """All metrics of one server, in the given registry or one of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._market = MarketCollector()
        self.registry.register(self._market)
        ProcessCollector(registry=self.registry)
        self._make = _MetricFactory(self.registry)
        self._make_engine()
        self._make_notices()
        self._make_requests()

    def render(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def watch(self, runner: Runner, notifier: Notifier | None = None) -> None:
        """Listen to a runner, and to a notifier if there is one."""
        self._snapshot(runner.market_snapshot)
        runner.snapshot_listeners.append(self._snapshot)
        runner.listeners.append(lambda commits: self.committed(commits, runner.commit_seconds))
        self._queued.set_function(lambda: float(runner.queued))
        self._log_lag.set_function(lambda: float(runner.lag))
        self._log_outage.set_function(lambda: runner.log_outage_ms / 1_000)
        self._errors.counts = runner.errors
        self._running.set_function(lambda: float(runner.failed is None))
        self._skew.set_function(lambda: runner.clock_skew_ms / 1_000)
        self._watch_disk(runner)
        self._snapshot_age.set_function(
            lambda: abs(runner.now_ms() - runner.market_snapshot.taken_ms) / 1_000
        )
        if notifier is not None:
            notifier.delivery_listeners.append(self.delivered)
            notifier.backlog_listeners.append(self.backlog)

    def _snapshot(self, snapshot: MarketSnapshot) -> None:
        """Replace the market snapshot; counters of its contracts begin at 0."""
        self._market.update(snapshot)
        self._amounts.update(snapshot)
        for contract in snapshot.contracts:
            for name in _COUNTED.values():
                self._by_name[name].labels(contract)

    def _watch_disk(self, runner: Runner) -> None:
        """Report the size of the journal and of its disk; 0 for a journal in memory."""
        path = runner.journal_path
        self._records.set_function(
            lambda: float(runner.market_snapshot.sequence - runner.base_sequence)
        )
        if path is not None:
            self._journal_bytes.set_function(lambda: float(_journal_bytes(path)))
            self._disk_free.set_function(lambda: float(disk_usage(path.parent).free))
            self._disk.set_function(lambda: float(disk_usage(path.parent).total))

    # --- the engine ---

    def _make_engine(self) -> None:
        make = self._make
        self._commands = make.counter("commands", "Commands run", "type", "outcome")
        self._by_name = {
            "rejections": make.counter("rejections", "Commands rejected", "reason"),
            "parts_rejected": make.counter(
                "parts_rejected", "Marks and rows rejected alone, without their command", "reason"
            ),
            "fills": make.counter("adl_fills", "Positions closed by ADL", "contract"),
            "takeovers": make.counter("takeovers", "Positions taken over", "contract"),
            "exhausted": make.counter(
                "adl_exhausted", "Rounds with an exhausted queue", "contract"
            ),
        }
        for name in ("rejections", "parts_rejected"):
            for reason in Reason:
                self._by_name[name].labels(reason)
        self._amounts = AdlAmounts(
            make.counter(
                "adl_notional", "Notional closed by ADL, at the mark", "contract", "asset"
            ),
            make.counter(
                "adl_haircut", "Loss of deleveraged accounts against the mark", "contract", "asset"
            ),
        )
        self._commit = make.histogram("commit_seconds", "Time from start to durable of a commit")
        self._step = make.histogram("step_seconds", "The same, divided by its commands")
        self._size = make.histogram("commit_commands", "Commands in a commit", buckets=_COMMANDS)
        self._refresh = make.histogram(
            "refresh_seconds", "Commits that refresh indicators or ratings", "refresh"
        )
        self._queued = make.gauge("commands_queued", "Commands queued for the engine")
        self._log_lag = make.gauge(
            "log_lag_messages", "Messages of the replicated log that are not in the book"
        )
        self._log_outage = make.gauge(
            "log_outage_seconds", "Time without an answer of the replicated log"
        )
        self._running = make.gauge("engine_running", "1, or 0 after an internal error")
        self._errors = _ErrorCollector()
        self.registry.register(self._errors)
        self._history_lag = make.gauge(
            "history_lag_records", "Durable records that are not in the history"
        )
        self._failed_logins = make.gauge("failed_logins", "Logins that failed, so far", "api")
        self._records = make.gauge("journal_records", "Records in the journal's file")
        self._journal_bytes = make.gauge("journal_bytes", "Size of the journal with its log")
        self._disk_free = make.gauge("disk_free_bytes", "Free space of the journal's disk")
        self._disk = make.gauge("disk_bytes", "Size of the journal's disk")
        self._skew = make.gauge(
            "clock_skew_seconds", "Time by which the clock is ahead of the journal"
        )
        self._snapshot_age = make.gauge("market_snapshot_age_seconds", "Age of the market snapshot")

    def committed(self, commits: Sequence[Committed], seconds: float) -> None:
        """Count a commit and its events; `seconds` is its duration."""
        if not commits:
            return
        self._commit.observe(seconds)
        self._size.observe(len(commits))
        self._step.observe(seconds / len(commits))
        commands, events = _counts_of(commits)
        self._amounts.committed(commits)
        for (kind, outcome), count in commands.items():
            self._commands.labels(kind, outcome).inc(count)
        for (name, label), count in events.items():
            self._by_name[name].labels(label).inc(count)
        types = {type(commit.command) for commit in commits}
        for command, label in ((RefreshIndicators, "indicators"), (RefreshRatings, "ratings")):
            if command in types:
                self._refresh.labels(label).observe(seconds)

    def watch_logins(self, failed: Mapping[str, int]) -> None:
        """Report logins that failed, by API."""
        for api in APIS:
            self._failed_logins.labels(api).set_function(functools.partial(_number_of, failed, api))

    def watch_history(self, history: HistoryProjector) -> None:
        """Report how far the history is behind the journal."""
        self._history_lag.set_function(lambda: float(history.lag))

    # --- notices ---

    def _make_notices(self) -> None:
        make = self._make
        self._deliveries = make.counter("deliveries", "Attempts to deliver", "channel", "outcome")
        for channel, outcome in product(CHANNELS, OUTCOMES):
            self._deliveries.labels(channel, outcome)
        self._notices = make.gauge("notices_waiting", "Deliveries in the outbox")
        self._lag = make.gauge("notices_lag_seconds", "Age of the oldest delivery in the outbox")
        self._failed = make.gauge("notices_failed", "Deliveries given up")

    def delivered(self, channel: str, results: Sequence[DeliveryResult]) -> None:
        """Count attempts by outcome: sent, failed (to be retried), or rejected for good."""
        for _, failure in results:
            outcome = "sent" if failure is None else "rejected" if failure.permanent else "failed"
            self._deliveries.labels(channel, outcome).inc()

    def backlog(self, backlog: OutboxBacklog) -> None:
        """Report the backlog of the outbox."""
        self._notices.set(backlog.waiting)
        self._lag.set(backlog.lag_ms / 1_000)
        self._failed.set(backlog.failed)

    # --- requests and sockets ---

    def _make_requests(self) -> None:
        make = self._make
        self._requests = make.counter("http_requests", "HTTP requests", "part", "status")
        self._sockets = make.gauge("sockets_open", "Open WebSockets", "part")
        self._dropped = make.counter("sockets_dropped", "WebSockets closed as too slow", "part")

    def request_counter(self, parts: Iterable[str]) -> Callable[[Scope, int], None]:
        """Return a function that counts a request by these parts of paths."""
        known = frozenset(parts)
        bound = functools.cache(self._requests.labels)

        def count(scope: Scope, status: int) -> None:
            bound(_part(scope, known), status).inc()

        return count

    def counted(self, app: Asgi, parts: Iterable[str]) -> Asgi:
        """Return the app with its requests and sockets counted by these parts of paths."""
        known = frozenset(parts)
        count = self.request_counter(known)
        for part in (*known, OTHER):
            self._dropped.labels(part)

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            kind = scope["type"]
            if kind == "lifespan":
                await app(scope, receive, send)
                return
            if kind == "websocket":
                await self._socket(app, _part(scope, known), scope, receive, send)
                return

            async def counting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    count(scope, message["status"])
                await send(message)

            await app(scope, receive, counting)

        return serve

    async def _socket(
        self, app: Asgi, part: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve a socket, and count it while it is open."""
        self._sockets.labels(part).inc()
        try:
            await app(scope, receive, send)
        finally:
            self._sockets.labels(part).dec()
            if scope.get(DROPPED):
                self._dropped.labels(part).inc()


def _number_of(counts: Mapping[str, int], name: str) -> float:
    return float(counts.get(name, 0))


def _journal_bytes(journal: Path) -> int:
    """Return the size of a journal's file and of its write-ahead log."""
    files = (journal, journal.with_name(f"{journal.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _part(scope: Scope, known: frozenset[str]) -> str:
    part = first_part(scope["path"])
    return part if part in known else OTHER


class _ErrorCollector(Collector):
    """The errors that an engine survived, by place."""

    def __init__(self) -> None:
        self.counts: Mapping[str, int] = {}

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Return the counter; a place appears with 0 before its first error."""
        text = "Errors that the engine survived"
        family = CounterMetricFamily("delever_internal_errors", text, labels=["place"])
        for place in ERROR_PLACES:
            family.add_metric([place], self.counts.get(place, 0))
        yield family


class _MetricFactory:
    """Creates metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"delever_{name}", text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"delever_{name}", text, labels, registry=self._registry)

    def histogram(
        self, name: str, text: str, *labels: str, buckets: Sequence[float] = _SECONDS
    ) -> Histogram:
        of = self._registry
        return Histogram(f"delever_{name}", text, labels, registry=of, buckets=buckets)


def _counts_of(
    commits: Sequence[Committed],
) -> tuple[Counts[tuple[str, str]], Counts[tuple[str, str]]]:
    """Return the counts of commands by (type, outcome) and of events by (counter, label)."""
    commands: Counts[tuple[str, str]] = Counts()
    events: Counts[tuple[str, str]] = Counts()
    for commit in commits:
        first = commit.events[0]
        rejected = isinstance(first, Rejected)
        kind = str(type(commit.command).__struct_config__.tag)
        commands[kind, "rejected" if rejected else "accepted"] += 1
        if isinstance(first, Rejected):
            events["rejections", first.reason] += 1
        for event in commit.events:
            if isinstance(event, PartRejected):
                events["parts_rejected", event.reason] += 1
            elif isinstance(event, RowsRejected):
                events["parts_rejected", event.reason] += len(event.accounts)
            name = _COUNTED.get(type(event))
            if name is not None:
                events[name, event.contract] += 1  # type: ignore[attr-defined]
    return commands, events
