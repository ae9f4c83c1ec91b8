"""The worker of a channel: claims notifications that are due, sends them, records the results."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple, Protocol

from delever.server.notifications.outbox import ClaimedNotification, Outbox

BATCH_SIZE = 50
"""Notifications claimed at one time."""

ATTEMPT_TIMEOUT_MS = 10_000
"""How long one attempt may take."""

CLAIM_MS = 6 * ATTEMPT_TIMEOUT_MS
"""How long a claim is valid; afterwards another process may send the notification."""

MAX_DOUBLINGS = 100
"""Doublings of the first wait after which it exceeds any configured maximum."""


class DeliveryFailure(NamedTuple):
    """Why a notification was not delivered; `permanent` where a retry would fail, too."""

    error: str
    permanent: bool = False


class DeliveryResult(NamedTuple):
    """The result of one attempt; without a failure the notification was delivered."""

    claimed: ClaimedNotification
    failure: DeliveryFailure | None


class ChannelSender(Protocol):
    """Sends the notifications of one channel."""

    def send(self, batch: Sequence[ClaimedNotification]) -> AsyncIterator[DeliveryResult]:
        """Yield the result of each attempt; a notification without a result was not tried."""


class RetryPolicy(NamedTuple):
    """Waits after failures: the first one doubles up to the maximum, until the delivery expires.

    A delivery is given up once its waits add up to more than `give_up_after_ms`. The sum is known
    from the number of attempts: a clock that jumps gives up nothing, and neither does a server
    that was down.

        >>> retry = RetryPolicy(initial_ms=1_000, max_ms=8_000, give_up_after_ms=20_000)
        >>> [retry.waited_ms(attempts) for attempts in (1, 2, 3, 4, 5, 6)]
        [1000, 3000, 7000, 15000, 23000, 31000]
        >>> [attempts for attempts in range(9) if retry.is_given_up(attempts)]
        [5, 6, 7, 8]
    """

    initial_ms: int
    max_ms: int
    give_up_after_ms: int

    def wait_ms(self, attempts: int) -> int:
        """Return how long to wait after this many failed attempts, from 1."""
        return min(self.initial_ms << min(attempts - 1, MAX_DOUBLINGS), self.max_ms)

    def waited_ms(self, attempts: int) -> int:
        """Return the sum of the waits after this many failed attempts."""
        doubling = range(1, min(attempts, MAX_DOUBLINGS) + 1)
        return sum(map(self.wait_ms, doubling)) + (attempts - len(doubling)) * self.max_ms

    def is_given_up(self, attempts: int) -> bool:
        """Return whether a delivery ends with this many failed attempts."""
        return self.waited_ms(attempts) > self.give_up_after_ms


class DeliveryWorker:
    """Sends the notifications of one channel."""

    def __init__(
        self,
        channel: str,
        sender: ChannelSender,
        outbox: Outbox,
        retry: RetryPolicy,
        now_ms: Callable[[], int],
    ) -> None:
        self.channel = channel
        self._sender = sender
        self._outbox = outbox
        self._retry = retry
        self._now_ms = now_ms

    async def deliver(self) -> list[DeliveryResult]:
        """Send one batch of notifications that are due; return the result of each attempt."""
        batch = await self._outbox.claim(
            self.channel, limit=BATCH_SIZE, claim_ms=CLAIM_MS, max_wait_ms=self._retry.max_ms
        )
        untried = {claimed.id: claimed for claimed in batch}
        results = []
        if batch:
            async for result in self._sender.send(batch):
                await self._record(result)
                del untried[result.claimed.id]
                results.append(result)
        for claimed in untried.values():
            await self._outbox.release(claimed)
        return results

    async def _record(self, result: DeliveryResult) -> None:
        """Record a result: delivered, failed for good, or to be tried again and when."""
        claimed, failure = result
        if failure is None:
            await self._outbox.mark_sent(claimed)
            return
        attempts = claimed.attempts + 1
        if failure.permanent:
            await self._outbox.mark_failed(claimed, failure.error)
        elif self._retry.is_given_up(attempts):
            await self._outbox.mark_failed(claimed, f"given up: {failure.error}")
        else:
            next_try_ms = self._now_ms() + self._retry.wait_ms(attempts)
            await self._outbox.retry(claimed, failure.error, next_try_ms)
