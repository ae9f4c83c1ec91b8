"""Each venue's adapter through its library, against documented answers and injected failures."""

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import answer_samples as samples
import pytest
from answer_samples import SERVER_MS
from stub_server import Stub, stubbed

from delever.watch.market_data.errors import FailureKind
from delever.watch.market_data.observations import (
    DrawdownObservation,
    FillObservation,
    IndicatorObservation,
    Observation,
    PoolObservation,
    PositionObservation,
    RiskObservation,
    WalletObservation,
)
from delever.watch.poller import VenuePoller
from delever.watch.settings import parse
from delever.watch.venues import ADAPTERS
from delever.watch.venues.adapter import PolledSource, VenueAdapter

NOW = SERVER_MS + 1_000


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stubbed() as served:
        yield served


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCH_KEY", "key")
    monkeypatch.setenv("WATCH_SECRET", "secret")


def adapter_of(name: str, url: str, *, keyed: bool = True) -> VenueAdapter:
    key = {"key_env": "WATCH_KEY", "secret_env": "WATCH_SECRET"} if keyed else {}
    key |= {"passphrase_env": "WATCH_SECRET"} if keyed and name == "okx" else {}
    raw = {"venue": name, "base_url": url, "families": ["BTC-USDT"], **key}
    (venue,) = parse({"venues": [raw]}).venues
    adapter = ADAPTERS[name](venue, lambda: NOW)
    adapter.close.__self__.enableRateLimit = False  # type: ignore[attr-defined] - no need to pace
    return adapter


async def _poll_once(adapter: VenueAdapter, names: set[str] | None) -> Any:
    observations: list[Observation] = []

    def store(read: Any, complete: Any = ()) -> None:  # noqa: ARG001 - stores everything
        observations.extend(read)

    poller = VenuePoller(adapter, lambda: NOW, store)
    try:
        for source in adapter.sources:
            if names is None or source.name in names:
                await poller._poll(source)
    finally:
        await adapter.close()
    return observations, {failure.source: failure for failure in poller.failures}, poller


def poll(adapter: VenueAdapter, *names: str) -> Any:
    """Return (observations, failures by source, the poller) after one poll of each source."""
    return asyncio.run(_poll_once(adapter, set(names) or None))


def of(kind: type[Observation], observations: list[Observation]) -> list[Any]:
    return [observation for observation in observations if isinstance(observation, kind)]


# --- documented answers ---


def test_binance_answers_become_observations(stub: Stub) -> None:
    samples.binance(stub)
    observations, failures, poller = poll(adapter_of("binance", stub.url))
    assert failures == {}
    assert [(r.name, r.level, r.raw) for r in of(RiskObservation, observations)] == [
        ("BTCUSDT", 1, "low"),
        ("ETHUSDT", 4, "EXTREMELY_HIGH"),
    ]
    (pool,) = of(PoolObservation, observations)
    assert (pool.name, pool.balance) == ("BNBUSDT +1", Decimal("793930579.315848"))
    indicators = {
        (r.name, r.side): (r.indicator, r.raw) for r in of(IndicatorObservation, observations)
    }
    assert indicators == {  # one-way, isolated in hedge mode, cross in hedge mode
        ("ADAUSDT", "long"): (5, "4"),
        ("BTCUSDT", "short"): (3, "2"),
        ("ETHUSDT", "long"): (4, "3"),
    }
    positions = {r.name: r for r in of(PositionObservation, observations)}
    assert (positions["ADAUSDT"].quantity, positions["ADAUSDT"].mark) == (30, Decimal("0.41047590"))
    assert (positions["ADAUSDT"].leverage, positions["ADAUSDT"].isolated) == (20, False)
    assert (positions["BTCUSDT"].margin, positions["BTCUSDT"].hedged) == (Decimal("2.75"), True)
    (wallet,) = of(WalletObservation, observations)
    assert wallet.balance == Decimal("27.25")
    (fill,) = of(FillObservation, observations)  # without the liquidation in the same answer
    assert (fill.fill, fill.side, fill.quantity) == ("6072734303", "short", Decimal("0.001"))
    assert poller.adapter.budget.used(NOW) == 321  # the venue's own count


