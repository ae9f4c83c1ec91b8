"""Readings as tests write them: what matters is said, the rest is as usual."""

from decimal import Decimal
from typing import Any

from delever.watch.reading import (
    Drawdown,
    Fill,
    IndicatorReading,
    Pool,
    Position,
    Risk,
    Wallet,
    Warned,
)

NOW = 1_795_780_000_000


def _when(came_ms: int, cadence_ms: int) -> dict[str, Any]:
    return {"of_ms": came_ms, "came_ms": came_ms, "cadence_ms": cadence_ms}


def indicator(
    number: int,
    *,
    name: str = "BTCUSDT",
    at_ms: int = NOW,
    side: Any = "long",
    venue: str = "bybit",
) -> IndicatorReading:
    raw, when = str(number), _when(at_ms, 30_000)
    return IndicatorReading(
        venue=venue, name=name, side=side, indicator=number, raw=raw, scale="0-5", **when
    )


def risk(level: int, *, name: str = "BTCUSDT", at_ms: int = NOW, venue: str = "binance") -> Risk:
    raw = ("LOW", "MIDDLE", "HIGH", "EXTREMELY_HIGH")[level - 1]
    return Risk(venue=venue, name=name, level=level, raw=raw, **_when(at_ms, 1_800_000))


def drawdown(
    ratio: str,
    *,
    name: str = "BTCUSDT",
    balance: str = "1000000",
    at_ms: int = NOW,
    cadence_ms: int = 1_000,
) -> Drawdown:
    return Drawdown(
        venue="bybit",
        name=name,
        asset="USDT",
        balance=Decimal(balance),
        pnl_ratio=Decimal(ratio),
        start_ratio=Decimal("-0.3"),
        stop_ratio=Decimal("-0.25"),
        threshold=Decimal(10_000),
        **_when(at_ms, cadence_ms),
    )


def warned(state: Any, *, name: str = "BTC-USDT-SWAP", at_ms: int = NOW) -> Warned:
    return Warned(venue="okx", name=name, state=state, balance=None, **_when(at_ms, 1_000))


def pool(balance: str, *, at_ms: int = NOW, cadence_ms: int = 60_000) -> Pool:
    members = ("BTCUSDT", "ETHUSDT")
    return Pool(
        venue="bybit",
        name="BTCUSDT +1",
        asset="USDT",
        balance=Decimal(balance),
        members=members,
        **_when(at_ms, cadence_ms),
    )


def fill(number: str, *, name: str = "BTCUSDT", at_ms: int = NOW, venue: str = "binance") -> Fill:
    when = _when(at_ms, 60_000)
    size, price = Decimal("0.5"), Decimal(60_000)
    return Fill(
        venue=venue, name=name, fill=number, side="long", quantity=size, price=price, **when
    )


def position(**more: Any) -> Position:
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
    return Position(**(usual | _when(NOW, 30_000) | more))


def wallet(balance: str, asset: str = "USDT", venue: str = "binance") -> Wallet:
    return Wallet(venue=venue, name=asset, balance=Decimal(balance), **_when(NOW, 30_000))
