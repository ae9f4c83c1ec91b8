"""Routes for commands: idempotency, invalid bodies rejected whole, acknowledged means durable."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pyarrow as pa
import pytest
import structlog.testing
from api_clients import CLOSED_CONFIG, TIMEOUT_S, add_role_keys, client, crash_lines, submit_lines
from live_server import LiveServer, live_server

from delever.config import Config
from delever.journal import SqliteJournal, verify
from delever.journal.record import decode_command

ANN = {"type": "define_account", "account": "ann", "id": "a-1"}


def on_disk(path: Path) -> Config:
    return msgspec.convert({"journal": {"path": str(path)}}, Config)


def sequence(server: LiveServer) -> int:
    with client(server, "read") as reader:
        return int(reader.get("/v1/status").json()["sequence"])


def test_an_id_runs_once_even_after_a_restart(tmp_path: Path) -> None:
    config = on_disk(tmp_path / "j.db")
    with live_server(config) as serving:
        add_role_keys(serving.service)
        with client(serving, "ingest") as venue:
            first = venue.post("/v1/commands", json=ANN).json()
            again = venue.post("/v1/commands", json=ANN).json()
            assert (first["repeated"], again["repeated"]) == (False, True)
            assert first | {"repeated": True} == again
    with live_server(config) as serving:
        add_role_keys(serving.service)
        with client(serving, "ingest") as venue:
            later = venue.post("/v1/commands", json=ANN).json()
            assert later == again
            reused = venue.post("/v1/commands", json=ANN | {"account": "bea"})
            assert reused.status_code == 409
            assert reused.json()["error"] | {"message": ""} == {
                "reason": "duplicate_id",
                "field": "id",
                "value": "a-1",
                "message": "",
                "sequence": first["sequence"],
            }


def test_a_bulk_reports_a_duplicate_id() -> None:
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        response = submit_lines(
            serving, b"\n".join(map(msgspec.json.encode, [ANN, ANN | {"account": "bea"}]))
        )
        (rejection,) = response["rejections"]
        assert rejection == {"line": 2, "reason": "duplicate_id", "field": "id", "value": "a-1"}


def test_a_rejected_command_with_an_id_is_rejected_again_without_a_record() -> None:
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        with client(serving, "ingest") as venue:
            bad = {"type": "define_account", "account": "", "id": "b-1"}
            errors = [venue.post("/v1/commands", json=bad).json()["error"] for _ in range(2)]
        assert errors[0] == errors[1]
        assert sequence(serving) == errors[0]["sequence"]


GOOD = b'{"type":"define_account","account":"zoe"}'


@pytest.mark.parametrize(
    ("bad", "status", "reason"),
    [
        (b'{"type":"define_account","acount":"x"}', 400, "invalid_command"),
        (b'{"type":"define_account"', 400, "invalid_command"),
        (b"\xff\xfe", 400, "invalid_command"),
        (b"[" * 100_000, 400, "invalid_command"),
        (b'{"type":"cancel_adl","fill":1,"note":"x"}', 403, "missing_role"),
    ],
)
def test_a_bulk_with_an_invalid_line_is_rejected_whole_with_its_number(
    bad: bytes, status: int, reason: str
) -> None:
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        with client(serving, "ingest") as venue:
            lines = b"\n".join([GOOD] * 1_500 + [b"", bad, GOOD])
            answer = venue.post("/v1/commands/bulk", content=lines)
        error = answer.json()["error"]
        assert (answer.status_code, error["reason"]) == (status, reason)
        assert error["message"].startswith("line 1502: ")
        assert sequence(serving) == 0


def test_a_bulk_reports_the_lines_that_the_engine_rejected() -> None:
    empty = b'{"type":"define_account","account":""}'
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        response = submit_lines(serving, b"\n".join([GOOD, b"", empty, *[GOOD] * 2_000, empty]))
        assert response == {
            "accepted": 2_001,
            "rejected": 2,
            "first_sequence": 1,
            "last_sequence": 2_003,
            "rejections": [
                {"line": n, "reason": "empty_name", "field": "account", "value": ""}
                for n in (3, 2_004)
            ],
            "partial_rejections": [],
        }


def test_a_bulk_reports_the_marks_that_were_rejected_alone() -> None:
    marks = b'{"type":"set_marks","marks":{"DOGE":1,"PEPE":2}}'
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        response = submit_lines(serving, b"\n".join([GOOD, marks]))
        assert (response["accepted"], response["rejected"]) == (2, 0)
        assert response["partial_rejections"] == [
            {"line": 2, "reason": "unknown_contract", "field": f"marks.{name}", "value": name}
            for name in ("DOGE", "PEPE")
        ]


# --- tables ---


def stream(**columns: Any) -> bytes:
    """Return columns as an Arrow IPC stream."""
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


@pytest.fixture
def crashed() -> Iterator[LiveServer]:
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        submit_lines(serving, crash_lines())
        yield serving


def test_arrow_tables_are_one_command_each(crashed: LiveServer) -> None:
    balances = stream(account=["ann", "bob"], asset=["USDT"] * 2, balance=[Decimal("1.50"), None])
    positions = {
        "account": ["ann", "dan"],
        "contract": ["BTCUSDT"] * 2,
        "side": ["long", "short"],
        "quantity": ["1.5", "2"],
        "entry_price": pa.array([60_000, 61_000], pa.int64()),
        "isolated_margin": pa.array([Decimal("5000.25"), None], pa.decimal128(18, 2)),
    }
    with client(crashed, "ingest") as venue, client(crashed, "read") as reader:
        path = "/v1/positions/arrow?version=2&last_fill=3&id=p-1"
        response = [venue.post(path, content=stream(**positions)).json() for _ in range(2)]
        assert (response[0]["rows"], response[0]["ignored"], response[0]["repeated"]) == (
            2,
            0,
            False,
        )
        assert response[1] == response[0] | {"repeated": True}
        (held,) = reader.get("/v1/accounts/ann").json()["positions"]
        assert (held["quantity"], held["isolated_margin"]) == ("1.5", "5000.25")
        late = venue.post("/v1/positions/arrow?version=1", content=stream(**positions)).json()
        assert (late["rows"], late["ignored"]) == (2, 2)
        missing = venue.post("/v1/balances/arrow?version=2", content=balances)
        assert missing.status_code == 400
        assert missing.json()["error"]["field"] == "rows[1]"


def test_a_margin_of_the_venue_replaces_that_of_an_account(crashed: LiveServer) -> None:
    """CORE-39"""
    margin = {"account": "dan", "asset": "USDT", "equity": "700.5", "maintenance": "30"}
    none = {**margin, "equity": None, "maintenance": None}
    answers = []
    with client(crashed, "ingest") as venue, client(crashed, "read") as reader:
        for version, body in enumerate((margin, none), start=1):
            command = {"type": "set_account_margin", "version": version, **body}
            assert venue.post("/v1/commands", json=command).status_code == 200
            (wallet,) = reader.get("/v1/accounts/dan").json()["wallets"]
            answers.append((wallet["equity"], wallet["maintenance_margin"], wallet["venue_margin"]))
    assert answers[0] == ("700.5", "30", True)
    assert answers[1][2] is False


@pytest.mark.parametrize(
    ("columns", "status", "field"),
    [
        ({"balance": [1.5]}, 400, "rows[0].balance"),
        ({"balance": ["1"], "colour": ["red"]}, 400, "rows[0]"),
        ({"balance": ["1e3"]}, 422, "balances[0].balance"),
        ({"balance": ["1"], "account": ["nobody"]}, 422, "balances[0].account"),
    ],
)
def test_an_invalid_table_is_rejected_whole_with_its_field(
    crashed: LiveServer, columns: dict[str, Any], status: int, field: str
) -> None:
    body = stream(**{"account": ["ann"], "asset": ["USDT"], **columns})
    with client(crashed, "ingest") as venue:
        answer = venue.post("/v1/balances/arrow?version=2&strict=true", content=body)
        assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
        none = venue.post("/v1/balances/arrow?version=2", content=b"nothing of the kind")
        assert (none.status_code, none.json()["error"]["field"]) == (400, "body")


# --- durability ---

TOML = """
[listen]
port = 0
[journal]
path = "j.db"
[[keys]]
id = "ingest"
roles = ["ingest"]
secret_env = "DELEVER_TEST_KEY"
"""


def test_acknowledged_commands_survive_a_kill(tmp_path: Path) -> None:
    """Four clients send without a pause while the process is killed."""
    (tmp_path / "delever.toml").write_text(TOML)
    process = subprocess.Popen(
        [sys.executable, "-m", "delever", "serve", "--config", "delever.toml"],
        cwd=tmp_path,
        env=os.environ | {"DELEVER_TEST_KEY": "s3cret"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    url = next(line for line in process.stdout if "http://" in line).split()[-1]
    acknowledged: dict[int, str] = {}
    clients = [threading.Thread(target=send, args=(url, n, acknowledged)) for n in range(4)]
    for each in clients:
        each.start()
    while len(acknowledged) < 200 and any(each.is_alive() for each in clients):
        clients[0].join(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(TIMEOUT_S)
    process.stdout.close()
    for each in clients:
        each.join(TIMEOUT_S)
    assert len(acknowledged) >= 200
    assert not verify(tmp_path / "j.db").findings
    with SqliteJournal(tmp_path / "j.db", readonly=True) as journal:
        stored = {each.sequence: decode_command(each.command).id for each in journal.records()}
    assert acknowledged.items() <= stored.items()


def send(url: str, number: int, acknowledged: dict[int, str]) -> None:
    headers = {"Authorization": "Bearer ingest.s3cret"}
    with (
        contextlib.suppress(httpx2.TransportError),
        httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT_S, verify=False) as venue,
    ):
        for count in range(100_000):
            name = f"{number}-{count}"
            body = {"type": "define_account", "account": name, "id": name}
            response = venue.post("/v1/commands", json=body).json()
            acknowledged[response["sequence"]] = name


def test_every_line_of_the_crash_is_accepted() -> None:
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        response = submit_lines(serving, crash_lines())
        with client(serving, "read") as reader:
            (episode,) = reader.get("/v1/adl").json()
    assert (response["rejected"], episode["fills"], episode["quantity"]) == (0, 3, "100")


def test_a_command_without_a_time_gets_the_clocks_and_zero_is_a_time_like_any_other() -> None:
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        with client(serving, "ingest") as venue:
            stamped = venue.post("/v1/commands", json=ANN).json()
            assert stamped["time_ms"] == stamped["events"][0]["time_ms"] > 0
            zero = venue.post("/v1/commands", json={"type": "set_time", "time_ms": 0})
            assert (zero.status_code, zero.json()["error"]["reason"]) == (422, "time_in_past")
            below = venue.post("/v1/commands", json={"type": "set_time", "time_ms": -1})
            assert below.json()["error"]["reason"] == "out_of_range"


def test_a_contract_with_the_venue_symbol_of_another_one_is_rejected() -> None:
    """Both would be BTCUSDT at Binance, and only one could be read."""
    pool = {"type": "define_pool", "pool": "p", "kind": "shared", "asset": "USDT", "rules": "bybit"}
    one = {
        "type": "define_contract", "kind": "linear", "settle": "USDT", "pool": "p",
        "contract": "BTCUSDT", "tick_size": "0.5", "lot_size": "0.001",
    }  # fmt: skip
    other = one | {"contract": "BTC-USDT"}
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        with client(serving, "ingest") as venue:
            both = b"\n".join(map(msgspec.json.encode, [pool, one, other]))
            bulk = venue.post("/v1/commands/bulk", content=both)
            assert (bulk.status_code, sequence(serving)) == (400, 0)
            assert bulk.json()["error"]["field"] == "line 3, contract"
            for body in (pool, one):
                assert venue.post("/v1/commands", json=body).status_code == 200
            again = venue.post("/v1/commands", json=other)
            assert again.status_code == 400
            error = again.json()["error"]
            assert (error["reason"], error["value"]) == ("symbol_not_unique", "BTC-USDT")
            assert "[contracts.BTC-USDT] binance" in error["message"]


def test_a_record_names_the_key_that_submitted_it_and_the_log_its_address(tmp_path: Path) -> None:
    with live_server(on_disk(tmp_path / "j.db")) as serving:
        add_role_keys(serving.service)
        desk = serving.service.keyring.find("operate")
        assert desk is not None
        serving.service.keyring.add(dataclasses.replace(desk, name="risk desk"))
        pool = {"type": "define_pool", "pool": "p", "kind": "shared", "asset": "USDT"}
        fund = {"type": "fund_pool", "pool": "p", "amount": 5, "reason": "seed", "note": "opened"}
        with client(serving, "ingest") as venue, client(serving, "operate") as operator:
            forged = pool | {"rules": "bybit", "by": "somebody else"}
            assert venue.post("/v1/commands", json=forged).status_code == 200
            with structlog.testing.capture_logs() as lines:
                assert operator.post("/v1/commands", json=fund).status_code == 200
                wrong = {"authorization": "Bearer operate.guess"}
                assert operator.get("/v1/status", headers=wrong).status_code == 401
        logged = {line["event"]: line for line in lines}
        command = logged["an operator's command"]
        assert (command["by"], command["address"]) == ("risk desk", "127.0.0.1")
        assert (command["command"], command["note"]) == ("fund_pool", "opened")
        assert logged["a login failed"]["address"] == "127.0.0.1"
        assert "guess" not in str(lines)
    with SqliteJournal(tmp_path / "j.db", readonly=True) as journal:
        by = [decode_command(record.command).by for record in journal.records()]
    assert by == ["ingest", "risk desk"]


EXEMPTIONS = (
    {"type": "define_account", "account": "mm", "adl_exempt": True},
    {"type": "define_accounts", "accounts": ["mm"], "adl_exempt": "AQ=="},
)


@pytest.mark.parametrize("command", EXEMPTIONS)
def test_an_exemption_from_adl_is_an_operators_command_with_a_note(
    crashed: LiveServer, command: dict[str, object]
) -> None:
    noted = command | {"note": "market maker, contract of May"}
    with client(crashed, "ingest") as venue, client(crashed, "operate") as operator:
        assert venue.post("/v1/commands", json=noted).status_code == 403
        missing = operator.post("/v1/commands", json=command)
        assert (missing.status_code, missing.json()["error"]["reason"]) == (400, "missing_note")
        assert operator.post("/v1/commands", json=noted).status_code == 200
        plain = command | {"adl_exempt": "AA==" if "accounts" in command else False}
        assert venue.post("/v1/commands", json=plain).status_code == 200


def test_an_exempt_contract_is_an_operators_command(crashed: LiveServer) -> None:
    contract = {
        "type": "define_contract",
        "contract": "ETHUSDT",
        "kind": "linear",
        "settle": "USDT",
        "pool": "main",
        "tick_size": "0.1",
        "lot_size": "0.01",
        "adl_exempt": True,
    }
    with client(crashed, "ingest") as venue, client(crashed, "operate") as operator:
        assert venue.post("/v1/commands", json=contract).status_code == 403
        assert operator.post("/v1/commands", json=contract).status_code == 200


SETTLEMENT = {"type": "settle_contract", "contract": "BTCUSDT", "note": "delisted"}
CORRECTION = {"type": "fund_pool", "pool": "main", "reason": "correction", "note": "booked twice"}


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        (SETTLEMENT | {"price": "5600"}, 400, "[operators] max_settlement_distance (0.5 of"),
        (SETTLEMENT | {"price": "84000.5"}, 400, "is farther from the mark than"),
        (SETTLEMENT | {"price": "84000"}, 200, ""),
        (CORRECTION | {"amount": "-100000.01"}, 400, "[operators] max_correction (0.1 of"),
        (CORRECTION | {"amount": "100000.01"}, 400, "check it, or change the bound"),
        (CORRECTION | {"amount": "-100000"}, 200, ""),
        (CORRECTION | {"amount": "-100000.01", "reason": "withdrawal"}, 400, "is larger than"),
        (CORRECTION | {"amount": "100000.01", "reason": "injection"}, 200, ""),
        (CORRECTION | {"amount": "5", "pool": "none"}, 422, "unknown pool"),
        (SETTLEMENT | {"price": "1e9"}, 422, "invalid decimal"),
    ],
)
def test_operators_commands_have_bounds_against_slips(
    crashed: LiveServer, command: dict[str, object], status: int, message: str
) -> None:
    """The mark is 56,000, and the fund's peak 1,000,000; the bounds are the defaults."""
    with client(crashed, "operate") as operator:
        answer = operator.post("/v1/commands", json=command)
    assert answer.status_code == status, answer.text
    if status != 200:
        error = answer.json()["error"]
        assert message in error["message"]
        assert (error["reason"] == "beyond_operators_bound") == (status == 400)
