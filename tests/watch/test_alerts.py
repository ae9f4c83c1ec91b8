"""Alerts to real receivers: an SMTP server, a webhook, a service of apprise; and what is kept."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from numbers_read import NOW, drawdown, fill, indicator, pool, risk
from standardwebhooks import Webhook
from stub import Stub, stubbed

from delever.config import ConfigError
from delever.watch.alerts import deliver, senders, trial
from delever.watch.rules import Active, Alert
from delever.watch.settings import Settings, parse
from delever.watch.state import Situation, State
from delever.watch.store import KEEP_EVERY_MS, Kept, Store, history, thinned

SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ALERT = Alert(
    rule="front",
    about="bybit BTCUSDT long",
    text="bybit BTCUSDT: indicator 5 of the long (venue: 5)",
    at_ms=NOW,
    kind="raised",
    send=(),
)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stubbed() as served:
        served.say("/hook", {})
        yield served


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    kept = Store(tmp_path / "watch.db")
    yield kept
    kept.close()


class Mail(Controller):
    """An SMTP server on a port that the system chooses."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        super()._trigger_server()


class Inbox:
    """What an SMTP server has taken."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.taken.append(envelope.content.decode())
        return "250 OK"


def to(*channels: dict[str, Any], **more: Any) -> Settings:
    return parse({"channels": list(channels), **more})


def send(settings: Settings, store: Store, at_ms: int = NOW, alert: Alert = ALERT) -> int:
    names = [channel.name for channel in settings.channels]
    store.tell({}, [alert], names, at_ms)
    return try_again(settings, store, at_ms)


def try_again(settings: Settings, store: Store, at_ms: int) -> int:
    return asyncio.run(deliver(store, senders(settings, lambda: at_ms), lambda: at_ms))


def test_mail_arrives(store: Store) -> None:
    inbox = Inbox()
    server = Mail(inbox, hostname="127.0.0.1", port=0)
    server.start()
    try:
        mail = {"host": "127.0.0.1", "port": server.port, "sender": "adl@x.org", "start_tls": False}
        settings = to({"name": "post", "mail": "ann@x.org"}, mail=mail)
        assert send(settings, store) == 1
    finally:
        server.stop()
    (message,) = inbox.taken
    assert "Subject: [delever] bybit BTCUSDT: indicator 5 of the long (venue: 5)" in message
    assert "To: ann@x.org" in message
    assert f"Message-ID: <delever-{NOW}-1@delever.invalid>" in message
    assert "Rule front (raised), 2026-11-27" in message


def test_webhook_arrives_signed(store: Store, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", f"{stub.url}/hook")
    monkeypatch.setenv("SIGNING", SIGNING)
    channel = {"name": "hook", "webhook_env": "HOOK", "webhook_secret_env": "SIGNING"}
    import time  # noqa: PLC0415 - the library checks the signature's time by the real clock

    now = time.time_ns() // 1_000_000
    assert send(to(channel), store, now) == 1
    (told,), (headers,) = stub.bodies, stub.sent
    assert (told["type"], told["data"]["text"]) == ("delever.watch.alert", ALERT.text)
    Webhook(SIGNING).verify(stub.raw[-1], headers)  # raises if it is not signed with the secret


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # a plug-in's
def test_chat_goes_through_apprise(
    store: Store, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT", stub.url.replace("http", "json", 1) + "/hook")
    assert send(to({"name": "chat", "apprise_env": "CHAT"}), store) == 1
    assert "indicator 5 of the long" in stub.bodies[0]["message"]
    monkeypatch.setenv("CHAT", "nosuchservice://x")
    assert send(to({"name": "chat", "apprise_env": "CHAT"}), store) == 0
    assert store.deliveries(1)[0].error == "apprise does not know this kind of URL"


def test_a_failed_delivery_is_tried_again_later_each_time_and_then_given_up(
    store: Store, stub: Stub
) -> None:
    settings = to({"name": "hook", "webhook": f"{stub.url}/hook"})
    stub.say("/hook", {}, 503)
    assert send(settings, store) == 0
    (row,) = store.deliveries(5)
    assert (row.state, row.attempts, row.error) == ("waiting", 1, "HTTP 503")
    assert row.due_ms == NOW + 5_000
    assert try_again(settings, store, NOW + 4_999) == 0
    assert store.deliveries(1)[0].attempts == 1  # not before it is due
    try_again(settings, store, NOW + 5_000)
    assert store.deliveries(1)[0].due_ms == NOW + 15_000
    stub.say("/hook", {})
    assert try_again(settings, store, NOW + 15_000) == 1
    (row,) = store.deliveries(5)
    assert (row.state, row.attempts, row.error, store.waiting()) == ("sent", 3, "", 0)
    assert len({headers["webhook-id"] for headers in stub.sent}) == 1  # a repetition can be told
    stub.say("/hook", {}, 500)
    send(settings, store, NOW)
    try_again(settings, store, NOW + 24 * 3_600_000)
    assert store.deliveries(1)[0].state == "failed"


def test_an_alert_goes_to_the_channels_that_its_rule_names(store: Store) -> None:
    store.tell({}, [ALERT], ["a", "b"], NOW)
    one = Alert(rule="x", about="", text="", at_ms=NOW, kind="raised", send=("b",))
    store.tell({}, [one], ["a", "b"], NOW)
    assert sorted((row.channel, row.alert.rule) for row in store.deliveries(9)) == [
        ("a", "front"),
        ("b", "front"),
        ("b", "x"),
    ]


def test_a_channel_without_its_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAT", raising=False)
    with pytest.raises(ConfigError, match=r"channels \(chat\): environment variable 'CHAT'"):
        senders(to({"name": "chat", "apprise_env": "CHAT"}), lambda: NOW)


def test_a_trial_says_what_it_is() -> None:
    assert "this is a test" in trial(NOW).text


# --- what is kept ---


def test_history_keeps_what_changes_and_once_in_a_while_what_does_not(
    tmp_path: Path, store: Store
) -> None:
    for minute in range(14):
        store.keep([indicator(4 if minute < 3 else 5)], NOW + 60_000 * minute)
    kept = history(tmp_path / "watch.db")
    told = [((line.at_ms - NOW) // 60_000, line.value) for line in kept]
    assert told == [(0, 4), (3, 5), (13, 5)]
    store.keep([drawdown("-0.22"), risk(3), pool("7000"), fill("1")], NOW)
    store.keep([fill("2", at_ms=NOW + 1), fill("1"), pool("7007"), pool("6999")], NOW + 1)
    store.keep([fill("2", at_ms=NOW + 1), fill("1"), pool("7008")], NOW + 2)
    assert [line.of_ms - NOW for line in of_what(tmp_path, "fill")] == [0, 1]  # each once
    assert [line.raw for line in of_what(tmp_path, "pool")] == ["7000", "7008"]  # 0.1 % more
    assert {line.what for line in history(tmp_path / "watch.db")} == {
        "indicator", "pnl_ratio", "start_ratio", "stop_ratio", "risk", "pool", "fill",
    }  # fmt: skip
    assert {line.name for line in history(tmp_path / "watch.db", name="BTCUSDT")} == {"BTCUSDT"}
    store.forget(30, NOW + 31 * 24 * 3_600_000)
    assert history(tmp_path / "watch.db") == []
    assert KEEP_EVERY_MS == 600_000


def of_what(folder: Path, what: str) -> list[Kept]:
    return [line for line in history(folder / "watch.db") if line.what == what]


def test_a_long_history_is_thinned_to_its_extremes(tmp_path: Path, store: Store) -> None:
    for second in range(1_000):
        ratio = "-0.29" if second == 555 else f"-0.{100 + second % 7}"
        store.keep([drawdown(ratio), indicator(1 + second % 2)], NOW + second)
    thin = thinned(history(tmp_path / "watch.db"), 60)
    ratios = [line for line in thin if line.what == "pnl_ratio"]
    assert len(ratios) <= 60
    assert (555, "-0.29") in {(line.at_ms - NOW, line.raw) for line in ratios}
    assert ratios[-1].at_ms == NOW + 999
    assert [line.at_ms for line in thin] == sorted(line.at_ms for line in thin)


def test_what_is_remembered_outlives_a_restart(tmp_path: Path) -> None:
    situation = Situation(
        venue="okx", contract="X", state=State.ADL, since_ms=NOW, why="so", on=True
    )
    held = Active(rule="front", about="x", text="t", since_ms=NOW, told_ms=NOW)
    first = Store(tmp_path / "watch.db")
    first.keep_situations([situation], NOW)
    first.keep([pool("900")], NOW)
    first.tell({("front", "x"): held}, [], [], NOW)
    first.close()
    second = Store(tmp_path / "watch.db")
    assert second.situations() == {("okx", "X"): situation}
    assert second.active() == {("front", "x"): held}
    assert second.peaks(NOW) == {pool("900").key: [(NOW, pool("900").balance)]}
    assert second.peaks(NOW + 1) == {}
    second.close()


def test_history_of_a_file_that_is_not_there_is_an_error_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        history(tmp_path / "absent.db")
    assert not (tmp_path / "absent.db").exists()