def test_coin_margined_answers_become_observations(stub: Stub) -> None:
    samples.binance_coin(stub)
    observations, failures, _ = poll(adapter_of("binance-coin", stub.url))
    assert failures == {}
    (indicator,), (position,) = (
        of(IndicatorObservation, observations),
        of(PositionObservation, observations),
    )
    assert (indicator.name, indicator.side, indicator.indicator, indicator.raw) == (
        "BTCUSD_PERP",
        "short",
        3,
        "2",
    )
    assert (position.quantity, position.multiplier, position.inverse, position.settle) == (
        12,
        100,
        True,
        "BTC",
    )
    assert (position.leverage, position.isolated, position.hedged) == (20, False, False)
    assert of(WalletObservation, observations)[0].balance == Decimal("0.25")
    assert [(r.name, r.side) for r in of(FillObservation, observations)] == [
        ("BTCUSD_PERP", "short")
    ]


def test_bybit_answers_become_observations(stub: Stub) -> None:
    samples.bybit(stub)
    observations, failures, _ = poll(adapter_of("bybit", stub.url))
    assert failures == {}
    (alert,) = of(DrawdownObservation, observations)
    assert (alert.pnl_ratio, alert.distance_to_start) == (
        Decimal("-0.560973"),
        Decimal("-0.260973"),
    )
    assert (alert.venue_time_ms, alert.meets_start) == (SERVER_MS - 40_000, True)
    shared, isolated = of(PoolObservation, observations)
    assert (shared.name, shared.refresh_ms) == ("MERLUSDT +1", 24 * 3_600_000)
    assert (isolated.name, isolated.refresh_ms) == ("GRIFFAINUSDT", 60_000)
    indicator, position = (
        of(IndicatorObservation, observations)[0],
        of(PositionObservation, observations)[0],
    )
    assert (indicator.indicator, indicator.raw, indicator.side) == (2, "2", "long")
    assert (position.quantity, position.isolated, position.margin) == (100, True, Decimal("3.7"))
    assert of(WalletObservation, observations)[0].balance == Decimal("1000.5")
    assert {(r.fill, r.side, r.quantity) for r in of(FillObservation, observations)} == {
        ("e-1", "long", 40)
    }


@pytest.mark.parametrize(
    ("updated", "ms"),
    [
        ({"updatedTime": str(SERVER_MS - 40_000)}, SERVER_MS - 40_000),  # Bybit's sample
        ({"updateTime": str(SERVER_MS - 30_000)}, SERVER_MS - 30_000),  # its table of parameters
        ({}, SERVER_MS),  # the envelope's time
        ({"updatedTime": ""}, SERVER_MS),
    ],
)
def test_bybit_lists_have_a_time_in_every_documented_spelling(
    stub: Stub, updated: dict[str, str], ms: int
) -> None:
    samples.bybit(stub)
    for path, listed in (("adlAlert", [samples.ALERT]), ("insurance", samples.BYBIT_POOLS)):
        stub.set_answer(f"/v5/market/{path}", samples.enveloped({**updated, "list": listed}))
    observations, failures, _ = poll(
        adapter_of("bybit", stub.url, keyed=False), "ADL alerts", "insurance pools"
    )
    assert failures == {}
    assert [alert.venue_time_ms for alert in of(DrawdownObservation, observations)] == [ms]
    assert {pool.venue_time_ms for pool in of(PoolObservation, observations)} == {ms}


