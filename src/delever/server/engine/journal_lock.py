"""One process writes a journal at a time: whoever comes second is told, before anything is moved.

The journal itself refuses what does not follow its head; but the rejected one would be the server
that has run for months, because of a second one that was started beside it by mistake.
"""

import fcntl
import os
import weakref
from pathlib import Path

from delever.journal import JournalError

MEMORY = ":memory:"


class Claim:
    """A lock on `JOURNAL.lock`, held until `close`, or until the object or its process ends.

    The file stays: it is empty, and without a holder it means nothing. Raises JournalError where
    another process holds it. A journal in memory is nobody else's, and needs none.
    """

    def __init__(self, path: str | Path) -> None:
        self._held: weakref.finalize[[int], Claim] | None = None
        if str(path) == MEMORY:
            return
        beside = Path(path).resolve()
        try:
            lock = os.open(beside.with_name(f"{beside.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
            self._held = weakref.finalize(self, os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise JournalError(
                f"{path}: another process writes this journal; of two, one would stop the other"
            ) from None
        except (OSError, ValueError) as error:
            self.close()
            raise JournalError(f"{path}: cannot be opened for writing: {error}") from error

    def close(self) -> None:
        """Let the next one in."""
        if self._held is not None:
            self._held()
