"""Keys, signatures, parameters, limits and bans, in process, by a clock turned by hand."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from urllib.parse import quote

import msgspec
import pytest
from binance_market import KEYS, SECRET, opening
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from delever.config import Config, Role
from delever.core.messages import SetMarks
from delever.server.engine.runner import NOW, Runner
from delever.server.transport.api_keys import ApiKey, Keyring
from delever.server.transport.asgi import Reply, Request
from delever.server.venues.binance.authentication import BinanceRequestError, RequestAuthenticator
from delever.server.venues.binance.rest import BinanceApi
from delever.server.venues.fill_log import FillLog
from table import Row, cases

NOW_MS = 1591702613943
VECTOR = (
    "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC"
    "&recvWindow=5000&timestamp=1591702613943"
)
VECTOR_SECRET = b"2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
VECTOR_SIGNATURE = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"


def request(
    path: str, query: str = "", *, method: str = "GET", key: str = "", body: str = ""
) -> Request:
    headers = [(b"x-mbx-apikey", key.encode())] if key else []
    scope = {"method": method, "path": path, "query_string": query.encode(), "headers": headers}
    return Request(scope, "10.0.0.1", body.encode())


def signed(path: str, query: str = "", *, key: str = "ann-key", at_ms: int = NOW_MS) -> Request:
    query = f"{query}&timestamp={at_ms}" if query else f"timestamp={at_ms}"
    signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    return request(path, f"{query}&signature={signature}", key=key)


def authenticator(holder: ApiKey) -> RequestAuthenticator:
    keyring = Keyring(())
    keyring.add(holder)
    return RequestAuthenticator(keyring, lambda: NOW_MS)


def trader_key(**material: object) -> ApiKey:
    return ApiKey("k", frozenset({Role.TRADE_ACCOUNT}), ("ann",), **material)  # type: ignore[arg-type]


@pytest.mark.parametrize("signature", [VECTOR_SIGNATURE, VECTOR_SIGNATURE.upper()])
@pytest.mark.parametrize("where", ["query", "body", "both"])
def test_hmac_vector_of_the_documentation(signature: str, where: str) -> None:
    signed_text = f"{VECTOR}&signature={signature}"
    query, body = {
        "query": (signed_text, ""),
        "body": ("", signed_text),
        "both": (signed_text, ""),
    }[where]
    if where == "both":  # the documentation's mixed form: query and body signed end to end
        query, rest = VECTOR[:40], VECTOR[40:]
        body = f"{rest}&signature={signature}"
    sent = request("/fapi/v1/order", query, method="POST", key="k", body=body)
    assert authenticator(trader_key(_secret=VECTOR_SECRET)).by_signature(sent).account == "ann"


@pytest.mark.parametrize("encode", [quote, str], ids=["percent-encoded", "plain"])
@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_public_key_signatures(kind: str, encode: type[str]) -> None:
    if kind == "rsa":
        rsa_key = rsa.generate_private_key(65537, 2048)
        raw = rsa_key.sign(VECTOR.encode(), padding.PKCS1v15(), hashes.SHA256())
        holder = trader_key(_public=rsa_key.public_key())
    else:
        ed_key = ed25519.Ed25519PrivateKey.generate()
        raw = ed_key.sign(VECTOR.encode())
        holder = trader_key(_public=ed_key.public_key())
    signature = encode(base64.b64encode(raw).decode())
    sent = request("/fapi/v1/order", f"{VECTOR}&signature={signature}", key="k")
    assert authenticator(holder).by_signature(sent) is holder
    forged = request("/fapi/v1/order", f"{VECTOR}&a=1&signature={signature}", key="k")
    with pytest.raises(BinanceRequestError, match="Signature"):
        authenticator(holder).by_signature(forged)


class FixedClock:
    ms = NOW_MS

    def __call__(self) -> int:
        return self.ms


class EngineWithVenue:
    """The venue in process, over a real engine, without sockets."""

    def __init__(self, **settings: int) -> None:
        config = msgspec.convert({"journal": {"path": ":memory:"}, "binance": settings}, Config)
        self.clock = FixedClock()
        self.runner = Runner(config, self.clock)
        keyring = Keyring(())
        for key, account in KEYS.items():
            keyring.add(ApiKey(key, frozenset({Role.TRADE_ACCOUNT}), (account,), SECRET.encode()))
        keyring.add(ApiKey("desk-key", frozenset({Role.READ}), (), SECRET.encode()))
        self.venue = BinanceApi(config, self.runner, keyring, FillLog(self.runner))
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._open())

    async def _open(self) -> None:
        await self.runner.start(auto_tick=False)
        await self.runner.submit(opening())

    def get(self, sent: Request) -> Reply:
        """Reply as the router does."""
        if sent.method == "GET":
            reply = self.venue.cached_reply(sent.path, sent.query, sent.address)
            if reply is not None:
                return reply
        return self.loop.run_until_complete(self.venue.answer(sent))

    def close(self) -> None:
        self.loop.run_until_complete(self.runner.stop())
        self.loop.close()


@pytest.fixture
def served() -> Iterator[EngineWithVenue]:
    server = EngineWithVenue()
    yield server
    server.close()


@pytest.fixture
def strict() -> Iterator[EngineWithVenue]:
    server = EngineWithVenue(weight_per_minute=10, ban_after=2, ban_ms=1_000)
    yield server
    server.close()


@pytest.mark.parametrize("row", cases("binance_errors.txt"))
def test_invalid_requests_get_binance_error_codes(served: EngineWithVenue, row: Row) -> None:
    method, path = row["method"], row["path"]
    query, key = row["query"].replace("NOW", str(NOW_MS)), row["key"]
    if row["signed"]:
        sent = signed(path, query, key=key)
    else:
        sent = request(path, query, method=method, key=key)
    reply = served.get(sent)
    said = json.loads(reply.body)
    assert {"status": str(reply.status), "code": str(said["code"])} == row.expected
    assert said["msg"]
    assert reply.headers[0][0] == b"x-mbx-used-weight-1m"


def test_public_paths_ignore_signatures(served: EngineWithVenue) -> None:
    plain = served.get(request("/fapi/v1/symbolAdlRisk", "symbol=BTCUSDT"))
    query = "recvWindow=10000&symbol=BTCUSDT&timestamp=1&signature=00"
    assert served.get(request("/fapi/v1/symbolAdlRisk", query)).body == plain.body
    assert json.loads(plain.body)["adlRisk"] == "medium"


@pytest.mark.parametrize(
    ("path", "query", "weight"),
    [
        ("/fapi/v1/ping", "", 1),
        ("/fapi/v1/time", "", 1),
        ("/fapi/v1/symbolAdlRisk", "", 1),
        ("/fapi/v1/insuranceBalance", "", 1),
        ("/fapi/v1/premiumIndex", "symbol=BTCUSDT", 1),
        ("/fapi/v1/premiumIndex", "", 10),
        ("/fapi/v1/adlQuantile", "", 5),
        ("/dapi/v1/adlQuantile", "", 5),
        ("/papi/v1/um/adlQuantile", "", 5),
        ("/fapi/v3/positionRisk", "", 5),
        ("/fapi/v1/forceOrders", "symbol=BTCUSDT", 20),
        ("/fapi/v1/forceOrders", "", 50),
        ("/fapi/v1/unknown", "", 1),
    ],
)
def test_weights(served: EngineWithVenue, path: str, query: str, weight: int) -> None:
    public = "adlQuantile" not in path and "positionRisk" not in path and "force" not in path
    sent = request(path, query) if public else signed(path, query)
    reply = served.get(sent)
    assert reply.status == (404 if "unknown" in path else 200)
    assert reply.headers == [(b"x-mbx-used-weight-1m", b"%d" % weight)]


def test_requests_over_the_weight_limit_get_429_then_a_ban_that_expires(
    strict: EngineWithVenue,
) -> None:
    ping = request("/fapi/v1/ping")
    start = strict.clock.ms
    assert [strict.get(ping).status for _ in range(10)] == [200] * 10
    over = strict.get(signed("/fapi/v1/adlQuantile"))
    headers = dict(over.headers)
    left_ms = 60_000 - start % 60_000
    assert (over.status, json.loads(over.body)["code"]) == (429, -1003)
    assert headers == {b"x-mbx-used-weight-1m": b"15", b"retry-after": b"%d" % -(-left_ms // 1_000)}
    assert "limit is 10 requests" in json.loads(over.body)["msg"]
    assert strict.get(ping).status == 429
    banned = strict.get(ping)
    assert banned.status == 418
    assert dict(banned.headers)[b"retry-after"] == b"1"
    assert f"banned until {start + 1_000}." in json.loads(banned.body)["msg"]
    strict.clock.ms += 999
    assert strict.get(ping).status == 418
    other = Request(ping_scope(), "10.0.0.2")
    assert strict.get(other).status == 200
    strict.clock.ms = start + left_ms
    assert strict.get(ping).status == 200


def ping_scope() -> dict[str, object]:
    return {"method": "GET", "path": "/fapi/v1/ping", "query_string": b"", "headers": []}


def test_the_next_ban_is_twice_as_long(strict: EngineWithVenue) -> None:
    ping = request("/fapi/v1/ping")
    waits = []
    for _ in range(3):
        while (reply := strict.get(ping)).status != 418:
            pass
        waits.append(int(dict(reply.headers)[b"retry-after"]))
        strict.clock.ms += 120_000
    assert waits == [1, 2, 4]


def test_a_new_market_snapshot_replaces_the_encoded_answers(served: EngineWithVenue) -> None:
    sent = request("/fapi/v1/premiumIndex", "symbol=BTCUSDT")
    assert json.loads(served.get(sent).body)["markPrice"] == "60000.00000000"
    served.clock.ms += 2_000
    served.loop.run_until_complete(served.runner.submit([_mark("61000")]))
    assert json.loads(served.get(sent).body)["markPrice"] == "61000.00000000"


def test_a_position_has_the_mark_of_its_own_valuation(served: EngineWithVenue) -> None:
    """Positions are read from the book, which may be ahead of the market snapshot by a second."""
    served.loop.run_until_complete(served.runner.submit([_mark("60500")]))
    stale = served.get(request("/fapi/v1/premiumIndex", "symbol=BTCUSDT"))
    assert json.loads(stale.body)["markPrice"] == "60000.00000000"
    (position,) = json.loads(served.get(signed("/fapi/v3/positionRisk")).body)
    assert (position["markPrice"], position["unRealizedProfit"]) == (
        "60500.00000000",
        "300.00000000",
    )
    assert position["liquidationPrice"] == "63184.07960199"


def _mark(price: str) -> SetMarks:
    return SetMarks(time_ms=NOW, marks={"BTCUSDT": price})


def test_listen_keys_expire_after_an_hour_and_belong_to_their_api_key(
    served: EngineWithVenue,
) -> None:
    def send(method: str, key: str = "ann-key") -> Reply:
        return served.get(request("/fapi/v1/listenKey", method=method, key=key))

    first = json.loads(send("POST").body)["listenKey"]
    assert json.loads(send("POST").body)["listenKey"] == first
    assert json.loads(send("POST", "bob-key").body)["listenKey"] != first
    served.clock.ms += 59 * 60_000
    assert json.loads(send("PUT").body) == {"listenKey": first}
    served.clock.ms += 59 * 60_000
    served.loop.run_until_complete(served.runner.submit([_mark("60000")]))
    assert send("PUT").status == 200
    assert json.loads(send("PUT", "bob-key").body)["code"] == -1125
    assert send("DELETE").body == b"{}"
    assert json.loads(send("PUT").body)["code"] == -1125
