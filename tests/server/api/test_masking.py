"""Masked names: the role read sees all names, an owner its own, an anonymous caller none."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import pytest
from api_clients import CRASH, TIMEOUT_S, add_role_keys, client, crash_lines, submit_lines
from live_server import ANONYMOUS_CONFIG, LiveServer, live_server

from delever.api_types.market import MASK
from delever.config import Config
from delever.core.messages import AdlFilled, FillCancelled
from delever.lab.runs.scenario import read_scenario
from delever.server.api.event_stream import EventFeed, StreamFilter
from delever.server.api.requests.masking import PUBLIC_EVENTS, Masking
from delever.server.engine.runner import Runner

ANONYMOUS_READ_CONFIG = msgspec.convert(
    {"journal": {"path": ":memory:"}, "api": {"anonymous_read": True, "queue_detail": True}}, Config
)
ALL_ACCOUNTS = {"ann", "bob", "cyd", "dan"}
ACCOUNT_PATHS = """
path
/v1/accounts/bob
/v1/accounts/bob/explain?contract=BTCUSDT
/v1/accounts/bob/notices
/v1/notices
/v1/events
/v1/events/stream
/v1/events/stream?types=adl_started,positions_set
/v1/fills
/v1/fills?account=bob
/v1/fills/2
/v1/adl/rounds/13/recompute
/v1/contracts/BTCUSDT/queue?side=short&account=dan
"""
"""Paths with data of one account, or of all accounts unmasked: they need a key."""


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """A server with anonymous read, after the crash of the examples."""
    with live_server(ANONYMOUS_READ_CONFIG) as serving:
        add_role_keys(serving.service)
        submit_lines(serving, crash_lines())
        yield serving


@pytest.mark.parametrize("path", ACCOUNT_PATHS.split()[1:])
def test_an_anonymous_caller_needs_a_key_for_account_data(server: LiveServer, path: str) -> None:
    with client(server) as visitor:
        answer = visitor.get(path)
        assert answer.status_code == 401
        assert answer.json()["error"]["reason"] == "invalid_api_key"
        assert not any(f'"{name}"' in answer.text for name in ALL_ACCOUNTS)


@pytest.mark.parametrize(
    ("key", "named"), [("", set()), ("trade", {"bob"}), ("read", ALL_ACCOUNTS)]
)
def test_names_are_masked_by_role(server: LiveServer, key: str, named: set[str]) -> None:
    """Bob's key sees bob, the role read sees all; all other fields are equal."""
    with client(server, key) as caller, client(server, "read") as desk:
        for path in ("/v1/contracts/BTCUSDT/queue?side=short", "/v1/adl/1"):
            response, whole = responses_as_of_one_sequence(caller, desk, path)
            received, there = set(names(response)), set(names(whole))
            assert {name for name in received if not name.startswith(MASK)} == there & named
            assert len(received) == len(there)
            assert without_names(response) == without_names(whole)
        response = streamed_events(caller, "round_closed,taken_over,fill_cancelled")
        assert [event["type"] for event in response] == ["taken_over", "round_closed"]
        assert (response[0]["account"] == "ann") == ("ann" in named)
        if key:
            fill = caller.get("/v1/fills?account=bob").json()[0]
            assert fill["account"] == "bob"
            assert (fill["liquidated_account"] == "ann") == ("ann" in named)
            why = caller.get("/v1/fills/2").json()
            assert why["facts"]["account"] == "bob"
            assert "short of bob" in why["text"]
            assert (" of ann," in why["text"]) == ("ann" in named)
            ahead = {each["account"] for each in why["facts"]["filled_before"]}
            assert (ahead == {"cyd"}) == ("cyd" in named)


def test_without_queue_detail_a_trader_sees_its_own_rows_and_sums_of_the_others() -> None:
    config = msgspec.convert(
        {"journal": {"path": ":memory:"}, "api": {"anonymous_read": True}}, Config
    )
    with live_server(config) as serving:
        add_role_keys(serving.service)
        submit_lines(serving, b"\n".join(crash_lines().split(b"\n")[:-3]))
        path = "/v1/contracts/BTCUSDT/queue?side=short"
        pages = {}
        for key in ("", "trade", "read"):
            with client(serving, key) as caller:
                pages[key] = caller.get(path).json()
        whole = {row["account"]: row for row in pages["read"]["rows"]}
        assert (set(whole), pages["read"]["total"]) == ({"bob", "cyd", "dan"}, 3)
        assert pages[""]["rows"] == []
        assert pages["trade"]["rows"] == [whole["bob"]]
        assert whole["bob"]["quantity_ahead"] != "0"
        for key in ("", "trade"):
            assert {**pages[key], "rows": ()} == {**pages["read"], "rows": ()}
        levels = pages[""]["levels"]
        assert sum(level["positions"] for level in levels) == 3
        assert sum(int(level["quantity"]) for level in levels) == sum(
            int(row["quantity"]) for row in whole.values()
        )


