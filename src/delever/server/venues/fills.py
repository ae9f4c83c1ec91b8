"""Past ADL fills and takeovers by account: what venues list as forced orders and executions.

The newest of each account are kept in memory, found again in the journal's tail after a restart,
and told on by the runner.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from delever.core.messages import AdlFilled, Event, FillCancelled, TakenOver
from delever.journal import SqliteJournal
from delever.journal.codec import decode_events
from delever.journal.sqlite import LAST
from delever.server.runner import Committed, Runner

PER_ACCOUNT = 1_000
"""Closings kept of one account; older ones stand in the journal only."""

TAIL = 200_000
"""Records of the journal that a restart searches."""

_TAGS = (b"adl_filled", b"taken_over", b"fill_cancelled")


class Closing(NamedTuple):
    """One ADL fill or takeover of an account, with its place in the journal."""

    sequence: int
    time_ms: int
    event: AdlFilled | TakenOver

    @property
    def adl(self) -> bool:
        """Whether it was ADL, not a takeover."""
        return isinstance(self.event, AdlFilled)


class FillLog:
    """ADL fills and takeovers of every account, the newest PER_ACCOUNT of each.

    A fill that is cancelled later is forgotten. Made before the runner starts; used on the event
    loop only.
    """

    def __init__(self, runner: Runner) -> None:
        self._closings: dict[str, deque[Closing]] = {}
        if runner.journal_path is not None:
            with SqliteJournal(runner.journal_path, readonly=True) as journal:
                self._remember(journal)
        runner.listeners.append(self._hear)

    def of(
        self,
        account: str,
        contract: str | None = None,
        *,
        since_ms: int = 0,
        until_ms: int = LAST,
        limit: int = PER_ACCOUNT,
        adl: bool | None = None,
    ) -> list[Closing]:
        """Return the newest closings of an account that fit, at most `limit`, oldest first.

        Both ends of the time are included. `adl` picks ADL fills (True) or takeovers (False).
        """
        found: list[Closing] = []
        for closing in reversed(self._closings.get(account, ())):
            if len(found) == limit:
                break
            fits = contract in {None, closing.event.contract} and adl in {None, closing.adl}
            if fits and since_ms <= closing.time_ms <= until_ms:
                found.append(closing)
        return found[::-1]

    def _remember(self, journal: SqliteJournal) -> None:
        head = journal.head()
        if head is None:
            return
        for record in journal.records(max(0, head.sequence - TAIL)):
            if any(tag in record.events for tag in _TAGS):
                self._take(record.sequence, record.time_ms, decode_events(record.events))

    def _hear(self, fresh: Sequence[Committed]) -> None:
        for sequence, _, command, events in fresh:
            self._take(sequence, command.time_ms, events)

    def _take(self, sequence: int, time_ms: int, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case AdlFilled() | TakenOver():
                    kept = self._closings.setdefault(event.account, deque(maxlen=PER_ACCOUNT))
                    kept.append(Closing(sequence, time_ms, event))
                case FillCancelled():
                    self._forget(event.fill)
                case _:
                    pass

    def _forget(self, fill: AdlFilled) -> None:
        kept = self._closings.get(fill.account, ())
        left = [closing for closing in kept if closing.event != fill]
        self._closings[fill.account] = deque(left, maxlen=PER_ACCOUNT)
