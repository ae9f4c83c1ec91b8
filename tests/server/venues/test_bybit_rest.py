"""Bybit's REST API in place, on a clock turned by hand: authentication, rate limits and answers.

The real clients are in test_bybit_clients.py.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bybit_market import CONFIG, SECRET, fall, fund_alone, rescue, run_with_engine
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from manual_clock import ManualClock

from delever.config import ApiKeyConfig, BybitConfig, Role
from delever.core.messages import CancelAdl
from delever.server.engine.runner import NOW, Runner
from delever.server.transport.api_keys import ApiKey, Keyring
from delever.server.transport.asgi import Reply, Request
from delever.server.venues.bybit import payloads
from delever.server.venues.bybit.authentication import BAN_MS, RESET_DELAY_MS, authenticate
from delever.server.venues.bybit.rest import WEEK_MS, BybitApi
from delever.server.venues.fill_log import FillLog
from table import Row, cases

START_MS = 1_757_734_000_123
ALERT = "/v5/market/adlAlert"


def request(
    path: str,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    body: bytes = b"",
    address: str = "10.0.0.1",
) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"method": method, "path": path, "query_string": query.encode(), "headers": raw}
    return Request(scope, address, body)


def signed(key: str, sent: str, window: str, content: str, sign: str = "") -> dict[str, str]:
    payload = f"{sent}{key}{window}{content}".encode()
    made = hmac.new(SECRET.encode(), payload, hashlib.sha256).hexdigest()
    headers = {"X-BAPI-API-KEY": key, "X-BAPI-SIGN": sign or made, "X-BAPI-TIMESTAMP": sent}
    return headers | ({"X-BAPI-RECV-WINDOW": window} if window else {})


class Caller:
    """Calls a venue in process."""

    def __init__(self, venue: BybitApi, clock: ManualClock) -> None:
        self.venue = venue
        self.clock = clock

    async def reply(self, path: str, query: str = "", **more: Any) -> Reply:
        hot = self.venue.cached_reply(path, query.encode(), more.get("address", "10.0.0.1"))
        return hot or await self.venue.answer(request(path, query, **more))

    async def get(self, path: str, query: str = "", key: str = "", **more: Any) -> Any:
        headers = signed(key, str(self.clock.ms), "5000", query) if key else None
        reply = await self.reply(path, query, headers=headers, **more)
        answer = msgspec.json.decode(reply.body)
        assert answer["time"] == self.clock.ms
        return answer["result"] if answer["retCode"] == 0 else answer["retCode"]


def with_caller(use: Callable[[Caller, Runner], Awaitable[None]], **limits: int) -> None:
    clock = ManualClock(START_MS)
    config = msgspec.structs.replace(CONFIG, bybit=BybitConfig(**limits))

    async def go(runner: Runner, keyring: Keyring) -> None:
        await use(Caller(BybitApi(runner, keyring, FillLog(runner)), clock), runner)

    run_with_engine(go, clock, config)


# --- authentication ---


@pytest.mark.parametrize("row", cases("bybit_times.txt"))
def test_request_timestamps_are_checked_against_the_window(row: Row) -> None:
    keyring = Keyring(())
    keyring.add(ApiKey("k", frozenset({Role.READ}), (), SECRET.encode()))
    headers = signed("k", row["timestamp"], row["window"], "a=1")
    found = authenticate(request("/v5/x", "a=1", headers), keyring, int(row["now"]))
    assert {
        "code": str(found.code if isinstance(found, payloads.BybitErrorCode) else 0)
    } == row.expected


def test_the_signature_covers_the_bytes_as_received() -> None:
    keyring = Keyring(())
    keyring.add(ApiKey("k", frozenset({Role.READ}), (), SECRET.encode()))

    def code(content: str, **more: Any) -> int:
        headers = signed("k", "100", "5000", content)
        sent = request("/v5/x", headers=headers | more.pop("headers", {}), **more)
        found = authenticate(sent, keyring, 100)
        return found.code if isinstance(found, payloads.BybitErrorCode) else 0

    assert code("b=%5B1%5D&a=2", query="b=%5B1%5D&a=2") == 0
    assert code("a=2&b=%5B1%5D", query="b=%5B1%5D&a=2") == 10004
    assert code("b=[1]&a=2", query="b=%5B1%5D&a=2") == 10004
    assert code('{"a":1}', method="POST", body=b'{"a":1}') == 0
    assert code('{"a":1}', method="POST", body=b'{"a": 1}') == 10004
    assert code("", headers={"X-BAPI-API-KEY": "other"}) == 10003
    assert code("", headers={"X-BAPI-SIGN": "00"}) == 10004


def test_an_rsa_key_signs_in_base64(tmp_path: Path) -> None:
    private = rsa.generate_private_key(65537, 2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "public.pem").write_bytes(public)
    key = ApiKeyConfig(id="r", roles=(Role.READ,), public_key_file=str(tmp_path / "public.pem"))
    keyring = Keyring([key])

    def found(content: bytes) -> ApiKey | payloads.BybitErrorCode:
        sign = base64.b64encode(private.sign(content, padding.PKCS1v15(), hashes.SHA256()))
        headers = signed("r", "100", "5000", "", sign.decode())
        return authenticate(request("/v5/x", "a=1", headers), keyring, 100)

    assert isinstance(found(b"100r5000a=1"), ApiKey)
    assert found(b"100r5000a=2") == payloads.WRONG_SIGNATURE


def test_a_key_without_an_account_reads_no_positions() -> None:
    async def use(caller: Caller, _runner: Runner) -> None:
        sent = "category=linear&symbol=BTCUSDT"
        for key in ("desk-key", "engine-key"):
            assert await caller.get("/v5/position/list", sent, key=key) == 10005
            assert await caller.get("/v5/execution/list", sent, key=key) == 10005
        info = await caller.get("/v5/user/query-api", key="desk-key")
        assert (info["apiKey"], info["readOnly"], info["secret"]) == ("desk-key", 1, "")
        assert await caller.get("/v5/position/list", sent) == 10003

    with_caller(use)


# --- rate limits ---


def headers_of(reply: Reply) -> dict[bytes, bytes]:
    return dict(reply.headers)


def test_an_address_over_its_limit_is_banned_for_ten_minutes_and_others_are_not() -> None:
    async def use(caller: Caller, _runner: Runner) -> None:
        clock = caller.clock
        for left in (2, 1, 0):
            reply = await caller.reply(ALERT)
            assert headers_of(reply)[b"x-bapi-limit-status"] == b"%d" % left
            assert headers_of(reply)[b"x-bapi-limit-reset-timestamp"] == b"%d" % clock.ms
        for path in (ALERT, "/v5/market/time", "/v5/position/list"):
            reply = await caller.reply(path)
            assert (reply.status, reply.body) == (403, payloads.TOO_FREQUENT)
            assert headers_of(reply)[b"content-type"] == b"text/plain"
        assert (await caller.reply(ALERT, address="10.0.0.2")).status == 200
        clock.ms += BAN_MS - 1
        assert (await caller.reply(ALERT)).status == 403
        clock.ms += 1
        assert (await caller.reply(ALERT)).status == 200

    with_caller(use, requests_per_5s=3)


def test_a_key_over_its_limit_gets_a_reset_time_in_the_future() -> None:
    async def use(caller: Caller, _runner: Runner) -> None:
        clock, path = caller.clock, "/v5/account/info"

        async def reply(key: str) -> Reply:
            headers = signed(key, str(clock.ms), "5000", "")
            return await caller.reply(path, headers=headers)

        for left in (b"1", b"0"):
            found = headers_of(await reply("bob-key"))
            assert (found[b"x-bapi-limit"], found[b"x-bapi-limit-status"]) == (b"2", left)
            assert found[b"x-bapi-limit-reset-timestamp"] == b"%d" % clock.ms
        late = await reply("bob-key")
        assert late.status == 200
        assert msgspec.json.decode(late.body)["retCode"] == 10006
        second_ends = 1_757_734_001_000
        reset = int(headers_of(late)[b"x-bapi-limit-reset-timestamp"])
        assert reset == second_ends + RESET_DELAY_MS
        assert msgspec.json.decode((await reply("cyd-key")).body)["retCode"] == 0
        clock.ms = second_ends
        assert msgspec.json.decode((await reply("bob-key")).body)["retCode"] == 0

    with_caller(use, private_per_second=2)


# --- answers ---


def test_rest_alerts_are_renewed_every_minute() -> None:
    async def use(caller: Caller, runner: Runner) -> None:
        before = await caller.get(ALERT)
        assert [row["symbol"] for row in before["list"]] == ["ALTUSDT", "BTCUSD", "BTCUSDT"]
        first = before["list"][2]
        assert (first["coin"], first["balance"], first["pnlRatio"]) == ("USDT", "1000000", "0")
        assert (first["adlTriggerThreshold"], first["maxBalance"]) == ("1", "")
        await runner.submit(fall())
        caller.clock.ms += 1_000
        await runner.tick()
        assert await caller.get(ALERT) == before
        caller.clock.ms = START_MS - START_MS % 60_000 + 60_000
        await runner.tick()
        after = await caller.get(ALERT, "symbol=BTCUSDT")
        (row,) = after["list"]
        assert (row["pnlRatio"], row["insurancePnlRatio"]) == ("-0.3", "-0.3")
        assert row["balance"] == "700000"
        assert int(after["updatedTime"]) == caller.clock.ms
        assert await caller.get(ALERT, "symbol=BTCUSDT&x=1") == after
        assert await caller.get(ALERT, "symbol=btcusdt") == 10001

    with_caller(use)


def test_isolated_pools_are_renewed_every_minute_and_shared_ones_every_day() -> None:
    path = "/v5/market/insurance"

    async def use(caller: Caller, runner: Runner) -> None:
        async def balances() -> dict[str, str]:
            rows = (await caller.get(path))["list"]
            return {row["symbols"]: row["balance"] for row in rows}

        assert await balances() == {"BTCUSD": "2", "ALTUSDT": "20000", "BTCUSDT": "1000000"}
        (coin,) = (await caller.get(path, "coin=BTC"))["list"]
        assert coin == {"coin": "BTC", "symbols": "BTCUSD", "balance": "2", "value": "120000"}
        assert (await caller.get(path, "coin=DOGE"))["list"] == []
        assert await caller.get(path, "coin=btc") == 10001
        await runner.submit([*fall(), fund_alone(5)])
        await runner.tick()
        assert (await balances())["ALTUSDT"] == "20000"
        caller.clock.ms += 60_000
        await runner.tick()
        assert await balances() == {"BTCUSD": "2", "ALTUSDT": "20005", "BTCUSDT": "1000000"}
        caller.clock.ms += 24 * 3_600_000
        await runner.tick()
        assert (await balances())["BTCUSDT"] == "700000"

    with_caller(use)


def test_positions_have_indicators_and_hedges_have_an_index_a_side() -> None:
    path = "/v5/position/list"

    async def use(caller: Caller, runner: Runner) -> None:
        (bob,) = (await caller.get(path, "category=linear&symbol=BTCUSDT", key="bob-key"))["list"]
        assert (bob["side"], bob["size"], bob["positionIdx"]) == ("Sell", "50", 0)
        assert (bob["adlRankIndicator"], bob["positionStatus"]) == (5, "Normal")
        (dan,) = (await caller.get(path, "category=linear&symbol=BTCUSDT", key="dan-key"))["list"]
        assert 0 < dan["adlRankIndicator"] < 5  # all scores are equal, so account ids decide
        assert (bob["avgPrice"], bob["markPrice"], bob["unrealisedPnl"]) == ("60000", "60000", "0")
        hedged = "category=linear&settleCoin=USDT"
        long, short = (await caller.get(path, hedged, key="hed-key"))["list"]
        assert [(each["positionIdx"], each["side"]) for each in (long, short)] == [
            (1, "Buy"),
            (2, "Sell"),
        ]
        assert (long["unrealisedPnl"], short["unrealisedPnl"]) == ("20", "-10")
        (inverse,) = (await caller.get(path, "category=inverse", key="inv-key"))["list"]
        assert (inverse["symbol"], inverse["size"], inverse["tradeMode"]) == ("BTCUSD", "600", 1)
        assert (inverse["positionBalance"], inverse["positionValue"]) == ("0.01", "0.012")
        await runner.submit(fall())
        (ann,) = (await caller.get(path, "category=linear&symbol=BTCUSDT", key="ann-key"))["list"]
        assert (ann["size"], ann["side"], ann["adlRankIndicator"]) == ("0", "", 0)
        empty = await caller.get(path, "category=linear&symbol=BTCUSDT", key="hed-key")
        assert [(row["positionIdx"], row["size"]) for row in empty["list"]] == [(1, "0"), (2, "0")]
        nothing = await caller.get(path, "category=option", key="bob-key")
        assert nothing == {"list": [], "nextPageCursor": "", "category": "option"}
        unknown = await caller.get(path, "category=inverse", key="nobody-yet-key")
        assert unknown["list"] == []

    with_caller(use)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "category=spot",
        "category=linear",
        "category=inverse&symbol=BTCUSDT",
        "category=linear&symbol=NONE",
        "category=linear&symbol=" + ",".join(["BTCUSDT"] * 11),
        "category=linear&settleCoin=USDT&limit=0",
        "category=linear&settleCoin=USDT&limit=201",
        "category=linear&settleCoin=USDT&limit=x",
        "category=linear&settleCoin=USDT&limit=00000000000000000000050",
    ],
)
def test_invalid_position_queries_get_10001(query: str) -> None:
    async def use(caller: Caller, _runner: Runner) -> None:
        assert await caller.get("/v5/position/list", query, key="bob-key") == 10001

    with_caller(use)


def test_executions_are_newest_first_and_filtered_by_page_time_and_kind() -> None:
    path = "/v5/execution/list"

    async def use(caller: Caller, runner: Runner) -> None:
        async def found(key: str, query: str) -> Any:
            return await caller.get(path, f"category=linear{query}", key=key)

        assert (await found("bob-key", ""))["list"] == []
        await runner.submit(fall())
        crash_ms = caller.clock.ms
        (bob,) = (await found("bob-key", ""))["list"]
        assert (bob["execType"], bob["side"], bob["execPrice"]) == ("AdlTrade", "Buy", "56500")
        assert (bob["execQty"], bob["execFee"], bob["execTime"]) == ("50", "0", str(crash_ms))
        (ann,) = (await found("ann-key", "&execType=BustTrade"))["list"]
        assert (ann["side"], ann["execPrice"]) == ("Sell", "59500")
        assert (await found("ann-key", "&execType=AdlTrade"))["list"] == []
        caller.clock.ms += WEEK_MS
        assert len((await found("bob-key", ""))["list"]) == 1
        caller.clock.ms += 1
        assert (await found("bob-key", ""))["list"] == []
        assert len((await found("bob-key", f"&startTime={crash_ms}"))["list"]) == 1
        assert (await found("bob-key", f"&endTime={crash_ms - 1}"))["list"] == []
        assert (await found("bob-key", f"&symbol=ALTUSDT&startTime={crash_ms}"))["list"] == []
        long = f"&startTime={crash_ms}&endTime={crash_ms + WEEK_MS + 1}"
        for wrong in (long, "&startTime=5&endTime=4", "&startTime=x", "&limit=101"):
            assert await found("bob-key", wrong) == 10001

    with_caller(use)


def test_a_cancelled_fill_is_no_execution() -> None:
    async def use(caller: Caller, runner: Runner) -> None:
        await runner.submit(fall())
        path, query = "/v5/execution/list", "category=linear"
        (row,) = (await caller.get(path, query, key="bob-key"))["list"]
        number = int(row["execId"].removeprefix("adl-"))
        await runner.submit([*rescue(), CancelAdl(time_ms=NOW, fill=number, note="late")])
        assert (await caller.get(path, query, key="bob-key"))["list"] == []

    with_caller(use)


def test_contracts_are_filtered_by_category_and_page() -> None:
    path = "/v5/market/instruments-info"

    async def use(caller: Caller, _runner: Runner) -> None:
        first = await caller.get(path, "category=linear&limit=1")
        assert [row["symbol"] for row in first["list"]] == ["ALTUSDT"]
        cursor = first["nextPageCursor"]
        last = await caller.get(path, f"category=linear&limit=1&cursor={cursor}")
        assert [row["symbol"] for row in last["list"]] == ["BTCUSDT"]
        assert last["nextPageCursor"] == ""
        (inverse,) = (await caller.get(path, "category=inverse"))["list"]
        assert (inverse["contractType"], inverse["settleCoin"]) == ("InversePerpetual", "BTC")
        assert (await caller.get(path, "category=linear&status=PreLaunch"))["list"] == []
        assert (await caller.get(path, "category=spot"))["list"] == []
        assert await caller.get(path, "category=futures") == 10001
        assert await caller.get(path, "category=linear&symbol=NONE") == 10001

    with_caller(use)


def test_unknown_paths_and_other_methods_are_rejected() -> None:
    async def use(caller: Caller, _runner: Runner) -> None:
        lost = await caller.reply("/v5/order/create", method="POST")
        assert (lost.status, msgspec.json.decode(lost.body)["retCode"]) == (404, 10017)
        assert (await caller.reply("/v5/market/time", method="POST")).status == 400

    with_caller(use)


def test_answers_use_the_server_clock_not_the_machine_clock() -> None:
    async def use(caller: Caller, _runner: Runner) -> None:
        time = await caller.get("/v5/market/time")
        assert time == {"timeSecond": "1757734000", "timeNano": "1757734000123000000"}
        await asyncio.sleep(0.01)
        assert await caller.get("/v5/market/time") == time

    with_caller(use)
