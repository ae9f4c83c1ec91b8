"""Compare answers with lists of documented fields: every field is present, with its JSON type."""

from typing import Any

from table import Row

TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "number": (int, float),
    "str": (str,),
}


def wrong_fields(answer: Any, row: Row) -> list[str]:
    """Return the fields of a table's row that an answer lacks or has with another type.

    Every object at the row's `place` is examined; an answer without any is wrong, too.
    """
    rows = _rows_at(answer, row["place"])
    wrong = [] if rows else ["no rows"]
    for found in rows:
        for name, kind in (field.split(":") for field in row["fields"].split(",")):
            if type(found.get(name)) not in TYPES[kind]:
                wrong.append(f"{name}: {found.get(name)!r} is not {kind}")
    return wrong


def _rows_at(found: Any, place: str) -> list[dict[str, Any]]:
    """Return the objects at a place of an answer; lists on the way are unwrapped."""
    rows = found if isinstance(found, list) else [found]
    for name in [] if place == "." else place.split("/"):
        rows = [row[name.removesuffix("[]")] for row in rows]
        if name.endswith("[]"):
            rows = [each for row in rows for each in row]
    return rows
