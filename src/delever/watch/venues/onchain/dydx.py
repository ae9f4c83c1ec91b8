"""dYdX v4: an address's positions and ADL fills, eligibility and distances, from the indexer.

Public are the subaccounts and the fills of any address. There is no ranking: when an account is
bankrupt and its liquidation fills nothing, positions of the other side are tried from a
pseudo-random start, and one is skipped only if the fill would leave its account with negative
collateral. So the watch displays from which fill price on that is so, and how near the account is
to its own liquidation. Assumed: that the indexer's oracle prices are those of the chain's next
block.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from delever.watch.market_data.errors import MalformedAnswerError
from delever.watch.market_data.observations import (
    EligibilityObservation,
    FillObservation,
    Observation,
    PositionObservation,
    Side,
)
from delever.watch.settings import PARENT_SUBACCOUNTS, WatchedVenue
from delever.watch.venues.adapter import Deliver, PolledSource, StreamSource, VenueAdapter
from delever.watch.venues.answers import ParsedAnswer, merge, number, parse_rows, rows, text
from delever.watch.venues.client import next_push, set_up, with_channels
from delever.watch.venues.request_budget import RequestBudget

REQUESTS, WINDOW_MS = 100, 10_000
CHANNEL = "v4_parent_subaccounts"  # ccxt has the channel of one subaccount only
SETTLE = "USDC"
FILL_TYPES = {
    "OFFSETTING": "",
    "DELEVERAGED": "this account was the bankrupt one, closed against accounts of the other side",
}
"""The types of deleveraging fills: of the other side's account, and of the bankrupt account."""


def dydx(venue: WatchedVenue, now_ms: Callable[[], int]) -> VenueAdapter:
    """Return the adapter of an address on dYdX v4."""
    import ccxt.pro  # type: ignore[import-untyped] # noqa: PLC0415 - slow to import

    kind = with_channels(ccxt.pro.dydx, (CHANNEL,), lambda message: message.get("channel"))
    exchange = set_up(kind, venue, {}, {})
    api = _Dydx(venue, exchange, now_ms)
    refresh = venue.refresh
    kinds = (PositionObservation, EligibilityObservation)
    return VenueAdapter(
        venue="dydx",
        rules=venue.rules or "dydx",
        keyed=True,
        budget=RequestBudget(REQUESTS, WINDOW_MS),
        sources=(
            PolledSource("positions", refresh.indicator_ms, 2, api.positions, kinds),
            PolledSource("ADL fills", refresh.fill_ms, 1, api.fills),
        ),
        streams=(StreamSource("fill stream", 0, api.listen, "ADL fills"),),
        close=exchange.close,
        headers=lambda: exchange.last_response_headers or {},
        has_indicators=False,
    )


@dataclass(frozen=True, slots=True)
class _Holding:
    """A position of a subaccount, valued at the oracle price."""

    row: Mapping[str, Any]
    name: str
    size: Decimal
    oracle: Decimal
    maintenance_rate: Decimal
    status: str

    @property
    def value(self) -> Decimal:
        return self.size * self.oracle

    @property
    def maintenance(self) -> Decimal:
        return abs(self.value) * self.maintenance_rate


