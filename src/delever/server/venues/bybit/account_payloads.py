"""Bybit V5's JSON of one account: positions, executions, orders and wallet.

Numbers and times that delever does not store, such as cumulative PnL, are "0", as typed clients
require; other fields are empty text. An ADL fill is an execution of type AdlTrade in its own
order, a takeover one of type BustTrade.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import AdlFilled, Side
from delever.core.units import Mark
from delever.server.engine.account_snapshot import MarginSnapshot, PositionSnapshot
from delever.server.venues import amounts
from delever.server.venues.fill_log import ForcedEvent, ForcedOrder
from delever.server.venues.symbols import Instrument

DEFAULT_LEVERAGE = 10
"""The leverage that Bybit sets for a contract at first."""

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

    mark_ticks: Mark
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
        "riskLimitValue": _risk_limit(market, position.leverage_hundredths),
        "breakEvenPrice": amounts.entry_price(terms, position.lots, position.cost_cash),
        "positionBalance": market.cash(margin),
        "positionMM": market.cash(position.maintenance_cash),
        "positionIM": market.cash(amounts.initial_margin_cash(position)),
        "positionMMByMp": market.cash(position.maintenance_cash),
        "positionIMByMp": market.cash(amounts.initial_margin_cash(position)),
        "liqPrice": _price(terms, context.liquidation_ticks),
        "unrealisedPnl": market.cash(position.unrealized_pnl_cash),
    }


def _risk_limit(market: BybitMarket, leverage_hundredths: int) -> str:
    """Return the largest notional that the margin tiers allow at a leverage."""
    return market.cash(amounts.max_notional_cash(market.terms, leverage_hundredths))


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
        "riskId": 1,
        "riskLimitValue": _risk_limit(market, DEFAULT_LEVERAGE * 100),
        "symbol": market.instrument.bybit,
        "side": "",
        "size": "0",
        "avgPrice": "0",
        "positionValue": "0",
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 0,
        "leverage": str(DEFAULT_LEVERAGE),
        "breakEvenPrice": "",
        "positionBalance": "0",
        "markPrice": amounts.price(market.terms, context.mark_ticks),
        "liqPrice": "",
        "bustPrice": "",
        "positionMM": "0",
        "positionIM": "0",
        "positionMMByMp": "0",
        "positionIMByMp": "0",
        "tpslMode": "Full",
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "",
        "sessionAvgPrice": "",
        "unrealisedPnl": "0",
        "curRealisedPnl": "0",
        "cumRealisedPnl": "0",
        "seq": context.sequence,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": "0",
        "openTime": 0,
        "updatedTime": str(context.time_ms),
    }


def position_frame(market: BybitMarket, row: dict[str, Any]) -> dict[str, Any]:
    """Return a position's row as in the stream."""
    frame = {key: value for key, value in row.items() if key != "avgPrice"}
    return {"category": market.category, **frame, "entryPrice": row["avgPrice"]}


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
    """Return a forced order, completely filled, as in the stream and in the order history."""
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


def cancelled_frame(
    market: BybitMarket, order: str, fill: AdlFilled, time_ms: int
) -> dict[str, object]:
    """Return an open order that was cancelled with an ADL fill; only its id is known.

    Strict clients require a side and a type: those of a limit order that closes the position.
    """
    return {
        **_order(market, order, time_ms),
        "side": _closing_side(fill),
        "orderType": "Limit",
        "timeInForce": "GTC",
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
        **dict.fromkeys(("price", "qty", "leavesQty", "leavesValue", "cumExecQty"), "0"),
        **dict.fromkeys(("cumExecValue", "cumExecFee", "closedPnl"), "0"),
        "avgPrice": "",
        "triggerPrice": "",
        "takeProfit": "",
        "stopLoss": "",
        "reduceOnly": False,
        "closeOnTrigger": False,
        "createdTime": str(time_ms),
        "updatedTime": str(time_ms),
        **_ORDER_REST,
    }


