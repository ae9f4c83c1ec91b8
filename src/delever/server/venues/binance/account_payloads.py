"""Binance's JSON of one account: quantiles, positions, forced orders and stream events."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from delever.core.messages import AdlFilled, Side
from delever.core.rules.ranking import QUANTILE
from delever.core.units import div_floor, div_nearest, format_scaled
from delever.server.engine.account_snapshot import MarginSnapshot, PositionSnapshot
from delever.server.venues import amounts
from delever.server.venues.binance.payloads import Json, Market, fixed, pair_of
from delever.server.venues.fill_log import ForcedEvent

ADL = "adl_autoclose"
"""The client order id of an ADL fill."""

NEW, FILLED = "NEW", "FILLED"
CALCULATED = "CALCULATED"
"""Execution type of an order that the venue filled itself: ADL or liquidation."""

MAX_UNI_MMR = "99999999.00000000"
"""The uniMMR that Binance states for an account without positions."""

DEFAULT_LEVERAGE = 20
"""The leverage that Binance sets for a symbol at first."""

TAKEOVER_TRADES = 10**12
"""Added to a takeover's number: trades of fills and of takeovers have different ids."""

LIMIT, LIQUIDATION = "LIMIT", "LIQUIDATION"


def quantile(indicator: int) -> int:
    """Return Binance's quantile 0-4, 4 first in the queue, of an ADL indicator 0-5."""
    return int(QUANTILE.to_venue(indicator))


def adl_quantile(
    symbol: str, indicators: dict[Side, int], *, hedge_mode: bool, isolated: bool
) -> Json:
    """Return the quantiles of an account's positions in one symbol.

    One-way positions are under BOTH. In hedge mode each side has its own quantile; with cross
    positions HEDGE replaces BOTH, as a marker whose value is 0, and where both sides are open they
    have the same quantile, the higher one.
    """
    sides = {side.name: quantile(indicators.get(side, 0)) if hedge_mode else 0 for side in Side}
    if hedge_mode and not isolated:
        if len(indicators) == len(Side):
            sides = dict.fromkeys(sides, max(sides.values()))
        return {"symbol": symbol, "adlQuantile": sides | {"HEDGE": 0}}
    both = 0 if hedge_mode else quantile(max(indicators.values(), default=0))
    return {"symbol": symbol, "adlQuantile": sides | {"BOTH": both}}


def _fractional_price(market: Market, ticks: Fraction) -> str:
    """Return the price of a fractional number of ticks, to nearest, without trailing zeros."""
    decimals = max(amounts.ENTRY_DECIMALS, market.terms.tick[1])
    scaled = market.exact_price(ticks) * 10**decimals
    return format_scaled(div_nearest(scaled.numerator, scaled.denominator), decimals)


def _entry(market: Market, position: PositionSnapshot) -> str:
    return amounts.entry_price(market.terms, position.lots, position.cost_cash)


def _shared(
    market: Market, position: PositionSnapshot, *, hedge_mode: bool, liquidation: Fraction | None
) -> Json:
    """Return the fields that both versions of a position have."""
    entry = _entry(market, position)
    return {
        "symbol": market.symbol,
        "positionSide": position_side(position.side, hedge_mode=hedge_mode),
        "positionAmt": market.quantity(position.side.sign * position.lots),
        "entryPrice": entry,
        "breakEvenPrice": entry,
        "markPrice": market.mark,
        "unRealizedProfit": market.cash(position.unrealized_pnl_cash),
        "liquidationPrice": "0" if liquidation is None else _fractional_price(market, liquidation),
        "isolatedMargin": market.cash(
            position.margin_cash + position.unrealized_pnl_cash if position.isolated else 0
        ),
        "isolatedWallet": market.cash(position.margin_cash if position.isolated else 0),
    }


def position_side(side: Side, *, hedge_mode: bool) -> str:
    """Return LONG or SHORT in hedge mode, else BOTH."""
    return side.name if hedge_mode else "BOTH"


