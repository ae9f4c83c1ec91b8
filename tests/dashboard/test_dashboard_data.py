"""Where the pages get their data: API client, streams, timelines and runs of the lab."""

import asyncio
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from delever.api_types.history import EpisodeResponse, Waterfall
from delever.core.messages import ContractKind, DefinePool, PoolKind
from delever.core.rules import RULE_SETS
from delever.dashboard.data.api_client import ApiClient, ApiClientError
from delever.dashboard.data.episode_loss import LossFlow, loss_flows
from delever.dashboard.data.incidents import incidents_of
from delever.dashboard.data.lab_runs import OWN, LabRun, parse_commands, run_file, run_preset
from delever.dashboard.data.timeline import Timeline, TimelineContract, TimelinePool
from delever.dashboard.mount import AsgiApp, Message, Receive, Scope, Send
from delever.journal import Recorder
from delever.lab.errors import InputError

# --- timelines ---


def test_fund_of_a_contract_is_the_one_it_was_a_member_of_at_each_time() -> None:
    """A contract moves from one of two funds to the other and back."""

    def pool_at(time_ms: int, balance: int) -> TimelinePool:
        return TimelinePool(time_ms, time_ms, Decimal(balance), Decimal(balance), Decimal(100))

    membership = [(2, "main"), (3, "main"), (5, "own"), (7, "main")]
    timeline = Timeline("a run")
    timeline.pools = {
        "main": [pool_at(time_ms, 100 + time_ms) for time_ms in range(1, 9)],
        "own": [pool_at(time_ms, 10) for time_ms in range(4, 9)],
    }
    timeline.contracts["X"] = [
        TimelineContract(time_ms, time_ms, pool, Decimal(0), Decimal(0), None, None)
        for time_ms, pool in membership
    ]
    balances = [(point.time_ms, int(point.balance)) for point in timeline.pool_points_of("X")]
    assert balances == [
        (1, 101), (2, 102), (3, 103), (4, 104), (5, 10), (6, 10), (7, 107), (8, 108)
    ]  # fmt: skip
    assert timeline.pool_points_of("Y") == []


# --- ADL events ---


def episode(number: int, started_min: int, stopped_min: int | None) -> EpisodeResponse:
    minute_ms = 60_000
    return EpisodeResponse(
        episode=number, contract="X", pool="main", trigger="fund_empty", reason="test",
        started_sequence=number, started_ms=started_min * minute_ms, stopped_sequence=stopped_min,
        stopped_ms=None if stopped_min is None else stopped_min * minute_ms, numbers={},
        stop_numbers=None, fills=0, quantity="0", notional="0", accounts=0,
    )  # fmt: skip


def test_incident_continues_until_30_minutes_pass_without_adl() -> None:
    """Event 2 starts while event 1 is on, event 3 30 minutes after it, event 4 later still."""
    found = [episode(4, 75, None), episode(1, 0, 9), episode(2, 4, 14), episode(3, 44, 44)]
    first, second = incidents_of(found)
    assert [each.episode for each in first.episodes] == [1, 2, 3]
    assert (first.started_ms, first.stopped_ms) == (0, 44 * 60_000)
    assert first.is_recent(74 * 60_000)
    assert not first.is_recent(74 * 60_000 + 1)
    assert (second.stopped_ms, second.is_recent(80 * 60_000)) == (None, False)


@pytest.mark.parametrize(
    ("kind", "side", "loss"), [("linear", "long", "60"), ("linear", "short", "-60"),
                               ("inverse", "long", "0.06")]
)  # fmt: skip
def test_open_inventory_counts_at_the_mark(kind: str, side: str, loss: str) -> None:
    """10 are taken over at 50 and 4 of them sold at 48, a loss of 8; 6 are open at 40.

    Of 16 inverse ones 12 are open: 12 / 40 - 12 / 50 = 0.06.
    """
    quantity = 10 if kind == "linear" else 16
    taken = {"takeover": 1, "sequence": 1, "time_ms": 0, "side": side, "account": "ann",
             "position": 0, "quantity": str(quantity), "price": "50", "to_pool": "0",
             "reason": "test"}  # fmt: skip
    unwind = {"takeover": 1, "sequence": 2, "time_ms": 0, "side": side, "quantity": "4",
              "price": "48", "realized_pnl": "-8"}  # fmt: skip
    summary = msgspec.structs.asdict(episode(1, 0, None))
    lists = {"takeovers": [taken], "unwinds": [unwind], "netted": [], "rounds": []}
    pool = {"pool_before": None, "pool_after": None}
    waterfall = msgspec.convert({**summary, **lists, **pool}, Waterfall)
    market, remaining = loss_flows(waterfall, ContractKind(kind), "40")
    assert market == LossFlow("market", "insurance fund", Decimal(8))
    assert remaining == LossFlow("still open", "open", Decimal(loss))
    ended = msgspec.structs.replace(waterfall, stopped_ms=1)
    assert loss_flows(ended, ContractKind(kind), "40") == [market]


# --- runs of the lab ---


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "scenario: has no commands"),
        ('{"type": "set_marks"', "scenario, line 1: is cut off"),
        ('# none\n{"type": "sett_marks"}', "line 2, type 'sett_marks': is no command"),
        ("x" * 2_000_001, "more than 2,000,000 characters"),
    ],
)
def test_invalid_scenario_is_rejected_with_its_line(text: str, error: str) -> None:
    with pytest.raises(InputError, match=error):
        parse_commands(text)


