"""Commands on a copy of a book, without a journal: one whose step raises is rejected alone."""

from itertools import chain

from delever.core.book import Book
from delever.core.engine import internal_error, step
from delever.core.messages import Command, Event


class CommandRunner:
    """Runs commands on `book`, a copy of the book that it is made with.

    A command whose step raises is rejected with `internal_error`, and the book is as before it: the
    first book, with the events since. `errors` are those errors by number of the command, from 0.

        >>> from delever.core.messages import DefineAccount
        >>> runner = CommandRunner(Book())
        >>> _, defined = runner.submit(DefineAccount(time_ms=5, account="ann"))
        >>> defined.account, runner.errors
        ('ann', {})
    """

    def __init__(self, book: Book) -> None:
        self.book = book.copy()
        self.errors: dict[int, Exception] = {}
        self._first = book
        self._outcomes: list[tuple[Event, ...]] = []

    def submit(self, command: Command) -> tuple[Event, ...]:
        """Run a command and return its events."""
        try:
            events = step(self.book, command)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a step raises rejects its command
            self.errors[len(self._outcomes)] = error
            self._restore()
            events = (internal_error(command, error),)
            self.book.apply(events[0])
        self._outcomes.append(events)
        return events

    def _restore(self) -> None:
        self.book.restore(self._first)
        for event in chain.from_iterable(self._outcomes):
            self.book.apply(event)
