"""Faults of a cluster under load: what was acknowledged, published and recorded, compared.

Callers submit crashes of their own, each command under one id until it is acknowledged, at any
replica and one in ten at two at once. A reader follows the ADL fills, and goes on at another
replica when one ends. The log is then run again by a single process.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from cluster_faults import FAULTS, FaultContext
from replica_cluster import REPLICAS, STREAM, ReplicaCluster, running_cluster
from replica_process import KEY_ID, SECRET

from delever.core.messages import AdlFilled, Command
from delever.journal import Head, Recorder, SqliteJournal, verify
from delever.replication import LogGap, LogMessage, LogUnavailable
from delever.replication.command_group import decode_group
from delever.replication.jetstream import JetStreamLog, parse_address
from delever.server.engine.commit import _stamped
from waiting import until

CRASH = Path(__file__).parents[2] / "examples" / "crash.ndjson"
CALLERS = 8
CALL_TIMEOUT_S = 2.0
"""How long a caller waits before it submits a command at another replica."""
TWICE_IN = 10
"""One command in this many is submitted at two replicas at once."""


class FaultRow(NamedTuple):
    """Commands acknowledged until the cluster was whole again, and the longest time without."""

    fault: str
    acknowledged: int
    gap_s: float


class SingleProcess(NamedTuple):
    """What one process makes of the log: hashes by sequence, sequences by id, counts of fills."""

    heads: list[Head]
    sequences: dict[str, int]
    fills: list[tuple[int, int]]


def episode(number: int) -> Iterator[dict[str, Any]]:
    """Yield the commands of the example's crash, with names and ids of an episode."""
    text = CRASH.read_text()
    for name in ("BTCUSDT", '"main"', '"ann"', '"bob"', '"cyd"', '"dan"'):
        bare = name.strip('"').removesuffix("USDT")
        text = text.replace(name, name.replace(bare, f"{bare}{number}"))
    lines = [line for line in text.splitlines() if line.startswith("{")]
    for place, line in enumerate(lines):
        command = json.loads(line) | {"id": f"e{number}-{place}"}
        del command["time_ms"]
        if command["type"] == "fund_pool":
            command["note"] = "from the example"
        yield command


class Load:
    """Callers and a reader of fills; `acknowledged` is the sequence of each id."""

    def __init__(self, cluster: ReplicaCluster, seed: int) -> None:
        self.cluster = cluster
        self.acknowledged: dict[str, int] = {}
        self.times: list[float] = []
        self.fills: list[tuple[int, int]] = []
        self.has_ended = False
        self._random = random.Random(seed)
        self._episodes = iter(range(10**9))
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {KEY_ID}.{SECRET}"}, timeout=CALL_TIMEOUT_S
        )

    async def call_until_ended(self) -> None:
        for number in self._episodes:
            for command in episode(number):
                if self.has_ended:
                    return
                await self._submit(command)

    async def _submit(self, command: dict[str, Any]) -> None:
        first = self._random.randrange(REPLICAS)
        places = [first, (first + 1) % REPLICAS]
        if self._random.randrange(TWICE_IN):
            del places[1]
        sequences = await asyncio.gather(*(self._until_acknowledged(command, p) for p in places))
        assert len(set(sequences)) == 1, f"{command['id']} has sequences {sequences}"
        self.acknowledged[command["id"]] = sequences[0]
        self.times.append(time.monotonic())

    async def _until_acknowledged(self, command: dict[str, Any], replica: int) -> int:
        while True:
            with contextlib.suppress(httpx2.TransportError):
                url = f"{self.cluster.urls[replica]}/v1/commands"
                answer = await self._client.post(url, json=command)
                if answer.status_code == 200:
                    return int(answer.json()["sequence"])
                assert answer.status_code >= 500, answer.text
            replica = (replica + 1) % REPLICAS
            await asyncio.sleep(0.02)

    async def read_fills(self) -> None:
        """Follow the stream of fills, from one replica to the next."""
        replica = 0
        while True:
            with contextlib.suppress(httpx2.TransportError):
                await self._read_fills(replica)
            replica = (replica + 1) % REPLICAS
            await asyncio.sleep(0.02)

    async def _read_fills(self, replica: int) -> None:
        after = self.fills[-1][0] if self.fills else 0
        url = f"{self.cluster.urls[replica]}/v1/events/stream?types=adl_filled&after={after}"
        async with self._client.stream("GET", url) as answer:
            if answer.status_code != 200:
                return
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    record = json.loads(line.removeprefix("data: "))
                    self.fills.append((record["sequence"], len(record["events"])))

    async def close(self) -> None:
        await self._client.aclose()


