"""Ask a venue's sources when they are due, listen to its streams; what fails is a state."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import structs

from delever.watch.budget import FIRST_RETRY_MS, Schedule
from delever.watch.faults import Fault, FaultKind, MalformedError, kind_of, text_of, wait_of
from delever.watch.reading import Reading
from delever.watch.venues.adapter import Adapter, Source, Stream
from delever.watch.venues.fields import Answer
from delever.watch.view import SourceView, VenueView

ASK_S = 30
"""No answer takes longer, whatever the library does."""

SETTLED_S = 2.0
"""A stream that may be silent counts as listening again when it has not dropped for so long."""

LOOK_S = 0.25
SKEW_MS = 1_000
"""A clock that is off by less changes no age that anybody would notice."""


class Taker(Protocol):
    """What takes readings: `whole` says that these kinds are now everything at the venue."""

    def __call__(self, readings: Sequence[Reading], whole: tuple[type[Reading], ...] = ()) -> None:
        """Take readings."""


@dataclass(slots=True)
class _Asked:
    schedule: Schedule
    answered_ms: int | None = None
    tried: bool = False
    fault: Fault | None = None


@dataclass(slots=True)
class Asking:
    """One venue being watched: what is due, what failed, what it has cost."""

    adapter: Adapter
    now_ms: Callable[[], int]
    take: Taker
    skew_ms: int = 0
    held_until_ms: int = 0
    _asked: dict[str, _Asked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with everything due."""
        for source in self.adapter.sources:
            self._asked[source.name] = _Asked(Schedule(source.every_ms))
        for stream in self.adapter.streams:
            self._asked[stream.name] = _Asked(Schedule(0))

    async def run(self) -> None:
        """Ask and listen until cancelled."""
        try:
            await self._set_clock()
            async with asyncio.TaskGroup() as tasks:
                for source in self.adapter.sources:
                    tasks.create_task(self._keep_asking(source))
                for stream in self.adapter.streams:
                    tasks.create_task(self._keep_listening(stream))
        finally:
            await self.adapter.close()

    @property
    def faults(self) -> list[Fault]:
        """Return what does not work now."""
        return [asked.fault for asked in self._asked.values() if asked.fault is not None]

    @property
    def looked(self) -> bool:
        """Whether everything has been tried once."""
        return all(asked.tried for asked in self._asked.values())

    def view(self) -> VenueView:
        """Return the venue as it is shown."""
        now, budget = self.now_ms(), self.adapter.budget
        shown: list[Source | Stream] = [*self.adapter.sources, *self.adapter.streams]
        return VenueView(
            venue=self.adapter.venue,
            keyed=self.adapter.keyed,
            used=budget.used(now),
            limit=budget.limit,
            window_ms=budget.window_ms,
            skew_ms=self.skew_ms,
            sources=tuple(self._source(each) for each in shown),
        )

    def _source(self, shown: Source | Stream) -> SourceView:
        asked = self._asked[shown.name]
        polled = isinstance(shown, Source)
        return SourceView(
            name=shown.name,
            answered_ms=asked.answered_ms,
            due_ms=asked.schedule.due_ms if polled else 0,
            every_ms=asked.schedule.every_ms,
            weight=shown.weight if isinstance(shown, Source) else 0,
            fault=asked.fault,
        )

    # --- sources ---

    async def _keep_asking(self, source: Source) -> None:
        asked = self._asked[source.name]
        while True:
            due_ms = max(asked.schedule.due_ms, self.held_until_ms)
            if due_ms > self.now_ms():
                await asyncio.sleep(min((due_ms - self.now_ms()) / 1000, LOOK_S))
                continue
            await self._ask(source)

    async def _ask(self, source: Source) -> None:
        asked, now = self._asked[source.name], self.now_ms()
        if not self.adapter.budget.allows(source.weight, now):
            text = f"weight {source.weight} does not fit into what is left"
            self._fail(source.name, FaultKind.BUDGET_IS_SPENT, text, None)
            return
        self.adapter.budget.spend(source.weight, now)
        try:
            answer = await asyncio.wait_for(source.ask(), ASK_S)
        except Exception as error:  # noqa: BLE001 - no answer of a venue may end the watch
            await self._failed(source.name, error, kind_of(error))
        else:
            self._answered(source, answer)
        asked.tried = True
        used = self.adapter.used_weight()
        if used is not None:
            self.adapter.budget.told(used, self.now_ms())

    def _answered(self, source: Source, answer: Answer) -> None:
        asked, now = self._asked[source.name], self.now_ms()
        asked.answered_ms = now
        of_ms = None if answer.of_ms is None else answer.of_ms - self._skew
        asked.schedule.answered(of_ms, now)
        if answer.malformed:
            more = f" (and {len(answer.malformed) - 1} more)" if len(answer.malformed) > 1 else ""
            text = answer.malformed[0] + more
            asked.fault = self._fault(source.name, FaultKind.MALFORMED, text)
            self.take(self._timed(answer.readings))
        else:
            asked.fault = None
            self.take(self._timed(answer.readings), source.holds)

    @property
    def _skew(self) -> int:
        return self.skew_ms if abs(self.skew_ms) >= SKEW_MS else 0

    def _timed(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        """Return readings with the venue's times by our clock."""
        if not self._skew:
            return readings
        return [
            r if r.of_ms == r.came_ms else structs.replace(r, of_ms=r.of_ms - self._skew)
            for r in readings
        ]

    async def _failed(self, name: str, error: Exception, kind: FaultKind) -> None:
        now = self.now_ms()
        wait_ms = wait_of(self.adapter.headers(), now)
        limited = kind in {FaultKind.RATE_LIMITED, FaultKind.BANNED}
        if limited:  # whoever asks on is banned for longer: every source of the venue waits
            least = self.adapter.ban_ms if kind is FaultKind.BANNED else FIRST_RETRY_MS
            self.held_until_ms = max(self.held_until_ms, now + (wait_ms or least))
        self._fail(name, kind, text_of(error), wait_ms if limited else None)
        if kind is FaultKind.CLOCK_IS_SKEWED:
            await self._set_clock()

    def _fail(self, name: str, kind: FaultKind, text: str, wait_ms: int | None) -> None:
        asked = self._asked[name]
        asked.schedule.failed(self.now_ms(), wait_ms)
        asked.fault = self._fault(name, kind, text)
        asked.tried = True

    def _fault(self, name: str, kind: FaultKind, text: str) -> Fault:
        asked, now = self._asked[name], self.now_ms()
        return Fault(
            venue=self.adapter.venue,
            source=name,
            kind=kind,
            text=text,
            since_ms=asked.fault.since_ms if asked.fault else now,
            retry_ms=max(asked.schedule.due_ms, self.held_until_ms),
        )

    async def _set_clock(self) -> None:
        """Ask how far the venue's clock is from ours; where it does not say, nothing changes."""
        try:
            self.skew_ms = await asyncio.wait_for(self.adapter.set_clock(), ASK_S)
        except Exception:  # noqa: BLE001 - the sources say what is wrong with the venue
            return

    # --- streams ---

    async def _keep_listening(self, stream: Stream) -> None:
        asked = self._asked[stream.name]
        while True:
            try:
                await self._listen(stream, asked)
            except Exception as error:  # noqa: BLE001 - a socket that drops is opened again
                await self._failed(stream.name, error, _kind_of_drop(error))
            due_ms = max(asked.schedule.due_ms, self.held_until_ms)
            await asyncio.sleep(max(0, due_ms - self.now_ms()) / 1000)

    async def _listen(self, stream: Stream, asked: _Asked) -> None:
        """Listen until the socket drops, or is silent for longer than it may be."""
        heard = self.now_ms()

        def deliver(readings: Sequence[Reading]) -> None:
            nonlocal heard
            heard = asked.answered_ms = self.now_ms()
            asked.fault, asked.tried, asked.schedule.failures = None, True, 0
            self.take(self._timed(readings))

        listening = asyncio.ensure_future(stream.listen(deliver))
        began = self.now_ms()
        try:
            while not (await asyncio.wait([listening], timeout=LOOK_S))[0]:
                now = self.now_ms()
                if stream.silent_ms and now - heard > max(stream.silent_ms, 5_000):
                    raise TimeoutError(f"silent for {now - heard} ms")
                if not stream.silent_ms and now - began > SETTLED_S * 1000:
                    asked.fault, asked.tried, asked.schedule.failures = None, True, 0
            listening.result()
            raise ConnectionError("the stream has ended")
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def _kind_of_drop(error: Exception) -> FaultKind:
    """Return why a socket is closed: what the venue says of the key, the pace or the clock, if so.

    A push that cannot be read is malformed; whatever else ends a socket is a drop.
    """
    kind = kind_of(error)
    return kind if kind in _TOLD or isinstance(error, MalformedError) else FaultKind.SOCKET_DROPPED


_TOLD = {
    FaultKind.KEY_IS_REFUSED,
    FaultKind.RATE_LIMITED,
    FaultKind.BANNED,
    FaultKind.CLOCK_IS_SKEWED,
}
