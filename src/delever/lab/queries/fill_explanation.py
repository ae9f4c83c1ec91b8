"""A past ADL fill, explained from the journal by replaying the book to its round."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from delever.core.book import Book
from delever.core.execution.deleveraging import closed_in_round
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
from delever.core.rules import RuleSet, rule_set_of, rule_sets_of
from delever.formatting import ContractFormatter
from delever.journal import JournalError, Record, Replay, SqliteJournal, replay_events
from delever.journal.chain import ChainVerifier, Finding
from delever.journal.record import decode_events
from delever.journal.replay import Progress, advance_by_events, newest_book
from delever.journal.sqlite import MAX_SEQUENCE
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.queries.fill_report import FillExplanation
from delever.rule_registry import registry

FILLED, CANCELLED, STARTED = b"adl_filled", b"fill_cancelled", b"adl_started"
"""Tags of events: a record without a tag in its bytes has no event of that type."""


def explain_fill(
    journal: str | Path,
    fill: int,
    *,
    progress: Progress | None = None,
    rule_sets: Iterable[RuleSet] = (),
) -> FillExplanation:
    """Return the explanation of an ADL fill of a journal, whose pools may name `rule_sets`.

    The book is replayed to the moment at which the round began; rank, score, indicator, quantity
    ahead and price are computed again and compared with the fill. The file is only read. Raises
    UnknownNameError for an unknown fill, and InputError for a file that is no journal, or not sound
    up to the record of the fill.
    """
    if not Path(journal).is_file():
        raise InputError("not found", file=str(journal))
    try:
        with SqliteJournal(journal, readonly=True) as opened:
            return explain_fill_of(opened, fill, progress=progress, rule_sets=rule_sets)
    except JournalError as error:
        raise InputError(str(error).removeprefix(f"{journal}: "), file=str(journal)) from None


def explain_fill_of(
    journal: SqliteJournal,
    fill: int,
    *,
    progress: Progress | None = None,
    rule_sets: Iterable[RuleSet] = (),
) -> FillExplanation:
    """Return the explanation of a fill of an open journal; raises JournalError if damaged."""
    with journal.read_transaction():
        replay = partial(replay_events, progress=progress, registry=registry(rule_sets))
        return _explain(journal, _locate(journal, fill), replay)


# --- locating the fill ---


@dataclass(frozen=True, slots=True)
class _LocatedFill:
    """A fill, its record, the events there with its index, and the record that cancelled it."""

    record: Record
    events: tuple[Event, ...]
    fill: AdlFilled
    index: int
    cancelled: int | None

    @property
    def round_start(self) -> int:
        """The index of the first skip or fill of the round."""
        index = self.index
        while index and isinstance(self.events[index - 1], CounterpartySkipped | AdlFilled):
            index -= 1
        return index

    @property
    def round_end(self) -> tuple[RoundClosed | None, int]:
        """The event that closed the round, and the lots of inventory that the round left."""
        after = self.events[self.index :]
        for event, following in zip(after, (*after[1:], None), strict=True):
            if isinstance(event, RoundClosed):
                return event, following.remaining_lots if isinstance(following, AdlExhausted) else 0
        return None, 0


def _locate(journal: SqliteJournal, fill: int) -> _LocatedFill:
    """Return where a fill is; fills are numbered in the order of their records."""
    after, last = _newest_before(journal, fill)
    found: tuple[Record, tuple[Event, ...], AdlFilled, int] | None = None
    cancelled: int | None = None
    for record in journal.records(after):
        if FILLED not in record.events and CANCELLED not in record.events:
            continue
        events = _events(journal, record)
        for index, event in enumerate(events):
            if isinstance(event, AdlFilled):
                last = event.fill
                if event.fill == fill:
                    found = record, events, event, index
            elif isinstance(event, FillCancelled) and event.fill.fill == fill:
                cancelled = record.sequence
    if found is None:
        known = f"the fills are 1 to {last}" if last else "there is none"
        raise UnknownNameError(f"there is no fill {fill} in {journal.path}; {known}")
    return _LocatedFill(*found, cancelled)


def _newest_before(journal: SqliteJournal, fill: int) -> tuple[int, int]:
    """Return the sequence of the newest snapshot before a fill, and the last fill in it."""
    until = MAX_SEQUENCE
    while True:
        book, head = newest_book(journal, until)
        if book.last_fill < fill or head.sequence == 0:
            return head.sequence, book.last_fill
        if head == journal.base():
            begins = f"which begins at record {head.sequence + 1}"
            raise UnknownNameError(
                f"fill {fill} is not in {journal.path}, {begins}: look in its archives"
            )
        until = head.sequence - 1


def _events(journal: SqliteJournal, record: Record) -> tuple[Event, ...]:
    try:
        return decode_events(record.events)
    except msgspec.MsgspecError as error:
        raise _unsound(journal, f"record {record.sequence}: cannot be read: {error}") from None


def _unsound(journal: SqliteJournal, finding: Finding | str) -> InputError:
    return InputError(f"the journal is not sound: {finding}", file=journal.path)


# --- explaining it ---


def _explain(
    journal: SqliteJournal, located: _LocatedFill, replay: Callable[..., Replay]
) -> FillExplanation:
    book, began_after = _book_before(journal, located, replay)
    for event in located.events[: located.round_start]:
        book.apply(event)
    fill, (closed_round, unfilled_lots) = located.fill, located.round_end
    if closed_round is None:
        raise _unsound(journal, f"record {located.record.sequence}: a round has no end")
    explanation = _explanation(journal, book, fill)
    triggers = {state.trigger: state for state in explanation.triggers}
    trigger = triggers.pop(closed_round.trigger, None)
    if trigger is None:
        why = f"rules {explanation.rules} have no trigger {closed_round.trigger} in this version"
        raise InputError(why, file=journal.path)
    round_events = located.events[located.round_start : located.index]
    fills = [event for event in round_events if isinstance(event, AdlFilled)]
    skips = [event for event in round_events if isinstance(event, CounterpartySkipped)]
    position = (fill.account, fill.position)
    closed_lots = sum(e.lots for e in (*fills, fill) if (e.account, e.position) == position)
    state = book.contracts[fill.contract]
    value = state.terms.value_cash(fill.side.sign * fill.lots, state.mark)
    return FillExplanation(
        sequence=located.record.sequence,
        record_hash=located.record.hash,
        replayed_from=began_after + 1,
        explanation=explanation,
        fill=fill,
        round=closed_round,
        trigger=trigger,
        also_on=tuple(name for name, state in triggers.items() if state.on),
        forced=_operator_note(located) if trigger.since_ms is None else "",
        start=_start(journal, located, closed_round, trigger.since_ms),
        filled_before=tuple(e for e in fills if (e.account, e.position) != position),
        skipped=tuple(skip for skip in skips if skip.rank < fill.rank),
        differences=_differences(book, located, closed_round, explanation),
        pnl_at_mark_cash=value - fill.cost_cash,
        remaining_lots=explanation.queue_position.lots - closed_lots,
        unfilled_lots=unfilled_lots,
        cancelled=located.cancelled,
        formatter=ContractFormatter.of(book, state),
    )


def _book_before(
    journal: SqliteJournal, located: _LocatedFill, replay: Callable[..., Replay]
) -> tuple[Book, int]:
    """Return the book before the fill's record and the snapshot its replay began after.

    Raises InputError if the replay or the record itself is not sound.
    """
    record = located.record
    replayed = replay(journal, until=record.sequence - 1)
    finding = replayed.finding or next(iter(ChainVerifier(replayed.head).check(record)), None)
    finding = finding or advance_by_events(replayed.book.copy(), record)
    if finding is not None:
        raise _unsound(journal, finding)
    return replayed.book, replayed.began_after


def _explanation(journal: SqliteJournal, book: Book, fill: AdlFilled) -> Explanation:
    rules = book.pool_of(book.contracts[fill.contract]).definition.rules
    if rules not in rule_sets_of(book):
        raise InputError(f"there are no rules {rules} in this version", file=journal.path)
    found = core.explain(book, fill.contract, fill.side, fill.account, position=fill.position)
    if isinstance(found, str):
        raise _unsound(journal, f"fill {fill.fill}: {found}")
    return found


def _differences(
    book: Book, located: _LocatedFill, closed_round: RoundClosed, explanation: Explanation
) -> tuple[str, ...]:
    """Return the names of the numbers that differ from the fill when computed again."""
    fill, side, place = located.fill, closed_round.side, explanation.queue_position
    state = book.contracts[fill.contract]
    forced = any(isinstance(e, AdlForced) and e.contract == fill.contract for e in located.events)
    rules = rule_set_of(book, state)
    case = rules.case(closed_round.trigger)
    tranches, quote = closed_in_round(book, state, side, rules, case, forced=forced)
    prices = dict(zip((tranche.takeover for tranche in tranches), quote.ticks, strict=True))
    compared = {
        "rank": (fill.rank, place.rank),
        "score": (fill.score, place.score),
        "indicator": (fill.indicator, place.indicator),
        "quantity ahead": (fill.quantity_ahead_lots, place.quantity_ahead_lots),
        "price": (fill.price_ticks, prices.get(fill.takeover)),
    }
    return tuple(name for name, (recorded, now) in compared.items() if recorded != now)


def _operator_note(located: _LocatedFill) -> str:
    """Return the note of the operator who forced the round."""
    forced = (event for event in located.events if isinstance(event, AdlForced))
    return next((event.note for event in forced if event.contract == located.fill.contract), "")


# --- when ADL started ---


def _start(
    journal: SqliteJournal, located: _LocatedFill, closed_round: RoundClosed, since_ms: int | None
) -> AdlStarted | None:
    """Return the start of the ADL under which a round ran: the last one of its time and trigger."""
    if since_ms is None:
        return None
    last = located.record.sequence
    start: AdlStarted | None = None
    for record in journal.records(_first_at(journal, since_ms, last) - 1, last):
        if record.time_ms > since_ms:
            break
        if STARTED not in record.events:
            continue
        if record.content_hash() != record.hash:
            raise _unsound(journal, f"record {record.sequence}: content does not match its hash")
        events = _events(journal, record)
        for event in events[: located.round_start] if record.sequence == last else events:
            if isinstance(event, AdlStarted) and (
                (event.contract, event.trigger) == (closed_round.contract, closed_round.trigger)
            ):
                start = event
    return start


def _first_at(journal: SqliteJournal, time_ms: int, last: int) -> int:
    """Return the first record of a time, by binary search; times never decrease."""
    low, high = 1, last
    while low < high:
        middle = (low + high) // 2
        record = journal.record(middle)
        if record is None or record.time_ms < time_ms:
            low = middle + 1
        else:
            high = middle
    return low
