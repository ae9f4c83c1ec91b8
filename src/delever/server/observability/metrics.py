"""What Prometheus may ask of a server: one registry, fed by listeners, read at /metrics.

Counters and histograms are bound to their labels once. What the board shows is made into samples
when somebody asks, so that a contract that has gone leaves nothing behind. Labels are contracts,
pools, triggers, reasons and parts of paths; never accounts.
"""

import functools
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from delever.api_types.market import MarketState
from delever.core.messages import (
    AdlExhausted,
    AdlFilled,
    RefreshIndicators,
    RefreshRatings,
    Rejected,
    Side,
    TakenOver,
)
from delever.core.units import PPM
from delever.server.engine.market_snapshot import Board, ContractShown, PoolShown
from delever.server.engine.service import Committed, Runner
from delever.server.notifications.notifier import Notifier
from delever.server.notifications.outbox import Backlog, Channel
from delever.server.notifications.sender import Result
from delever.server.transport.asgi import Asgi, Message, Receive, Scope, Send, first_part
from delever.server.transport.websockets import DROPPED

OTHER = "other"
"""The part of all paths that nobody is known to answer: strangers must not invent labels."""

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_COMMANDS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000)

_COUNTED = {AdlFilled: "fills", TakenOver: "takeovers", AdlExhausted: "exhausted"}
"""Events that are counted by contract, by the counter's name."""


class Metrics:
    """All metrics of one server, in a registry of their own or the one given."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._board = BoardSamples()
        self.registry.register(self._board)
        ProcessCollector(registry=self.registry)
        self._make = _Maker(self.registry)
        self._make_engine()
        self._make_notices()
        self._make_requests()

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def watch(self, runner: Runner, notifier: Notifier | None = None) -> None:
        """Listen to a runner, and to a notifier if there is one."""
        self._board.show(runner.board)
        runner.board_listeners.append(self._board.show)
        runner.listeners.append(lambda commits: self.committed(commits, runner.commit_seconds))
        self._waiting.set_function(lambda: float(runner.waiting))
        self._running.set_function(lambda: float(runner.failed is None))
        self._board_age.set_function(lambda: (runner.now_ms() - runner.board.made_ms) / 1_000)
        if notifier is not None:
            notifier.delivery_listeners.append(self.delivered)
            notifier.backlog_listeners.append(self.backlog)

    # --- the engine ---

    def _make_engine(self) -> None:
        make = self._make
        self._commands = make.counter("commands", "Commands run", "type", "outcome")
        self._by_name = {
            "refusals": make.counter("refusals", "Commands refused", "reason"),
            "fills": make.counter("adl_fills", "Positions closed by ADL", "contract"),
            "takeovers": make.counter("takeovers", "Positions taken over", "contract"),
            "exhausted": make.counter("adl_exhausted", "Rounds that left inventory", "contract"),
        }
        self._commit = make.histogram("commit_seconds", "From taking up commands to durable")
        self._step = make.histogram("step_seconds", "The same, shared out over its commands")
        self._size = make.histogram("commit_commands", "Commands of a commit", buckets=_COMMANDS)
        self._refresh = make.histogram("refresh_seconds", "Commits that publish anew", "what")
        self._waiting = make.gauge("commands_waiting", "Commands that wait for the engine")
        self._running = make.gauge("engine_running", "1, or 0 after an error inside")
        self._board_age = make.gauge("board_age_seconds", "Age of what readers see")

    def committed(self, commits: Sequence[Committed], seconds: float) -> None:
        """Count one commit and what happened in it; `seconds` is how long it took."""
        if not commits:
            return
        self._commit.observe(seconds)
        self._size.observe(len(commits))
        self._step.observe(seconds / len(commits))
        commands, events = _tallies(commits)
        for (kind, outcome), count in commands.items():
            self._commands.labels(kind, outcome).inc(count)
        for (name, label), count in events.items():
            self._by_name[name].labels(label).inc(count)
        asked = {type(commit.command) for commit in commits}
        for command, what in ((RefreshIndicators, "indicators"), (RefreshRatings, "ratings")):
            if command in asked:
                self._refresh.labels(what).observe(seconds)

    # --- notices ---

    def _make_notices(self) -> None:
        make = self._make
        self._deliveries = make.counter("deliveries", "Attempts to deliver", "channel", "outcome")
        self._notices = make.gauge("notices_waiting", "Deliveries that wait")
        self._lag = make.gauge("notices_lag_seconds", "Age of the oldest delivery that waits")
        self._failed = make.gauge("notices_failed", "Deliveries that were given up")

    def delivered(self, channel: Channel, results: Sequence[Result]) -> None:
        """Count attempts: sent, failed for now, or refused for good."""
        for _, failure in results:
            outcome = "sent" if failure is None else "refused" if failure.permanent else "failed"
            self._deliveries.labels(channel, outcome).inc()

    def backlog(self, backlog: Backlog) -> None:
        """Show what waits in the outbox."""
        self._notices.set(backlog.waiting)
        self._lag.set(backlog.lag_ms / 1_000)
        self._failed.set(backlog.failed)

    # --- requests and sockets ---

    def _make_requests(self) -> None:
        make = self._make
        self._requests = make.counter("http_requests", "Requests answered", "part", "status")
        self._sockets = make.gauge("sockets_open", "Open WebSockets", "part")
        self._dropped = make.counter("sockets_dropped", "WebSockets that were too slow", "part")

    def count_of(self, parts: Iterable[str]) -> Callable[[Scope, int], None]:
        """Return what counts an answered request, by these parts of paths."""
        known = frozenset(parts)
        bound = functools.cache(self._requests.labels)

        def count(scope: Scope, status: int) -> None:
            bound(_part(scope, known), status).inc()

        return count

    def counted(self, app: Asgi, parts: Iterable[str]) -> Asgi:
        """Return the app with its requests and sockets counted, by these parts of paths."""
        known = frozenset(parts)
        count = self.count_of(known)

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
        """Serve a socket; its messages pass untouched."""
        self._sockets.labels(part).inc()
        try:
            await app(scope, receive, send)
        finally:
            self._sockets.labels(part).dec()
            if scope.get(DROPPED):
                self._dropped.labels(part).inc()


def _part(scope: Scope, known: frozenset[str]) -> str:
    part = first_part(scope["path"])
    return part if part in known else OTHER


class _Maker:
    """Makes metrics of one registry."""

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


def _tallies(commits: Sequence[Committed]) -> tuple[Tally[tuple[str, str]], Tally[tuple[str, str]]]:
    """Return how often each (type, outcome) of commands and (counter, label) of events came."""
    commands: Tally[tuple[str, str]] = Tally()
    events: Tally[tuple[str, str]] = Tally()
    for commit in commits:
        first = commit.events[0]
        rejected = isinstance(first, Rejected)
        kind = str(type(commit.command).__struct_config__.tag)
        commands[kind, "rejected" if rejected else "accepted"] += 1
        if isinstance(first, Rejected):
            events["refusals", first.reason] += 1
        for event in commit.events:
            name = _COUNTED.get(type(event))
            if name is not None:
                events[name, event.contract] += 1  # type: ignore[attr-defined]
    return commands, events


class BoardSamples(Collector):
    """The market as of the newest board, as gauges."""

    def __init__(self) -> None:
        self._board: Board | None = None

    def show(self, board: Board) -> None:
        """Take a new board."""
        self._board = board

    def describe(self) -> Iterable[Metric]:
        """Yield the gauges' names, without samples."""
        return _families().values()

    def collect(self) -> Iterator[Metric]:
        """Yield all gauges of the board."""
        families, board = _families(), self._board
        if board is not None:
            families["sequence"].add_metric([], board.sequence)
            families["accounts"].add_metric([], board.accounts)
            for pool in board.pools.values():
                _add_pool(families, pool)
            for shown in board.contracts.values():
                _add_contract(families, shown, board)
        yield from families.values()


