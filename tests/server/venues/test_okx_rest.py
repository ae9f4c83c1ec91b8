"""OKX's API: times, keys and limits in place; ccxt and a real socket against a served process."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import ccxt
import msgspec
import pytest
from binance_market import submit_to
from bybit_market import CONFIG, SECRET, add_account_keys, fall, opening, rescue, run_with_engine
from live_server import ANONYMOUS_CONFIG, LiveServer, live_server
from manual_clock import ManualClock

from delever.config import OkxConfig, Role
from delever.core.messages import SetTime, Side
from delever.journal import verify
from delever.server.engine.runner import NOW, Runner
from delever.server.transport.api_keys import ApiKey, Keyring
from delever.server.transport.asgi import Reply, Request
from delever.server.venues.fill_log import FillLog
from delever.server.venues.okx import payloads
from delever.server.venues.okx.authentication import FUND, authenticate
from delever.server.venues.okx.bills import Bill
from delever.server.venues.okx.rest import OkxApi
from stream_clients import connect_async
from table import Row, cases
from waiting import PATIENCE_S

NOON = "2020-12-08T09:08:57.715Z"
NOON_MS = 1_607_418_537_715
POSITIONS = "/api/v5/account/positions"
BILLS = "/api/v5/account/bills"
LINEAR = "BTC/USDT:USDT"


def request(
    path: str, query: str = "", headers: Mapping[str, str] | None = None, method: str = "GET"
) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"method": method, "path": path, "query_string": query.encode(), "headers": raw}
    return Request(scope, "10.0.0.1")


def signed(key: str, sent: str, target: str) -> dict[str, str]:
    made = hmac.new(SECRET.encode(), f"{sent}GET{target}".encode(), hashlib.sha256).digest()
    return {
        "OK-ACCESS-KEY": key,
        "OK-ACCESS-SIGN": base64.b64encode(made).decode(),
        "OK-ACCESS-TIMESTAMP": sent,
        "OK-ACCESS-PASSPHRASE": SECRET,
    }


@pytest.fixture(scope="module")
def keyring() -> Keyring:
    keys = Keyring(())
    add_account_keys(keys)
    return keys


def code_of(found: ApiKey | payloads.OkxErrorCode) -> str:
    return found.code if isinstance(found, payloads.OkxErrorCode) else "0"


@pytest.mark.parametrize("row", cases("okx_times.txt"))
def test_request_timestamps_are_checked_against_the_window(row: Row, keyring: Keyring) -> None:
    headers = signed("bob-key", row["timestamp"], POSITIONS)
    found = authenticate(request(POSITIONS, "", headers), keyring, NOON_MS)
    assert {"code": code_of(found)} == row.expected


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, "0"),
        ({"OK-ACCESS-KEY": ""}, "50103"),
        ({"OK-ACCESS-PASSPHRASE": ""}, "50104"),
        ({"OK-ACCESS-PASSPHRASE": "x"}, "50105"),
        ({"OK-ACCESS-SIGN": ""}, "50106"),
        ({"OK-ACCESS-KEY": "nobody"}, "50111"),
        ({"OK-ACCESS-SIGN": "AAAA"}, "50113"),
    ],
)
def test_keys_and_signatures(changed: dict[str, str], code: str, keyring: Keyring) -> None:
    headers = signed("bob-key", NOON, f"{POSITIONS}?instId=%41") | changed
    found = authenticate(request(POSITIONS, "instId=%41", headers), keyring, NOON_MS)
    assert code_of(found) == code


def test_a_key_without_an_account_reads_no_positions() -> None:
    async def use(caller: Caller, _runner: Runner) -> None:
        for key, expected in (("engine-key", "50114"), ("desk-key", "50114"), ("bob-key", "0")):
            headers = signed(key, NOON, POSITIONS)
            reply = await caller.venue.answer(request(POSITIONS, "", headers))
            assert msgspec.json.decode(reply.body)["code"] == expected

    with_caller(use)


def test_a_key_without_a_secret_has_no_valid_signature(keyring: Keyring) -> None:
    keyring.add(ApiKey("public", frozenset({Role.READ}), (), _passphrase=SECRET.encode()))
    empty = hmac.new(b"", f"{NOON}GET{POSITIONS}".encode(), hashlib.sha256).digest()
    headers = signed("public", NOON, POSITIONS)
    headers["OK-ACCESS-SIGN"] = base64.b64encode(empty).decode()
    assert code_of(authenticate(request(POSITIONS, "", headers), keyring, NOON_MS)) == "50113"


# --- in process ---


class Caller:
    """Calls a venue in process, on a clock turned by hand."""

    def __init__(self, venue: OkxApi, clock: ManualClock) -> None:
        self.venue = venue
        self.clock = clock

    async def get(self, path: str, query: str = "") -> Any:
        reply: Reply = await self.venue.answer(request(path, query))
        answer = msgspec.json.decode(reply.body)
        return answer["data"] if answer["code"] == "0" else (reply.status, answer["code"])


def with_caller(use: Callable[[Caller, Runner], Awaitable[None]], **limits: int) -> None:
    clock = ManualClock(NOON_MS)
    config = msgspec.structs.replace(CONFIG, okx=OkxConfig(**limits))

    async def go(runner: Runner, keys: Keyring) -> None:
        await use(Caller(OkxApi(runner, keys, FillLog(runner)), clock), runner)

    run_with_engine(go, clock, config)


def test_the_fund_lists_its_changes_and_the_start_and_end_of_adl() -> None:
    async def use(caller: Caller, runner: Runner) -> None:
        async def fund(more: str = "") -> Any:
            (data,) = await caller.get(FUND, f"instType=SWAP&instFamily=BTC-USDT{more}")
            return data

        before = await fund()
        assert (before["total"], before["instType"]) == ("1000000", "SWAP")
        assert [row["type"] for row in before["details"]] == ["regular_update"]
        caller.clock.ms += 2_000
        await runner.submit(fall())
        caller.clock.ms += 1_000
        await runner.submit(rescue())
        await runner.tick()
        (ends, starts) = (await fund("&type=adl"))["details"]
        assert (ends["adlType"], starts["adlType"]) == ("adl_end", "rate_adl_start")
        assert starts["maxBal"] == "1000000"
        (loss,) = (await fund("&type=bankruptcy_loss"))["details"]
        assert (loss["amt"], loss["ccy"]) == ("-300000", "USDT")
        assert loss["ts"] == str(NOON_MS + 2_000)
        newer = await fund(f"&before={NOON_MS + 2_000}")
        assert [row["type"] for row in newer["details"]] == ["regular_update", "adl"]
        assert len((await fund("&limit=1"))["details"]) == 1
        assert (await fund(f"&after={NOON_MS}"))["details"] == []

    with_caller(use)


def test_invalid_parameters_get_okx_error_codes() -> None:
    async def use(caller: Caller, _runner: Runner) -> None:
        contracts = "/api/v5/public/instruments"
        for path, query, rejected in (
            (FUND, "", (400, "50014")),
            (FUND, "instType=SPOT", (400, "51000")),
            (FUND, "instType=SWAP", (400, "50014")),
            (FUND, "instType=SWAP&instFamily=X-Y", (400, "51000")),
            (FUND, "instType=SWAP&instFamily=BTC-USDT&type=x", (400, "51000")),
            (FUND, "instType=SWAP&instFamily=BTC-USDT&before=-1", (400, "51000")),
            (contracts, "", (400, "50014")),
            (contracts, "instType=SWAP&instId=X", (200, "51001")),
            (POSITIONS, "", (401, "50103")),
            ("/api/v5/trade/orders", "", (404, "404")),
        ):
            assert await caller.get(path, query) == rejected
            caller.clock.ms += 2_000
        assert await caller.get(FUND, "instType=MARGIN") == []
        assert await caller.get(FUND, "instType=OPTION&uly=BTC-USDT") == []
        found = await caller.get(contracts, "instType=SWAP&uly=BTC-USD")
        assert [(row["instId"], row["ctType"]) for row in found] == [("BTC-USD-SWAP", "inverse")]
        assert await caller.get(contracts, "instType=FUTURES") == []
        posted = await caller.venue.answer(request(FUND, method="POST"))
        assert posted.status == 405

    with_caller(use)


def test_the_fund_has_its_own_rate_limit() -> None:
    async def use(caller: Caller, _runner: Runner) -> None:
        caller.clock.ms -= caller.clock.ms % 2_000
        query = "instType=SWAP&instFamily=BTC-USDT"
        answers = [await caller.get(FUND, query) for _ in range(3)]
        assert answers[2] == (429, "50011")
        assert answers[1][0]["instFamily"] == "BTC-USDT"
        caller.clock.ms += 2_000
        assert (await caller.get(FUND, query))[0]["instFamily"] == "BTC-USDT"

    with_caller(use, insurance_per_2s=2)


def test_a_restart_reads_the_fund_history_from_the_journal(tmp_path: Any) -> None:
    path = tmp_path / "j.db"
    config = msgspec.convert({"journal": {"path": str(path)}}, type(CONFIG))
    query = "instType=SWAP&instFamily=BTC-USDT&type=adl"
    answers = []

    async def crash(runner: Runner, keys: Keyring) -> None:
        venue = OkxApi(runner, keys, FillLog(runner))
        await runner.submit(fall())
        await runner.tick()
        answers.append(await Caller(venue, ManualClock(0)).get(FUND, query))

    run_with_engine(crash, ManualClock(NOON_MS), config)

    async def again() -> None:
        runner = Runner(config, ManualClock(NOON_MS))
        venue = OkxApi(runner, Keyring(()), FillLog(runner))
        await runner.start(auto_tick=False)
        await runner.submit([SetTime(time_ms=NOW)])
        answers.append(await Caller(venue, ManualClock(0)).get(FUND, query))
        await runner.stop()

    asyncio.run(again())
    assert answers[0][0]["details"] == answers[1][0]["details"] != []
    assert not verify(path).findings


async def bills(caller: Caller, key: str, query: str = "") -> Any:
    """Return an account's bills, sent for at the time of the clock."""
    sent = f"{datetime.fromtimestamp(caller.clock.ms / 1000, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
    headers = signed(key, sent, f"{BILLS}?{query}" if query else BILLS)
    answer = msgspec.json.decode((await caller.venue.answer(request(BILLS, query, headers))).body)
    return answer["data"] if answer["code"] == "0" else answer["code"]


