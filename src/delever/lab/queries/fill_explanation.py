"""Any past ADL fill, out of the journal: the book of that moment again, and what it then says."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from delever.core.book import Book
from delever.core.engine import rules_of
from delever.core.explain import explanation as core
from delever.core.explain.explanation import Explanation
from delever.core.messages import (
    AdlExhausted,
    AdlFilled,
    AdlForced,
    AdlStarted,
    CounterpartySkipped,
    Event,
    FillCancelled,
    RoundClosed,
)
from delever.core.rules import RULE_SETS
from delever.formatting import Figures
from delever.journal import JournalError, Record, SqliteJournal, replay_events
from delever.journal.chain import Chain
from delever.journal.codec import decode_events
from delever.journal.findings import Finding
from delever.journal.replay import Progress, advance_by_events, newest_book
from delever.journal.snapshot import copy_of
from delever.journal.sqlite import LAST
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.queries.fill_report import WhyFilled

FILLED, CANCELLED, STARTED = b"adl_filled", b"fill_cancelled", b"adl_started"
"""Tags of events: where one does not stand in a record's bytes, the record holds no such event."""


def explain_fill(journal: str | Path, fill: int, *, progress: Progress | None = None) -> WhyFilled:
    """Return why an ADL fill of a journal closed whom it closed, years later.

    The book is replayed to the moment at which the round began, and rank, score, indicator, quantity
    ahead and price are computed again and compared with the fill. The file is only read. Raises
    UnknownNameError where there is no such fill, and InputError where the file is no journal, or
    not sound up to the record of the fill.
    """
    if not Path(journal).is_file():
        raise InputError("not found", file=str(journal))
    try:
        with SqliteJournal(journal, readonly=True) as opened:
            return explain_fill_of(opened, fill, progress=progress)
    except JournalError as error:
        raise InputError(str(error).removeprefix(f"{journal}: "), file=str(journal)) from None


def explain_fill_of(
    journal: SqliteJournal, fill: int, *, progress: Progress | None = None
) -> WhyFilled:
    """Return the same of a journal that is open already; JournalError where it is damaged."""
    with journal.held_still():
        return _explain(journal, _search(journal, fill), progress)


# --- finding it ---


@dataclass(frozen=True, slots=True)
class _Found:
    """A fill, the events of its record, its place there, and the record that took it back."""

    record: Record
    events: tuple[Event, ...]
    fill: AdlFilled
    place: int
    cancelled: int | None

    @property
    def first(self) -> int:
        """The place of the first event of the round, which is what its skips and fills are."""
        place = self.place
        while place and isinstance(self.events[place - 1], CounterpartySkipped | AdlFilled):
            place -= 1
        return place

    @property
    def end(self) -> tuple[RoundClosed | None, int]:
        """The round's account, and what inventory the round left over."""
        after = self.events[self.place :]
        for told, left in zip(after, (*after[1:], None), strict=True):
            if isinstance(told, RoundClosed):
                return told, left.left_lots if isinstance(left, AdlExhausted) else 0
        return None, 0


def _search(journal: SqliteJournal, fill: int) -> _Found:
    """Return where a fill stands; fills are numbered in the order of their records."""
    after, last = _just_before(journal, fill)
    found: tuple[Record, tuple[Event, ...], AdlFilled, int] | None = None
    cancelled: int | None = None
    for record in journal.records(after):
        if FILLED not in record.events and CANCELLED not in record.events:
            continue
        events = _events(journal, record)
        for place, event in enumerate(events):
            if isinstance(event, AdlFilled):
                last = event.fill
                if event.fill == fill:
                    found = record, events, event, place
            elif isinstance(event, FillCancelled) and event.fill.fill == fill:
                cancelled = record.sequence
    if found is None:
        there = f"the fills are 1 to {last}" if last else "there is none"
        raise UnknownNameError(f"there is no fill {fill} in {journal.path}; {there}")
    return _Found(*found, cancelled)


def _just_before(journal: SqliteJournal, fill: int) -> tuple[int, int]:
    """Return the newest snapshot's record before a fill, and the last fill it knows."""
    until = LAST
    while True:
        book, head = newest_book(journal, until)
        if book.last_fill < fill or head.sequence == 0:
            return head.sequence, book.last_fill
        until = head.sequence - 1


def _events(journal: SqliteJournal, record: Record) -> tuple[Event, ...]:
    try:
        return decode_events(record.events)
    except msgspec.MsgspecError as error:
        raise _unsound(journal, f"record {record.sequence}: cannot be read: {error}") from None


def _unsound(journal: SqliteJournal, finding: Finding | str) -> InputError:
    return InputError(f"the journal is not sound: {finding}", file=journal.path)


# --- explaining it ---


