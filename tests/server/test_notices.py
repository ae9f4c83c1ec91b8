"""Notices to real receivers: what they say, when they are tried again, and that each comes once."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import standardwebhooks
from posting import (
    SECRET,
    Clock,
    Desk,
    config,
    crash,
    desk,
    free_port,
    hook_sink,
    mail_sink,
    numbers,
)

from delever.config import Config, ConfigError, NoticesConfig, parse
from delever.core.messages import CancelAdl
from delever.server.app import wall_clock_ms
from delever.server.engine.service import NOW
from delever.server.notifications.delivery_worker import wait_ms
from delever.server.notifications.outbox import State

START_MS = 1_700_000_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock(START_MS)


def at_desk(
    settings: Config, clock: Callable[[], int], folder: Path, use: Callable[[Desk], Awaitable[None]]
) -> None:
    async def go() -> None:
        async with desk(settings, clock, folder) as opened:
            await use(opened)

    asyncio.run(go())


async def play(opened: Desk) -> None:
    await opened.runner.submit(crash())
    await opened.notifier.fill()


def test_a_mail_says_what_was_closed_and_why(tmp_path: Path, clock: Clock) -> None:
    with mail_sink() as sink:
        people = [{"account": name, "mail": f"{name}@mail.test"} for name in ("bob", "cyd")]
        settings = config(tmp_path, people, mail_port=sink.port)

        async def use(opened: Desk) -> None:
            await play(opened)
            assert not sink.mails
            await opened.notifier.deliver()
            assert await opened.notifier.deliver() == []

        at_desk(settings, clock, tmp_path, use)
    assert sink.connections == 1
    (mail,) = sink.to("bob@mail.test")
    assert mail["Subject"] == "50 of your BTCUSDT short position were closed by ADL"
    assert mail["From"] == "adl@venue.test"
    assert mail["Date"].datetime.timestamp() == START_MS / 1_000
    assert mail["Message-ID"].endswith("@venue.test>")
    assert mail["Message-ID"] != sink.to("cyd@mail.test")[0]["Message-ID"]
    text = mail.get_body(["plain"]).get_content()
    for said in (
        "Fill 2: 50 BTCUSDT short closed at 56500.",
        "ADL by contract drawdown was on, and the insurance pool had 100 taken over to close",
        "Why you: rank 2 of 3, highest score first; ahead: 30. Indicator 2 of 5.",
        "Score, by the rules of bybit: profit / entry value x leverage",
        "= 0.311111.",
        "Price: drawdown limit (limit -300000 USDT",
        "Realized: 3000000 at entry - 2825000 at the price = 175000 USDT. Fee: 0 USDT.",
        "Open orders to be cancelled: bob-17.",
    ):
        assert said in text
    assert "cyd" not in text
    assert "ann" not in text
    page = mail.get_body(["html"]).get_content()
    assert "<li>Fill 2: 50 BTCUSDT short closed at 56500.</li>" in page


def test_a_webhook_is_signed_and_tried_again_until_it_arrives(tmp_path: Path) -> None:
    """503, 503, 200: the same id and body each time, at 1 s and 2 s; the signature is verified."""
    clock = Clock(wall_clock_ms())  # the verifier refuses times that are not now
    with hook_sink(503, 503) as sink:
        settings = config(tmp_path, [{"account": "bob", "webhook": sink.url}])

        async def use(opened: Desk) -> None:
            await play(opened)
            for turn, wait in enumerate((0, 999, 1, 1_999, 1, 60_000), start=1):
                clock.ms += wait
                await opened.notifier.deliver()
                assert len(sink.posts) == (1, 1, 2, 2, 3, 3)[turn - 1]
                (kept,) = await opened.notifier.deliveries_of("bob", 10)
                assert kept.attempts == len(sink.posts)
                if kept.attempts < 3:
                    assert kept.state is State.WAITING
                    assert kept.last_error == "HTTP 503: said the receiver"
                    assert kept.next_try_ms > clock.ms - wait
            assert kept.state is State.SENT
            assert kept.last_error == ""
            assert kept.next_try_ms == 0
            assert kept.ended_ms == clock.ms - 60_000
            assert kept.address == sink.url.partition("/hook")[0]

        at_desk(settings, clock, tmp_path, use)
    assert len(set(sink.ids)) == 1
    assert len({body for _, body in sink.posts}) == 1
    headers, body = sink.posts[-1]
    said = standardwebhooks.Webhook(SECRET).verify(body, headers)
    assert said["type"] == "position_deleveraged"
    assert said["data"]["numbers"]["fills"][0]["price"] == "56500"
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(body + b" ", headers)


def test_operators_hear_of_near_start_stop_and_every_account_may_go_to_one_place(
    tmp_path: Path, clock: Clock
) -> None:
    with hook_sink() as sink:
        whom = [
            {"account": "", "webhook": sink.url},
            {"account": "*", "webhook": sink.url + "/all"},
        ]
        settings = config(tmp_path, whom)

        async def use(opened: Desk) -> None:
            await play(opened)
            await opened.notifier.deliver()

        at_desk(settings, clock, tmp_path, use)
    told = sorted((each["kind"], each["account"]) for each in (numbers(b) for _, b in sink.posts))
    assert told == [
        ("adl_warning", ""),
        ("adl_started", ""),
        ("adl_stopped", ""),
        ("position_deleveraged", "bob"),
        ("position_deleveraged", "cyd"),
        ("position_deleveraged", "dan"),
    ]
    near = next(each for _, b in sink.posts if (each := numbers(b))["kind"] == "adl_warning")
    assert near["title"] == "ADL is near in BTCUSDT: contract drawdown is 80 % of the way"
    assert "Pnl ratio: -24 %." in near["lines"]
    assert len(set(sink.ids)) == 6


def test_a_fill_that_is_taken_back_is_told_too(tmp_path: Path, clock: Clock) -> None:
    with hook_sink() as sink:
        settings = config(tmp_path, [{"account": "dan", "webhook": sink.url}])

        async def use(opened: Desk) -> None:
            await opened.runner.submit(crash()[:-1])
            await opened.runner.submit([CancelAdl(time_ms=NOW, fill=3, note="not applied")])
            await opened.notifier.fill()
            await opened.notifier.deliver()

        at_desk(settings, clock, tmp_path, use)
    back = next(each for _, b in sink.posts if (each := numbers(b))["kind"] == "fill_cancelled")
    assert back["account"] == "dan"
    assert back["title"] == "ADL fill 3 was taken back: 20 BTCUSDT short is open again"
    assert back["lines"][1] == "It was taken back to the last unit: not applied."


def test_a_template_that_fails_is_an_error_of_the_delivery(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "notice.txt").write_text("Subject: {{ nothing.here }}\n\n")
    with mail_sink() as sink:
        person = {"account": "bob", "mail": "bob@mail.test"}
        settings = config(tmp_path, [person], mail_port=sink.port, templates=str(tmp_path))

        async def use(opened: Desk) -> None:
            await play(opened)
            await opened.notifier.deliver()
            (kept,) = await opened.notifier.deliveries_of("bob", 10)
            assert kept.state is State.WAITING
            assert "notice.txt: UndefinedError: 'nothing' is undefined" in kept.last_error

        at_desk(settings, clock, tmp_path, use)


def test_what_cannot_arrive_is_given_up_and_says_why(tmp_path: Path, clock: Clock) -> None:
    """No SMTP server at all: tried until the time is up. A rejected recipient: once."""
    settings = config(
        tmp_path,
        [{"account": "bob", "mail": "bob@mail.test"}],
        mail_port=free_port(),
        give_up_after_ms=10_000,
    )

    async def use(opened: Desk) -> None:
        await play(opened)
        waits = []
        while True:
            await opened.notifier.deliver()
            (kept,) = await opened.notifier.deliveries_of("bob", 10)
            if kept.state is not State.WAITING:
                break
            waits.append(kept.next_try_ms - clock.ms)
            clock.ms = kept.next_try_ms
        assert waits == [1_000, 2_000, 4_000]
        assert kept.state is State.FAILED
        assert kept.attempts == 4
        assert kept.last_error.startswith("given up: SMTPConnectError")
        assert kept.ended_ms == clock.ms

    at_desk(settings, clock, tmp_path, use)


def test_the_delivery_log_is_kept_for_as_long_as_configured(tmp_path: Path, clock: Clock) -> None:
    async def use(opened: Desk) -> None:
        await play(opened)
        await opened.notifier.deliver()
        left = []
        for later_ms in (1_000, 1):
            clock.ms += later_ms
            await opened.notifier.forget()
            left.append(len(await opened.notifier.deliveries_of("bob", 9)))
        assert left == [1, 0]

    with hook_sink() as hook:
        settings = config(tmp_path, [{"account": "bob", "webhook": hook.url}], retention_ms=1_000)
        at_desk(settings, clock, tmp_path, use)


@pytest.mark.parametrize(
    ("reply", "state"), [("550 no such mailbox", State.FAILED), ("451 later please", State.WAITING)]
)
def test_a_refused_mailbox_is_tried_again_only_where_that_is_of_use(
    tmp_path: Path, clock: Clock, reply: str, state: State
) -> None:
    with mail_sink() as sink:
        sink.refuse = reply
        settings = config(
            tmp_path, [{"account": "bob", "mail": "bob@mail.test"}], mail_port=sink.port
        )

        async def use(opened: Desk) -> None:
            await play(opened)
            await opened.notifier.deliver()
            (kept,) = await opened.notifier.deliveries_of("bob", 10)
            assert kept.state is state
            assert reply.partition(" ")[2] in kept.last_error

        at_desk(settings, clock, tmp_path, use)
    assert not sink.mails


def test_mail_stays_here_where_the_server_offers_no_starttls(tmp_path: Path, clock: Clock) -> None:
    with mail_sink() as sink:
        mail = {"host": "127.0.0.1", "port": sink.port}
        settings = config(tmp_path, [{"account": "bob", "mail": "b@mail.test"}], mail=mail)

        async def use(opened: Desk) -> None:
            await play(opened)
            await opened.notifier.deliver()
            (kept,) = await opened.notifier.deliveries_of("bob", 10)
            assert kept.state is State.WAITING
            assert "STARTTLS" in kept.last_error.upper()

        at_desk(settings, clock, tmp_path, use)
    assert not sink.mails


def test_a_gone_webhook_is_given_up_and_others_go_on(tmp_path: Path, clock: Clock) -> None:
    with hook_sink(410) as gone, hook_sink() as other:
        whom = [{"account": "bob", "webhook": gone.url}, {"account": "cyd", "webhook": other.url}]
        settings = config(tmp_path, whom)

        async def use(opened: Desk) -> None:
            await play(opened)
            await opened.notifier.deliver()
            (bob,) = await opened.notifier.deliveries_of("bob", 10)
            (cyd,) = await opened.notifier.deliveries_of("cyd", 10)
            assert (bob.state, cyd.state) == (State.FAILED, State.SENT)
            assert await opened.notifier.deliveries_of("dan", 10) == []

        at_desk(settings, clock, tmp_path, use)


def test_templates_of_ones_own_replace_the_built_in_ones(tmp_path: Path, clock: Clock) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "position_deleveraged.txt").write_text(
        "Subject: {{ account }}: {{ numbers.closed }} geschlossen\n\n{{ lines[0] }}\n"
    )
    (folder / "notice.html").write_text("<p>{{ title }} <{{ account }}></p>")
    with mail_sink() as sink:
        settings = config(
            tmp_path,
            [{"account": "bob", "mail": "bob@mail.test"}],
            mail_port=sink.port,
            templates=str(folder),
        )

        async def use(opened: Desk) -> None:
            await play(opened)
            await opened.notifier.deliver()

        at_desk(settings, clock, tmp_path, use)
        (mail,) = sink.mails
        assert mail["Subject"] == "bob: 50 geschlossen"
        text = mail.get_body(["plain"]).get_content()
        assert text.splitlines() == ["Fill 2: 50 BTCUSDT short closed at 56500."]
        assert "<p>50 of your" in mail.get_body(["html"]).get_content()
        (folder / "notice.txt").write_text("{% if %}")
        with pytest.raises(ConfigError, match=r"notice\.txt"):
            at_desk(settings, clock, tmp_path, use)


def test_waits_double_up_to_the_longest() -> None:
    notices = NoticesConfig(retry_initial_ms=1_000, retry_max_ms=60_000)
    waits = [wait_ms(attempts, notices) for attempts in (1, 2, 3, 6, 7, 8, 10_000)]
    assert waits == [1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000]


WRONG = [
    ({"account": "bob"}, "needs mail, webhook or both"),
    ({"account": "bob", "mail": "bob@mail.test"}, r"notices\.mail\.host is empty"),
    (
        {"account": "bob", "webhook": "ftp://x", "webhook_secret_env": "X"},
        r"is not an http\(s\) URL",
    ),
    ({"account": "bob", "webhook": "https://x"}, "a webhook needs a secret"),
]


@pytest.mark.parametrize(("recipient", "why"), WRONG)
def test_recipients_that_cannot_be_reached_are_refused(recipient: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=rf"notices\.recipients\[0\].*{why}"):
        parse({"notices": {"recipients": [recipient]}})


@pytest.mark.parametrize("address", ["bob", "a@b, c@d", "<a@b>", "a b@c", "@b"])
def test_what_is_no_mail_address_is_refused(address: str) -> None:
    raw = {"mail": {"host": "there"}, "recipients": [{"account": "bob", "mail": address}]}
    with pytest.raises(ConfigError, match="is not a mail address"):
        parse({"notices": raw})
