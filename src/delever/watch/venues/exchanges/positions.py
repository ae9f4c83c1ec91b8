"""Convert a ccxt position to an observation: side and modes from ccxt, numbers from the venue.

ccxt's own numbers are floats; the venue's row, which ccxt includes, has them as text.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from delever.watch.market_data.errors import MalformedAnswerError
from delever.watch.market_data.indicator_scale import VenueScale
from delever.watch.market_data.observations import IndicatorObservation, PositionObservation, Side
from delever.watch.venues.answers import number, optional, text


class PositionFields(NamedTuple):
    """A venue's field names; `initial_margin` replaces an empty `margin`."""

    name: str
    quantity: str
    entry_price: str
    mark: str
    leverage: str
    maintenance: str
    margin: str
    initial_margin: str = ""


class Receipt(NamedTuple):
    """When an answer was received, and how often the venue refreshes it."""

    received_ms: int
    refresh_ms: int


def open_rows(listed: Iterable[Mapping[str, Any]], quantity: str) -> list[Mapping[str, Any]]:
    """Return the rows of open positions, and those whose quantity is missing or unreadable.

    ccxt has no contracts for the latter: a position must not vanish with its quantity.
    """
    return [row for row in listed if not _is_closed(row["info"], quantity)]


def _is_closed(raw: Mapping[str, Any], quantity: str) -> bool:
    try:
        return quantity in raw and not optional(raw, quantity)
    except MalformedAnswerError:
        return False


def parse_position(
    venue: str,
    row: Mapping[str, Any],
    market: Mapping[str, Any],
    fields: PositionFields,
    receipt: Receipt,
) -> PositionObservation:
    """Return a position; MalformedAnswerError names a missing or malformed field."""
    raw = row["info"]
    isolated = _is_isolated(row, raw, fields)
    return PositionObservation(
        venue=venue,
        name=text(raw, fields.name),
        venue_time_ms=receipt.received_ms,
        received_ms=receipt.received_ms,
        refresh_ms=receipt.refresh_ms,
        side=side_of(row),
        quantity=abs(number(raw, fields.quantity)),
        multiplier=Decimal(str(market.get("contractSize") or 1)),
        entry_price=number(raw, fields.entry_price),
        mark=number(raw, fields.mark),
        leverage=_leverage(row, raw, fields),
        isolated=isolated,
        margin=_margin(raw, fields) if isolated else None,
        maintenance=optional(raw, fields.maintenance),
        settle=str(market["settle"]),
        inverse=bool(market["inverse"]),
        hedged=bool(row.get("hedged")),
    )


def parse_indicator(
    position: PositionObservation, raw: str, field: str, scale: VenueScale, receipt: Receipt
) -> IndicatorObservation:
    """Return a position's indicator from a venue's value; MalformedAnswerError if unknown."""
    indicator = scale.indicator(raw)
    if indicator is None:
        raise MalformedAnswerError(field, raw)
    return IndicatorObservation(
        venue=position.venue,
        name=position.name,
        venue_time_ms=receipt.received_ms,
        received_ms=receipt.received_ms,
        refresh_ms=receipt.refresh_ms,
        side=position.side,
        indicator=indicator,
        raw=raw,
        scale=scale.label,
    )


def side_of(row: Mapping[str, Any]) -> Side:
    """Return the side of a ccxt position; MalformedAnswerError without one."""
    match row.get("side"):
        case "long":
            return "long"
        case "short":
            return "short"
    raise MalformedAnswerError("side", row.get("side"))


def _is_isolated(row: Mapping[str, Any], raw: Mapping[str, Any], fields: PositionFields) -> bool:
    """Return whether a position is isolated, by ccxt's margin mode or else by the venue's row."""
    mode = row.get("marginMode")
    if mode is None:
        return str(raw.get("tradeMode")) == "1" and bool(optional(raw, fields.margin))
    return str(mode) == "isolated"


def _margin(raw: Mapping[str, Any], fields: PositionFields) -> Decimal | None:
    """Return an isolated position's margin, or its lower bound, the initial margin."""
    return optional(raw, fields.margin) or optional(raw, fields.initial_margin)


def _leverage(
    row: Mapping[str, Any], raw: Mapping[str, Any], fields: PositionFields
) -> Decimal | None:
    """Return the leverage of the venue's row or, without one, notional / initial margin."""
    leverage = optional(raw, fields.leverage)
    if leverage is not None and leverage > 0:
        return leverage
    notional, initial = row.get("notional"), row.get("initialMargin")
    if not notional or not initial:
        return None
    return max(
        Decimal(1), (Decimal(str(notional)) / Decimal(str(initial))).quantize(Decimal("0.01"))
    )