async def run_faults(
    cluster: ReplicaCluster, seed: int, commands: int, names: Sequence[str], hold_s: float
) -> AsyncIterator[FaultRow]:
    """Run faults under load, then load until enough commands are acknowledged; check it."""
    load, context = Load(cluster, seed), FaultContext(cluster, seed, hold_s)
    callers = [asyncio.create_task(load.call_until_ended()) for _ in range(CALLERS)]
    reader = asyncio.create_task(load.read_fills())
    for name in names:
        before = len(load.times)
        await until(lambda before=before: len(load.times) >= before + CALLERS, "commands run")
        begun = len(load.times)
        began_s = time.monotonic()
        await asyncio.to_thread(FAULTS[name], context)
        ended = len(load.times)
        await until(lambda ended=ended: len(load.times) > ended, "commands run again")
        moments = [began_s, *load.times[begun:]]
        gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
        yield FaultRow(name, len(gaps), max(gaps))
    await until(lambda: len(load.times) >= commands, "all commands run")
    load.has_ended = True
    await asyncio.gather(*callers)
    await check_load(load)
    reader.cancel()
    await load.close()


async def check_load(load: Load) -> None:
    """Check that what was acknowledged and published is what a single process makes of the log."""
    found = await single_process(load.cluster.brokers.address(STREAM))
    assert {each: found.sequences[each] for each in load.acknowledged} == load.acknowledged
    await until(lambda: len(load.fills) >= len(found.fills), "all fills read")
    assert load.fills == found.fills


async def single_process(address: str) -> SingleProcess:
    """Run the log's commands, each id once, one after the other, in a journal in memory."""
    sequences: dict[str, int] = {}
    fills: list[tuple[int, int]] = []
    heads: list[Head] = []
    with Recorder.open(":memory:", max_time_jump_ms=300_000) as recorder:
        for message in await _messages(address):
            group = decode_group(message.body)
            for command in _new(group.commands, sequences):
                time_ms = max(group.time_ms, recorder.book.time_ms)
                (events,) = recorder.submit([_stamped(command, time_ms)])
                heads.append(recorder.head)
                sequences[command.id] = sequence = recorder.head.sequence
                if count := sum(isinstance(event, AdlFilled) for event in events):
                    fills.append((sequence, count))
    return SingleProcess(heads, sequences, fills)


def _new(commands: Sequence[Command], sequences: dict[str, int]) -> Iterator[Command]:
    for command in commands:
        if command.id not in sequences:
            yield command


async def _messages(address: str) -> list[LogMessage]:
    log = await JetStreamLog.open(parse_address(address))
    messages: list[LogMessage] = []
    try:
        last = (await log.ends()).last
        while len(messages) < last:
            with contextlib.suppress(LogGap, LogUnavailable):
                messages += await log.read(len(messages), 500)
    finally:
        await log.close()
    return messages


async def check_journals(cluster: ReplicaCluster) -> None:
    """Check that every replica has the journal of a single process that runs the log.

    One that has stopped earlier has less of what is due periodically.
    """
    cluster.wait_ready(*range(REPLICAS))
    cluster.stop()
    found = await single_process(cluster.brokers.address(STREAM))
    for replica in range(REPLICAS):
        with SqliteJournal(cluster.journal(replica), readonly=True) as journal:
            head = journal.head()
        assert head in found.heads, f"replica {replica} has {head}"
    assert verify(cluster.journal(0)).ok


async def run_chaos(
    folder: Path, seed: int, commands: int, names: Sequence[str], hold_s: float
) -> AsyncIterator[FaultRow]:
    """Run faults in the order of a seed on a new cluster; raise AssertionError for a wrong one."""
    shuffled = random.Random(seed).sample(names, len(names))
    with running_cluster(folder) as cluster:
        async for row in run_faults(cluster, seed, commands, shuffled, hold_s):
            yield row
        await check_journals(cluster)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--commands", type=int, default=10_000, help="of each seed")
    parser.add_argument("--hold", type=float, default=10, help="seconds that a stop or cut lasts")
    options = parser.parse_args()
    asyncio.run(write_rows(options))


async def write_rows(options: argparse.Namespace) -> None:
    _write("seed | fault | acknowledged meanwhile | longest time without, s")
    for seed in range(options.seed, options.seed + options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            rows = run_chaos(Path(folder), seed, options.commands, [*FAULTS], options.hold)
            async for row in rows:
                _write(f"{seed} | {row.fault} | {row.acknowledged} | {row.gap_s:.2f}")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
