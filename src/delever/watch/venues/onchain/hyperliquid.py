"""Hyperliquid: an address's positions, margin and ADL fills, from the public info endpoint.

Public are the positions, the account value and the fills of any address, so the score by the
documented formula is exact. Not public is the queue: a place in it is computed against a supplied
book (`position_book`). Assumed: an ADL fill's `dir` is "Auto-Deleveraging", as in the venue's
records of October 2025; its documentation lists no values.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from delever.watch.market_data.errors import MalformedAnswerError
from delever.watch.market_data.observations import (
    FillObservation,
    Observation,
    PositionObservation,
    QueuePlaceObservation,
    Side,
    WalletObservation,
)
from delever.watch.settings import WatchedVenue
from delever.watch.venues.adapter import Deliver, PolledSource, StreamSource, VenueAdapter
from delever.watch.venues.answers import (
    ParsedAnswer,
    number,
    optional,
    parse_rows,
    rows,
    text,
    time_ms,
)
from delever.watch.venues.client import next_push, set_up, with_channels
from delever.watch.venues.onchain.position_book import PositionBook, open_position_book
from delever.watch.venues.request_budget import RequestBudget

WEIGHT_PER_MINUTE = 1_200
STATE_WEIGHT, FILLS_WEIGHT = 2, 120
"""2 a state; 20 and one for each 20 of at most 2,000 fills."""

ADL = "Auto-Deleveraging"
CHANNEL = "userFills"  # as it comes, without ccxt's markets
SETTLE = "USDC"
MARK_UNIT = Decimal("0.000001")
"""A perpetual's price has at most 6 decimals."""

OWN_BANKRUPTCY = "this account was the bankrupt one, closed against accounts in profit"


def hyperliquid(venue: WatchedVenue, now_ms: Callable[[], int]) -> VenueAdapter:
    """Return the adapter of an address on Hyperliquid; ConfigError for an unusable book."""
    import ccxt.pro  # type: ignore[import-untyped] # noqa: PLC0415 - slow to import

    kind = with_channels(ccxt.pro.hyperliquid, (CHANNEL,), lambda message: message.get("channel"))
    exchange = set_up(kind, venue, {}, {})
    rules, refresh = venue.rules or "hyperliquid", venue.refresh
    book = open_position_book(venue.book, rules) if venue.book else None
    api = _Hyperliquid(venue, exchange, now_ms, venue.address.lower(), book)
    state = PolledSource(
        "positions", refresh.indicator_ms, STATE_WEIGHT, api.state, (PositionObservation,)
    )
    fills = PolledSource("ADL fills", refresh.fill_ms, FILLS_WEIGHT, api.fills)
    place = PolledSource(
        "place in the book",
        refresh.indicator_ms,
        STATE_WEIGHT,
        api.places,
        (QueuePlaceObservation,),
    )
    return VenueAdapter(
        venue="hyperliquid",
        rules=rules,
        keyed=True,
        budget=RequestBudget(WEIGHT_PER_MINUTE),
        sources=(state, fills, *((place,) if book else ())),
        streams=(StreamSource("fill stream", 0, api.listen, "ADL fills"),),
        close=exchange.close,
        headers=lambda: exchange.last_response_headers or {},
        has_indicators=False,
    )


