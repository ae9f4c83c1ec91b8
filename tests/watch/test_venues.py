"""Each venue through its own library, against documented answers and injected faults."""

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import samples
from samples import SERVER_MS
from stub import Stub, stubbed

from delever.watch.asking import Asking
from delever.watch.faults import FaultKind
from delever.watch.reading import (
    Drawdown,
    Fill,
    IndicatorReading,
    Pool,
    Position,
    Reading,
    Risk,
    Wallet,
)
from delever.watch.settings import parse
from delever.watch.venues import MAKERS
from delever.watch.venues.adapter import Adapter, Source

NOW = SERVER_MS + 1_000


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stubbed() as served:
        yield served


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCH_KEY", "key")
    monkeypatch.setenv("WATCH_SECRET", "secret")


def made(name: str, url: str, *, keyed: bool = True) -> Adapter:
    key = {"key_env": "WATCH_KEY", "secret_env": "WATCH_SECRET"} if keyed else {}
    key |= {"passphrase_env": "WATCH_SECRET"} if keyed and name == "okx" else {}
    raw = {"venue": name, "base_url": url, "families": ["BTC-USDT"], **key}
    (venue,) = parse({"venues": [raw]}).venues
    adapter = MAKERS[name](venue, lambda: NOW)
    adapter.close.__self__.enableRateLimit = False  # type: ignore[attr-defined] - no need to pace
    return adapter


async def _asked(adapter: Adapter, names: set[str] | None) -> Any:
    readings: list[Reading] = []

    def take(read: Any, whole: Any = ()) -> None:  # noqa: ARG001 - everything is kept
        readings.extend(read)

    asking = Asking(adapter, lambda: NOW, take)
    try:
        for source in adapter.sources:
            if names is None or source.name in names:
                await asking._ask(source)
    finally:
        await adapter.close()
    return readings, {fault.source: fault for fault in asking.faults}, asking


def ask(adapter: Adapter, *names: str) -> Any:
    """Return (readings, faults by source, the asking) of one request to each source."""
    return asyncio.run(_asked(adapter, set(names) or None))


def of(kind: type[Reading], readings: list[Reading]) -> list[Any]:
    return [reading for reading in readings if isinstance(reading, kind)]


# --- what the venues document ---


def test_binance_is_read_whole(stub: Stub) -> None:
    samples.binance(stub)
    readings, faults, asking = ask(made("binance", stub.url))
    assert faults == {}
    assert [(r.name, r.level, r.raw) for r in of(Risk, readings)] == [
        ("BTCUSDT", 1, "low"),
        ("ETHUSDT", 4, "EXTREMELY_HIGH"),
    ]
    (pool,) = of(Pool, readings)
    assert (pool.name, pool.balance) == ("BNBUSDT +1", Decimal("793930579.315848"))
    indicators = {(r.name, r.side): (r.indicator, r.raw) for r in of(IndicatorReading, readings)}
    assert indicators == {  # one-way, isolated in hedge mode, cross in hedge mode
        ("ADAUSDT", "long"): (5, "4"),
        ("BTCUSDT", "short"): (3, "2"),
        ("ETHUSDT", "long"): (4, "3"),
    }
    held = {r.name: r for r in of(Position, readings)}
    assert (held["ADAUSDT"].quantity, held["ADAUSDT"].mark) == (30, Decimal("0.41047590"))
    assert (held["ADAUSDT"].leverage, held["ADAUSDT"].isolated) == (20, False)
    assert (held["BTCUSDT"].margin, held["BTCUSDT"].hedged) == (Decimal("2.75"), True)
    (wallet,) = of(Wallet, readings)
    assert wallet.balance == Decimal("27.25")
    (fill,) = of(Fill, readings)  # not the liquidation beside it
    assert (fill.fill, fill.side, fill.quantity) == ("6072734303", "short", Decimal("0.001"))
    assert asking.adapter.budget.used(NOW) == 321  # what the venue has counted


