"""Notices to real receivers: their text, their retries, and that each is delivered once."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import standardwebhooks
from mail_servers import (
    SECRET,
    RunningNotifier,
    crash_commands,
    free_port,
    mail_server,
    notices_config,
    running_notifier,
    webhook_data,
    webhook_server,
)
from manual_clock import ManualClock

from delever.config import Config, ConfigError, parse
from delever.core.messages import CancelAdl, SetTime
from delever.server.app import wall_clock_ms
from delever.server.engine.runner import NOW
from delever.server.notifications.delivery_worker import RetryPolicy
from delever.server.notifications.outbox import DeliveryState

START_MS = 1_700_000_000_000
DAY_MS = 24 * 3_600_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START_MS)


def with_notifier(
    settings: Config,
    clock: Callable[[], int],
    folder: Path,
    use: Callable[[RunningNotifier], Awaitable[None]],
) -> None:
    async def go() -> None:
        async with running_notifier(settings, clock, folder) as opened:
            await use(opened)

    asyncio.run(go())


async def play(opened: RunningNotifier) -> None:
    await opened.runner.submit(crash_commands())
    await opened.notifier.fill()


def test_a_mail_explains_the_fill(tmp_path: Path, clock: ManualClock) -> None:
    with mail_server() as sink:
        people = [{"account": name, "mail": f"{name}@mail.test"} for name in ("bob", "cyd")]
        settings = notices_config(tmp_path, people, mail_port=sink.port)

        async def use(opened: RunningNotifier) -> None:
            await play(opened)
            assert not sink.mails
            await opened.notifier.deliver()
            assert await opened.notifier.deliver() == []

        with_notifier(settings, clock, tmp_path, use)
    assert sink.connections == 1
    (mail,) = sink.to("bob@mail.test")
    assert mail["Subject"] == "ADL closed 50 of your BTCUSDT short position"
    assert mail["From"] == "adl@venue.test"
    assert mail["Date"].datetime.timestamp() == START_MS / 1_000
    assert mail["Message-ID"].endswith("@venue.test>")
    assert mail["Message-ID"] != sink.to("cyd@mail.test")[0]["Message-ID"]
    text = mail.get_body(["plain"]).get_content()
    for said in (
        "Fill 2: 50 BTCUSDT short closed at 56500.",
        "ADL by contract drawdown was on, and the insurance fund had an inventory of 100 to close",
        "Why you: rank 2 of 3, highest score first; quantity ahead: 30. ADL indicator 2 of 5.",
        "Score, by the rules of bybit: PnL / entry value x leverage",
        "= 0.311111.",
        "Price: 56500, by drawdown limit (limit -300000 USDT",
        "Realized PnL: 3000000 at entry - 2825000 at the price = 175000 USDT. Fee: 0 USDT.",
        "Open orders to cancel: bob-17.",
    ):
        assert said in text
    assert "cyd" not in text
    assert "ann" not in text
    page = mail.get_body(["html"]).get_content()
    assert "<li>Fill 2: 50 BTCUSDT short closed at 56500.</li>" in page


def test_a_webhook_is_signed_and_retried_until_it_succeeds(tmp_path: Path) -> None:
    """503, 503, 200: the same id and body each time, at 1 s and 2 s; the signature is verified."""
    clock = ManualClock(wall_clock_ms())  # the verifier rejects old times
    with webhook_server(503, 503) as sink:
        settings = notices_config(tmp_path, [{"account": "bob", "webhook": sink.url}])

        async def use(opened: RunningNotifier) -> None:
            await play(opened)
            for turn, wait in enumerate((0, 999, 1, 1_999, 1, 60_000), start=1):
                clock.ms += wait
                await opened.notifier.deliver()
                assert len(sink.posts) == (1, 1, 2, 2, 3, 3)[turn - 1]
                (delivery,) = await opened.notifier.deliveries_of("bob", 10)
                assert delivery.attempts == len(sink.posts)
                if delivery.attempts < 3:
                    assert delivery.state is DeliveryState.WAITING
                    assert delivery.last_error == "HTTP 503: said the receiver"
                    assert delivery.next_try_ms > clock.ms - wait
            assert delivery.state is DeliveryState.SENT
            assert delivery.last_error == ""
            assert delivery.next_try_ms == 0
            assert delivery.ended_ms == clock.ms - 60_000
            assert delivery.address == sink.url.partition("/hook")[0]

        with_notifier(settings, clock, tmp_path, use)
    assert len(set(sink.ids)) == 1
    assert len({body for _, body in sink.posts}) == 1
    headers, body = sink.posts[-1]
    said = standardwebhooks.Webhook(SECRET).verify(body, headers)
    assert said["type"] == "position_deleveraged"
    assert said["data"]["numbers"]["fills"][0]["price"] == "56500"
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(body + b" ", headers)


def test_operator_notices_and_notices_of_every_account_are_delivered(
    tmp_path: Path, clock: ManualClock
) -> None:
    with webhook_server() as sink:
        whom = [
            {"account": "", "webhook": sink.url},
            {"account": "*", "webhook": sink.url + "/all"},
        ]
        settings = notices_config(tmp_path, whom)

        async def use(opened: RunningNotifier) -> None:
            await play(opened)
            await opened.notifier.deliver()

        with_notifier(settings, clock, tmp_path, use)
    kinds = sorted(
        (each["kind"], each["account"]) for each in (webhook_data(b) for _, b in sink.posts)
    )
    assert kinds == [
        ("adl_started", ""),
        ("adl_stopped", ""),
        ("adl_warning", ""),
        ("position_deleveraged", "bob"),
        ("position_deleveraged", "cyd"),
        ("position_deleveraged", "dan"),
    ]
    notices = [webhook_data(body) for _, body in sink.posts]
    warning = next(notice for notice in notices if notice["kind"] == "adl_warning")
    assert (
        warning["title"]
        == "ADL warning in BTCUSDT: contract drawdown has used 80 % of its threshold"
    )
    assert "Pnl ratio: -24 %." in warning["lines"]
    assert len(set(sink.ids)) == 6


def test_a_cancelled_fill_is_notified(tmp_path: Path, clock: ManualClock) -> None:
    with webhook_server() as sink:
        settings = notices_config(tmp_path, [{"account": "dan", "webhook": sink.url}])

        async def use(opened: RunningNotifier) -> None:
            await opened.runner.submit(crash_commands()[:-1])
            await opened.runner.submit([CancelAdl(time_ms=NOW, fill=3, note="not applied")])
            await opened.notifier.fill()
            await opened.notifier.deliver()

        with_notifier(settings, clock, tmp_path, use)
    back = next(
        each for _, b in sink.posts if (each := webhook_data(b))["kind"] == "fill_cancelled"
    )
    assert back["account"] == "dan"
    assert back["title"] == "ADL fill 3 was cancelled: 20 BTCUSDT short is open again"
    assert back["lines"][1] == "It was cancelled in full: not applied."


def test_an_error_in_a_template_is_recorded_in_the_delivery_log(
    tmp_path: Path, clock: ManualClock
) -> None:
    (tmp_path / "notice.txt").write_text("Subject: {{ nothing.here }}\n\n")
    with mail_server() as sink:
        person = {"account": "bob", "mail": "bob@mail.test"}
        settings = notices_config(tmp_path, [person], mail_port=sink.port, templates=str(tmp_path))

        async def use(opened: RunningNotifier) -> None:
            await play(opened)
            await opened.notifier.deliver()
            (delivery,) = await opened.notifier.deliveries_of("bob", 10)
            assert delivery.state is DeliveryState.WAITING
            assert "notice.txt: UndefinedError: 'nothing' is undefined" in delivery.last_error

        with_notifier(settings, clock, tmp_path, use)


def test_a_delivery_without_a_server_is_given_up_after_the_timeout(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Without an SMTP server the delivery is retried until it expires."""
    settings = notices_config(
        tmp_path,
        [{"account": "bob", "mail": "bob@mail.test"}],
        mail_port=free_port(),
        give_up_after_ms=10_000,
    )

    async def use(opened: RunningNotifier) -> None:
        await play(opened)
        waits = []
        while True:
            await opened.notifier.deliver()
            (delivery,) = await opened.notifier.deliveries_of("bob", 10)
            if delivery.state is not DeliveryState.WAITING:
                break
            waits.append(delivery.next_try_ms - clock.ms)
            clock.ms = delivery.next_try_ms
        assert waits == [1_000, 2_000, 4_000]
        assert delivery.state is DeliveryState.FAILED
        assert delivery.attempts == 4
        assert delivery.last_error.startswith("given up: SMTPConnectError")
        assert delivery.ended_ms == clock.ms

    with_notifier(settings, clock, tmp_path, use)


