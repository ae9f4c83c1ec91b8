"""Whose names a caller is told: the risk desk everybody's, an owner its own, a visitor nobody's."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from api_clients import CRASH, TIMEOUT_S, add_role_keys, client, crash_lines, submit_lines
from live_server import LiveServer, live_server

from delever.api_types.market import MASK
from delever.config import Config
from delever.core.messages import AdlFilled, FillCancelled
from delever.lab.runs.scenario import read_scenario
from delever.server.api.event_stream import EventFeed, StreamFilter
from delever.server.api.requests.masking import PUBLIC_EVENTS, Masking
from delever.server.engine.runner import Runner

VISITED = msgspec.convert(
    {"journal": {"path": ":memory:"}, "api": {"anonymous_read": True}}, Config
)
SHOWN = msgspec.convert(
    {"journal": {"path": ":memory:"}, "api": {"anonymous_read": True, "anonymous_accounts": True}},
    Config,
)
EVERYBODY = {"ann", "bob", "cyd", "dan"}
OWN = """
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
"""What is one account's own, or everybody's: a visitor is asked for a key."""


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """A server that anybody may visit, after the crash_lines of the examples."""
    with live_server(VISITED) as serving:
        add_role_keys(serving.service)
        submit_lines(serving, crash_lines())
        yield serving


@pytest.mark.parametrize("path", OWN.split()[1:])
def test_an_anonymous_caller_needs_a_key_for_account_data(server: LiveServer, path: str) -> None:
    with client(server) as visitor:
        answer = visitor.get(path)
        assert answer.status_code == 401
        assert answer.json()["error"]["reason"] == "invalid_api_key"
        assert not any(f'"{name}"' in answer.text for name in EVERYBODY)


@pytest.mark.parametrize(("key", "named"), [("", set()), ("trade", {"bob"}), ("read", EVERYBODY)])
def test_names_are_masked_by_role(server: LiveServer, key: str, named: set[str]) -> None:
    """Bob's own key sees bob; the role read sees all; the numbers beside them are the same."""
    with client(server, key) as caller, client(server, "read") as desk:
        for path in ("/v1/contracts/BTCUSDT/queue?side=short", "/v1/adl/1"):
            told, whole = caller.get(path).json(), desk.get(path).json()
            seen, there = set(names(told)), set(names(whole))
            assert {name for name in seen if not name.startswith(MASK)} == there & named
            assert len(seen) == len(there)
            assert veiled(told) == veiled(whole)
        told = followed(caller, "round_closed,taken_over,fill_cancelled")
        assert [event["type"] for event in told] == ["taken_over", "round_closed"]
        assert (told[0]["account"] == "ann") == ("ann" in named)
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


def names(told: Any) -> Iterator[str]:
    """Yield every account that an answer names."""
    if isinstance(told, dict):
        for field, value in told.items():
            if field in {"account", "liquidated_account"}:
                yield value
            yield from names(value)
    elif isinstance(told, list):
        for each in told:
            yield from names(each)


def veiled(told: Any) -> str:
    """Return an answer without the accounts it names."""
    text = json.dumps(told, sort_keys=True)
    for name in set(names(told)):
        text = text.replace(json.dumps(name), '"?"')
    return text


def followed(caller: Any, types: str) -> list[dict[str, Any]]:
    """Return the events of a stream of some types, up to the end of ADL."""
    wanted = {"types": f"{types},adl_stopped", "after": "0"}
    seen: list[dict[str, Any]] = []
    with caller.stream("GET", "/v1/events/stream", params=wanted, timeout=TIMEOUT_S) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                seen += json.loads(line.removeprefix("data: "))["events"]
            if seen and seen[-1]["type"] == "adl_stopped":
                return seen[:-1]
    return seen


def test_a_filtered_stream_reports_its_position_while_idle() -> None:
    """So that who comes back does not have all that was passed over looked through again."""

    async def question() -> list[tuple[int, bytes]]:
        runner = Runner(VISITED, lambda: 1_000)
        await runner.start()
        feed = EventFeed(runner)
        runner.listeners.append(feed.add)
        choice = StreamFilter(frozenset({"adl_started"}), Masking(b"salt", sees_all=True))
        lines = feed.after(0, 0.05, choice)
        commands = read_scenario(CRASH)[:5]
        await runner.submit(commands)
        seen = [await anext(lines), await anext(lines)]
        await runner.submit(read_scenario(CRASH)[5:])
        while not seen[-1][1]:
            seen.append(await anext(lines))
        await lines.aclose()
        await runner.stop()
        return seen

    seen = asyncio.run(question())
    assert seen[0] == (5, b"")
    assert seen[1] == (5, b"")
    assert json.loads(seen[-1][1])["events"][0]["type"] == "adl_started"
    assert {event["type"] for event in json.loads(seen[-1][1])["events"]} == {"adl_started"}


def test_with_anonymous_accounts_nothing_is_masked() -> None:
    with live_server(SHOWN) as serving:
        add_role_keys(serving.service)
        submit_lines(serving, crash_lines())
        with client(serving) as visitor, client(serving, "read") as desk:
            for path in OWN.split()[1:]:
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
