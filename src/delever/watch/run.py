"""The loop: venues are asked and listened to, rules looked at each second, alerts sent."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal

from delever.watch.advice import advise
from delever.watch.alerts import Sender, deliver, senders
from delever.watch.asking import Asking, Taker
from delever.watch.reading import (
    Drawdown,
    Fill,
    IndicatorReading,
    Pool,
    Position,
    Reading,
    Risk,
    Wallet,
    Warned,
)
from delever.watch.rules import Seen, advance, fall_percent, is_quiet, verdicts
from delever.watch.settings import PoolFallRule, Settings
from delever.watch.state import Situation, State, judge
from delever.watch.store import Delivery, Store
from delever.watch.venues.adapter import Adapter
from delever.watch.view import (
    Advice,
    AlertView,
    ContractView,
    PoolView,
    PositionView,
    View,
    contract_view,
)

TICK_S = 1.0
NEAREST = 5
"""So many contracts nearest to ADL are shown even where the account holds none of them."""

FILLS_KEPT = 1_000
RECENT_MS = 3_600_000
FORGET_EVERY_MS = 3_600_000
FIRST_LOOK_S = 15.0

Key = tuple[str, ...]


class Watch:
    """Everything that is known, and the tasks that keep it so."""

    def __init__(
        self,
        settings: Settings,
        adapters: Sequence[Adapter],
        store: Store,
        now_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._store = store
        self._now_ms = now_ms
        self._sending: Mapping[str, Sender] = senders(settings, now_ms)
        self._askings = [Asking(adapter, now_ms, self._taker(adapter)) for adapter in adapters]
        self._readings: dict[Key, Reading] = {}
        self._fills: dict[Key, Fill] = {}
        self._situations = store.situations()
        self._active = store.active()
        windows = [r.within_min for r in settings.rules if isinstance(r, PoolFallRule)]
        self._window_ms = 60_000 * max(windows, default=24 * 60)
        self._peaks = store.peaks(now_ms() - self._window_ms)
        self._advice: dict[Key, tuple[object, Advice]] = {}
        self._forgot_ms = 0

    # --- running ---

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until told to stop."""
        delivering = asyncio.create_task(self._keep_delivering())
        try:
            async with self._asking():
                while not stop.is_set():
                    self.tick()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), TICK_S)
                    if delivering.done():  # the store cannot be written: say so, and end
                        delivering.result()
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    async def _keep_delivering(self) -> None:
        """Send what is due; a channel that does not answer holds up nothing but other alerts."""
        while True:
            await deliver(self._store, self._sending, self._now_ms)
            await asyncio.sleep(TICK_S)

    async def once(self) -> View:
        """Look once at everything, tell what is to be told, and return what there is."""
        async with self._asking():
            waited = 0.0
            while waited < FIRST_LOOK_S and not all(a.looked for a in self._askings):
                await asyncio.sleep(0.05)
                waited += 0.05
            self.tick()
            await deliver(self._store, self._sending, self._now_ms)
            return self.view()

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(asking.run()) for asking in self._askings]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _taker(self, adapter: Adapter) -> Taker:
        def take(readings: Sequence[Reading], whole: tuple[type[Reading], ...] = ()) -> None:
            self._take(adapter.venue, readings, whole)

        return take

    def _take(
        self, venue: str, readings: Sequence[Reading], whole: tuple[type[Reading], ...]
    ) -> None:
        """Keep the newest reading of each key; what a whole answer no longer names is gone.

        An account may hold nothing, but no venue is without contracts or pools: where it tells of
        none, what was known stays, and grows old.
        """
        if whole and (readings or Position in whole):
            named = {reading.key for reading in readings}
            gone = [
                key
                for key, reading in self._readings.items()
                if isinstance(reading, whole) and reading.venue == venue and key not in named
            ]
            for key in gone:
                del self._readings[key]
        for reading in readings:
            if isinstance(reading, Fill):
                if reading.key not in self._fills:
                    self._store.keep([reading], self._now_ms())
                self._fills[reading.key] = reading
                continue
            before = self._readings.get(reading.key)
            if before is None or before.of_ms <= reading.of_ms:
                self._readings[reading.key] = reading
                if isinstance(reading, Pool):
                    self._note(reading)
        for key in list(self._fills)[:-FILLS_KEPT]:
            del self._fills[key]

    def _note(self, pool: Pool) -> None:
        """Remember a pool's balance for as long as a rule looks back."""
        history = self._peaks.setdefault(pool.key, [])
        now = self._now_ms()
        history.append((now, pool.balance))
        del history[: bisect_left(history, (now - self._window_ms, Decimal("-Infinity")))]

    # --- each second ---

    def tick(self) -> None:
        """Judge every contract, look at every rule, and put alerts on their way."""
        now = self._now_ms()
        for key, read in self._by_contract(now).items():
            before = self._situations.get(key)
            stopped_ms = self._settings.stopped_min * 60_000
            self._situations[key] = judge(before, read, now, stopped_ms)
        shown = self._judged(now)
        self._store.keep_situations(shown, now)
        self._store.keep(list(self._worth_keeping(now)), now)
        faults = [fault for asking in self._askings for fault in asking.faults]
        seen = Seen([*self._readings.values(), *self._fills.values()], shown, faults, self._peaks)
        judged = list(verdicts(self._settings.rules, seen, now))
        blind = {a.adapter.venue for a in self._askings if a.faults or not a.looked}
        quiet = is_quiet(self._settings.quiet, now)
        held = self._active
        self._active, alerts = advance(
            held, judged, self._settings.rules, now, blind=blind, quiet=quiet
        )
        if alerts or self._active != held:
            self._store.tell(self._active, alerts, list(self._sending), now)
        if now - self._forgot_ms > FORGET_EVERY_MS:
            self._store.forget(self._settings.keep_days, now)
            self._forgot_ms = now

    def _by_contract(self, now: int) -> dict[tuple[str, str], list[Reading]]:
        """Return what says something of a contract's state, by venue and contract."""
        found: dict[tuple[str, str], list[Reading]] = {}
        telling = (IndicatorReading, Risk, Drawdown, Warned)
        recent = [fill for fill in self._fills.values() if fill.age_ms(now) < RECENT_MS]
        for reading in [*self._readings.values(), *recent]:
            if isinstance(reading, (*telling, Fill)):
                found.setdefault((reading.venue, reading.name), []).append(reading)
        return found

    def _judged(self, now: int) -> list[Situation]:
        return [self._situations[key] for key in self._by_contract(now)]

    def _worth_keeping(self, now: int) -> Iterator[Reading]:
        """Yield what history keeps: what is shown, and every pool that a rule is about.

        A venue has hundreds of contracts that are calm; a month of them would fill the disk.
        """
        shown = set(self._shown(self._by_contract(now)))
        ruled = any(isinstance(rule, PoolFallRule) for rule in self._settings.rules)
        behind = set() if ruled else {each.pool.key for each in self._pools(now)}
        for reading in self._readings.values():
            if isinstance(reading, Pool):
                if ruled or reading.key in behind:
                    yield reading
            elif isinstance(reading, IndicatorReading) or (reading.venue, reading.name) in shown:
                yield reading

    @property
    def holds(self) -> bool:
        """Whether any rule for alerts holds."""
        return bool(self._active)

    # --- what is shown ---

    def deliveries(self, limit: int) -> list[Delivery]:
        """Return the newest deliveries of alerts, newest first."""
        return self._store.deliveries(limit)

    def view(self) -> View:
        """Return everything at this moment."""
        now = self._now_ms()
        held = [r for r in self._readings.values() if isinstance(r, Position)]
        return View(
            time_ms=now,
            venues=tuple(asking.view() for asking in self._askings),
            contracts=tuple(self._contracts(now)),
            positions=tuple(self._position(p, held, now) for p in held),
            wallets=tuple(r for r in self._readings.values() if isinstance(r, Wallet)),
            pools=tuple(self._pools(now)),
            fills=tuple(sorted(self._fills.values(), key=lambda fill: -fill.of_ms)[:20]),
            alerts=tuple(
                AlertView(rule=a.rule, about=a.about, text=a.text, since_ms=a.since_ms)
                for a in self._active.values()
            ),
            faults=tuple(fault for asking in self._askings for fault in asking.faults),
            undelivered=self._store.waiting(),
        )

    def _shown(self, by_contract: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the contracts that matter: held, asked for, not calm, or nearest to ADL."""
        drawdowns = [r for r in self._readings.values() if isinstance(r, Drawdown)]
        nearest = sorted(drawdowns, key=lambda r: (r.to_start, r.name))[:NEAREST]
        wanted = self._wanted() | {(r.venue, r.name) for r in nearest}
        situations = self._situations
        return [
            key
            for key in sorted(by_contract)
            if key in situations and (key in wanted or situations[key].state is not State.CALM)
        ]

    def _wanted(self) -> set[tuple[str, str]]:
        """Return what is held or asked for, by venue and contract."""
        held = {(r.venue, r.name) for r in self._readings.values() if isinstance(r, Position)}
        return held | {(v.venue, name) for v in self._settings.venues for name in v.contracts}

    def _contracts(self, now: int) -> Iterator[ContractView]:
        by_contract = self._by_contract(now)
        for key in self._shown(by_contract):
            yield contract_view(self._situations[key], by_contract[key], now)

    def _pools(self, now: int) -> Iterator[PoolView]:
        """Yield the pools behind what is held or asked for, shared ones, and what fell farthest."""
        wanted = self._wanted()
        pools = [
            PoolView(
                pool=pool,
                age_ms=pool.age_ms(now),
                stale=pool.stale(now),
                fall_percent=fall_percent(
                    pool, self._peaks.get(pool.key, ()), now - self._window_ms
                ),
            )
            for pool in self._readings.values()
            if isinstance(pool, Pool)
        ]
        fallen = sorted((p for p in pools if p.fall_percent), key=lambda p: -p.fall_percent)
        farthest = {shown.pool.key for shown in fallen[:NEAREST]}
        for shown in pools:
            pool = shown.pool
            behind = not pool.members or any((pool.venue, name) in wanted for name in pool.members)
            if behind or len(pool.members) > 1 or pool.key in farthest:
                yield shown

    def _position(self, position: Position, held: Sequence[Position], now: int) -> PositionView:
        found = self._readings.get(
            ("IndicatorReading", position.venue, position.name, position.side)
        )
        indicator = found if isinstance(found, IndicatorReading) else None
        return PositionView(
            position=position,
            indicator=indicator,
            age_ms=position.age_ms(now),
            indicator_age_ms=None if indicator is None else indicator.age_ms(now),
            stale=position.stale(now) or indicator is None or indicator.stale(now),
            advice=self._advised(position, held),
        )

    def _advised(self, position: Position, held: Sequence[Position]) -> Advice:
        """Return the advice on a position, worked out anew only when its numbers have changed."""
        mine = [p for p in held if p.venue == position.venue]
        wallet = self._readings.get(("Wallet", position.venue, position.settle))
        basis = (position, tuple(mine), wallet)
        kept = self._advice.get(position.key)
        if kept is not None and kept[0] == basis:
            return kept[1]
        rules = next(a.adapter.rules for a in self._askings if a.adapter.venue == position.venue)
        advice = advise(position, mine, wallet if isinstance(wallet, Wallet) else None, rules)
        self._advice[position.key] = (basis, advice)
        return advice
