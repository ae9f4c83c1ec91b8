"""The fills of one round together: the events, and their fields as columns for who adds them up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from delever.core.messages import AdlFilled


@dataclass(frozen=True, slots=True)
class Fills:
    """Fills of one contract and side, in their order, at least one.

    `columns` has every field of the `events` by name. `accounts` are the numbers of the accounts.
    No fill closes more than the ones before it leave of its position and tranche.
    """

    events: tuple[AdlFilled, ...]
    columns: Mapping[str, Sequence[Any]]
    accounts: Sequence[int]

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Any]], accounts: Sequence[int]) -> "Fills":
        """Make the events of their columns: ten times as fast as naming every field of each."""
        in_order = [columns[name] for name in AdlFilled.__struct_fields__]
        events = tuple([AdlFilled(*fields) for fields in zip(*in_order, strict=True)])
        return cls(events, columns, accounts)

    @property
    def first(self) -> AdlFilled:
        """The first of them, whose contract, side and pool are those of all."""
        return self.events[0]
