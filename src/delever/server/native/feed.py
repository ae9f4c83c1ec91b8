"""Records as they happen, for any number of readers, each at a place of its own.

The newest records are kept encoded, once for all; a reader who is behind them reads the journal. So
nobody misses a record, and a reader costs no memory of its own: where it stands is one number.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence

import msgspec

from delever.journal import SqliteJournal
from delever.server.native.answers import RecordShown
from delever.server.runner import Committed, Runner
from delever.server.writer import committed_of

KEPT_BYTES = 16 * 1024 * 1024
"""Encoded records that are kept for readers who keep up."""

PAGE = 200
"""Records that a reader who is behind takes from the journal at a time."""

_encoder = msgspec.json.Encoder()


class Feed:
    """Keeps the newest records while anybody reads; `tell` is told of every commit.

    `held` counts the streams of each address.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._kept: deque[tuple[int, bytes]] = deque()
        self._kept_bytes = 0
        self._news = asyncio.Event()
        self.readers = 0
        self.held: Counter[str] = Counter()

    def tell(self, committed: Sequence[Committed]) -> None:
        """Keep new records, and wake those who wait."""
        if self.readers:
            for each in committed:
                self._keep(each)
            self._news.set()
            self._news = asyncio.Event()

    def _keep(self, committed: Committed) -> None:
        encoded = encode(committed)
        self._kept.append((committed.sequence, encoded))
        self._kept_bytes += len(encoded)
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft()[1])

    async def after(self, sequence: int, idle_s: float) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield each record after a sequence as (sequence, JSON), without a gap, and on for ever.

        While nothing happens, (the sequence so far, nothing) every `idle_s`.
        """
        self.readers += 1
        try:
            while True:
                news = self._news
                page = await self._page(sequence)
                for at, encoded in page:
                    yield at, encoded
                    sequence = at
                if not page and not await _happened(news, idle_s):
                    yield sequence, b""
        finally:
            self.readers -= 1
            if not self.readers:
                self._kept.clear()
                self._kept_bytes = 0

    async def _page(self, after: int) -> list[tuple[int, bytes]]:
        """Return what follows a sequence: of what is kept, else from the journal."""
        if self._kept and self._kept[0][0] <= after + 1:
            first = after + 1 - self._kept[0][0]
            return [self._kept[at] for at in range(first, min(first + PAGE, len(self._kept)))]
        return await self._runner.look_up(lambda journal: _read(journal, after))


def _read(journal: SqliteJournal, after: int) -> list[tuple[int, bytes]]:
    """Return a page of the journal, encoded on the thread that reads it."""
    records = journal.records(after, after + PAGE)
    return [(each.sequence, encode(committed_of(each))) for each in records]


def encode(committed: Committed) -> bytes:
    """Return a record as JSON."""
    return _encoder.encode(
        RecordShown(
            sequence=committed.sequence,
            time_ms=committed.time_ms,
            command=str(committed.command.__struct_config__.tag),
            id=committed.command.id,
            events=committed.events,  # type: ignore[arg-type]
        )
    )


async def _happened(news: asyncio.Event, idle_s: float) -> bool:
    try:
        await asyncio.wait_for(news.wait(), idle_s)
    except TimeoutError:
        return False
    return True
