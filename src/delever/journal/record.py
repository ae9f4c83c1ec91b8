"""One command with its events, as bytes, sealed into a chain: each hash covers the previous one.

Commands and events are MessagePack with field names, so that a record can be read without this
program. Equal values give equal bytes, and bytes decode to the value. The order of a mapping is
part of its value (marks are applied in the given order) and is preserved.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from delever.core.messages import AnyCommand, AnyEvent, Command, Event
from delever.core.units import long_integers_as_text

_encoder = msgspec.msgpack.Encoder()
_command_decoder: msgspec.msgpack.Decoder[AnyCommand] = msgspec.msgpack.Decoder(AnyCommand)
ValueT = TypeVar("ValueT")

LONG_BYTES = 2**16
"""A bytes field of at least this length is hashed in place instead of being copied."""


# --- commands and events <-> bytes ---


def encode_exact(value: object) -> bytes:
    """Return the bytes of a value; an integer beyond 64 bits is encoded as text."""
    try:
        return _encoder.encode(value)
    except OverflowError:
        builtins = msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview))
        return _encoder.encode(long_integers_as_text(builtins))


class ExactDecoder(Generic[ValueT]):
    """Decodes what `encode_exact` encoded; raises msgspec.MsgspecError for invalid bytes.

    Text is accepted for an integer only where the bytes are not valid without.
    """

    def __init__(self, kind: Any) -> None:
        self._strict: msgspec.msgpack.Decoder[ValueT] = msgspec.msgpack.Decoder(kind)
        self._lax: msgspec.msgpack.Decoder[ValueT] = msgspec.msgpack.Decoder(kind, strict=False)

    def decode(self, body: bytes) -> ValueT:
        """Return the value of some bytes."""
        try:
            return self._strict.decode(body)
        except msgspec.ValidationError as error:
            try:
                return self._lax.decode(body)
            except msgspec.ValidationError:
                raise error from None


_events_decoder: ExactDecoder[tuple[AnyEvent, ...]] = ExactDecoder(tuple[AnyEvent, ...])


def encode_command(command: Command) -> bytes:
    """Return the bytes of a command; an integer beyond 64 bits is encoded as text."""
    return encode_exact(command)


def decode_command(body: bytes) -> AnyCommand:
    """Return a command; raises msgspec.MsgspecError, naming the field, for invalid bytes."""
    return _command_decoder.decode(body)


def encode_events(events: Sequence[Event]) -> bytes:
    """Return the bytes of all events of one command."""
    return encode_exact(events)


def decode_events(body: bytes) -> tuple[AnyEvent, ...]:
    """Return events; raises msgspec.MsgspecError for invalid bytes."""
    return _events_decoder.decode(body)


# --- records and their hashes ---


def digest(content: bytes) -> bytes:
    """Return the 32-byte BLAKE2b hash of some content."""
    return hashlib.blake2b(content, digest_size=32).digest()


GENESIS = digest(b"delever journal 1")
"""Previous hash of the first record. It names the format: two formats never share a chain."""


class Head(NamedTuple):
    """The newest record: its sequence (0 for an empty journal) and its hash."""

    sequence: int
    hash: bytes


EMPTY_HEAD = Head(0, GENESIS)


class Record(NamedTuple):
    """One command and its events.

    `time_ms` is the engine's time after the command. `command` and `events` are encoded as above.
    `book_hash` covers the changes that the events made to the book.
    """

    sequence: int
    time_ms: int
    command: bytes
    events: bytes
    previous_hash: bytes
    book_hash: bytes
    hash: bytes

    def content_hash(self) -> bytes:
        """Return the hash of the record's content, which `hash` must equal."""
        return _hash_content(self[:6])

    @property
    def head(self) -> Head:
        """The record as the head of its journal."""
        return Head(self.sequence, self.hash)


def seal_record(
    sequence: int,
    time_ms: int,
    command: bytes,
    events: bytes,
    previous_hash: bytes,
    book_hash: bytes,
) -> Record:
    """Return a record with its hash."""
    content = (sequence, time_ms, command, events, previous_hash, book_hash)
    return Record(*content, _hash_content(content))


def _hash_content(content: tuple[int | bytes, ...]) -> bytes:
    """Return the hash of the content as MessagePack, without copying long fields."""
    if sum([len(part) for part in content if isinstance(part, bytes)]) < LONG_BYTES:
        return digest(_encoder.encode(content))
    hashed = hashlib.blake2b(bytes([0x90 + len(content)]), digest_size=32)
    for part in content:
        if isinstance(part, bytes) and len(part) >= LONG_BYTES:
            hashed.update(b"\xc6" + len(part).to_bytes(4, "big"))
            hashed.update(part)
        else:
            hashed.update(_encoder.encode(part))
    return hashed.digest()


class Snapshot(NamedTuple):
    """The whole book after one record; `body` is what `snapshot.encode_book` returns."""

    sequence: int
    record_hash: bytes
    body: bytes
    hash: bytes

    def content_hash(self) -> bytes:
        """Return the hash of the snapshot's content, which `hash` must equal."""
        return _hash_content(self[:3])


def seal_snapshot(head: Head, body: bytes) -> Snapshot:
    """Return the snapshot of the book after the head, with its hash."""
    return Snapshot(*head, body, _hash_content((*head, body)))


class SegmentTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the records of a segment were written with.

    `engine` is delever's version, `schema` that of the file. `rules` has the digest of each rule
    set in use; those of one's own are in the records. `max_time_jump_ms` is the furthest that a
    command may move the time without an operator's confirmation (0: no limit), from the segment's
    second record on.
    """

    engine: str
    schema: int
    rules: dict[str, str]
    max_time_jump_ms: int = 0


class Segment(NamedTuple):
    """The records from one sequence to the next segment; `body` is a `SegmentTerms`."""

    first_sequence: int
    previous_hash: bytes
    body: bytes
    hash: bytes

    def content_hash(self) -> bytes:
        """Return the hash of the segment's content, which `hash` must equal."""
        return digest(_encoder.encode(self[:3]))

    @property
    def terms(self) -> SegmentTerms:
        """The terms; raises msgspec.MsgspecError for bytes of another version."""
        return _terms_decoder.decode(self.body)


_terms_decoder = msgspec.msgpack.Decoder(SegmentTerms)


def seal_segment(head: Head, terms: SegmentTerms) -> Segment:
    """Return the segment of the records after the head, with its hash."""
    content = (head.sequence + 1, head.hash, _encoder.encode(terms))
    return Segment(*content, digest(_encoder.encode(content)))