def _families() -> dict[str, GaugeMetricFamily]:
    told: dict[str, tuple[str, list[str]]] = {
        "sequence": ("Sequence of the newest record that readers see", []),
        "accounts": ("Accounts in the book", []),
        "pool_balance": ("Settled cash of a pool, in its asset", ["pool", "asset"]),
        "pool_equity": ("Balance and unrealized profit of its inventory", ["pool", "asset"]),
        "pool_balance_peak": ("Highest balance of the pool's window", ["pool", "asset"]),
        "contract_state": ("1 for the state a contract is in, else 0", ["contract", "state"]),
        "contract_profit": ("The pool's profit with a contract", ["contract"]),
        "pnl_ratio": ("Fall of that profit from its peak, by the pool's peak", ["contract"]),
        "trigger_distance_ratio": (
            "Way left to a trigger: 1 is far, 0 is ADL",
            ["contract", "trigger"],
        ),
        "inventory": ("Taken over and not yet closed, in units", ["contract", "side"]),
        "mark_age_seconds": ("Age of a contract's mark on the board", ["contract"]),
    }
    return {
        name: GaugeMetricFamily(f"delever_{name}", text, labels=labels)
        for name, (text, labels) in told.items()
    }


def _add_pool(families: dict[str, GaugeMetricFamily], pool: PoolShown) -> None:
    labels, scale = [pool.name, pool.definition.asset], 10**pool.cash_decimals
    families["pool_balance"].add_metric(labels, pool.balance_cash / scale)
    families["pool_equity"].add_metric(labels, pool.equity_cash / scale)
    families["pool_balance_peak"].add_metric(labels, pool.balance_peak_cash / scale)


def _add_contract(
    families: dict[str, GaugeMetricFamily], shown: ContractShown, board: Board
) -> None:
    name, peak_cash = shown.name, board.pools[shown.pool].balance_peak_cash
    for state in MarketState:
        families["contract_state"].add_metric([name, state], float(shown.state is state))
    scale = 10**shown.cash_decimals
    families["contract_profit"].add_metric([name], shown.profit_cash / scale)
    fall_cash = shown.profit_cash - shown.contract_pnl_peak_cash
    families["pnl_ratio"].add_metric([name], fall_cash / peak_cash if peak_cash else 0)
    for trigger in shown.triggers:
        left = 1 - trigger.trigger_used_ppm / PPM
        families["trigger_distance_ratio"].add_metric([name, trigger.trigger], left)
    mantissa, decimals = shown.terms.lot
    for side in Side:
        quantity = shown.inventory_lots[side] * mantissa / 10**decimals
        families["inventory"].add_metric([name, side], quantity)
    if shown.marked_ms:
        age = (board.made_ms - shown.marked_ms) / 1_000
        families["mark_age_seconds"].add_metric([name], age)
