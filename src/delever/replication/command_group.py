"""One message of the log: commands accepted together by one replica, or marks of its journal.

Every field is an input of the step that each replica runs, so that all of them run the same one:
the acceptor's time, and the terms under which a replica may run the commands at all.
"""

import msgspec

from delever.core.messages import Command
from delever.journal.record import decode_command, digest

TERMS_BYTES = 16
"""Length of the digest of terms in a message."""

MARK_HASH_BYTES = 8
"""Length of each record's hash in a mark: 10^9 records differ unnoticed once in 10^10 times."""


class HashMark(msgspec.Struct, frozen=True, array_like=True):
    """What one replica has in its journal: the hashes of its newest records, shortened.

    `hashes` has MARK_HASH_BYTES of each record, the last one that of record `sequence`.
    """

    replica: str
    sequence: int
    hashes: bytes

    @property
    def first_sequence(self) -> int:
        """The first record with a hash in this mark."""
        return self.sequence + 1 - len(self.hashes) // MARK_HASH_BYTES

    def hash_of(self, sequence: int) -> bytes:
        """Return the shortened hash of a record from `first_sequence` to `sequence`."""
        begin = (sequence - self.first_sequence) * MARK_HASH_BYTES
        return self.hashes[begin : begin + MARK_HASH_BYTES]


class CommandGroup(msgspec.Struct, frozen=True, array_like=True):
    """Commands in their order; `time_ms` is the clock of the replica that accepted them.

    `accepted_at` is the last record that the acceptor had stepped. `terms` is `terms_digest` of the
    acceptor. A group with a mark has no commands.
    """

    id: str
    terms: bytes
    time_ms: int
    accepted_at: int
    bodies: tuple[bytes, ...]
    mark: HashMark | None = None

    @property
    def commands(self) -> list[Command]:
        """The commands; raises msgspec.MsgspecError for those of another version."""
        return [decode_command(body) for body in self.bodies]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CommandGroup)


def encode_group(group: CommandGroup) -> bytes:
    """Return the body of a message."""
    return _encoder.encode(group)


def decode_group(body: bytes) -> CommandGroup:
    """Return the group of a message; raises msgspec.MsgspecError for other bytes.

    >>> from delever.core.messages import SetTime
    >>> from delever.journal.record import encode_command
    >>> body = encode_command(SetTime(time_ms=5, id="a"))
    >>> group = CommandGroup("replica-1", b"terms", 5, 0, (body,))
    >>> decode_group(encode_group(group)).commands[0].id
    'a'
    """
    return _decoder.decode(body)


def terms_digest(terms: object) -> bytes:
    """Return the digest of everything that decides what a command does beside the commands."""
    return digest(msgspec.msgpack.encode(terms, order="deterministic"))[:TERMS_BYTES]
