"""What the rule set would close in a book now, decided on a copy, and the queue that it uses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.explain.explanation import trigger_states
from delever.core.messages import AdlFilled, AdlPaused, CounterpartySkipped, SetTime, Side
from delever.core.rules import rule_set_of
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import Ints, Mark, share_floor
from delever.core.valuation.side_valuation import value_side
from delever.formatting import ContractFormatter, humanize, percent, rejection_text
from delever.lab.runs.command_runner import CommandRunner

OnFailure = Callable[[Exception], None]
"""Called with the error of a step that raised; its command was rejected."""

SideKey = tuple[str, Side]
"""A contract, and the side of the positions that ADL closes."""

PositionKey = tuple[str, int]
"""An account, and a position id."""


@dataclass(frozen=True, slots=True)
class Closing:
    """Lots of one position closed at a price, by the rule set or by the venue.

    `haircut_cash` is the account's loss against the mark of the moment, negative for a gain.
    """

    account: str
    position: int
    lots: int
    price_ticks: int
    haircut_cash: int

    @property
    def key(self) -> PositionKey:
        """The position."""
        return self.account, self.position

    def part(self, lots: int) -> "Closing":
        """Return some of the lots, with their part of the haircut rounded down."""
        haircut = share_floor(self.haircut_cash, lots, self.lots)
        return replace(self, lots=lots, haircut_cash=haircut)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rule set would close of one side of a contract, in order, and what it skips."""

    closings: tuple[Closing, ...]
    skipped: dict[PositionKey, str]

    @property
    def lots(self) -> int:
        """The lots of all closings."""
        return sum(closing.lots for closing in self.closings)


def decide(book: Book, on_failure: OnFailure) -> dict[SideKey, Decision]:
    """Return the decision of the rule sets for every contract in ADL; the book does not change.

    ADL is resumed on a copy of the book, and its rounds are those of one step at the same time. A
    step that raises decides nothing; `on_failure` is called with its error.
    """
    if not any(state.active and state.has_inventory for state in book.monitored()):
        return {}
    runner = CommandRunner(book)
    copied = runner.book
    copied.use_segment(0, {})
    for state in copied.contracts.values():
        copied.apply(AdlPaused(contract=state.name, paused=False, note=""))
    events = runner.submit(SetTime(time_ms=book.time_ms))
    for error in runner.errors.values():
        on_failure(error)
    fills = [event for event in events if isinstance(event, AdlFilled)]
    skips = [event for event in events if isinstance(event, CounterpartySkipped)]
    keys = dict.fromkeys((fill.contract, fill.side) for fill in fills)
    return {key: _decision(book.contracts[key[0]], key, fills, skips) for key in keys}


def _decision(
    state: ContractState,
    key: SideKey,
    fills: Iterable[AdlFilled],
    skips: Iterable[CounterpartySkipped],
) -> Decision:
    closings = [
        closing(state, fill.side, (fill.account, fill.position), fill.lots, fill.price_ticks)
        for fill in fills
        if (fill.contract, fill.side) == key
    ]
    skipped = {
        (skip.account, skip.position): rejection_text(skip.reason)
        for skip in skips
        if (skip.contract, skip.side) == key
    }
    return Decision(tuple(closings), skipped)


def closing(
    state: ContractState, side: Side, position: PositionKey, lots: int, price_ticks: int
) -> Closing:
    """Return lots closed at a price, with the haircut against the contract's mark."""
    signed = side.sign * lots
    at_mark, at_price = (
        state.terms.trade_cash(signed, price) for price in (state.mark or price_ticks, price_ticks)
    )
    return Closing(*position, lots, price_ticks, at_mark - at_price)


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """The ADL queue of one side of a contract at one moment, with its trigger in a sentence."""

    time_ms: int
    mark: Mark
    trigger: str
    queue: Queue
    accounts: Mapping[str, int]
    account: Ints
    position: Ints

    def row(self, key: PositionKey) -> int | None:
        """Return the row of a position, or None where the book did not have it."""
        name, position = key
        account = self.accounts.get(name)
        if account is None:
            return None
        rows = np.flatnonzero((self.account == account) & (self.position == position))
        return int(rows[0]) if len(rows) else None


def queue_snapshot(book: Book, key: SideKey) -> QueueSnapshot:
    """Return the queue of one side of a contract as it is now; later changes do not touch it."""
    contract, side = key
    state = book.contracts[contract]
    valuation = value_side(book, state, side)
    queue = rank_side(valuation, rule_set_of(book, state).ranking)
    account, position = valuation.account.copy(), valuation.position.copy()
    trigger = trigger_text(book, state)
    names = book.accounts.index
    return QueueSnapshot(book.time_ms, state.mark, trigger, queue, names, account, position)


def trigger_text(book: Book, state: ContractState) -> str:
    """Return which triggers of a contract are on, with their numbers, or how much is used."""
    states = trigger_states(book, state, rule_set_of(book, state))
    formatter = ContractFormatter.of(book, state)
    on = [
        f"{humanize(each.trigger)} on: {formatter.labeled_amounts(each.numbers)}"
        for each in states
        if each.on
    ]
    off = [f"{humanize(each.trigger)} {percent(each.trigger_used_ppm)} used" for each in states]
    return "; ".join(on or off) or "the rule set has no ADL"
