"""Suggestions for a name that is not known; a light import, for the command line."""

import difflib
from collections.abc import Iterable

MAX_LISTED = 16
"""Known names that an error lists, where none of them resembles the given one."""


def suggestion(name: object, known: Iterable[str]) -> str:
    """Return '; did you mean ...?', or all known names if they are few, or nothing."""
    names = sorted(map(str, known))
    similar = difflib.get_close_matches(str(name), names, n=1)
    if similar:
        return f"; did you mean {similar[0]!r}?"
    return f"; there is {', '.join(names)}" if 0 < len(names) <= MAX_LISTED else ""
