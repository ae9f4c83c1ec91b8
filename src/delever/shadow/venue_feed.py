"""The feed of a shadow: the venue's commands, and the ADL fills of the venue itself, one a line."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from delever.core.messages import Amount, AnyCommand, Command, Side
from delever.lab.errors import InputError
from delever.lab.runs.scenario import STDIN, decode, numbered_lines, scenario_name


class VenueAdlFill(Command, tag="venue_adl_fill", frozen=True, kw_only=True):
    """Report that the venue's own ADL closed a position, in part or whole, against inventory.

    `side` is that of the closed position; inventory of the other side is closed with it, at the
    same price. The position and its account's wallet change at once, as long as the book has no
    snapshot of at least `version` (0: always); the next snapshot replaces them.
    """

    account: str
    contract: str
    side: Side
    quantity: Amount
    price: Amount
    position: int = 0
    version: int = 0


FeedCommand = AnyCommand | VenueAdlFill

_decoder: msgspec.json.Decoder[FeedCommand] = msgspec.json.Decoder(FeedCommand)


class FeedLine(NamedTuple):
    """A command with the number of its line from 1, or the error of a line that is none."""

    number: int
    command: Command | None
    error: InputError | None = None


def read_feed(path: str) -> Iterator[FeedLine]:
    """Yield the lines of a file, or of standard input for '-', as they arrive.

    Raises InputError for a file that cannot be read.
    """
    if path == STDIN:
        yield from feed_lines(sys.stdin.buffer, scenario_name(path))
        return
    try:
        with Path(path).open("rb") as file:
            yield from feed_lines(file, path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from None


def feed_lines(source: Iterable[bytes], file: str) -> Iterator[FeedLine]:
    """Yield the commands of lines; a line that is none does not end the feed.

    >>> good, bad = feed_lines([b'{"type": "set_time", "time_ms": 5}', b'{"type": "x"}'], "feed")
    >>> good.command.time_ms, str(bad.error)
    (5, "feed, line 2, type 'x': is no command")
    """
    for number, line in numbered_lines(source):
        try:
            yield FeedLine(number, decode(line, file, number, _decoder))
        except InputError as error:
            yield FeedLine(number, None, error)
