"""A shadow beside a venue: it follows the venue's book and reports how its own ADL would differ."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from delever.core.book import Book
from delever.core.messages import Command, ContractAmended, ContractSettled, Event, Rejected
from delever.core.rules import RegisteredRules
from delever.shadow.decisions import OnFailure, closing, decide
from delever.shadow.differences import episodes_frame, positions_frame
from delever.shadow.episodes import Episode, Episodes
from delever.shadow.followed_book import FollowedBook, ValidFill
from delever.shadow.venue_feed import VenueAdlFill

WINDOW_MS = 60_000
"""Default time after the last closing of an episode in which further ones belong to it."""


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """The episodes of a feed, and the positions closed in them; see `differences` for the columns.

    `book` is the venue's, after its last command.
    """

    episodes: pl.DataFrame
    positions: pl.DataFrame
    book: Book


class ShadowRun:
    """Follows a venue command by command, without executing anything.

    `registry` has the rule sets of one's own that pools may name, `window_ms` is the time after the
    last closing of an episode in which further ones belong to it. `on_episode` is called
    with each episode that ends, `on_failure` with the error of a step that raised: its command is
    rejected with `internal_error`, or nothing decided after it.

        >>> import delever
        >>> run = ShadowRun()
        >>> for command in delever.read_scenario("examples/crash.ndjson"):
        ...     events = run.submit(command)
        >>> run.finish().positions.select("account", "delever_quantity", "venue_quantity").row(0)
        ('cyd', Decimal('30.000'), Decimal('0.000'))
    """

    def __init__(
        self,
        registry: Mapping[str, RegisteredRules] | None = None,
        *,
        window_ms: int = WINDOW_MS,
        on_episode: Callable[[Episode], None] = lambda _: None,
        on_failure: OnFailure = lambda _: None,
    ) -> None:
        self._followed = FollowedBook(registry or {}, on_failure)
        self._open = Episodes(window_ms)
        self._ended: list[Episode] = []
        self._on_episode, self._on_failure = on_episode, on_failure

    @property
    def book(self) -> Book:
        """The venue's book after the newest command."""
        return self._followed.book

    def submit(self, command: Command) -> tuple[Event, ...]:
        """Run a command, or a fill, of the venue, and return its events.

        Raises InputError for a command that a shadow cannot run.
        """
        if isinstance(command, VenueAdlFill):
            return self._follow(command)
        events = self._followed.submit(command)
        if isinstance(events[0], Rejected):
            return events
        self._end(self._open.end_finished(self.book))
        for event in events:
            if isinstance(event, ContractAmended | ContractSettled):
                self._end(self._open.end(event.contract))
        for key, decision in decide(self.book, self._on_failure).items():
            self._end(self._open.add_decision(self.book, key, decision))
        return events

    def _follow(self, fill: VenueAdlFill) -> tuple[Event, ...]:
        valid = self._followed.validate(fill)
        if not isinstance(valid, ValidFill):
            return (valid,)
        state = self.book.contracts[fill.contract]
        position = fill.account, fill.position
        closed = closing(state, fill.side, position, valid.lots, valid.price_ticks)
        self._end(self._open.end_finished(self.book))
        episode = self._open.current(self.book, (fill.contract, fill.side))
        events = self._followed.follow(fill, valid)
        if not isinstance(events[0], Rejected):
            episode.add_fill(closed, fill.time_ms)
        return events

    def _end(self, episodes: list[Episode]) -> None:
        """Store the episodes that have ended; one whose only fill was rejected is none."""
        for episode in episodes:
            if episode.rules_closed or episode.venue_closed:
                self._ended.append(episode)
                self._on_episode(episode)

    def finish(self) -> ShadowReport:
        """End all episodes and return the report."""
        self._end(self._open.end())
        ended = sorted(self._ended, key=lambda episode: episode.number)
        return ShadowReport(episodes_frame(ended), positions_frame(ended), self.book)
