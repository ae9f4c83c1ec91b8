"""Commands out of JSON and NDJSON; what is wrong is named by line, field and value."""

import msgspec

from delever.core.messages import AnyCommand, Command
from delever.lab.errors import InputError
from delever.lab.runs.scenario import decode
from delever.server.api.errors import Fault, Problem
from delever.server.engine.service import NOW

_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)
_UNTIMED = "Object missing required field `time_ms`"


def command_of(body: bytes) -> Command:
    """Return the command of a JSON object; without a time it gets the server's. Raises Problem."""
    try:
        return _command(body, 1)
    except InputError as error:
        raise Problem(400, _fault(error)) from None


def commands_of(body: bytes) -> list[tuple[int, Command]]:
    """Return the commands of an NDJSON body with their lines, from 1; blank lines are none.

    Raises Problem, naming the line, for the first one that is no command.
    """
    found = []
    for number, raw in enumerate(body.split(b"\n"), start=1):
        line = raw.strip()
        if line:
            try:
                found.append((number, _command(line, number)))
            except InputError as error:
                raise Problem(400, _fault(error, number)) from None
    return found


def _command(line: bytes, number: int) -> Command:
    try:
        return _decoder.decode(line)
    except msgspec.ValidationError as error:
        if str(error) != _UNTIMED:
            return decode(line, "", number)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode(line, "", number)
    return decode(b'{"time_ms":%d,%b' % (NOW, line.lstrip()[1:]), "", number)


def _fault(error: InputError, line: int | None = None) -> Fault:
    where = "" if line is None else f"line {line}: "
    told = f"{error.column} " if error.column else ""
    return Fault(
        reason="command_is_malformed",
        field=error.column if line is None else f"line {line}, {error.column}".rstrip(", "),
        value="" if error.value is None else str(error.value),
        message=f"{where}{told}{error.why}",
    )
