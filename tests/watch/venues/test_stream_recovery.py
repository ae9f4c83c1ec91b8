"""Every stream of every venue through its library: pushes, drops, garbage, and recovery.

All sockets are open at once, as in the watch, against one stub that sends the same wrong push on
each of them.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import answer_samples as samples
import onchain_samples
import pytest
from stub_server import Stub, stubbed

from delever.watch.market_data.errors import SourceFailure
from delever.watch.market_data.observations import Observation
from delever.watch.poller import VenuePoller
from delever.watch.settings import parse
from delever.watch.venues import ADAPTERS
from waiting import until

LINEAR, INVERSE, PRIVATE = "/v5/public/linear", "/v5/public/inverse", "/v5/private"
BINANCE, COIN, OKX = "/private/ws", "/ws/coin-key", "/ws/v5/public"
OKX_PRIVATE, HYPERLIQUID, DYDX = "/ws/v5/private", "/ws", "/v4/ws"

SOCKETS = {
    ("binance", "account stream"): BINANCE,
    ("binance-coin", "account stream"): COIN,
    ("bybit", "linear stream"): LINEAR,
    ("bybit", "inverse stream"): INVERSE,
    ("bybit", "account stream"): PRIVATE,
    ("okx", "ADL warnings"): OKX,
    ("okx", "account stream"): OKX_PRIVATE,
    ("hyperliquid", "fill stream"): HYPERLIQUID,
    ("dydx", "fill stream"): DYDX,
}
"""Each stream of the watch, with the path that its library opens."""

SIGNED_IN = {"success": True, "ret_msg": "", "op": "auth", "conn_id": "1"}
LOGGED_IN = {"event": "login", "code": "0", "msg": "", "connId": "1"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def order(symbol: str, **more: Any) -> dict[str, Any]:
    """Return Binance's update of an order that ADL has filled."""
    fields = {
        "s": symbol, "c": "adl_autoclose", "S": "BUY", "o": "LIMIT", "f": "GTC", "q": "12",
        "p": "0", "ap": "60000", "sp": "0", "x": "TRADE", "X": "FILLED", "i": 6072734303, "l": "12",
        "z": "12", "L": "60000", "N": "USDT", "n": "0", "T": now_ms(), "t": 12345, "ps": "BOTH",
        "rp": "1.5", "ot": "LIMIT",
    }  # fmt: skip
    fields = {name: value for name, value in (fields | more).items() if value is not None}
    return {"e": "ORDER_TRADE_UPDATE", "E": now_ms(), "T": now_ms(), "o": fields}


def alert(group: str, symbol: str, **more: Any) -> dict[str, Any]:
    row = {"c": group, "s": symbol, "b": 50_000, "mb": "", "i_pr": -0.3, "pr": -0.1}
    row |= {"adl_tt": 10_000, "adl_sr": -0.25}
    return pushed(f"adlAlert.{group}", row | more)


def pool(group: str, symbol: str) -> dict[str, Any]:
    row = {"coin": group, "symbols": symbol, "balance": "25614.92", "updateTime": str(now_ms())}
    return pushed(f"insurance.{group}", row)


def pushed(topic: str, row: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if value is not None}
    return {"topic": topic, "type": "snapshot", "ts": now_ms(), "data": [fields]}


def execution(**more: Any) -> dict[str, Any]:
    row = samples.EXECUTION | {"category": "linear", "execTime": str(now_ms())} | more
    row = {name: value for name, value in row.items() if value is not None}
    return {"topic": "execution", "id": "1", "creationTime": now_ms(), "data": [row]}


def warning(**more: Any) -> dict[str, Any]:
    argument = {"channel": "adl-warning", "instType": "SWAP"}
    row = {"instType": "SWAP", "instFamily": "BTC-USDT", "state": "warning", "ts": str(now_ms())}
    row = {name: value for name, value in (row | {"bal": "1"} | more).items() if value is not None}
    return {"arg": argument, "data": [row]}


def okx_order(**more: Any) -> dict[str, Any]:
    argument = {"channel": "orders", "instType": "ANY", "uid": "1"}
    row = {
        "instType": "SWAP", "instId": "BTC-USDT-SWAP", "ordId": "7", "tradeId": "8",
        "category": "adl", "state": "filled", "side": "sell", "posSide": "long",
        "sz": "2", "accFillSz": "2", "fillSz": "2", "fillPx": "34000", "fillPnl": "5",
        "fillTime": str(now_ms()), "cTime": str(now_ms()), "uTime": str(now_ms()),
    }  # fmt: skip
    row = {name: value for name, value in (row | more).items() if value is not None}
    return {"arg": argument, "data": [row]}


def hyperliquid_fill(**more: Any) -> dict[str, Any]:
    row = {name: v for name, v in onchain_samples.fill(**more).items() if v is not None}
    return {"channel": "userFills", "data": {"user": onchain_samples.ADDRESS, "fills": [row]}}


def dydx_fill(**more: Any) -> dict[str, Any]:
    row = onchain_samples.dydx_fill("OFFSETTING", **more)
    fills = [{name: value for name, value in row.items() if value is not None}]
    channel = "v4_parent_subaccounts"
    return {"type": "channel_data", "channel": channel, "contents": {"fills": fills}}


def good() -> dict[str, list[Any]]:
    """Return valid pushes of every socket."""
    return {
        BINANCE: [order("BTCUSDT")],
        COIN: [order("BTCUSD_PERP", N="BTC")],
        LINEAR: [alert("USDT", "BTCUSDT"), pool("USDT", "GRIFFAINUSDT")],
        INVERSE: [alert("inverse", "BTCUSD"), pool("inverse", "XRPUSD")],
        PRIVATE: [SIGNED_IN, execution()],
        OKX: [warning()],
        OKX_PRIVATE: [LOGGED_IN, okx_order()],
        HYPERLIQUID: [hyperliquid_fill()],
        DYDX: [dydx_fill()],
    }


