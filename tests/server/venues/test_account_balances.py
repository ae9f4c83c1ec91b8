"""The account's money as the served venues' clients read it, where it is not all in one wallet."""

from delever.core.messages import Side
from delever.server.engine.account_snapshot import PositionSnapshot
from delever.server.venues.binance.account_payloads import asset_row
from delever.server.venues.okx.payloads import balance_row

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


def test_okx_balances_state_cash_and_equity() -> None:
    row = balance_row("USDT", 8, 1_000 * UNIT, 1_040 * UNIT)
    assert (row["ccy"], float(row["cashBal"]), float(row["eq"])) == ("USDT", 1_000, 1_040)
