"""Events as they happen, over the server's own stream; broken off, it is taken up where it was.

While the server is silent for longer than it ever should be, or cannot be reached, what is shown is
stale, and says since when.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from delever.dashboard.data.api_client import RecordTold, Source, SourceError

SILENT_S = 40.0
"""The server says at least every 15 s that nothing has happened."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
"""How long it is waited before the stream is taken up again: longer each time that it fails."""


@dataclass(slots=True)
class Following:
    """Where a stream of events stands. `trouble` is why what is shown may be stale, or empty."""

    after: int
    types: tuple[str, ...]
    trouble: str = "connecting"
    wants_key: bool = False
    _wait_s: float = FIRST_WAIT_S

    async def follow(
        self, source: Source, tell: Callable[[RecordTold], None], changed: Callable[[], None]
    ) -> None:
        """Tell every record after `after`, for ever; `changed` where there is trouble, or none."""
        while not self.wants_key:
            try:
                async with asyncio.timeout(None) as patience:
                    await self._listen(source, tell, changed, patience)
            except TimeoutError:
                self._fail(f"the server has said nothing for {SILENT_S:.0f} s")
            except SourceError as error:
                self.wants_key = error.status in {401, 403}
                self._fail(str(error))
            changed()
            await asyncio.sleep(self._wait_s)
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    async def _listen(
        self,
        source: Source,
        tell: Callable[[RecordTold], None],
        changed: Callable[[], None],
        patience: asyncio.Timeout,
    ) -> None:
        now_s = asyncio.get_running_loop().time
        patience.reschedule(now_s() + SILENT_S)
        async for sequence, record in source.stream(self.types, self.after):
            patience.reschedule(now_s() + SILENT_S)
            if self.trouble:
                self.trouble, self._wait_s = "", FIRST_WAIT_S
                changed()
            self.after = sequence
            if record is not None:
                tell(record)
        self._fail("the stream has ended")

    def _fail(self, trouble: str) -> None:
        self.trouble = trouble