def test_bills_list_adl_and_liquidation_for_a_week() -> None:
    async def use(caller: Caller, runner: Runner) -> None:
        assert await bills(caller, "bob-key") == []
        await runner.submit(fall())
        await runner.tick()
        (fill,) = await bills(caller, "bob-key", "type=9")
        assert (fill["subType"], fill["instId"]) == ("127", "BTC-USDT-SWAP")  # net: bought back
        assert (fill["sz"], fill["ts"], fill["mgnMode"]) == ("50", str(NOON_MS), "cross")
        entry, price = Decimal(60_000), Decimal(fill["px"])
        assert Decimal(fill["pnl"]) == 50 * (entry - price) == Decimal(fill["balChg"])
        (taken,) = await bills(caller, "ann-key")
        fields = [taken[name] for name in ("type", "subType", "sz", "mgnMode", "balChg")]
        assert fields == ["5", "107", "100", "isolated", "0"]
        number = fill["billId"]
        for query in ("type=5", "instId=BTC-USD-SWAP", "mgnMode=isolated", "ctType=inverse"):
            assert await bills(caller, "bob-key", query) == []
        for query in (f"after={number}", f"before={number}", f"end={NOON_MS - 1}"):
            assert await bills(caller, "bob-key", query) == []
        assert await bills(caller, "bob-key", f"begin={NOON_MS}&limit=1&subType=127") == [fill]
        caller.clock.ms += 2_000
        for query in ("type=x", "mgnMode=both", "limit=-1", "before=bill"):
            assert await bills(caller, "bob-key", query) == "51000"
        assert await bills(caller, "desk-key") == "50114"
        caller.clock.ms += 7 * 24 * 3_600_000 + 1
        assert await bills(caller, "bob-key") == []

    with_caller(use)


