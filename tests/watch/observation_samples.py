"""Observations for tests: the arguments are what matters, the rest are usual values."""

from decimal import Decimal
from typing import Any

from delever.watch.market_data.observations import (
    DrawdownObservation,
    FillObservation,
    IndicatorObservation,
    PoolObservation,
    PositionObservation,
    RiskObservation,
    WalletObservation,
    WarningObservation,
)

NOW = 1_795_780_000_000


def _times(received_ms: int, refresh_ms: int) -> dict[str, Any]:
    return {"venue_time_ms": received_ms, "received_ms": received_ms, "refresh_ms": refresh_ms}


def indicator(
    number: int,
    *,
    name: str = "BTCUSDT",
    at_ms: int = NOW,
    side: Any = "long",
    venue: str = "bybit",
) -> IndicatorObservation:
    raw, times = str(number), _times(at_ms, 30_000)
    return IndicatorObservation(
        venue=venue, name=name, side=side, indicator=number, raw=raw, scale="0-5", **times
    )


def risk(
    level: int, *, name: str = "BTCUSDT", at_ms: int = NOW, venue: str = "binance"
) -> RiskObservation:
    raw = ("LOW", "MIDDLE", "HIGH", "EXTREMELY_HIGH")[level - 1]
    return RiskObservation(venue=venue, name=name, level=level, raw=raw, **_times(at_ms, 1_800_000))


def drawdown(
    ratio: str,
    *,
    name: str = "BTCUSDT",
    balance: str = "1000000",
    at_ms: int = NOW,
    refresh_ms: int = 1_000,
) -> DrawdownObservation:
    return DrawdownObservation(
        venue="bybit",
        name=name,
        asset="USDT",
        balance=Decimal(balance),
        pnl_ratio=Decimal(ratio),
        start_ratio=Decimal("-0.3"),
        stop_ratio=Decimal("-0.25"),
        trigger_threshold=Decimal(10_000),
        **_times(at_ms, refresh_ms),
    )


def warning(state: Any, *, name: str = "BTC-USDT-SWAP", at_ms: int = NOW) -> WarningObservation:
    return WarningObservation(
        venue="okx", name=name, state=state, balance=None, **_times(at_ms, 1_000)
    )


def pool(balance: str, *, at_ms: int = NOW, refresh_ms: int = 60_000) -> PoolObservation:
    members = ("BTCUSDT", "ETHUSDT")
    return PoolObservation(
        venue="bybit",
        name="BTCUSDT +1",
        asset="USDT",
        balance=Decimal(balance),
        members=members,
        **_times(at_ms, refresh_ms),
    )


def fill(
    number: str, *, name: str = "BTCUSDT", at_ms: int = NOW, venue: str = "binance"
) -> FillObservation:
    times = _times(at_ms, 60_000)
    size, price = Decimal("0.5"), Decimal(60_000)
    return FillObservation(
        venue=venue, name=name, fill=number, side="long", quantity=size, price=price, **times
    )


def position(**more: Any) -> PositionObservation:
    """Half a bitcoin bought at 60,000 and now at 66,000, leverage 10, cross."""
    usual = {
        "venue": "binance",
        "name": "BTCUSDT",
        "side": "long",
        "quantity": Decimal("0.5"),
        "multiplier": Decimal(1),
        "entry_price": Decimal(60_000),
        "mark": Decimal(66_000),
        "leverage": Decimal(10),
        "isolated": False,
        "margin": None,
        "maintenance": Decimal(165),
        "settle": "USDT",
        "inverse": False,
        "hedged": False,
    }
    return PositionObservation(**(usual | _times(NOW, 30_000) | more))


def wallet(balance: str, asset: str = "USDT", venue: str = "binance") -> WalletObservation:
    return WalletObservation(
        venue=venue, name=asset, balance=Decimal(balance), **_times(NOW, 30_000)
    )
