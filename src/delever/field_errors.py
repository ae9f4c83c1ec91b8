"""The first field of a decoded value that does not fit its type, with the value and the remedy.

msgspec decides whether bytes are valid; its messages change between releases, so nothing reads
them. After it has rejected a value, `find_field_error` compares the value with the type again and
names the field in messages of our own.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum, auto
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from delever.suggestions import suggestion


class FieldProblem(Enum):
    """Kinds of field errors."""

    INVALID = auto()
    MISSING = auto()
    UNKNOWN = auto()


class FieldError(NamedTuple):
    """A value that does not fit its type.

    `path` is the field, as in `positions[0].side`. Of a missing or unknown field it is the object
    that the field should, or should not, be in, and `name` is the field. `value` is None for an
    object, a list or a missing value.
    """

    problem: FieldProblem
    path: str
    name: str
    value: object
    why: str

    def __str__(self) -> str:
        """Return path, value and why, as in `listen.port = 'x': must be a whole number`."""
        place = self.path if self.value is None else f"{self.path} = {self.value!r}"
        return f"{place}: {self.why}" if place else self.why


def find_field_error(value: object, kind: Any, *, strict: bool = True) -> FieldError | None:
    """Return the first field of a value that does not fit a type, or None where all fit.

    `value` is built of what JSON, TOML or MessagePack decode to. With `strict` false, text is
    converted to numbers and booleans, as `msgspec.convert` does.
    """
    return next(_errors(value, _type_info(kind), "", strict), None)


_type_info = cache(inspect.type_info)

_SEQUENCES = (
    inspect.ListType,
    inspect.VarTupleType,
    inspect.TupleType,
    inspect.SetType,
    inspect.FrozenSetType,
)

_SCALARS: dict[type[inspect.Type], tuple[Any, str]] = {
    inspect.BoolType: (bool, "true or false"),
    inspect.BytesType: (bytes, "bytes"),
    inspect.DecimalType: (Decimal, "a number"),
    inspect.FloatType: (float, "a number"),
    inspect.IntType: (int, "a whole number"),
    inspect.NoneType: (None, "null"),
    inspect.StrType: (str, "text"),
    inspect.TimeType: (dt.time, "a time of day"),
}
"""The Python type of each scalar, and how a message calls it."""


def _errors(value: Any, expected: inspect.Type, path: str, strict: bool) -> Iterator[FieldError]:
    if isinstance(expected, inspect.UnionType):
        yield from _union_errors(value, expected, path, strict)
    elif isinstance(value, Mapping) and isinstance(expected, inspect.StructType):
        yield from _struct_errors(value, expected, path, strict)
    elif isinstance(value, Mapping) and isinstance(expected, inspect.DictType):
        for name, inner in value.items():
            yield from _errors(inner, expected.value_type, _join(path, name), strict)
    elif isinstance(value, list | tuple) and isinstance(expected, _SEQUENCES):
        yield from _item_errors(value, expected, path, strict)
    elif not _fits(value, expected, strict):
        yield _invalid(value, _requirement((expected,), value), path)


def _item_errors(
    value: Sequence[Any], expected: Any, path: str, strict: bool
) -> Iterator[FieldError]:
    is_fixed = isinstance(expected, inspect.TupleType)
    kinds = expected.item_types if is_fixed else (expected.item_type,) * len(value)
    if len(kinds) != len(value):
        yield _invalid(value, f"must be a list of {len(kinds)}", path)
    for place, (inner, kind) in enumerate(zip(value, kinds, strict=False)):
        yield from _errors(inner, kind, f"{path}[{place}]", strict)


def _struct_errors(
    value: Mapping[str, Any], expected: inspect.StructType, path: str, strict: bool
) -> Iterator[FieldError]:
    fields = {field.encode_name: field for field in expected.fields}
    tag = expected.tag_field or ""
    for name, inner in value.items():
        if name in fields:
            yield from _errors(inner, fields[name].type, _join(path, name), strict)
        elif name != tag and expected.forbid_unknown_fields:
            why = f"there is no field {name!r}{suggestion(name, fields)}"
            yield FieldError(FieldProblem.UNKNOWN, path, name, None, why)
    if tag and tag in value and value[tag] != expected.tag:
        yield _invalid(value[tag], f"must be {expected.tag!r}", _join(path, tag))
    for name, field in fields.items():
        if field.required and name not in value:
            yield _missing(path, name)


def _union_errors(
    value: Any, expected: inspect.UnionType, path: str, strict: bool
) -> Iterator[FieldError]:
    kinds = expected.types
    if isinstance(value, Mapping):
        structs = [kind for kind in kinds if isinstance(kind, inspect.StructType)]
        if len(structs) > 1:
            yield from _tagged_errors(value, structs, path, strict)
            return
    found = [next(_errors(value, kind, path, strict), None) for kind in kinds]
    if None in found:
        return
    inside = [error for error in found if error and (error.path != path or error.name)]
    yield inside[0] if inside else _invalid(value, _requirement(kinds, value), path)


def _tagged_errors(
    value: Mapping[str, Any], structs: list[inspect.StructType], path: str, strict: bool
) -> Iterator[FieldError]:
    field = structs[0].tag_field or ""
    tagged = {str(kind.tag): kind for kind in structs}
    tag = value.get(field)
    if field not in value:
        yield _missing(path, field)
    elif isinstance(tag, str) and tag in tagged:
        yield from _struct_errors(value, tagged[tag], path, strict)
    else:
        why = f"there is no {field} {tag!r}{suggestion(str(tag), tagged)}"
        yield _invalid(tag, why, _join(path, field))


def _fits(value: Any, expected: inspect.Type, strict: bool) -> bool:
    """Return whether a scalar fits; what no message can describe is left to msgspec."""
    if isinstance(expected, inspect.LiteralType):
        return value in expected.values
    kind = expected.cls if isinstance(expected, inspect.EnumType) else None
    if kind is None and type(expected) in _SCALARS:
        kind, _ = _SCALARS[type(expected)]
    elif kind is None:
        return not isinstance(expected, (inspect.StructType, inspect.DictType, *_SEQUENCES))
    try:
        msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError:
        return False
    return True


def _requirement(kinds: Iterable[inspect.Type], value: object) -> str:
    """Return what a value must be, by the types it may have."""
    words = [word for kind in kinds for word in _choices(kind)]
    if words:
        return f"must be one of {', '.join(words)}"
    names = [name for kind in kinds if (name := _kind_name(kind)) != "null"]
    if type(value) is float and "text" in names:
        return 'is a float, which is not exact: write it as text, like "0.001"'
    return f"must be {' or '.join(names) or 'null'}"


def _choices(kind: inspect.Type) -> list[str]:
    if isinstance(kind, inspect.EnumType):
        return [str(member.value) for member in kind.cls]
    return list(map(str, kind.values)) if isinstance(kind, inspect.LiteralType) else []


def _kind_name(kind: inspect.Type) -> str:
    if type(kind) in _SCALARS:
        return _SCALARS[type(kind)][1]
    return "a list" if isinstance(kind, _SEQUENCES) else "an object"


def _invalid(value: object, why: str, path: str) -> FieldError:
    scalar = None if isinstance(value, Mapping | list | tuple) else value
    return FieldError(FieldProblem.INVALID, path, "", scalar, why)


def _missing(path: str, name: str) -> FieldError:
    return FieldError(FieldProblem.MISSING, path, name, None, f"the field {name!r} is missing")


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
