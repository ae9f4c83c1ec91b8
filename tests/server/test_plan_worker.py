"""`delever lab allocate --server` against a real server, then `delever verify --plans`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from api_clients import SECRET, client, submit_lines, untimed
from live_server import LiveServer, live_server

from delever.cli import ExitCode, call
from delever.config import Config, Role
from delever.server.transport.api_keys import ApiKey
from waiting_market import waiting_market

SCENARIOS = ("--model", "student_t", "--volatility", "9", "--count", "40", "--seed", "3")

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[LiveServer]:
    """A server with rounds that wait for a plan for ten minutes."""
    config = msgspec.convert({"journal": {"path": str(tmp_path / "j.db")}}, Config)
    with live_server(config) as server:
        operator = ApiKey(
            "operate", frozenset({Role.OPERATE, Role.INGEST, Role.READ}), (), SECRET.encode()
        )
        server.service.keyring.add(operator)
        submit_lines(server, untimed(waiting_market(600_000)))
        yield server


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def run_words(*words: str) -> tuple[int, str]:
        monkeypatch.setenv("DELEVER_API_KEY", f"operate.{SECRET}")
        capfd.readouterr()
        code = call(words)
        return code, "".join(capfd.readouterr())

    return run_words


def test_a_plan_is_made_submitted_executed_and_proved_again(
    waiting: LiveServer, run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "certificates"
    words = ("lab", "allocate", "--server", waiting.url, "--once", *SCENARIOS)
    code, text = run(*words, "--certificates", str(folder))
    assert code == ExitCode.SUCCESS, text
    assert "BTC, ETH: accepted; expected shortfall" in text
    with client(waiting, "operate") as operator:
        page = operator.get("/v1/events", params={"type": "round_closed"}).json()
    closed = {each["event"]["contract"]: each["event"]["filled_lots"] for each in page["events"]}
    assert closed == {"BTC": 500, "ETH": 201}
    code, text = run(*words)
    assert (code, "expected shortfall" in text) == (ExitCode.SUCCESS, False), "nothing waits"

    (certificate,) = folder.iterdir()
    verified = ("verify", str(tmp_path / "j.db"), "--plans", str(folder))
    code, text = run(*verified)
    assert code == ExitCode.SUCCESS, text
    assert certificate.stem in text
    certificate.unlink()
    code, text = run(*verified)
    assert code == ExitCode.CHECK_FAILED
    assert "No such file" in text


def test_no_plan_is_made_for_paused_contracts(waiting: LiveServer, run: Run) -> None:
    with client(waiting, "operate") as operator:
        for name in ("BTC", "ETH"):
            pause = {"type": "pause_adl", "contract": name, "paused": True, "note": "feed"}
            assert operator.post("/v1/commands", json=pause).status_code == 200
    words = ("lab", "allocate", "--server", waiting.url, "--once", *SCENARIOS)
    code, text = run(*words)
    assert (code, "expected shortfall" in text) == (ExitCode.SUCCESS, False)


def test_the_worker_needs_a_key_that_may_read_the_book(waiting: LiveServer, run: Run) -> None:
    words = ("lab", "allocate", "--server", waiting.url, "--once", *SCENARIOS)
    code, text = run(*words, "--key-variable", "UNSET_VARIABLE")
    assert code == ExitCode.INVALID_INPUT
    assert "/v1/book: 401" in text


@pytest.mark.parametrize("words", [("--server", "http://127.0.0.1:1", "examples/book"), ()])
def test_a_book_or_a_server_is_needed(
    words: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert call(("lab", "allocate", *words)) == ExitCode.USAGE_ERROR
    assert "--server" in capfd.readouterr().err
