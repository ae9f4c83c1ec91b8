"""Parse answers: a missing or malformed field is reported by name, and the other rows are used."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from delever.watch.market_data.errors import MalformedAnswerError
from delever.watch.market_data.observations import Observation


class ParsedAnswer(NamedTuple):
    """An answer's observations, its newest venue time, and the errors of malformed rows."""

    observations: tuple[Observation, ...]
    venue_time_ms: int | None = None
    malformed: tuple[str, ...] = ()

    def without_time(self) -> "ParsedAnswer":
        """Return the answer without a venue time, for values that have none of their own."""
        return self._replace(venue_time_ms=None)


def text(row: Any, name: str) -> str:
    """Return a field as text, whatever its JSON type; MalformedAnswerError without one."""
    found = row.get(name) if isinstance(row, Mapping) else None
    if found is None or isinstance(found, Mapping | list | bool):
        raise MalformedAnswerError(name, found)
    return str(found)


def number(row: Any, name: str) -> Decimal:
    """Return a field as an exact number; MalformedAnswerError if it is none."""
    raw = text(row, name)
    try:
        found = Decimal(raw)
    except InvalidOperation:
        raise MalformedAnswerError(name, raw) from None
    if not found.is_finite():
        raise MalformedAnswerError(name, raw)
    return found


def optional(row: Mapping[str, Any], name: str) -> Decimal | None:
    """Return a field as an exact number, or None if it is absent or empty."""
    return None if row.get(name) in (None, "") else number(row, name)


def optional_limits(row: Any, names: Sequence[str]) -> Sequence[Decimal | None]:
    """Return fields that are stated together, each as an exact number, or None if all are empty."""
    if isinstance(row, Mapping) and all(row.get(name, "absent") in (None, "") for name in names):
        return [None] * len(names)
    return [number(row, name) for name in names]


def first_time_ms(*fields: tuple[Any, str]) -> int:
    """Return the first time that is there of several (row, name), in milliseconds.

    Venues document some times under two names. MalformedAnswerError names the first.
    """
    for row, name in fields:
        if isinstance(row, Mapping) and row.get(name) not in (None, ""):
            return time_ms(row, name)
    raise MalformedAnswerError(fields[0][1], None)


def time_ms(row: Any, name: str) -> int:
    """Return a field as a time in milliseconds; MalformedAnswerError if it is none."""
    return int(number(row, name))


def rows(answer: Any, *path: str) -> Sequence[Any]:
    """Return the list at a path of an answer; MalformedAnswerError names the missing field."""
    for name in path:
        answer = answer.get(name) if isinstance(answer, Mapping) else None
        if answer is None:
            raise MalformedAnswerError(name, None)
    if not isinstance(answer, list | tuple):
        raise MalformedAnswerError(path[-1] if path else "answer", answer)
    return answer


def parse_rows(
    listed: Iterable[Any], parse: Callable[[Any], Iterable[Observation]], name_field: str = "symbol"
) -> ParsedAnswer:
    """Return the observations of all rows; a malformed row is reported by its name."""
    observations: list[Observation] = []
    malformed: list[str] = []
    for place, row in enumerate(listed):
        try:
            observations += parse(row)
        except MalformedAnswerError as error:
            name = row.get(name_field) if isinstance(row, Mapping) else None
            malformed.append(f"{name or f'row {place}'}: {error}")
    newest_ms = max((observation.venue_time_ms for observation in observations), default=None)
    return ParsedAnswer(tuple(observations), newest_ms, tuple(malformed))


def merge(answers: Iterable[ParsedAnswer]) -> ParsedAnswer:
    """Return several answers as one."""
    listed = list(answers)
    times = [answer.venue_time_ms for answer in listed if answer.venue_time_ms is not None]
    return ParsedAnswer(
        tuple(observation for answer in listed for observation in answer.observations),
        min(times, default=None),
        tuple(text for answer in listed for text in answer.malformed),
    )
