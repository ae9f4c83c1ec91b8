"""Rows of records. Pure: the same records give the same rows, wherever the projection begins."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from delever.core.messages import (
    AdlFilled,
    AdlStarted,
    AdlStopped,
    Compensated,
    Event,
    FillCancelled,
    InventoryNetted,
    MarksSet,
    PoolFunded,
    PoolObserved,
    RoundClosed,
    TakenOver,
    Unwound,
)
from delever.core.units import PPM
from delever.journal import Record
from delever.journal.record import decode_events
from delever.server.storage import tables

PROJECTED_TAGS = tuple(
    str(kind.__struct_config__.tag).encode()
    for kind in (
        AdlFilled,
        AdlStarted,
        AdlStopped,
        Compensated,
        FillCancelled,
        InventoryNetted,
        MarksSet,
        PoolFunded,
        PoolObserved,
        RoundClosed,
        TakenOver,
        Unwound,
    )
)
"""A record without any of these tags in its bytes has no rows."""

_INVENTORY_TABLES: dict[type[Event], sa.Table] = {
    TakenOver: tables.takeovers,
    Unwound: tables.unwinds,
    InventoryNetted: tables.netted,
}
"""The tables of what changes a fund's inventory outside of ADL."""

PRICE_STEP_PPM = 500
"""Change of a mark from which it is stored as a point of the price: 0.05 %."""

Row = dict[str, Any]
Trigger = tuple[str, str]
"""A contract and one of its triggers."""


class LastMark(NamedTuple):
    """The newest mark of a contract, and the newest one that is stored as a point of its price."""

    mark_ticks: int
    mark_fraction: int
    stored_ticks: int


class HistoryRows:
    """New rows of the tables, and changes of earlier rows.

    `open_episodes` are the episodes that are open before the first record, `last_marks` the marks
    before it; `last_episode` is the newest id.
    """

    def __init__(
        self,
        open_episodes: Mapping[Trigger, int],
        last_episode: int,
        last_marks: Mapping[str, LastMark],
    ) -> None:
        self.new: defaultdict[sa.Table, list[Row]] = defaultdict(list)
        self.stopped: list[Row] = []
        self.cancelled: list[Row] = []
        self.marks: dict[str, LastMark] = {}
        self._last_marks = last_marks
        self._open = dict(open_episodes)
        self._last_episode = last_episode
        self._fills: list[Row] = []

    def add(self, record: Record) -> None:
        """Add the rows of one record."""
        if not any(tag in record.events for tag in PROJECTED_TAGS):
            return
        for index, event in enumerate(decode_events(record.events)):
            origin = {"sequence": record.sequence, "event_index": index, "time_ms": record.time_ms}
            self._event(origin, event)

    def _event(self, origin: Row, event: Event) -> None:
        match event:
            case PoolObserved():
                self._observed(origin, event)
            case MarksSet():
                self._marks_set(origin, event)
            case PoolFunded() | Compensated():
                self.new[tables.flows].append(origin | _flow(event))
            case TakenOver() | Unwound() | InventoryNetted():
                table = _INVENTORY_TABLES[type(event)]
                self.new[table].append(origin | _fields(event, table))
            case AdlStarted():
                self._started(origin, event)
            case AdlStopped():
                self._stopped(origin, event)
            case AdlFilled():
                self._filled(origin, event)
            case RoundClosed():
                self._round(origin, event)
            case FillCancelled():
                self.cancelled.append({"of": event.fill.fill, "by": origin["sequence"]})
            case _:
                pass

    def _marks_set(self, origin: Row, event: MarksSet) -> None:
        """Add the marks that differ by PRICE_STEP_PPM from the stored one before."""
        for contract, ticks, fraction in event.rows():
            before = self._mark_of(contract)
            stored = before.stored_ticks if before else 0
            if abs(ticks - stored) * PPM >= stored * PRICE_STEP_PPM and ticks != stored:
                stored = ticks
                row = {"contract": contract, "mark_ticks": ticks}
                self.new[tables.price_points].append(origin | row)
            self.marks[contract] = LastMark(ticks, fraction, stored)

    def _mark_of(self, contract: str) -> LastMark | None:
        return self.marks.get(contract) or self._last_marks.get(contract)

    def _filled(self, origin: Row, event: AdlFilled) -> None:
        mark = self._mark_of(event.contract)
        at = {
            "mark_ticks": mark.mark_ticks if mark else None,
            "mark_fraction": mark.mark_fraction if mark else None,
        }
        self._fills.append(origin | _fields(event, tables.fills) | at)

    def _observed(self, origin: Row, event: PoolObserved) -> None:
        contract_pnl = dict(zip(event.contracts, event.contract_pnl_cash, strict=True))
        row = origin | _fields(event, tables.pool_points) | {"contract_pnl": _json(contract_pnl)}
        self.new[tables.pool_points].append(row)
        self.new[tables.contract_points] += [
            origin
            | {
                "contract": contract,
                "pool": event.pool,
                "contract_pnl_cash": pnl_cash,
                "pool_balance_cash": event.balance_cash,
            }
            for contract, pnl_cash in contract_pnl.items()
        ]

    def _started(self, origin: Row, event: AdlStarted) -> None:
        self._last_episode += 1
        self._open[event.contract, event.trigger] = self._last_episode
        self.new[tables.episodes].append(
            _fields(event, tables.episodes)
            | {
                "episode": self._last_episode,
                "numbers": _json(event.numbers),
                "started_sequence": origin["sequence"],
                "started_ms": origin["time_ms"],
            }
        )

    def _stopped(self, origin: Row, event: AdlStopped) -> None:
        episode = self._open.pop((event.contract, event.trigger), None)
        if episode is None:  # it began in a record that is only in an archive
            return
        self.stopped.append(
            {
                "of": episode,
                "by": origin["sequence"],
                "at_ms": origin["time_ms"],
                "with": _json(event.numbers),
            }
        )

    def _round(self, origin: Row, event: RoundClosed) -> None:
        """Add a round with the fills before it; a forced round belongs to no episode."""
        episode = self._open.get((event.contract, event.trigger))
        row = origin | _fields(event, tables.rounds)
        self.new[tables.rounds].append(row | {"episode": episode, "numbers": _json(event.numbers)})
        self.new[tables.fills] += [
            fill | {"episode": episode, "round_index": origin["event_index"]}
            for fill in self._fills
        ]
        self._fills.clear()


def rows_of(
    records: Iterable[Record],
    open_episodes: Mapping[Trigger, int],
    last: int,
    last_marks: Mapping[str, LastMark],
) -> HistoryRows:
    """Return the rows that records add and change."""
    rows = HistoryRows(open_episodes, last, last_marks)
    for record in records:
        rows.add(record)
    return rows


def _fields(event: Event, table: sa.Table) -> Row:
    """Return the event's fields that the table has, enum members as text."""
    names = [name for name in event.__struct_fields__ if name in table.c]
    return {name: _plain(getattr(event, name)) for name in names}


def _flow(event: PoolFunded | Compensated) -> Row:
    row = _fields(event, tables.flows)
    if isinstance(event, Compensated):
        row |= {"amount_cash": -event.amount_cash, "reason": "compensation"}
    return row


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value


def _json(numbers: Mapping[str, int]) -> str:
    return msgspec.json.encode(numbers).decode()
