"""The protocol of a trigger, its limits, and the inventory that ADL closes under it."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import Tranche
from delever.core.market.trigger_limits import UNSET, Limits
from delever.core.messages import Reason, Side

WARNING_PPM = 800_000
"""The operator is warned when this much of a trigger is used: 80 %."""


@dataclass(frozen=True, slots=True)
class TriggerEvaluation:
    """Whether a trigger's start and stop conditions hold, and how much of the trigger is used.

    `numbers` is every amount that was compared.
    """

    starts: bool
    stops: bool
    trigger_used_ppm: int
    numbers: dict[str, int]


class Trigger(Protocol):
    """A start and a stop condition of ADL in one contract."""

    @property
    def name(self) -> str:
        """The trigger's name in events and documents."""

    @property
    def reason(self) -> Reason:
        """The start condition, as a predicate."""

    @property
    def limit_fields(self) -> tuple[str, ...]:
        """The fields of `TriggerLimits` that the trigger reads."""

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether the conditions hold in the book as it is."""

    def tranches(self, book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory of one side that ADL may close while the trigger is on."""

    def deficit_cash(self, book: Book, state: ContractState) -> int | None:
        """Return by how much the amount it watches must rise for the trigger to stop, in Cash.

        Not positive where it stops already; None for a trigger that watches no money of the fund,
        under which a round closes all tranches.
        """


def limits_of(book: Book, state: ContractState, default: Limits) -> Limits:
    """Return the limits that apply: the contract's, else its pool's, else the rule set's default.

    A stop above the start, which can come from another level, is lowered to the start, so that ADL
    never stops at the numbers at which it starts.
    """
    return _merged(state.limits, book.pool_of(state).limits, default)


@functools.cache
def _merged(contract: Limits, pool: Limits, default: Limits) -> Limits:
    limits = contract.over(pool).over(default)
    return replace(limits, stop_ppm=min(limits.stop_ppm, limits.start_ppm))


def stop_equity_of(book: Book, state: ContractState) -> int:
    """Return the fund equity in Cash above which ADL stops: `stop_equity`, 0 by default."""
    for limits in (state.limits, book.pool_of(state).limits):
        if limits.stop_equity_cash != UNSET:
            return limits.stop_equity_cash
    return 0


def all_tranches(state: ContractState, side: Side) -> Sequence[Tranche]:
    """Return the whole inventory of one side, oldest takeover first."""
    return list(state.inventory[side].tranches.values())


def underwater(state: ContractState, side: Side) -> Sequence[Tranche]:
    """Return the inventory of one side that the mark values below its takeover price."""
    return state.inventory[side].underwater(side.sign, state.mark)


def underwater_lots(state: ContractState) -> int:
    """Return the lots of underwater inventory on both sides."""
    return sum(tranche.lots for side in Side for tranche in underwater(state, side))
