"""The deterministic simulation: a real server on a simulated disk, clock, loop and receiver.

What holds, whatever fails:

- a command that was acknowledged is in the journal, with the events that were acknowledged;
- an id is in the journal once, and the same id gets the same answer;
- a request that was not acknowledged is in the journal whole or not at all;
- the book after a restart is that of a clean run of the journal's commands, and so is every hash;
- a changed byte is never served: what is read is what was written, or an error;
- listeners, history and notices have each durable record, and no other;
- the server starts again after every fault that has ended, without help.
"""

import functools
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import scenario as do
import sqlalchemy as sa
from scenario import Scenario
from server_process import ServerProcess, config_of
from simulated_disk import Fault, SimulatedDisk
from simulated_loop import SimulatedLoop
from simulated_venue import NoticeReceiver, commands_of, opening
from sqlite_vfs import mounted
from structlog.testing import capture_logs

from delever.core.messages import Event, Reason, Rejected, SetTime
from delever.journal import JournalError, Record, Recorder, SqliteJournal, verify
from delever.journal.record import decode_command, decode_events, encode_events
from delever.journal.snapshot import encode_book
from delever.server.engine.commit import committed_of
from delever.server.engine.runner import NOW, Committed, Outcome, StoppedError
from delever.server.notifications.selection import notices_of, subjects_of
from delever.server.storage.database import _upgrade

START_MS = 1_700_000_000_000
MAX_STARTS = 20
MAX_TURNS = 6_000
"""Turns in which a server without faults has finished whatever it has to do."""

Answer = tuple[int, bytes | None]
"""Sequence and events of an acknowledged command; the API's bulk reports no events."""


class ViolationError(AssertionError):
    """Raised for a property that does not hold."""


class RotNoticedError(Exception):
    """Raised where a changed byte has been noticed: the scenario ends, with the right outcome."""


@dataclass
class Report:
    """What a run has done; `injected` counts faults by kind, also those that hit nothing."""

    operations: int = 0
    turns: int = 0
    acknowledged: int = 0
    records: int = 0
    restarts: int = 0
    notices: int = 0
    repeats: int = 0
    injected: Counter[str] = field(default_factory=Counter)

    @property
    def steps(self) -> int:
        """Operations of the disk and callbacks of the event loop."""
        return self.operations + self.turns

    def add(self, other: "Report") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def expect(holds: object, text: str) -> None:
    if not holds:
        raise ViolationError(text)


def _is_held(events: Sequence[Event]) -> bool:
    """Return whether a command waits for an operator; it may be sent again with its id."""
    return isinstance(events[0], Rejected) and events[0].reason is Reason.TIME_JUMP_HELD


class CleanRun:
    """The surviving records, and an engine that has run their commands without any fault."""

    def __init__(self, max_time_jump_ms: int) -> None:
        self.records: dict[int, Record] = {}
        self.first_by_id: dict[str, int] = {}
        self.ids: set[str] = set()
        self._recorder = Recorder(SqliteJournal(":memory:"), max_time_jump_ms=max_time_jump_ms)

    @property
    def head(self) -> int:
        return self._recorder.head.sequence

    @property
    def book(self) -> bytes:
        return encode_book(self._recorder.book)

    def add(self, record: Record) -> None:
        """Run a record's command; its hash covers its events and the changes of the book."""
        command = decode_command(record.command)
        self._recorder.submit([command])
        same = self._recorder.head == record.head
        expect(same, f"record {record.sequence} is not what a clean run gives")
        self.records[record.sequence] = record
        self.ids.add(command.id)
        if command.id and not _is_held(decode_events(record.events)):
            before = self.first_by_id.setdefault(command.id, record.sequence)
            expect(before == record.sequence, f"{command.id} is in records {before} and later")

    def close(self) -> None:
        self._recorder.close()


