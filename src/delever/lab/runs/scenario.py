"""Scenarios: one command a line, as JSON (NDJSON), in the schema of the journal and the API.

Blank lines, lines that begin with # and a byte order mark are ignored.
"""

import re
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec

from delever.core.messages import AnyCommand, Command
from delever.field_errors import find_field_error
from delever.lab.errors import InputError
from delever.suggestions import suggestion

STDIN = "-"


class ScenarioLine(NamedTuple):
    """A command and the number of its line, from 1."""

    number: int
    command: Command


def read_scenario(path: str | Path) -> list[Command]:
    """Return the commands of a scenario file ('-' is standard input).

    Raises InputError, naming line, field and value, for the first invalid line, and for a file
    without commands.

        >>> import delever
        >>> commands = delever.read_scenario("examples/crash.ndjson")
        >>> type(commands[0]).__name__, len(commands)
        ('DefinePool', 14)
    """
    return [line.command for line in read_lines(path)]


def read_lines(path: str | Path) -> list[ScenarioLine]:
    """Return the commands of a scenario file with their line numbers."""
    if str(path) == STDIN:
        return lines_of(sys.stdin.buffer, scenario_name(path))
    try:
        with Path(path).open("rb") as file:
            return lines_of(file, scenario_name(path))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=scenario_name(path)) from None


def scenario_name(path: str | Path) -> str:
    """Return the name of a scenario in messages."""
    return "standard input" if str(path) == STDIN else str(path)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a command, thus of one line of a scenario.

    >>> import delever
    >>> delever.schema()["title"]
    'delever command'
    """
    described = msgspec.json.schema(AnyCommand)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "delever command",
        **described,
    }


_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


def lines_of(source: Iterable[bytes], file: str) -> list[ScenarioLine]:
    """Return the commands of lines; `file` is their name in messages."""
    found = [
        ScenarioLine(number, decode(line, file, number)) for number, line in numbered_lines(source)
    ]
    if not found:
        raise InputError("has no commands", file=file)
    return found


def numbered_lines(source: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are neither blank nor a comment, with their numbers from 1."""
    for number, raw in enumerate(source, start=1):
        line = (raw.removeprefix(BOM_UTF8) if number == 1 else raw).strip()
        if line and not line.startswith(b"#"):
            yield number, line


def decode(
    line: bytes, file: str, number: int, decoder: "msgspec.json.Decoder[Any]" = _decoder
) -> Command:
    """Return the command on a line; raises InputError with the field and the value.

    `decoder` is that of a union of commands.
    """
    try:
        command: Command = decoder.decode(line)
    except _UNREADABLE as error:
        raise _invalid(line, error, file, number, decoder.type) from None
    return command


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def _invalid(line: bytes, error: Exception, file: str, number: int, kinds: Any) -> InputError:
    """Return what is wrong with a line that msgspec has rejected: text, JSON, or a field."""
    try:
        text = line.decode()
        wrong = find_field_error(msgspec.json.decode(line), kinds)
    except UnicodeDecodeError:
        return InputError("is not UTF-8 text", file=file, line=number)
    except RecursionError:
        return InputError("is nested too deeply", file=file, line=number)
    except msgspec.DecodeError as unreadable:
        cut_off = _is_cut_off(text)
        why = "is cut off: the JSON ends too early" if cut_off else f"is not JSON: {unreadable}"
        return InputError(why, file=file, line=number)
    if wrong is None:
        return InputError(f"is no command: {error}", file=file, line=number)
    why = wrong.why
    if wrong.path == "type":
        types = [str(kind.__struct_config__.tag) for kind in get_args(kinds)]
        why = f"is no command{suggestion(str(wrong.value), types)}"
    return InputError(why, file=file, line=number, column=wrong.path, value=wrong.value)


def _is_cut_off(text: str) -> bool:
    """Return whether a string, an object or an array of a JSON text is not closed."""
    rest = _QUOTED.sub("", text)
    depth = sum(map(rest.count, "{[")) - sum(map(rest.count, "}]"))
    return '"' in rest or depth > 0
