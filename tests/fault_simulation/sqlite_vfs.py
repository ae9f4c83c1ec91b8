"""The simulated disk as the file system of SQLite: the one that `sqlite3` of this process uses.

SQLite asks a VFS, a table of C functions, for every byte: https://sqlite.org/vfs.html. The table is
registered in the library that Python's `sqlite3` has loaded, so the code under test is unchanged.
(apsw wraps a VFS, but brings a SQLite of its own, which `sqlite3` does not see.)
"""

import ctypes
import ctypes.util
import functools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from simulated_disk import DiskError, SimulatedDisk, SimulatedFile

from delever.journal import SqliteJournal, sqlite

OK, BUSY, IOERR, FULL, CANTOPEN = 0, 5, 10, 13, 14
CODES = {
    "read": IOERR | 1 << 8,
    "write": IOERR | 3 << 8,
    "sync": IOERR | 4 << 8,
    "truncate": IOERR | 6 << 8,
    "delete": IOERR | 10 << 8,
    "open": CANTOPEN,
    "full": FULL,
}
SHORT_READ = IOERR | 2 << 8
NO_SUCH_FILE = IOERR | 23 << 8
NOT_FOUND = 12
OPEN_READONLY, OPEN_CREATE, DELETE_ON_CLOSE = 0x1, 0x4, 0x8
POWERSAFE_OVERWRITE = 0x1000
SHM_UNLOCK, SHM_LOCK, SHM_SHARED, SHM_EXCLUSIVE = 1, 2, 4, 8
SHARED, RESERVED, PENDING, EXCLUSIVE = 1, 2, 3, 4
SHM_SLOTS = 8

int_, int64, pointer, text = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p
int_out, int64_out = ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int64)


@dataclass
class OpenFile:
    """One open file of one connection, and the locks that it has."""

    path: str
    file: SimulatedFile
    generation: int
    delete_on_close: bool = False
    is_readonly: bool = False
    lock: int = 0
    shm_shared: set[int] = field(default_factory=set)
    shm_exclusive: set[int] = field(default_factory=set)
    regions: list[ctypes.Array[ctypes.c_char]] | None = None


class _FileHeader(ctypes.Structure):
    _fields_ = (("methods", pointer), ("number", int64))


FILE_METHODS: dict[str, tuple[type, ...]] = {
    "close": (pointer,),
    "read": (pointer, pointer, int_, int64),
    "write": (pointer, pointer, int_, int64),
    "truncate": (pointer, int64),
    "sync": (pointer, int_),
    "size": (pointer, int64_out),
    "lock": (pointer, int_),
    "unlock": (pointer, int_),
    "reserved": (pointer, int_out),
    "control": (pointer, int_, pointer),
    "sector": (pointer,),
    "characteristics": (pointer,),
    "shm_map": (pointer, int_, int_, int_, ctypes.POINTER(pointer)),
    "shm_lock": (pointer, int_, int_, int_),
    "shm_barrier": (pointer,),
    "shm_unmap": (pointer, int_),
}
DISK_METHODS: dict[str, tuple[type, ...]] = {
    "open": (pointer, text, pointer, int_, int_out),
    "delete": (pointer, text, int_),
    "access": (pointer, text, int_, int_out),
    "full_path": (pointer, text, int_, pointer),
    "dl_open": (pointer, text),
    "dl_error": (pointer, int_, pointer),
    "dl_sym": (pointer, pointer, text),
    "dl_close": (pointer, pointer),
    "randomness": (pointer, int_, pointer),
    "sleep": (pointer, int_),
    "time": (pointer, ctypes.POINTER(ctypes.c_double)),
    "last_error": (pointer, int_, pointer),
    "time_int64": (pointer, int64_out),
}


class _Methods(ctypes.Structure):
    _fields_ = (
        ("version", int_),
        *((name, ctypes.CFUNCTYPE(int_, *types)) for name, types in FILE_METHODS.items()),
    )


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", int_),
        ("file_bytes", int_),
        ("path_bytes", int_),
        ("next", pointer),
        ("name", text),
        ("data", pointer),
        *((name, ctypes.CFUNCTYPE(int_, *types)) for name, types in DISK_METHODS.items()),
    )


@functools.cache
def library() -> ctypes.CDLL:
    """Return the library of SQLite that Python's `sqlite3` uses."""
    name = ctypes.util.find_library("sqlite3")
    if name is None:
        raise OSError("the shared library of SQLite is not found; install libsqlite3")
    loaded = ctypes.CDLL(name)
    loaded.sqlite3_vfs_find.restype = pointer
    return loaded


