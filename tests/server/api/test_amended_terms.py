"""Amended terms and the status in every API: new ones at once, amounts of before as they were."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from api_clients import CLOSED_CONFIG, add_role_keys, client, crash_lines, submit_lines
from live_server import LiveServer, live_server

PAST = ("/v1/fills?limit=50", "/v1/adl", "/v1/adl/1", "/v1/accounts/dan")
"""Answers that state amounts in text: nothing in them may depend on the amendment."""


@pytest.fixture
def server() -> Iterator[LiveServer]:
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        assert submit_lines(serving, crash_lines())["rejected"] == 0
        yield serving


def terms(public: httpx2.Client) -> dict[str, Any]:
    """Return tick and lot in each API, and the mark."""
    own = public.get("/v1/contracts/BTCUSDT").json()
    (binance,) = public.get("/fapi/v1/exchangeInfo").json()["symbols"]
    filters = {each["filterType"]: each for each in binance["filters"]}
    bybit = public.get("/v5/market/instruments-info?category=linear").json()["result"]["list"][0]
    okx = public.get("/api/v5/public/instruments?instType=SWAP").json()["data"][0]
    return {
        "ticks": (
            own["tick_size"],
            filters["PRICE_FILTER"]["tickSize"],
            bybit["priceFilter"]["tickSize"],
            okx["tickSz"],
        ),
        "lots": (
            own["lot_size"],
            filters["LOT_SIZE"]["stepSize"],
            bybit["lotSizeFilter"]["qtyStep"],
            okx["lotSz"],
        ),
        "mark": own["mark"],
    }


def submit(operator: httpx2.Client, **fields: Any) -> dict[str, Any]:
    body = {"type": "amend_contract", "contract": "BTCUSDT", "note": "announced", **fields}
    answer = operator.post("/v1/commands", json=body)
    return dict(answer.json(), status=answer.status_code)


def untimed(answer: Any) -> Any:
    """Return an answer without what moves with every record: times and sequences of now."""
    if isinstance(answer, dict):
        moving = {"sequence", "time_ms", "as_of", "taken_ms"} if "positions" in answer else set()
        return {name: untimed(value) for name, value in answer.items() if name not in moving}
    return [untimed(each) for each in answer] if isinstance(answer, list) else answer


@pytest.mark.parametrize(("tick_size", "lot_size"), [("0.05", "0.5"), ("7", "0.25"), ("0.25", "2")])
def test_terms_are_new_at_once_and_the_past_stays(
    server: LiveServer, tick_size: str, lot_size: str
) -> None:
    with client(server, "operate") as operator, client(server, "read") as reader:
        before = {path: untimed(reader.get(path).json()) for path in PAST}
        mark = terms(reader)["mark"]
        amended = submit(operator, tick_size=tick_size, lot_size=lot_size, odd_lots="close_at_mark")
        assert amended["status"] == 200, amended
        after = terms(reader)
        assert after["ticks"] == (tick_size,) * 4
        assert after["lots"] == (lot_size,) * 4
        assert after["mark"] == mark
        assert {path: untimed(reader.get(path).json()) for path in PAST} == before


def statuses(public: httpx2.Client) -> tuple[str, ...]:
    """Return the status of the contract in each API."""
    own = public.get("/v1/contracts/BTCUSDT").json()
    (binance,) = public.get("/fapi/v1/exchangeInfo").json()["symbols"]
    path = "/v5/market/instruments-info?category=linear&symbol=BTCUSDT"
    bybit = public.get(path).json()["result"]["list"][0]
    okx = public.get("/api/v5/public/instruments?instType=SWAP").json()["data"][0]
    return own["status"], binance["status"], bybit["status"], okx["state"]


def test_the_status_is_published_at_once(server: LiveServer) -> None:
    """Bybit lists contracts that are not trading only where it is asked for them."""
    everything = "/v5/market/instruments-info?category=linear"
    with client(server, "operate") as operator, client(server, "read") as reader:
        found = [statuses(reader)]
        for step in (
            {"type": "delist_contract"},
            {"type": "delist_contract", "status": "settling"},
            {"type": "settle_contract", "price": "64123.456789"},
        ):
            answer = submit(operator, **step)
            assert answer["status"] == 200, answer
            found.append(statuses(reader))
        contract = reader.get("/v1/contracts/BTCUSDT").json()
        listed = reader.get(everything).json()["result"]["list"]
        closed = reader.get(f"{everything}&status=Closed").json()["result"]["list"]
        account = reader.get("/v1/accounts/dan").json()
    assert found == [
        ("trading", "TRADING", "Trading", "live"),
        ("close_only", "PRE_SETTLE", "Trading", "live"),
        ("settling", "SETTLING", "Delivering", "suspend"),
        ("settled", "CLOSE", "Closed", "suspend"),
    ]
    assert (contract["settlement_price"], contract["positions_long"]) == ("64123.456789", 0)
    assert (contract["triggers"], contract["state"]) == ([], "calm")
    assert (listed, [row["symbol"] for row in closed]) == ([], ["BTCUSDT"])
    assert not account["positions"]


def test_a_second_definition_names_the_remedy(server: LiveServer) -> None:
    with client(server, "ingest") as engine:
        define = {
            "type": "define_contract", "contract": "BTCUSDT", "kind": "linear", "settle": "USDT",
            "pool": "main", "tick_size": "0.01", "lot_size": 1,
        }  # fmt: skip
        answer = engine.post("/v1/commands", json=define)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].endswith("`amend_contract` or `amend_pool`")


def test_odd_lots_are_rejected_with_the_first_account(server: LiveServer) -> None:
    with client(server, "operate") as operator:
        error = submit(operator, lot_size="7")["error"]
    assert (error["reason"], error["field"].partition(".")[0]) == ("odd_lots", "positions")
    assert "close_at_mark" in error["message"]
