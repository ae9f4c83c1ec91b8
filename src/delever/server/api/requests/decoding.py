"""Commands from JSON and NDJSON; errors name the line, the field and the value."""

from typing import Any, Union, cast, get_args

import msgspec

from delever.core.messages import AnyCommand, Command
from delever.lab.errors import InputError
from delever.lab.runs.scenario import decode
from delever.server.api.requests.errors import ApiError, RequestError
from delever.server.engine.runner import NOW


class _TimeField(msgspec.Struct):
    """The field `time_ms` of a command; all other fields are skipped."""

    time_ms: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def _untimed(kind: type[Command]) -> type[Command]:
    """Return the type of a command whose time may be missing: it is NOW then."""
    config = kind.__struct_config__
    untimed: Any = msgspec.defstruct(
        kind.__name__,
        [("time_ms", int, NOW)],
        bases=(kind,),
        module=__name__,
        tag_field=config.tag_field,
        tag=config.tag,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )
    return cast("type[Command]", untimed)


_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Union[tuple(map(_untimed, get_args(AnyCommand)))]  # noqa: UP007 - of a tuple
)
_time_decoder: msgspec.json.Decoder[_TimeField] = msgspec.json.Decoder(_TimeField)


def command_of(body: bytes) -> Command:
    """Return the command of a JSON object, with time NOW if it has none.

    Raises RequestError where the body is not a command.
    """
    try:
        return _command(body, 1)
    except InputError as error:
        raise RequestError(400, _error(error)) from None


def commands_of(body: bytes) -> list[tuple[int, Command]]:
    """Return the commands of an NDJSON body with their line numbers, from 1; skip blank lines.

    Raises RequestError with the number of the first line that is not a command.
    """
    commands = []
    for number, raw in enumerate(body.split(b"\n"), start=1):
        line = raw.strip()
        if line:
            try:
                commands.append((number, _command(line, number)))
            except InputError as error:
                raise RequestError(400, _error(error, number)) from None
    return commands


def _command(line: bytes, number: int) -> Command:
    try:
        command = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _readable_error(line, number)
    kind: type[Command] = type(command).__bases__[0]
    return kind(**{name: getattr(command, name) for name in kind.__struct_fields__})


def _readable_error(line: bytes, number: int) -> Command:
    """Raise the error of a line that is no command; a missing time is none of its errors."""
    if _has_no_time(line):
        line = b'{"time_ms":0,%b' % line.lstrip()[1:]
    return decode(line, "", number)


def _has_no_time(line: bytes) -> bool:
    """Whether a line is a JSON object with fields, but none of them `time_ms`."""
    try:
        is_timed = _time_decoder.decode(line).time_ms is not msgspec.UNSET
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    is_empty = line.lstrip()[1:].lstrip().startswith(b"}")
    return not is_timed and not is_empty


def _error(error: InputError, line: int | None = None) -> ApiError:
    where = "" if line is None else f"line {line}: "
    column = f"{error.column} " if error.column else ""
    return ApiError(
        reason="invalid_command",
        field=error.column if line is None else f"line {line}, {error.column}".rstrip(", "),
        value="" if error.value is None else str(error.value),
        message=f"{where}{column}{error.why}",
    )
