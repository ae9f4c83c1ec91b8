"""Bybit V5's JSON of one account: positions, executions, orders and wallet.

Fields that delever does not store, such as cumulative PnL and creation times, are empty text. An
ADL fill is an execution of type AdlTrade in its own order, a takeover one of type BustTrade.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import AdlFilled, Side
from delever.server.engine.account_snapshot import PositionSnapshot
from delever.server.venues import amounts
from delever.server.venues.fill_log import ForcedEvent, ForcedOrder
from delever.server.venues.symbols import Instrument

BUY, SELL = "Buy", "Sell"
ADL_TRADE, TAKEOVER_TRADE = "AdlTrade", "BustTrade"
CREATED_BY_ADL, CREATED_BY_TAKEOVER = "CreateByAdl_PassThrough", "CreateByTakeOver_PassThrough"
CANCELLED_BY_ADL = "CancelAllBeforeAdl"


@dataclass(frozen=True, slots=True)
class BybitMarket:
    """A contract with its symbol, terms, category and the decimals of its settle asset."""

    instrument: Instrument
    terms: ContractTerms
    cash_decimals: int

    def at(self, sequence: int) -> "BybitMarket":
        """Return the market with the units of the events of a sequence."""
        return replace(self, terms=self.terms.at(sequence))

    @property
    def category(self) -> str:
        """The category: linear or inverse."""
        return "linear" if self.instrument.linear else "inverse"

    def cash(self, amount: int) -> str:
        """Return an amount of the settle asset as text."""
        return amounts.cash(amount, self.cash_decimals)


@dataclass(frozen=True, slots=True)
class BybitPositionContext:
    """What a position row states besides the position: mark, ADL indicator, status and time."""

    mark_ticks: int
    indicator: int
    status: str
    liquidation_ticks: int | None
    sequence: int
    time_ms: int


def position_index(side: Side, *, hedge_mode: bool) -> int:
    """Return Bybit's positionIdx: 0 one-way, 1 the long and 2 the short side of a hedge."""
    if not hedge_mode:
        return 0
    return 1 if side is Side.LONG else 2


def position_row(
    market: BybitMarket,
    position: PositionSnapshot,
    context: BybitPositionContext,
    *,
    hedge_mode: bool,
) -> dict[str, Any]:
    """Return an open position as in /v5/position/list."""
    terms = market.terms
    margin = position.margin_cash if position.isolated else amounts.initial_margin_cash(position)
    return {
        **_empty(market, context, position_index(position.side, hedge_mode=hedge_mode)),
        "side": BUY if position.side is Side.LONG else SELL,
        "size": amounts.units(terms, position.lots),
        "avgPrice": amounts.entry_price(terms, position.lots, position.cost_cash),
        "positionValue": market.cash(abs(position.cost_cash)),
        "tradeMode": int(position.isolated),
        "positionStatus": context.status,
        "adlRankIndicator": context.indicator,
        "leverage": amounts.leverage(position.leverage_hundredths),
        "positionBalance": market.cash(margin),
        "positionMM": market.cash(position.maintenance_cash),
        "positionIM": market.cash(amounts.initial_margin_cash(position)),
        "liqPrice": _price(terms, context.liquidation_ticks),
        "unrealisedPnl": market.cash(position.unrealized_pnl_cash),
    }


def _price(terms: ContractTerms, ticks: int | None) -> str:
    return "" if ticks is None else amounts.price(terms, ticks)


def empty_position_row(
    market: BybitMarket, context: BybitPositionContext, index: int
) -> dict[str, Any]:
    """Return the row of a contract without a position, as in an answer by symbol."""
    return _empty(market, context, index)


def _empty(market: BybitMarket, context: BybitPositionContext, index: int) -> dict[str, Any]:
    return {
        "positionIdx": index,
        "riskId": 0,
        "riskLimitValue": "",
        "symbol": market.instrument.bybit,
        "side": "",
        "size": "0",
        "avgPrice": "0",
        "positionValue": "0",
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 0,
        "leverage": "",
        "positionBalance": "0",
        "markPrice": amounts.price(market.terms, context.mark_ticks),
        "liqPrice": "",
        "bustPrice": "",
        "positionMM": "0",
        "positionIM": "0",
        "tpslMode": "Full",
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "",
        "unrealisedPnl": "0",
        "cumRealisedPnl": "",
        "seq": context.sequence,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": "",
        "updatedTime": str(context.time_ms),
    }


