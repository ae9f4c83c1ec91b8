"""The lock of a journal: one process writes it at a time.

The journal itself rejects a record that does not follow its head, but then the process that fails
would be the server that has run for months, not the second one started beside it by mistake. The
lock makes the second process fail before it writes anything.
"""

import fcntl
import os
import weakref
from pathlib import Path

from delever.journal import JournalError

MEMORY = ":memory:"


class JournalLock:
    """An exclusive lock on `JOURNAL.lock`, until `close`, or until the object or process ends.

    The file stays after the lock is released; it is empty and means nothing then. Raises
    JournalError where another process has the lock. A journal in memory needs no lock.
    """

    def __init__(self, path: str | Path) -> None:
        self._release: weakref.finalize[[int], JournalLock] | None = None
        if str(path) == MEMORY:
            return
        journal = Path(path).resolve()
        try:
            lock = os.open(journal.with_name(f"{journal.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
            self._release = weakref.finalize(self, os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise JournalError(f"{path}: another process writes this journal") from None
        except (OSError, ValueError) as error:
            self.close()
            raise JournalError(f"{path}: cannot be opened for writing: {error}") from error

    def close(self) -> None:
        """Release the lock."""
        if self._release is not None:
            self._release()
