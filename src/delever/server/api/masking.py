"""Whose names a caller is told. One rule for everything that shows several accounts at once.

Who has the role read sees every account by name; an account's own key sees its own name; everybody
else's, and for a visitor without a key everybody's, come as masks. A mask is the same for the same
account as long as the server runs, and says nothing about the name.
"""

import hashlib
from dataclasses import dataclass
from typing import TypeVar, cast

import msgspec

from delever.api_types.market import MASK

PUBLIC = frozenset(
    {
        "adl_started",
        "adl_stopped",
        "adl_forced",
        "adl_paused",
        "adl_exhausted",
        "round_closed",
        "taken_over",
        "pool_funded",
        "contract_moved",
        "loss_socialized",
        "fill_cancelled",
        "notice",
    }
)
"""Events of the market that anybody may follow who may see it, names as masks."""

_ACCOUNT = ("account", "liquidated_account")

ToldT = TypeVar("ToldT", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Sight:
    """One caller's: everybody's names, or those of some accounts; `salt` is the server's secret.

    An account's orders go with its name.
    """

    salt: bytes
    everybody: bool
    accounts: frozenset[str] = frozenset()

    def sees(self, account: str) -> bool:
        """Whether the caller is told an account by name."""
        return self.everybody or account in self.accounts

    def name(self, account: str) -> str:
        """Return an account's name, or its mask."""
        if self.sees(account) or not account:
            return account
        digest = hashlib.blake2b(account.encode(), key=self.salt, digest_size=5)
        return MASK + digest.hexdigest()

    def told(self, what: ToldT) -> ToldT:
        """Return an event, or what is answered, with the names that the caller is told."""
        if self.everybody:
            return what
        changes: dict[str, object] = {}
        for field in what.__struct_fields__:
            value = getattr(what, field)
            if field in _ACCOUNT and isinstance(value, str):
                changes[field] = self.name(value)
            elif field == "cancel_orders":
                changes[field] = value if self.sees(getattr(what, "account", "")) else ()
            elif field == "accounts" and isinstance(value, tuple):
                changes[field] = tuple(map(self.name, value))
            elif isinstance(value, msgspec.Struct):
                changes[field] = self.told(value)
            elif isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
                changes[field] = tuple(self.told(cast("msgspec.Struct", each)) for each in value)
        return msgspec.structs.replace(what, **changes)
