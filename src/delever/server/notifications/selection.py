"""What of a committed record somebody must be told, and by which id.

The core says whom ADL has closed and what the operator must know. Two things it does not say are
told besides: a fill that was taken back, and a loss that was shared out among open positions.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from delever.core.book import Book
from delever.core.messages import (
    AdlFilled,
    Event,
    FillCancelled,
    LossSocialized,
    Notice,
    RoundClosed,
)
from delever.core.rules import RULE_SETS, RuleSet
from delever.formatting import Figures
from delever.server.engine.service import Committed

FILL_CANCELLED, LOSS_SOCIALIZED = "fill_cancelled", "loss_socialized"
"""The kinds of notice besides those of the core."""

OPERATOR = ""
"""The account of notices to whoever runs the venue."""

_TELLING = (Notice, FillCancelled, LossSocialized)
_KEPT = (*_TELLING, AdlFilled, RoundClosed)


class Told(NamedTuple):
    """What a record tells: its notices, and the events that explain them, by their place in it."""

    sequence: int
    time_ms: int
    events: tuple[tuple[int, Event], ...]


class Subject(NamedTuple):
    """One notice: its id, what it is about, and the events that it is made of.

    The id is the same whenever the record is read: the record's time and sequence, the event's
    place in it, and, where one event tells many, the place among them (`row`).
    """

    id: str
    kind: str
    account: str
    contract: str
    event: Notice | FillCancelled | LossSocialized
    row: int


class Lexicon(NamedTuple):
    """What the words of notices need of the book, and what never changes once it is defined."""

    figures: Mapping[str, Figures]
    rules: Mapping[str, RuleSet]

    def knows(self, told: Told) -> bool:
        """Whether every contract and pool named is known."""
        return all(
            subject.contract in self.figures for subject in subjects_of(told)
        ) and self.rules.keys() >= {e.pool for _, e in told.events if isinstance(e, AdlFilled)}


def lexicon_of(book: Book) -> Lexicon:
    """Return how each contract's numbers are written, and which rules each pool follows."""
    return Lexicon(
        {state.name: Figures.of(book, state) for state in book.contracts.values()},
        {pool.name: RULE_SETS[pool.definition.rules] for pool in book.pools.values()},
    )


def told_by(committed: Committed) -> Told | None:
    """Return what a record tells, or None where nobody must be told of it."""
    if not any(isinstance(event, _TELLING) for event in committed.events):
        return None
    kept = tuple(
        (place, event) for place, event in enumerate(committed.events) if isinstance(event, _KEPT)
    )
    return Told(committed.sequence, committed.time_ms, kept)


def subjects_of(told: Told) -> Iterator[Subject]:
    """Yield the notices of a record, in its order."""
    for place, event in told.events:
        name = f"n-{told.time_ms}-{told.sequence}-{place}"
        match event:
            case Notice():
                yield Subject(name, event.kind, event.account, event.contract, event, 0)
            case FillCancelled(fill=fill):
                yield Subject(name, FILL_CANCELLED, fill.account, fill.contract, event, 0)
            case LossSocialized():
                for row, account in enumerate(event.accounts):
                    yield Subject(
                        f"{name}-{row}", LOSS_SOCIALIZED, account, event.contract, event, row
                    )


Fills = Mapping[tuple[str, str], Sequence[tuple[AdlFilled, RoundClosed | None]]]
"""Fills by account and contract, each with its round's account."""


def fills_of(told: Told) -> Fills:
    """Return the fills of a record, in its order."""
    found: dict[tuple[str, str], list[tuple[AdlFilled, RoundClosed | None]]] = {}
    end: RoundClosed | None = None
    for _, event in reversed(told.events):
        if isinstance(event, RoundClosed):
            end = event
        elif isinstance(event, AdlFilled):
            found.setdefault((event.account, event.contract), []).append((event, end))
    return {key: fills[::-1] for key, fills in found.items()}
