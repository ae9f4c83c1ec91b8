"""Read answers so that what is missing or malformed is said with its name, and the rest is kept."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from delever.watch.faults import MalformedError
from delever.watch.reading import Reading


class Answer(NamedTuple):
    """What an answer has told, the newest time it says it is of, and what of it was malformed."""

    readings: tuple[Reading, ...]
    of_ms: int | None = None
    malformed: tuple[str, ...] = ()


def text(row: Any, name: str) -> str:
    """Return a field as text, whichever JSON type it came as; MalformedError without one."""
    found = row.get(name) if isinstance(row, Mapping) else None
    if found is None or isinstance(found, Mapping | list | bool):
        raise MalformedError(name, found)
    return str(found)


def number(row: Any, name: str) -> Decimal:
    """Return a field as an exact number; MalformedError where it is none."""
    shown = text(row, name)
    try:
        found = Decimal(shown)
    except InvalidOperation:
        raise MalformedError(name, shown) from None
    if not found.is_finite():
        raise MalformedError(name, shown)
    return found


def optional(row: Mapping[str, Any], name: str) -> Decimal | None:
    """Return a field as an exact number, or None where it is absent or empty."""
    return None if row.get(name) in (None, "") else number(row, name)


def time_ms(row: Any, name: str) -> int:
    """Return a field as a time in milliseconds; MalformedError where it is none."""
    return int(number(row, name))


def rows(answer: Any, *path: str) -> Sequence[Any]:
    """Return the list at a path of an answer; MalformedError names the step that is not there."""
    for name in path:
        answer = answer.get(name) if isinstance(answer, Mapping) else None
        if answer is None:
            raise MalformedError(name, None)
    if not isinstance(answer, list | tuple):
        raise MalformedError(path[-1] if path else "answer", answer)
    return answer


def each(
    listed: Iterable[Any], read: Callable[[Any], Iterable[Reading]], called: str = "symbol"
) -> Answer:
    """Return what every row tells; a malformed row is named, and costs none of the others."""
    readings: list[Reading] = []
    malformed: list[str] = []
    for place, row in enumerate(listed):
        try:
            readings += read(row)
        except MalformedError as error:
            name = row.get(called) if isinstance(row, Mapping) else None
            malformed.append(f"{name or f'row {place}'}: {error}")
    of_ms = max((reading.of_ms for reading in readings), default=None)
    return Answer(tuple(readings), of_ms, tuple(malformed))


def joined(answers: Iterable[Answer]) -> Answer:
    """Return several answers as one."""
    listed = list(answers)
    times = [answer.of_ms for answer in listed if answer.of_ms is not None]
    return Answer(
        tuple(reading for answer in listed for reading in answer.readings),
        min(times, default=None),
        tuple(text for answer in listed for text in answer.malformed),
    )


def ended(rows_: Sequence[Any], read: Callable[[Any], Iterator[Reading]]) -> Answer:
    """Return an answer whose numbers have no time of their own: they are of when they came."""
    return each(rows_, read)._replace(of_ms=None)
