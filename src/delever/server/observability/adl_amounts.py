"""Counters of ADL in money: notional closed at the mark and haircut, by contract and asset.

A fill is counted when the next market snapshot has its contract's terms, at the mark of its moment.
"""

from collections import deque
from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING

from prometheus_client import Counter

from delever.core.messages import AdlFilled, MarksSet
from delever.formatting import ContractFormatter
from delever.server.engine.commit import Committed
from delever.server.engine.market_snapshot import MarketSnapshot

if TYPE_CHECKING:
    from delever.core.units import Mark

MarkSet = tuple[int, int, int]
"""Sequence, whole ticks and fraction of a mark, as its event has them."""


class AdlAmounts:
    """Adds fills to counters, which have 0 from a contract's first snapshot on.

    A cancelled fill is not subtracted: a counter never falls.
    """

    def __init__(self, notional: Counter, haircut: Counter) -> None:
        self._notional, self._haircut = notional, haircut
        self._formatters: dict[str, ContractFormatter] = {}
        self._sequence = 0
        self._first_marks: dict[str, Mark] | None = None
        self._marks: dict[str, MarkSet] = {}
        self._pending: deque[tuple[int, AdlFilled, MarkSet | None]] = deque()

    def committed(self, commits: Sequence[Committed]) -> None:
        """Remember fills, each with the mark before it, and count those that a snapshot has."""
        for commit in commits:
            for event in commit.events:
                if isinstance(event, MarksSet):
                    self._set_marks(commit.sequence, event)
                elif isinstance(event, AdlFilled):
                    mark = self._marks.get(event.contract)
                    self._pending.append((commit.sequence, event, mark))
        self._count()

    def update(self, snapshot: MarketSnapshot) -> None:
        """Count fills up to a snapshot, with the terms that it has."""
        self._sequence = snapshot.sequence
        self._formatters = {
            name: ContractFormatter(contract.terms, contract.cash_decimals)
            for name, contract in snapshot.contracts.items()
        }
        for name, formatter in self._formatters.items():
            for counter in (self._notional, self._haircut):
                counter.labels(name, formatter.terms.settle)
        if self._first_marks is None:
            self._first_marks = {name: one.mark_ticks for name, one in snapshot.contracts.items()}
        self._count()

    def _set_marks(self, sequence: int, event: MarksSet) -> None:
        fractions = event.mark_fractions or repeat(0)
        marks = zip(repeat(sequence), event.mark_ticks, fractions)
        self._marks.update(zip(event.contracts, marks, strict=False))

    def _count(self) -> None:
        while self._pending and self._pending[0][0] <= self._sequence:
            self._add(*self._pending.popleft())

    def _add(self, sequence: int, fill: AdlFilled, mark_set: MarkSet | None) -> None:
        formatter = self._formatters.get(fill.contract)
        if formatter is None:
            return
        if mark_set is None:
            mark = (self._first_marks or {}).get(fill.contract, 0)
        else:
            mark = formatter.at(mark_set[0]).terms.join_mark(*mark_set[1:])
        value = formatter.at(sequence).terms.trade_cash(fill.side.sign * fill.lots, mark)
        labels, unit = (fill.contract, formatter.terms.settle), 10**formatter.cash_decimals
        self._notional.labels(*labels).inc(abs(value) / unit)
        self._haircut.labels(*labels).inc(max(value - fill.value_cash, 0) / unit)