def test_coin_margined_futures_are_read_whole(stub: Stub) -> None:
    samples.binance_coin(stub)
    readings, faults, _ = ask(made("binance-coin", stub.url))
    assert faults == {}
    (indicator,), (held,) = of(IndicatorReading, readings), of(Position, readings)
    assert (indicator.name, indicator.side, indicator.indicator, indicator.raw) == (
        "BTCUSD_PERP",
        "short",
        3,
        "2",
    )
    assert (held.quantity, held.multiplier, held.inverse, held.settle) == (12, 100, True, "BTC")
    assert (held.leverage, held.isolated, held.hedged) == (20, False, False)
    assert of(Wallet, readings)[0].balance == Decimal("0.25")
    assert [(r.name, r.side) for r in of(Fill, readings)] == [("BTCUSD_PERP", "short")]


def test_bybit_is_read_whole(stub: Stub) -> None:
    samples.bybit(stub)
    readings, faults, _ = ask(made("bybit", stub.url))
    assert faults == {}
    (alert,) = of(Drawdown, readings)
    assert (alert.pnl_ratio, alert.to_start) == (Decimal("-0.560973"), Decimal("-0.260973"))
    assert (alert.of_ms, alert.starts) == (SERVER_MS - 40_000, True)
    shared, isolated = of(Pool, readings)
    assert (shared.name, shared.cadence_ms) == ("MERLUSDT +1", 24 * 3_600_000)
    assert (isolated.name, isolated.cadence_ms) == ("GRIFFAINUSDT", 60_000)
    indicator, held = of(IndicatorReading, readings)[0], of(Position, readings)[0]
    assert (indicator.indicator, indicator.raw, indicator.side) == (2, "2", "long")
    assert (held.quantity, held.isolated, held.margin) == (100, True, Decimal("3.7"))
    assert of(Wallet, readings)[0].balance == Decimal("1000.5")
    assert {(r.fill, r.side, r.quantity) for r in of(Fill, readings)} == {("e-1", "long", 40)}


@pytest.mark.parametrize(("balance", "margin"), [("5.25", "5.25"), ("", "3.634521")])
def test_an_account_of_bybit_may_be_isolated_as_a_whole(
    stub: Stub, balance: str, margin: str
) -> None:
    """Unified accounts say it once; a position without its own margin has its initial one."""
    samples.bybit(stub)
    account = {"unifiedMarginStatus": 4, "marginMode": "ISOLATED_MARGIN"}
    stub.say("/v5/account/info", samples.enveloped(account))
    row = samples.BYBIT_POSITION | {"tradeMode": 0, "positionBalance": balance}
    stub.say("/v5/position/list", samples.enveloped({"list": [row], "nextPageCursor": ""}))
    readings, faults, _ = ask(made("bybit", stub.url), "positions and indicators")
    held = of(Position, readings)[0]
    assert (faults, held.isolated, held.margin) == ({}, True, Decimal(margin))


def test_okx_is_read_whole(stub: Stub) -> None:
    samples.okx(stub)
    readings, faults, _ = ask(made("okx", stub.url))
    assert faults == {}
    (indicator,), (held,) = of(IndicatorReading, readings), of(Position, readings)
    assert (indicator.name, indicator.indicator, indicator.raw) == ("BTC-USDT-SWAP", 3, "3")
    assert (held.multiplier, held.isolated, held.leverage) == (Decimal("0.01"), False, 2)
    (pool,) = of(Pool, readings)
    assert (pool.name, pool.asset, pool.balance) == ("BTC-USDT", "USDT", Decimal("9999.12"))
    assert of(Wallet, readings)[0].balance == Decimal("500.25")
    assert [(r.fill, r.side) for r in of(Fill, readings)] == [("b-1", "long")]


def test_without_a_key_only_the_public_half_is_asked(stub: Stub) -> None:
    samples.binance(stub)
    adapter = made("binance", stub.url, keyed=False)
    assert [source.name for source in adapter.sources] == ["symbol risk", "insurance pools"]
    readings, faults, _ = ask(adapter)
    assert (len(of(Risk, readings)), faults) == (2, {})
    assert not any("quantile" in asked.lower() for asked in stub.asked)


