"""Every socket of every venue through its library: what it tells, drops, garbage; and recovery.

All sockets are listened to at once, as the watch does, against one stub that says the same wrong
thing on each of them.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import samples
from stub import Stub, stubbed

from delever.watch.asking import Asking
from delever.watch.faults import Fault
from delever.watch.reading import Reading
from delever.watch.settings import parse
from delever.watch.venues import MAKERS

PATIENCE_S = 20.0

LINEAR, INVERSE, PRIVATE = "/v5/public/linear", "/v5/public/inverse", "/v5/private"
BINANCE, COIN, OKX = "/private/ws", "/ws/coin-key", "/ws/v5/public"

SOCKETS = {
    ("binance", "account stream"): BINANCE,
    ("binance-coin", "account stream"): COIN,
    ("bybit", "linear stream"): LINEAR,
    ("bybit", "inverse stream"): INVERSE,
    ("bybit", "account stream"): PRIVATE,
    ("okx", "ADL warnings"): OKX,
}
"""Each stream of the watch, and the path that its library opens."""

SIGNED_IN = {"success": True, "ret_msg": "", "op": "auth", "conn_id": "1"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def order(symbol: str, **more: Any) -> dict[str, Any]:
    """Return Binance's update of an order that ADL has filled."""
    told = {
        "s": symbol, "c": "adl_autoclose", "S": "BUY", "o": "LIMIT", "f": "GTC", "q": "12",
        "p": "0", "ap": "60000", "sp": "0", "x": "TRADE", "X": "FILLED", "i": 6072734303, "l": "12",
        "z": "12", "L": "60000", "N": "USDT", "n": "0", "T": now_ms(), "t": 12345, "ps": "BOTH",
        "rp": "1.5", "ot": "LIMIT",
    }  # fmt: skip
    told = {name: value for name, value in (told | more).items() if value is not None}
    return {"e": "ORDER_TRADE_UPDATE", "E": now_ms(), "T": now_ms(), "o": told}


def alert(group: str, symbol: str, **more: Any) -> dict[str, Any]:
    row = {"c": group, "s": symbol, "b": 50_000, "mb": "", "i_pr": -0.3, "pr": -0.1}
    row |= {"adl_tt": 10_000, "adl_sr": -0.25}
    return pushed(f"adlAlert.{group}", row | more)


def pool(group: str, symbol: str) -> dict[str, Any]:
    row = {"coin": group, "symbols": symbol, "balance": "25614.92", "updateTime": str(now_ms())}
    return pushed(f"insurance.{group}", row)


def pushed(topic: str, row: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in row.items() if value is not None}
    return {"topic": topic, "type": "snapshot", "ts": now_ms(), "data": [told]}


def execution(**more: Any) -> dict[str, Any]:
    row = samples.EXECUTION | {"category": "linear", "execTime": str(now_ms())} | more
    row = {name: value for name, value in row.items() if value is not None}
    return {"topic": "execution", "id": "1", "creationTime": now_ms(), "data": [row]}


def warning(**more: Any) -> dict[str, Any]:
    argument = {"channel": "adl-warning", "instType": "SWAP"}
    row = {"instType": "SWAP", "instFamily": "BTC-USDT", "state": "warning", "ts": str(now_ms())}
    row = {name: value for name, value in (row | {"bal": "1"} | more).items() if value is not None}
    return {"arg": argument, "data": [row]}


def good() -> dict[str, list[Any]]:
    """Return what every socket says when all is well."""
    return {
        BINANCE: [order("BTCUSDT")],
        COIN: [order("BTCUSD_PERP", N="BTC")],
        LINEAR: [alert("USDT", "BTCUSDT"), pool("USDT", "GRIFFAINUSDT")],
        INVERSE: [alert("inverse", "BTCUSD"), pool("inverse", "XRPUSD")],
        PRIVATE: [SIGNED_IN, execution()],
        OKX: [warning()],
    }


def everywhere(frame: Any) -> dict[str, list[Any]]:
    return {path: [SIGNED_IN, frame] if path == PRIVATE else [frame] for path in good()}


def garbage() -> dict[str, list[Any]]:
    """Return pushes that are no JSON, and such as are cut short."""
    plain, cut = everywhere("<html>"), everywhere('{"topic": "adlAl')
    return plain | {path: cut[path] for path in (COIN, INVERSE, OKX)}