def position_v3(
    market: Market,
    position: PositionSnapshot,
    *,
    hedge_mode: bool,
    indicator: int,
    liquidation: Fraction | None,
    time_ms: int,
) -> Json:
    """Return a linear position as in /fapi/v3/positionRisk. Initial margin is rounded up.

    Fees are unknown here, so the break-even price is the entry price; open orders have no margin.
    """
    notional = amounts.notional_cash(position)
    initial = market.cash(amounts.initial_margin_cash(position))
    return _shared(market, position, hedge_mode=hedge_mode, liquidation=liquidation) | {
        "notional": market.cash(position.side.sign * notional),
        "marginAsset": market.terms.settle,
        "initialMargin": initial,
        "maintMargin": market.cash(position.maintenance_cash),
        "positionInitialMargin": initial,
        "openOrderInitialMargin": "0",
        "adl": quantile(indicator),
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": time_ms,
    }


def position_v2(
    market: Market,
    position: PositionSnapshot,
    *,
    hedge_mode: bool,
    liquidation: Fraction | None,
    time_ms: int,
) -> Json:
    """Return a position as in /fapi/v2/positionRisk or, if inverse, /dapi/v1/positionRisk."""
    notional = market.cash(position.side.sign * amounts.notional_cash(position))
    linear = market.instrument.linear
    return _shared(market, position, hedge_mode=hedge_mode, liquidation=liquidation) | {
        "notional" if linear else "notionalValue": notional,
        "maxNotionalValue" if linear else "maxQty": _max_notional(market, position),
        "leverage": amounts.leverage(position.leverage_hundredths),
        "marginType": "isolated" if position.isolated else "cross",
        "isAutoAddMargin": "false",
        "updateTime": time_ms,
    }


def asset_row(
    asset: str, decimals: int, balance_cash: int, positions: Iterable[PositionSnapshot]
) -> Json:
    """Return the sums of one asset that every account endpoint has; isolated margins separate."""
    own = list(positions)
    isolated = sum(position.margin_cash for position in own if position.isolated)
    unrealized_pnl = sum(position.unrealized_pnl_cash for position in own)
    fields = {
        "walletBalance": balance_cash + isolated,
        "unrealizedProfit": unrealized_pnl,
        "marginBalance": balance_cash + isolated + unrealized_pnl,
        "maintMargin": sum(position.maintenance_cash for position in own),
        "initialMargin": sum(amounts.initial_margin_cash(position) for position in own),
        "crossWalletBalance": balance_cash,
        "crossUnPnl": sum(
            position.unrealized_pnl_cash for position in own if not position.isolated
        ),
    }
    return {"asset": asset} | {name: amounts.cash(n, decimals) for name, n in fields.items()}


@dataclass(frozen=True, slots=True)
class BinanceAsset:
    """An account's money in one settle asset: the cross wallet and the positions settled in it."""

    asset: str
    decimals: int
    balance_cash: int
    positions: tuple[PositionSnapshot, ...]
    usd_price: amounts.DollarPrice
    time_ms: int

    @property
    def isolated_cash(self) -> int:
        """The margins of isolated positions, without PnL."""
        return sum(position.margin_cash for position in self.positions if position.isolated)

    @property
    def unrealized_pnl_cash(self) -> int:
        """The PnL of all positions."""
        return sum(position.unrealized_pnl_cash for position in self.positions)

    @property
    def wallet_cash(self) -> int:
        """The cross wallet and isolated margins."""
        return self.balance_cash + self.isolated_cash

    @property
    def initial_cash(self) -> int:
        """The initial margins of all positions at the mark."""
        return sum(map(amounts.initial_margin_cash, self.positions))

    @property
    def maintenance_cash(self) -> int:
        """The maintenance margins of all positions."""
        return sum(position.maintenance_cash for position in self.positions)

    @property
    def cross_pnl_cash(self) -> int:
        """The PnL of cross positions."""
        return sum(p.unrealized_pnl_cash for p in self.positions if not p.isolated)

    @property
    def available_cash(self) -> int:
        """What is free for new positions: cross equity less the margin that it backs, or 0."""
        return max(0, self.balance_cash + self.cross_pnl_cash - self._cross_initial_cash)

    @property
    def withdrawable_cash(self) -> int:
        """What is free to withdraw: as available, without profits that are not realized."""
        pnl_cash = min(0, self.cross_pnl_cash)
        return max(0, self.balance_cash + pnl_cash - self._cross_initial_cash)

    @property
    def _cross_initial_cash(self) -> int:
        return sum(amounts.initial_margin_cash(p) for p in self.positions if not p.isolated)

    def cash(self, amount_cash: int) -> str:
        """Return an amount of the asset as text."""
        return amounts.cash(amount_cash, self.decimals)