class SqliteVfs:
    """The functions that SQLite calls, on a disk; `bugs` are errors of the functions themselves."""

    def __init__(self, disk: SimulatedDisk, seed: int) -> None:
        self.disk = disk
        self.bugs: list[Exception] = []
        self._random = random.Random(seed)
        self._open: dict[int, OpenFile] = {}
        self._opened = 0
        self._regions: dict[str, list[ctypes.Array[ctypes.c_char]]] = {}
        self._methods = _Methods(2, *self._callbacks("file", FILE_METHODS))
        self.table = _Vfs(
            2,
            ctypes.sizeof(_FileHeader),
            512,
            None,
            b"simulated",
            None,
            *self._callbacks("disk", DISK_METHODS),
        )

    @property
    def has_open_files(self) -> bool:
        return bool(self._open)

    def _callbacks(self, kind: str, methods: dict[str, tuple[type, ...]]) -> Iterator[object]:
        for name, types in methods.items():
            function = getattr(self, f"_{kind}_{name}", self._nothing)
            yield ctypes.CFUNCTYPE(int_, *types)(functools.partial(self._guarded, function))

    def _guarded(self, function: Callable[..., int], *arguments: object) -> int:
        """Return a result code: an exception must not leave a callback."""
        try:
            return function(*arguments)
        except DiskError as error:
            return CODES[error.operation]
        except Exception as error:  # noqa: BLE001
            self.bugs.append(error)
            return IOERR

    def _nothing(self, *_arguments: object) -> int:
        return OK

    # --- the file system ---

    def _disk_open(
        self, _vfs: int, name: bytes | None, header: int, flags: int, out: object
    ) -> int:
        place = _FileHeader.from_address(header)
        place.methods = None  # SQLite closes the file only where the methods are set
        path = name.decode() if name else f"temporary-{self._opened}"
        file = self.disk.open(path, create=bool(flags & OPEN_CREATE))
        self._opened += 1
        self._open[self._opened] = OpenFile(
            path,
            file,
            self.disk.generation,
            delete_on_close=bool(flags & DELETE_ON_CLOSE),
            is_readonly=bool(flags & OPEN_READONLY),
        )
        place.methods, place.number = ctypes.addressof(self._methods), self._opened
        if out:
            out[0] = flags  # type: ignore[index]
        return OK

    def _disk_delete(self, _vfs: int, name: bytes, durably: int) -> int:
        if name.decode() not in self.disk.files:
            return NO_SUCH_FILE
        self.disk.delete(name.decode(), durably=bool(durably))
        return OK

    def _disk_access(self, _vfs: int, name: bytes, _flags: int, out: ctypes.Array[int_]) -> int:
        file = self.disk.files.get(name.decode())
        out[0] = int(file is not None and len(file.cached) > 0)  # an empty file counts as none
        return OK

    def _disk_full_path(self, _vfs: int, name: bytes, size: int, out: int) -> int:
        ctypes.memmove(out, name + b"\0", min(len(name) + 1, size))
        return OK

    def _disk_randomness(self, _vfs: int, size: int, out: int) -> int:
        ctypes.memmove(out, self._random.randbytes(size), size)
        return size

    def _disk_sleep(self, _vfs: int, microseconds: int) -> int:
        return microseconds

    def _disk_time(self, _vfs: int, out: ctypes.Array[ctypes.c_double]) -> int:
        out[0] = 2_440_587.5
        return OK

    def _disk_time_int64(self, _vfs: int, out: ctypes.Array[int64]) -> int:
        out[0] = 210_866_760_000_000
        return OK

    # --- one file ---

    def _of(self, header: int, operation: str) -> OpenFile:
        """Return the open file of a live process; one of an ended process does nothing more."""
        opened = self._open[_FileHeader.from_address(header).number]
        if opened.generation != self.disk.generation:
            raise DiskError(operation)
        return opened

    def _file_close(self, header: int) -> int:
        opened = self._open.pop(_FileHeader.from_address(header).number)
        alive = opened.generation == self.disk.generation
        if alive and opened.delete_on_close:
            self.disk.files.pop(opened.path, None)
        return OK

    def _file_read(self, header: int, out: int, size: int, offset: int) -> int:
        content = self.disk.read(self._of(header, "read").file, offset, size)
        ctypes.memmove(out, content.ljust(size, b"\0"), size)
        return OK if len(content) == size else SHORT_READ

    def _file_write(self, header: int, content: int, size: int, offset: int) -> int:
        opened = self._of(header, "write")
        self.disk.write(opened.file, offset, ctypes.string_at(content, size))
        return OK

    def _file_truncate(self, header: int, size: int) -> int:
        self.disk.truncate(self._of(header, "truncate").file, size)
        return OK

    def _file_sync(self, header: int, _flags: int) -> int:
        opened = self._of(header, "sync")
        self.disk.sync(opened.path, opened.file)
        return OK

    def _file_size(self, header: int, out: ctypes.Array[int64]) -> int:
        out[0] = len(self._of(header, "read").file.cached)
        return OK

    def _file_control(self, _header: int, _operation: int, _argument: int) -> int:
        return NOT_FOUND

    def _file_characteristics(self, _header: int) -> int:
        return POWERSAFE_OVERWRITE

    # --- locks between the connections of this process ---

    def _others(self, own: OpenFile) -> list[OpenFile]:
        return [
            other
            for other in self._open.values()
            if other is not own and (other.path, other.generation) == (own.path, own.generation)
        ]

    def _file_lock(self, header: int, level: int) -> int:
        own = self._of(header, "read")
        others = max((other.lock for other in self._others(own)), default=0)
        if own.lock >= level:
            return OK
        if others >= (PENDING if level == SHARED else RESERVED):
            return BUSY
        if own.is_readonly and level > SHARED:  # fcntl(2) does not lock it for writing
            return BUSY
        if level == EXCLUSIVE and others >= SHARED:
            own.lock = PENDING
            return BUSY
        own.lock = level
        return OK

    def _file_unlock(self, header: int, level: int) -> int:
        own = self._open[_FileHeader.from_address(header).number]
        own.lock = min(own.lock, level)
        return OK

    def _file_reserved(self, header: int, out: ctypes.Array[int_]) -> int:
        own = self._of(header, "read")
        out[0] = int(any(each.lock >= RESERVED for each in [own, *self._others(own)]))
        return OK

    def _file_shm_map(
        self, header: int, region: int, size: int, extend: int, out: ctypes.Array[pointer]
    ) -> int:
        own = self._of(header, "read")
        regions = self._regions.setdefault(f"{own.generation}:{own.path}", [])
        own.regions = regions
        while extend and len(regions) <= region:
            regions.append(ctypes.create_string_buffer(size))
        out[0] = ctypes.addressof(regions[region]) if region < len(regions) else None
        return OK

    def _file_shm_lock(self, header: int, first: int, count: int, flags: int) -> int:
        own = self._of(header, "read")
        slots = set(range(first, first + count))
        if flags & SHM_UNLOCK:
            own.shm_shared -= slots
            own.shm_exclusive -= slots
            return OK
        blocking = set().union(*(other.shm_exclusive for other in self._others(own)))
        if flags & SHM_EXCLUSIVE:
            blocking = blocking.union(*(other.shm_shared for other in self._others(own)))
        if blocking & slots:
            return BUSY
        (own.shm_exclusive if flags & SHM_EXCLUSIVE else own.shm_shared).update(slots)
        return OK

    def _file_shm_unmap(self, header: int, _delete: int) -> int:
        own = self._open[_FileHeader.from_address(header).number]
        own.regions = None
        if own.generation == self.disk.generation and not any(
            other.regions is not None for other in self._others(own)
        ):
            self._regions.pop(f"{own.generation}:{own.path}", None)
        return OK


_in_use: list[SqliteVfs] = []
"""SQLite calls the functions of a file until its last connection is collected as garbage."""


@contextmanager
def mounted(disk: SimulatedDisk, seed: int) -> Iterator[SqliteVfs]:
    """Use the disk for every SQLite file that this process opens within the block.

    Journals read all rows of a query at once: a cursor that is dropped by an exception would call
    these functions while the exception is pending, in which no Python function may run.
    """
    vfs = SqliteVfs(disk, seed)
    _in_use[:] = [*(each for each in _in_use if each.has_open_files), vfs]
    reading, rewriting = SqliteJournal._rows, sqlite.rewrite_file
    sqlite.rewrite_file = disk.rewrite
    SqliteJournal._rows = lambda journal, *query: iter(list(reading(journal, *query)))
    usual = library().sqlite3_vfs_find(None)
    library().sqlite3_vfs_register(ctypes.byref(vfs.table), 1)
    try:
        yield vfs
    finally:
        SqliteJournal._rows, sqlite.rewrite_file = reading, rewriting
        library().sqlite3_vfs_unregister(ctypes.byref(vfs.table))
        library().sqlite3_vfs_register(pointer(usual), 1)
    if vfs.bugs:
        raise vfs.bugs[0]
