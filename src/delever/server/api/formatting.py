"""Integers of the book as text of this API: plain decimals, without units in names."""

from collections.abc import Mapping

from delever.api_types.market import TriggerResponse
from delever.core.explain.explanation import TriggerState
from delever.core.market.contract_terms import ContractTerms
from delever.core.units import div_nearest, format_scaled
from delever.formatting import ContractFormatter
from delever.server.engine.market_snapshot import NO_TIME_MS

ENTRY_DECIMALS = 8
"""Decimals of an average entry price beyond those of a tick."""


def numbers_of(formatter: ContractFormatter, numbers: Mapping[str, int]) -> dict[str, str]:
    """Return numbers as text, without `_cash`, `_lots` and `_ticks` in their names."""
    return dict(formatter.amount(name, amount) for name, amount in numbers.items())


def trigger_of(state: TriggerState, formatter: ContractFormatter) -> TriggerResponse:
    """Return the response of a trigger's state, with amounts as text."""
    return TriggerResponse(
        trigger=state.trigger,
        on=state.on,
        since_ms=state.since_ms,
        trigger_used_ppm=state.trigger_used_ppm,
        price_rule=state.price_rule,
        numbers=numbers_of(formatter, state.numbers),
    )


def entry_price(terms: ContractTerms, lots: int, cost_cash: int) -> str:
    """Return the average entry price, 8 decimals finer than a tick, to nearest."""
    size, cost = lots * terms.factor, abs(cost_cash)
    top, bottom = (cost, size) if terms.linear else (size, cost)
    fine = div_nearest(top * 10**ENTRY_DECIMALS, bottom) if bottom else 0
    return format_scaled(fine * terms.tick[0], terms.tick[1] + ENTRY_DECIMALS)


def leverage(hundredths: int) -> str:
    """Return a leverage as text."""
    return format_scaled(hundredths, 2)


def margin_mode(isolated: bool) -> str:
    """Return the margin mode of a position."""
    return "isolated" if isolated else "cross"


def time_or_none(time_ms: int) -> int | None:
    """Return a time, or None for NO_TIME_MS."""
    return None if time_ms == NO_TIME_MS else time_ms