def test_a_clock_that_jumps_gives_up_no_delivery(tmp_path: Path, clock: ManualClock) -> None:
    """A year ahead at each attempt: the delivery ends after as many attempts as without."""
    settings = notices_config(
        tmp_path,
        [{"account": "bob", "mail": "bob@mail.test"}],
        mail_port=free_port(),
        give_up_after_ms=10_000,
    )

    async def use(opened: RunningNotifier) -> None:
        await play(opened)
        states = []
        for _ in range(4):
            clock.ms += 365 * DAY_MS
            await opened.notifier.deliver()
            (delivery,) = await opened.notifier.deliveries_of("bob", 10)
            states.append((delivery.attempts, delivery.state))
        waiting = [(attempts, DeliveryState.WAITING) for attempts in (1, 2, 3)]
        assert states == [*waiting, (4, DeliveryState.FAILED)]

    with_notifier(settings, clock, tmp_path, use)


def test_old_deliveries_are_deleted_after_the_retention_time(
    tmp_path: Path, clock: ManualClock
) -> None:
    async def use(opened: RunningNotifier) -> None:
        await play(opened)
        await opened.notifier.deliver()
        clock.ms += 365 * DAY_MS  # a jump that nobody has confirmed
        await opened.notifier.delete_old()
        assert len(await opened.notifier.deliveries_of("bob", 9)) == 1
        clock.ms -= 365 * DAY_MS
        left = []
        for later_ms in (1_000, 1):
            clock.ms += later_ms
            await opened.runner.submit([SetTime(time_ms=clock.ms, confirmed=True, note="day")])
            await opened.notifier.delete_old()
            left.append(len(await opened.notifier.deliveries_of("bob", 9)))
        assert left == [1, 0]

    with webhook_server() as hook:
        settings = notices_config(
            tmp_path, [{"account": "bob", "webhook": hook.url}], retention_ms=1_000
        )
        with_notifier(settings, clock, tmp_path, use)