def everywhere(frame: Any) -> dict[str, list[Any]]:
    first = {PRIVATE: [SIGNED_IN], OKX_PRIVATE: [LOGGED_IN]}
    return {path: [*first.get(path, ()), frame] for path in good()}


def garbage() -> dict[str, list[Any]]:
    """Return pushes that are no JSON or truncated JSON."""
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
        OKX_PRIVATE: [LOGGED_IN, okx_order(fillPx=None)],
        HYPERLIQUID: [hyperliquid_fill(sz=None)],
        DYDX: [dydx_fill(size=None)],
    }


def mistyped() -> dict[str, list[Any]]:
    """Return pushes with text instead of a number."""
    return {
        BINANCE: [order("BTCUSDT", ap="much")],
        COIN: [order("BTCUSD_PERP", ap="much")],
        LINEAR: [alert("USDT", "BTCUSDT", pr="much")],
        INVERSE: [alert("inverse", "BTCUSD", pr="much")],
        PRIVATE: [SIGNED_IN, execution(execPrice="much")],
        OKX: [warning(ts="soon")],
        OKX_PRIVATE: [LOGGED_IN, okx_order(fillPx="much")],
        HYPERLIQUID: [hyperliquid_fill(px="much")],
        DYDX: [dydx_fill(price="much")],
    }


WRONG_PUSHES: dict[str, tuple[Callable[[], dict[str, list[Any]]], set[str]]] = {
    "cut off": (lambda: everywhere(None), {"socket_dropped"}),
    "garbage": (garbage, {"malformed"}),
    "a field is missing": (missing, {"malformed"}),
    "a number is text": (mistyped, {"malformed"}),
}


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setenv("WATCH_KEY", "key")
    monkeypatch.setenv("WATCH_SECRET", "secret")
    with stubbed() as served:
        for answer in (samples.binance, samples.binance_coin, samples.bybit, samples.okx):
            answer(served)
        yield served


ADDRESSES = {"hyperliquid": onchain_samples.ADDRESS, "dydx": onchain_samples.DYDX_ADDRESS}


class Listening:
    """All streams of all venues, without polled sources."""

    def __init__(self, url: str) -> None:
        self.observations: list[Observation] = []
        self.pollers = [self._poller(name, url) for name in ADAPTERS]

    def _poller(self, name: str, url: str) -> VenuePoller:
        key = {"key_env": "WATCH_KEY", "secret_env": "WATCH_SECRET"}
        key |= {"passphrase_env": "WATCH_SECRET"} if name == "okx" else {}
        key = {"address": ADDRESSES[name]} if name in ADDRESSES else key
        raw = {"venue": name, "base_url": url, "families": ["ETH-USDT"], **key}
        (venue,) = parse({"venues": [raw]}).venues
        adapter = ADAPTERS[name](venue, now_ms)
        streams = tuple(replace(stream, backfill="") for stream in adapter.streams)
        adapter = replace(adapter, sources=(), streams=streams)
        return VenuePoller(adapter, now_ms, self._store)

    def _store(
        self, read: Sequence[Observation], complete: tuple[type[Observation], ...] = ()
    ) -> None:
        del complete
        self.observations.extend(read)

    @property
    def failures(self) -> dict[tuple[str, str], SourceFailure]:
        return {(f.venue, f.source): f for poller in self.pollers for f in poller.failures}

    def observed(self) -> set[tuple[str, str, str]]:
        return {(r.kind, r.venue, r.name) for r in self.observations}

    async def until(self, condition: Callable[[], object], what: str) -> None:
        try:
            await until(condition, what)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.failures}, {self.observed()}") from None


ALL_OBSERVED = {
    ("fill", "binance", "BTCUSDT"),
    ("fill", "binance-coin", "BTCUSD_PERP"),
    ("fill", "bybit", "XRPUSDT"),
    ("drawdown", "bybit", "BTCUSDT"),
    ("drawdown", "bybit", "BTCUSD"),
    ("pool", "bybit", "GRIFFAINUSDT"),
    ("pool", "bybit", "XRPUSD"),
    ("warning", "okx", "BTC-USDT-SWAP"),
    ("fill", "okx", "BTC-USDT-SWAP"),
    ("fill", "hyperliquid", "BTC"),
    ("fill", "dydx", "BTC-USD"),
}


async def fail_and_recover(stub: Stub, wrong: dict[str, list[Any]], kinds: set[str]) -> None:
    stub.pushes = wrong
    listening = Listening(stub.url)
    running = [asyncio.create_task(poller.run()) for poller in listening.pollers]
    try:
        await listening.until(lambda: listening.failures.keys() == SOCKETS.keys(), "all failed")
        assert {failure.kind for failure in listening.failures.values()} <= kinds
        assert not {"DrawdownObservation", "FillObservation"} & {
            type(r).__name__ for r in listening.observations
        }
        assert all(failure.retry_ms > failure.since_ms for failure in listening.failures.values())
        stub.pushes = good()
        await listening.until(lambda: listening.observed() >= ALL_OBSERVED, "all observed again")
        await listening.until(lambda: not listening.failures, "recovered")
        assert not any(task.done() for task in running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("wrong", WRONG_PUSHES)
def test_every_stream_fails_and_recovers(stub: Stub, wrong: str) -> None:
    pushes, kinds = WRONG_PUSHES[wrong]
    asyncio.run(fail_and_recover(stub, pushes(), kinds))
