"""What every channel says of what it sent."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from delever.server.notifications.outbox import Claimed

TIMEOUT_MS = 10_000
"""How long one attempt may take."""


class Failure(NamedTuple):
    """Why a letter did not arrive; `permanent` where trying again is of no use."""

    error: str
    permanent: bool = False


class Result(NamedTuple):
    """What came of one letter; None is arrived."""

    claimed: Claimed
    failure: Failure | None


class Sender(Protocol):
    """One channel's way out."""

    def send(self, batch: Sequence[Claimed]) -> AsyncIterator[Result]:
        """Yield what came of each letter; what is not yielded was not tried."""
