"""The loop: venues are polled and listened to, rules evaluated every second, alerts delivered."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from msgspec import structs

from delever.watch.alerts.alert_rules import (
    RuleInputs,
    drawdown_percent,
    evaluate,
    is_quiet,
    update_alerts,
)
from delever.watch.alerts.contract_status import AdlState, next_status
from delever.watch.alerts.delivery import deliver, senders
from delever.watch.market_data.fill_details import with_details
from delever.watch.market_data.observations import (
    GRACE_MS,
    CancelledOrderObservation,
    DrawdownObservation,
    EligibilityObservation,
    FillObservation,
    IndicatorObservation,
    Observation,
    PoolObservation,
    PositionObservation,
    QueuePlaceObservation,
    RiskObservation,
    WalletObservation,
    WarningObservation,
)
from delever.watch.poller import ObservationSink, VenuePoller
from delever.watch.screen.advice import advise, score_text
from delever.watch.screen.view import (
    Advice,
    AlertView,
    ContractView,
    PoolView,
    PositionView,
    WatchView,
    contract_view,
    place_text,
)
from delever.watch.settings import PoolDrawdownRule, WatchSettings
from delever.watch.store import AlertDelivery, WatchStore
from delever.watch.venues.adapter import VenueAdapter

if TYPE_CHECKING:
    from delever.server.notifications.delivery_worker import ChannelSender

TICK_S = 1.0
NEAREST = 5
"""The contracts nearest to ADL that are displayed without a position."""

MAX_FILLS = 1_000
CANCEL_WINDOW_MS = 10_000
"""Assumed: an order cancelled this close to an ADL fill of its contract was cancelled by it."""

RECENT_FILL_MS = 3_600_000
DELETE_INTERVAL_MS = 3_600_000
FIRST_POLL_S = 15.0

Kind = TypeVar("Kind", bound=Observation)
Key = tuple[str, ...]
ContractKey = tuple[str, str]
"""Venue and contract."""


class Watch:
    """The newest observations, contract statuses and active alerts, and the tasks of a watch."""

    def __init__(
        self,
        settings: WatchSettings,
        adapters: Sequence[VenueAdapter],
        store: WatchStore,
        now_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._store = store
        self._now_ms = now_ms
        self._senders: Mapping[str, ChannelSender] = senders(settings, now_ms)
        self._pollers = [VenuePoller(adapter, now_ms, self._sink(adapter)) for adapter in adapters]
        self._observations: dict[Key, Observation] = {}
        self._fills: dict[Key, FillObservation] = {}
        self._cancelled: dict[Key, CancelledOrderObservation] = {}
        self._statuses = store.statuses()
        self._active = store.active_alerts()
        windows = [r.within_min for r in settings.rules if isinstance(r, PoolDrawdownRule)]
        self._window_ms = 60_000 * max(windows, default=24 * 60)
        self._pool_balances = store.pool_balances(now_ms() - self._window_ms)
        self._advice: dict[Key, tuple[object, Advice]] = {}
        self._deleted_ms = 0

    # --- running ---

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set."""
        delivering = asyncio.create_task(self._deliver_forever())
        try:
            async with self._polling():
                while not stop.is_set():
                    self.tick()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), TICK_S)
                    if delivering.done():  # the store cannot be written: raise its error
                        delivering.result()
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    async def _deliver_forever(self) -> None:
        """Send due deliveries; a channel that does not answer delays other alerts only."""
        while True:
            await deliver(self._store, self._senders, self._now_ms)
            await asyncio.sleep(TICK_S)

    async def once(self) -> WatchView:
        """Poll every source once, send the alerts that are due, and return the view."""
        async with self._polling():
            waited = 0.0
            while waited < FIRST_POLL_S and not all(p.is_ready for p in self._pollers):
                await asyncio.sleep(0.05)
                waited += 0.05
            self.tick()
            await deliver(self._store, self._senders, self._now_ms)
            return self.view()

    @asynccontextmanager
    async def _polling(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(poller.run()) for poller in self._pollers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _sink(self, adapter: VenueAdapter) -> ObservationSink:
        def store(
            observations: Sequence[Observation], complete: tuple[type[Observation], ...] = ()
        ) -> None:
            self._update(adapter.venue, observations, complete)

        return store

    def _update(
        self,
        venue: str,
        observations: Sequence[Observation],
        complete: tuple[type[Observation], ...],
    ) -> None:
        """Store the newest observation of each key; remove what a complete answer lacks.

        An account may have no positions, but every venue has contracts and pools: after an answer
        without any, the last observations stay and become stale.
        """
        if complete and (observations or PositionObservation in complete):
            named = {observation.key for observation in observations}
            removed = [
                key
                for key, observation in self._observations.items()
                if isinstance(observation, complete)
                if observation.venue == venue and key not in named
            ]
            for key in removed:
                del self._observations[key]
        for observation in observations:
            if isinstance(observation, FillObservation):
                self._add_fill(observation)
                continue
            if isinstance(observation, CancelledOrderObservation):
                self._cancelled[observation.key] = observation
                continue
            before = self._observations.get(observation.key)
            if before is None or before.venue_time_ms <= observation.venue_time_ms:
                self._observations[observation.key] = observation
                if isinstance(observation, PoolObservation):
                    self._add_balance(observation)
        for events in (self._fills, self._cancelled):
            for key in list(events)[:-MAX_FILLS]:
                del events[key]

    def _add_fill(self, fill: FillObservation) -> None:
        """Store a fill with its details, as of its first announcement; a larger one replaces it."""
        known = self._fills.get(fill.key)
        if known is not None and known.quantity >= fill.quantity:
            return
        if known is None:
            self._store.record([fill], self._now_ms())
        held = self._before(fill, PositionObservation, "position")
        place = self._before(fill, QueuePlaceObservation, "queue_place")
        self._fills[fill.key] = with_details(
            fill,
            held,
            self._before(fill, IndicatorObservation, "indicator"),
            "" if held is None else score_text(self._advice_of(held, self._positions())),
            place_text(place, None, fill.venue_time_ms),
        )

    def _before(self, fill: FillObservation, kind: type[Kind], tag: str) -> Kind | None:
        """Return the newest observation of a fill's side, unless it was read well after the fill.

        A fill of yesterday had another mark, and perhaps another position.
        """
        found = self._newest(kind, tag, (fill.venue, fill.name, fill.side))
        late = found is not None and found.received_ms > fill.venue_time_ms + GRACE_MS
        return None if late else found

    def _newest(self, kind: type[Kind], tag: str, where: Key) -> Kind | None:
        """Return the newest observation of a kind of one side of a contract."""
        found = self._observations.get((tag, *where))
        return found if isinstance(found, kind) else None

    def _positions(self) -> list[PositionObservation]:
        return [r for r in self._observations.values() if isinstance(r, PositionObservation)]

    def _with_cancelled(self, fill: FillObservation) -> FillObservation:
        """Return a fill with the number of orders of its contract cancelled around its time."""
        count = sum(
            order.venue == fill.venue
            and order.name == fill.name
            and abs(order.venue_time_ms - fill.venue_time_ms) <= CANCEL_WINDOW_MS
            for order in self._cancelled.values()
        )
        return structs.replace(fill, orders_cancelled=count) if count else fill

    def _add_balance(self, pool: PoolObservation) -> None:
        """Add a pool's balance to its past, and drop balances older than any rule's window."""
        balances = self._pool_balances.setdefault(pool.key, [])
        now = self._now_ms()
        balances.append((now, pool.balance))
        del balances[: bisect_left(balances, (now - self._window_ms, Decimal("-Infinity")))]

    # --- every second ---

    def tick(self) -> None:
        """Update contract statuses and alerts, and record the history."""
        now = self._now_ms()
        for key, observations in self._by_contract(now).items():
            before = self._statuses.get(key)
            stopped_ms = self._settings.stopped_min * 60_000
            self._statuses[key] = next_status(before, observations, now, stopped_ms)
        statuses = [self._statuses[key] for key in self._by_contract(now)]
        self._store.record_statuses(statuses, now)
        self._store.record(list(self._to_record(now)), now)
        failures = [failure for poller in self._pollers for failure in poller.failures]
        fills = map(self._with_cancelled, self._fills.values())
        inputs = RuleInputs(
            [*self._observations.values(), *fills], statuses, failures, self._pool_balances
        )
        before_active = self._active
        self._active, alerts = update_alerts(
            before_active,
            list(evaluate(self._settings.rules, inputs, now)),
            self._settings.rules,
            now,
            incomplete_venues={
                p.adapter.venue for p in self._pollers if p.failures or not p.is_ready
            },
            quiet=is_quiet(self._settings.quiet_hours, now),
        )
        if alerts or self._active != before_active:
            self._store.save_alerts(self._active, alerts, list(self._senders), now)
        if now - self._deleted_ms > DELETE_INTERVAL_MS:
            self._store.delete_old(self._settings.retention_days, now)
            self._deleted_ms = now

    def _by_contract(self, now: int) -> dict[ContractKey, list[Observation]]:
        """Return the observations that decide a contract's status."""
        found: dict[ContractKey, list[Observation]] = {}
        kinds = (
            IndicatorObservation,
            RiskObservation,
            DrawdownObservation,
            WarningObservation,
            FillObservation,
        )
        recent = [fill for fill in self._fills.values() if fill.age_ms(now) < RECENT_FILL_MS]
        for observation in [*self._observations.values(), *recent]:
            if isinstance(observation, kinds):
                found.setdefault((observation.venue, observation.name), []).append(observation)
        return found

    def _to_record(self, now: int) -> Iterator[Observation]:
        """Yield the observations for the history: displayed ones, and pools that a rule needs.

        A venue has hundreds of calm contracts; a month of them would fill the disk.
        """
        displayed = set(self._displayed(self._by_contract(now)))
        all_pools = any(isinstance(rule, PoolDrawdownRule) for rule in self._settings.rules)
        pools = set() if all_pools else {row.pool.key for row in self._pool_views(now)}
        for observation in self._observations.values():
            if isinstance(observation, PoolObservation):
                if all_pools or observation.key in pools:
                    yield observation
            elif (
                isinstance(observation, IndicatorObservation)
                or (observation.venue, observation.name) in displayed
            ):
                yield observation

    @property
    def has_active_alerts(self) -> bool:
        """Whether any alert is active."""
        return bool(self._active)

    @property
    def unread(self) -> list[str]:
        """Each source that has never been read, with its venue and the reason."""
        found = []
        for poller in self._pollers:
            reasons = {failure.source: failure for failure in poller.failures}
            for name in poller.unread:
                failure = reasons.get(name)
                reason = f"{failure.kind}: {failure.text}" if failure else "no answer yet"
                found.append(f"{poller.adapter.venue} {name}: {reason}")
        return found

    # --- the view ---

    def deliveries(self, limit: int) -> list[AlertDelivery]:
        """Return the newest deliveries of alerts, newest first."""
        return self._store.deliveries(limit)

    def view(self) -> WatchView:
        """Return everything at this moment."""
        now = self._now_ms()
        positions = self._positions()
        newest = sorted(self._fills.values(), key=lambda fill: -fill.venue_time_ms)
        return WatchView(
            time_ms=now,
            venues=tuple(poller.view() for poller in self._pollers),
            contracts=tuple(self._contract_views(now)),
            positions=tuple(self._position_view(p, positions, now) for p in positions),
            wallets=tuple(
                r for r in self._observations.values() if isinstance(r, WalletObservation)
            ),
            pools=tuple(self._pool_views(now)),
            fills=tuple(map(self._with_cancelled, newest)),
            alerts=tuple(
                AlertView(rule=a.rule, subject=a.subject, text=a.text, since_ms=a.since_ms)
                for a in self._active.values()
            ),
            failures=tuple(failure for poller in self._pollers for failure in poller.failures),
            undelivered=self._store.waiting(),
        )

    def _displayed(self, by_contract: Iterable[ContractKey]) -> list[ContractKey]:
        """Return the contracts to display: held, configured, not calm, or nearest to ADL."""
        distances = [
            (observation.distance_to_start, observation.name, observation.venue)
            for observation in self._observations.values()
            if isinstance(observation, DrawdownObservation)
            if observation.distance_to_start is not None
        ]
        nearest = sorted(distances)[:NEAREST]
        wanted = self._wanted() | {(venue, name) for _, name, venue in nearest}
        statuses = self._statuses
        return [
            key
            for key in sorted(by_contract)
            if key in statuses and (key in wanted or statuses[key].state is not AdlState.CALM)
        ]

    def _wanted(self) -> set[ContractKey]:
        """Return the contracts with a position and the configured ones."""
        held = {
            (r.venue, r.name)
            for r in self._observations.values()
            if isinstance(r, PositionObservation)
        }
        return held | {(v.venue, name) for v in self._settings.venues for name in v.contracts}

    def _contract_views(self, now: int) -> Iterator[ContractView]:
        by_contract = self._by_contract(now)
        for key in self._displayed(by_contract):
            yield contract_view(self._statuses[key], by_contract[key], now)

    def _pool_views(self, now: int) -> Iterator[PoolView]:
        """Yield the pools of wanted contracts, shared pools, and those with the largest fall."""
        wanted = self._wanted()
        pools = [
            PoolView(
                pool=pool,
                age_ms=pool.age_ms(now),
                stale=pool.is_stale(now),
                drawdown_percent=drawdown_percent(
                    pool, self._pool_balances.get(pool.key, ()), now - self._window_ms
                ),
            )
            for pool in self._observations.values()
            if isinstance(pool, PoolObservation)
        ]
        fallen = sorted((p for p in pools if p.drawdown_percent), key=lambda p: -p.drawdown_percent)
        largest = {row.pool.key for row in fallen[:NEAREST]}
        for row in pools:
            pool = row.pool
            insures = not pool.members or any((pool.venue, name) in wanted for name in pool.members)
            if insures or len(pool.members) > 1 or pool.key in largest:
                yield row

    def _position_view(
        self, position: PositionObservation, positions: Sequence[PositionObservation], now: int
    ) -> PositionView:
        where = (position.venue, position.name, position.side)
        indicator = self._newest(IndicatorObservation, "indicator", where)
        place = self._newest(QueuePlaceObservation, "queue_place", where)
        eligibility = self._newest(EligibilityObservation, "eligibility", where)
        late = self._adapter(position.venue).has_indicators and indicator is None
        values = [each for each in (position, indicator, eligibility) if each is not None]
        return PositionView(
            position=position,
            indicator=indicator,
            age_ms=position.age_ms(now),
            indicator_age_ms=None if indicator is None else indicator.age_ms(now),
            stale=late or any(value.is_stale(now) for value in values),
            advice=self._advice_of(position, positions),
            queue_place=place,
            eligibility=eligibility,
            place=place_text(place, eligibility, now),
        )

    def _adapter(self, venue: str) -> VenueAdapter:
        return next(p.adapter for p in self._pollers if p.adapter.venue == venue)

    def _advice_of(
        self, position: PositionObservation, positions: Sequence[PositionObservation]
    ) -> Advice:
        """Return the advice on a position, computed again only when its inputs have changed."""
        own = [p for p in positions if p.venue == position.venue]
        wallet = self._observations.get(("wallet", position.venue, position.settle))
        inputs = (position, tuple(own), wallet)
        cached = self._advice.get(position.key)
        if cached is not None and cached[0] == inputs:
            return cached[1]
        rules = self._adapter(position.venue).rules
        wallet = wallet if isinstance(wallet, WalletObservation) else None
        advice = advise(position, own, wallet, rules)
        self._advice[position.key] = (inputs, advice)
        return advice
