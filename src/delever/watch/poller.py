"""Poll a venue's sources when they are due and listen to its streams; failures are states."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import structs

from delever.watch.market_data.errors import (
    FailureKind,
    MalformedAnswerError,
    SourceFailure,
    error_text,
    failure_kind,
    retry_after_ms,
)
from delever.watch.market_data.observations import Observation
from delever.watch.screen.view import SourceView, VenueView
from delever.watch.venues.adapter import PolledSource, StreamSource, VenueAdapter
from delever.watch.venues.answers import ParsedAnswer
from delever.watch.venues.request_budget import FIRST_RETRY_MS, PollSchedule

ANSWER_TIMEOUT_S = 30
"""The longest time for any answer, whatever the library's own limit."""

SETTLED_S = 2.0
"""A stream that may be silent counts as connected when it has not dropped for this long."""

BACKFILL_MS = (2_000, 4_500)
"""When a stream's past is polled after it was opened: what happened meanwhile is known in 5 s."""

MIN_SILENCE_MS = 5_000
CHECK_INTERVAL_S = 0.25
MIN_SKEW_MS = 1_000
"""A smaller difference of the clocks is not corrected."""


class ObservationSink(Protocol):
    """Receives observations; `complete` kinds contain everything that the venue has."""

    def __call__(
        self, observations: Sequence[Observation], complete: tuple[type[Observation], ...] = ()
    ) -> None:
        """Store observations."""


