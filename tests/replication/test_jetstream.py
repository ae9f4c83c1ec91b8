"""The log on three real brokers: order, ids, holes, truncation, and settings refused at start."""

import asyncio
import contextlib
import json
import signal
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import TypeVar

import pytest

from brokers import Brokers
from delever.replication import LogEnds, LogError, LogGap, LogMessage, LogUnavailable
from delever.replication.jetstream import JetStreamLog, StreamAddress, parse_address
from delever.replication.stream_check import check_version, stream_problems, stream_settings
from table import Row, cases

T = TypeVar("T")


def using(address: str, use: Callable[[JetStreamLog], Awaitable[T]]) -> T:
    async def go() -> T:
        log = await JetStreamLog.open(parse_address(address))
        try:
            return await use(log)
        finally:
            await log.close()

    return asyncio.run(go())


async def read_up_to(log: JetStreamLog, last: int, after: int, limit: int) -> list[LogMessage]:
    """Return the messages that are read once the broker that answers has the last one."""
    while True:
        with contextlib.suppress(LogUnavailable):
            found = list(await log.read(after, limit))
            if found and found[-1].sequence >= last:
                return found


async def read_for_ever(log: JetStreamLog) -> None:
    while True:
        await log.read(0, 9)


def test_messages_are_read_in_the_order_in_which_they_were_acknowledged(brokers: Brokers) -> None:
    async def use(log: JetStreamLog) -> None:
        assert await log.ends() == LogEnds(1, 0)
        assert await log.read(0, 10) == []
        acknowledged = [await log.append(f"id{n}", b"%d" % n) for n in range(5)]
        assert acknowledged == [1, 2, 3, 4, 5]
        assert await log.append("id3", b"3") == 4
        found = await read_up_to(log, 4, after=1, limit=3)
        assert [tuple(each) for each in found] == [(2, b"1"), (3, b"2"), (4, b"3")]
        assert await log.read(5, 3) == []
        assert await log.ends() == LogEnds(1, 5)

    using(brokers.address("order"), use)


def test_a_truncated_log_begins_at_the_message_named(brokers: Brokers) -> None:
    async def use(log: JetStreamLog) -> None:
        for n in range(6):
            await log.append(f"id{n}", b"%d" % n)
        await log.truncate(4)
        assert await log.ends() == LogEnds(4, 6)
        found = await read_up_to(log, 6, after=3, limit=9)
        assert [each.sequence for each in found] == [4, 5, 6]
        with pytest.raises(LogGap) as raised:
            await read_for_ever(log)  # a broker that follows may not have deleted them yet
        assert (raised.value.expected, raised.value.found) == (1, 4)
        await log.truncate(7)
        assert await log.ends() == LogEnds(7, 6)

    using(brokers.address("truncated"), use)


def test_flipped_bits_in_a_block_are_a_gap_until_another_broker_answers(brokers: Brokers) -> None:
    body = bytes(90_000)

    async def fill(log: JetStreamLog) -> None:
        await asyncio.gather(*(log.append(f"id{n}", body) for n in range(100)))

    using(brokers.address("flipped"), fill)
    damaged = (brokers.leader("flipped") + 1) % 3
    brokers.kill(damaged, signal.SIGTERM)
    brokers.flip_bit(damaged, "flipped")
    brokers.start(damaged)
    brokers.leader("flipped")

    async def use(log: JetStreamLog) -> None:
        gaps: set[tuple[int, int]] = set()
        is_whole = False
        while not (gaps and is_whole):
            try:
                is_whole |= len(await log.read(0, 500)) == 100
            except LogGap as gap:
                gaps.add((gap.expected, gap.found))
            except LogUnavailable:
                continue
        assert len(gaps) == 1
        assert all(found == expected + 1 for expected, found in gaps)

    using(brokers.address("flipped"), use)


def test_without_a_majority_nothing_is_acknowledged_and_later_stored_once(brokers: Brokers) -> None:
    async def use(log: JetStreamLog) -> None:
        assert await log.append("first", b"1") == 1
        leader = brokers.leader("majority")
        for number in {0, 1, 2} - {leader}:
            brokers.kill(number)
        with pytest.raises(LogUnavailable):
            await log.append("second", b"2")
        for number in {0, 1, 2} - {leader}:
            brokers.start(number)
        brokers.leader("majority")
        assert await appended(log, "second", b"2") == 2
        found = await read_up_to(log, 2, after=0, limit=9)
        assert [each.body for each in found] == [b"1", b"2"]

    using(brokers.address("majority"), use)


def test_a_duplicate_that_waits_for_its_majority_is_not_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A broker answers it with sequence 0, as nats-server 2.15 does."""

    async def answer(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(data=b'{"stream": "venue", "seq": 0, "duplicate": true}')

    log = JetStreamLog(StreamAddress(("nats://127.0.0.1:1",), "venue"), timeout_s=1)
    monkeypatch.setattr(log._client, "request", answer)
    with pytest.raises(LogUnavailable, match="message second: is not stored yet"):
        asyncio.run(log.append("second", b"2"))


async def appended(log: JetStreamLog, message_id: str, body: bytes) -> int:
    while True:
        with contextlib.suppress(LogUnavailable):
            return await log.append(message_id, body)


@pytest.mark.parametrize("row", cases("log_settings.txt"))
def test_a_setting_that_loses_commands_is_a_problem_with_its_remedy(row: Row) -> None:
    value = json.loads(row["value"])
    found = [*stream_problems("venue", stream_settings("venue") | {row["setting"]: value})]
    assert len(found) == 1
    assert found[0].startswith(row["setting"])
    assert row.expected["remedy"].replace("_", " ") in found[0]


def test_the_settings_of_a_new_stream_have_no_problem() -> None:
    assert [*stream_problems("venue", stream_settings("venue"))] == []


def test_a_stream_of_one_copy_is_refused_at_start(brokers: Brokers) -> None:
    async def make(log: JetStreamLog) -> None:
        settings = stream_settings("alone") | {"num_replicas": 1}
        assert "config" in await log._api("STREAM.CREATE.alone", settings)

    using(brokers.address("other"), make)
    with pytest.raises(LogError, match=r"num_replicas is 1, must be 3.*nats stream edit alone"):
        using(brokers.address("alone"), JetStreamLog.ends)


@pytest.mark.parametrize("version", ["2.9.10", "2.15.0", "", "unknown"])
def test_an_old_broker_is_refused(version: str) -> None:
    with pytest.raises(LogError, match=r"upgrade it to 2.15.1"):
        check_version("a:4222", version)


@pytest.mark.parametrize("text", ["nats://a", "http://a/venue", "nats://a,,b/venue", "nats:///x"])
def test_another_address_is_an_error_with_the_format(text: str) -> None:
    with pytest.raises(ValueError, match="must be nats://BROKER,BROKER,BROKER/NAME"):
        parse_address(text)


def test_no_broker_is_an_error_that_names_the_addresses() -> None:
    address = StreamAddress(("nats://127.0.0.1:1",), "venue")
    with pytest.raises(LogUnavailable, match=r"127.0.0.1:1"):
        asyncio.run(JetStreamLog.open(address, timeout_s=0.2))
