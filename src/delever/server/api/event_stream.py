"""Records as they happen, for any number of readers, each at a place of its own.

The newest records are kept encoded, once for all; a reader who is behind them reads the journal. So
nobody misses a record, and a reader costs no memory of its own: where it stands is one number.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from delever.api_types.market import RecordShown
from delever.journal import SqliteJournal
from delever.server.api.masking import Sight
from delever.server.engine.commit import committed_of
from delever.server.engine.service import Committed, Runner

KEPT_BYTES = 16 * 1024 * 1024
"""Encoded records that are kept for readers who keep up."""

PAGE = 200
"""Records that a reader who is behind takes from the journal at a time."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(RecordShown)


class Kept(NamedTuple):
    """A record as JSON, and the types of its events."""

    sequence: int
    encoded: bytes
    types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a reader is told of each record: events of some types (None: all), as `sight` says."""

    types: frozenset[str] | None
    sight: Sight

    def of(self, kept: Kept) -> bytes:
        """Return a record as this reader is told it, or nothing."""
        if self.types is None and self.sight.everybody:
            return kept.encoded
        if self.types is not None and self.types.isdisjoint(kept.types):
            return b""
        record = _decoder.decode(kept.encoded)
        told = [
            self.sight.told(event)
            for event in record.events
            if self.types is None or type_of(event) in self.types
        ]
        named = record.id if self.sight.everybody else ""
        return _encoder.encode(msgspec.structs.replace(record, id=named, events=tuple(told)))


class Feed:
    """Keeps the newest records while anybody reads; `tell` is told of every commit.

    `held` counts the streams of each address.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._kept: deque[Kept] = deque()
        self._kept_bytes = 0
        self._news = asyncio.Event()
        self._closed = False
        self.readers = 0
        self.held: Counter[str] = Counter()

    def tell(self, committed: Sequence[Committed]) -> None:
        """Keep new records, and wake those who wait."""
        if self.readers:
            for each in committed:
                self._keep(each)
            self._news.set()
            self._news = asyncio.Event()

    def close(self) -> None:
        """End every reading: the server is being shut down, and should not wait for its readers."""
        self._closed = True
        self._news.set()

    def _keep(self, committed: Committed) -> None:
        kept = kept_of(committed)
        self._kept.append(kept)
        self._kept_bytes += len(kept.encoded)
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft().encoded)

    async def after(
        self, sequence: int, idle_s: float, choice: Choice
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield each record after a sequence as (sequence, JSON), without a gap, until closed.

        While nothing is told for `idle_s`, (the sequence so far, nothing).
        """
        now_s = asyncio.get_running_loop().time
        told_s = now_s()
        self.readers += 1
        try:
            while not self._closed:
                news = self._news
                page = await self._page(sequence)
                for kept in page:
                    sequence = kept.sequence
                    if told := choice.of(kept):
                        yield sequence, told
                        told_s = now_s()
                left_s = told_s + idle_s - now_s()
                if left_s <= 0 or not (page or await _happened(news, left_s)):
                    yield sequence, b""
                    told_s = now_s()
        finally:
            self.readers -= 1
            if not self.readers:
                self._kept.clear()
                self._kept_bytes = 0

    async def _page(self, after: int) -> list[Kept]:
        """Return what follows a sequence: of what is kept, else from the journal."""
        if self._kept and self._kept[0].sequence <= after + 1:
            first = after + 1 - self._kept[0].sequence
            return [self._kept[at] for at in range(first, min(first + PAGE, len(self._kept)))]
        return await self._runner.look_up(lambda journal: _read(journal, after))


def _read(journal: SqliteJournal, after: int) -> list[Kept]:
    """Return a page of the journal, encoded on the thread that reads it."""
    return [kept_of(committed_of(each)) for each in journal.records(after, after + PAGE)]


def kept_of(committed: Committed) -> Kept:
    """Return a record as JSON, with the types of its events."""
    encoded = _encoder.encode(
        RecordShown(
            sequence=committed.sequence,
            time_ms=committed.time_ms,
            command=str(committed.command.__struct_config__.tag),
            id=committed.command.id,
            events=committed.events,  # type: ignore[arg-type]
        )
    )
    return Kept(committed.sequence, encoded, frozenset(map(type_of, committed.events)))


def type_of(event: msgspec.Struct) -> str:
    """Return an event's type as JSON says it."""
    return str(event.__struct_config__.tag)


async def _happened(news: asyncio.Event, idle_s: float) -> bool:
    try:
        await asyncio.wait_for(news.wait(), idle_s)
    except TimeoutError:
        return False
    return True