@pytest.mark.parametrize(
    ("reply", "state"),
    [("550 no such mailbox", DeliveryState.FAILED), ("451 later please", DeliveryState.WAITING)],
)
def test_a_refused_mailbox_is_retried_only_after_a_temporary_error(
    tmp_path: Path, clock: ManualClock, reply: str, state: DeliveryState
) -> None:
    with mail_server() as sink:
        sink.refuse = reply
        settings = notices_config(
            tmp_path, [{"account": "bob", "mail": "bob@mail.test"}], mail_port=sink.port
        )

        async def use(opened: RunningNotifier) -> None:
            await play(opened)
            await opened.notifier.deliver()
            (delivery,) = await opened.notifier.deliveries_of("bob", 10)
            assert delivery.state is state
            assert reply.partition(" ")[2] in delivery.last_error

        with_notifier(settings, clock, tmp_path, use)
    assert not sink.mails


def test_mail_is_not_sent_without_starttls(tmp_path: Path, clock: ManualClock) -> None:
    with mail_server() as sink:
        mail = {"host": "127.0.0.1", "port": sink.port}
        settings = notices_config(tmp_path, [{"account": "bob", "mail": "b@mail.test"}], mail=mail)

        async def use(opened: RunningNotifier) -> None:
            await play(opened)
            await opened.notifier.deliver()
            (delivery,) = await opened.notifier.deliveries_of("bob", 10)
            assert delivery.state is DeliveryState.WAITING
            assert "STARTTLS" in delivery.last_error.upper()

        with_notifier(settings, clock, tmp_path, use)
    assert not sink.mails


