"""A disk that loses, tears, refuses and spoils bytes as real ones do, from a seed.

A file has two contents: `cached`, which every process reads, and `durable`, which survives a loss
of power. A write reaches the cache and is pending until the file is synced. A loss of power makes
any subset of the pending writes durable, each whole or torn at a sector. A failed sync does the
same and forgets the rest, as Linux does: a later sync succeeds without them.
"""

import random
from dataclasses import dataclass, field

SECTOR_BYTES = 512

READ, WRITE, SYNC, OPEN, DELETE, TRUNCATE = "read", "write", "sync", "open", "delete", "truncate"


class DiskError(Exception):
    """Raised for an operation that fails; `operation` is its kind, "full" for a full disk.

    `fault` is the kind of the fault, "" where the process has ended before.
    """

    def __init__(self, operation: str, fault: str = "") -> None:
        super().__init__(f"{operation} failed")
        self.operation = operation
        self.fault = fault


@dataclass
class Fault:
    """A fault at the first fitting operation after some others.

    `kind` is `power` or `kill` (at any operation), or `write`, `sync`, `read`: that one fails.
    After `sync_and_kill` the process is killed before it learns that the sync has failed.
    """

    kind: str
    after: int

    def fits(self, operation: str) -> bool:
        return self.kind in {"power", "kill"} or self.kind.partition("_")[0] == operation


@dataclass
class SimulatedFile:
    """The contents of one file; `pending` are (offset, bytes), or (length, None): truncated."""

    cached: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    exists_durably: bool = False

    def write(self, offset: int, content: bytes | None) -> None:
        _apply(self.cached, offset, content)
        self.pending.append((offset, content))

    def sync(self) -> None:
        for offset, content in self.pending:
            _apply(self.durable, offset, content)
        self.pending.clear()
        self.exists_durably = True

    def sync_in_part(self, rng: random.Random) -> None:
        """Make any subset of the pending writes durable, each whole or torn; forget the others."""
        for offset, content in self.pending:
            chance = rng.random()
            if content is None or chance < 0.4:
                if chance < 0.5:
                    _apply(self.durable, offset, content)
            elif chance < 0.7:
                sectors = range(0, len(content), SECTOR_BYTES)
                for start in rng.sample(sectors, rng.randint(1, len(sectors))):
                    _apply(self.durable, offset + start, content[start : start + SECTOR_BYTES])
        self.pending.clear()


def _apply(content: bytearray, offset: int, written: bytes | None) -> None:
    if written is None:
        del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(written)] = written


class SimulatedDisk:
    """Files by path, and the faults to come.

    `operations` counts every operation. `halted` is the fault that has ended the process; every
    later operation fails until `restart`. `capacity` is the number of bytes of a full disk, or
    None. Only paths that end with one of `JOURNAL_FILES` lose the writes of a failed sync.
    """

    JOURNAL_FILES = (".db", ".db-wal", ".db-journal")

    def __init__(self, seed: int) -> None:
        self.files: dict[str, SimulatedFile] = {}
        self.faults: list[Fault] = []
        self.operations = 0
        self.generation = 0
        self.halted = ""
        self.capacity: int | None = None
        self.injected: dict[str, int] = {}
        self._random = random.Random(seed)
        self._deleted: dict[str, SimulatedFile] = {}

    # --- operations of a process; each may raise DiskError ---

    def open(self, path: str, *, create: bool) -> SimulatedFile:
        self._operate(OPEN)
        if path not in self.files:
            if not create:
                raise DiskError(OPEN)
            self.files[path] = SimulatedFile()
        return self.files[path]

    def read(self, file: SimulatedFile, offset: int, size: int) -> bytes:
        self._operate(READ)
        return bytes(file.cached[offset : offset + size])

    def write(self, file: SimulatedFile, offset: int, content: bytes) -> None:
        try:
            self._operate(WRITE)
        except DiskError:
            if self.halted != "kill":  # a write under way is whole, torn or absent
                file.write(offset, content[: self._random.randint(1, len(content))])
            raise
        grown = max(0, offset + len(content) - len(file.cached))
        if self.capacity is not None and grown and self.used + grown > self.capacity:
            self._count("full")
            raise DiskError("full")
        file.write(offset, content)

    def rewrite(self, path: str) -> None:
        """Write the bytes of a file again, and sync them; raises OSError."""
        if path not in self.files:
            return
        try:
            file = self.open(path, create=False)
            self.write(file, 0, self.read(file, 0, len(file.cached)))
            self.sync(path, file)
        except DiskError as error:
            raise OSError(str(error)) from error

    def truncate(self, file: SimulatedFile, size: int) -> None:
        self._operate(TRUNCATE)
        file.write(size, None)

    def sync(self, path: str, file: SimulatedFile) -> None:
        try:
            self._operate(SYNC)
        except DiskError as error:
            if error.fault.startswith(SYNC) and path.endswith(self.JOURNAL_FILES):
                file.sync_in_part(self._random)
            raise
        file.sync()
        self._deleted.clear()  # a journaling file system writes its log in order

    def delete(self, path: str, *, durably: bool) -> None:
        self._operate(DELETE)
        if path not in self.files:
            raise DiskError(DELETE)
        file = self.files.pop(path)
        if not durably and file.exists_durably:
            self._deleted[path] = file

    def _operate(self, operation: str) -> None:
        """Count one operation, and raise DiskError where a fault is due."""
        if self.halted:
            raise DiskError(operation)
        self.operations += 1
        for fault in self.faults:
            fault.after -= 1
        due = next((f for f in self.faults if f.after <= 0 and f.fits(operation)), None)
        if due is None:
            return
        self.faults.remove(due)
        self._count(due.kind)
        if due.kind.endswith(("power", "kill")):
            self.halted = due.kind.rpartition("_")[2]
        raise DiskError(operation, due.kind)

    def _count(self, kind: str) -> None:
        self.injected[kind] = self.injected.get(kind, 0) + 1

    # --- the world around the process ---

    @property
    def used(self) -> int:
        """Bytes of all files."""
        return sum(len(file.cached) for file in self.files.values())

    def halt(self, kind: str) -> None:
        """End the process between two operations, by `power` or `kill`."""
        self._count(kind)
        self.halted = kind

    def restart(self) -> None:
        """Start a new process; after a loss of power its files are what was durable."""
        self.generation += 1
        self.faults.clear()
        if self.halted == "power":
            self._lose_power()
        self.halted = ""

    def _lose_power(self) -> None:
        for path, file in self._deleted.items():
            if path not in self.files and self._random.random() < 0.5:
                self.files[path] = file
        self._deleted.clear()
        for path, file in list(self.files.items()):
            file.sync_in_part(self._random)
            if not file.exists_durably and self._random.random() < 0.5:
                del self.files[path]
            file.cached = bytearray(file.durable)
            file.exists_durably = True

    def rot(self, path: str, seed: int, bits: int) -> None:
        """Flip some bits of a file."""
        file = self.files.get(path)
        if file is None or not file.durable:
            return
        self._count("rot")
        rng = random.Random(seed)
        for _ in range(bits):
            bit = rng.randrange(8 * len(file.durable))
            for content in (file.durable, file.cached):
                if bit // 8 < len(content):
                    content[bit // 8] ^= 1 << bit % 8
