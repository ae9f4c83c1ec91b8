"""A position of ccxt as a reading: its sides and modes by ccxt's words, its numbers as the venue's.

ccxt's own numbers are floats; the row that it was made from holds the text that the venue sent.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from delever.watch.faults import MalformedError
from delever.watch.reading import Position, Side
from delever.watch.venues.fields import number, optional, text


class Words(NamedTuple):
    """What a venue calls the numbers of a position; `initial` stands in for an empty margin."""

    name: str
    quantity: str
    entry: str
    mark: str
    leverage: str
    maintenance: str
    margin: str
    initial: str = ""


class When(NamedTuple):
    """When an answer came, and how often the venue renews it."""

    came_ms: int
    cadence_ms: int


def position(
    venue: str, row: Mapping[str, Any], market: Mapping[str, Any], words: Words, when: When
) -> Position:
    """Return a position; MalformedError names the field that is missing or cannot be read."""
    raw = row["info"]
    isolated = _isolated(row, raw, words)
    return Position(
        venue=venue,
        name=text(raw, words.name),
        of_ms=when.came_ms,
        came_ms=when.came_ms,
        cadence_ms=when.cadence_ms,
        side=side_of(row),
        quantity=abs(number(raw, words.quantity)),
        multiplier=Decimal(str(market.get("contractSize") or 1)),
        entry_price=number(raw, words.entry),
        mark=number(raw, words.mark),
        leverage=_leverage(row, raw, words),
        isolated=isolated,
        margin=_margin(raw, words) if isolated else None,
        maintenance=optional(raw, words.maintenance),
        settle=str(market["settle"]),
        inverse=bool(market["inverse"]),
        hedged=bool(row.get("hedged")),
    )


def side_of(row: Mapping[str, Any]) -> Side:
    """Return the side of ccxt's position; MalformedError where it has none."""
    match row.get("side"):
        case "long":
            return "long"
        case "short":
            return "short"
    raise MalformedError("side", row.get("side"))


def _isolated(row: Mapping[str, Any], raw: Mapping[str, Any], words: Words) -> bool:
    """Return whether ccxt, or where it does not say the venue's own row, calls it isolated."""
    mode = row.get("marginMode")
    if mode is None:
        return str(raw.get("tradeMode")) == "1" and bool(optional(raw, words.margin))
    return str(mode) == "isolated"


def _margin(raw: Mapping[str, Any], words: Words) -> Decimal | None:
    """Return an isolated position's margin, or the least that it can be: its initial margin."""
    return optional(raw, words.margin) or optional(raw, words.initial)


def _leverage(row: Mapping[str, Any], raw: Mapping[str, Any], words: Words) -> Decimal | None:
    """Return the leverage that is set, or where the row has none what initial margin says."""
    told = optional(raw, words.leverage)
    if told is not None and told > 0:
        return told
    notional, initial = row.get("notional"), row.get("initialMargin")
    if not notional or not initial:
        return None
    return max(
        Decimal(1), (Decimal(str(notional)) / Decimal(str(initial))).quantize(Decimal("0.01"))
    )