def _explain(journal: SqliteJournal, found: _Found, progress: Progress | None) -> WhyFilled:
    book, began_after = _book_before(journal, found, progress)
    for event in found.events[: found.first]:
        book.apply(event)
    fill, (told, unfilled) = found.fill, found.end
    if told is None:
        raise _unsound(journal, f"record {found.record.sequence}: a round has no end")
    explanation = _explanation(journal, book, fill)
    triggers = {state.trigger: state for state in explanation.triggers}
    trigger = triggers.pop(told.trigger, None)
    if trigger is None:
        raise InputError(f"rules {explanation.rules} know no {told.trigger} now", file=journal.path)
    round_events = found.events[found.first : found.place]
    fills = [event for event in round_events if isinstance(event, AdlFilled)]
    skips = [event for event in round_events if isinstance(event, CounterpartySkipped)]
    position = (fill.account, fill.position)
    closed = sum(e.lots for e in (*fills, fill) if (e.account, e.position) == position)
    state = book.contracts[fill.contract]
    value = state.terms.value_cash(fill.side.sign * fill.lots, state.mark)
    return WhyFilled(
        sequence=found.record.sequence,
        replayed_from=began_after + 1,
        explanation=explanation,
        fill=fill,
        round=told,
        trigger=trigger,
        also_on=tuple(name for name, state in triggers.items() if state.on),
        forced=_order(found) if trigger.since_ms is None else "",
        start=_start(journal, found, told, trigger.since_ms),
        ahead=tuple(e for e in fills if (e.account, e.position) != position),
        skipped=tuple(skip for skip in skips if skip.rank < fill.rank),
        differs=_differences(book, fill, told, explanation),
        at_mark_cash=value - fill.cost_cash,
        left_lots=explanation.standing.lots - closed,
        unfilled_lots=unfilled,
        cancelled=found.cancelled,
        figures=Figures.of(book, state),
    )


def _book_before(
    journal: SqliteJournal, found: _Found, progress: Progress | None
) -> tuple[Book, int]:
    """Return the book before the fill's record and where its replay began; both are checked."""
    record = found.record
    replayed = replay_events(journal, until=record.sequence - 1, progress=progress)
    finding = replayed.finding or next(iter(Chain(replayed.head).check(record)), None)
    finding = finding or advance_by_events(copy_of(replayed.book), record)
    if finding is not None:
        raise _unsound(journal, finding)
    return replayed.book, replayed.began_after


def _explanation(journal: SqliteJournal, book: Book, fill: AdlFilled) -> Explanation:
    rules = book.pool_of(book.contracts[fill.contract]).definition.rules
    if rules not in RULE_SETS:
        raise InputError(f"there are no rules {rules} in this version", file=journal.path)
    told = core.explain(book, fill.contract, fill.side, fill.account, position=fill.position)
    if isinstance(told, str):
        raise _unsound(journal, f"fill {fill.fill}: {told}")
    return told


def _differences(
    book: Book, fill: AdlFilled, told: RoundClosed, explanation: Explanation
) -> tuple[str, ...]:
    """Return what comes out otherwise than in the fill when it is computed again."""
    state, side, standing = book.contracts[fill.contract], told.side, explanation.standing
    case = rules_of(book, state).case(told.trigger)
    tranches = case.trigger.tranches(book, state, side)
    quote = case.price.quote(book, state, side, tranches)
    prices = dict(zip((tranche.takeover for tranche in tranches), quote.ticks, strict=True))
    compared = {
        "rank": (fill.rank, standing.rank),
        "score": (fill.score, standing.score),
        "indicator": (fill.indicator, standing.indicator),
        "quantity ahead": (fill.quantity_ahead_lots, standing.ahead_lots),
        "price": (fill.price_ticks, prices.get(fill.takeover)),
    }
    return tuple(name for name, (was, now) in compared.items() if was != now)


def _order(found: _Found) -> str:
    """Return the note of the operator who had the round run."""
    orders = (event for event in found.events if isinstance(event, AdlForced))
    return next((order.note for order in orders if order.contract == found.fill.contract), "")


# --- when ADL started ---


def _start(
    journal: SqliteJournal, found: _Found, told: RoundClosed, since_ms: int | None
) -> AdlStarted | None:
    """Return the start of ADL under which a round ran: the last one of its time and trigger."""
    if since_ms is None:
        return None
    last = found.record.sequence
    start: AdlStarted | None = None
    for record in journal.records(_first_at(journal, since_ms, last) - 1, last):
        if record.time_ms > since_ms:
            break
        if STARTED not in record.events:
            continue
        if record.content_hash() != record.hash:
            raise _unsound(journal, f"record {record.sequence}: content does not match its hash")
        events = _events(journal, record)
        for event in events[: found.first] if record.sequence == last else events:
            if isinstance(event, AdlStarted) and (
                (event.contract, event.trigger) == (told.contract, told.trigger)
            ):
                start = event
    return start


def _first_at(journal: SqliteJournal, time_ms: int, last: int) -> int:
    """Return the first record of a time, by halving; time never runs backwards."""
    low, high = 1, last
    while low < high:
        middle = (low + high) // 2
        record = journal.record(middle)
        if record is None or record.time_ms < time_ms:
            low = middle + 1
        else:
            high = middle
    return low
