"""Who asks, and what their roles allow. Every route names one of the guards below.

A visitor is who sends no key where `[api] anonymous_read` lets anybody in: to the market, to queues and
to ADL as it was, with accounts masked. What is one account's own, and the journal's events with all
that they hold, a visitor sees only where `anonymous_accounts` says so.
"""

import secrets
from dataclasses import dataclass
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from delever.config import Config, Role
from delever.core.messages import CancelAdl, Command, ForceAdl, FundPool, MoveContract, PauseAdl
from delever.server.api.errors import Fault, Problem
from delever.server.api.masking import Sight
from delever.server.transport.api_keys import Holder, Keyring

Connection = ASGIConnection[Any, Any, Any, Any]

OPERATOR_COMMANDS = (FundPool, MoveContract, CancelAdl, PauseAdl, ForceAdl)
"""Commands that only an operator may submit, and that say why in their note."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Knows the keys, what a visitor may see, and the secret with which names are masked."""

    keyring: Keyring
    anonymous_read: bool
    anonymous_accounts: bool
    salt: bytes

    @classmethod
    def of(cls, config: Config, keyring: Keyring) -> "Gate":
        """Return the gate of a configuration."""
        api = config.api
        return cls(keyring, api.anonymous_read, api.anonymous_accounts, secrets.token_bytes(16))

    def holder(self, connection: Connection) -> Holder | None:
        """Return who asks; None where no key is sent. Raises Problem where it is no key of ours."""
        authorization = connection.headers.get("authorization")
        if authorization is None:
            return None
        holder = self.keyring.bearer(authorization)
        if holder is None:
            raise _unknown_key("the key or its secret is wrong")
        return holder

    def reader(self, connection: Connection) -> Holder | None:
        """Return who asks, or None where nobody has to say; Problem where a key is missing."""
        holder = self.holder(connection)
        if holder is None and not self.anonymous_read:
            raise key_is_missing()
        return holder

    def sight(self, connection: Connection) -> Sight:
        """Return whose names the caller is told."""
        holder = self.holder(connection)
        if holder is None:
            return Sight(self.salt, self.anonymous_accounts)
        return Sight(self.salt, holder.may(Role.READ), frozenset(holder.accounts))


def gate_of(connection: Connection) -> Gate:
    """Return the gate of the app that a connection has come to."""
    gate: Gate = connection.app.state.gate
    return gate


def reads_everything(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Let in who has the role read."""
    gate = gate_of(connection)
    holder = gate.reader(connection)
    if holder is None and not gate.anonymous_accounts:
        raise key_is_missing()
    if holder is not None and not holder.may(Role.READ):
        raise forbidden(Role.READ)


def reads_market(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Let in who has the role read, or an account of their own."""
    holder = gate_of(connection).reader(connection)
    if holder is not None and not (holder.may(Role.READ) or holder.may(Role.TRADE_ACCOUNT)):
        raise forbidden(Role.READ)


def reads_masked(connection: Connection, handler: BaseRouteHandler) -> None:
    """Let in who may see the market; whose names they are told, `sight_of` says."""
    reads_market(connection, handler)


def reads_account(connection: Connection, handler: BaseRouteHandler) -> None:
    """Let in who may see the account that the path names."""
    reads_market(connection, handler)
    check_sees(connection, str(connection.path_params["account"]))


def sight_of(connection: Connection) -> Sight:
    """Return whose names a caller is told."""
    return gate_of(connection).sight(connection)


def check_sees(connection: Connection, account: str | None) -> None:
    """Refuse what is one account's own, or all accounts' (None), to who may not see it."""
    sight = sight_of(connection)
    if sight.everybody or (account is not None and sight.sees(account)):
        return
    if gate_of(connection).holder(connection) is None:
        raise key_is_missing()
    if account is None:
        raise forbidden(Role.READ)
    message = f"this key does not see account {account!r}"
    fault = Fault(reason="key_lacks_account", field="account", value=account, message=message)
    raise Problem(403, fault)


def submits(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Let in who may submit commands."""
    holder = gate_of(connection).holder(connection)
    if holder is None:
        raise key_is_missing()
    if not (holder.may(Role.INGEST) or holder.may(Role.OPERATE)):
        raise forbidden(Role.INGEST)


def check_command(connection: Connection, command: Command) -> Fault | None:
    """Return why the holder may not submit this command, or None. `submits` was asked before."""
    if not isinstance(command, OPERATOR_COMMANDS):
        return None
    holder = gate_of(connection).holder(connection)
    if holder is None or not holder.may(Role.OPERATE):
        return _lacks(Role.OPERATE)
    if not command.note.strip():
        message = "an operator's command says why: note must not be empty"
        return Fault(reason="note_must_not_be_empty", field="note", message=message)
    return None


def status_of(fault: Fault) -> int:
    """Return the status with which `check_command`'s fault is answered."""
    return 403 if fault.reason == "key_lacks_role" else 400


def forbidden(role: Role) -> Problem:
    """Return the answer to a key without a role."""
    return Problem(403, _lacks(role))


def key_is_missing() -> Problem:
    """Return the answer to who needs a key and sends none."""
    return _unknown_key("send Authorization: Bearer ID.SECRET")


def _lacks(role: Role) -> Fault:
    return Fault(
        reason="key_lacks_role", field="role", value=str(role), message=f"needs the role {role}"
    )


def _unknown_key(message: str) -> Problem:
    fault = Fault(reason="key_is_unknown", field="authorization", message=message)
    return Problem(401, fault, {"WWW-Authenticate": "Bearer"})