def position_frame(market: BybitMarket, row: dict[str, Any]) -> dict[str, Any]:
    """Return a position's row as in the stream."""
    frame = {key: value for key, value in row.items() if key != "avgPrice"}
    return {
        "category": market.category,
        **frame,
        "entryPrice": row["avgPrice"],
        "curRealisedPnl": "",
        "sessionAvgPrice": "",
    }


# --- executions and orders ---


def order_id(event: ForcedEvent) -> str:
    """Return the id of a forced order and of its execution: the same in every replay."""
    return f"adl-{event.fill}" if isinstance(event, AdlFilled) else f"takeover-{event.takeover}"


def execution_type(event: ForcedEvent) -> str:
    """Return Bybit's execution type of a forced order."""
    return ADL_TRADE if isinstance(event, AdlFilled) else TAKEOVER_TRADE


def execution_row(market: BybitMarket, order: ForcedOrder) -> dict[str, object]:
    """Return a forced order as in /v5/execution/list; its side is the closing side."""
    event = order.event
    quantity = amounts.units(market.terms, event.lots)
    price = amounts.price(market.terms, event.price_ticks)
    value, fee = abs(event.value_cash), _fee_cash(event)
    return {
        "symbol": market.instrument.bybit,
        "orderId": order_id(event),
        "orderLinkId": "",
        "side": _closing_side(event),
        "orderPrice": price,
        "orderQty": quantity,
        "leavesQty": "0",
        "createType": _create_type(event),
        "orderType": "Market",
        "stopOrderType": "UNKNOWN",
        "execFee": market.cash(fee),
        "execId": order_id(event),
        "execPrice": price,
        "execQty": quantity,
        "execType": execution_type(event),
        "execValue": market.cash(value),
        "execTime": str(order.time_ms),
        "feeCurrency": "",
        "isMaker": False,
        "feeRate": amounts.part(fee, value),
        "tradeIv": "",
        "markIv": "",
        "markPrice": "",
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": quantity,
        "seq": order.sequence,
        "extraFees": "",
    }


def execution_frame(market: BybitMarket, order: ForcedOrder) -> dict[str, object]:
    """Return a forced order's execution as in the stream."""
    return {
        "category": market.category,
        **execution_row(market, order),
        "execPnl": market.cash(order.event.realized_pnl_cash),
        "isLeverage": "0",
    }


def order_frame(
    market: BybitMarket, event: ForcedEvent, time_ms: int, *, hedge_mode: bool
) -> dict[str, object]:
    """Return a forced order, completely filled, as in the stream."""
    quantity = amounts.units(market.terms, event.lots)
    price = amounts.price(market.terms, event.price_ticks)
    return {
        **_order(market, order_id(event), time_ms),
        "side": _closing_side(event),
        "positionIdx": position_index(event.side, hedge_mode=hedge_mode),
        "createType": _create_type(event),
        "orderStatus": "Filled",
        "price": price,
        "qty": quantity,
        "avgPrice": price,
        "leavesQty": "0",
        "leavesValue": "0",
        "cumExecQty": quantity,
        "cumExecValue": market.cash(abs(event.value_cash)),
        "cumExecFee": market.cash(_fee_cash(event)),
        "closedPnl": market.cash(event.realized_pnl_cash),
        "reduceOnly": True,
    }


def cancelled_frame(market: BybitMarket, order: str, time_ms: int) -> dict[str, object]:
    """Return an open order that was cancelled with an ADL fill; only its id is known."""
    return {
        **_order(market, order, time_ms),
        "orderStatus": "Cancelled",
        "cancelType": CANCELLED_BY_ADL,
    }


def _closing_side(event: ForcedEvent) -> str:
    return SELL if event.side is Side.LONG else BUY


def _create_type(event: ForcedEvent) -> str:
    return CREATED_BY_ADL if isinstance(event, AdlFilled) else CREATED_BY_TAKEOVER


def _fee_cash(event: ForcedEvent) -> int:
    return event.fee_cash if isinstance(event, AdlFilled) else 0


