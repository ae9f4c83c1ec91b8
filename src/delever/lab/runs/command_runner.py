"""Commands on a copy of a book, without a journal: one whose step raises is rejected alone."""

from delever.core.book import Book
from delever.core.engine import internal_error, step
from delever.core.messages import Command, Event

CHECKPOINT_EVENTS = 100_000
"""Default number of events after which a runner copies its book."""


class CommandRunner:
    """Runs commands on `book`, a copy of the book that it is made with.

    A command whose step raises is rejected with `internal_error`, and the book is as before it: the
    copy made after each `checkpoint_events`, with the events since. `errors`
    are those errors by number of the command, from 0.

        >>> from delever.core.messages import DefineAccount
        >>> runner = CommandRunner(Book())
        >>> _, defined = runner.submit(DefineAccount(time_ms=5, account="ann"))
        >>> defined.account, runner.errors
        ('ann', {})
    """

    def __init__(self, book: Book, *, checkpoint_events: int = CHECKPOINT_EVENTS) -> None:
        self.book = book.copy()
        self.errors: dict[int, Exception] = {}
        self._commands = 0
        self._checkpoint_events = checkpoint_events
        self._checkpoint = book
        self._since: list[Event] = []

    def submit(self, command: Command) -> tuple[Event, ...]:
        """Run a command and return its events."""
        try:
            events = step(self.book, command)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a step raises rejects its command
            self.errors[self._commands] = error
            self._restore()
            events = (internal_error(command, error),)
            self.book.apply(events[0])
        self._commands += 1
        self._remember(events)
        return events

    def _restore(self) -> None:
        self.book.restore(self._checkpoint)
        for event in self._since:
            self.book.apply(event)

    def _remember(self, events: tuple[Event, ...]) -> None:
        """Store the events for a restoration, or a copy of the book instead of many events."""
        self._since += events
        if len(self._since) >= self._checkpoint_events:
            self._checkpoint, self._since = self.book.copy(), []
