"""What is wrong with an input, and where: one readable line each."""

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line needs the errors' names, and not the messages
    from delever.core.messages import Reason


class InputError(ValueError):
    """Input that cannot be used; says where it stands and why, and nothing of it was applied.

    `row` counts the rows of a table from 1; `line` is the line of a text file. What does not apply
    is None or empty. `reason` is the engine's, where the engine rejected.
    """

    def __init__(
        self,
        why: str,
        *,
        file: str = "",
        row: int | None = None,
        line: int | None = None,
        column: str = "",
        value: object = None,
        reason: "Reason | None" = None,
    ) -> None:
        self.why = why
        self.file = file
        self.row = row
        self.line = line
        self.column = column
        self.value = value
        self.reason = reason
        super().__init__(self._text())

    def _text(self) -> str:
        """Return place, field and value, then why."""
        place = [self.file] if self.file else []
        if self.row is not None:
            line = "" if self.line is None else f" (line {self.line})"
            place.append(f"row {self.row}{line}")
        elif self.line is not None:
            place.append(f"line {self.line}")
        shown = "" if self.value is None else f" {str(self.value)!r}"
        if self.column or shown:
            place.append(f"{self.column}{shown}".strip())
        return f"{', '.join(place)}: {self.why}" if place else self.why


class UnknownNameError(LookupError):
    """Something was asked for by a name that is not there."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for a name that is not known, with the names that come near it."""
    return UnknownNameError(f"there is no {kind} {name!r}{suggestion(name, known)}")


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return '; did you mean ...?', or the names there are where they are few, or nothing."""
    names = sorted(map(str, known))
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there is {', '.join(names)}" if 0 < len(names) <= 12 else ""


def in_words(reason: str) -> str:
    """Return a reason as people read it: 'side contradicts sign'."""
    return reason.replace("_", " ")
