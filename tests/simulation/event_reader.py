"""A cursor over the events of one step; each event that it passes is applied to the model."""

from typing import TypeVar

from effects import apply
from model import Model, expect, same

from delever.core.messages import Event

EventT = TypeVar("EventT", bound=Event)


class Reader:
    """The model, and the events of a step that are not read yet."""

    def __init__(self, model: Model, events: tuple[Event, ...]) -> None:
        self.model = model
        self.events = events
        self.at = 0
        self.capped: set[tuple[str, str]] = set()  # sides with a round under a cap per account
        self.plan: dict[tuple[str, str], dict[tuple[str, int], int]] = {}  # lots by position

    @property
    def rest(self) -> tuple[Event, ...]:
        return self.events[self.at :]

    def expect_next(self, kind: type[EventT], *about: object) -> EventT:
        """Return the next event, which must be of this kind, without applying it."""
        event = self.rest[0] if self.rest else None
        expect(isinstance(event, kind), f"{kind.__name__} is missing before {event!r}", *about)
        assert isinstance(event, kind)
        return event

    def consume(self) -> None:
        """Apply the next event to the model."""
        apply(self.model, self.rest[0])
        self.at += 1

    def take(self, right: Event) -> None:
        """Expect the next event to equal this one, and apply it."""
        same("event", self.expect_next(type(right), right), right)
        self.consume()
