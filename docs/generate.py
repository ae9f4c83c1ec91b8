"""Writes docs/reference/{commands,events,reasons}.md from the message types themselves.

`make docs` runs it; tests/test_docs.py fails where a page is not what it would write.
"""
# ruff: noqa: INP001 - a script, not a package

import ast
import enum
import inspect
import itertools
import re
import types
import typing
from pathlib import Path

import msgspec

from delever.core import messages
from delever.core.messages import AnyCommand, AnyEvent, Command, Reason

ROOT = Path(__file__).parent.parent
CORE = ROOT / "src" / "delever" / "core"
REFERENCE = ROOT / "docs" / "reference"

ROWS = (messages.PositionRow, messages.BalanceRow, messages.MarginTier, messages.TriggerLimits)
KINDS = (messages.Side, messages.ContractKind, messages.PoolKind, messages.FundingReason)

COMMANDS = """\
# Commands

What a venue tells the engine. One JSON object a command, as a line of a scenario and as a record of
the journal; `delever schema` prints the same as JSON Schema. `type` says which command it is.

A *decimal* is exact: text such as `"0.001"`, or a whole JSON number. A JSON number with a point or
an exponent is refused, and so is a field that is not listed here. A refused command changes nothing
and gives the event [`refused`](events.md#refused) with the field, the value and a
[reason](reasons.md).

Every command carries:
"""

EVENTS = """\
# Events

What has happened, in exact integers: the book applies events, and nothing else changes it. The unit
stands in the name: `_cash` (the settle asset's smallest unit, 10^-8 unless the asset says
otherwise), `_lots`, `_ticks`, `_ppm` (parts per million), `_hundredths`, `_ms` (engine time since
the epoch). Costs and values are signed like the position: profit is always value minus cost.
"""

REASONS = """\
# Reasons

Every refusal, skip, start and stop carries one of these words, never a sentence. The last column
names the modules of `delever.core` that give it.
"""


def pages() -> dict[Path, str]:
    """Return the text of every generated page by its path."""
    return {
        REFERENCE / "commands.md": commands_page(),
        REFERENCE / "events.md": events_page(),
        REFERENCE / "reasons.md": reasons_page(),
    }


def commands_page() -> str:
    """Return the page of commands, of the rows inside them, and of the words they choose from."""
    commands = [_struct(command, hidden=Command) for command in typing.get_args(AnyCommand)]
    rows = [_struct(row) for row in ROWS]
    kinds = [_kind(kind) for kind in KINDS]
    parts = [
        COMMANDS + "\n" + _fields(Command),
        *commands,
        "## Rows\n",
        *rows,
        "## Words\n",
        *kinds,
    ]
    return "\n".join(parts)


def events_page() -> str:
    """Return the page of events."""
    events = [_struct(event) for event in typing.get_args(AnyEvent)]
    return "\n".join([EVENTS, *events, "## Words\n", _kind(messages.NoticeKind)])


def reasons_page() -> str:
    """Return the page of reasons, in the groups of the source, with the modules that give them."""
    parts = [REASONS]
    for group, rows in _reason_groups():
        table = ["| reason | means | given by |", "|---|---|---|"]
        table += [f"| `{reason}` | {says} | {_givers(reason)} |" for reason, says in rows]
        parts.append(f"## {group}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def _struct(struct: type[msgspec.Struct], hidden: type[msgspec.Struct] | None = None) -> str:
    """Return a message as a section: what it says, and its fields besides the hidden ones."""
    tag = struct.__struct_config__.tag
    title = f"`{tag}`" if tag else struct.__name__
    heading = "##" if tag else "###"
    return f"{heading} {title}\n\n{_docstring(struct)}\n\n{_fields(struct, hidden)}"


def _fields(struct: type[msgspec.Struct], hidden: type[msgspec.Struct] | None = None) -> str:
    """Return a table of fields; those of an event are always there."""
    inherited = hidden.__struct_fields__ if hidden else ()
    shown = [field for field in msgspec.structs.fields(struct) if field.name not in inherited]
    if not shown:
        return "No field of its own.\n"
    columns = [["field", "type", "if left out"], ["---"] * 3]
    columns += [[f"`{field.name}`", _type(field.type), _default(field)] for field in shown]
    width = 2 if issubclass(struct, messages.Event) else 3
    return "\n".join(f"| {' | '.join(row[:width])} |" for row in columns) + "\n"


def _kind(kind: type[enum.StrEnum]) -> str:
    """Return the words of an enum as a section."""
    members = ", ".join(f"`{member}`" for member in kind)
    return f"### {kind.__name__}\n\n{_docstring(kind)} One of {members}.\n"


def _docstring(documented: type) -> str:
    return inspect.getdoc(documented) or ""


def _type(annotation: typing.Any) -> str:
    """Return a type in the words of JSON, with a link to what is described elsewhere."""
    arguments = typing.get_args(annotation)
    match typing.get_origin(annotation):
        case types.UnionType | typing.Union:
            if set(arguments) >= {str, int}:
                arguments = ("decimal", *(set(arguments) - {str, int}))
            return " or ".join(map(_type, arguments))
        case origin if origin is tuple:
            if arguments[-1] is Ellipsis:
                return f"list of {_type(arguments[0])}"
            return f"[{', '.join(map(_type, arguments))}]"
        case origin if origin is dict:
            return f"object of {_type(arguments[1])}"
        case _:
            return _plain(annotation)


def _plain(annotation: typing.Any) -> str:
    names = {str: "text", int: "integer", bool: "true or false", float: "number"}
    names |= {types.NoneType: "null", Reason: "[reason](reasons.md)"}
    if annotation in names:
        return names[annotation]
    if isinstance(annotation, str):
        return annotation
    name = annotation.__name__
    config = getattr(annotation, "__struct_config__", None)
    page = "" if annotation is messages.NoticeKind else "commands.md"
    if config is not None and issubclass(annotation, messages.Event):
        page = ""
    anchor = str(config.tag) if config is not None and config.tag else name.lower()
    return f"[{name}]({page}#{anchor})"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT:
        value = field.default_factory()
    if isinstance(value, msgspec.Struct) and value == type(value)():
        return "`{}`"
    return f"`{msgspec.json.encode(value).decode()}`"


def _reason_groups() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (comment, [(reason, meaning)]) as they stand in the source.

    The meaning is the text below a member, where there is one, and else the predicate itself.
    """
    source = (CORE / "messages" / "words.py").read_text(encoding="utf-8")
    classes = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    body = next(node for node in classes if node.name == "Reason").body
    below = {
        member.lineno: str(text.value.value)
        for member, text in itertools.pairwise(body)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }
    groups: list[tuple[str, list[tuple[str, str]]]] = []
    for number, line in enumerate(source.splitlines(), start=1):
        if not body[0].lineno < number <= body[-1].lineno:
            continue
        if line.startswith("    # "):
            groups.append((line.strip(" #."), []))
        elif match := re.match(r'    [A-Z_]+ = "(\w+)"', line):
            meaning = below.get(number, match[1].replace("_", " "))
            groups[-1][1].append((match[1], " ".join(meaning.split())))
    return groups


def _givers(reason: str) -> str:
    """Return the core modules that name a reason."""
    name = re.compile(rf"\bReason\.{Reason(reason).name}\b")
    paths = [path for path in sorted(CORE.rglob("*.py")) if name.search(path.read_text("utf-8"))]
    return ", ".join(f"`{path.relative_to(CORE).with_suffix('').as_posix()}`" for path in paths)


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
