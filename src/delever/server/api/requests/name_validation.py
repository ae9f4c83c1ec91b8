"""Rules for new names: short enough for every index, printable, and unlike another name.

`BTC` with a Cyrillic C is refused, and so are full-width and other compatibility characters. Only
names that a command defines are checked; all other names must exist already.
"""

import unicodedata
from collections.abc import Iterator

from delever.core.messages import (
    Command,
    DefineAccount,
    DefineAccounts,
    DefineAsset,
    DefineCollateral,
    DefineContract,
    DefinePool,
)
from delever.server.api.requests.errors import ApiError

MAX_NAME_LENGTH = 200
"""Characters of a name, and of a command's id."""

ALIKE = {"ARMENIAN", "CHEROKEE", "COPTIC", "CYRILLIC", "GREEK", "LATIN"}
"""Scripts with letters that look alike; a name may have letters of one of them."""


def check_names(command: Command) -> ApiError | None:
    """Return the error of the first invalid name that a command defines, or None."""
    for field, name in _names(command):
        why = ""
        if len(name) > MAX_NAME_LENGTH:
            why = f"is longer than {MAX_NAME_LENGTH} characters"
        if not name.isprintable():
            why = "has characters that are not printable"
        if not name.isascii():
            why = why or _look_alike(name)
        if why:
            value = ascii(name[:MAX_NAME_LENGTH])[1:-1]
            message = f"{field} {why}"
            return ApiError(reason="invalid_name", field=field, value=value, message=message)
    return None


def _look_alike(name: str) -> str:
    """Return why a name may look like another one, or "".

    >>> _look_alike("BT\N{CYRILLIC CAPITAL LETTER ES}")
    'has letters of several scripts: CYRILLIC, LATIN'
    >>> _look_alike("M\N{LATIN SMALL LETTER U WITH DIAERESIS}ller")
    ''
    """
    if unicodedata.normalize("NFKC", name) != name:
        return "has characters that are other forms of usual ones"
    scripts = {unicodedata.name(c, "").partition(" ")[0] for c in name} & ALIKE
    return f"has letters of several scripts: {', '.join(sorted(scripts))}" * (len(scripts) > 1)


def _names(command: Command) -> Iterator[tuple[str, str]]:
    yield "id", command.id
    match command:
        case DefineAccount():
            yield "account", command.account
        case DefineAccounts():
            for index, name in enumerate(command.accounts):
                yield f"accounts[{index}]", name
        case DefineAsset():
            yield "asset", command.asset
        case DefinePool():
            yield "pool", command.pool
            yield "asset", command.asset
        case DefineCollateral():
            yield "asset", command.asset
            yield "margin_currency", command.margin_currency
        case DefineContract():
            yield "contract", command.contract
            yield "settle", command.settle
        case _:
            pass