@dataclass(frozen=True, slots=True)
class _Dydx:
    venue: WatchedVenue
    exchange: Any
    now_ms: Callable[[], int]

    # --- positions ---

    async def positions(self) -> ParsedAnswer:
        """Return the positions of the parent subaccount and its children, with eligibility."""
        markets = (await self.exchange.indexerGetPerpetualMarkets()).get("markets")
        if not isinstance(markets, Mapping):
            raise MalformedAnswerError("markets", markets)
        query = {"address": self.venue.address, "number": self.venue.subaccount}
        answer = await self.exchange.indexerGetAddressesAddressParentSubaccountNumberNumber(query)
        children = rows(answer, "subaccount", "childSubaccounts")
        return merge(self._subaccount(row, markets) for row in children).without_time()

    def _subaccount(self, row: Any, markets: Mapping[str, Any]) -> ParsedAnswer:
        subaccount = int(number(row, "subaccountNumber"))
        listed = [*_mapping(row, "openPerpetualPositions").values()]
        malformed: list[str] = []
        holdings: list[_Holding] = []
        for position in listed:
            try:
                holdings.append(_holding(position, subaccount, markets))
            except MalformedAnswerError as error:
                malformed.append(f"subaccount {subaccount}: {error}")
        equity = _quote(row) + sum((h.value for h in holdings), Decimal(0))
        maintenance = sum((h.maintenance for h in holdings), Decimal(0))
        observations: list[Observation] = []
        for holding in holdings:
            observations.append(self._position(holding))
            if not malformed:  # the equity is known only with every position
                observations.append(self._eligibility(holding, equity, maintenance))
        return ParsedAnswer(tuple(observations), None, tuple(malformed))

    def _position(self, holding: _Holding) -> PositionObservation:
        now = self.now_ms()
        return PositionObservation(
            venue="dydx",
            name=holding.name,
            venue_time_ms=now,
            received_ms=now,
            refresh_ms=self.venue.refresh.indicator_ms,
            side=_side(holding),
            quantity=abs(holding.size),
            multiplier=Decimal(1),
            entry_price=number(holding.row, "entryPrice"),
            mark=holding.oracle,
            leverage=None,
            isolated=False,
            margin=None,
            maintenance=holding.maintenance,
            settle=SETTLE,
            inverse=False,
            hedged=False,
        )

    def _eligibility(
        self, holding: _Holding, equity: Decimal, maintenance: Decimal
    ) -> EligibilityObservation:
        now = self.now_ms()
        limit = holding.oracle - equity / holding.size
        return EligibilityObservation(
            venue="dydx",
            name=holding.name,
            venue_time_ms=now,
            received_ms=now,
            refresh_ms=self.venue.refresh.indicator_ms,
            side=_side(holding),
            eligible=equity >= 0,
            equity=equity,
            maintenance=maintenance,
            price_limit=limit if limit > 0 else None,
            liquidation_move=_liquidation_move(holding, equity, maintenance),
            status=holding.status,
        )

    # --- fills ---

    async def fills(self) -> ParsedAnswer:
        """Return the deleveraging fills among the parent subaccount's last 100 fills."""
        query = {
            "address": self.venue.address,
            "parentSubaccountNumber": self.venue.subaccount,
            "limit": 100,
        }
        answer = await self.exchange.indexerGetFillsParentSubaccountNumber(query)
        return parse_rows(rows(answer, "fills"), self._fill, "market").without_time()

    def _fill(self, row: Any) -> Iterator[Observation]:
        why = FILL_TYPES.get(text(row, "type"))
        if why is not None:
            market = row.get("market") or row.get("ticker")
            yield FillObservation(
                venue="dydx",
                name=_name(text({"market": market}, "market"), int(row.get("subaccountNumber", 0))),
                venue_time_ms=_iso_ms(text(row, "createdAt")),
                received_ms=self.now_ms(),
                refresh_ms=self.venue.refresh.fill_ms,
                fill=text(row, "id"),
                side=_closed_side(text(row, "side")),
                quantity=number(row, "size"),
                price=number(row, "price"),
                settle=SETTLE,
                why=why,
            )

    async def listen(self, deliver: Deliver) -> None:
        """Deliver the deleveraging fills of the parent subaccount until the stream drops."""
        url = self.exchange.urls["api"]["ws"]
        name = f"{self.venue.address}/{self.venue.subaccount}"
        request = {"type": "subscribe", "channel": CHANNEL, "id": name, "batched": False}
        self.exchange.broken = None
        while True:
            await next_push(self.exchange, self.exchange.watch(url, CHANNEL, request, CHANNEL))
            while self.exchange.pushed[CHANNEL]:
                contents = self.exchange.pushed[CHANNEL].popleft().get("contents")
                pushed = contents.get("fills") if isinstance(contents, Mapping) else None
                parsed = parse_rows(pushed or (), self._fill, "market")
                deliver(parsed.observations)
                if parsed.malformed:
                    raise MalformedAnswerError(CHANNEL, parsed.malformed[0])


def _holding(row: Any, subaccount: int, markets: Mapping[str, Any]) -> _Holding:
    name = text(row, "market")
    market = markets.get(name)
    size = abs(number(row, "size"))
    match text(row, "side"):
        case "LONG":
            pass
        case "SHORT":
            size = -size
        case other:
            raise MalformedAnswerError("side", other)
    if not size:
        raise MalformedAnswerError("size", "0")
    return _Holding(
        row=row,
        name=_name(name, subaccount),
        size=size,
        oracle=number(market, "oraclePrice"),
        maintenance_rate=number(market, "maintenanceMarginFraction"),
        status=text(market, "status"),
    )


def _liquidation_move(holding: _Holding, equity: Decimal, maintenance: Decimal) -> Decimal | None:
    """Return the relative move of one oracle price at which equity equals maintenance margin.

    Against the position only: a long falls, a short rises. None if no such move exists.
    """
    slope = holding.value - holding.maintenance  # of equity less maintenance, by the relative move
    move = -(equity - maintenance) / slope if slope else Decimal(0)
    against = move < 0 if holding.size > 0 else move > 0
    return move if against and move > -1 else None


def _quote(row: Any) -> Decimal:
    """Return a subaccount's balance of USDC, negative if it is owed."""
    usdc = _mapping(row, "assetPositions").get(SETTLE)
    if usdc is None:
        return Decimal(0)
    size = abs(number(usdc, "size"))
    return -size if text(usdc, "side") == "SHORT" else size


def _mapping(row: Any, name: str) -> Mapping[str, Any]:
    found = row.get(name) if isinstance(row, Mapping) else None
    if not isinstance(found, Mapping):
        raise MalformedAnswerError(name, found)
    return found


def _name(market: str, subaccount: int) -> str:
    """Return a market's name; an isolated position's has the number of its subaccount."""
    return market if subaccount < PARENT_SUBACCOUNTS else f"{market}/{subaccount}"


def _side(holding: _Holding) -> Side:
    return "long" if holding.size > 0 else "short"


def _closed_side(order_side: str) -> Side:
    match order_side:
        case "SELL":
            return "long"
        case "BUY":
            return "short"
    raise MalformedAnswerError("side", order_side)


def _iso_ms(at: str) -> int:
    try:
        return int(datetime.fromisoformat(at).timestamp() * 1000)
    except ValueError:
        raise MalformedAnswerError("createdAt", at) from None