_ORDER_REST: dict[str, object] = {
    "isLeverage": "",
    "triggerDirection": 0,
    "smpGroup": 0,
    **dict.fromkeys(
        (
            *("blockTradeId", "orderIv", "marketUnit", "slippageToleranceType", "tpslMode"),
            *("slippageTolerance", "ocoTriggerType", "tpTriggerBy", "slTriggerBy", "triggerBy"),
            *("placeType", "smpOrderId", "extraFees", "feeCurrency"),
        ),
        "",
    ),
    **dict.fromkeys(("tpLimitPrice", "slLimitPrice", "lastPriceOnCreated", "basePrice"), "0"),
    "smpType": "None",
}
"""Fields of orders that a forced order does not use."""


# --- wallet, key, account ---


@dataclass(frozen=True, slots=True)
class WalletCoin:
    """An account's balance, PnL and margins in one settle asset, over all its positions there.

    `available_cash` is what is free: cross equity less the initial margins that it backs, or 0.
    """

    name: str
    decimals: int
    balance_cash: int
    unrealized_pnl_cash: int
    initial_cash: int
    maintenance_cash: int
    available_cash: int
    usd_price: amounts.DollarPrice

    @property
    def equity_cash(self) -> int:
        """Balance and unrealized PnL."""
        return self.balance_cash + self.unrealized_pnl_cash

    def frame(self) -> dict[str, object]:
        """Return the coin's row."""
        return {
            "coin": self.name,
            "equity": amounts.cash(self.equity_cash, self.decimals),
            "usdValue": amounts.value_at(self.equity_cash, self.decimals, self.usd_price),
            "walletBalance": amounts.cash(self.balance_cash, self.decimals),
            "free": "",
            "locked": "0",
            "availableToWithdraw": amounts.cash(self.available_cash, self.decimals),
            "availableToBorrow": "",
            "borrowAmount": "0",
            "spotBorrow": "0",
            "accruedInterest": "0",
            "totalOrderIM": "0",
            "totalPositionIM": amounts.cash(self.initial_cash, self.decimals),
            "totalPositionMM": amounts.cash(self.maintenance_cash, self.decimals),
            "unrealisedPnl": amounts.cash(self.unrealized_pnl_cash, self.decimals),
            "cumRealisedPnl": "0",
            "bonus": "0",
            "marginCollateral": True,
            "collateralSwitch": True,
            "spotHedgingQty": "0",
        }


def wallet_frame(
    coins: Sequence[WalletCoin],
    totals_of: Sequence[WalletCoin] | None = None,
    margin: MarginSnapshot | None = None,
) -> dict[str, object]:
    """Return a unified account's wallet with totals in dollars over `totals_of`, or its coins.

    A coin without a known price is in no total. In multi-asset mode the totals of `margin`, in the
    margin currency, stand for those of the coins.
    """

    def total(amount_of: Callable[[WalletCoin], int]) -> str:
        counted = coins if totals_of is None else totals_of
        return amounts.total_value((amount_of(c), c.decimals, c.usd_price) for c in counted)

    equity = total(lambda coin: coin.equity_cash)
    initial = total(lambda coin: coin.initial_cash)
    maintenance = total(lambda coin: coin.maintenance_cash)
    rates = amounts.quotient(initial, equity), amounts.quotient(maintenance, equity)
    frame: dict[str, object] = {
        "accountType": "UNIFIED",
        "accountLTV": "0",
        "accountIMRate": rates[0],
        "accountMMRate": rates[1],
        "accountIMRateByMp": rates[0],
        "accountMMRateByMp": rates[1],
        "totalEquity": equity,
        "totalWalletBalance": total(lambda coin: coin.balance_cash),
        "totalMarginBalance": equity,
        "totalAvailableBalance": total(lambda coin: coin.available_cash),
        "totalPerpUPL": total(lambda coin: coin.unrealized_pnl_cash),
        "totalInitialMargin": initial,
        "totalMaintenanceMargin": maintenance,
        "totalInitialMarginByMp": initial,
        "totalMaintenanceMarginByMp": maintenance,
        "coin": [coin.frame() for coin in coins],
    }
    return frame | (_multi_asset_totals(margin) if margin else {})


def _multi_asset_totals(margin: MarginSnapshot) -> dict[str, str]:
    """Return a multi-asset account's totals; its margin balance is after collateral haircut."""
    counted = margin.equity_after_haircut_cash
    return {
        "accountMMRate": amounts.part(margin.maintenance_cash, counted),
        "totalEquity": amounts.cash(margin.equity_cash, margin.decimals),
        "totalWalletBalance": amounts.cash(
            margin.equity_cash - margin.unrealized_pnl_cash, margin.decimals
        ),
        "totalMarginBalance": amounts.cash(counted, margin.decimals),
        "totalPerpUPL": amounts.cash(margin.unrealized_pnl_cash, margin.decimals),
        "totalMaintenanceMargin": amounts.cash(margin.maintenance_cash, margin.decimals),
    }


