"""Binance USDⓈ-M and COIN-M: symbol risk, quantiles, insurance pools, ADL fills."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from delever.watch.budget import Budget
from delever.watch.faults import MalformedError
from delever.watch.reading import (
    Fill,
    IndicatorReading,
    Pool,
    Position,
    Reading,
    Risk,
    Side,
    Wallet,
)
from delever.watch.scale import BINANCE, risk
from delever.watch.settings import Venue
from delever.watch.venues.adapter import Adapter, Deliver, Source, Stream
from delever.watch.venues.client import client, next_push
from delever.watch.venues.fields import Answer, each, number, rows, text, time_ms
from delever.watch.venues.positions import When, Words, position

WEIGHT_PER_MINUTE = 2_400
USED = "X-MBX-USED-WEIGHT-1M"
LISTS = {"/positionRisk": (), "/adlQuantile": ()}
ADL_ORDER = "adl_autoclose"
DAY_MS = 24 * 3_600_000

WORDS = Words(
    "symbol", "positionAmt", "entryPrice", "markPrice", "leverage", "maintMargin", "isolatedWallet"
)


def binance(venue: Venue, now_ms: Callable[[], int]) -> Adapter:
    """Return the adapter of USDⓈ-M futures."""
    held = _Binance(venue, client(venue, "binanceusdm", {}, LISTS), now_ms, "linear")
    public = (
        Source("symbol risk", venue.cadence.risk_ms, 1, held.risks, (Risk,)),
        Source("insurance pools", venue.cadence.pool_ms, 40, held.pools, (Pool,)),
    )
    return held.adapter(public)


def binance_coin(venue: Venue, now_ms: Callable[[], int]) -> Adapter:
    """Return the adapter of COIN-M futures, which have neither symbol risk nor pools."""
    return _Binance(venue, client(venue, "binancecoinm", {}, LISTS), now_ms, "inverse").adapter(())


@dataclass(frozen=True, slots=True)
class _Binance:
    venue: Venue
    api: Any
    now_ms: Callable[[], int]
    sub_type: Literal["linear", "inverse"]

    def adapter(self, public: tuple[Source, ...]) -> Adapter:
        cadence = self.venue.cadence
        private = (
            Source(
                "positions and indicators",
                cadence.indicator_ms,
                10,
                self.positions,
                (Position, IndicatorReading),
            ),
            Source("wallet", cadence.indicator_ms, 5, self.wallets, (Wallet,)),
            Source("ADL fills", cadence.fill_ms, 50, self.fills),
        )
        return Adapter(
            venue=self.venue.venue,
            rules="binance",
            keyed=self.venue.keyed,
            budget=Budget(WEIGHT_PER_MINUTE),
            sources=(*public, *(private if self.venue.keyed else ())),
            streams=(Stream("account stream", 0, self.listen),) if self.venue.keyed else (),
            close=self.api.close,
            set_clock=self.set_clock,
            headers=lambda: self.api.last_response_headers or {},
            used_weight=self._used,
        )

    def _used(self) -> int | None:
        for name, value in (self.api.last_response_headers or {}).items():
            if name.upper() == USED and str(value).isdigit():
                return int(value)
        return None

    async def set_clock(self) -> int:
        return -int(await self.api.load_time_difference())

    # --- public ---

    async def risks(self) -> Answer:
        came = self.now_ms()
        answer = await self.api.fapiPublicGetSymbolAdlRisk()
        return each(rows(answer), lambda row: self._risk(row, came))

    def _risk(self, row: Any, came: int) -> Iterator[Reading]:
        word = text(row, "adlRisk")
        level = risk(word)
        if level is None:
            raise MalformedError("adlRisk", word)
        yield Risk(
            venue=self.venue.venue,
            name=text(row, "symbol"),
            of_ms=time_ms(row, "updateTime"),
            came_ms=came,
            cadence_ms=self.venue.cadence.risk_ms,
            level=level,
            raw=word,
        )

    async def pools(self) -> Answer:
        came = self.now_ms()
        answer = await self.api.fapiPublicGetInsuranceBalance()
        return each(rows(answer), lambda row: self._pools(row, came), "symbols")

    def _pools(self, row: Any, came: int) -> Iterator[Reading]:
        members = tuple(sorted(map(str, rows(row, "symbols"))))
        for asset in rows(row, "assets"):
            yield Pool(
                venue=self.venue.venue,
                name=_called(members),
                of_ms=time_ms(asset, "updateTime"),
                came_ms=came,
                cadence_ms=self.venue.cadence.pool_ms,
                asset=text(asset, "asset"),
                balance=number(asset, "marginBalance"),
                members=members,
            )

    # --- the account's ---

    async def positions(self) -> Answer:
        """Return positions with their indicators: a indicator is by side, which the position knows."""
        listed = await self.api.fetch_positions(None, {"subType": self.sub_type})
        ranks = await self.api.fetch_positions_adl_rank(None, {"subType": self.sub_type})
        quantiles = {rank["info"].get("symbol"): rank["info"].get("adlQuantile") for rank in ranks}
        when = When(self.now_ms(), self.venue.cadence.indicator_ms)
        open_ = [row for row in listed if row.get("contracts")]
        return each(open_, lambda row: self._position(row, quantiles, when))._replace(of_ms=None)

    def _position(
        self, row: Mapping[str, Any], quantiles: Mapping[Any, Any], when: When
    ) -> Iterator[Reading]:
        held = position(self.venue.venue, row, self.api.market(row["symbol"]), WORDS, when)
        yield held
        raw = text(quantiles.get(held.name), held.side.upper() if held.hedged else "BOTH")
        indicator = BINANCE.indicator(raw)
        if indicator is None:
            raise MalformedError("adlQuantile", raw)
        yield IndicatorReading(
            venue=held.venue,
            name=held.name,
            of_ms=when.came_ms,
            came_ms=when.came_ms,
            cadence_ms=when.cadence_ms,
            side=held.side,
            indicator=indicator,
            raw=raw,
            scale=BINANCE.says,
        )

    async def wallets(self) -> Answer:
        answer = await self.api.fetch_balance({"subType": self.sub_type})
        came = self.now_ms()
        found = each(rows(answer["info"], "assets"), lambda row: self._wallet(row, came), "asset")
        return found._replace(of_ms=None)

    def _wallet(self, row: Any, came: int) -> Iterator[Reading]:
        yield Wallet(
            venue=self.venue.venue,
            name=text(row, "asset"),
            of_ms=came,
            came_ms=came,
            cadence_ms=self.venue.cadence.indicator_ms,
            balance=number(row, "crossWalletBalance"),
        )

    async def fills(self) -> Answer:
        """Return the ADL fills of the last seven days, or what the venue keeps of them."""
        past: dict[str, Callable[..., Awaitable[Any]]] = {
            "linear": self.api.fapiPrivateGetForceOrders,
            "inverse": self.api.dapiPrivateGetForceOrders,
        }
        answer = await past[self.sub_type]({"autoCloseType": "ADL", "limit": 100})
        came = self.now_ms()
        return each(rows(answer), lambda row: self._fill(row, came))._replace(of_ms=None)

    def _fill(self, row: Any, came: int) -> Iterator[Reading]:
        if text(row, "clientOrderId").startswith(ADL_ORDER):
            yield Fill(
                venue=self.venue.venue,
                name=text(row, "symbol"),
                of_ms=time_ms(row, "time"),
                came_ms=came,
                cadence_ms=self.venue.cadence.fill_ms,
                fill=text(row, "orderId"),
                side=_closed_side(row, "side", "positionSide"),
                quantity=number(row, "executedQty"),
                price=number(row, "avgPrice"),
            )

    async def listen(self, deliver: Deliver) -> None:
        """Hand on what the account stream tells of ADL, until it drops.

        ccxt keeps a listen key for as long as it is valid by the clock; a venue that has restarted
        knows it no longer. So each time the stream is opened, ccxt has to ask for a new one.
        """
        kept = self.api.options.get("future" if self.sub_type == "linear" else "delivery")
        if isinstance(kept, dict):
            kept["lastAuthenticatedTime"] = 0
        self.api.broken = None
        while True:
            coming = self.api.watch_orders(None, None, None, {"subType": self.sub_type})
            for order in await next_push(self.api, coming):
                raw = order.get("info") or {}
                if str(raw.get("c", "")).startswith(ADL_ORDER) and raw.get("X") != "NEW":
                    deliver([self._told(raw)])

    def _told(self, raw: Mapping[str, Any]) -> Fill:
        return Fill(
            venue=self.venue.venue,
            name=text(raw, "s"),
            of_ms=time_ms(raw, "T"),
            came_ms=self.now_ms(),
            cadence_ms=self.venue.cadence.fill_ms,
            fill=text(raw, "i"),
            side=_closed_side(raw, "S", "ps"),
            quantity=number(raw, "z"),
            price=number(raw, "ap"),
        )


def _closed_side(row: Mapping[str, Any], order: str, held: str) -> Side:
    """Return the side of the position that an order closed."""
    match row.get(held), text(row, order):
        case ("LONG", _) | ("BOTH" | None, "SELL"):
            return "long"
        case ("SHORT", _) | ("BOTH" | None, "BUY"):
            return "short"
    raise MalformedError(held, row.get(held))


def _called(members: tuple[str, ...]) -> str:
    """Return a name for a pool that has none: its first contract, and how many more."""
    first, more = (members[0] if members else "empty"), len(members) - 1
    return f"{first} +{more}" if more > 0 else first
