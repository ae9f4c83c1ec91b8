"""A server killed between a durable fill and its notice tells everybody after a restart.

Run as a program, this file is the process that gets killed.
"""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from posting import Clock, config, crash, desk, hook_sink, mail_sink, numbers

from delever.config import Config
from delever.core.messages import AdlFilled
from delever.journal import SqliteJournal
from delever.journal.record import decode_events
from delever.server.app import wall_clock_ms
from delever.server.notifications.delivery_worker import HOLD_MS
from delever.server.notifications.outbox import State

PEOPLE = ("bob", "cyd", "dan")


def settings(folder: Path, url: str, mail_port: int) -> Config:
    people = [{"account": each, "webhook": url, "mail": f"{each}@mail.test"} for each in PEOPLE]
    return config(folder, people, mail_port=mail_port)


def serve_until_killed(folder: Path, url: str, mail_port: int, moment: str) -> None:
    """Play the crash; stop for good right after the fills are durable, or send on."""

    async def go() -> None:
        async with desk(
            settings(folder, url, mail_port), wall_clock_ms, folder, working=True
        ) as opened:
            if moment == "durable":
                opened.runner.listeners.insert(0, lambda _: signal.raise_signal(signal.SIGKILL))
            await opened.runner.submit(crash())
            await asyncio.sleep(60)

    asyncio.run(go())


def killed(folder: Path, url: str, mail_port: int, moment: str) -> "subprocess.Popen[bytes]":
    arguments = [str(folder), url, str(mail_port), moment]
    return subprocess.Popen([sys.executable, __file__, *arguments])


def fills(folder: Path) -> set[str]:
    with SqliteJournal(folder / "j.db", readonly=True) as journal:
        events = [event for record in journal.records() for event in decode_events(record.events)]
    return {event.account for event in events if isinstance(event, AdlFilled)}


def restarted(folder: Path, url: str, mail_port: int, clock: Callable[[], int]) -> None:
    """Serve again until nothing waits any more."""

    async def go() -> None:
        async with desk(settings(folder, url, mail_port), clock, folder, working=True) as opened:
            states: list[State] = []
            while states != [State.SENT] * 2 * len(PEOPLE):
                await asyncio.sleep(0.02)
                logs = [await opened.notifier.deliveries_of(each, 9) for each in PEOPLE]
                states = [each.state for log in logs for each in log]

    asyncio.run(asyncio.wait_for(go(), 20))


def test_killed_when_the_fills_were_durable_and_nothing_else(tmp_path: Path) -> None:
    with hook_sink() as hook, mail_sink() as mail:
        process = killed(tmp_path, hook.url, mail.port, "durable")
        assert process.wait(30) == -signal.SIGKILL
        assert fills(tmp_path) == set(PEOPLE)
        assert not hook.posts
        assert not mail.mails
        restarted(tmp_path, hook.url, mail.port, wall_clock_ms)
        restarted(tmp_path, hook.url, mail.port, wall_clock_ms)
    assert sorted(numbers(body)["account"] for _, body in hook.posts) == list(PEOPLE)
    assert sorted(each["To"] for each in mail.mails) == [f"{each}@mail.test" for each in PEOPLE]


def test_killed_while_sending_sends_again_under_the_same_id(tmp_path: Path) -> None:
    """The receiver has the first request when the sender dies: the id says that it is a second."""
    with hook_sink() as hook, mail_sink() as mail:
        running: list[subprocess.Popen[bytes]] = []

        def kill() -> None:
            hook.on_post = lambda: None
            running[0].kill()
            running[0].wait()

        hook.on_post = kill
        running.append(killed(tmp_path, hook.url, mail.port, "sending"))
        assert running[0].wait(30) == -signal.SIGKILL
        before = len(hook.posts)
        assert before >= 1
        clock = Clock(wall_clock_ms() + HOLD_MS)  # what the dead process held is free again
        restarted(tmp_path, hook.url, mail.port, clock)
    times = Counter(hook.ids)
    assert len(times) == len(PEOPLE)
    assert times[hook.ids[0]] == 2
    assert len({body for headers, body in hook.posts if headers["webhook-id"] == hook.ids[0]}) == 1
    assert len({each["Message-ID"] for each in mail.mails}) == len(PEOPLE)


if __name__ == "__main__":
    serve_until_killed(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