def test_a_gone_webhook_is_given_up_at_once(tmp_path: Path, clock: ManualClock) -> None:
    with webhook_server(410) as gone, webhook_server() as other:
        whom = [{"account": "bob", "webhook": gone.url}, {"account": "cyd", "webhook": other.url}]
        settings = notices_config(tmp_path, whom)

        async def use(opened: RunningNotifier) -> None:
            await play(opened)
            await opened.notifier.deliver()
            (bob,) = await opened.notifier.deliveries_of("bob", 10)
            (cyd,) = await opened.notifier.deliveries_of("cyd", 10)
            assert (bob.state, cyd.state) == (DeliveryState.FAILED, DeliveryState.SENT)
            assert await opened.notifier.deliveries_of("dan", 10) == []

        with_notifier(settings, clock, tmp_path, use)


def test_custom_templates_replace_the_built_in_ones(tmp_path: Path, clock: ManualClock) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "position_deleveraged.txt").write_text(
        "Subject: {{ account }}: {{ numbers.quantity }} geschlossen\n\n{{ lines[0] }}\n"
    )
    (folder / "notice.html").write_text("<p>{{ title }} <{{ account }}></p>")
    with mail_server() as sink:
        settings = notices_config(
            tmp_path,
            [{"account": "bob", "mail": "bob@mail.test"}],
            mail_port=sink.port,
            templates=str(folder),
        )

        async def use(opened: RunningNotifier) -> None:
            await play(opened)
            await opened.notifier.deliver()

        with_notifier(settings, clock, tmp_path, use)
        (mail,) = sink.mails
        assert mail["Subject"] == "bob: 50 geschlossen"
        text = mail.get_body(["plain"]).get_content()
        assert text.splitlines() == ["Fill 2: 50 BTCUSDT short closed at 56500."]
        assert "<p>ADL closed 50 of your" in mail.get_body(["html"]).get_content()
        (folder / "notice.txt").write_text("{% if %}")
        with pytest.raises(ConfigError, match=r"notice\.txt"):
            with_notifier(settings, clock, tmp_path, use)


def test_retry_waits_double_up_to_the_maximum() -> None:
    retry = RetryPolicy(initial_ms=1_000, max_ms=60_000, give_up_after_ms=0)
    waits = [retry.wait_ms(attempts) for attempts in (1, 2, 3, 6, 7, 8, 10_000)]
    assert waits == [1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000]


INVALID_RECIPIENTS = [
    ({"account": "bob"}, "needs mail, webhook or both"),
    ({"account": "bob", "mail": "bob@mail.test"}, r"notices\.mail\.host is empty"),
    (
        {"account": "bob", "webhook": "ftp://x", "webhook_secret_env": "X"},
        r"is not an http\(s\) URL",
    ),
    ({"account": "bob", "webhook": "https://x"}, "a webhook needs a secret"),
]


@pytest.mark.parametrize(("recipient", "why"), INVALID_RECIPIENTS)
def test_a_recipient_without_a_channel_is_a_config_error(
    recipient: dict[str, str], why: str
) -> None:
    with pytest.raises(ConfigError, match=rf"notices\.recipients\[0\].*{why}"):
        parse({"notices": {"recipients": [recipient]}})


@pytest.mark.parametrize("address", ["bob", "a@b, c@d", "<a@b>", "a b@c", "@b"])
def test_an_invalid_mail_address_is_a_config_error(address: str) -> None:
    raw = {"mail": {"host": "there"}, "recipients": [{"account": "bob", "mail": address}]}
    with pytest.raises(ConfigError, match="is not a mail address"):
        parse({"notices": raw})