SUBTYPES = {  # type, side, long/short mode
    ("9", "long", True): "125",
    ("9", "short", True): "126",
    ("9", "short", False): "127",
    ("9", "long", False): "128",
    ("5", "long", True): "104",
    ("5", "short", True): "105",
    ("5", "short", False): "106",
    ("5", "long", False): "107",
}


def test_a_bill_subtype_states_the_closed_side_and_the_mode() -> None:
    async def go(runner: Runner, _: Keyring) -> None:
        fills = FillLog(runner)
        await runner.submit(fall())
        bills = [Bill(*order) for name in ("bob", "ann") for order in fills.of(name)]
        subtypes = {}
        for bill in bills:
            for side in Side:
                turned = bill._replace(event=msgspec.structs.replace(bill.event, side=side))
                for hedged in (True, False):
                    subtype = turned.subtype(hedge_mode=hedged)
                    subtypes[turned.type, str(side), hedged] = subtype
        assert subtypes == SUBTYPES
        assert len({bill.id for bill in bills}) == len(bills) == 2

    run_with_engine(go, ManualClock(NOON_MS))


# --- served ---


@pytest.fixture(scope="module")
def market() -> Iterator[LiveServer]:
    with live_server(ANONYMOUS_CONFIG) as server:
        add_account_keys(server.service.keyring)
        submit_to(server.service, opening())
        yield server