def responses_as_of_one_sequence(
    caller: httpx2.Client, desk: httpx2.Client, path: str
) -> tuple[Any, Any]:
    """Return what both get of a path, read again if the server took a command in between."""
    while True:
        response, whole = caller.get(path).json(), desk.get(path).json()
        if response.get("as_of") == whole.get("as_of"):
            return response, whole


def names(response: Any) -> Iterator[str]:
    """Yield every account name in a response."""
    if isinstance(response, dict):
        for field, value in response.items():
            if field in {"account", "liquidated_account"}:
                yield value
            yield from names(value)
    elif isinstance(response, list):
        for each in response:
            yield from names(each)


def without_names(response: Any) -> str:
    """Return a response as text without its account names."""
    text = json.dumps(response, sort_keys=True)
    for name in set(names(response)):
        text = text.replace(json.dumps(name), '"?"')
    return text


def streamed_events(caller: Any, types: str) -> list[dict[str, Any]]:
    """Return the events of some types up to the end of ADL."""
    wanted = {"types": f"{types},adl_stopped", "after": "0"}
    received: list[dict[str, Any]] = []
    with caller.stream("GET", "/v1/events/stream", params=wanted, timeout=TIMEOUT_S) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                received += json.loads(line.removeprefix("data: "))["events"]
            if received and received[-1]["type"] == "adl_stopped":
                return received[:-1]
    return received


def test_a_filtered_stream_reports_its_position_while_idle() -> None:
    """A reader that reconnects need not read the filtered records again."""

    async def question() -> list[tuple[int, bytes]]:
        runner = Runner(ANONYMOUS_READ_CONFIG, lambda: 1_000)
        await runner.start(auto_tick=False)
        feed = EventFeed(runner)
        runner.listeners.append(feed.add)
        choice = StreamFilter(frozenset({"adl_started"}), Masking(b"salt", sees_all=True))
        lines = feed.after(0, 0.05, choice)
        commands = read_scenario(CRASH)[:5]
        await runner.submit(commands)
        received = [await anext(lines), await anext(lines)]
        await runner.submit(read_scenario(CRASH)[5:])
        while not received[-1][1]:
            received.append(await anext(lines))
        await lines.aclose()
        await runner.stop()
        return received

    received = asyncio.run(question())
    assert received[0] == (5, b"")
    assert received[1] == (5, b"")
    assert json.loads(received[-1][1])["events"][0]["type"] == "adl_started"
    assert {event["type"] for event in json.loads(received[-1][1])["events"]} == {"adl_started"}


def test_with_anonymous_accounts_nothing_is_masked() -> None:
    with live_server(ANONYMOUS_CONFIG) as serving:
        add_role_keys(serving.service)
        submit_lines(serving, crash_lines())
        with client(serving) as visitor, client(serving, "read") as desk:
            for path in ACCOUNT_PATHS.split()[1:]:
                if "stream" not in path:
                    assert visitor.get(path).json() == desk.get(path).json()


def test_a_mask_is_stable_and_depends_on_the_salt() -> None:
    masking, other = Masking(b"one", sees_all=False), Masking(b"two", sees_all=False)
    assert masking.name("ann") == masking.name("ann") != masking.name("bob")
    assert masking.name("ann") != other.name("ann")
    assert masking.name("") == ""
    assert Masking(b"one", sees_all=True).name("ann") == "ann"
    assert "positions_set" not in PUBLIC_EVENTS
    assert "balances_set" not in PUBLIC_EVENTS


def test_orders_of_a_masked_account_are_removed() -> None:
    numbers = dict.fromkeys(AdlFilled.__struct_fields__, 0)
    words = {"account": "ann", "liquidated_account": "bob", "cancel_orders": ("o1", "o2")}
    fill = AdlFilled(**(numbers | words))  # type: ignore[arg-type]
    cancelled = FillCancelled(fill=fill, note="")
    visitor = Masking(b"one", sees_all=False)
    owner = Masking(b"one", sees_all=False, accounts=frozenset({"ann"}))
    assert visitor.mask(cancelled).fill.cancel_orders == ()
    assert owner.mask(cancelled).fill.cancel_orders == ("o1", "o2")
    assert owner.mask(cancelled).fill.liquidated_account == visitor.name("bob")
