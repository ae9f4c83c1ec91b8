"""Replicas on three real brokers, each with its own journal file, on one event loop."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from manual_clock import ManualClock

from brokers import Brokers
from delever.config import Config
from delever.core.messages import Accepted, Command, DefineAccount, RefreshIndicators, SetTime
from delever.journal import Head, JournalError, Recorder, SqliteJournal, verify
from delever.lab.runs.scenario import read_scenario
from delever.replication import LogError
from delever.replication.hash_marks import MARK_EVERY
from delever.replication.jetstream import JetStreamLog, parse_address
from delever.server.engine.replica import Replica
from delever.server.engine.runner import NOW, DuplicateIdError, Outcome, StoppedError
from waiting import until

T = TypeVar("T")
EXAMPLE = Path(__file__).parents[3] / "examples" / "crash.ndjson"


@dataclasses.dataclass
class Venue:
    """Replicas of one log, by name; each has its journal in a folder."""

    folder: Path
    address: str
    clock: ManualClock = dataclasses.field(default_factory=lambda: ManualClock(1_000))

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.db"

    def replica(self, name: str, **journal: int) -> Replica:
        journal_config = {"path": str(self.path(name)), "log": self.address, "replica": name}
        config = msgspec.convert({"journal": journal_config | journal}, Config)
        log = partial(JetStreamLog.open, parse_address(self.address))
        return Replica(config, self.clock, log)

    def run(self, names: str, use: Callable[..., Awaitable[T]], **journal: int) -> T:
        """Call a function with a started replica of each name; they stop afterwards."""

        async def go() -> T:
            async with AsyncExitStack() as stack:
                replicas = [self.replica(name, **journal) for name in names]
                for replica in replicas:
                    stack.push_async_callback(replica.stop)
                    await replica.start(auto_tick=False)
                return await use(*replicas)

        return asyncio.run(go())

    def heads(self, names: str) -> list[Head | None]:
        found = []
        for name in names:
            with SqliteJournal(self.path(name), readonly=True) as journal:
                found.append(journal.head())
        return found


@pytest.fixture
def venue(brokers: Brokers, tmp_path: Path) -> Venue:
    return Venue(tmp_path, brokers.address(tmp_path.name))


def crash() -> list[Command]:
    commands = enumerate(read_scenario(EXAMPLE))
    return [msgspec.structs.replace(command, id=f"c{number}") for number, command in commands]


async def same_heads(*replicas: Replica) -> None:
    """Wait until every replica has run the whole log, and compare their journals' heads."""
    await until(lambda: all(each.waiting_for is None and each.lag == 0 for each in replicas))
    heads = [each._writer.recorder.head for each in replicas]
    furthest = max(head.sequence for head in heads)
    await until(lambda: all(r._writer.recorder.head.sequence == furthest for r in replicas))
    assert len({each._writer.recorder.head for each in replicas}) == 1


def outcome_of(outcomes: Sequence[Outcome | DuplicateIdError]) -> Outcome:
    (outcome,) = outcomes
    assert isinstance(outcome, Outcome)
    return outcome


def test_all_replicas_have_the_journal_of_a_single_process(venue: Venue) -> None:
    async def use(*replicas: Replica) -> list[int]:
        sequences = []
        for number, command in enumerate(crash()):
            outcome = outcome_of(await replicas[number % 3].submit([command]))
            sequences.append(outcome.committed.sequence)
        await same_heads(*replicas)
        return sequences

    assert venue.run("abc", use) == [*range(1, len(crash()) + 1)]
    with Recorder.open(":memory:", max_time_jump_ms=300_000) as alone:
        for command in crash():
            alone.submit([command])
        assert venue.heads("abc") == [alone.head] * 3
    assert verify(venue.path("b")).ok


def test_an_id_submitted_at_every_replica_runs_once(venue: Venue) -> None:
    command = SetTime(time_ms=NOW, id="once")

    async def use(*replicas: Replica) -> None:
        answers = await asyncio.gather(*(each.submit([command]) for each in replicas))
        found = [outcome_of(answer) for answer in answers]
        assert {outcome.committed.sequence for outcome in found} == {1}
        assert sorted(outcome.repeated for outcome in found) == [False, True, True]
        await same_heads(*replicas)

    venue.run("abc", use)


def test_commands_without_ids_run_in_the_order_of_a_request_and_once_each(venue: Venue) -> None:
    async def use(*replicas: Replica) -> None:
        requests = [
            [DefineAccount(time_ms=NOW, account=f"{n}-{m}") for m in "xy"] for n in range(40)
        ]
        await asyncio.gather(*(replicas[n % 2].submit(each) for n, each in enumerate(requests)))
        await same_heads(*replicas)
        names = await replicas[0].read(lambda book: list(book.accounts.names))
        assert sorted(names) == sorted(each.account for request in requests for each in request)
        assert all(names.index(f"{n}-y") == names.index(f"{n}-x") + 1 for n in range(40))

    venue.run("ab", use)