def ccxt_of(server: LiveServer, key: str = "", passphrase: str = SECRET) -> Any:
    keys = {"apiKey": key, "secret": SECRET, "password": passphrase} if key else {}
    client = ccxt.okx({**keys, "enableRateLimit": False})
    client.urls["api"]["rest"] = server.url
    return client


def test_ccxt_reads_positions_and_the_fund(market: LiveServer) -> None:
    client = ccxt_of(market, "bob-key")
    (position,) = client.fetch_positions()
    assert (position["symbol"], position["side"], position["contracts"]) == (LINEAR, "short", 50.0)
    assert (position["info"]["adl"], position["hedged"]) == ("5", False)
    assert (position["contractSize"], position["notional"]) == (1.0, 3_000_000.0)
    fund = client.publicGetPublicInsuranceFund({"instType": "SWAP", "instFamily": "BTC-USDT"})
    assert fund["data"][0]["total"] == "1000000"


def test_ccxt_reads_adl_fills_from_the_bills() -> None:
    with live_server(ANONYMOUS_CONFIG) as server:
        add_account_keys(server.service.keyring)
        submit_to(server.service, opening())
        client = ccxt_of(server, "hed-key")
        assert client.privateGetAccountBills({"type": "9"})["data"] == []
        submit_to(server.service, fall())
        client = ccxt_of(server, "dan-key")
        (entry,) = client.fetch_ledger("USDT", params={"type": "swap"})
        assert (entry["type"], entry["info"]["instId"]) == ("trade", "BTC-USDT-SWAP")
        assert entry["info"]["subType"] == "127"
        assert entry["amount"] == float(entry["info"]["pnl"])