class FaultSimulation:
    """Runs one scenario; `run` raises ViolationError where a property does not hold."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        start = scenario[0]
        if not isinstance(start, do.Start):
            raise TypeError("the first line of a scenario is its start")
        self.report = Report()
        self._actions = scenario[1:]
        self._config = config_of(folder / "j.db")
        self._seed = start.seed
        self._disk = SimulatedDisk(start.seed)
        self._receiver = NoticeReceiver(start.seed)
        self._clean = CleanRun(self._config.journal.max_time_jump_ms)
        self._clock_ms = START_MS
        self._loop = SimulatedLoop(start.seed, 0.0)
        self._process: ServerProcess | None = None
        self._requests: list[tuple[Any, int, int, bool]] = []
        self._answers: dict[str, Answer] = {}
        self._unknown: dict[str, int] = {}
        self._listened: list[Committed] = []
        self._rotten = False

    def now_ms(self) -> int:
        return self._clock_ms + int(self._loop.time() * 1_000)

    def run(self) -> Report:
        """Run all actions, then let everything recover, and check the rest."""
        try:
            with capture_logs(), mounted(self._disk, self._seed):
                try:
                    self._install()
                    for action in self._actions:
                        self._act(action)
                    self._recover()
                except RotNoticedError:
                    self._disk.injected["rot noticed"] = 1
                finally:
                    self._count_turns()
                    if self._process is not None:
                        self._process.abandon()
                    self._loop.close()
                    self._clean.close()
        finally:
            self.report.operations = self._disk.operations
            self.report.injected = Counter(self._disk.injected)
        self.report.acknowledged = len(self._answers)
        self.report.records = self._clean.head
        self.report.notices = len(self._receiver.ids)
        return self.report

    # --- processes ---

    def _install(self) -> None:
        """Start with a migrated history, on a disk that has it, and with an open market."""
        path = self._config.journal.path
        history = self._disk.open(f"{path}.history", create=True)
        history.write(0, _migrated_history())
        history.sync()
        process = self._running()
        done = process.run(process.submit(opening()))
        self._turn(MAX_TURNS, until=done.done)
        expect(done.done(), "the market does not open")
        done.result()

    def _running(self) -> ServerProcess:
        """Return the process, started again where the last one has ended."""
        for _ in range(MAX_STARTS):
            if self._process is None:
                self._start()
            process = self._process
            if process is None:
                continue
            self._turn(MAX_TURNS, until=process.starting.done)
            if self._process is process and process.starting.done():
                process.starting.result()
                return process
        if self._rotten:
            raise RotNoticedError
        raise ViolationError("the server does not start")

    def _start(self) -> None:
        """Start a process and check what it has restored; a fault of the disk may end it."""
        self.report.restarts += 1
        errors = len(self._disk.injected), sum(self._disk.injected.values())
        self._count_turns()
        self._loop.close()
        self._loop = SimulatedLoop(self._seed + self.report.restarts, self._loop.time())
        try:
            process = ServerProcess(self._config, self.now_ms, self._receiver, self._loop)
        except JournalError as error:
            if self._rotten:
                raise RotNoticedError from error
            after = len(self._disk.injected), sum(self._disk.injected.values())
            if after == errors:
                raise ViolationError(f"the journal cannot be opened: {error}") from error
            self._disk.restart()
            self._disk.capacity = None  # an operator frees the disk
            return
        self._process = process
        if not self._disk.halted:
            self._check_restored(process)

    def _turn(self, count: int, until: Callable[[], object] = lambda: False) -> None:
        """Turn the loop; then end a process that has failed or been ended."""
        process = self._process
        if process is None:
            return
        runner = process.runner
        self._loop.turn(count, lambda: self._disk.halted or runner.failed is not None or until())
        self._collect()
        if self._disk.halted:
            self._end_process()
        elif runner.failed is not None or process.start_failed:
            self._stop_process()

    def _stop_process(self) -> None:
        """Stop the process as its supervisor does, and give up after a while."""
        process = self._process
        if process is None:
            return
        stopping = process.run(process.stop())
        self._loop.turn(MAX_TURNS, lambda: self._disk.halted or stopping.done())
        self._collect()
        self._end_process()
        if self._disk.capacity is not None:
            self._disk.capacity = None  # an operator frees the disk

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._count_turns()
        process.abandon()
        self._disk.restart()
        self._take_listened(process)
        for _, seed, count, _ in self._requests:
            self._unknown[str(seed)] = count
        self._requests.clear()

    def _count_turns(self) -> None:
        self.report.turns += self._loop.turns
        self._loop.turns = 0

    # --- actions ---

    def _act(self, action: do.AnyAction) -> None:
        process = self._running()
        match action:
            case do.Submit() | do.Resend():
                self._request(process, action)
            case do.Read(place=place):
                self._requests.append((process.run(self._read(process, place)), 0, 0, True))
            case do.Confirm():
                confirm = SetTime(time_ms=NOW, confirmed=True, note="checked")
                process.run(process.runner.submit([confirm], "operator"))
            case do.End(kind="stop"):
                self._stop_process()
            case _:
                self._disturb(action)
        self._turn(action.turns)

    def _disturb(self, action: do.AnyAction) -> None:
        disk = self._disk
        match action:
            case do.DiskFault(kind=kind, after=after):
                disk.faults.append(Fault(kind, after))
            case do.End(kind=kind):
                disk.halt(kind)
            case do.Rot(suffix=suffix, seed=seed, bits=bits):
                self._rotten = True
                disk.rot(f"{self._config.journal.path}{suffix}", seed, bits)
            case do.Clock(by_ms=by_ms):
                self._clock_ms += by_ms
            case do.FillDisk(bytes_left=left):
                disk.capacity = None if left is None else disk.used + left
            case do.Receiver(answers=answers):
                self._receiver.answers = answers

    def _request(self, process: ServerProcess, action: do.Submit | do.Resend) -> None:
        commands = commands_of(action.seed, action.count)
        send = process.post if action.http else process.submit
        request = process.run(send(commands))
        self._requests.append((request, action.seed, action.count, action.http))

    async def _read(self, process: ServerProcess, place: float) -> None:
        """Read records as a client does, and compare them with those that survived."""
        head = process.runner.market_snapshot.sequence
        for committed in await process.runner.records(int(place * head), 10):
            record = self._clean.records.get(committed.sequence)
            if record is not None:
                same = encode_events(committed.events) == record.events
                expect(same, f"record {record.sequence} is served with other events")

    def _collect(self) -> None:
        """Take the answers of the requests that are done."""
        still: list[tuple[Any, int, int, bool]] = []
        for request, seed, count, http in self._requests:
            if not request.done():
                still.append((request, seed, count, http))
                continue
            error = request.exception()
            if error is not None:
                self._check_error(error)
                self._unknown[str(seed)] = count
            elif count and http:
                self._take_response(seed, count, *request.result())
            elif count:
                for name, outcome in request.result().items():
                    expect(outcome is not None, f"{name} is said to be another command")
                    if outcome is not None:
                        self._take_outcome(name, outcome)
        self._requests = still

    def _check_error(self, error: BaseException) -> None:
        if isinstance(error, ViolationError):
            raise error
        known = isinstance(error, StoppedError | JournalError) or self._rotten
        expect(known, f"a request fails with {error!r}")

    def _take_outcome(self, name: str, outcome: Outcome) -> None:
        events = outcome.committed.events
        if not _is_held(events):
            self.report.repeats += outcome.repeated
            self._take_answer(name, (outcome.committed.sequence, encode_events(events)))

    def _take_response(self, seed: int, count: int, status: int, body: dict[str, Any]) -> None:
        """Take a response of the API: only that of a single command names its sequence."""
        is_beyond_bound = body.get("error", {}).get("reason") == "beyond_operators_bound"
        expected = {200, 422, 503, *([400] if is_beyond_bound else [])}
        expect(status in expected, f"the API answers {status}: {body}")
        if status == 200 and count == 1:
            self._take_answer(f"{seed}-0", (body["sequence"], None))
        elif status == 503:
            self._unknown[str(seed)] = count

    def _take_answer(self, name: str, answer: Answer) -> None:
        before = self._answers.setdefault(name, answer)
        if self._rotten and before[0] != answer[0]:
            raise RotNoticedError
        same = before[0] == answer[0] and (None in {before[1], answer[1]} or before == answer)
        expect(same, f"{name} was record {before[0]} and is answered as record {answer[0]}")

    # --- checks ---

    def _check_restored(self, process: ServerProcess) -> None:
        """Compare journal and book of a process that has just started with the clean run."""
        recorder = process.runner._writer.recorder
        with SqliteJournal(self._config.journal.path, readonly=True) as journal:
            self._check_journal(journal)
        if self._disk.halted:
            return
        if recorder.head.sequence == self._clean.head:
            expect(encode_book(recorder.book) == self._clean.book, "the book is another one")
        else:
            expect(self._rotten, "the server has not restored all records")

    def _check_journal(self, journal: SqliteJournal) -> None:
        """Check the records since the last time, and that all before them are there."""
        known = self._clean.head
        try:
            at_head = journal.record(known)
            fresh = list(journal.records(known))
        except JournalError:
            if self._rotten:
                raise RotNoticedError from None
            if self._disk.halted or self._disk.injected:
                return
            raise
        if known and (at_head is None or at_head.head != self._clean.records[known].head):
            if self._rotten:
                raise RotNoticedError
            raise ViolationError(f"record {known} was durable and is lost")
        for record in fresh:
            if self._rotten and record.content_hash() != record.hash:
                raise RotNoticedError
            self._clean.add(record)
        self._check_answers()

    def _check_answers(self) -> None:
        """Check that every acknowledged command is in the journal, and requests are whole."""
        for name, (sequence, events) in self._answers.items():
            found = self._clean.first_by_id.get(name)
            if found is None and self._rotten:  # the log ends before the changed byte
                raise RotNoticedError
            expect(found == sequence, f"{name} was acknowledged as {sequence}, is {found}")
            stored = self._clean.records[sequence].events
            expect(events in {None, stored}, f"record {sequence} has other events than answered")
        for seed, count in self._unknown.items():
            size = sum(f"{seed}-{number}" in self._clean.ids for number in range(count))
            expect(size in {0, count}, f"request {seed}: {size} of {count} commands are there")
        self._unknown.clear()
        for committed in self._listened:
            record = self._clean.records.get(committed.sequence)
            if record is None:
                expect(self._rotten, f"listeners had record {committed.sequence}, which is lost")
            else:
                same = encode_events(committed.events) == record.events
                expect(same, f"listeners had record {record.sequence} with other events")
        self._listened.clear()

    def _take_listened(self, process: ServerProcess) -> None:
        """Take what listeners were called with, to be compared with what has survived."""
        sequences = [committed.sequence for committed in process.listened]
        first = sequences[0] if sequences else 1
        expect(
            sequences == list(range(first, first + len(sequences))),
            "listeners were not called with each record in order",
        )
        self._listened += process.listened

    def _recover(self) -> None:
        """End all faults, let the server finish its work, and check the end."""
        self._disk.faults.clear()
        self._disk.capacity = None
        self._receiver.answers = True
        self._clock_ms = START_MS
        process = self._running()
        requests = [request for request, *_ in self._requests]
        self._turn(
            MAX_TURNS, until=lambda: process.is_done and all(each.done() for each in requests)
        )
        if self._rotten and not (self._process is process and process.is_done):
            raise RotNoticedError
        expect(self._process is process, "the server stops without a fault")
        expect(not self._requests, "requests are never answered")
        expect(process.is_done, f"the server does not finish: {process.waiting}")
        self._stop_process()
        self._check_end()

    def _check_end(self) -> None:
        path = self._config.journal.path
        with SqliteJournal(path, readonly=True) as journal:
            self._check_journal(journal)
        verification = verify(path, deep=False)  # the clean run has replayed it
        if self._rotten:
            return
        expect(verification.ok, f"the journal is not sound: {verification.findings}")
        wanted = {
            subject.id
            for record in self._clean.records.values()
            if (notices := notices_of(committed_of(record))) is not None
            for subject in subjects_of(notices)
        }
        lost, extra = wanted - self._receiver.ids.keys(), self._receiver.ids.keys() - wanted
        expect(not lost, f"notices were never delivered: {sorted(lost)[:5]}")
        expect(not extra, f"notices of no record were delivered: {sorted(extra)[:5]}")


@functools.cache
def _migrated_history() -> bytes:
    """Return the file of an empty history, migrated."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        engine = sa.create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            _upgrade(connection)
        engine.dispose()
        return path.read_bytes()


def run(scenario: Scenario) -> Report:
    """Run a scenario on a disk of its own."""
    _migrated_history()
    with tempfile.TemporaryDirectory() as folder:
        return FaultSimulation(scenario, Path(folder)).run()
