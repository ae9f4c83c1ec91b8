"""The book's integers as this API writes them: plain decimals, units left out of names."""

from collections.abc import Mapping

from delever.api_types.market import TriggerShown
from delever.core.explain.explanation import TriggerState
from delever.core.market.contract_terms import Terms
from delever.core.units import div_nearest, format_scaled
from delever.formatting import Figures
from delever.server.engine.market_snapshot import NEVER

ENTRY_DECIMALS = 8
"""An average entry price has this many decimals more than a tick."""


def numbers_of(figures: Figures, numbers: Mapping[str, int]) -> dict[str, str]:
    """Return named numbers as text; `_cash`, `_lots` and `_ticks` become decimals without it."""
    return dict(_number(figures, name, amount) for name, amount in numbers.items())


def _number(figures: Figures, name: str, amount: int) -> tuple[str, str]:
    what, _, unit = name.rpartition("_")
    match unit:
        case "cash":
            return what, figures.cash(amount)
        case "ticks":
            return what, figures.price(amount)
        case "lots":
            return what, figures.quantity(amount)
    return name, str(amount)


def trigger_of(state: TriggerState, figures: Figures) -> TriggerShown:
    """Return a trigger's state with amounts as text."""
    return TriggerShown(
        trigger=state.trigger,
        on=state.on,
        since_ms=state.since_ms,
        trigger_used_ppm=state.trigger_used_ppm,
        price_rule=state.price_rule,
        numbers=numbers_of(figures, state.numbers),
    )


def entry_price(terms: Terms, lots: int, cost_cash: int) -> str:
    """Return the average entry price, 8 decimals finer than a tick, to nearest."""
    size, cost = lots * terms.factor, abs(cost_cash)
    top, bottom = (cost, size) if terms.linear else (size, cost)
    fine = div_nearest(top * 10**ENTRY_DECIMALS, bottom) if bottom else 0
    return format_scaled(fine * terms.tick[0], terms.tick[1] + ENTRY_DECIMALS)


def leverage(hundredths: int) -> str:
    """Return a leverage as text."""
    return format_scaled(hundredths, 2)


def margin_mode(isolated: bool) -> str:
    """Return the word for how a position is margined."""
    return "isolated" if isolated else "cross"


def moment(time_ms: int) -> int | None:
    """Return a time, or None where there was none yet."""
    return None if time_ms == NEVER else time_ms
