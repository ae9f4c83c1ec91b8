"""Episodes: what the rule set would close of one side of a contract, beside what the venue closed.

An episode begins with the first closing of either. The rule set decides after every command, on
the book that follows the venue; of a decision only that counts which it has not decided before and
the venue has not carried out since. The episode ends when the window has passed since its last
closing, and either the venue has closed as much or the rule set's ADL is off; a new decision after
the venue has closed as much begins the next one.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from delever.core.book import Book
from delever.formatting import ContractFormatter
from delever.shadow.decisions import (
    Closing,
    Decision,
    PositionKey,
    QueueSnapshot,
    SideKey,
    queue_snapshot,
)


@dataclass(slots=True)
class Episode:
    """The closings of the rule set and of the venue; times are None where one closed nothing."""

    number: int
    key: SideKey
    formatter: ContractFormatter
    begin: QueueSnapshot
    rules_closed: list[Closing] = field(default_factory=list)
    venue_closed: list[Closing] = field(default_factory=list)
    skipped: dict[PositionKey, str] = field(default_factory=dict)
    rules_ms: int | None = None
    venue_ms: int | None = None
    last_ms: int = 0

    @property
    def pending_lots(self) -> int:
        """The lots that the rule set has decided on and the venue has not closed."""
        return lots_of(self.rules_closed).total() - lots_of(self.venue_closed).total()

    def add_decision(self, decision: Decision, time_ms: int) -> None:
        """Add what is new in a decision."""
        new = list(self._new(decision))
        if new:
            self.rules_closed += new
            self.skipped |= decision.skipped
            self.rules_ms = time_ms if self.rules_ms is None else self.rules_ms
            self.last_ms = time_ms

    def _new(self, decision: Decision) -> Iterator[Closing]:
        """Yield the closings beyond those that are pending, in the order of the decision."""
        wanted = decision.lots - max(self.pending_lots, 0)
        pending = lots_of(self.rules_closed) - lots_of(self.venue_closed)
        for closing in decision.closings:
            before = min(pending[closing.key], closing.lots)
            pending[closing.key] -= before
            lots = min(closing.lots - before, wanted)
            if lots > 0:
                wanted -= lots
                yield closing.part(lots)

    def add_fill(self, closing: Closing, time_ms: int) -> None:
        """Add a fill of the venue."""
        self.venue_closed.append(closing)
        self.venue_ms = time_ms if self.venue_ms is None else self.venue_ms
        self.last_ms = time_ms


def lots_of(closings: list[Closing]) -> Counter[PositionKey]:
    """Return the lots of closings by position."""
    lots: Counter[PositionKey] = Counter()
    for closing in closings:
        lots[closing.key] += closing.lots
    return lots


class Episodes:
    """The episodes of a feed: the open ones by side of a contract, and those that have ended."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._open: dict[SideKey, Episode] = {}
        self._number = 0

    def end_finished(self, book: Book) -> list[Episode]:
        """End the episodes whose window has passed, and return them."""
        finished = [key for key, episode in self._open.items() if self._is_finished(episode, book)]
        return [self._open.pop(key) for key in finished]

    def _is_finished(self, episode: Episode, book: Book) -> bool:
        waits = episode.pending_lots > 0 and bool(book.contracts[episode.key[0]].active)
        return not waits and book.time_ms - episode.last_ms > self._window_ms

    def end(self, contract: str | None = None) -> list[Episode]:
        """End the episodes of a contract, or all of them, and return them."""
        ended = [key for key in self._open if contract in (None, key[0])]
        return [self._open.pop(key) for key in ended]

    def add_decision(self, book: Book, key: SideKey, decision: Decision) -> list[Episode]:
        """Add a decision; return the episode before it where it begins the next one."""
        episode = self._open.get(key)
        ended = []
        if episode is not None and episode.pending_lots <= 0:
            ended = [self._open.pop(key)]
        self.current(book, key).add_decision(decision, book.time_ms)
        return ended

    def current(self, book: Book, key: SideKey) -> Episode:
        """Return the open episode of a side of a contract; begin one where there is none."""
        if key not in self._open:
            self._number += 1
            formatter = ContractFormatter.of(book, book.contracts[key[0]])
            begin = queue_snapshot(book, key)
            episode = Episode(self._number, key, formatter, begin, last_ms=book.time_ms)
            self._open[key] = episode
        return self._open[key]