def test_time_is_the_acceptors_and_never_runs_backwards(venue: Venue) -> None:
    async def use(first: Replica, second: Replica) -> list[int]:
        times = []
        second.now_ms = ManualClock(6_000)
        for replica in (first, second, first):
            committed = outcome_of(await replica.submit([SetTime(time_ms=NOW)])).committed
            times.append(committed.time_ms)
        return times

    assert venue.run("ab", use) == [1_000, 6_000, 6_000]


def test_a_stopped_replica_catches_up_and_remembers_the_ids(venue: Venue) -> None:
    commands = [SetTime(time_ms=NOW, id=f"t{number}") for number in range(250)]

    async def fill(*replicas: Replica) -> None:
        await asyncio.gather(*(replicas[0].submit([command]) for command in commands))
        await same_heads(*replicas)

    async def again(late: Replica, *others: Replica) -> None:
        await same_heads(late, *others)
        assert outcome_of(await late.submit(commands[7:8])).repeated

    venue.run("ab", fill)
    venue.run("cab", again)
    assert len(set(venue.heads("abc"))) == 1


def test_every_replica_proposes_what_is_due_and_it_runs_once(venue: Venue) -> None:
    async def use(*replicas: Replica) -> None:
        for command in crash()[:30]:
            await replicas[0].submit([command])
        await same_heads(*replicas)
        venue.clock.ms = await replicas[0].read(lambda book: book.time_ms) + 1
        before = replicas[0]._writer.recorder.head.sequence
        await asyncio.gather(*(each.tick() for each in replicas))
        await same_heads(*replicas)
        records = await replicas[1].records(before, 10)
        kinds = [type(record.command) for record in records]
        assert kinds.count(RefreshIndicators) == 1
        assert len(kinds) == 2
        assert all(isinstance(record.events[0], Accepted) for record in records)

    venue.run("abc", use)


# --- what stops a replica ---


def test_a_replica_that_differs_stops_with_the_first_differing_record(venue: Venue) -> None:
    commands: list[Command] = [SetTime(time_ms=NOW, id=f"t{n}") for n in range(MARK_EVERY + 10)]

    async def use(*replicas: Replica) -> None:
        await replicas[0].submit(commands[:600])
        await same_heads(*replicas)
        differing = replicas[2]._writer.recorder
        differing.book.time_ms += 1  # a bit that has flipped in memory
        await replicas[1].submit([SetTime(time_ms=NOW)])
        await replicas[1].submit(commands[600:])
        await until(lambda: replicas[2].failed)
        await same_heads(*replicas[:2])
        assert [each.failed for each in replicas[:2]] == [None, None]
        assert "record 601 is" in str(replicas[2].failed)

    venue.run("abc", use)
    with pytest.raises(JournalError, match=r"record 601.*replace it by a copy of a peer's"):
        venue.run("c", use)


def test_a_replica_with_other_terms_waits_and_does_not_run_the_log(venue: Venue) -> None:
    async def fill(replica: Replica) -> None:
        await replica.submit([SetTime(time_ms=NOW)])

    async def use(replica: Replica) -> None:
        await until(lambda: replica.halted)
        assert replica.waiting_for == "log"
        assert "message 1 has terms" in replica.halted
        with pytest.raises(StoppedError, match="message 1 has terms"):
            await replica.submit([SetTime(time_ms=NOW)])
        assert replica._writer.recorder.head.sequence == 0

    venue.run("a", fill)
    venue.run("b", use, max_time_jump_ms=7)


def test_a_journal_that_does_not_fit_the_log_is_refused_with_the_remedy(venue: Venue) -> None:
    async def fill(replica: Replica) -> None:
        for _ in range(4):
            await replica.submit([SetTime(time_ms=NOW)])

    async def truncate(replica: Replica) -> None:
        assert replica._log is not None
        await replica._log.truncate(4)

    venue.run("a", fill)
    venue.run("a", truncate)
    with pytest.raises(LogError, match="which begins at 4: copy the journal"):
        venue.run("b", fill)
    other = Venue(venue.folder, f"{venue.address}-other")
    with pytest.raises(LogError, match="up to 4, which ends at 0: the brokers have lost"):
        other.run("a", fill)


def test_a_command_longer_than_a_message_is_refused_and_the_others_run(venue: Venue) -> None:
    async def use(replica: Replica) -> None:
        short = SetTime(time_ms=NOW, id="short")
        long = SetTime(time_ms=NOW, id="long", note="x" * 2_000_000)
        answers = await asyncio.gather(
            *(replica.submit([each]) for each in (short, long)), return_exceptions=True
        )
        assert isinstance(answers[1], ValueError)
        assert "divide them, or raise max_payload" in str(answers[1])
        assert replica.queued == 0
        assert replica._writer.recorder.head.sequence == 1

    venue.run("a", use)