@pytest.mark.parametrize("empty", ["", None])
def test_empty_bybit_limits_are_a_contract_without_a_drawdown_rule(
    stub: Stub, empty: str | None
) -> None:
    samples.bybit(stub)
    without = dict.fromkeys(("insurancePnlRatio", "adlStopRatio", "adlTriggerThreshold"), empty)
    rows = [samples.ALERT, samples.ALERT | without | {"symbol": "BTCUSD", "new": {"field": 1}}]
    rows += [samples.ALERT | without | {"symbol": "ETHUSD", "balance": "0"}]
    partly = samples.ALERT | {"symbol": "XRPUSD", "adlStopRatio": empty}
    listed = {"updatedTime": str(SERVER_MS), "list": [*rows, partly]}
    stub.set_answer("/v5/market/adlAlert", samples.enveloped(listed))
    observations, failures, _ = poll(adapter_of("bybit", stub.url, keyed=False), "ADL alerts")
    assert failures["ADL alerts"].text.startswith("XRPUSD: adlStopRatio: ")
    found = {alert.name: alert for alert in of(DrawdownObservation, observations)}
    assert [
        (alert.name, alert.distance_to_start, alert.is_armed, alert.meets_start, alert.meets_stop)
        for alert in found.values()
    ] == [
        ("BTCUSDT", Decimal("-0.260973"), True, True, False),
        ("BTCUSD", None, False, False, True),
        ("ETHUSD", None, False, True, False),  # the fund's equity rule remains
    ]


@pytest.mark.parametrize(("balance", "margin"), [("5.25", "5.25"), ("", "3.634521")])
def test_an_isolated_margin_mode_of_a_bybit_account_applies_to_its_positions(
    stub: Stub, balance: str, margin: str
) -> None:
    """Unified accounts state the mode once; a missing margin is replaced by the initial margin."""
    samples.bybit(stub)
    account = {"unifiedMarginStatus": 4, "marginMode": "ISOLATED_MARGIN"}
    stub.set_answer("/v5/account/info", samples.enveloped(account))
    row = samples.BYBIT_POSITION | {"tradeMode": 0, "positionBalance": balance}
    stub.set_answer("/v5/position/list", samples.enveloped({"list": [row], "nextPageCursor": ""}))
    observations, failures, _ = poll(adapter_of("bybit", stub.url), "positions and indicators")
    position = of(PositionObservation, observations)[0]
    assert (failures, position.isolated, position.margin) == ({}, True, Decimal(margin))


def test_okx_answers_become_observations(stub: Stub) -> None:
    samples.okx(stub)
    observations, failures, _ = poll(adapter_of("okx", stub.url))
    assert failures == {}
    (indicator,), (position,) = (
        of(IndicatorObservation, observations),
        of(PositionObservation, observations),
    )
    assert (indicator.name, indicator.indicator, indicator.raw) == ("BTC-USDT-SWAP", 3, "3")
    assert (position.multiplier, position.isolated, position.leverage) == (
        Decimal("0.01"),
        False,
        2,
    )
    (pool,) = of(PoolObservation, observations)
    assert (pool.name, pool.asset, pool.balance) == ("BTC-USDT", "USDT", Decimal("9999.12"))
    assert of(WalletObservation, observations)[0].balance == Decimal("500.25")
    assert [(r.fill, r.side) for r in of(FillObservation, observations)] == [("b-1", "long")]


def test_without_a_key_only_public_sources_are_polled(stub: Stub) -> None:
    samples.binance(stub)
    adapter = adapter_of("binance", stub.url, keyed=False)
    assert [source.name for source in adapter.sources] == ["symbol risk", "insurance pools"]
    observations, failures, _ = poll(adapter)
    assert (len(of(RiskObservation, observations)), failures) == (2, {})
    assert not any("quantile" in path.lower() for path in stub.requests)


# --- failures ---


def failure_after(stub: Stub, status: int, body: Any, **headers: str) -> Any:
    """Return the failure of symbol risk after an answer, its poller, and the wait until a retry."""
    samples.binance(stub)
    stub.set_answer("/fapi/v1/symbolAdlRisk", body, status, **headers)
    observations, failures, poller = poll(adapter_of("binance", stub.url), "symbol risk")
    failure = failures.get("symbol risk")
    assert of(RiskObservation, observations) == []
    return failure, poller, failure.retry_ms - NOW


