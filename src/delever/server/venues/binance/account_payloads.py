"""Binance's JSON of one account: quantiles, positions, forced orders and stream events."""

from collections.abc import Iterable
from fractions import Fraction

from delever.core.messages import AdlFilled, Side
from delever.core.rules.ranking import QUANTILE
from delever.core.units import div_nearest, format_scaled
from delever.server.engine.account_snapshot import MarginSnapshot, PositionSnapshot
from delever.server.venues import amounts
from delever.server.venues.binance.payloads import Json, Market, fixed, pair_of
from delever.server.venues.fill_log import ForcedEvent

ADL = "adl_autoclose"
"""The client order id of an ADL fill."""

NEW, FILLED = "NEW", "FILLED"


def quantile(indicator: int) -> int:
    """Return Binance's quantile 0-4, 4 first in the queue, of an ADL indicator 0-5."""
    return int(QUANTILE.to_venue(indicator))


def adl_quantile(
    symbol: str, indicators: dict[Side, int], *, hedge_mode: bool, isolated: bool
) -> Json:
    """Return the quantiles of an account's positions in one symbol.

    One-way positions are under BOTH. In hedge mode position side has its own quantile; with cross
    positions HEDGE replaces BOTH, as a marker whose value is 0.
    """
    sides = {side.name: quantile(indicators.get(side, 0)) if hedge_mode else 0 for side in Side}
    if hedge_mode and not isolated:
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
        "leverage": amounts.leverage(position.leverage_hundredths),
        "marginType": "isolated" if position.isolated else "cross",
        "isAutoAddMargin": "false",
        "updateTime": time_ms,
    }


def asset_row(
    asset: str, decimals: int, balance_cash: int, positions: Iterable[PositionSnapshot]
) -> Json:
    """Return the balance in one asset as in /fapi/v3/account, with isolated margins separate."""
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


def order_update(
    market: Market, event: ForcedEvent, status: str, *, hedge_mode: bool, time_ms: int, sent_ms: int
) -> Json:
    """Return the stream's ORDER_TRADE_UPDATE of an ADL fill or a takeover, NEW or FILLED."""
    adl, done = isinstance(event, AdlFilled), status == FILLED
    quantity, price = market.quantity(event.lots), market.price(event.price_ticks)
    fee_cash = event.fee_cash if isinstance(event, AdlFilled) else 0
    order = {
        "s": market.symbol,
        "c": client_order_id(event),
        "S": _closing_side(event),
        "o": "LIMIT",
        "f": "GTC" if adl else "IOC",
        "q": quantity,
        "p": price,
        "ap": price if done else "0",
        "sp": "0",
        "x": ("TRADE" if adl else "CALCULATED") if done else NEW,
        "X": status,
        "i": order_id(event),
        "l": quantity if done else "0",
        "z": quantity if done else "0",
        "L": price if done else "0",
        "N": market.terms.settle,
        "n": format_scaled(fee_cash, market.cash_decimals) if done else "0",
        "T": time_ms,
        "t": (event.fill if isinstance(event, AdlFilled) else event.takeover) if done else 0,
        "b": "0",
        "a": "0",
        "m": False,
        "R": False,
        "wt": "CONTRACT_PRICE",
        "ot": "LIMIT",
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
    """Return an open position's row of ACCOUNT_UPDATE."""
    entry = _entry(market, position)
    return {
        "s": market.symbol,
        "pa": market.quantity(position.side.sign * position.lots),
        "ep": entry,
        "bep": entry,
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
