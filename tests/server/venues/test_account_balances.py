"""The account's money as the served venues' clients read it, where it is not all in one wallet."""

import json

import msgspec

from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import AnyCommand, Side
from delever.server.engine.account_snapshot import (
    AccountSnapshot,
    PositionSnapshot,
    account_snapshot_of,
)
from delever.server.venues.account_reader import liquidation_ticks
from delever.server.venues.binance.account_payloads import asset_row, multi_asset_totals
from delever.server.venues.bybit.account_payloads import wallet_frame
from delever.server.venues.okx.payloads import (
    CurrencyBalance,
    balance_detail,
    multi_currency_totals,
)

UNIT = 100_000_000


def held(profit: int, margin: int) -> PositionSnapshot:
    return PositionSnapshot(
        contract="BTCUSDT",
        side=Side.LONG,
        position_id=0,
        lots=1,
        cost_cash=30_000 * UNIT,
        unrealized_pnl_cash=profit * UNIT,
        margin_cash=margin * UNIT,
        isolated=margin > 0,
        leverage_hundredths=1_000,
        maintenance_cash=150 * UNIT,
        under_liquidation=False,
    )


def test_binance_balances_separate_isolated_margins_from_the_cross_wallet() -> None:
    row = asset_row("USDT", 8, 1_000 * UNIT, [held(40, 0), held(-15, 300)])
    assert row == {
        "asset": "USDT",
        "walletBalance": "1300",
        "unrealizedProfit": "25",
        "marginBalance": "1325",
        "maintMargin": "300",
        "initialMargin": "6002.5",  # of the value at the mark
        "crossWalletBalance": "1000",
        "crossUnPnl": "40",
    }


SCENARIO = """
{"type": "define_pool", "pool": "main", "kind": "shared", "asset": "USDT", "rules": "binance"}
{"type": "define_contract", "contract": "X", "kind": "linear", "settle": "USDT", "pool": "main",
 "tick_size": "0.01", "lot_size": 1,
 "margin_tiers": [{"notional_from": 0, "maintenance_rate": "0.1"}]}
{"type": "set_marks", "marks": {"X": 100}}
{"type": "define_collateral", "asset": "USDT", "margin_currency": "USD", "index_price": "0.99",
 "bid_buffer": "0.01", "ask_buffer": "0.005"}
{"type": "define_collateral", "asset": "USDC", "index_price": 1,
 "tiers": [{"quantity_from": 0, "rate": "0.95"}]}
{"type": "define_account", "account": "ann", "multi_asset": true}
{"type": "set_balances", "version": 1, "balances": [
 {"account": "ann", "asset": "USDT", "balance": 200},
 {"account": "ann", "asset": "USDC", "balance": 220}]}
{"type": "set_positions", "version": 1, "positions": [
 {"account": "ann", "contract": "X", "side": "long", "quantity": 10, "entry_price": 100}]}
"""


def multi_asset_book() -> Book:
    """Return a book in which ann has 200 USDT at 0.9801 and 220 USDC at 95 %."""
    book, decoder = Book(), json.JSONDecoder()
    rest = SCENARIO.strip()
    while rest:
        fields, end = decoder.raw_decode(rest)
        rest = rest[end:].lstrip()
        step(book, msgspec.convert({"time_ms": 0, **fields}, AnyCommand))
    return book


def account_of(book: Book) -> AccountSnapshot:
    snapshot = account_snapshot_of(book, "ann")
    assert snapshot is not None
    return snapshot


def test_balances_of_a_multi_asset_account() -> None:
    """Binance's example of 416.02, of which 405.02 count after the rate of USDC."""
    account = account_of(multi_asset_book())
    assert account.margin is not None
    usdt, _, usdc = account.wallets
    assert (usdt.asset, usdc.asset) == ("USDT", "USDC")

    held_usdc = CurrencyBalance(usdc.asset, usdc.decimals, 220 * UNIT, (), None, usdc.collateral)
    okx = balance_detail(held_usdc, 0, account.margin)
    assert (okx["eq"], okx["eqUsd"], okx["disEq"]) == ("220", "220", "209")
    totals = multi_currency_totals(account.margin)
    assert (totals["totalEq"], totals["adjEq"]) == ("416.02", "405.02")
    assert (totals["mmr"], totals["mgnRatio"]) == ("99", "4.091111")

    bybit = wallet_frame([], margin=account.margin)
    assert bybit["accountType"] == "UNIFIED"
    assert (bybit["totalEquity"], bybit["totalMarginBalance"]) == ("416.02", "405.02")
    assert (bybit["totalMaintenanceMargin"], bybit["accountMMRate"]) == ("99", "0.244432")

    binance = multi_asset_totals(account.margin)
    assert binance == {
        "multiAssetsMargin": True,
        "totalMarginBalance": "416.02",
        "totalCrossUnPnl": "0",
        "totalCrossWalletBalance": "416.02",
        "totalMaintMargin": "99",
    }


def test_the_liquidation_price_reads_the_margin_over_all_assets() -> None:
    """405.02 USD are 409.11 USDT: 409.11 - 10 (100 - p) = p at 65.6543."""
    book = multi_asset_book()
    account, terms = account_of(book), book.contracts["X"].terms
    ticks = liquidation_ticks(account.positions[0], account, terms, 10_000)
    assert ticks is not None
    price = ticks / 100
    assert f"{float(price):.4f}" == "65.6543"
