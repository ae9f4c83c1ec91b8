"""Private endpoints of the Binance-compatible API: quantiles, positions, balances, settings."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

from delever.core.messages import Side
from delever.server.engine.account_snapshot import AccountSnapshot, PositionSnapshot
from delever.server.engine.market_snapshot import MarketSnapshot
from delever.server.engine.runner import Runner
from delever.server.transport.asgi import Request
from delever.server.venues.account_reader import AccountReading, account_query, liquidation_ticks
from delever.server.venues.binance import account_payloads, payloads
from delever.server.venues.binance.authentication import BinanceRequestError, text
from delever.server.venues.binance.markets import DAPI, FAPI, Markets


class AccountEndpoints:
    """Answers private requests; each reads the account from the book when it is called."""

    def __init__(self, runner: Runner, markets: Markets) -> None:
        self._runner = runner
        self._markets = markets
        self._quantiles: dict[tuple[str, str, str | None], object] = {}
        self._quantiles_as_of = -1

    async def quantiles(self, product: str, account: str, request: Request) -> object:
        """Return the ADL quantiles of every symbol in which the account has a position.

        Indicators are published every 30 s; answers are cached in between.
        """
        indicators = self._markets.snapshot.indicators
        if indicators is None:
            return await self._current_quantiles(product, account, request)
        if indicators.as_of != self._quantiles_as_of:
            self._quantiles, self._quantiles_as_of = {}, indicators.as_of
        key = product, account, text(request, "symbol")
        if key not in self._quantiles:
            self._quantiles[key] = await self._current_quantiles(product, account, request)
        return self._quantiles[key]

    async def _current_quantiles(self, product: str, account: str, request: Request) -> object:
        markets = self._requested(product, request)
        reading, snapshot = await self._read(account), self._markets.snapshot
        return [
            _quantile(market, reading, positions, snapshot)
            for market in markets
            if (positions := reading.account.positions_in(market.instrument.contract))
        ]

    async def positions_v3(self, product: str, account: str, request: Request) -> object:
        """Return open positions with their ADL quantile."""
        reading = await self._read(account)
        markets, snapshot = self._requested(product, request), self._markets.snapshot
        owner = reading.account
        return [
            account_payloads.position_v3(
                market,
                position,
                hedge_mode=owner.hedge_mode,
                indicator=_indicator(reading, snapshot, position),
                liquidation=liquidation_ticks(position, owner, market.terms, market.mark_ticks),
                time_ms=owner.time_ms,
            )
            for market, position in _open_positions(markets, reading)
        ]

    async def positions_v2(self, product: str, account: str, request: Request) -> object:
        """Return open positions in the older form, without a quantile."""
        reading = await self._read(account)
        markets = self._requested(product, request)
        owner = reading.account
        return [
            account_payloads.position_v2(
                market,
                position,
                hedge_mode=owner.hedge_mode,
                liquidation=liquidation_ticks(position, owner, market.terms, market.mark_ticks),
                time_ms=owner.time_ms,
            )
            for market, position in _open_positions(markets, reading)
        ]

    # --- balances ---

    async def account(self, product: str, account: str, _request: Request) -> object:
        """Return the account's totals, assets and open positions in a product."""
        owner = (await self._read(account)).account
        assets = self._assets(product, owner)
        totals = account_payloads.account_totals(assets) if product == FAPI else {}
        if owner.margin and product == FAPI:
            totals |= account_payloads.multi_asset_totals(owner.margin)
        return (
            account_payloads.permissions(owner.time_ms)
            | totals
            | {
                "assets": list(map(account_payloads.account_asset, assets)),
                "positions": self._account_positions(product, owner),
            }
        )

    async def balances(self, product: str, account: str, _request: Request) -> object:
        """Return the account's balance in each settle asset of a product's contracts."""
        owner = (await self._read(account)).account
        return [
            account_payloads.wallet_row(held, owner.account)
            for held in self._assets(product, owner)
        ]

    async def unified_balances(self, _product: str, account: str, request: Request) -> object:
        """Return the balances of portfolio margin; one asset's if the request names it."""
        owner = (await self._read(account)).account
        wanted = text(request, "asset")
        rows = [
            account_payloads.unified_row(linear, inverse)
            for linear, inverse in self._unified_assets(owner)
            if wanted in {None, linear.asset}
        ]
        if wanted is None:
            return rows
        if not rows:
            raise BinanceRequestError(payloads.invalid_parameter("asset"))
        return rows[0]

    async def unified_account(self, _product: str, account: str, _request: Request) -> object:
        """Return the totals of portfolio margin."""
        owner = (await self._read(account)).account
        parts = [part for pair in self._unified_assets(owner) for part in pair]
        return account_payloads.unified_account(parts, owner.time_ms)

    def _unified_assets(
        self, owner: AccountSnapshot
    ) -> Iterator[tuple[account_payloads.BinanceAsset, account_payloads.BinanceAsset]]:
        """Yield each asset's part at fapi and at dapi; a shared wallet is in the first."""
        linear = {held.asset: held for held in self._assets(FAPI, owner)}
        inverse = {held.asset: held for held in self._assets(DAPI, owner)}
        for asset, held in sorted((inverse | linear).items()):
            nothing = replace(held, balance_cash=0, positions=())
            if asset in linear:
                yield linear[asset], replace(inverse.get(asset, nothing), balance_cash=0)
            else:
                yield nothing, held

    def _assets(self, product: str, owner: AccountSnapshot) -> list[account_payloads.BinanceAsset]:
        """Return the account's settle assets of a product and its collateral, with positions."""
        markets = self._markets.all(product)
        settle = {market.instrument.contract: market.terms.settle for market in markets}
        return [
            account_payloads.BinanceAsset(
                asset=wallet.asset,
                decimals=wallet.decimals,
                balance_cash=wallet.balance_cash,
                positions=tuple(
                    position
                    for position in owner.positions
                    if settle.get(position.contract) == wallet.asset
                ),
                usd_price=self._markets.usd_price(wallet.asset),
                time_ms=owner.time_ms,
            )
            for wallet in owner.wallets
            if wallet.asset in settle.values() or (product == FAPI and wallet.collateral)
        ]

    def _account_positions(self, product: str, owner: AccountSnapshot) -> list[payloads.Json]:
        return [
            account_payloads.account_position(
                market, position, hedge_mode=owner.hedge_mode, time_ms=owner.time_ms
            )
            for market in self._markets.all(product)
            for position in owner.positions_in(market.instrument.contract)
        ]

    # --- settings ---

    async def position_mode(
        self, _product: str, account: str, _request: Request
    ) -> dict[str, bool]:
        """Return whether the account is in hedge mode."""
        owner = (await self._read(account)).account
        return {"dualSidePosition": owner.hedge_mode}

    async def change_position_mode(self, product: str, account: str, request: Request) -> object:
        """Reject a change of the position mode; Binance's own error if it is the present one."""
        mode = await self.position_mode(product, account, request)
        _reject_change(request, mode, payloads.SAME_POSITION_MODE)

    async def change_assets_mode(self, product: str, account: str, request: Request) -> object:
        """Reject a change of the assets mode; Binance's own error if it is the present one."""
        mode = await self.assets_mode(product, account, request)
        _reject_change(request, mode, payloads.SAME_ASSETS_MODE)

    async def assets_mode(self, _product: str, account: str, _request: Request) -> dict[str, bool]:
        """Return whether the account is margined on all its assets at once."""
        owner = (await self._read(account)).account
        return {"multiAssetsMargin": owner.multi_asset}

    async def fee_burn(self, _product: str, account: str, _request: Request) -> object:
        """Return that fees are not paid in another asset."""
        await self._read(account)
        return {"feeBurn": False}

    async def spot_account(self, _product: str, account: str, _request: Request) -> object:
        """Return a spot account without balances: the engine has derivatives only."""
        return account_payloads.spot_account((await self._read(account)).account.time_ms)

    async def trading_status(self, _product: str, account: str, _request: Request) -> object:
        """Return that no quantitative rule restricts the account."""
        return {"indicators": {}, "updateTime": (await self._read(account)).account.time_ms}

    async def order_limits(self, _product: str, _account: str, _request: Request) -> object:
        """Return the limits of orders."""
        return payloads.order_rate_limits()

    async def account_config(self, _product: str, account: str, _request: Request) -> object:
        """Return the account's fees, permissions and modes."""
        owner = (await self._read(account)).account
        fields = account_payloads.permissions(owner.time_ms)
        del fields["feeBurn"]
        modes = {"dualSidePosition": owner.hedge_mode, "multiAssetsMargin": owner.multi_asset}
        return fields | modes

    async def symbol_config(self, product: str, account: str, request: Request) -> object:
        """Return the margin mode and leverage of one symbol or of all."""
        owner = (await self._read(account)).account
        return [
            account_payloads.symbol_config(market, owner.positions_in(market.instrument.contract))
            for market in self._requested(product, request)
        ]

    async def commission_rate(self, product: str, _account: str, request: Request) -> object:
        """Return the fees of a symbol."""
        symbol = text(request, "symbol")
        if symbol is None:
            raise BinanceRequestError(payloads.missing_parameter("symbol"))
        return account_payloads.commission_rate(self._one(product, symbol))

    async def brackets(self, product: str, _account: str, request: Request) -> object:
        """Return margin tiers; portfolio margin has the coefficient as text."""
        coefficient: dict[str, object] = (
            {"notionalCoef": "1.0"} if request.path.startswith("/papi/") else {}
        )
        return [
            payloads.leverage_bracket(market) | coefficient
            for market in self._requested(product, request)
        ]

    async def pair_brackets(self, product: str, _account: str, request: Request) -> object:
        """Return margin tiers by pair."""
        pair = text(request, "pair")
        return [
            payloads.pair_bracket(market)
            for market in self._markets.all(product)
            if pair in {None, payloads.pair_of(market.instrument)}
        ]

    def _requested(self, product: str, request: Request) -> list[payloads.Market]:
        """Return the market of a request's symbol, or all of fapi's or dapi's without one."""
        symbol = text(request, "symbol")
        return self._markets.all(product) if symbol is None else [self._one(product, symbol)]

    def _one(self, product: str, symbol: str) -> payloads.Market:
        market = self._markets.one(product, symbol)
        if market is None:
            raise BinanceRequestError(payloads.BAD_SYMBOL)
        return market

    async def _read(self, account: str) -> AccountReading:
        """Read the account; BinanceRequestError if the venue has not submitted it yet."""
        reading = await self._runner.read(account_query(account))
        if reading is None:
            raise BinanceRequestError(payloads.UNKNOWN_KEY)
        return reading


