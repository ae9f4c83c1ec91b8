"""What a new name may be: short enough for every index, and without what no screen shows.

Only what a command defines is looked at; everything else has to be known already.
"""

from collections.abc import Iterator

from delever.core.messages import (
    Command,
    DefineAccount,
    DefineAccounts,
    DefineAsset,
    DefineContract,
    DefinePool,
)
from delever.server.api.errors import Fault

MOST = 200
"""Characters of a name, and of a command's id."""


def unfit_name(command: Command) -> Fault | None:
    """Return which name of a command cannot be one, or None."""
    for field, name in _names(command):
        why = f"is longer than {MOST} characters" if len(name) > MOST else ""
        if not name.isprintable():
            why = "holds characters that cannot be shown"
        if why:
            shown = ascii(name[:MOST])[1:-1]
            return Fault(reason="name_is_unfit", field=field, value=shown, message=f"{field} {why}")
    return None


def _names(command: Command) -> Iterator[tuple[str, str]]:
    yield "id", command.id
    match command:
        case DefineAccount():
            yield "account", command.account
        case DefineAccounts():
            for place, name in enumerate(command.accounts):
                yield f"accounts[{place}]", name
        case DefineAsset():
            yield "asset", command.asset
        case DefinePool():
            yield "pool", command.pool
            yield "asset", command.asset
        case DefineContract():
            yield "contract", command.contract
            yield "settle", command.settle
        case _:
            pass
