"""The ADL fills of one round: as events, and as columns for code that adds them up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from delever.core.messages import AdlFilled


@dataclass(frozen=True, slots=True)
class FillBatch:
    """At least one fill of one contract and side, in order of execution.

    `columns` contains every field of the `events` by name; `accounts` are the account indices. No
    fill closes more than its predecessors leave of its position and of its tranche.
    """

    events: tuple[AdlFilled, ...]
    columns: Mapping[str, Sequence[Any]]
    accounts: Sequence[int]

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Any]], accounts: Sequence[int]) -> "FillBatch":
        """Create the events of columns, ten times as fast as with keyword arguments."""
        ordered = [columns[name] for name in AdlFilled.__struct_fields__]
        events = tuple([AdlFilled(*fields) for fields in zip(*ordered, strict=True)])
        return cls(events, columns, accounts)

    @property
    def first(self) -> AdlFilled:
        """The first fill; contract, side and pool are the same for all."""
        return self.events[0]
