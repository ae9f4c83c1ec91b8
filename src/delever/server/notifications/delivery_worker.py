"""One channel's worker: claims what is due, sends it, notes what came of it."""

from collections.abc import Callable

from delever.config import NoticesConfig
from delever.server.notifications.outbox import Channel, Outbox
from delever.server.notifications.sender import TIMEOUT_MS, Result, Sender

BATCH = 50
"""Letters claimed at one time."""

HOLD_MS = 6 * TIMEOUT_MS
"""How long a claim holds: beyond it another sender may try, and this one must not."""


def wait_ms(attempts: int, notices: NoticesConfig) -> int:
    """Return how long to wait after so many failures: doubling from the first, up to the longest.

    From a hundred doublings on it is the longest in any case.
    """
    doubled = notices.retry_initial_ms << min(attempts - 1, 100)
    return min(doubled, notices.retry_max_ms)


class Courier:
    """Sends one channel's letters."""

    def __init__(
        self,
        channel: Channel,
        sender: Sender,
        outbox: Outbox,
        notices: NoticesConfig,
        now_ms: Callable[[], int],
    ) -> None:
        self.channel = channel
        self._sender = sender
        self._outbox = outbox
        self._notices = notices
        self._now_ms = now_ms

    async def round(self) -> list[Result]:
        """Send one batch of what is due; return what came of each letter tried."""
        batch = await self._outbox.claim(self.channel, limit=BATCH, hold_ms=HOLD_MS)
        untried = {claimed.number: claimed for claimed in batch}
        results = []
        if batch:
            async for result in self._sender.send(batch):
                await self._note(result)
                del untried[result.claimed.number]
                results.append(result)
        for claimed in untried.values():
            await self._outbox.release(claimed)
        return results

    async def _note(self, result: Result) -> None:
        """Keep what came of a letter: arrived, given up, or to be tried again and when."""
        claimed, failure = result
        if failure is None:
            await self._outbox.sent(claimed)
            return
        now_ms = self._now_ms()
        next_try_ms = now_ms + wait_ms(claimed.attempts + 1, self._notices)
        if failure.permanent:
            await self._outbox.failed(claimed, failure.error)
        elif next_try_ms > claimed.made_ms + self._notices.give_up_after_ms:
            await self._outbox.failed(claimed, f"given up: {failure.error}")
        else:
            await self._outbox.later(claimed, failure.error, next_try_ms)
