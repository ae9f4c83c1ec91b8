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
_commands_json: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)
_events = msgspec.msgpack.Decoder(tuple[AnyEvent, ...])
_events_json = msgspec.json.Decoder(tuple[AnyEvent, ...])

_OPENS_JSON = (b"{", b"[")
"""First bytes of JSON; as MessagePack they would be the numbers 123 and 91, which nothing is."""


def encode_command(command: Command) -> bytes:
    """Return the bytes of a command."""
    return _encode(command)


def decode_command(body: bytes) -> AnyCommand:
    """Return the command; msgspec.MsgspecError names the field where it cannot be one."""
    return _commands_json.decode(body) if body[:1] in _OPENS_JSON else _commands.decode(body)


def encode_events(events: Sequence[Event]) -> bytes:
    """Return the bytes of all events of one command."""
    return _encode(events)


def decode_events(body: bytes) -> tuple[AnyEvent, ...]:
    """Return the events; msgspec.MsgspecError where the bytes are no events."""
    return _events_json.decode(body) if body[:1] in _OPENS_JSON else _events.decode(body)


def _encode(value: Any) -> bytes:
    """Encode as MessagePack, or as JSON where a whole number is beyond MessagePack's 64 bits.

    The engine refuses such a number, and the refusal too is kept with what was said.
    """
    try:
        return _encoder.encode(value)
    except OverflowError:
        return msgspec.json.encode(value)
