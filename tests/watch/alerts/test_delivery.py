"""Alerts to real receivers: an SMTP server, a webhook, a service of apprise."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from observation_samples import NOW
from standardwebhooks import Webhook
from stub_server import Stub, stubbed

from delever.config import ConfigError
from delever.watch.alerts.alert_rules import Alert
from delever.watch.alerts.delivery import deliver, sample_alert, senders
from delever.watch.settings import WatchSettings, parse
from delever.watch.store import WatchStore

SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ALERT = Alert(
    rule="front",
    subject="bybit BTCUSDT long",
    text="bybit BTCUSDT: indicator 5 of the long (venue: 5)",
    at_ms=NOW,
    kind="raised",
    channels=(),
)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stubbed() as served:
        served.set_answer("/hook", {})
        yield served


class Mail(Controller):
    """An SMTP server on a port that the system chooses."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        super()._trigger_server()


class Inbox:
    """The messages that an SMTP server has received."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.messages.append(envelope.content.decode())
        return "250 OK"


def to(*channels: dict[str, Any], **more: Any) -> WatchSettings:
    return parse({"channels": list(channels), **more})


def send(settings: WatchSettings, store: WatchStore, at_ms: int = NOW, alert: Alert = ALERT) -> int:
    names = [channel.name for channel in settings.channels]
    store.save_alerts({}, [alert], names, at_ms)
    return retry(settings, store, at_ms)


def retry(settings: WatchSettings, store: WatchStore, at_ms: int) -> int:
    return asyncio.run(deliver(store, senders(settings, lambda: at_ms), lambda: at_ms))


def test_mail_is_delivered(store: WatchStore) -> None:
    inbox = Inbox()
    server = Mail(inbox, hostname="127.0.0.1", port=0)
    server.start()
    try:
        mail = {"host": "127.0.0.1", "port": server.port, "sender": "adl@x.org", "start_tls": False}
        settings = to({"name": "post", "mail": "ann@x.org"}, mail=mail)
        assert send(settings, store) == 1
    finally:
        server.stop()
    (message,) = inbox.messages
    assert "Subject: [delever] bybit BTCUSDT: indicator 5 of the long (venue: 5)" in message
    assert "To: ann@x.org" in message
    assert f"Message-ID: <delever-{NOW}-1@delever.invalid>" in message
    assert "Rule front (raised), 2026-11-27" in message


def test_a_webhook_is_delivered_and_signed(
    store: WatchStore, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", f"{stub.url}/hook")
    monkeypatch.setenv("SIGNING", SIGNING)
    channel = {"name": "hook", "webhook_env": "HOOK", "webhook_secret_env": "SIGNING"}
    import time  # noqa: PLC0415 - the library checks the signature's time by the real clock

    now = time.time_ns() // 1_000_000
    assert send(to(channel), store, now) == 1
    (content,), (headers,) = stub.bodies, stub.sent
    assert (content["type"], content["data"]["text"]) == ("delever.watch.alert", ALERT.text)
    Webhook(SIGNING).verify(stub.raw[-1], headers)  # raises if it is not signed with the secret


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # a plug-in's
def test_chat_is_delivered_by_apprise(
    store: WatchStore, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT", stub.url.replace("http", "json", 1) + "/hook")
    assert send(to({"name": "chat", "apprise_env": "CHAT"}), store) == 1
    assert "indicator 5 of the long" in stub.bodies[0]["message"]
    monkeypatch.setenv("CHAT", "nosuchservice://x")
    assert send(to({"name": "chat", "apprise_env": "CHAT"}), store) == 0
    assert store.deliveries(1)[0].error == "apprise does not know this kind of URL"


def test_a_failed_delivery_is_retried_with_backoff_and_fails_after_a_day(
    store: WatchStore, stub: Stub
) -> None:
    settings = to({"name": "hook", "webhook": f"{stub.url}/hook"})
    stub.set_answer("/hook", {}, 503)
    assert send(settings, store) == 0
    (row,) = store.deliveries(5)
    assert (row.state, row.attempts, row.error) == ("waiting", 1, "HTTP 503: {}")
    assert row.next_try_ms == NOW + 5_000
    assert retry(settings, store, NOW + 4_999) == 0
    assert store.deliveries(1)[0].attempts == 1  # not before it is due
    retry(settings, store, NOW + 5_000)
    assert store.deliveries(1)[0].next_try_ms == NOW + 15_000
    stub.set_answer("/hook", {})
    assert retry(settings, store, NOW + 15_000) == 1
    (row,) = store.deliveries(5)
    assert (row.state, row.attempts, row.error, store.waiting()) == ("sent", 3, "", 0)
    assert (
        len({headers["webhook-id"] for headers in stub.sent}) == 1
    )  # every attempt has the same id
    stub.set_answer("/hook", {}, 500)
    send(settings, store, NOW)
    waits_ms = [5_000 << doubling for doubling in range(8)]
    waits_ms += [900_000] * ((24 * 3_600_000 - sum(waits_ms)) // 900_000)
    for due_ms in itertools.accumulate(waits_ms, initial=NOW):
        assert store.deliveries(1)[0].state == "waiting"
        retry(settings, store, due_ms)
    assert store.deliveries(1)[0].state == "failed"


def test_an_alert_is_delivered_to_the_channels_of_its_rule(store: WatchStore) -> None:
    store.save_alerts({}, [ALERT], ["a", "b"], NOW)
    one = Alert(rule="x", subject="", text="", at_ms=NOW, kind="raised", channels=("b",))
    store.save_alerts({}, [one], ["a", "b"], NOW)
    assert sorted((row.channel, row.alert.rule) for row in store.deliveries(9)) == [
        ("a", "front"),
        ("b", "front"),
        ("b", "x"),
    ]


def test_a_channel_without_its_secret_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAT", raising=False)
    with pytest.raises(ConfigError, match=r"channels \(chat\): environment variable 'CHAT'"):
        senders(to({"name": "chat", "apprise_env": "CHAT"}), lambda: NOW)


def test_the_sample_alert_is_marked_as_a_test() -> None:
    assert "this is a test" in sample_alert(NOW).text
