"""What has changed in a book since the journal last hashed it, and which contracts are observed."""

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

import msgspec

from delever.core import messages as m
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import AssetState, PoolState
from delever.core.messages import Side
from delever.core.units import long_integers_as_text

_encoder = msgspec.msgpack.Encoder()

REPORTS = frozenset(
    {
        *(m.Accepted, m.Rejected, m.RowIgnored, m.RowsIgnored, m.CounterpartySkipped),
        *(m.AdlForced, m.PlanAccepted, m.RatingsSet, m.IndicatorsPublished),
    }
)
"""Events that change nothing that an ADL round reads, except the time."""


class Changes:
    """The contracts, pools and assets, by key, and the sides of contracts that have changed.

    Wallets, positions and tranches record their own changes.
    """

    def __init__(self) -> None:
        self._changed: dict[str, PoolState | AssetState] = {}
        self._contracts: set[str] = set()
        self._changed_sides: set[tuple[str, Side]] = set()

    def record(self, state: ContractState | PoolState | AssetState) -> None:
        """Record that the numbers of a contract, a pool or an asset itself have changed."""
        if isinstance(state, ContractState):
            self._contracts.add(state.name)
        else:
            self._changed[state.key] = state

    def record_marks(self, contracts: Iterable[str]) -> None:
        """Record that the marks of contracts, by name, have changed."""
        self._contracts.update(contracts)

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
        states = map(contracts.__getitem__, self._contracts)
        changed = self._changed | {state.key: state for state in states}
        rows: list[tuple[str, Any]] = [(key, changed[key].scalars()) for key in sorted(changed)]
        rows += [(name, assets[name].wallets.take_changes()) for name in sorted(assets)]
        for name, side in sorted(self._changed_sides):
            rows.append((name + " " + side, contracts[name].take_changes(side)))
        self._changed.clear()
        self._contracts.clear()
        self._changed_sides.clear()
        changes = [row for row in rows if row[1]]
        try:
            return _encoder.encode(changes)
        except OverflowError:
            return _encoder.encode(long_integers_as_text(changes))


class MonitoredContracts:
    """The contracts that each step observes, by name: a copy has contracts of its own."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._in_order: list[ContractState] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Return what a copy takes: the names."""
        return {"_names": self._names, "_in_order": None}

    def update(self, state: ContractState) -> None:
        """Add or remove a contract whose own numbers have changed."""
        if state.is_monitored != (state.name in self._names):
            self._names ^= {state.name}
            self._in_order = None

    def in_order(self, contracts: Mapping[str, ContractState]) -> list[ContractState]:
        """Return the contracts in order of definition."""
        if self._in_order is None:
            states = map(contracts.__getitem__, self._names)
            self._in_order = sorted(states, key=attrgetter("definition_order"))
        return self._in_order  # replaced, never changed: callers may iterate over it