def test_scenario_text_is_read_like_a_file() -> None:
    command = '{"type": "set_time", "time_ms": 1, "id": "a\u2028b"}'
    commands = parse_commands(f"\ufeff{command}\n   # why\n\n  {command}\n")
    assert [command.id for command in commands] == ["a\u2028b"] * 2


def test_preset_runs_under_each_rule_set() -> None:
    """BYB-01 BYB-03: the haircut is 50,000 as in the documentation; gmx has no fills."""
    bybit, gmx = (run_preset("bankrupt_long", "", rules) for rules in ("bybit", "gmx"))
    (total,) = bybit.stored.summary.contracts
    assert (total.closed, total.accounts, bybit.rejected) == ("100", 3, 0)
    assert (total.haircut, total.pool_pnl) == ("50000", "-300000")
    assert gmx.stored.fills.height == 0
    own = run_preset(OWN, '{"type": "set_time", "time_ms": 1}', "okx")
    assert own.stored.summary.commands == 1


def test_a_preset_runs_under_a_rule_set_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the lab by name, and in the replay of a journal whose fund has it."""
    house = replace(RULE_SETS["bybit"], name="house", fee_ppm=1_000)
    monkeypatch.setattr("delever.dashboard.data.lab_runs.installed_rule_sets", lambda: [house])
    found = run_preset("bankrupt_long", "", "house")
    assert (found.rejected, found.note) == (0, "")
    assert {str(fee) for fee in found.stored.fills["fee"]} != {"0"}
    with Recorder.open(tmp_path / "own.db", rule_sets=[house]) as recorder:
        recorder.submit(
            [DefinePool(time_ms=0, pool="p", kind=PoolKind.SHARED, asset="USDT", rules="house")]
        )
    replayed = run_file(tmp_path / "own.db", "own.db")
    assert isinstance(replayed, LabRun)
    assert (replayed.rejected, replayed.stored.summary.pools[0].rules) == (0, "house")


def test_a_vault_without_a_published_cap_runs_with_a_note() -> None:
    """HYP-08: in a managed pool, which the engine would reject."""
    found = run_preset("crash", "", "hyperliquid")
    assert found.rejected == run_preset("crash", "", "hyperliquid@2025-03").rejected
    assert "until its equity is negative" in found.note
    text = '{"type": "define_pool", "time_ms": 0, "pool": "p", "kind": "shared", "asset": "USDT", '
    text += '"rules": "hyperliquid", "managed": true, '
    text += '"limits": {"vault_cap": "0.1", "loss_threshold": 5}}'
    capped = run_preset(OWN, text, "hyperliquid")
    assert (capped.rejected, capped.note) == (0, "")


# --- the API client ---


def test_unreachable_and_foreign_servers_raise_errors_that_say_so() -> None:
    with pytest.raises(ApiClientError, match="cannot be reached") as unreachable:
        asyncio.run(request_contracts("http://127.0.0.1:9"))
    assert (unreachable.value.status, unreachable.value.needs_key) == (0, False)
    with foreign_server() as url, pytest.raises(ApiClientError, match="answered 404") as foreign:
        asyncio.run(request_contracts(url))
    assert foreign.value.status == 404


async def request_contracts(url: str) -> None:
    async with ApiClient(url) as client:
        await client.contracts()


@contextmanager
def foreign_server() -> Iterator[str]:
    """Serve 404 for every path."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), NotFoundHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class NotFoundHandler(http.server.BaseHTTPRequestHandler):
    """Answers 404 and logs nothing."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Discard the message."""


RESPONSE_START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def test_stream_of_an_app_is_read_as_it_is_sent() -> None:
    disconnected = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await send(RESPONSE_START)
        for number in (1, 2):
            body = b'id: %d\ndata: {"sequence":%d,"time_ms":0,"events":[]}\n\n' % (number, number)
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await receive()
        await receive()
        disconnected.set()

    async def read() -> list[int]:
        sequences = []
        async with ApiClient(app) as client:
            async for sequence, _ in client.stream(["adl_started"], 0):
                sequences.append(sequence)
                if sequence == 2:
                    break
        return sequences

    assert asyncio.run(read()) == [0, 1, 2]


async def ends_early(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send(RESPONSE_START)


async def forbids(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({**RESPONSE_START, "status": 403})
    body = b'{"error": {"reason": "missing_role", "message": "needs the role read"}}'
    await send({"type": "http.response.body", "body": body})


async def sends_invalid_json(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send(RESPONSE_START)
    await send({"type": "http.response.body", "body": b"id: 1\ndata: {\n\n"})


@pytest.mark.parametrize(
    ("app", "error"),
    [
        (ends_early, "cannot be reached"),
        (forbids, "needs the role read"),
        (sends_invalid_json, "is invalid"),
    ],
)
def test_faulty_stream_raises_an_error(app: AsgiApp, error: str) -> None:
    async def read() -> None:
        async with ApiClient(app) as client:
            async for _ in client.stream(["adl_started"], 0):
                pass

    with pytest.raises(ApiClientError, match=error):
        asyncio.run(read())


# --- dependencies ---


def test_server_and_command_line_do_not_import_the_dashboard() -> None:
    program = "import delever.server.app, delever.cli.server, sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert {"nicegui", "fastapi", "matplotlib"}.isdisjoint(run.stdout.split())