def test_ccxt_reads_true_balances_and_modes(market: LiveServer) -> None:
    """hed is long 2 and short 1 at 100 across, at 10x: 30 of 510 are in use; inv is isolated."""
    client = ccxt_of(market, "hed-key")
    balance = client.fetch_balance()
    assert [balance["USDT"][name] for name in ("total", "used", "free")] == [510.0, 30.0, 480.0]
    (account,) = balance["info"]["data"]
    assert (account["totalEq"], account["isoEq"], account["upl"]) == ("510", "0", "10")
    (detail,) = client.privateGetAccountBalance({"ccy": "BTC"})["data"][0]["details"]
    assert detail["ccy"] == "BTC"
    assert client.fetch_position_mode()["hedged"] is True
    client.set_position_mode(True)
    with pytest.raises(ccxt.BaseError, match="50114"):
        client.set_position_mode(False)
    inverse = ccxt_of(market, "inv-key")
    assert inverse.fetch_balance()["BTC"]["total"] == 0.012
    assert inverse.fetch_leverage("BTC/USD:BTC", {"mgnMode": "isolated"})["longLeverage"] == 5
    assert client.fetch_market_leverage_tiers(LINEAR)[0]["minNotional"] == 0
    assert client.fetch_mark_price(LINEAR)["markPrice"] == 60000.0
    assert client.fetch_open_orders(LINEAR) == []


def test_ccxt_finds_an_adl_fill_in_fills_and_orders() -> None:
    with live_server(ANONYMOUS_CONFIG) as server:
        add_account_keys(server.service.keyring)
        submit_to(server.service, [*opening(), *fall()])
        client = ccxt_of(server, "bob-key")
        (trade,) = client.fetch_my_trades(LINEAR)
        (order,) = client.fetch_closed_orders(LINEAR)
        assert (trade["order"], trade["amount"], trade["side"]) == (order["id"], 50.0, "buy")
        assert (order["filled"], order["info"]["category"]) == (50.0, "adl")
        assert client.fetch_order(order["id"], LINEAR)["info"] == order["info"]
        with pytest.raises(ccxt.OrderNotFound):
            client.fetch_order("7", LINEAR)


@pytest.mark.parametrize(
    ("key", "passphrase", "error"),
    [("nobody", SECRET, ccxt.AuthenticationError), ("bob-key", "x", ccxt.AuthenticationError)],
)
def test_ccxt_raises_its_own_errors(
    market: LiveServer, key: str, passphrase: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        ccxt_of(market, key, passphrase).privateGetAccountPositions()


def test_ccxt_raises_bad_request_for_invalid_parameters(market: LiveServer) -> None:
    with pytest.raises(ccxt.BadRequest):
        ccxt_of(market).publicGetPublicInsuranceFund({"instType": "SWAP"})


def test_warnings_are_repeated_during_adl() -> None:
    argument = {"channel": "adl-warning", "instType": "SWAP", "instFamily": "BTC-USDT"}
    subscribe = {"id": "1512", "op": "subscribe", "args": [argument]}

    async def go(server: LiveServer) -> None:
        async with (
            asyncio.timeout(PATIENCE_S),
            connect_async(f"{server.ws}/ws/v5/public") as socket,
        ):

            async def receive() -> Any:
                return json.loads(await socket.recv())

            await socket.send("ping")
            assert await socket.recv() == "pong"
            await socket.send("{")
            assert (await receive())["code"] == "60012"
            await socket.send(json.dumps({**subscribe, "args": [{**argument, "instType": "X"}]}))
            assert (await receive())["code"] == "60018"
            await socket.send(json.dumps(subscribe))
            answer = await receive()
            assert (answer["event"], answer["id"], answer["arg"]) == ("subscribe", "1512", argument)
            assert [row["state"] for row in (await receive())["data"]] == ["normal"]
            await asyncio.to_thread(submit_to, server.service, fall())
            messages = [await receive(), await receive()]
            states = [each["data"][0] for each in messages]
            assert [row["state"] for row in states] == ["adl", "adl"]
            assert int(states[1]["ts"]) > int(states[0]["ts"])
            assert states[1]["bal"] == "700000"
            await socket.send(json.dumps({**subscribe, "op": "unsubscribe"}))
            assert (await receive())["event"] == "unsubscribe"

    with live_server(ANONYMOUS_CONFIG) as server:
        submit_to(server.service, opening())
        asyncio.run(go(server))
