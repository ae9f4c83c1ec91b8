"""What has changed in a book since the journal last hashed it, observed contracts, new marks."""

from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from delever.core import messages as m
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import AssetState, PoolState
from delever.core.book.position_table import PositionBlock
from delever.core.market.mark_table import MarkTable
from delever.core.market.rolling_windows import RollingVolatility
from delever.core.messages import MarksSet, Side
from delever.core.units import Bools, Ints, Mark, div_floor, long_integers_as_text

_encoder = msgspec.msgpack.Encoder()

REPORTS = frozenset(
    {
        m.Accepted,
        m.Rejected,
        m.RowIgnored,
        m.RowsIgnored,
        m.CounterpartySkipped,
        m.AdlForced,
        m.PlanAccepted,
        m.RatingsSet,
        m.IndicatorsPublished,
    }
)
"""Events that change nothing that an ADL round reads, except the time."""


class Changes:
    """The contracts, pools and assets, by key, and the sides of contracts that have changed.

    Wallets, positions and tranches record their own changes.
    """

    def __init__(self) -> None:
        self._changed: dict[str, ContractState | PoolState | AssetState] = {}
        self._marked: set[str] = set()
        self._changed_sides: set[tuple[str, Side]] = set()

    def record(self, state: ContractState | PoolState | AssetState) -> None:
        """Record that the numbers of a contract, a pool or an asset itself have changed."""
        self._changed[state.key] = state

    def record_marks(self, contracts: Iterable[str]) -> None:
        """Record that the marks of contracts, by name, have changed."""
        self._marked.update(contracts)

    def record_side(self, state: ContractState, side: Side) -> None:
        """Record that positions or tranches of one side have changed."""
        self._changed_sides.add((state.name, side))

    def record_sides(self, state: ContractState) -> None:
        """Record that positions or tranches of both sides have changed."""
        self._changed_sides.update((state.name, side) for side in Side)

    def take(
        self, assets: Mapping[str, AssetState], contracts: Mapping[str, ContractState]
    ) -> bytes:
        """Return all changes since the last call, in one canonical encoding."""
        for state in map(contracts.__getitem__, self._marked):
            self._changed[state.key] = state
        rows: list[tuple[str, Any]] = [
            (key, self._changed[key].scalars()) for key in sorted(self._changed)
        ]
        rows += [(name, assets[name].wallets.take_changes()) for name in sorted(assets)]
        for name, side in sorted(self._changed_sides):
            rows.append((name + " " + side, contracts[name].take_changes(side)))
        self._changed.clear()
        self._marked.clear()
        self._changed_sides.clear()
        changes = [row for row in rows if row[1]]
        try:
            return _encoder.encode(changes)
        except OverflowError:
            return _encoder.encode(long_integers_as_text(changes))


class MonitoredContracts:
    """The contracts that each step observes."""

    def __init__(self) -> None:
        self._by_name: dict[str, ContractState] = {}
        self._in_order: list[ContractState] | None = None

    def update(self, state: ContractState) -> None:
        """Add or remove a contract whose own numbers have changed."""
        if state.is_monitored != (state.name in self._by_name):
            if self._by_name.pop(state.name, None) is None:
                self._by_name[state.name] = state
            self._in_order = None

    def in_order(self) -> list[ContractState]:
        """Return the contracts in order of definition."""
        if self._in_order is None:
            by_definition = attrgetter("definition_order")
            self._in_order = sorted(self._by_name.values(), key=by_definition)
        return self._in_order  # replaced, never changed: callers may iterate over it


class NewMarks:
    """The marks of an event, which are set and valued one by one."""

    def __init__(self, contracts: Mapping[str, ContractState], event: MarksSet) -> None:
        self._marks = [(contracts[name], ticks, rest) for name, ticks, rest in event.rows()]

    def set(self, time_ms: int) -> list[ContractState]:
        """Set the marks; return the contracts whose bounds of equity have to be updated."""
        return [state for state, *mark in self._marks if state.set_mark(time_ms, *mark)]

    def sides(self, block: PositionBlock, sequence: int) -> dict[str, Ints]:
        """Return the sides of each asset's contracts as `revalue_sides` takes them; stamp them."""
        settled: dict[str, list[tuple[int, tuple[int, int, int]]]] = {}
        for state, ticks, fraction in self._marks:
            terms = state.terms
            mark = terms.join_mark(ticks, fraction)
            settled.setdefault(terms.settle, []).extend(
                (table.number, terms.value_factor(side, mark))
                for side, table in state.tables.items()
            )
        return {settle: block.sides_of(valued, sequence) for settle, valued in settled.items()}


class NewMarkColumns:
    """The marks of an event, which are set and valued together, as `NewMarks` does one by one."""

    def __init__(
        self, contracts: Mapping[str, ContractState], marks: MarkTable, event: MarksSet
    ) -> None:
        self._contracts, self._names, self._marks = contracts, event.contracts, marks
        self._rows = marks.rows_of(event.contracts)
        self._ticks = np.array(event.mark_ticks, np.int64)
        self._fractions = np.array(event.mark_fractions or 0, np.int64) + 0 * self._ticks

    def set(self, time_ms: int) -> list[ContractState]:
        """Set the marks; return the contracts whose bounds of equity have to be updated."""
        minute = div_floor(time_ms, RollingVolatility.MINUTE_MS)
        for state, mark in self._chosen(self._marks.minutes[self._rows] != minute):
            state.start_minute(time_ms, mark)
        self._marks.set(time_ms, self._rows, self._ticks, self._fractions)
        left = self._marks.has_left_band(self._rows, self._ticks)
        return [state for state, _ in self._chosen(left)]

    def sides(self, block: PositionBlock, sequence: int) -> dict[str, Ints]:
        """Return the sides of each asset's contracts as `revalue_sides` takes them; stamp them."""
        columns = self._rows, self._ticks, self._fractions
        lot_values, has_values = self._marks.lot_values(*columns)
        for at in np.flatnonzero(~has_values).tolist():
            ((state, mark),) = self._chosen(np.arange(len(self._rows)) == at)
            lot_values[at] = [state.terms.value_factor(side, mark) for side in Side]
        settles, assets = self._marks.settles[self._rows], self._marks.settle_assets
        first = settles[0]
        if (settles == first).all():
            return {assets[first]: block.sides_at(self._rows, lot_values, sequence)}
        return {
            assets[settle]: block.sides_at(
                self._rows[settles == settle], lot_values[settles == settle], sequence
            )
            for settle in np.unique(settles).tolist()
        }

    def _chosen(self, rows: Bools) -> Iterator[tuple[ContractState, Mark]]:
        """Yield the contracts of some rows with their marks."""
        for at in np.flatnonzero(rows).tolist():
            state = self._contracts[self._names[at]]
            mark = state.terms.join_mark(self._ticks.item(at), self._fractions.item(at))
            yield state, mark
