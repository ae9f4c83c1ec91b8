"""The interface of a replicated log: four methods and `close`, and the errors that they raise.

A log numbers its messages 1, 2, 3 ... without holes. A message that `append` has acknowledged is
read by every reader, for ever, at that number, until the log is truncated beyond it.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class LogMessage(NamedTuple):
    """One message of a log with its sequence, which begins at 1."""

    sequence: int
    body: bytes


class LogEnds(NamedTuple):
    """The first and last sequence of a log; `last` is `first - 1` where it has no message."""

    first: int
    last: int


class LogError(Exception):
    """Raised for a log that cannot be used as it is; the message names the remedy."""


class LogUnavailable(LogError):  # noqa: N818 - a state that passes, named as operators do
    """Raised where no broker answers in time. Nothing is known about the request; try again."""


class LogGap(LogError):  # noqa: N818 - the field's word
    """Raised where a broker answers with a later message than the next one.

    The message exists or existed: a broker with a damaged file skips it and reports itself current
    (nats-server issue 7549). A reader never skips it, and asks again: any broker may answer.
    """

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(
            f"message {expected} is missing: a broker answered with {found}; find the broker whose "
            "file is damaged, make another one lead, stop it, delete its store and start it again"
        )
        self.expected = expected
        self.found = found


class CommandLog(Protocol):
    """A log that several replicas append to and read; methods may be called concurrently."""

    max_body_bytes: int
    """Largest body of a message."""

    async def append(self, message_id: str, body: bytes) -> int:
        """Append a message and return its sequence once a majority of disks has it.

        Raises LogUnavailable where that is not known: the caller appends it again under the same
        id, which stores it once within the log's window of ids, and possibly twice beyond it.
        """

    async def read(self, after: int, limit: int) -> Sequence[LogMessage]:
        """Return up to `limit` messages after a sequence, in order and without a hole.

        An empty answer means that the broker has no later message. Raises LogGap, LogUnavailable.
        """

    async def ends(self) -> LogEnds:
        """Return the first and last sequence; raise LogUnavailable."""

    async def truncate(self, before: int) -> None:
        """Delete the messages before a sequence, which no replica may need any more."""

    async def close(self) -> None:
        """Close the connections; the log may not be used after."""
