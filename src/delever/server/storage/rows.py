"""Records -> rows. Pure: the same records give the same rows, wherever the projection begins."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from delever.core.messages import (
    AdlFilled,
    AdlStarted,
    AdlStopped,
    Event,
    FillCancelled,
    PoolFunded,
    PoolObserved,
    RoundClosed,
    TakenOver,
    Unwound,
)
from delever.journal import Record
from delever.journal.record import decode_events
from delever.server.storage import tables

TAGS = tuple(
    str(kind.__struct_config__.tag).encode()
    for kind in (
        AdlFilled,
        AdlStarted,
        AdlStopped,
        FillCancelled,
        PoolFunded,
        PoolObserved,
        RoundClosed,
        TakenOver,
        Unwound,
    )
)
"""Where none of these stands in a record's bytes, nothing of it is kept."""

Row = dict[str, Any]
Trigger = tuple[str, str]
"""A contract and one of its triggers."""


class Rows:
    """What records add to the tables, and what they change of earlier rows.

    `open_episodes` are those that are on before the first record, and `last_episode` the newest.
    """

    def __init__(self, open_episodes: Mapping[Trigger, int], last_episode: int) -> None:
        self.new: defaultdict[sa.Table, list[Row]] = defaultdict(list)
        self.stopped: list[Row] = []
        self.cancelled: list[Row] = []
        self._open = dict(open_episodes)
        self._last_episode = last_episode
        self._fills: list[Row] = []

    def add(self, record: Record) -> None:
        """Add the rows of one record."""
        if not any(tag in record.events for tag in TAGS):
            return
        for place, event in enumerate(decode_events(record.events)):
            where = {"sequence": record.sequence, "place": place, "time_ms": record.time_ms}
            self._event(where, event)

    def _event(self, where: Row, event: Event) -> None:
        match event:
            case PoolObserved():
                self._observed(where, event)
            case PoolFunded():
                self.new[tables.flows].append(where | _fields(event, tables.flows))
            case TakenOver():
                self.new[tables.takeovers].append(where | _fields(event, tables.takeovers))
            case Unwound():
                self.new[tables.unwinds].append(where | _fields(event, tables.unwinds))
            case AdlStarted():
                self._started(where, event)
            case AdlStopped():
                self._stopped(where, event)
            case AdlFilled():
                self._fills.append(where | _fields(event, tables.fills))
            case RoundClosed():
                self._round(where, event)
            case FillCancelled():
                self.cancelled.append({"of": event.fill.fill, "by": where["sequence"]})
            case _:
                pass

    def _observed(self, where: Row, event: PoolObserved) -> None:
        profits = dict(zip(event.contracts, event.contract_pnl_cash, strict=True))
        row = where | _fields(event, tables.pool_points) | {"profits": _json(profits)}
        self.new[tables.pool_points].append(row)
        self.new[tables.contract_points] += [
            where
            | {
                "contract": contract,
                "pool": event.pool,
                "contract_pnl_cash": profit,
                "pool_balance_cash": event.balance_cash,
            }
            for contract, profit in profits.items()
        ]

    def _started(self, where: Row, event: AdlStarted) -> None:
        self._last_episode += 1
        self._open[event.contract, event.trigger] = self._last_episode
        self.new[tables.episodes].append(
            _fields(event, tables.episodes)
            | {
                "episode": self._last_episode,
                "numbers": _json(event.numbers),
                "started_sequence": where["sequence"],
                "started_ms": where["time_ms"],
            }
        )

    def _stopped(self, where: Row, event: AdlStopped) -> None:
        episode = self._open.pop((event.contract, event.trigger))
        self.stopped.append(
            {
                "of": episode,
                "by": where["sequence"],
                "at_ms": where["time_ms"],
                "with": _json(event.numbers),
            }
        )

    def _round(self, where: Row, event: RoundClosed) -> None:
        """Keep a round with its fills, which stand before it; a forced one is of no episode."""
        episode = self._open.get((event.contract, event.trigger))
        row = where | _fields(event, tables.rounds)
        self.new[tables.rounds].append(row | {"episode": episode, "numbers": _json(event.numbers)})
        self.new[tables.fills] += [
            fill | {"episode": episode, "round_place": where["place"]} for fill in self._fills
        ]
        self._fills.clear()


def rows_of(records: Iterable[Record], open_episodes: Mapping[Trigger, int], last: int) -> Rows:
    """Return what records add and change."""
    rows = Rows(open_episodes, last)
    for record in records:
        rows.add(record)
    return rows


def _fields(event: Event, table: sa.Table) -> Row:
    """Return the event's fields that the table has, words as text."""
    names = [name for name in event.__struct_fields__ if name in table.c]
    return {name: _plain(getattr(event, name)) for name in names}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value


def _json(numbers: Mapping[str, int]) -> str:
    return msgspec.json.encode(numbers).decode()
