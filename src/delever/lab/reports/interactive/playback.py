"""A crash that plays: price, insurance fund, and the ADL queue as rounds close it from the front.

The frames are of the events of a recording: each has mark, fund equity, inventory, what ADL has
closed so far, and the queue in rank order as it was before the frame's first round, with the lots
that the frame closed of each position. Numbers are floats: a picture, not an account.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from delever.core.book import Book
from delever.core.messages import (
    Accepted,
    AdlExhausted,
    AdlFilled,
    AdlStarted,
    AdlStopped,
    Event,
    PoolFunded,
    TakenOver,
)
from delever.core.rules import rule_set_of
from delever.core.rules.ranking import Queue, rank_side
from delever.core.valuation.insurance import pool_equity
from delever.core.valuation.side_valuation import value_side
from delever.formatting import ContractFormatter, count, humanize, moment
from delever.lab.errors import InputError
from delever.lab.measures.contract_totals import EventTotals
from delever.lab.reports.interactive.html_page import html_page
from delever.lab.reports.interactive.recording import ContractSide, Recording, closed_sides

MAX_SIDES = 4
"""Contract sides in one file: those with the most fills."""

MAX_FRAMES = 160
"""Frames in one file; of a longer crash, neighboring moments are one frame."""

MAX_QUEUE = 48
"""Positions of a queue that are drawn one by one; the rest is one block."""

LEAD_FRAMES = 12
"""Most moments before the first takeover."""

SENTENCE_PARTS = 3
"""Most facts in the sentence of a frame."""


def playback_page(recordings: Sequence[Recording], title: str) -> str:
    """Return the HTML of a crash that plays, with a switch between the recordings.

    Raises InputError if ADL closed nothing under any of them.

        >>> from delever.lab.reports.interactive.recording import record_commands
        >>> from delever.lab.runs.scenario import read_scenario
        >>> page = playback_page(record_commands(read_scenario("examples/crash.ndjson")), "Crash")
        >>> page.startswith("<!doctype html>"), "http" in page
        (True, False)
    """
    return html_page("playback", title, playback(recordings))


def playback(recordings: Sequence[Recording]) -> dict[str, Any]:
    """Return frames and queues of recordings of one crash, as the script of the page reads them."""
    sides = closed_sides(recordings)[:MAX_SIDES]
    if not sides:
        raise InputError("ADL closes nothing under any of the rules: there is nothing to play")
    bounds = _frame_bounds(recordings)
    book = recordings[0].result.book
    names: dict[str, int] = {}
    variants = [_variant(recording, sides, bounds, names) for recording in recordings]
    return {
        "times": [moment(time_ms) for time_ms in bounds],
        "accounts": list(names),
        "sides": [_side(book, key) for key in sides],
        "variants": variants,
    }


def _side(book: Book, key: ContractSide) -> dict[str, Any]:
    contract, side = key
    formatter = ContractFormatter.of(book, book.contracts[contract])
    return {
        "contract": contract,
        "side": str(side),
        "asset": formatter.terms.settle,
        "pool": book.contracts[contract].pool,
        "lot": float(formatter.exact_quantity(1)),
    }


# --- moments ---


def _frame_bounds(recordings: Sequence[Recording]) -> list[int]:
    """Return the last moment of each frame, from shortly before the first takeover."""
    times: set[int] = set()
    first: int | None = None
    for recording in recordings:
        time_ms = 0
        for events in recording.outcomes:
            for event in events:
                if isinstance(event, Accepted):
                    time_ms = event.time_ms
                elif isinstance(event, TakenOver | AdlFilled):
                    first = time_ms if first is None else min(first, time_ms)
            times.add(time_ms)
    ordered = sorted(times)
    begin = max(ordered.index(first if first is not None else ordered[0]) - LEAD_FRAMES, 0)
    moments = ordered[begin:]
    each = -(-len(moments) // MAX_FRAMES)
    return [*moments[each - 1 :: each], *([moments[-1]] if len(moments) % each else [])]


# --- one variant ---


def _fact(book: Book, event: AdlStarted | AdlStopped | AdlExhausted | PoolFunded) -> str:
    match event:
        case AdlStarted():
            return f"ADL starts in {event.contract}: {humanize(event.trigger)}."
        case AdlStopped():
            return f"ADL stops in {event.contract}."
        case AdlExhausted():
            return f"{event.contract} has no eligible counterparty left."
    asset = book.pools[event.pool].asset
    amount = event.amount_cash / 10 ** book.cash_decimals(asset)
    return f"{amount:,.0f} {asset} {humanize(event.reason)} into fund {event.pool}."


@dataclass(slots=True)
class _Frame:
    """What happened between two moments: queues before rounds, closed lots, and facts."""

    queues: dict[ContractSide, Queue] = field(default_factory=dict)
    closed: defaultdict[ContractSide, Counter[tuple[int, int]]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    fills: defaultdict[ContractSide, list[AdlFilled]] = field(
        default_factory=lambda: defaultdict(list)
    )
    takeovers: Counter[str] = field(default_factory=Counter)
    facts: list[str] = field(default_factory=list)


class _VariantRecorder:
    """Collects the frames of one variant while its events are applied."""

    def __init__(
        self, recording: Recording, sides: Sequence[ContractSide], names: dict[str, int]
    ) -> None:
        self._sides, self._names = sides, names
        self.book = recording.before.copy()
        self._totals = EventTotals(self.book, recording.result.marks)
        self._frame = _Frame()
        self._marks: dict[str, float] = {}
        self.frames: list[dict[str, Any]] = []

    def apply(self, event: Event) -> None:
        """Apply an event to the book, and add it to the frame."""
        self._before(event)
        self.book.apply(event)
        self._after(event)

    def _before(self, event: Event) -> None:
        """Add the queue before the first fill of a side."""
        if isinstance(event, AdlFilled):
            key = event.contract, event.side
            if key in self._sides and key not in self._frame.queues:
                self._frame.queues[key] = _queue(self.book, key)

    def _after(self, event: Event) -> None:
        self._totals.add(event)
        frame = self._frame
        match event:
            case AdlFilled():
                key = event.contract, event.side
                position = self.book.accounts.index[event.account], event.position
                frame.closed[key][position] += event.lots
                frame.fills[key].append(event)
            case TakenOver():
                frame.takeovers[event.contract] += 1
            case AdlStarted() | AdlStopped() | AdlExhausted() | PoolFunded():
                frame.facts.append(_fact(self.book, event))

    def close(self) -> None:
        """End a frame."""
        totals = {total.contract: total for total in self._totals.contracts()}
        if not self.frames:
            self._frame.facts.clear()  # the set-up of the market
        self.frames.append(
            {
                "text": self._sentence(),
                "funds": {name: _money(self.book, name) for name in sorted(self.book.pools)},
                "sides": [self._side_frame(key, totals) for key in self._sides],
            }
        )
        self._frame = _Frame()

    def _side_frame(self, key: ContractSide, totals: dict[str, Any]) -> dict[str, Any]:
        contract, side = key
        state = self.book.contracts.get(contract)
        if state is None or not state.mark:
            return {"mark": None}
        formatter = ContractFormatter.of(self.book, state)
        total = totals.get(contract)
        inventory = state.inventory[side.opposite].total_lots
        queue = self._frame.queues.get(key)
        if queue is None and (inventory or state.active):
            queue = _queue(self.book, key)
        return {
            "mark": float(formatter.exact_price(state.mark)),
            "inventory": inventory,
            "on": int(bool(state.active)),
            "haircut": float(total.haircut) if total else 0,
            "unfunded": float(total.unfunded) if total else 0,
            "closed": float(total.closed) if total else 0,
            "accounts": total.accounts if total else 0,
            "queue": None if queue is None else self._blocks(queue, self._frame.closed[key]),
        }

    def _blocks(self, queue: Queue, closed: Counter[tuple[int, int]]) -> dict[str, list[int]]:
        """Return account, lots, lots closed and indicator of each position, flat, then the rest."""
        view, rows = queue.valuation, queue.order.tolist()
        flat: list[int] = []
        rest = [0, 0, 0]
        for index, row in enumerate(rows):
            account, lots = int(view.account[row]), int(queue.closable_lots[row])
            taken = closed.get((account, int(view.position[row])), 0)
            if index < MAX_QUEUE:
                number = self._names.setdefault(self.book.accounts.names[account], len(self._names))
                flat += number, lots, taken, int(queue.indicator[row])
            else:
                rest = [rest[0] + 1, rest[1] + lots, rest[2] + taken]
        return {"front": flat, "rest": rest}

    # --- the sentence ---

    def _sentence(self) -> str:
        frame = self._frame
        parts = [*frame.facts]
        for key, fills in sorted(frame.fills.items(), key=lambda item: -len(item[1])):
            parts.append(self._fills_text(key, fills))
        if frame.takeovers:
            names = [name for name, _ in frame.takeovers.most_common()]
            more = f" and {count(len(names) - 2, 'contract')} more" if len(names) > 2 else ""
            taken = count(frame.takeovers.total(), "position")
            parts.append(f"The fund takes over {taken} in {', '.join(names[:2])}{more}.")
        more_parts = len(parts) - SENTENCE_PARTS
        rest = [f"And {count(more_parts, 'event')} more."] if more_parts > 0 else []
        return " ".join([*parts[:SENTENCE_PARTS], *rest]) or self._calm_text()

    def _fills_text(self, key: ContractSide, fills: Sequence[AdlFilled]) -> str:
        contract, side = key
        formatter = ContractFormatter.of(self.book, self.book.contracts[contract])
        quantity = formatter.exact_quantity(sum(fill.lots for fill in fills)).normalize()
        accounts = count(len({fill.account for fill in fills}), "account")
        haircut = sum(self._totals.haircuts_cash.get(fill.fill, 0) for fill in fills)
        return (
            f"ADL closes {quantity:,f} {contract} {side} of {accounts}, haircut "
            f"{formatter.exact_cash(haircut):,.0f} {formatter.terms.settle}."
        )

    def _calm_text(self) -> str:
        """Return the marks of the contracts, against those of the first frame."""
        parts = []
        for contract in dict.fromkeys(contract for contract, _ in self._sides):
            state = self.book.contracts.get(contract)
            if state is None or not state.mark:
                continue
            mark = float(ContractFormatter.of(self.book, state).exact_price(state.mark))
            move = (mark / self._marks.setdefault(contract, mark) - 1) * 100
            parts.append(f"{contract} {mark:,.6g} ({move:+.1f} %)")
        return ", ".join(parts)


def _variant(
    recording: Recording,
    sides: Sequence[ContractSide],
    bounds: Sequence[int],
    names: dict[str, int],
) -> dict[str, Any]:
    recorder = _VariantRecorder(recording, sides, names)
    for event in (event for events in recording.outcomes for event in events):
        if isinstance(event, Accepted):
            while bounds[len(recorder.frames)] < event.time_ms:
                recorder.close()
        recorder.apply(event)
    while len(recorder.frames) < len(bounds):
        recorder.close()
    return {"rules": recording.variant, "frames": recorder.frames}


def _queue(book: Book, key: ContractSide) -> Queue:
    contract, side = key
    state = book.contracts[contract]
    return rank_side(value_side(book, state, side), rule_set_of(book, state).ranking)


def _money(book: Book, pool: str) -> list[float]:
    """Return equity and balance of a fund."""
    state = book.pools[pool]
    unit = 10 ** book.cash_decimals(state.asset)
    return [round(cash / unit, 2) for cash in (pool_equity(book, state), state.balance)]
