"""Functions that are called with every commit or market snapshot, each isolated from the others."""

from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

ValueT = TypeVar("ValueT")

log = structlog.get_logger()

MAX_FAILURES_IN_A_ROW = 5
"""A listener that raises this often without a success in between is detached."""


class Listeners(Generic[ValueT]):
    """Listeners in the order in which they were added; `errors` counts failures by listener.

    A listener that raises is logged and counted, and the others are called all the same.

    >>> seen = []
    >>> listeners = Listeners(Counter())
    >>> listeners.append(seen.append)
    >>> listeners.call(5)
    >>> seen
    [5]
    """

    def __init__(self, errors: Counter[str]) -> None:
        self._errors = errors
        self._failures: dict[Callable[[ValueT], None], int] = {}

    def append(self, listener: Callable[[ValueT], None]) -> None:
        """Add a listener; the same one again is called once."""
        self._failures[listener] = 0

    def remove(self, listener: Callable[[ValueT], None]) -> None:
        """Remove a listener, if it has not been removed or detached already."""
        self._failures.pop(listener, None)

    def call(self, value: ValueT) -> None:
        """Call every listener with a value."""
        for listener in list(self._failures):
            try:
                listener(value)
            except Exception as error:  # noqa: BLE001 - commits are durable, and the engine goes on
                self._count(listener, error)
            else:
                self._failures[listener] = 0

    def _count(self, listener: Callable[[ValueT], None], error: Exception) -> None:
        self._errors["listener"] += 1
        self._failures[listener] += 1
        detached = self._failures[listener] >= MAX_FAILURES_IN_A_ROW
        if detached:
            del self._failures[listener]
        name = getattr(listener, "__qualname__", repr(listener))
        log.error("a listener raised", listener=name, detached=detached, exc_info=error)
