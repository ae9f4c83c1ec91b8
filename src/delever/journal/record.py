"""One command with its events, sealed into a chain: each hash covers the one before."""

import hashlib
from typing import NamedTuple

import msgspec

_encoder = msgspec.msgpack.Encoder()


def digest(content: bytes) -> bytes:
    """Return the 32-byte BLAKE2b hash that everything in a journal is sealed with."""
    return hashlib.blake2b(content, digest_size=32).digest()


GENESIS = digest(b"delever journal 1")
"""What the first record follows. It names the format, so that formats never share a chain."""


class Head(NamedTuple):
    """The newest record: its sequence (0 where there is none yet) and its hash."""

    sequence: int
    hash: bytes


EMPTY = Head(0, GENESIS)


class Record(NamedTuple):
    """One command and all that followed from it.

    `time_ms` is the engine's time after the command. `command` and `events` are bytes that
    `codec` reads. `book_hash` covers what the events changed in the book.
    """

    sequence: int
    time_ms: int
    command: bytes
    events: bytes
    previous_hash: bytes
    book_hash: bytes
    hash: bytes

    def content_hash(self) -> bytes:
        """Return the hash that this content should carry."""
        return _sealed(self[:6])

    @property
    def head(self) -> Head:
        """The record as the head of its journal."""
        return Head(self.sequence, self.hash)


def seal(
    sequence: int,
    time_ms: int,
    command: bytes,
    events: bytes,
    previous_hash: bytes,
    book_hash: bytes,
) -> Record:
    """Return the record of this content, with its hash."""
    content = (sequence, time_ms, command, events, previous_hash, book_hash)
    return Record(*content, _sealed(content))


def _sealed(content: tuple[int, int, bytes, bytes, bytes, bytes]) -> bytes:
    """Return the hash of the content as MessagePack; what is long is not copied for it."""
    if len(content[2]) + len(content[3]) < 2**16:
        return digest(_encoder.encode(content))
    hashed = hashlib.blake2b(bytes([0x90 + len(content)]), digest_size=32)
    for part in content:
        if isinstance(part, bytes) and len(part) >= 2**16:
            hashed.update(b"\xc6" + len(part).to_bytes(4, "big"))
            hashed.update(part)
        else:
            hashed.update(_encoder.encode(part))
    return hashed.digest()


class Snapshot(NamedTuple):
    """The whole book as it stood after one record; `body` is what `snapshot` reads."""

    sequence: int
    record_hash: bytes
    body: bytes
    hash: bytes

    def content_hash(self) -> bytes:
        """Return the hash that this content should carry."""
        return digest(_encoder.encode(self[:3]))


def seal_snapshot(head: Head, body: bytes) -> Snapshot:
    """Return the snapshot of a book as it stands after the head, with its hash."""
    return Snapshot(*head, body, digest(_encoder.encode((*head, body))))
