"""A replica: one of several servers that run the same log of commands, each in its own journal.

Commands are accepted here, grouped into messages, and appended to the log until it acknowledges
them; they run when this replica reads them back, in the log's order, and their callers are answered
then. No replica leads: all of them step every message, and command ids absorb what is stored twice.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from delever.config import Config
from delever.core.book import Book
from delever.core.messages import Command
from delever.core.rules import RULE_SETS
from delever.journal import JournalError
from delever.journal.record import encode_command
from delever.journal.sqlite import SCHEMA_VERSION
from delever.replication import (
    CommandGroup,
    CommandLog,
    Divergence,
    HashMark,
    HashMarks,
    LogError,
    LogGap,
    LogMessage,
    LogUnavailable,
)
from delever.replication.command_group import (
    MARK_HASH_BYTES,
    decode_group,
    encode_group,
    terms_digest,
)
from delever.replication.hash_marks import MARK_EVERY
from delever.rule_registry import digest_of, installed_rule_sets
from delever.server.engine.commit import DuplicateIdError, Outcome
from delever.server.engine.market_snapshot import MarketSnapshot
from delever.server.engine.runner import (
    TICK_MS,
    PendingRequest,
    Runner,
    StoppedError,
    answer_requests,
    refuse_requests,
)

log = structlog.get_logger()

GROUP_LIMIT = 100
"""Commands of different requests in one message; one request is never divided."""

IN_FLIGHT = 8
"""Messages that wait for their acknowledgement; more would only wait in the brokers."""

READ_LIMIT = 100
"""Messages that are read and run at once."""

RETRY_S = 0.02
"""Pause before a message is appended again under the same id, or read again."""

POLL_S = 0.01
"""Pause after a read without a message; an own acknowledged message ends it."""

READY_LAG = 1_000
"""A replica further behind the log than this is not ready."""


class _Run(NamedTuple):
    """What running some messages led to; `stopped_at` names the reason not to run the next one."""

    groups: list[CommandGroup]
    outcomes: list[list[Outcome | DuplicateIdError] | None]
    snapshot: MarketSnapshot | None
    divergences: list[Divergence]
    mark: HashMark | None
    stopped_at: str


class Replica(Runner):
    """A runner whose order of commands is that of a log, which `open_log` opens at the start.

    The journal is this replica's own. `start` raises LogError or JournalError where log and journal
    do not fit; the message names the remedy.
    """

    def __init__(
        self,
        config: Config,
        now_ms: Callable[[], int],
        open_log: Callable[[], Awaitable[CommandLog]],
    ) -> None:
        super().__init__(config, now_ms)
        self.name = config.journal.replica or socket.gethostname()
        self.position = self._writer.recorder.journal.log_sequence()
        self.halted = ""
        self._open_log = open_log
        self._log: CommandLog | None = None
        self._boot = f"{self.name}-{secrets.token_hex(8)}"
        self._number = 0
        self._last = self.position
        self._caught_up = False
        self._outage_since_ms = 0
        self._has_ended = False  # wait_for of Python 3.11, in nats-py, can lose a cancellation
        self._acknowledged = asyncio.Event()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._appends: set[asyncio.Task[None]] = set()
        self._unanswered: dict[str, list[PendingRequest]] = {}
        self._terms = _terms_of(config)
        self._marked = 0
        self._marks = HashMarks(self.name, self._hash_of)
        self._divergence_file = Path(f"{config.journal.path}.divergence")

    @property
    def lag(self) -> int:
        """Number of messages of the log that are not in the book yet."""
        return max(0, self._last - self.position)

    @property
    def log_outage_ms(self) -> int:
        """How long appends and ticks have had no answer of the log; 0 while it answers."""
        return self.now_ms() - self._outage_since_ms if self._outage_since_ms else 0

    @property
    def waiting_for(self) -> str | None:
        """The part that is not ready: the engine, or the log while this replica is behind it."""
        is_behind = self.halted or not self._caught_up or self.lag > READY_LAG
        return super().waiting_for or ("log" if is_behind else None)

    async def start(self, *, auto_tick: bool = True) -> None:
        """Check that log and journal fit, then follow the log; commands are accepted at once."""
        self._log = await self._open_log()
        await self._check_journal(self._log)
        self._restore()
        self._begin([self._pump(), self._follow(self._log)], auto_tick=auto_tick)

    async def _check_journal(self, command_log: CommandLog) -> None:
        """Raise LogError or JournalError where the journal cannot be continued from the log."""
        path = self.config.journal.path
        if self._divergence_file.exists():
            raise JournalError(
                f"{path}: differs from the other replicas ({self._divergence_file.read_text()}); "
                f"replace it by a copy of a peer's, and delete {self._divergence_file}"
            )
        first, last = await command_log.ends()
        remedy = "copy the journal of another replica"
        if first > self.position + 1:
            raise LogError(
                f"{path}: has the log up to {self.position}, which begins at {first}: {remedy}"
            )
        if last < self.position:
            why = f"has the log up to {self.position}, which ends at {last}"
            raise LogError(f"{path}: {why}: the brokers have lost messages, or it is another log")
        head, base = self._writer.recorder.head.sequence, self.base_sequence
        window = self.config.journal.idempotency_window
        if base and head - base < window:
            why = f"has {head - base} records, fewer than idempotency_window = {window}"
            raise JournalError(f"{path}: {why}: {remedy}")
        self._last = last
        self._marked = head - head % MARK_EVERY

    async def stop(self) -> None:
        """Wait for the answers to own commands, at most `shutdown_ms`, then stop as a runner does.

        A command without an answer may be in the log all the same: its caller submits it again.
        """
        self._stopping = True
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.listen.shutdown_ms / 1_000):
                await self._finish()
        self._has_ended = True
        for task in (*self._appends, *self._tasks):
            task.cancel()
        error = StoppedError("the server is shutting down; submit the command again")
        refuse_requests((*self._take_unanswered(), *self._queue), error)
        await super().stop()
        if self._log is not None:
            await self._log.close()

    async def _finish(self) -> None:
        """Wait until queued commands are in the log, and all own commands are answered."""
        await asyncio.gather(*self._tasks[:1], return_exceptions=True)
        batches = self._unanswered.values()
        answers = [request.done for batch in batches for request in batch]
        await asyncio.gather(*answers, return_exceptions=True)

    # --- commands to the log ---

    async def submit(
        self, commands: Sequence[Command], by: str | None = None
    ) -> list[Outcome | DuplicateIdError]:
        """Append commands to the log in their order; return their outcomes once run here, durably.

        A command without an id gets one, so that no command of a message stored twice runs twice.
        Raises as a runner does; ValueError also for commands longer than a message of the log.
        """
        if self.halted:
            raise StoppedError(f"this replica does not run the log: {self.halted}")
        return await super().submit([self._identified(command) for command in commands], by)

    def _identified(self, command: Command) -> Command:
        if command.id:
            return command
        self._number += 1
        return msgspec.structs.replace(command, id=f"{self._boot}:{self._number}")

    async def _pump(self) -> None:
        while self.failed is None and not (self._stopping and not self._queue):
            await self._wake.wait()
            self._wake.clear()
            while self._queue and self.failed is None:
                await self._slots.acquire()
                self._send(self._next_commit(GROUP_LIMIT))

    def _send(self, batch: list[PendingRequest]) -> None:
        """Append the commands of requests as one message, or as several where it is too long."""
        try:
            bodies = tuple(encode_command(each) for request in batch for each in request.commands)
        except msgspec.MsgspecError as error:
            self._divide(batch, ValueError(str(error)))
            return
        size, limit = sum(map(len, bodies)), self._body_limit()
        if size > limit:
            why = f"commands of {size} bytes: a message of the log has at most {limit}"
            remedy = "divide them, or raise max_payload of the brokers"
            self._divide(batch, ValueError(f"{why}; {remedy}"))
            return
        group = self._group(bodies)
        self._unanswered[group.id] = batch
        self._append(group).add_done_callback(lambda _: self._slots.release())

    def _divide(self, batch: list[PendingRequest], error: ValueError) -> None:
        """Send the first of some requests by itself, and queue the others; a single one fails."""
        if len(batch) == 1:
            refuse_requests(batch, error)
            self._slots.release()
            return
        self._queue[:0] = batch[1:]
        self._queued_commands += sum(len(request.commands) for request in batch[1:])
        self._wake.set()
        self._send(batch[:1])

    def _body_limit(self) -> int:
        limit = 0 if self._log is None else self._log.max_body_bytes
        return limit - 16 * GROUP_LIMIT - 1_024  # lengths of commands, and the other fields

    def _group(self, bodies: tuple[bytes, ...], mark: HashMark | None = None) -> CommandGroup:
        self._number += 1
        message_id = f"{self._boot}:{self._number}"
        at = self._writer.recorder.head.sequence
        return CommandGroup(message_id, self._terms, self.now_ms(), at, bodies, mark)

    def _append(self, group: CommandGroup) -> asyncio.Task[None]:
        task = asyncio.create_task(self._append_until_acknowledged(group))
        self._appends.add(task)
        task.add_done_callback(self._appends.discard)
        return task

    async def _append_until_acknowledged(self, group: CommandGroup) -> None:
        """Append a group under one id until the log has it; an outage lasts as long as it lasts."""
        body = encode_group(group)
        while self.failed is None and not self._has_ended and self._log is not None:
            try:
                sequence = await self._log.append(group.id, body)
            except LogUnavailable:
                self._outage_since_ms = self._outage_since_ms or self.now_ms()
                await asyncio.sleep(RETRY_S)
                continue
            except LogError as error:
                refuse_requests(self._unanswered.pop(group.id, ()), ValueError(str(error)))
                return
            self._outage_since_ms = 0
            self._last = max(self._last, sequence)
            self._acknowledged.set()
            return

    # --- messages of the log ---

    async def _follow(self, command_log: CommandLog) -> None:
        """Read the log and run it, until the runner stops."""
        while self.failed is None and not self._has_ended:
            self._acknowledged.clear()
            try:
                messages = await command_log.read(self.position, READ_LIMIT)
            except LogGap as gap:
                self._report_gap(gap)
                await asyncio.sleep(RETRY_S)
                continue
            except LogUnavailable:
                await asyncio.sleep(RETRY_S)
                continue
            if messages:
                await self._run(messages)
            if not messages or self.halted:
                self._caught_up = self._caught_up or self.position >= self._last
                await self._wait_for_messages()

    async def _wait_for_messages(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._acknowledged.wait()

    def _report_gap(self, gap: LogGap) -> None:
        self.errors["log_gap"] += 1
        if self.errors["log_gap"] % 100 == 1:
            log.critical("the log has a gap", error=str(gap))

    async def _run(self, messages: Sequence[LogMessage]) -> None:
        try:
            run = await self._on_engine(partial(self._run_messages, messages))
        except BaseException as error:  # noqa: BLE001 - after any error the engine must stop
            self._fail(error, [])
            return
        self.position += len(run.groups)
        self._last = max(self._last, self.position)
        for group, outcomes in zip(run.groups, run.outcomes, strict=True):
            self._answer(self._unanswered.pop(group.id, []), outcomes)
        self._publish([], [each for one in run.outcomes if one for each in one], run.snapshot)
        self._report(self._writer.take_failures())
        if run.mark is not None and self._caught_up:
            self._append(self._group((), run.mark))
        self._halt(run.stopped_at)
        self._check(run.divergences)

    def _run_messages(self, messages: Sequence[LogMessage]) -> _Run:
        """Run messages up to the first one of other terms; on the engine's thread."""
        groups, stopped_at = self._groups_of(messages)
        if not groups:
            return _Run([], [], None, [], None, stopped_at)
        last = messages[len(groups) - 1].sequence
        outcomes, snapshot = self._writer.commit_groups(groups, last)
        checked = [self._marks.check(group.mark) for group in groups if group.mark is not None]
        differing = [each for each in checked if each]
        return _Run(groups, outcomes, snapshot, differing, self._due_mark(), stopped_at)

    def _groups_of(self, messages: Sequence[LogMessage]) -> tuple[list[CommandGroup], str]:
        """Return the groups up to the first that may not run here, and why that one may not."""
        groups: list[CommandGroup] = []
        for message in messages:
            try:
                group = decode_group(message.body)
                group.commands  # noqa: B018 - of another version where they cannot be decoded
            except msgspec.MsgspecError as error:
                return groups, f"message {message.sequence} cannot be read: {error}"
            if group.terms != self._terms:
                terms = f"{group.terms.hex()}, here {self._terms.hex()}"
                return groups, f"message {message.sequence} has terms {terms}"
            groups.append(group)
        return groups, ""

    def _answer(
        self, batch: Sequence[PendingRequest], outcomes: list[Outcome | DuplicateIdError] | None
    ) -> None:
        if outcomes is None:
            stopped = StoppedError("accepted too long ago; submit the command again")
            refuse_requests(batch, stopped)
            return
        answer_requests(batch, outcomes)

    def _halt(self, why: str) -> None:
        """Stop or resume running the log; only a start with the right terms resumes it."""
        if why and why != self.halted:
            remedy = "start every replica with the same rule sets and [journal] settings"
            log.critical("the log cannot be run here", why=why, remedy=remedy)
        self.halted = why
        if why:
            refuse_requests(self._take_unanswered(), StoppedError(why))

    def _fail(self, error: BaseException, batch: list[PendingRequest]) -> None:
        """Fail as a runner does; commands in the log without an answer fail, too."""
        super()._fail(error, [*batch, *self._take_unanswered()])

    def _take_unanswered(self) -> list[PendingRequest]:
        taken = [request for batch in self._unanswered.values() for request in batch]
        self._unanswered.clear()
        return taken

    # --- comparison of replicas ---

    def _due_mark(self) -> HashMark | None:
        """Return a mark of the newest records each time that MARK_EVERY more have run, else None.

        A replica that catches up has no mark to add: it compares those of the others.
        """
        recorder = self._writer.recorder
        sequence = recorder.head.sequence - recorder.head.sequence % MARK_EVERY
        if sequence <= self._marked:
            return None
        self._marked = sequence
        hashes = recorder.journal.hashes(sequence - MARK_EVERY, sequence)
        return HashMark(self.name, sequence, b"".join(each[:MARK_HASH_BYTES] for each in hashes))

    def _check(self, divergences: Sequence[Divergence]) -> None:
        """Report replicas that differ; stop for good where this one is outvoted."""
        for divergence in divergences:
            self.errors["replicas_differ"] += 1
            log.critical(
                "replicas differ", difference=str(divergence), outvoted=divergence.outvoted
            )
            if divergence.outvoted and self.failed is None:
                self._divergence_file.write_text(str(divergence))
                self._fail(JournalError(f"replicas differ: {divergence}"), [])

    def _hash_of(self, sequence: int) -> bytes | None:
        head = self._writer.recorder.journal.head_at(sequence)
        return None if head is None else head.hash

    # --- periodic commands ---

    async def tick(self) -> None:
        """Submit what is due, as every replica does, unless this one is behind the log."""
        if self._log is not None:
            try:
                self._last = max(self._last, (await self._log.ends()).last)
                self._outage_since_ms = 0
            except LogUnavailable:
                self._outage_since_ms = self._outage_since_ms or self.now_ms()
                return
        if self.waiting_for is None:
            await super().tick()

    def _due(self, book: Book) -> list[Command]:
        """Return the commands that are due, with ids of their due time, alike at every replica."""
        publication = self.config.publication
        intervals = {
            "refresh_indicators": publication.indicators_interval_ms,
            "refresh_ratings": publication.ratings_interval_ms,
        }
        due = []
        for command in super()._due(book):
            kind = str(command.__struct_config__.tag)
            interval_ms = intervals.get(kind, TICK_MS)
            due_ms = self.now_ms() // interval_ms * interval_ms
            due.append(msgspec.structs.replace(command, id=f"{kind}@{due_ms}"))
        return due


def _terms_of(config: Config) -> bytes:
    """Return the digest of what decides what a command does: schema, rules and limits."""
    journal = config.journal
    rules = {
        rules.name: digest_of(rules) for rules in (*RULE_SETS.values(), *installed_rule_sets())
    }
    limits = (journal.idempotency_window, journal.max_time_jump_ms)
    return terms_digest((SCHEMA_VERSION, rules, limits))
