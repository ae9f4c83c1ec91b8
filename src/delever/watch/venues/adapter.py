"""What the loop knows of a venue: sources to ask in turn, streams to listen to, and a budget."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from delever.watch.budget import Budget
from delever.watch.reading import Reading
from delever.watch.venues.fields import Answer

Deliver = Callable[[Sequence[Reading]], None]


@dataclass(frozen=True, slots=True)
class Source:
    """Something to ask for: as often as the venue renews it, at a weight, with or without a key.

    `holds` says of which kinds of reading an answer is everything there is at the venue: what it no
    longer names (a closed position) is gone.
    """

    name: str
    every_ms: int
    weight: int
    ask: Callable[[], Awaitable[Answer]]
    holds: tuple[type[Reading], ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """Something to listen to: `listen` hands on what comes and raises when the socket drops.

    After `silent_ms` without a word (0: it may be silent for ever) the socket counts as dropped.
    """

    name: str
    silent_ms: int
    listen: Callable[[Deliver], Awaitable[None]]


async def _no_skew() -> int:
    return 0


async def _nothing_to_close() -> None:
    return None


@dataclass(slots=True)
class Adapter:
    """One venue. `set_clock` asks for its time and returns how far it is ahead of ours, in ms.

    `ban_ms` is how long it is left alone when it shuts the address out without saying for how long.
    """

    venue: str
    rules: str
    keyed: bool
    budget: Budget
    sources: tuple[Source, ...]
    streams: tuple[Stream, ...] = ()
    close: Callable[[], Awaitable[None]] = _nothing_to_close
    set_clock: Callable[[], Awaitable[int]] = _no_skew
    headers: Callable[[], dict[str, Any]] = dict
    used_weight: Callable[[], int | None] = lambda: None
    ban_ms: int = 60_000