def account_asset(held: BinanceAsset) -> Json:
    """Return an asset's row of the account endpoints."""
    initial = held.cash(held.initial_cash)
    return asset_row(held.asset, held.decimals, held.balance_cash, held.positions) | {
        "positionInitialMargin": initial,
        "openOrderInitialMargin": "0",
        "availableBalance": held.cash(held.available_cash),
        "maxWithdrawAmount": held.cash(held.withdrawable_cash),
        "marginAvailable": True,
        "updateTime": held.time_ms,
    }


def account_position(
    market: Market, position: PositionSnapshot, *, hedge_mode: bool, time_ms: int
) -> Json:
    """Return a position's row of the account endpoints: the fields of all their versions."""
    initial = market.cash(amounts.initial_margin_cash(position))
    notional = market.cash(position.side.sign * amounts.notional_cash(position))
    shared = _shared(market, position, hedge_mode=hedge_mode, liquidation=None)
    for name in ("markPrice", "liquidationPrice", "unRealizedProfit"):
        del shared[name]
    return shared | {
        "unrealizedProfit": market.cash(position.unrealized_pnl_cash),
        "initialMargin": initial,
        "maintMargin": market.cash(position.maintenance_cash),
        "positionInitialMargin": initial,
        "openOrderInitialMargin": "0",
        "leverage": amounts.leverage(position.leverage_hundredths),
        "isolated": position.isolated,
        "notional" if market.instrument.linear else "notionalValue": notional,
        _LIMIT_FIELD[market.instrument.linear]: _max_notional(market, position),
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": time_ms,
    }


_LIMIT_FIELD = {True: "maxNotional", False: "maxQty"}
"""The name of the largest size by linearity: a notional, or a quantity of the base asset."""


def _max_notional(market: Market, position: PositionSnapshot) -> str:
    """Return the largest notional at a position's leverage, in the settle asset."""
    return market.cash(amounts.max_notional_cash(market.terms, position.leverage_hundredths))


def account_totals(assets: Sequence[BinanceAsset]) -> Json:
    """Return the totals of a USDⓈ-M account in dollars, over all assets with a known price."""

    def total(amount_of: Callable[[BinanceAsset], int]) -> str:
        return amounts.total_value(
            (amount_of(held), held.decimals, held.usd_price) for held in assets
        )

    initial = total(lambda held: held.initial_cash)
    return {
        "totalInitialMargin": initial,
        "totalMaintMargin": total(lambda held: held.maintenance_cash),
        "totalWalletBalance": total(lambda held: held.wallet_cash),
        "totalUnrealizedProfit": total(lambda held: held.unrealized_pnl_cash),
        "totalMarginBalance": total(lambda held: held.wallet_cash + held.unrealized_pnl_cash),
        "totalPositionInitialMargin": initial,
        "totalOpenOrderInitialMargin": "0",
        "totalCrossWalletBalance": total(lambda held: held.balance_cash),
        "totalCrossUnPnl": total(lambda held: held.cross_pnl_cash),
        "availableBalance": total(lambda held: held.available_cash),
        "maxWithdrawAmount": total(lambda held: held.withdrawable_cash),
    }


