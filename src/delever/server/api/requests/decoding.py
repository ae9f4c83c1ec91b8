"""Commands from JSON and NDJSON; errors name the line, the field and the value."""

import msgspec

from delever.core.messages import AnyCommand, Command
from delever.lab.errors import InputError
from delever.lab.runs.scenario import decode
from delever.server.api.requests.errors import ApiError, RequestError
from delever.server.engine.runner import NOW


class _TimeField(msgspec.Struct):
    """The field `time_ms` of a command; all other fields are skipped."""

    time_ms: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)
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
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    if _has_no_time(line):
        line = b'{"time_ms":%d,%b' % (NOW, line.lstrip()[1:])
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
