"""The marks of an event, set and valued: a few one by one, many as columns."""

from collections.abc import Iterator, Mapping

import numpy as np

from delever.core.book.contract_state import ContractState
from delever.core.book.position_table import PositionBlock
from delever.core.market.mark_table import COLUMN_THRESHOLD, MarkTable
from delever.core.market.rolling_windows import RollingVolatility
from delever.core.messages import MarksSet, Side
from delever.core.units import Bools, Ints, Mark, div_floor


def new_marks(
    contracts: Mapping[str, ContractState], marks: MarkTable, event: MarksSet
) -> "NewMarks | NewMarkColumns":
    """Return the marks of an event: one by one where they are few, or else as columns."""
    if len(event.contracts) < COLUMN_THRESHOLD:
        return NewMarks(contracts, event)
    return NewMarkColumns(contracts, marks, event)


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
