"""The server's event stream for a page, resumed after the last record when it breaks.

While the stream is broken, or silent for longer than the server's heartbeat allows, what the page
displays is stale, and `error` is the reason.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from delever.dashboard.data.api_client import ApiClient, ApiClientError, StreamRecord

SILENCE_LIMIT_S = 40.0
"""Silence after which the stream counts as broken; the server sends a heartbeat every 15 s."""

RETRY_MIN_S, RETRY_MAX_S = 0.5, 10.0
"""Wait before the stream is resumed: doubled with every failure, up to the second value."""


@dataclass(slots=True)
class EventStream:
    """Reads records after sequence `after` and keeps that position up to date.

    `error` says why the page is stale and is empty while the stream is live.
    """

    after: int
    types: tuple[str, ...]
    error: str = "connecting"
    needs_key: bool = False
    _retry_s: float = RETRY_MIN_S

    async def run(
        self,
        client: ApiClient,
        on_record: Callable[[StreamRecord], None],
        on_change: Callable[[], None],
    ) -> None:
        """Pass on every record until cancelled, or until the server asks for a key.

        `on_change` is called whenever `error` may have changed.
        """
        while not self.needs_key:
            try:
                async with asyncio.timeout(None) as silence:
                    await self._read(client, on_record, on_change, silence)
            except TimeoutError:
                self.error = f"the server has sent nothing for {SILENCE_LIMIT_S:.0f} s"
            except ApiClientError as error:
                self.needs_key = error.status in {401, 403}
                self.error = str(error)
            on_change()
            await asyncio.sleep(self._retry_s)
            self._retry_s = min(2 * self._retry_s, RETRY_MAX_S)

    async def _read(
        self,
        client: ApiClient,
        on_record: Callable[[StreamRecord], None],
        on_change: Callable[[], None],
        silence: asyncio.Timeout,
    ) -> None:
        now_s = asyncio.get_running_loop().time
        silence.reschedule(now_s() + SILENCE_LIMIT_S)
        async for sequence, record in client.stream(self.types, self.after):
            silence.reschedule(now_s() + SILENCE_LIMIT_S)
            if self.error:
                self.error, self._retry_s = "", RETRY_MIN_S
                on_change()
            self.after = sequence
            if record is not None:
                on_record(record)
        self.error = "the stream has ended"