BANNED = {"code": -1003, "msg": "Way too many requests; IP banned until 1795780120000."}
SKEWED = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
REVOKED = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
FAILURES = [
    (429, {"code": -1003, "msg": "Too many requests"}, {}, "rate_limited", 1_000),
    (429, {"code": -1003, "msg": "Too many"}, {"retry_after": "17"}, "rate_limited", 17_000),
    (418, BANNED, {}, "banned", 60_000),
    (418, BANNED, {"retry_after": "120"}, "banned", 120_000),
    (400, SKEWED, {}, "clock_skewed", 1_000),
    (401, REVOKED, {}, "key_refused", 1_000),
    (503, {"code": -1001, "msg": "Internal error"}, {}, "unreachable", 1_000),
]


@pytest.mark.parametrize(("status", "body", "headers", "kind", "wait_ms"), FAILURES)
def test_a_failure_has_a_kind_and_a_time_of_retry(
    stub: Stub, status: int, body: Any, headers: dict[str, str], kind: str, wait_ms: int
) -> None:
    failure, poller, waited = failure_after(stub, status, body, **headers)
    assert (failure.kind, waited) == (kind, wait_ms)
    limited = kind in {"rate_limited", "banned"}
    assert (poller.paused_until_ms - NOW == wait_ms) is limited  # all sources of the venue wait
    if kind == "clock_skewed":
        assert "GET /fapi/v1/time" in stub.requests  # the clock's difference was fetched


def test_a_venue_that_is_down_is_unreachable() -> None:
    with stubbed() as stub:
        url = stub.url
    _, failures, _ = poll(adapter_of("binance", url), "symbol risk")
    assert failures["symbol risk"].kind is FailureKind.UNREACHABLE


ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("adlRisk", {"adlRisk": "moderate"}, "ETHUSDT: adlRisk: 'moderate'"),
    ("adlRisk", {}, "ETHUSDT: adlRisk: nothing"),
    ("updateTime", {"updateTime": "soon"}, "ETHUSDT: updateTime: 'soon'"),
    ("updateTime", {"updateTime": None}, "ETHUSDT: updateTime: nothing"),
    ("symbol", {}, "row 1: symbol: nothing"),
]


@pytest.mark.parametrize(("field", "instead", "text"), ROWS)
def test_a_missing_or_malformed_field_loses_its_row_only(
    stub: Stub, field: str, instead: dict[str, Any], text: str
) -> None:
    samples.binance(stub)
    row = {name: value for name, value in samples.RISKS[1].items() if name != field}
    stub.set_answer("/fapi/v1/symbolAdlRisk", [samples.RISKS[0], row | instead])
    observations, failures, _ = poll(adapter_of("binance", stub.url), "symbol risk")
    assert [risk.name for risk in of(RiskObservation, observations)] == ["BTCUSDT"]
    assert (failures["symbol risk"].kind, failures["symbol risk"].text) == ("malformed", text)


Corruption = Callable[[Stub], None]


def _no_quantile(stub: Stub) -> None:
    stub.set_answer("/fapi/v1/adlQuantile", samples.QUANTILES[:2])


def _quantile_out_of_range(stub: Stub) -> None:
    rows = [*samples.QUANTILES[:2], {"symbol": "ADAUSDT", "adlQuantile": {"BOTH": 9}}]
    stub.set_answer("/fapi/v1/adlQuantile", rows)


def _no_mark(stub: Stub) -> None:
    rows = [dict(row) for row in samples.POSITIONS]
    del rows[0]["markPrice"]
    stub.set_answer("/fapi/v3/positionRisk", rows)


