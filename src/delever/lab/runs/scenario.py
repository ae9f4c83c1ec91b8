"""Scenarios: one command a line, as JSON (NDJSON), in the schema of the journal and the API.

Blank lines, lines that begin with # and a byte order mark are ignored.
"""

import re
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from enum import EnumType
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec

from delever.core.messages import (
    AnyCommand,
    BalanceRow,
    Command,
    MarginTier,
    PositionRow,
    TriggerLimits,
)
from delever.lab.errors import InputError, suggestion

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
_types = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyCommand)}


def lines_of(source: Iterable[bytes], file: str) -> list[ScenarioLine]:
    """Return the commands of lines; `file` is their name in messages."""
    lines = list(_commands(source, file))
    if not lines:
        raise InputError("has no commands", file=file)
    return lines


def _commands(source: Iterable[bytes], file: str) -> Iterator[ScenarioLine]:
    for number, raw in enumerate(source, start=1):
        line = (raw.removeprefix(BOM_UTF8) if number == 1 else raw).strip()
        if line and not line.startswith(b"#"):
            yield ScenarioLine(number, decode(line, file, number))


def decode(line: bytes, file: str, number: int) -> Command:
    """Return the command on a line; raises InputError with the field and the value."""
    try:
        return _decoder.decode(line)
    except msgspec.ValidationError as error:
        message = str(error)
    except _UNREADABLE as error:
        raise _unreadable(error, file, number) from None
    try:
        document = msgspec.json.decode(line)
    except _UNREADABLE as error:  # it was wrong before it ceased to be JSON
        raise _unreadable(error, file, number) from None
    raise _invalid(document, message, file, number)


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _unreadable(error: Exception, file: str, number: int) -> InputError:
    """Return why a line is no JSON."""
    why = f"is not JSON: {error}"
    if isinstance(error, UnicodeDecodeError):
        why = "is not UTF-8 text"
    elif isinstance(error, RecursionError):
        why = "is nested too deeply"
    elif "truncated" in str(error):
        why = "is cut off: the JSON ends too early"
    return InputError(why, file=file, line=number)


def _invalid(document: Any, message: str, file: str, number: int) -> InputError:
    """Return what msgspec found, with the field, the value, and what it might have been."""
    text, _, path = message.partition(" - at ")
    field, value = _place(document, path.strip("`").removeprefix("$").removeprefix("."))
    kind = _struct_at(document, field)
    why = text[:1].lower() + text[1:].replace("`", "'")
    if field == "type":
        why = f"is no command{suggestion(str(value), _types)}"
    elif "got `float`" in text:
        why = 'is a JSON float, which is not exact: write it as text, like "0.001"'
    elif "unknown field" in text:
        name = text.split("`")[1]
        why = f"there is no field {name!r}{suggestion(name, kind.__struct_fields__)}"
    elif "Invalid enum value" in text:
        why = f"must be one of {', '.join(_choices(kind, field.rpartition('.')[2]))}"
    return InputError(why, file=file, line=number, column=field, value=value)


def _place(document: Any, path: str) -> tuple[str, object]:
    """Return a path and the value there; of a mapping, whose names msgspec hides, the first float.

    The value is None for an object, a list or nothing.
    """
    field, value = path.removesuffix("[...]"), document
    for name, index in re.findall(r"(\w+)|\[(\d+)\]", field):
        value = value[int(index)] if index else value.get(name)
    if field != path:
        inner = {name: each for name, each in value.items() if type(each) not in {str, int}}
        name, value = next(iter(inner.items()))
        field = f"{field}.{name}"
    return field, None if isinstance(value, dict | list) else value


_INNER: dict[str, type[msgspec.Struct]] = {
    "balances": BalanceRow,
    "limits": TriggerLimits,
    "margin_tiers": MarginTier,
    "positions": PositionRow,
}


def _struct_at(document: Any, field: str) -> type[msgspec.Struct]:
    """Return the type of the command, or of the row inside it, that a field belongs to."""
    outer = re.split(r"[.\[]", field)[0]
    kind = document.get("type") if isinstance(document, dict) else ""
    return _INNER.get(outer) or _types.get(str(kind), Command)


def _choices(kind: type[msgspec.Struct], field: str) -> list[str]:
    """Return the words that a field may be."""
    wanted = {info.name: info.type for info in msgspec.structs.fields(kind)}.get(field)
    words: list[object] = []
    for each in (wanted, *get_args(wanted)):
        words += list(each) if isinstance(each, EnumType) else []
    return list(map(str, words))
