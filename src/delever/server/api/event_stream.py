"""The feed of records as they are committed, for any number of readers.

The newest records are buffered in encoded form, once for all readers; a reader that is behind them
reads the journal. No reader misses a record, and a reader costs no memory: its position is one
number.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from delever.api_types.market import RecordResponse
from delever.journal import SqliteJournal
from delever.server.api.requests.masking import Masking
from delever.server.engine.commit import committed_of
from delever.server.engine.runner import Committed, Runner

BUFFER_BYTES = 16 * 1024 * 1024
"""Encoded records that are buffered for readers that keep up."""

PAGE_RECORDS = 200
"""Records that a reader reads from the journal at one time."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(RecordResponse)


class EncodedRecord(NamedTuple):
    """A record as JSON, with the types of its events."""

    sequence: int
    encoded: bytes
    types: frozenset[str]


@dataclass(frozen=True, slots=True)
class StreamFilter:
    """What one reader receives: events of some types (None: all), with masked names."""

    types: frozenset[str] | None
    masking: Masking

    def apply(self, record: EncodedRecord) -> bytes:
        """Return the record as this reader receives it, or nothing."""
        if self.types is None and self.masking.sees_all:
            return record.encoded
        if self.types is not None and self.types.isdisjoint(record.types):
            return b""
        decoded = _decoder.decode(record.encoded)
        events = tuple(
            self.masking.mask(event)
            for event in decoded.events
            if self.types is None or type_of(event) in self.types
        )
        command_id = decoded.id if self.masking.sees_all else ""
        return _encoder.encode(msgspec.structs.replace(decoded, id=command_id, events=events))


class EventFeed:
    """Buffers the newest records while there are readers; `add` is called with every commit.

    `open_streams` counts the streams of each address.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._buffer: deque[EncodedRecord] = deque()
        self._buffer_bytes = 0
        self._added = asyncio.Event()
        self._closed = False
        self.readers = 0
        self.open_streams: Counter[str] = Counter()

    def add(self, commits: Sequence[Committed]) -> None:
        """Buffer new records, and wake the readers that wait."""
        if self.readers:
            for committed in commits:
                self._add(committed)
            self._added.set()
            self._added = asyncio.Event()

    def close(self) -> None:
        """End all streams at the shutdown of the server."""
        self._closed = True
        self._added.set()

    def _add(self, committed: Committed) -> None:
        record = encoded_record_of(committed)
        self._buffer.append(record)
        self._buffer_bytes += len(record.encoded)
        while self._buffer_bytes > BUFFER_BYTES:
            self._buffer_bytes -= len(self._buffer.popleft().encoded)

    async def after(
        self, sequence: int, idle_s: float, stream_filter: StreamFilter
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield each record after a sequence as (sequence, JSON), without a gap, until closed.

        After `idle_s` without a record, yield the last sequence read and nothing.
        """
        now_s = asyncio.get_running_loop().time
        sent_s = now_s()
        self.readers += 1
        try:
            while not self._closed:
                added = self._added
                page = await self._page(sequence)
                for record in page:
                    sequence = record.sequence
                    if encoded := stream_filter.apply(record):
                        yield sequence, encoded
                        sent_s = now_s()
                left_s = sent_s + idle_s - now_s()
                if left_s <= 0 or not (page or await _is_set(added, left_s)):
                    yield sequence, b""
                    sent_s = now_s()
        finally:
            self.readers -= 1
            if not self.readers:
                self._buffer.clear()
                self._buffer_bytes = 0

    async def _page(self, after: int) -> list[EncodedRecord]:
        """Return the records after a sequence, from the buffer or else from the journal."""
        if self._buffer and self._buffer[0].sequence <= after + 1:
            first = after + 1 - self._buffer[0].sequence
            end = min(first + PAGE_RECORDS, len(self._buffer))
            return [self._buffer[index] for index in range(first, end)]
        return await self._runner.look_up(lambda journal: _read(journal, after))


def _read(journal: SqliteJournal, after: int) -> list[EncodedRecord]:
    """Return a page of the journal, encoded on the thread that reads it."""
    records = journal.intact_records(after, after + PAGE_RECORDS)
    return [encoded_record_of(committed_of(record)) for record in records]


def encoded_record_of(committed: Committed) -> EncodedRecord:
    """Return a record as JSON, with the types of its events."""
    encoded = _encoder.encode(
        RecordResponse(
            sequence=committed.sequence,
            time_ms=committed.time_ms,
            command=str(committed.command.__struct_config__.tag),
            id=committed.command.id,
            events=committed.events,  # type: ignore[arg-type]
        )
    )
    return EncodedRecord(committed.sequence, encoded, frozenset(map(type_of, committed.events)))


def type_of(event: msgspec.Struct) -> str:
    """Return the type of an event in JSON."""
    return str(event.__struct_config__.tag)


async def _is_set(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for an event; return whether it was set in time."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return False
    return True
