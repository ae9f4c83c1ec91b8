"""Masks for account names that a caller may not read, wherever a response has several accounts.

A key with the role read sees every account by name, an account's own key sees its own name; all
other names, and for an anonymous caller all names, are masked. An account has the same mask as long
as the server runs; the mask reveals nothing about the name.
"""

import hashlib
from dataclasses import dataclass
from typing import TypeVar, cast

import msgspec

from delever.api_types.market import MASK

PUBLIC_EVENTS = frozenset(
    {
        "adl_started",
        "adl_stopped",
        "adl_forced",
        "adl_paused",
        "plan_wait_set",
        "plan_requested",
        "plan_accepted",
        "adl_exhausted",
        "round_closed",
        "taken_over",
        "collateral_taken_over",
        "collateral_converted",
        "pool_funded",
        "contract_moved",
        "contract_amended",
        "pool_amended",
        "contract_status_set",
        "contract_settled",
        "loss_socialized",
        "fill_cancelled",
        "compensated",
        "inventory_netted",
        "mark_unconfirmed",
        "mark_confirmed",
        "notice",
    }
)
"""Events that anybody may follow who may read the market, with masked names."""

_ACCOUNT_FIELDS = ("account", "liquidated_account")

StructT = TypeVar("StructT", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Masking:
    """The accounts that one caller may read by name: all, or some; `salt` is the server's secret.

    The orders of a masked account are removed.
    """

    salt: bytes
    sees_all: bool
    accounts: frozenset[str] = frozenset()

    def can_read(self, account: str) -> bool:
        """Whether the caller may read an account by name."""
        return self.sees_all or account in self.accounts

    def name(self, account: str) -> str:
        """Return an account's name, or its mask."""
        if self.can_read(account) or not account:
            return account
        digest = hashlib.blake2b(account.encode(), key=self.salt, digest_size=5)
        return MASK + digest.hexdigest()

    def mask(self, message: StructT) -> StructT:
        """Return an event or a response with masked names."""
        if self.sees_all:
            return message
        changes: dict[str, object] = {}
        for field in message.__struct_fields__:
            value = getattr(message, field)
            if field in _ACCOUNT_FIELDS and isinstance(value, str):
                changes[field] = self.name(value)
            elif field == "cancel_orders":
                changes[field] = value if self.can_read(getattr(message, "account", "")) else ()
            elif field == "accounts" and isinstance(value, tuple):
                changes[field] = tuple(map(self.name, value))
            elif isinstance(value, msgspec.Struct):
                changes[field] = self.mask(value)
            elif isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
                changes[field] = tuple(self.mask(cast("msgspec.Struct", item)) for item in value)
        return msgspec.structs.replace(message, **changes)
