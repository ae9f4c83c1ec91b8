"""Commands and events as bytes: equal values give equal bytes, and bytes give the value back.

MessagePack with field names, so that a record can be read without this program. The order of a
mapping is part of its value (marks are applied in the order given) and is kept.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from delever.core.messages import AnyCommand, AnyEvent, Command, Event

_encoder = msgspec.msgpack.Encoder()
_commands: msgspec.msgpack.Decoder[AnyCommand] = msgspec.msgpack.Decoder(AnyCommand)
_events = msgspec.msgpack.Decoder(tuple[AnyEvent, ...])


def encode_command(command: Command) -> bytes:
    """Return the bytes of a command; an amount beyond 64 bits is written as its text."""
    try:
        return _encoder.encode(command)
    except OverflowError:
        return _encoder.encode(_spelled(msgspec.to_builtins(command)))


def decode_command(body: bytes) -> AnyCommand:
    """Return the command; msgspec.MsgspecError names the field where it cannot be one."""
    return _commands.decode(body)


def encode_events(events: Sequence[Event]) -> bytes:
    """Return the bytes of all events of one command."""
    return _encoder.encode(events)


def decode_events(body: bytes) -> tuple[AnyEvent, ...]:
    """Return the events; msgspec.MsgspecError where the bytes are no events."""
    return _events.decode(body)


def _spelled(value: Any) -> Any:
    """Return the value with whole numbers that MessagePack cannot hold as text."""
    if isinstance(value, dict):
        return {key: _spelled(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(inner) for inner in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value