# --- what goes wrong ---


def wrong(stub: Stub, status: int, body: Any, **headers: str) -> Any:
    """Return the fault, its asking and the time that is waited, of symbol risk answered so."""
    samples.binance(stub)
    stub.say("/fapi/v1/symbolAdlRisk", body, status, **headers)
    readings, faults, asking = ask(made("binance", stub.url), "symbol risk")
    fault = faults.get("symbol risk")
    assert of(Risk, readings) == []
    return fault, asking, fault.retry_ms - NOW


BANNED = {"code": -1003, "msg": "Way too many requests; IP banned until 1795780120000."}
SKEWED = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
REVOKED = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
FAULTS = [
    (429, {"code": -1003, "msg": "Too many requests"}, {}, "rate_limited", 1_000),
    (429, {"code": -1003, "msg": "Too many"}, {"retry_after": "17"}, "rate_limited", 17_000),
    (418, BANNED, {}, "banned", 60_000),
    (418, BANNED, {"retry_after": "120"}, "banned", 120_000),
    (400, SKEWED, {}, "clock_is_skewed", 1_000),
    (401, REVOKED, {}, "key_is_refused", 1_000),
    (503, {"code": -1001, "msg": "Internal error"}, {}, "unreachable", 1_000),
]


@pytest.mark.parametrize(("status", "body", "headers", "kind", "wait_ms"), FAULTS)
def test_a_fault_is_a_state_with_a_time_to_try_again(
    stub: Stub, status: int, body: Any, headers: dict[str, str], kind: str, wait_ms: int
) -> None:
    fault, asking, waited = wrong(stub, status, body, **headers)
    assert (fault.kind, waited) == (kind, wait_ms)
    limited = kind in {"rate_limited", "banned"}
    assert (asking.held_until_ms - NOW == wait_ms) is limited  # all of the venue waits
    if kind == "clock_is_skewed":
        assert "GET /fapi/v1/time" in stub.asked  # it has looked how far off its clock is


def test_a_venue_that_is_down_is_a_state() -> None:
    with stubbed() as stub:
        url = stub.url
    _, faults, _ = ask(made("binance", url), "symbol risk")
    assert faults["symbol risk"].kind is FaultKind.UNREACHABLE


ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("adlRisk", {"adlRisk": "moderate"}, "ETHUSDT: adlRisk: 'moderate'"),
    ("adlRisk", {}, "ETHUSDT: adlRisk: nothing"),
    ("updateTime", {"updateTime": "soon"}, "ETHUSDT: updateTime: 'soon'"),
    ("updateTime", {"updateTime": None}, "ETHUSDT: updateTime: nothing"),
    ("symbol", {}, "row 1: symbol: nothing"),
]


@pytest.mark.parametrize(("field", "instead", "why"), ROWS)
def test_a_field_that_is_missing_or_malformed_costs_its_row_only(
    stub: Stub, field: str, instead: dict[str, Any], why: str
) -> None:
    samples.binance(stub)
    row = {name: value for name, value in samples.RISKS[1].items() if name != field}
    stub.say("/fapi/v1/symbolAdlRisk", [samples.RISKS[0], row | instead])
    readings, faults, _ = ask(made("binance", stub.url), "symbol risk")
    assert [risk.name for risk in of(Risk, readings)] == ["BTCUSDT"]
    assert (faults["symbol risk"].kind, faults["symbol risk"].text) == ("malformed", why)


Spoil = Callable[[Stub], None]


def _no_quantile(stub: Stub) -> None:
    stub.say("/fapi/v1/adlQuantile", samples.QUANTILES[:2])


def _quantile_out_of_range(stub: Stub) -> None:
    rows = [*samples.QUANTILES[:2], {"symbol": "ADAUSDT", "adlQuantile": {"BOTH": 9}}]
    stub.say("/fapi/v1/adlQuantile", rows)


