"""Sizing: how many lots of inventory one ADL round closes, once a trigger is on.

The insurance fund pays first. A trigger of the fund's money says by how much cash the fund falls
short of the trigger's stop (its deficit); under `residual` a round closes the fewest lots whose
relief makes that up, so that counterparties never pay what the fund could have paid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum

from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import Tranche
from delever.core.messages import Side
from delever.core.units import Ticks, div_ceil, ratio_ppm, share_floor


class Sizing(StrEnum):
    """What one ADL round closes.

    `residual`: the fewest lots that bring the fund (or the contract) back above the trigger's stop.
    `least_to_stop`: the inventory that the trigger names, at a price or in a quantity that brings
    the loss or the ratio back to its limit. `whole`: all inventory that the trigger names.
    `fund_after`: the same, before the fund pays anything. `not_applicable`: there is no queue.
    """

    RESIDUAL = "residual"
    LEAST_TO_STOP = "least_to_stop"
    WHOLE = "whole"
    FUND_AFTER = "fund_after"
    NOT_APPLICABLE = "not_applicable"


def in_turn(state: ContractState, side: Side, tranches: Sequence[Tranche]) -> list[Tranche]:
    """Return tranches in the order in which they are closed.

    The account with the lowest equity / maintenance margin (in ppm) at its takeover goes first,
    then the largest loss at the mark, then the oldest takeover. No venue publishes its order.
    """
    mark, sign, terms = state.mark, side.sign, state.terms

    def turn(tranche: Tranche) -> tuple[int, int, int]:
        equity_ppm = ratio_ppm(tranche.equity, tranche.maintenance)
        pnl = terms.value_cash(sign * tranche.lots, mark) - tranche.cost
        return equity_ppm, pnl, tranche.takeover

    return sorted(tranches, key=turn)


def residual(
    state: ContractState,
    side: Side,
    tranches: Sequence[Tranche],
    ticks: Sequence[Ticks],
    deficit_cash: int,
) -> Iterator[tuple[Tranche, Ticks]]:
    """Yield the fewest lots of the tranches, in their order, whose relief covers a deficit.

    The relief of lots is what the fund gains if they are closed at their ADL price instead of at
    the mark, in Cash. A tranche without relief (in profit, or priced at the mark) is not closed. If
    all relief together does not cover the deficit, every tranche with relief is closed.
    """
    for tranche, price in zip(tranches, ticks, strict=True):
        if deficit_cash <= 0:
            return
        whole = relief_cash(state, side, tranche.lots, price)
        if whole <= 0:
            continue
        if whole <= deficit_cash:
            yield tranche, price
        else:
            lots = _fewest_lots(state, side, tranche.lots, price, deficit_cash)
            cost = share_floor(tranche.cost, lots, tranche.lots)
            yield replace(tranche, lots=lots, cost=cost), price
        deficit_cash -= whole


def relief_cash(state: ContractState, side: Side, lots: int, price: Ticks) -> int:
    """Return what the fund gains in Cash if inventory lots close at a price, not at the mark.

    At the price the value of the counterparty's side is rounded down, as in a fill.
    """
    signed = side.sign * lots
    return -state.terms.value_cash(-signed, price) - state.terms.value_cash(signed, state.mark)


def _fewest_lots(state: ContractState, side: Side, lots: int, price: Ticks, cash: int) -> int:
    """Return the fewest of a tranche's lots whose relief is at least an amount; all lots suffice.

    Relief is linear in lots but for the rounding of values, so the quotient is at most a few lots
    off.
    """
    fewest = max(min(div_ceil(cash * lots, relief_cash(state, side, lots, price)), lots), 1)
    while fewest > 1 and relief_cash(state, side, fewest - 1, price) >= cash:
        fewest -= 1
    while relief_cash(state, side, fewest, price) < cash:
        fewest += 1
    return fewest