@dataclass(frozen=True, slots=True)
class _Hyperliquid:
    venue: WatchedVenue
    exchange: Any
    now_ms: Callable[[], int]
    address: str
    book: PositionBook | None
    equities: dict[str, Decimal] = field(default_factory=dict)
    """The equity of each position's margin, by contract."""

    async def _info(self, kind: str) -> Any:
        return await self.exchange.publicPostInfo({"type": kind, "user": self.address})

    # --- positions and margin ---

    async def state(self) -> ParsedAnswer:
        """Return the positions, and the cross wallet without unrealized PnL."""
        answer = await self._info("clearinghouseState")
        return self._state(answer)

    def _state(self, answer: Any) -> ParsedAnswer:
        sent_ms = time_ms(answer, "time")
        listed = rows(answer, "assetPositions")
        parsed = parse_rows(listed, partial(self._position, sent_ms=sent_ms), "type")
        cross = number(answer.get("crossMarginSummary"), "accountValue")
        positions = [p for p in parsed.observations if isinstance(p, PositionObservation)]
        self.equities.clear()
        for position in positions:
            isolated = (position.margin or Decimal(0)) + _pnl(position)
            self.equities[position.name] = isolated if position.isolated else cross
        wallet = () if parsed.malformed else (self._wallet(cross, positions, sent_ms),)
        return parsed._replace(observations=(*parsed.observations, *wallet)).without_time()

    def _wallet(
        self, cross: Decimal, positions: Sequence[PositionObservation], sent_ms: int
    ) -> WalletObservation:
        """Return the cross account's value without its unrealized PnL, which needs every row."""
        pnl = sum((_pnl(p) for p in positions if not p.isolated), Decimal(0))
        return WalletObservation(
            venue="hyperliquid",
            name=SETTLE,
            venue_time_ms=sent_ms,
            received_ms=self.now_ms(),
            refresh_ms=self.venue.refresh.indicator_ms,
            balance=cross - pnl,
        )

    def _position(self, listed: Any, sent_ms: int) -> Iterator[Observation]:
        row = listed.get("position") if isinstance(listed, Mapping) else None
        if not isinstance(row, Mapping):
            raise MalformedAnswerError("position", row)
        size, leverage = number(row, "szi"), row.get("leverage")
        entry, value = number(row, "entryPx"), number(row, "positionValue")
        isolated = text(leverage, "type") == "isolated"
        max_leverage = optional(row, "maxLeverage")
        if not size:
            return
        yield PositionObservation(
            venue="hyperliquid",
            name=text(row, "coin"),
            venue_time_ms=sent_ms,
            received_ms=self.now_ms(),
            refresh_ms=self.venue.refresh.indicator_ms,
            side="long" if size > 0 else "short",
            quantity=abs(size),
            multiplier=Decimal(1),
            entry_price=entry,
            mark=(value / abs(size)).quantize(MARK_UNIT),
            leverage=number(leverage, "value"),
            isolated=isolated,
            margin=number(leverage, "rawUsd") + size * entry if isolated else None,
            maintenance=value / (2 * max_leverage) if max_leverage else None,
            settle=SETTLE,
            inverse=False,
            hedged=False,
        )

    async def places(self) -> ParsedAnswer:
        """Return each position's place in the supplied book, at the present marks."""
        answer = await self.state()
        places = []
        for position in answer.observations:
            if isinstance(position, PositionObservation) and self.book is not None:
                equity = self.equities[position.name]
                place = self.book.place
                places.append(await asyncio.to_thread(place, position, self.address, equity))
        return ParsedAnswer(tuple(places))

    # --- fills ---

    async def fills(self) -> ParsedAnswer:
        """Return the ADL fills among the address's last 2,000 fills."""
        answer = await self._info("userFills")
        return parse_rows(rows(answer), self._fill, "coin").without_time()

    def _fill(self, row: Any) -> Iterator[Observation]:
        if text(row, "dir") == ADL:
            liquidation = row.get("liquidation") or {}
            bankrupt = str(liquidation.get("liquidatedUser", "")).lower() == self.address
            yield FillObservation(
                venue="hyperliquid",
                name=text(row, "coin"),
                venue_time_ms=time_ms(row, "time"),
                received_ms=self.now_ms(),
                refresh_ms=self.venue.refresh.fill_ms,
                fill=text(row, "tid"),
                side=_closed_side(text(row, "side")),
                quantity=number(row, "sz"),
                price=number(row, "px"),
                realized_pnl=optional(row, "closedPnl"),
                settle=SETTLE,
                mark=optional(liquidation, "markPx"),
                why=OWN_BANKRUPTCY if bankrupt else "",
            )

    async def listen(self, deliver: Deliver) -> None:
        """Deliver the ADL fills of the address; the first push has the past ones."""
        url = self.exchange.urls["api"]["ws"]["public"]
        subscription = {"type": CHANNEL, "user": self.address}
        request = {"method": "subscribe", "subscription": subscription}
        self.exchange.broken = None
        while True:
            await next_push(self.exchange, self.exchange.watch(url, CHANNEL, request, CHANNEL))
            while self.exchange.pushed[CHANNEL]:
                push = self.exchange.pushed[CHANNEL].popleft()
                parsed = parse_rows(rows(push, "data", "fills"), self._fill, "coin")
                deliver(parsed.observations)
                if parsed.malformed:
                    raise MalformedAnswerError(CHANNEL, parsed.malformed[0])


def _pnl(position: PositionObservation) -> Decimal:
    change = position.mark - position.entry_price
    return position.quantity * (change if position.side == "long" else -change)


def _closed_side(order_side: str) -> Side:
    """Return the closed side by the fill's: A is an ask, which closes a long, B a bid."""
    match order_side:
        case "A":
            return "long"
        case "B":
            return "short"
    raise MalformedAnswerError("side", order_side)
