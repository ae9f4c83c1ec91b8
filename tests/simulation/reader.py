"""A reading head that moves over one step's events; what it passes, happens to the model."""

from typing import TypeVar

from effects import apply
from model import Model, expect, same

from delever.core.messages import Event

EventT = TypeVar("EventT", bound=Event)


class Reader:
    """The model, and what is left to read of a step."""

    def __init__(self, model: Model, events: tuple[Event, ...]) -> None:
        self.model = model
        self.events = events
        self.at = 0

    @property
    def rest(self) -> tuple[Event, ...]:
        return self.events[self.at :]

    def see(self, kind: type[EventT], *about: object) -> EventT:
        """The next event, which must be of this kind; it has not happened yet."""
        event = self.rest[0] if self.rest else None
        expect(isinstance(event, kind), f"{kind.__name__} is missing before {event!r}", *about)
        assert isinstance(event, kind)
        return event

    def do(self) -> None:
        """The next event happens."""
        apply(self.model, self.rest[0])
        self.at += 1

    def take(self, right: Event) -> None:
        """The next event must be this one; it happens."""
        same("event", self.see(type(right), right), right)
        self.do()