@pytest.mark.parametrize(
    ("corrupt", "text"),
    [
        (_no_quantile, "BOTH: nothing"),
        (_quantile_out_of_range, "adlQuantile: '9'"),
        (_no_mark, "markPrice: nothing"),
    ],
)
def test_a_malformed_position_leaves_the_others(stub: Stub, corrupt: Corruption, text: str) -> None:
    samples.binance(stub)
    corrupt(stub)
    observations, failures, _ = poll(adapter_of("binance", stub.url), "positions and indicators")
    assert text in failures["positions and indicators"].text
    assert {indicator.name for indicator in of(IndicatorObservation, observations)} == {
        "BTCUSDT",
        "ETHUSDT",
    }


def test_bybit_errors_in_http_200_have_kinds_and_a_reset_time(stub: Stub) -> None:
    samples.bybit(stub)
    reset = {"x_bapi_limit_reset_timestamp": str(NOW + 2_500)}
    rejected = {"retCode": 10006, "retMsg": "Too many visits!", "result": {}, "time": NOW}
    stub.set_answer("/v5/market/adlAlert", rejected, **reset)
    _, failures, poller = poll(adapter_of("bybit", stub.url), "ADL alerts")
    assert failures["ADL alerts"].kind is FailureKind.RATE_LIMITED
    assert poller.paused_until_ms - NOW == 2_500
    for code, kind in [(10002, "clock_skewed"), (10003, "key_refused"), (10016, "rejected")]:
        stub.set_answer("/v5/market/adlAlert", rejected | {"retCode": code, "retMsg": "no"})
        _, failures, _ = poll(adapter_of("bybit", stub.url), "ADL alerts")
        assert failures["ADL alerts"].kind.startswith(kind), code


def test_a_bybit_ban_pauses_the_venue_for_ten_minutes(stub: Stub) -> None:
    samples.bybit(stub)
    stub.set_answer("/v5/market/adlAlert", "403, access too frequent", 403)
    _, failures, poller = poll(adapter_of("bybit", stub.url), "ADL alerts")
    assert failures["ADL alerts"].kind is FailureKind.BANNED
    assert poller.paused_until_ms - NOW == 600_000


def test_a_revoked_okx_key_is_a_refused_key(stub: Stub) -> None:
    samples.okx(stub)
    stub.set_answer(
        "/api/v5/account/positions", {"code": "50111", "msg": "Invalid", "data": []}, 401
    )
    _, failures, _ = poll(adapter_of("okx", stub.url), "positions and indicators")
    assert failures["positions and indicators"].kind is FailureKind.KEY_REFUSED


def test_no_failure_text_contains_a_signature_or_a_key() -> None:
    with stubbed() as gone:
        url = gone.url
    _, failures, _ = poll(adapter_of("binance", url))
    for failure in failures.values():
        assert "signature=" not in failure.text.replace("signature=...", "")
        assert "secret" not in failure.text


def test_nothing_is_polled_beyond_the_budget(stub: Stub) -> None:
    samples.binance(stub)
    adapter = adapter_of("binance", stub.url)
    adapter.budget.spend(599, NOW)
    _, failures, _ = poll(adapter, "insurance pools")
    assert failures["insurance pools"].kind is FailureKind.BUDGET_EXHAUSTED
    assert stub.requests == []


def test_venue_times_are_converted_to_our_clock(stub: Stub) -> None:
    """The venue's clock is an hour ahead."""
    samples.binance(stub)
    stub.set_answer("/fapi/v1/time", {"serverTime": SERVER_MS})
    adapter = adapter_of("binance", stub.url)

    async def skewed() -> int:
        return 3_600_000

    adapter.set_clock = skewed
    read: list[Any] = []

    def store(observations: Any, complete: Any = ()) -> None:
        del complete
        read.extend(observations)

    async def poll_first() -> None:
        poller = VenuePoller(adapter, lambda: NOW, store)
        await poller._set_clock()
        source: PolledSource = adapter.sources[0]
        await poller._poll(source)
        await adapter.close()

    asyncio.run(poll_first())
    assert read[0].venue_time_ms == SERVER_MS - 3_600_000
