"""Refreshes of ratings and indicators: when they are due, and what their commands publish.

Commands ask for both, so that they are in the journal and replay; the server, which has the clock,
submits those that `due_refreshes` returns. A rating is small and stored in the book. There are as
many indicators as positions: the event has a digest of each side, and readers call `publish` on the
same book for the indicators themselves.
"""

from collections.abc import Iterable, Iterator
from operator import attrgetter

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.kernels import ParallelMap
from delever.core.messages import (
    AdlStarted,
    AdlStopped,
    Command,
    ContractAmended,
    Event,
    IndicatorsPublished,
    PoolAmended,
    RatingsSet,
    RefreshIndicators,
    RefreshRatings,
    Side,
    SideIndicators,
)
from delever.core.risk.publication.cache import publish
from delever.core.risk.publication.ranked_batch import RankedSide
from delever.core.risk.rating import rate_all, trigger_used_ppm

SWITCHES = AdlStarted, AdlStopped, ContractAmended
"""Events after which a rated contract is rated again."""

REFRESHES = frozenset({RefreshRatings, RefreshIndicators})
"""Commands that publish ratings or indicators."""

TENTH_PPM = 100_000
"""A rated contract is rated again when the trigger used passes a multiple of this."""

TENTH_MARGIN_PPM = 20_000
"""How far below the tenth the trigger used must fall to count as passed."""


def due_refreshes(
    book: Book, time_ms: int, *, ratings_interval_ms: int, indicators_interval_ms: int
) -> tuple[Command, ...]:
    """Return the refreshes that are due at a time: their interval has passed, or they never ran.

    Before the first mark nothing is due. A contract whose first mark came after the last ratings is
    rated with the next ones.
    """
    if not any(state.mark for state in book.contracts.values()):
        return ()
    rated = [state.rating.time_ms for state in book.contracts.values() if state.rating]
    commands: list[Command] = []
    if not rated or time_ms - min(rated) >= ratings_interval_ms:
        commands.append(RefreshRatings(time_ms=time_ms))
    if book.indicators is None or time_ms - book.indicators.time_ms >= indicators_interval_ms:
        commands.append(RefreshIndicators(time_ms=time_ms))
    return tuple(commands)


def rerate(book: Book, events: Iterable[Event]) -> Iterator[Event]:
    """Yield new ratings of rated contracts whose state has moved in a step with these events.

    That is: ADL has started or stopped, the contract or its pool was amended, or the trigger used
    has passed a tenth. A fall of less than `TENTH_MARGIN_PPM` below the tenth does not count, so
    that ratings do not come and go.
    """
    events = tuple(events)
    switched = {event.contract for event in events if isinstance(event, SWITCHES)}
    amended = {event.pool for event in events if isinstance(event, PoolAmended)}
    if amended:
        switched |= {state.name for state in book.contracts.values() if state.pool in amended}
    names = switched.union(state.name for state in book.monitored())  # an idle contract is free
    states = sorted(map(book.contracts.__getitem__, names), key=attrgetter("definition_order"))
    moved = [
        state.name
        for state in states
        if state.rating and (state.name in switched or _has_passed_a_tenth(book, state))
    ]
    if moved:
        yield RatingsSet(ratings=rate_all(book, moved))


def _has_passed_a_tenth(book: Book, state: ContractState) -> bool:
    if state.rating is None or not state.is_monitored:
        return False
    rated_ppm = state.rating.trigger_used_ppm
    tenth_ppm = rated_ppm - rated_ppm % TENTH_PPM
    used_ppm = trigger_used_ppm(book, state)
    return used_ppm >= tenth_ppm + TENTH_PPM or used_ppm < tenth_ppm - TENTH_MARGIN_PPM


def refresh(book: Book, command: Command, parallel_map: ParallelMap) -> Iterator[Event]:
    """Yield the event of a refresh, from the book as the step leaves it; nothing otherwise."""
    match command:
        case RefreshRatings(contracts=contracts):
            yield RatingsSet(ratings=rate_all(book, contracts))
        case RefreshIndicators():
            published = publish(book, parallel_map)
            tables = tuple(
                _side_indicators(contract, side, ranked)
                for (contract, side), ranked in published.sides.items()
            )
            yield IndicatorsPublished(
                as_of=published.as_of, time_ms=published.time_ms, tables=tables
            )
        case _:
            return


def _side_indicators(contract: str, side: Side, ranked: RankedSide) -> SideIndicators:
    return SideIndicators(
        contract=contract,
        side=side,
        positions=len(ranked.account),
        ranked=int(np.count_nonzero(ranked.rank)),
        digest=ranked.digest(),
    )
