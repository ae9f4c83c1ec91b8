"""Collateral over /v1: an account's margin over its assets, and what a fund took over."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_clients import CLOSED_CONFIG, add_role_keys, client, submit_lines, untimed
from live_server import LiveServer, live_server

from delever.lab.runs.scenario import read_scenario

EXAMPLE = Path(__file__).parents[3] / "examples" / "multi_asset.ndjson"
BEFORE_THE_FALL = 10
"""Commands of the example before the index price moves."""


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(CLOSED_CONFIG) as served:
        add_role_keys(served.service)
        yield served


def read(server: LiveServer, path: str) -> dict[str, Any]:
    with client(server, "read") as reader:
        answer = reader.get(path)
    answer.raise_for_status()
    return dict(answer.json())


def test_margin_of_an_account_and_collateral_of_a_fund(server: LiveServer) -> None:
    commands = read_scenario(EXAMPLE)
    submit_lines(server, untimed(commands[:BEFORE_THE_FALL]))
    ann = read(server, "/v1/accounts/ann")
    assert ann["multi_asset"] is True
    assert ann["margin"] == {
        "currency": "USDT",
        "equity": "120000",
        "equity_after_haircut": "117600",
        "unrealized_pnl": "0",
        "maintenance_margin": "3000",
        "margin_ratio_ppm": 25_510,
    }
    bitcoin = next(wallet for wallet in ann["wallets"] if wallet["asset"] == "BTC")
    assert bitcoin == {
        "asset": "BTC",
        "balance": "2",
        "equity": "2",
        "maintenance_margin": "0",
        "venue_margin": False,
        "index_price": "60000",
        "value": "120000",
        "value_after_haircut": "117600",
    }
    cyd = read(server, "/v1/accounts/cyd")
    assert (cyd["multi_asset"], cyd["margin"]) == (False, None)
    assert [wallet["value"] for wallet in cyd["wallets"]] == [None, None]

    submit_lines(server, untimed(commands[BEFORE_THE_FALL:]))
    fund = read(server, "/v1/pools/main")
    assert fund["collateral"] == [{"asset": "BTC", "quantity": "0.5", "cost": "24375"}]
    assert (fund["balance"], fund["equity"]) == ("99475", "98475")
    for kind in ("collateral_taken_over", "collateral_converted"):
        (record,) = read(server, f"/v1/events?type={kind}")["events"]
        assert record["event"]["asset"] == "BTC"
