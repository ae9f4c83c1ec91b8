"""The notices of a committed record, and their ids.

Most are Notice events of the core: deleveraged positions, and alarms for the operator. Cancelled
fills and socialized losses are notified, too.
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
from delever.core.rules import RuleSet, rule_sets_of
from delever.formatting import ContractFormatter
from delever.server.engine.runner import Committed

FILL_CANCELLED, LOSS_SOCIALIZED = "fill_cancelled", "loss_socialized"
"""The kinds of notice that are not in the core's NoticeKind."""

OPERATOR = ""
"""The account of the operator's notices."""

_NOTIFIED = (Notice, FillCancelled, LossSocialized)
_SELECTED = (*_NOTIFIED, AdlFilled, RoundClosed)


class RecordNotices(NamedTuple):
    """The events of a record that are notified or explain notices, with their index in it."""

    sequence: int
    time_ms: int
    events: tuple[tuple[int, Event], ...]


class NoticeSubject(NamedTuple):
    """One notice: its id, kind, recipient's account, contract and event.

    The id is the same whenever the record is read: the record's time and sequence, the event's
    index, and for an event with several recipients the recipient's row in it.
    """

    id: str
    kind: str
    account: str
    contract: str
    event: Notice | FillCancelled | LossSocialized
    row: int


class NoticeContext(NamedTuple):
    """What the text of notices needs from the book; it is read again after an amendment."""

    formatters: Mapping[str, ContractFormatter]
    rules: Mapping[str, RuleSet]

    def at(self, sequence: int) -> "NoticeContext":
        """Return the context of a record: its amounts may be in units of before an amendment."""
        formatters = {name: each.at(sequence) for name, each in self.formatters.items()}
        return self._replace(formatters=formatters)

    def covers(self, notices: RecordNotices) -> bool:
        """Whether every contract and pool of a record is in the context."""
        pools = {event.pool for _, event in notices.events if isinstance(event, AdlFilled)}
        contracts = {subject.contract for subject in subjects_of(notices)}
        return contracts <= self.formatters.keys() and pools <= self.rules.keys()


def notice_context_of(book: Book) -> NoticeContext:
    """Return the formatter of each contract and the rule set of each pool."""
    return NoticeContext(
        {state.name: ContractFormatter.of(book, state) for state in book.contracts.values()},
        {pool.name: rule_sets_of(book)[pool.definition.rules] for pool in book.pools.values()},
    )


def notices_of(committed: Committed) -> RecordNotices | None:
    """Return the notices of a record, or None where it has none."""
    if not any(isinstance(event, _NOTIFIED) for event in committed.events):
        return None
    selected = tuple(
        (index, event)
        for index, event in enumerate(committed.events)
        if isinstance(event, _SELECTED)
    )
    return RecordNotices(committed.sequence, committed.time_ms, selected)


def subjects_of(notices: RecordNotices) -> Iterator[NoticeSubject]:
    """Yield the notices of a record in the order of its events."""
    for index, event in notices.events:
        name = f"n-{notices.time_ms}-{notices.sequence}-{index}"
        match event:
            case Notice():
                yield NoticeSubject(name, event.kind, event.account, event.contract, event, 0)
            case FillCancelled(fill=fill):
                yield NoticeSubject(name, FILL_CANCELLED, fill.account, fill.contract, event, 0)
            case LossSocialized():
                for row, account in enumerate(event.accounts):
                    yield NoticeSubject(
                        f"{name}-{row}", LOSS_SOCIALIZED, account, event.contract, event, row
                    )


Fills = Mapping[tuple[str, str], Sequence[tuple[AdlFilled, RoundClosed | None]]]
"""Fills by account and contract, each with the end of its round."""


def fills_of(notices: RecordNotices) -> Fills:
    """Return the fills of a record in the order of its events."""
    found: dict[tuple[str, str], list[tuple[AdlFilled, RoundClosed | None]]] = {}
    end: RoundClosed | None = None
    for _, event in reversed(notices.events):
        if isinstance(event, RoundClosed):
            end = event
        elif isinstance(event, AdlFilled):
            found.setdefault((event.account, event.contract), []).append((event, end))
    return {key: fills[::-1] for key, fills in found.items()}