@dataclass(slots=True)
class _SourceState:
    schedule: PollSchedule
    answered_ms: int | None = None
    tried: bool = False
    failure: SourceFailure | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a stream has been opened and has not failed since."""
        return self.tried and self.failure is None


@dataclass(slots=True)
class VenuePoller:
    """Polls one venue: what is due, what fails, and what it has cost."""

    adapter: VenueAdapter
    now_ms: Callable[[], int]
    sink: ObservationSink
    skew_ms: int = 0
    paused_until_ms: int = 0
    _states: dict[str, _SourceState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start with every source due."""
        for source in self.adapter.sources:
            self._states[source.name] = _SourceState(PollSchedule(source.interval_ms))
        for stream in self.adapter.streams:
            self._states[stream.name] = _SourceState(PollSchedule(0))

    async def run(self) -> None:
        """Poll and listen until cancelled."""
        try:
            await self._set_clock()
            async with asyncio.TaskGroup() as tasks:
                for source in self.adapter.sources:
                    tasks.create_task(self._poll_forever(source))
                for stream in self.adapter.streams:
                    tasks.create_task(self._listen_forever(stream))
        finally:
            await self.adapter.close()

    @property
    def failures(self) -> list[SourceFailure]:
        """The present failures of the venue's sources."""
        return [state.failure for state in self._states.values() if state.failure is not None]

    @property
    def is_ready(self) -> bool:
        """Whether every source has been tried once."""
        return all(state.tried for state in self._states.values())

    @property
    def unread(self) -> list[str]:
        """The names of the sources that have never been read: no answer, or no connection."""
        polled = {source.name for source in self.adapter.sources}
        return [
            name
            for name, state in self._states.items()
            if (state.answered_ms is None if name in polled else not state.is_connected)
        ]

    def view(self) -> VenueView:
        """Return the venue's view."""
        now, budget = self.now_ms(), self.adapter.budget
        sources: list[PolledSource | StreamSource] = [*self.adapter.sources, *self.adapter.streams]
        return VenueView(
            venue=self.adapter.venue,
            keyed=self.adapter.keyed,
            used=budget.used(now),
            limit=budget.limit,
            window_ms=budget.window_ms,
            skew_ms=self.skew_ms,
            sources=tuple(self._source_view(source) for source in sources),
        )

    def _source_view(self, source: PolledSource | StreamSource) -> SourceView:
        state = self._states[source.name]
        polled = isinstance(source, PolledSource)
        return SourceView(
            name=source.name,
            answered_ms=state.answered_ms,
            due_ms=state.schedule.due_ms if polled else 0,
            interval_ms=state.schedule.interval_ms,
            weight=source.weight if isinstance(source, PolledSource) else 0,
            failure=state.failure,
        )

    # --- polled sources ---

    async def _poll_forever(self, source: PolledSource) -> None:
        state = self._states[source.name]
        while True:
            due_ms = max(state.schedule.due_ms, self.paused_until_ms)
            if due_ms > self.now_ms():
                await asyncio.sleep(min((due_ms - self.now_ms()) / 1000, CHECK_INTERVAL_S))
                continue
            await self._poll(source)

    async def _poll(self, source: PolledSource) -> None:
        state, now = self._states[source.name], self.now_ms()
        if not self.adapter.budget.allows(source.weight, now):
            text = f"weight {source.weight} exceeds the rest of the budget"
            self._fail(source.name, FailureKind.BUDGET_EXHAUSTED, text, None)
            return
        self.adapter.budget.spend(source.weight, now)
        try:
            answer = await asyncio.wait_for(source.fetch(), ANSWER_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - no answer of a venue may end the watch
            await self._failed(source.name, error, failure_kind(error))
        else:
            self._answered(source, answer)
        state.tried = True
        used = self.adapter.used_weight()
        if used is not None:
            self.adapter.budget.set_venue_count(used, self.now_ms())

    def _answered(self, source: PolledSource, answer: ParsedAnswer) -> None:
        state, now = self._states[source.name], self.now_ms()
        if answer.observations or not answer.malformed:
            state.answered_ms = now
        skew_ms = self._significant_skew_ms
        venue_time_ms = None if answer.venue_time_ms is None else answer.venue_time_ms - skew_ms
        state.schedule.answered(venue_time_ms, now)
        if answer.malformed:
            more = f" (and {len(answer.malformed) - 1} more)" if len(answer.malformed) > 1 else ""
            text = answer.malformed[0] + more
            state.failure = self._failure(source.name, FailureKind.MALFORMED, text)
            self.sink(self._by_own_clock(answer.observations))
        else:
            state.failure = None
            self.sink(self._by_own_clock(answer.observations), source.complete)

    @property
    def _significant_skew_ms(self) -> int:
        return self.skew_ms if abs(self.skew_ms) >= MIN_SKEW_MS else 0

    def _by_own_clock(self, observations: Sequence[Observation]) -> Sequence[Observation]:
        """Return observations with the venue's times converted to our clock."""
        skew_ms = self._significant_skew_ms
        if not skew_ms:
            return observations
        return [
            r
            if r.venue_time_ms == r.received_ms
            else structs.replace(r, venue_time_ms=r.venue_time_ms - skew_ms)
            for r in observations
        ]

    async def _failed(self, name: str, error: Exception, kind: FailureKind) -> None:
        now = self.now_ms()
        wait_ms = retry_after_ms(self.adapter.headers(), now)
        limited = kind in {FailureKind.RATE_LIMITED, FailureKind.BANNED}
        if limited:  # further requests extend a ban, so every source of the venue waits
            min_wait_ms = self.adapter.ban_ms if kind is FailureKind.BANNED else FIRST_RETRY_MS
            self.paused_until_ms = max(self.paused_until_ms, now + (wait_ms or min_wait_ms))
        self._fail(name, kind, error_text(error), wait_ms if limited else None)
        if kind is FailureKind.CLOCK_SKEWED:
            await self._set_clock()

    def _fail(self, name: str, kind: FailureKind, text: str, wait_ms: int | None) -> None:
        state = self._states[name]
        state.schedule.failed(self.now_ms(), wait_ms)
        state.failure = self._failure(name, kind, text)
        state.tried = True

    def _failure(self, name: str, kind: FailureKind, text: str) -> SourceFailure:
        state, now = self._states[name], self.now_ms()
        return SourceFailure(
            venue=self.adapter.venue,
            source=name,
            kind=kind,
            text=text,
            since_ms=state.failure.since_ms if state.failure else now,
            retry_ms=max(state.schedule.due_ms, self.paused_until_ms),
        )

    async def _set_clock(self) -> None:
        """Fetch the venue's clock difference; on failure the last one stays."""
        try:
            self.skew_ms = await asyncio.wait_for(self.adapter.set_clock(), ANSWER_TIMEOUT_S)
        except Exception:  # noqa: BLE001 - the sources report failures of the venue
            return

    # --- streams ---

    async def _listen_forever(self, stream: StreamSource) -> None:
        state = self._states[stream.name]
        while True:
            try:
                await self._listen(stream, state)
            except Exception as error:  # noqa: BLE001 - a dropped socket is opened again
                await self._failed(stream.name, error, _drop_kind(error))
            due_ms = max(state.schedule.due_ms, self.paused_until_ms)
            await asyncio.sleep(max(0, due_ms - self.now_ms()) / 1000)

    async def _listen(self, stream: StreamSource, state: _SourceState) -> None:
        """Listen until the socket drops or is silent for longer than allowed."""
        last_ms = self.now_ms()

        def deliver(observations: Sequence[Observation]) -> None:
            nonlocal last_ms
            last_ms = state.answered_ms = self.now_ms()
            state.failure, state.tried, state.schedule.failures = None, True, 0
            self.sink(self._by_own_clock(observations))

        listening = asyncio.ensure_future(stream.listen(deliver))
        began_ms = self.now_ms()
        backfills_ms = [began_ms + after_ms for after_ms in BACKFILL_MS] if stream.backfill else []
        try:
            while not (await asyncio.wait([listening], timeout=CHECK_INTERVAL_S))[0]:
                now = self.now_ms()
                if backfills_ms and now >= backfills_ms[0]:
                    del backfills_ms[0]
                    self._states[stream.backfill].schedule.due_ms = now
                max_silence_ms = max(stream.max_silence_ms, MIN_SILENCE_MS)
                if stream.max_silence_ms and now - last_ms > max_silence_ms:
                    raise TimeoutError(f"silent for {now - last_ms} ms")
                if not stream.max_silence_ms and now - began_ms > SETTLED_S * 1000:
                    state.failure, state.tried, state.schedule.failures = None, True, 0
            listening.result()
            raise ConnectionError("the stream has ended")
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def _drop_kind(error: Exception) -> FailureKind:
    """Return why a socket dropped: the venue's reason, a malformed push, or a plain drop."""
    kind = failure_kind(error)
    known = kind in _VENUE_REASONS or isinstance(error, MalformedAnswerError)
    return kind if known else FailureKind.SOCKET_DROPPED


_VENUE_REASONS = {
    FailureKind.KEY_REFUSED,
    FailureKind.RATE_LIMITED,
    FailureKind.BANNED,
    FailureKind.CLOCK_SKEWED,
}