def fee_rate_row(market: BybitMarket) -> dict[str, str]:
    """Return the fees of trades in a contract: the engine charges none, ADL fills excepted."""
    symbol = {"symbol": market.instrument.bybit, "baseCoin": market.instrument.base}
    return {**symbol, "takerFeeRate": "0", "makerFeeRate": "0"}


def closed_pnl_row(market: BybitMarket, order: ForcedOrder) -> dict[str, str]:
    """Return a forced order as in closed-pnl."""
    event = order.event
    quantity = amounts.units(market.terms, event.lots)
    price = amounts.price(market.terms, event.price_ticks)
    leverage = event.leverage_hundredths if isinstance(event, AdlFilled) else 100
    return {
        "symbol": market.instrument.bybit,
        "orderId": order_id(event),
        "side": _closing_side(event),
        "qty": quantity,
        "orderPrice": price,
        "orderType": "Market",
        "execType": execution_type(event),
        "closedSize": quantity,
        "openFee": "0",
        "closeFee": market.cash(_fee_cash(event)),
        "cumEntryValue": market.cash(abs(event.cost_cash)),
        "avgEntryPrice": amounts.entry_price(market.terms, event.lots, event.cost_cash),
        "cumExitValue": market.cash(abs(event.value_cash)),
        "avgExitPrice": price,
        "closedPnl": market.cash(event.realized_pnl_cash),
        "fillCount": "1",
        "leverage": amounts.leverage(leverage),
        "createdTime": str(order.time_ms),
        "updatedTime": str(order.time_ms),
    }


def transaction_row(market: BybitMarket, order: ForcedOrder) -> dict[str, str]:
    """Return a forced order as in transaction-log; balances of then are not stored."""
    event, fee = order.event, _fee_cash(order.event)
    return {
        "id": order_id(event),
        "symbol": market.instrument.bybit,
        "category": market.category,
        "side": _closing_side(event),
        "transactionTime": str(order.time_ms),
        "type": "ADL" if isinstance(event, AdlFilled) else "LIQUIDATION",
        "transSubType": "",
        "qty": amounts.units(market.terms, event.lots),
        "size": "0",
        "currency": market.terms.settle,
        "tradePrice": amounts.price(market.terms, event.price_ticks),
        "funding": "",
        "fee": market.cash(fee),
        "cashFlow": market.cash(event.realized_pnl_cash),
        "change": market.cash(event.realized_pnl_cash - fee),
        "cashBalance": "",
        "feeRate": amounts.part(fee, abs(event.value_cash)),
        "bonusChange": "",
        "tradeId": order_id(event),
        "orderId": order_id(event),
        "orderLinkId": "",
        "extraFees": "",
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
            "deadlineDay": 90,
            "expiredAt": NEVER,
            "createdAt": "1970-01-01T00:00:00Z",
            "unified": 0,
            "uta": 1,
            "userID": 0,
            "inviterID": 0,
            "vipLevel": "",
            "mktMakerLevel": "0",
            "affiliateID": 0,
            "rsaPublicKey": "",
            "isMaster": True,
            "parentUid": "0",
            "kycLevel": "LEVEL_DEFAULT",
            "kycRegion": "",
        }
    )


def account_info(now_ms: int) -> bytes:
    """Return the result of /v5/account/info."""
    return msgspec.json.encode(
        {
            "unifiedMarginStatus": 4,
            "marginMode": "REGULAR_MARGIN",
            "dcpStatus": "OFF",
            "timeWindow": 10,
            "smpGroup": 0,
            "isMasterTrader": False,
            "spotHedgingStatus": "OFF",
            "updatedTime": str(now_ms),
        }
    )


NEVER = "2106-02-07T06:28:15Z"
"""The expiry of a key that does not expire."""

NO_COINS = b'{"rows":[]}'
"""The result of /v5/asset/coin/query-info: delever has no deposits."""
