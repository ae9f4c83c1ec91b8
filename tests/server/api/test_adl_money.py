"""What ADL closed, in money: notional and haircut of fills, totals, notionals, and prices."""

from collections.abc import Iterator
from decimal import Decimal

import httpx2
import pytest
from api_clients import CLOSED_CONFIG, add_role_keys, client, crash_lines, submit_lines
from live_server import live_server


@pytest.fixture(scope="module")
def desk() -> Iterator[httpx2.Client]:
    """Serve the documented crash: 100 closed at 56,500, the mark at 56,000, shorts closed."""
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        assert submit_lines(serving, crash_lines())["rejected"] == 0
        with client(serving, "read") as reader:
            yield reader


def test_haircut_of_a_fill_is_that_of_its_explanation(desk: httpx2.Client) -> None:
    """A short closed at 56,500 instead of the mark 56,000 loses 500 for each BTC."""
    fills = desk.get("/v1/fills").json()
    assert [fill["mark"] for fill in fills] == ["56000"] * 3
    for fill in fills:
        quantity = Decimal(fill["quantity"])
        assert Decimal(fill["notional"]) == quantity * 56_500
        assert Decimal(fill["haircut"]) == quantity * 500
    facts = desk.get("/v1/fills/2").json()["facts"]
    assert (facts["haircut"], facts["mark"]) == (fills[1]["haircut"], fills[1]["mark"])


def test_totals_add_up_the_fills_of_a_time_range(desk: httpx2.Client) -> None:
    fills = desk.get("/v1/fills").json()
    (total,) = desk.get("/v1/adl/totals").json()
    assert (total["contract"], total["asset"], total["fills"], total["accounts"]) == (
        "BTCUSDT", "USDT", 3, 3
    )  # fmt: skip
    assert (total["quantity"], total["notional"], total["haircut"]) == ("100", "5650000", "50000")
    after = max(fill["time_ms"] for fill in fills) + 1
    assert desk.get(f"/v1/adl/totals?from_ms={after}").json() == []
    (episode,) = desk.get("/v1/adl").json()
    assert episode["notional"] == total["notional"]


def test_open_interest_and_inventory_have_a_notional_at_the_mark(desk: httpx2.Client) -> None:
    (contract,) = desk.get("/v1/contracts").json()
    open_interest = Decimal(contract["open_interest_long"]) * Decimal(contract["mark"])
    assert Decimal(contract["open_interest_notional"]) == open_interest
    assert contract["inventory_notional"] == "0"


def test_prices_are_the_marks_without_small_changes(desk: httpx2.Client) -> None:
    prices = desk.get("/v1/contracts/BTCUSDT/prices").json()
    events = desk.get("/v1/events?type=marks_set").json()["events"]
    marks = {event["sequence"]: event["event"]["mark_ticks"][0] for event in events}
    assert [point["sequence"] for point in prices] == sorted(marks)
    assert prices[-1]["mark"] == "56000"
    last = prices[-1]["time_ms"]
    assert desk.get(f"/v1/contracts/BTCUSDT/prices?from_ms={last + 1}").json() == prices[-1:]


def test_activity_sums_liquidations_fills_and_flows_by_interval(desk: httpx2.Client) -> None:
    def activity(limit: int) -> list[tuple[str, int, str]]:
        found = desk.get(f"/v1/contracts/BTCUSDT/activity?limit={limit}").json()
        assert [point["sequence"] for point in found] == sorted(p["sequence"] for p in found)
        return [(point["kind"], point["count"], point["amount"]) for point in found]

    (taken,) = desk.get("/v1/events?type=taken_over").json()["events"]
    assert ("adl", 3, "5650000") in activity(1)
    kinds = {kind: amount for kind, _, amount in activity(1)}
    assert Decimal(kinds["liquidation"]) == taken["event"]["value_cash"] / Decimal(10**8)
    (main,) = desk.get("/v1/pools").json()
    flows = desk.get(f"/v1/pools/{main['pool']}/history").json()["flows"]
    assert Decimal(kinds["fund_flow"]) == sum(Decimal(flow["amount"]) for flow in flows)
    until = desk.get("/v1/fills").json()[0]["time_ms"] - 1
    before = desk.get(f"/v1/contracts/BTCUSDT/activity?until_ms={until}").json()
    assert "adl" not in {point["kind"] for point in before}
