"""A server killed between a durable fill and its notice sends the notice after a restart.

Run as a program, this file is the process that is killed.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mail_servers import (
    crash_commands,
    mail_server,
    notices_config,
    running_notifier,
    webhook_data,
    webhook_server,
)
from manual_clock import ManualClock

from delever.config import Config
from delever.core.messages import AdlFilled
from delever.journal import SqliteJournal
from delever.journal.record import decode_events
from delever.server.app import wall_clock_ms
from delever.server.notifications.delivery_worker import CLAIM_MS
from delever.server.notifications.outbox import DeliveryState
from waiting import PATIENCE_S

PEOPLE = ("bob", "cyd", "dan")


def settings(folder: Path, url: str, mail_port: int) -> Config:
    people = [{"account": each, "webhook": url, "mail": f"{each}@mail.test"} for each in PEOPLE]
    return notices_config(folder, people, mail_port=mail_port)


def serve_until_killed(folder: Path, url: str, mail_port: int, moment: str) -> None:
    """Submit the crash; be killed once the fills are durable, or go on sending."""

    async def go() -> None:
        async with running_notifier(
            settings(folder, url, mail_port), wall_clock_ms, folder, working=True
        ) as opened:
            if moment == "durable":
                opened.runner.listeners.append(lambda _: signal.raise_signal(signal.SIGKILL))
            await opened.runner.submit(crash_commands())
            await asyncio.sleep(PATIENCE_S)  # until it is killed

    asyncio.run(go())


def killed(folder: Path, url: str, mail_port: int, moment: str) -> "subprocess.Popen[bytes]":
    arguments = [str(folder), url, str(mail_port), moment]
    helpers = os.pathsep.join(map(str, Path(__file__).parents[1:3]))
    return subprocess.Popen(
        [sys.executable, __file__, *arguments], env=os.environ | {"PYTHONPATH": helpers}
    )


def fills(folder: Path) -> set[str]:
    with SqliteJournal(folder / "j.db", readonly=True) as journal:
        events = [event for record in journal.records() for event in decode_events(record.events)]
    return {event.account for event in events if isinstance(event, AdlFilled)}


def restarted(folder: Path, url: str, mail_port: int, clock: Callable[[], int]) -> None:
    """Restart, and run until everything is sent."""

    async def go() -> None:
        async with running_notifier(
            settings(folder, url, mail_port), clock, folder, working=True
        ) as opened:
            states: list[DeliveryState] = []
            while states != [DeliveryState.SENT] * 2 * len(PEOPLE):
                await asyncio.sleep(0.02)
                logs = [await opened.notifier.deliveries_of(each, 9) for each in PEOPLE]
                states = [each.state for log in logs for each in log]

    asyncio.run(asyncio.wait_for(go(), PATIENCE_S))


def test_a_server_killed_before_the_outbox_is_filled_notifies_after_a_restart(
    tmp_path: Path,
) -> None:
    with webhook_server() as hook, mail_server() as mail:
        process = killed(tmp_path, hook.url, mail.port, "durable")
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
        assert fills(tmp_path) == set(PEOPLE)
        assert not hook.posts
        assert not mail.mails
        restarted(tmp_path, hook.url, mail.port, wall_clock_ms)
        restarted(tmp_path, hook.url, mail.port, wall_clock_ms)
    assert sorted(webhook_data(body)["account"] for _, body in hook.posts) == list(PEOPLE)
    assert sorted(each["To"] for each in mail.mails) == [f"{each}@mail.test" for each in PEOPLE]


def test_a_server_killed_while_sending_sends_again_under_the_same_id(tmp_path: Path) -> None:
    """The receiver has the first request when the sender is killed; the second has the same id."""
    with webhook_server() as hook, mail_server() as mail:
        running: list[subprocess.Popen[bytes]] = []

        def kill() -> None:
            hook.on_post = lambda: None
            running[0].kill()
            running[0].wait(PATIENCE_S)

        hook.on_post = kill
        running.append(killed(tmp_path, hook.url, mail.port, "sending"))
        assert running[0].wait(PATIENCE_S) == -signal.SIGKILL
        before = len(hook.posts)
        assert before >= 1
        clock = ManualClock(wall_clock_ms() + CLAIM_MS)  # its claims have ended
        restarted(tmp_path, hook.url, mail.port, clock)
    times = Counter(hook.ids)
    assert len(times) == len(PEOPLE)
    assert times[hook.ids[0]] == 2
    assert len({body for headers, body in hook.posts if headers["webhook-id"] == hook.ids[0]}) == 1
    assert len({each["Message-ID"] for each in mail.mails}) == len(PEOPLE)


if __name__ == "__main__":
    serve_until_killed(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
