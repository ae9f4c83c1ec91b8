"""Errors that name what is wrong with an input, and where, in one readable line."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from delever.suggestions import suggestion

if TYPE_CHECKING:  # the command line imports these errors without the engine's messages
    from delever.core.messages import Reason


FLOAT = 'must be exact text: write "{text}"'


class InputError(ValueError):
    """Raised for input that cannot be used; none of it has been applied.

    `row` counts the rows of a table from 1, `line` the lines of a text file; fields that do not
    apply are None or empty. `reason` is the engine's, if the engine rejected the input.

        >>> import delever
        >>> try:
        ...     _ = delever.Shock({"BTCUSDT": "10%"})
        ... except delever.InputError as error:
        ...     print(error)
        BTCUSDT '10%': must be exact text, such as "-0.10"
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
        """Return 'file, row, column value: why', without the parts that do not apply."""
        place = [self.file] if self.file else []
        if self.row is not None:
            line = "" if self.line is None else f" (line {self.line})"
            place.append(f"row {self.row}{line}")
        elif self.line is not None:
            place.append(f"line {self.line}")
        value = "" if self.value is None else f" {str(self.value)!r}"
        if self.column or value:
            place.append(f"{self.column}{value}".strip())
        return f"{', '.join(place)}: {self.why}" if place else self.why


def check_exact(column: str, amount: object) -> None:
    """Raise InputError for a float, which is not exact, with the text to write instead."""
    if isinstance(amount, float):
        raise InputError(FLOAT.format(text=amount), column=column, value=amount)


def check_book(book: object) -> None:
    """Raise InputError for what is no book, such as the path of one."""
    if not hasattr(book, "contracts"):
        why = f"must be a book, such as delever.read_book({str(book)!r})"
        raise InputError(why, column="book", value=book)


class UnknownNameError(LookupError):
    """Raised for a name that does not exist, with the names that resemble it.

    >>> import delever
    >>> book = delever.read_book("examples/book")
    >>> try:
    ...     delever.rank(book, "ETHUSDC", "short")
    ... except delever.UnknownNameError as error:
    ...     print(error)
    there is no contract 'ETHUSDC'; did you mean 'ETHUSDT'?
    """


def unknown(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """Return the error for an unknown name of a kind."""
    return UnknownNameError(f"there is no {kind} {name!r}{suggestion(name, known)}")