def missing() -> dict[str, list[Any]]:
    """Return pushes that lack a field."""
    return {
        BINANCE: [order("BTCUSDT", z=None)],
        COIN: [order("BTCUSD_PERP", z=None)],
        LINEAR: [alert("USDT", "BTCUSDT", pr=None)],
        INVERSE: [alert("inverse", "BTCUSD", pr=None)],
        PRIVATE: [SIGNED_IN, execution(execQty=None)],
        OKX: [warning(state=None)],
    }


def mistyped() -> dict[str, list[Any]]:
    """Return pushes in which a number is none."""
    return {
        BINANCE: [order("BTCUSDT", ap="much")],
        COIN: [order("BTCUSD_PERP", ap="much")],
        LINEAR: [alert("USDT", "BTCUSDT", pr="much")],
        INVERSE: [alert("inverse", "BTCUSD", pr="much")],
        PRIVATE: [SIGNED_IN, execution(execPrice="much")],
        OKX: [warning(ts="soon")],
    }


WRONG: dict[str, tuple[Callable[[], dict[str, list[Any]]], set[str]]] = {
    "cut off": (lambda: everywhere(None), {"socket_dropped"}),
    "garbage": (garbage, {"malformed"}),
    "a field is missing": (missing, {"malformed"}),
    "a number is none": (mistyped, {"malformed"}),
}


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setenv("WATCH_KEY", "key")
    monkeypatch.setenv("WATCH_SECRET", "secret")
    with stubbed() as served:
        for answer in (samples.binance, samples.binance_coin, samples.bybit, samples.okx):
            answer(served)
        yield served


class Listening:
    """All streams of all venues, without what is asked for."""

    def __init__(self, url: str) -> None:
        self.readings: list[Reading] = []
        self.askings = [self._asking(name, url) for name in MAKERS]

    def _asking(self, name: str, url: str) -> Asking:
        key = {"key_env": "WATCH_KEY", "secret_env": "WATCH_SECRET"}
        key |= {"passphrase_env": "WATCH_SECRET"} if name == "okx" else {}
        raw = {"venue": name, "base_url": url, "families": ["ETH-USDT"], **key}
        (venue,) = parse({"venues": [raw]}).venues
        adapter = replace(MAKERS[name](venue, now_ms), sources=())
        return Asking(adapter, now_ms, self._take)

    def _take(self, read: Sequence[Reading], whole: tuple[type[Reading], ...] = ()) -> None:
        del whole
        self.readings.extend(read)

    @property
    def faults(self) -> dict[tuple[str, str], Fault]:
        return {(f.venue, f.source): f for asking in self.askings for f in asking.faults}

    def told(self) -> set[tuple[str, str, str]]:
        return {(type(r).__name__, r.venue, r.name) for r in self.readings}

    async def until(self, holds: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end, f"never {what}: {self.faults}, {self.told()}"
            await asyncio.sleep(0.05)


ALL_TOLD = {
    ("Fill", "binance", "BTCUSDT"),
    ("Fill", "binance-coin", "BTCUSD_PERP"),
    ("Fill", "bybit", "XRPUSDT"),
    ("Drawdown", "bybit", "BTCUSDT"),
    ("Drawdown", "bybit", "BTCUSD"),
    ("Pool", "bybit", "GRIFFAINUSDT"),
    ("Pool", "bybit", "XRPUSD"),
    ("Warned", "okx", "BTC-USDT-SWAP"),
}


async def fall_and_recover(stub: Stub, wrong: dict[str, list[Any]], kinds: set[str]) -> None:
    stub.pushes = wrong
    listening = Listening(stub.url)
    running = [asyncio.create_task(asking.run()) for asking in listening.askings]
    try:
        await listening.until(lambda: listening.faults.keys() == SOCKETS.keys(), "all at fault")
        assert {fault.kind for fault in listening.faults.values()} <= kinds
        assert not {"Drawdown", "Fill"} & {type(r).__name__ for r in listening.readings}
        assert all(fault.retry_ms > fault.since_ms for fault in listening.faults.values())
        stub.pushes = good()
        await listening.until(lambda: listening.told() >= ALL_TOLD, "all told again")
        await listening.until(lambda: not listening.faults, "without a fault again")
        assert not any(task.done() for task in running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("wrong", WRONG)
def test_every_socket_falls_and_recovers(stub: Stub, wrong: str) -> None:
    pushes, kinds = WRONG[wrong]
    asyncio.run(fall_and_recover(stub, pushes(), kinds))