def _reject_change(
    request: Request, mode: dict[str, bool], same: payloads.BinanceErrorCode
) -> NoReturn:
    """Raise the error of a request to change a mode: a key of this server cannot."""
    for name, value in mode.items():
        if (text(request, name) or "").lower() == str(value).lower():
            raise BinanceRequestError(same)
    raise BinanceRequestError(payloads.UNKNOWN_KEY)


def _open_positions(
    markets: list[payloads.Market], reading: AccountReading
) -> Iterator[tuple[payloads.Market, PositionSnapshot]]:
    """Yield each open position with its market at the mark of the account reading."""
    for market in markets:
        for position in reading.account.positions_in(market.instrument.contract):
            as_of = market.at(reading.account.as_of)
            yield replace(as_of, mark_ticks=reading.marks[position.contract]), position


def _quantile(
    market: payloads.Market,
    reading: AccountReading,
    positions: tuple[PositionSnapshot, ...],
    snapshot: MarketSnapshot,
) -> payloads.Json:
    indicators = {position.side: _indicator(reading, snapshot, position) for position in positions}
    return account_payloads.adl_quantile(
        market.symbol,
        indicators,
        hedge_mode=reading.account.hedge_mode,
        isolated=any(position.isolated for position in positions),
    )


def _indicator(
    reading: AccountReading, snapshot: MarketSnapshot, position: PositionSnapshot
) -> int:
    """Return a position's ADL indicator; under every rule set the legs of a cross hedge have one.

    It is the higher of both: the leg that is closed first is the account's risk.
    """
    legs = reading.account.positions_in(position.contract)
    is_hedge = {leg.side for leg in legs} == set(Side) and not any(leg.isolated for leg in legs)
    if not is_hedge or not reading.account.hedge_mode:
        return reading.indicator(snapshot, position)
    return max(reading.indicator(snapshot, leg) for leg in legs)