def permissions(time_ms: int) -> Json:
    """Return the account's fees and permissions; a key of this server cannot trade anyway."""
    return {
        "feeTier": 0,
        "feeBurn": False,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": time_ms,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def spot_account(time_ms: int) -> Json:
    """Return a spot account without balances."""
    commissions = ("makerCommission", "takerCommission", "buyerCommission", "sellerCommission")
    rates = ("maker", "taker", "buyer", "seller")
    return {
        **dict.fromkeys(commissions, 0),
        "commissionRates": dict.fromkeys(rates, "0"),
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": time_ms,
        "accountType": "SPOT",
        "balances": [],
        "permissions": ["SPOT"],
        "uid": 0,
    }


def wallet_row(held: BinanceAsset, account: str) -> Json:
    """Return an asset's row of the balance endpoints of fapi and dapi."""
    return {
        "accountAlias": account,
        "asset": held.asset,
        "balance": held.cash(held.wallet_cash),
        "withdrawAvailable": held.cash(held.withdrawable_cash),
        "crossWalletBalance": held.cash(held.balance_cash),
        "crossUnPnl": held.cash(held.cross_pnl_cash),
        "availableBalance": held.cash(held.available_cash),
        "maxWithdrawAmount": held.cash(held.withdrawable_cash),
        "marginAvailable": True,
        "updateTime": held.time_ms,
    }


def unified_row(linear: BinanceAsset, inverse: BinanceAsset) -> Json:
    """Return an asset's row of portfolio margin's balance; the engine has no margin loans."""
    return {
        "asset": linear.asset,
        "totalWalletBalance": linear.cash(linear.wallet_cash + inverse.wallet_cash),
        "crossMarginAsset": "0",
        "crossMarginBorrowed": "0",
        "crossMarginFree": "0",
        "crossMarginInterest": "0",
        "crossMarginLocked": "0",
        "umWalletBalance": linear.cash(linear.wallet_cash),
        "umUnrealizedPNL": linear.cash(linear.unrealized_pnl_cash),
        "cmWalletBalance": linear.cash(inverse.wallet_cash),
        "cmUnrealizedPNL": linear.cash(inverse.unrealized_pnl_cash),
        "updateTime": linear.time_ms,
        "negativeBalance": "0",
    }


def unified_account(assets: Sequence[BinanceAsset], time_ms: int) -> Json:
    """Return a portfolio margin account in dollars; `uniMMR` is equity / maintenance margin."""

    def total(amount_of: Callable[[BinanceAsset], int]) -> str:
        return amounts.total_value(
            (amount_of(held), held.decimals, held.usd_price) for held in assets
        )

    equity = total(lambda held: held.wallet_cash + held.unrealized_pnl_cash)
    maintenance = total(lambda held: held.maintenance_cash)
    return {
        "uniMMR": _uni_mmr(equity, maintenance),
        "accountEquity": equity,
        "actualEquity": equity,
        "accountInitialMargin": total(lambda held: held.initial_cash),
        "accountMaintMargin": maintenance,
        "accountStatus": "NORMAL",
        "virtualMaxWithdrawAmount": total(lambda held: held.withdrawable_cash),
        "totalAvailableBalance": total(lambda held: held.available_cash),
        "totalMarginOpenLoss": "0",
        "updateTime": time_ms,
    }


def _uni_mmr(equity: str, maintenance: str) -> str:
    """Return equity / maintenance to 8 decimals; Binance's largest value without positions."""
    return amounts.quotient(equity, maintenance) if Fraction(maintenance) else MAX_UNI_MMR


def symbol_config(market: Market, positions: Sequence[PositionSnapshot]) -> Json:
    """Return the margin mode and leverage of a symbol; without a position Binance's defaults."""
    isolated = any(position.isolated for position in positions)
    leverage = max((p.leverage_hundredths for p in positions), default=DEFAULT_LEVERAGE * 100)
    cap_cash = amounts.max_notional_cash(market.terms, leverage)
    return {
        "symbol": market.symbol,
        "marginType": "ISOLATED" if isolated else "CROSSED",
        "isAutoAddMargin": False,
        "leverage": div_floor(leverage, 100),
        "maxNotionalValue": market.cash(cap_cash),
    }


def commission_rate(market: Market) -> Json:
    """Return the fees of trades in a symbol: the engine charges none, ADL fills excepted."""
    rates = ("makerCommissionRate", "takerCommissionRate", "rpiCommissionRate")
    return {"symbol": market.symbol, **dict.fromkeys(rates, "0")}


def multi_asset_totals(margin: MarginSnapshot) -> Json:
    """Return the totals of /fapi/v3/account in multi-assets mode, without collateral rates."""
    fields = {
        "totalMarginBalance": margin.equity_cash,
        "totalCrossUnPnl": margin.unrealized_pnl_cash,
        "totalCrossWalletBalance": margin.equity_cash - margin.unrealized_pnl_cash,
        "totalMaintMargin": margin.maintenance_cash,
    }
    totals = {name: amounts.cash(number, margin.decimals) for name, number in fields.items()}
    return {"multiAssetsMargin": True} | totals


# --- forced orders ---


def order_id(event: ForcedEvent) -> int:
    """Return a unique order id: twice the fill's number, or twice the takeover's plus one."""
    return 2 * event.fill if isinstance(event, AdlFilled) else 2 * event.takeover + 1


def client_order_id(event: ForcedEvent) -> str:
    """Return adl_autoclose for ADL, or autoclose- and the takeover's number."""
    return ADL if isinstance(event, AdlFilled) else f"autoclose-{event.takeover}"


def _closing_side(event: ForcedEvent) -> str:
    return "SELL" if event.side is Side.LONG else "BUY"


def force_order(market: Market, event: ForcedEvent, *, hedge_mode: bool, time_ms: int) -> Json:
    """Return an ADL fill or a takeover as a row of forceOrders."""
    linear = market.instrument.linear
    quantity, price = market.quantity(event.lots), market.price(event.price_ticks)
    value = format_scaled(abs(event.value_cash), market.cash_decimals)
    pair = {} if linear else {"pair": pair_of(market.instrument)}
    protect = {} if linear else {"priceProtect": False}
    return {
        "orderId": order_id(event),
        "symbol": market.symbol,
        **pair,
        "status": FILLED,
        "clientOrderId": client_order_id(event),
        "price": price,
        "avgPrice": price,
        "origQty": quantity,
        "executedQty": quantity,
        "cumQuote" if linear else "cumBase": value,
        "timeInForce": "GTC" if isinstance(event, AdlFilled) else "IOC",
        "type": "LIMIT",
        "reduceOnly": False,
        "closePosition": False,
        "side": _closing_side(event),
        "positionSide": position_side(event.side, hedge_mode=hedge_mode),
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        **protect,
        "origType": "LIMIT",
        "time": time_ms,
        "updateTime": time_ms,
    }


def order_row(market: Market, event: ForcedEvent, *, hedge_mode: bool, time_ms: int) -> Json:
    """Return an ADL fill or a takeover as a row of allOrders."""
    return force_order(market, event, hedge_mode=hedge_mode, time_ms=time_ms) | {
        "priceProtect": False,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE",
        "goodTillDate": 0,
    }


def trade_id(event: ForcedEvent) -> int:
    """Return the id of a forced order's trade: a fill's number, a takeover's from 10^12 on."""
    return event.fill if isinstance(event, AdlFilled) else TAKEOVER_TRADES + event.takeover


def _fee_cash(event: ForcedEvent) -> int:
    return event.fee_cash if isinstance(event, AdlFilled) else 0


def trade_row(market: Market, event: ForcedEvent, *, hedge_mode: bool, time_ms: int) -> Json:
    """Return an ADL fill or a takeover as a row of userTrades."""
    side, value = _closing_side(event), market.cash(abs(event.value_cash))
    product = (
        {"quoteQty": value}
        if market.instrument.linear
        else {
            "pair": pair_of(market.instrument),
            "baseQty": value,
            "quoteQty": market.quantity(event.lots),
            "marginAsset": market.terms.settle,
        }
    )
    return {
        "buyer": side == "BUY",
        "commission": market.cash(_fee_cash(event)),
        "commissionAsset": market.terms.settle,
        "id": trade_id(event),
        "maker": False,
        "orderId": order_id(event),
        "price": market.price(event.price_ticks),
        "qty": market.quantity(event.lots),
        **product,
        "realizedPnl": market.cash(event.realized_pnl_cash),
        "side": side,
        "positionSide": position_side(event.side, hedge_mode=hedge_mode),
        "symbol": market.symbol,
        "time": time_ms,
    }


def income_rows(market: Market, event: ForcedEvent, *, time_ms: int) -> Iterator[Json]:
    """Yield what a forced order has brought: its realized PnL and, if it has one, its fee."""
    parts = (("REALIZED_PNL", event.realized_pnl_cash), ("COMMISSION", -_fee_cash(event)))
    for kind, amount_cash in parts:
        if amount_cash or kind == "REALIZED_PNL":
            yield {
                "symbol": market.symbol,
                "incomeType": kind,
                "income": market.cash(amount_cash),
                "asset": market.terms.settle,
                "info": client_order_id(event),
                "time": time_ms,
                "tranId": order_id(event),
                "tradeId": str(trade_id(event)),
            }


def order_update(
    market: Market, event: ForcedEvent, status: str, *, hedge_mode: bool, time_ms: int, sent_ms: int
) -> Json:
    """Return the stream's ORDER_TRADE_UPDATE of an ADL fill or a takeover, NEW or FILLED.

    Binance executes both itself (`x` CALCULATED); a takeover is an order of type LIQUIDATION.
    """
    adl, done = isinstance(event, AdlFilled), status == FILLED
    kind = LIMIT if adl else LIQUIDATION
    quantity, price = market.quantity(event.lots), market.price(event.price_ticks)
    order = {
        "s": market.symbol,
        "c": client_order_id(event),
        "S": _closing_side(event),
        "o": kind,
        "f": "GTC" if adl else "IOC",
        "q": quantity,
        "p": price,
        "ap": price if done else "0",
        "sp": "0",
        "x": CALCULATED if done else NEW,
        "X": status,
        "i": order_id(event),
        "l": quantity if done else "0",
        "z": quantity if done else "0",
        "L": price if done else "0",
        "N": market.terms.settle,
        "n": format_scaled(_fee_cash(event), market.cash_decimals) if done else "0",
        "T": time_ms,
        "t": trade_id(event) if done else 0,
        "b": "0",
        "a": "0",
        "m": False,
        "R": False,
        "wt": "CONTRACT_PRICE",
        "ot": kind,
        "ps": position_side(event.side, hedge_mode=hedge_mode),
        "cp": False,
        "rp": format_scaled(event.realized_pnl_cash, market.cash_decimals) if done else "0",
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": "NONE",
        "pm": "NONE",
        "gtd": 0,
        "er": "0",
    }
    if not market.instrument.linear:
        order["ma"] = market.terms.settle
    return {"e": "ORDER_TRADE_UPDATE", "E": sent_ms, "T": time_ms, "o": order}


# --- balances and positions after a fill ---


def balance_row(asset: str, cross_cash: int, isolated_cash: int, cash_decimals: int) -> Json:
    """Return an asset's row of ACCOUNT_UPDATE; the wallet includes isolated margins."""
    return {
        "a": asset,
        "wb": fixed(cross_cash + isolated_cash, cash_decimals),
        "cw": fixed(cross_cash, cash_decimals),
        "bc": "0",
    }


def position_row(market: Market, position: PositionSnapshot, *, hedge_mode: bool) -> Json:
    """Return an open position's row of ACCOUNT_UPDATE.

    `cr`, the position's accumulated realized PnL, is unknown here and "0".
    """
    entry = _entry(market, position)
    return {
        "s": market.symbol,
        "pa": market.quantity(position.side.sign * position.lots),
        "ep": entry,
        "bep": entry,
        "cr": "0",
        "up": market.cash(position.unrealized_pnl_cash),
        "mt": "isolated" if position.isolated else "cross",
        "iw": market.cash(position.margin_cash if position.isolated else 0),
        "ps": position_side(position.side, hedge_mode=hedge_mode),
    }


def closed_row(market: Market, side: Side, *, hedge_mode: bool, isolated: bool) -> Json:
    """Return a closed position's row of ACCOUNT_UPDATE."""
    return {
        "s": market.symbol,
        "pa": "0",
        "ep": "0",
        "bep": "0",
        "cr": "0",
        "up": "0",
        "mt": "isolated" if isolated else "cross",
        "iw": "0",
        "ps": position_side(side, hedge_mode=hedge_mode),
    }


def account_update(
    reason: str, balances: Iterable[Json], positions: Iterable[Json], *, time_ms: int, sent_ms: int
) -> Json:
    """Return the stream's ACCOUNT_UPDATE. `reason` is Binance's: ORDER or ADJUSTMENT."""
    update = {"m": reason, "B": list(balances), "P": list(positions)}
    return {"e": "ACCOUNT_UPDATE", "E": sent_ms, "T": time_ms, "a": update}


def listen_key_expired(listen_key: str, sent_ms: int) -> Json:
    """Return the last event of a stream whose listen key has expired."""
    return {"e": "listenKeyExpired", "E": sent_ms, "listenKey": listen_key}
