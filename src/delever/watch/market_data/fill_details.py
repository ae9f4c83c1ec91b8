"""What an ADL fill has cost, from the numbers read last: mark, realized PnL, haircut, and why.

A venue announces price and quantity, sometimes the realized PnL. The rest is computed from the
position as it was read before the fill, so its mark may be as old as the venue's refresh interval.
"""

from decimal import Decimal

from msgspec import structs

from delever.watch.market_data.observations import (
    FillObservation,
    IndicatorObservation,
    PositionObservation,
)

MIN_MARK_AGE_MS = 1_000


def with_details(
    fill: FillObservation,
    position: PositionObservation | None,
    indicator: IndicatorObservation | None,
    score: str,
    place: str = "",
) -> FillObservation:
    """Return a fill with mark, realized PnL, haircut and the reason, as far as they are known.

    `place` is the position's place in the queue, `score` its score under the venue's rules, both as
    text. The venue's own mark precedes the position's. The haircut is what the fill lost against
    the mark; negative where the fill was at a better price.
    """
    parts = (fill.why, _indicator_text(indicator, fill), place, score)
    why = "; ".join(part for part in parts if part)
    mark = fill.mark or (None if position is None else position.mark)
    if position is None or fill.price is None or not fill.price or not mark:
        return structs.replace(fill, why=why)
    at_price = pnl(position, fill.quantity, fill.price)
    at_mark = pnl(position, fill.quantity, mark)
    return structs.replace(
        fill,
        mark=mark,
        mark_time_ms=position.received_ms if fill.mark is None else fill.venue_time_ms,
        settle=position.settle,
        realized_pnl=at_price if fill.realized_pnl is None else fill.realized_pnl,
        haircut=at_mark - at_price,
        why=why,
    )


def pnl(position: PositionObservation, quantity: Decimal, price: Decimal) -> Decimal:
    """Return the PnL of a part of a position at a price, in its settle asset."""
    size = quantity * position.multiplier
    sign = 1 if position.side == "long" else -1
    if position.inverse:
        return sign * size * (1 / position.entry_price - 1 / price)
    return sign * size * (price - position.entry_price)


def _indicator_text(indicator: IndicatorObservation | None, fill: FillObservation) -> str:
    if indicator is None:
        return ""
    seconds = max(0, fill.venue_time_ms - indicator.received_ms) // 1000
    place = "first in the queue" if indicator.indicator == 5 else "1 is last, 5 first"
    return f"indicator {indicator.indicator} of 5 ({place}) {seconds} s before"


def summary(fill: FillObservation) -> str:
    """Return a fill's details in one line, "" without any."""
    parts = []
    if fill.mark is not None:
        parts.append(f"mark {_plain(fill.mark)}{_mark_age(fill)}")
    if fill.realized_pnl is not None:
        parts.append(f"realized PnL {_money(fill.realized_pnl)} {fill.settle}".rstrip())
    if fill.haircut is not None:
        parts.append(f"haircut {_money(fill.haircut)} {fill.settle}")
    if fill.orders_cancelled:
        parts.append(f"{fill.orders_cancelled} orders cancelled")
    return ", ".join(parts)


def _mark_age(fill: FillObservation) -> str:
    """Return how long before the fill its mark was read, "" if at most a second."""
    if fill.mark_time_ms is None or fill.venue_time_ms - fill.mark_time_ms < MIN_MARK_AGE_MS:
        return ""
    return f" ({(fill.venue_time_ms - fill.mark_time_ms) // 1000} s before)"


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _money(amount: Decimal) -> str:
    return _plain(amount.quantize(Decimal("0.00000001"))) if amount else "0"
