"""The interface of a venue: polled sources, streams, and a request budget."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from delever.watch.market_data.observations import Observation
from delever.watch.venues.answers import ParsedAnswer
from delever.watch.venues.request_budget import RequestBudget

Deliver = Callable[[Sequence[Observation]], None]


@dataclass(frozen=True, slots=True)
class PolledSource:
    """A REST source, polled as often as the venue refreshes it, at a request weight.

    An answer contains all the venue's observations of the kinds in `complete`: one that it lacks,
    such as a closed position, no longer exists.
    """

    name: str
    interval_ms: int
    weight: int
    fetch: Callable[[], Awaitable[ParsedAnswer]]
    complete: tuple[type[Observation], ...] = ()


@dataclass(frozen=True, slots=True)
class StreamSource:
    """A WebSocket source; `listen` delivers observations and raises when the socket drops.

    After `max_silence_ms` without a message the socket counts as dropped; 0 means never.
    `backfill` names the polled source that has what happened before the socket was open.
    """

    name: str
    max_silence_ms: int
    listen: Callable[[Deliver], Awaitable[None]]
    backfill: str = ""


async def _no_skew() -> int:
    return 0


async def _nothing_to_close() -> None:
    return None


@dataclass(slots=True)
class VenueAdapter:
    """One venue.

    `set_clock` fetches the venue's time and returns how far it is ahead of ours, in ms. `ban_ms` is
    the pause after a ban without a stated end. `has_indicators` is unset where the venue publishes
    no indicator of a position.
    """

    venue: str
    rules: str
    keyed: bool
    budget: RequestBudget
    sources: tuple[PolledSource, ...]
    streams: tuple[StreamSource, ...] = ()
    close: Callable[[], Awaitable[None]] = _nothing_to_close
    set_clock: Callable[[], Awaitable[int]] = _no_skew
    headers: Callable[[], dict[str, Any]] = dict
    used_weight: Callable[[], int | None] = lambda: None
    ban_ms: int = 60_000
    has_indicators: bool = True
