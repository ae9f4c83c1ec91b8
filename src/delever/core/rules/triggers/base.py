"""What every trigger says, and what they share."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.inventory import Tranche
from delever.core.market.trigger_limits import Limits
from delever.core.messages import Reason, Side

WARNING_PPM = 800_000
"""A trigger this far on its way is worth a notice: 80 %."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a trigger found: does its start hold, does its stop hold, and how near is the start."""

    starts: bool
    stops: bool
    trigger_used_ppm: int
    numbers: dict[str, int]


class Trigger(Protocol):
    """A start and a stop condition for one contract."""

    @property
    def name(self) -> str:
        """The trigger's name in events and documents."""

    @property
    def reason(self) -> Reason:
        """The condition, as a predicate."""

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now."""

    def tranches(self, book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that ADL is to close while the trigger is on."""


def limits_of(book: Book, state: ContractState, own: Limits) -> Limits:
    """Return the limits that hold: the contract's, else its pool's, else the rule set's own.

    A start set below a stop of another level takes that stop down with it: ADL that has started
    does not stop at the same numbers.
    """
    return _merged(state.limits, book.pool_of(state).limits, own)


@functools.cache
def _merged(contract: Limits, pool: Limits, own: Limits) -> Limits:
    limits = contract.over(pool).over(own)
    return replace(limits, stop_ppm=min(limits.stop_ppm, limits.start_ppm))


def all_tranches(state: ContractState, side: Side) -> Sequence[Tranche]:
    """Return all inventory of one side, oldest takeover first."""
    return list(state.inventory[side].tranches.values())


def under_water(state: ContractState, side: Side) -> Sequence[Tranche]:
    """Return the inventory whose takeover price the mark has passed: its account lost it all."""
    return [
        tranche
        for tranche in state.inventory[side].tranches.values()
        if side.sign * (tranche.price_ticks - state.mark) > 0
    ]