def _no_mark(stub: Stub) -> None:
    rows = [dict(row) for row in samples.POSITIONS]
    del rows[0]["markPrice"]
    stub.say("/fapi/v3/positionRisk", rows)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_no_quantile, "BOTH: nothing"),
        (_quantile_out_of_range, "adlQuantile: '9'"),
        (_no_mark, "markPrice: nothing"),
    ],
)
def test_a_position_without_a_number_leaves_the_others(stub: Stub, spoil: Spoil, why: str) -> None:
    samples.binance(stub)
    spoil(stub)
    readings, faults, _ = ask(made("binance", stub.url), "positions and indicators")
    assert why in faults["positions and indicators"].text
    assert {indicator.name for indicator in of(IndicatorReading, readings)} == {"BTCUSDT", "ETHUSDT"}


def test_bybit_refuses_in_http_200_and_says_when_to_come_back(stub: Stub) -> None:
    samples.bybit(stub)
    reset = {"x_bapi_limit_reset_timestamp": str(NOW + 2_500)}
    refused = {"retCode": 10006, "retMsg": "Too many visits!", "result": {}, "time": NOW}
    stub.say("/v5/market/adlAlert", refused, **reset)
    _, faults, asking = ask(made("bybit", stub.url), "ADL alerts")
    assert faults["ADL alerts"].kind is FaultKind.RATE_LIMITED
    assert asking.held_until_ms - NOW == 2_500
    for code, kind in [(10002, "clock_is_skewed"), (10003, "key_is_refused"), (10016, "refused")]:
        stub.say("/v5/market/adlAlert", refused | {"retCode": code, "retMsg": "no"})
        _, faults, _ = ask(made("bybit", stub.url), "ADL alerts")
        assert faults["ADL alerts"].kind.startswith(kind), code


def test_bybit_shuts_an_address_out_for_ten_minutes(stub: Stub) -> None:
    samples.bybit(stub)
    stub.say("/v5/market/adlAlert", "403, access too frequent", 403)
    _, faults, asking = ask(made("bybit", stub.url), "ADL alerts")
    assert faults["ADL alerts"].kind is FaultKind.BANNED
    assert asking.held_until_ms - NOW == 600_000


def test_okx_refuses_a_key(stub: Stub) -> None:
    samples.okx(stub)
    stub.say("/api/v5/account/positions", {"code": "50111", "msg": "Invalid", "data": []}, 401)
    _, faults, _ = ask(made("okx", stub.url), "positions and indicators")
    assert faults["positions and indicators"].kind is FaultKind.KEY_IS_REFUSED


def test_no_fault_shows_a_signature_or_a_key() -> None:
    with stubbed() as gone:
        url = gone.url
    _, faults, _ = ask(made("binance", url))
    for fault in faults.values():
        assert "signature=" not in fault.text.replace("signature=...", "")
        assert "secret" not in fault.text


def test_nothing_is_asked_beyond_the_budget(stub: Stub) -> None:
    samples.binance(stub)
    adapter = made("binance", stub.url)
    adapter.budget.spend(599, NOW)
    _, faults, _ = ask(adapter, "insurance pools")
    assert faults["insurance pools"].kind is FaultKind.BUDGET_IS_SPENT
    assert stub.asked == []


def test_the_venues_clock_is_brought_to_ours(stub: Stub) -> None:
    """A venue an hour ahead: its times are shown by our clock, and the distance is shown."""
    samples.binance(stub)
    stub.say("/fapi/v1/time", {"serverTime": SERVER_MS})
    adapter = made("binance", stub.url)

    async def skewed() -> int:
        return 3_600_000

    adapter.set_clock = skewed
    read: list[Any] = []

    def take(readings: Any, whole: Any = ()) -> None:
        del whole
        read.extend(readings)

    async def asked() -> None:
        asking = Asking(adapter, lambda: NOW, take)
        await asking._set_clock()
        source: Source = adapter.sources[0]
        await asking._ask(source)
        await adapter.close()

    asyncio.run(asked())
    assert read[0].of_ms == SERVER_MS - 3_600_000