def _order(market: BybitMarket, order: str, time_ms: int) -> dict[str, object]:
    return {
        "category": market.category,
        "orderId": order,
        "orderLinkId": "",
        "symbol": market.instrument.bybit,
        "side": "",
        "positionIdx": 0,
        "createType": "",
        "orderStatus": "",
        "cancelType": "UNKNOWN",
        "rejectReason": "EC_NoError",
        "orderType": "Market",
        "stopOrderType": "",
        "timeInForce": "IOC",
        "price": "",
        "qty": "",
        "avgPrice": "",
        "leavesQty": "",
        "leavesValue": "",
        "cumExecQty": "",
        "cumExecValue": "",
        "cumExecFee": "",
        "closedPnl": "",
        "triggerPrice": "",
        "takeProfit": "",
        "stopLoss": "",
        "reduceOnly": False,
        "closeOnTrigger": False,
        "createdTime": "",
        "updatedTime": str(time_ms),
    }


# --- wallet, key, account ---


@dataclass(frozen=True, slots=True)
class WalletCoin:
    """An account's balance, PnL and margins in one settle asset, over all its positions there."""

    name: str
    decimals: int
    balance_cash: int
    unrealized_pnl_cash: int
    initial_cash: int
    maintenance_cash: int
    usd_price: tuple[int, int] | None

    @property
    def equity_cash(self) -> int:
        """Balance and unrealized PnL."""
        return self.balance_cash + self.unrealized_pnl_cash

    def frame(self) -> dict[str, str]:
        """Return the coin's row."""
        return {
            "coin": self.name,
            "equity": amounts.cash(self.equity_cash, self.decimals),
            "usdValue": amounts.value_at(self.equity_cash, self.decimals, self.usd_price),
            "walletBalance": amounts.cash(self.balance_cash, self.decimals),
            "availableToWithdraw": "",
            "availableToBorrow": "",
            "borrowAmount": "0",
            "accruedInterest": "0",
            "totalOrderIM": "",
            "totalPositionIM": amounts.cash(self.initial_cash, self.decimals),
            "totalPositionMM": amounts.cash(self.maintenance_cash, self.decimals),
            "unrealisedPnl": amounts.cash(self.unrealized_pnl_cash, self.decimals),
            "cumRealisedPnl": "",
            "bonus": "0",
        }


def wallet_frame(coins: Sequence[WalletCoin]) -> dict[str, object]:
    """Return a wallet; its totals in USD are empty, as at Bybit outside unified accounts."""
    return {
        "accountType": "CONTRACT",
        "accountLTV": "",
        "accountIMRate": "",
        "accountMMRate": "",
        "totalEquity": "",
        "totalWalletBalance": "",
        "totalMarginBalance": "",
        "totalAvailableBalance": "",
        "totalPerpUPL": "",
        "totalInitialMargin": "",
        "totalMaintenanceMargin": "",
        "coin": [coin.frame() for coin in coins],
    }


def key_info(key_id: str) -> bytes:
    """Return the result of /v5/user/query-api: a read-only key of a unified trading account."""
    return msgspec.json.encode(
        {
            "id": key_id,
            "note": "",
            "apiKey": key_id,
            "readOnly": 1,
            "secret": "",
            "permissions": {
                "ContractTrade": ["Position"],
                "Spot": [],
                "Wallet": [],
                "Options": [],
                "Derivatives": ["DerivativesTrade"],
                "CopyTrading": [],
                "BlockTrade": [],
                "Exchange": [],
                "NFT": [],
            },
            "ips": ["*"],
            "type": 1,
            "unified": 0,
            "uta": 1,
            "userID": 0,
            "inviterID": 0,
            "vipLevel": "",
            "mktMakerLevel": "0",
            "affiliateID": 0,
        }
    )


def account_info(now_ms: int) -> bytes:
    """Return the result of /v5/account/info."""
    return msgspec.json.encode(
        {"unifiedMarginStatus": 4, "marginMode": "REGULAR_MARGIN", "updatedTime": str(now_ms)}
    )


NO_COINS = b'{"rows":[]}'
"""The result of /v5/asset/coin/query-info: delever has no deposits."""
