"""Binance USDⓈ-M and COIN-M: symbol ADL risk, ADL quantiles, insurance pools, ADL fills."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from delever.watch.market_data.errors import MalformedAnswerError
from delever.watch.market_data.indicator_scale import BINANCE, parse_risk
from delever.watch.market_data.observations import (
    CancelledOrderObservation,
    FillObservation,
    IndicatorObservation,
    Observation,
    PoolObservation,
    PositionObservation,
    RiskObservation,
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
from delever.watch.venues.client import client, next_push
from delever.watch.venues.exchanges.positions import (
    PositionFields,
    Receipt,
    open_rows,
    parse_indicator,
    parse_position,
)
from delever.watch.venues.request_budget import RequestBudget

WEIGHT_PER_MINUTE = 2_400
USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"
LISTS = {"/positionRisk": (), "/adlQuantile": ()}
ADL_ORDER = "adl_autoclose"
CANCELLED = ("CANCELED", "EXPIRED")
LISTEN_KEY_OPTIONS = {"linear": ("linear", "future"), "inverse": ("inverse", "delivery")}
"""The options in which newer and older releases of ccxt store a listen key, by sub-type."""

FIELDS = PositionFields(
    "symbol", "positionAmt", "entryPrice", "markPrice", "leverage", "maintMargin", "isolatedWallet"
)


def binance(venue: WatchedVenue, now_ms: Callable[[], int]) -> VenueAdapter:
    """Return the adapter of USDⓈ-M futures."""
    api = _Binance(venue, _exchange(venue, "binanceusdm"), now_ms, "linear")
    refresh = venue.refresh
    public = (
        PolledSource("symbol risk", refresh.risk_ms, 1, api.risks, (RiskObservation,)),
        PolledSource("insurance pools", refresh.pool_ms, 40, api.pools, (PoolObservation,)),
    )
    return api.adapter(public)


def binance_coin(venue: WatchedVenue, now_ms: Callable[[], int]) -> VenueAdapter:
    """Return the adapter of COIN-M futures, which have neither symbol risk nor pools."""
    return _Binance(venue, _exchange(venue, "binancecoinm"), now_ms, "inverse").adapter(())


def _exchange(venue: WatchedVenue, name: str) -> Any:
    """Return ccxt's object of an exchange, which does not pace requests: the budget limits them.

    ccxt would wait 2.5 s after each request of weight 50; positions would appear 7 s late.
    """
    exchange = client(venue, name, {}, LISTS)
    exchange.enableRateLimit = False
    return exchange


@dataclass(frozen=True, slots=True)
class _Binance:
    venue: WatchedVenue
    exchange: Any
    now_ms: Callable[[], int]
    sub_type: Literal["linear", "inverse"]

    def adapter(self, public: tuple[PolledSource, ...]) -> VenueAdapter:
        refresh = self.venue.refresh
        private = (
            PolledSource(
                "positions and indicators",
                refresh.indicator_ms,
                10,
                self.positions,
                (PositionObservation, IndicatorObservation),
            ),
            PolledSource("wallet", refresh.indicator_ms, 5, self.wallets, (WalletObservation,)),
            PolledSource("ADL fills", refresh.fill_ms, 50, self.fills),
        )
        account = StreamSource("account stream", 0, self.listen, "ADL fills")
        return VenueAdapter(
            venue=self.venue.venue,
            rules=self.venue.rules or "binance",
            keyed=self.venue.keyed,
            budget=RequestBudget(WEIGHT_PER_MINUTE),
            sources=(*public, *(private if self.venue.keyed else ())),
            streams=(account,) if self.venue.keyed else (),
            close=self.exchange.close,
            set_clock=self.set_clock,
            headers=lambda: self.exchange.last_response_headers or {},
            used_weight=self._used_weight,
        )

    def _used_weight(self) -> int | None:
        for name, value in (self.exchange.last_response_headers or {}).items():
            if name.upper() == USED_WEIGHT and str(value).isdigit():
                return int(value)
        return None

    async def set_clock(self) -> int:
        return -int(await self.exchange.load_time_difference())

    # --- public ---

    async def risks(self) -> ParsedAnswer:
        received_ms = self.now_ms()
        answer = await self.exchange.fapiPublicGetSymbolAdlRisk()
        return parse_rows(rows(answer), lambda row: self._risk(row, received_ms))

    def _risk(self, row: Any, received_ms: int) -> Iterator[Observation]:
        label = text(row, "adlRisk")
        level = parse_risk(label)
        if level is None:
            raise MalformedAnswerError("adlRisk", label)
        yield RiskObservation(
            venue=self.venue.venue,
            name=text(row, "symbol"),
            venue_time_ms=time_ms(row, "updateTime"),
            received_ms=received_ms,
            refresh_ms=self.venue.refresh.risk_ms,
            level=level,
            raw=label,
        )

    async def pools(self) -> ParsedAnswer:
        received_ms = self.now_ms()
        answer = await self.exchange.fapiPublicGetInsuranceBalance()
        return parse_rows(rows(answer), lambda row: self._pools(row, received_ms), "symbols")

    def _pools(self, row: Any, received_ms: int) -> Iterator[Observation]:
        members = tuple(sorted(map(str, rows(row, "symbols"))))
        for asset in rows(row, "assets"):
            yield PoolObservation(
                venue=self.venue.venue,
                name=_pool_name(members),
                venue_time_ms=time_ms(asset, "updateTime"),
                received_ms=received_ms,
                refresh_ms=self.venue.refresh.pool_ms,
                asset=text(asset, "asset"),
                balance=number(asset, "marginBalance"),
                members=members,
            )

    # --- private ---

    async def positions(self) -> ParsedAnswer:
        """Return positions with their indicators; Binance lists quantiles by symbol and side."""
        sub_type = {"subType": self.sub_type}
        listed = await self.exchange.fetch_positions(None, sub_type)
        ranks = await self.exchange.fetch_positions_adl_rank(None, sub_type)
        quantiles = {rank["info"].get("symbol"): rank["info"].get("adlQuantile") for rank in ranks}
        receipt = Receipt(self.now_ms(), self.venue.refresh.indicator_ms)
        held = open_rows(listed, FIELDS.quantity)
        return parse_rows(held, lambda row: self._position(row, quantiles, receipt)).without_time()

    def _position(
        self, row: Mapping[str, Any], quantiles: Mapping[Any, Any], receipt: Receipt
    ) -> Iterator[Observation]:
        market = self.exchange.market(row["symbol"])
        position = parse_position(self.venue.venue, row, market, FIELDS, receipt)
        yield position
        side = position.side.upper() if position.hedged else "BOTH"
        raw = text(quantiles.get(position.name), side)
        yield parse_indicator(position, raw, "adlQuantile", BINANCE, receipt)

    async def wallets(self) -> ParsedAnswer:
        answer = await self.exchange.fetch_balance({"subType": self.sub_type})
        received_ms = self.now_ms()
        assets = rows(answer["info"], "assets")
        return parse_rows(
            assets, lambda row: self._wallet(row, received_ms), "asset"
        ).without_time()

    def _wallet(self, row: Any, received_ms: int) -> Iterator[Observation]:
        yield WalletObservation(
            venue=self.venue.venue,
            name=text(row, "asset"),
            venue_time_ms=received_ms,
            received_ms=received_ms,
            refresh_ms=self.venue.refresh.indicator_ms,
            balance=number(row, "crossWalletBalance"),
        )

    async def fills(self) -> ParsedAnswer:
        """Return the ADL fills of the last seven days, or as many as the venue lists."""
        endpoints: dict[str, Callable[..., Awaitable[Any]]] = {
            "linear": self.exchange.fapiPrivateGetForceOrders,
            "inverse": self.exchange.dapiPrivateGetForceOrders,
        }
        answer = await endpoints[self.sub_type]({"autoCloseType": "ADL", "limit": 100})
        received_ms = self.now_ms()
        return parse_rows(rows(answer), lambda row: self._fill(row, received_ms)).without_time()

    def _fill(self, row: Any, received_ms: int) -> Iterator[Observation]:
        if text(row, "clientOrderId").startswith(ADL_ORDER):
            yield FillObservation(
                venue=self.venue.venue,
                name=text(row, "symbol"),
                venue_time_ms=time_ms(row, "time"),
                received_ms=received_ms,
                refresh_ms=self.venue.refresh.fill_ms,
                fill=text(row, "orderId"),
                side=_closed_side(row, "side", "positionSide"),
                quantity=number(row, "executedQty"),
                price=number(row, "avgPrice"),
            )

    async def listen(self, deliver: Deliver) -> None:
        """Deliver the ADL fills of the account stream until it drops.

        ccxt reuses a listen key for its validity by the clock, but a restarted venue does not know
        it any more; so ccxt requests a new one each time the stream is opened.
        """
        for name in LISTEN_KEY_OPTIONS[self.sub_type]:
            options = self.exchange.options.get(name)
            if isinstance(options, dict):
                options["lastAuthenticatedTime"] = 0
        self.exchange.broken = None
        while True:
            coming = self.exchange.watch_orders(None, None, None, {"subType": self.sub_type})
            for order in await next_push(self.exchange, coming):
                raw = order.get("info") or {}
                if raw.get("X") in CANCELLED:
                    deliver([self._cancelled(raw)])
                elif str(raw.get("c", "")).startswith(ADL_ORDER) and raw.get("X") != "NEW":
                    deliver([self._pushed_fill(raw)])

    def _cancelled(self, raw: Mapping[str, Any]) -> CancelledOrderObservation:
        return CancelledOrderObservation(
            venue=self.venue.venue,
            name=text(raw, "s"),
            venue_time_ms=time_ms(raw, "T"),
            received_ms=self.now_ms(),
            refresh_ms=self.venue.refresh.fill_ms,
            order=text(raw, "i"),
        )

    def _pushed_fill(self, raw: Mapping[str, Any]) -> FillObservation:
        return FillObservation(
            venue=self.venue.venue,
            name=text(raw, "s"),
            venue_time_ms=time_ms(raw, "T"),
            received_ms=self.now_ms(),
            refresh_ms=self.venue.refresh.fill_ms,
            fill=text(raw, "i"),
            side=_closed_side(raw, "S", "ps"),
            quantity=number(raw, "z"),
            price=number(raw, "ap"),
            realized_pnl=optional(raw, "rp"),
        )


def _closed_side(row: Mapping[str, Any], order_field: str, position_field: str) -> Side:
    """Return the side of the position that an order closed."""
    match row.get(position_field), text(row, order_field):
        case ("LONG", _) | ("BOTH" | None, "SELL"):
            return "long"
        case ("SHORT", _) | ("BOTH" | None, "BUY"):
            return "short"
    raise MalformedAnswerError(position_field, row.get(position_field))


def _pool_name(members: tuple[str, ...]) -> str:
    """Return a name for an unnamed pool: its first contract, and the number of others."""
    first, more = (members[0] if members else "empty"), len(members) - 1
    return f"{first} +{more}" if more > 0 else first
